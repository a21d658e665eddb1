//! A JSON Schema as a grammar: which bytes may come next, so that nothing can be written but JSON of that form. It is the
//! narrow JSON without blanks and with properties in the schema's order. What a schema says beyond that (a pattern, a minimum)
//! is checked when the text is whole.

mod compile;
mod machine;

pub(super) use machine::Machine;

/// What may be written where, in one list; nodes name each other by their place.
#[derive(Debug)]
pub(crate) struct Grammar {
    nodes: Vec<Node>,
    root: usize,
    whole: bool,
}

#[derive(Debug)]
enum Node {
    Object(Vec<Field>),
    Array {
        item: usize,
        min: usize,
        max: usize,
    },
    Text {
        min: usize,
        max: usize,
    },
    Number {
        integer: bool,
    },
    /// One of some texts.
    OneOf(Vec<Vec<u8>>),
}

#[derive(Debug)]
struct Field {
    /// With its quotes and the colon.
    key: Vec<u8>,
    value: usize,
    required: bool,
}

impl Grammar {
    /// Whether it says all that the schema says.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }
}

#[cfg(test)]
mod tests;
