//! Where a text is in its grammar. It takes one byte after the other, and each byte leads to one place only.

use super::{Field, Grammar, Node};
use std::sync::Arc;

/// Digits of a number: what a 64-bit float holds exactly.
const DIGITS_MAX: u8 = 15;

/// The places that are open, the innermost last. Empty is the end.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Machine {
    grammar: Arc<Grammar>,
    open: Vec<Place>,
}

#[derive(Clone, Debug)]
enum Place {
    /// Before a value.
    Value(usize),
    /// In an object, before its next property, which is `next` or a later one.
    Fields {
        node: usize,
        next: usize,
        first: bool,
    },
    /// In a key, which is one of these fields'.
    Key {
        node: usize,
        alive: Vec<usize>,
        at: usize,
    },
    /// In a list.
    Items {
        node: usize,
        count: usize,
    },
    /// In a text between quotes.
    Text {
        node: usize,
        chars: usize,
        part: Part,
    },
    Number {
        node: usize,
        part: Digits,
        count: u8,
    },
    /// In one of these texts.
    OneOf {
        node: usize,
        alive: Vec<usize>,
        at: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Plain,
    Escape,
    /// In a character of several bytes: how many are left, and between what the next one is.
    Inside {
        left: u8,
        from: u8,
        to: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    Start,
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
}

/// What a byte does at a place.
enum Step {
    No,
    /// It was taken.
    Taken,
    /// The place had ended before it: the one around has to take it.
    Again,
}

impl Grammar {
    pub(in crate::engine) fn machine(self) -> Machine {
        let open = vec![Place::Value(self.root)];
        Machine { grammar: Arc::new(self), open }
    }
}

impl Machine {
    /// Whether nothing may follow.
    pub(in crate::engine) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the text may end here.
    pub(in crate::engine) fn may_end(&self) -> bool {
        match self.open.as_slice() {
            [] => true,
            [Place::Number { part, .. }] => part.is_number(),
            [Place::OneOf { node, alive, at }] => {
                alive.iter().any(|text| self.text(*node, *text).len() == *at)
            }
            _ => false,
        }
    }

    /// Whether all of some bytes may come.
    pub(in crate::engine) fn would_take(&self, bytes: &[u8]) -> bool {
        self.clone().take_all(bytes)
    }

    /// Takes bytes up to the first that may not come; whether that was all of them.
    pub(in crate::engine) fn take_all(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.take(*byte))
    }

    /// Takes a byte; false where it may not come.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let grammar = Arc::clone(&self.grammar);
        loop {
            let Some(place) = self.open.pop() else { return false };
            match self.step(&grammar, place, byte) {
                Step::No => return false,
                Step::Taken => return true,
                Step::Again => {}
            }
        }
    }

    fn step(&mut self, grammar: &Grammar, place: Place, byte: u8) -> Step {
        match place {
            Place::Value(node) => self.value(grammar, node, byte),
            Place::Fields { node, next, first } => self.fields(grammar, (node, next, first), byte),
            Place::Key { node, alive, at } => self.key(grammar, (node, alive, at), byte),
            Place::Items { node, count } => self.items(grammar, (node, count), byte),
            Place::Text { node, chars, part } => self.in_text(grammar, (node, chars, part), byte),
            Place::Number { node, part, count } => self.number(grammar, (node, part, count), byte),
            Place::OneOf { node, alive, at } => self.one_of(grammar, (node, alive, at), byte),
        }
    }

    fn stay(&mut self, place: Place) -> Step {
        self.open.push(place);
        Step::Taken
    }

    fn value(&mut self, grammar: &Grammar, node: usize, byte: u8) -> Step {
        match (grammar.nodes.get(node), byte) {
            (Some(Node::Object(_)), b'{') => self.stay(Place::Fields { node, next: 0, first: true }),
            (Some(Node::Array { .. }), b'[') => self.stay(Place::Items { node, count: 0 }),
            (Some(Node::Text { .. }), b'"') => self.stay(Place::Text { node, chars: 0, part: Part::Plain }),
            (Some(Node::Number { .. }), _) => self.number(grammar, (node, Digits::Start, 0), byte),
            (Some(Node::OneOf(texts)), _) => {
                self.one_of(grammar, (node, (0..texts.len()).collect(), 0), byte)
            }
            _ => Step::No,
        }
    }

    fn fields(&mut self, grammar: &Grammar, (node, next, first): (usize, usize, bool), byte: u8) -> Step {
        let Some(Node::Object(fields)) = grammar.nodes.get(node) else { return Step::No };
        let left = fields.get(next..).unwrap_or_default();
        // Optional ones may be left out, so the next key is one of those up to the first that is required.
        let end = left.iter().position(|field| field.required).map_or(fields.len(), |at| next + at + 1);
        let keys: Vec<usize> = (next..end).collect();
        match byte {
            b'}' if !left.iter().any(|field| field.required) => Step::Taken,
            b',' if !first && !keys.is_empty() => {
                self.open.push(Place::Fields { node, next, first });
                self.stay(Place::Key { node, alive: keys, at: 0 })
            }
            b'"' if first => {
                self.open.push(Place::Fields { node, next, first });
                self.key(grammar, (node, keys, 0), byte)
            }
            _ => Step::No,
        }
    }

    fn key(
        &mut self,
        grammar: &Grammar,
        (node, mut alive, at): (usize, Vec<usize>, usize),
        byte: u8,
    ) -> Step {
        let Some(Node::Object(fields)) = grammar.nodes.get(node) else { return Step::No };
        alive.retain(|field| fields.get(*field).is_some_and(|field| field.key.get(at) == Some(&byte)));
        let whole = |found: &usize| fields.get(*found).is_some_and(|field| field.key.len() == at + 1);
        match alive.iter().find(|found| whole(found)) {
            _ if alive.is_empty() => Step::No,
            None => self.stay(Place::Key { node, alive, at: at + 1 }),
            Some(found) => {
                if let Some(Place::Fields { next, first, .. }) = self.open.last_mut() {
                    (*next, *first) = (*found + 1, false);
                }
                let value = fields.get(*found).map_or(0, |Field { value, .. }| *value);
                self.stay(Place::Value(value))
            }
        }
    }

    fn items(&mut self, grammar: &Grammar, (node, count): (usize, usize), byte: u8) -> Step {
        let Some(Node::Array { item, min, max }) = grammar.nodes.get(node) else { return Step::No };
        match byte {
            b']' if count >= *min => Step::Taken,
            b',' if count > 0 && count < *max => {
                self.open.push(Place::Items { node, count: count + 1 });
                self.stay(Place::Value(*item))
            }
            _ if count == 0 && *max > 0 => {
                self.open.push(Place::Items { node, count: 1 });
                self.value(grammar, *item, byte)
            }
            _ => Step::No,
        }
    }

    fn in_text(&mut self, grammar: &Grammar, (node, chars, part): (usize, usize, Part), byte: u8) -> Step {
        let Some(Node::Text { min, max }) = grammar.nodes.get(node) else { return Step::No };
        let plain = |chars| Place::Text { node, chars, part: Part::Plain };
        let inside =
            |left, from, to| Place::Text { node, chars: chars + 1, part: Part::Inside { left, from, to } };
        match (part, byte) {
            (Part::Inside { left, from, to }, _) if (from..=to).contains(&byte) => {
                let part = if left > 1 {
                    Part::Inside { left: left - 1, from: 0x80, to: 0xbf }
                } else {
                    Part::Plain
                };
                self.stay(Place::Text { node, chars, part })
            }
            (Part::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.stay(plain(chars + 1))
            }
            (Part::Plain, b'"') if chars >= *min => Step::Taken,
            (Part::Plain, _) if byte == b'"' || chars >= *max => Step::No,
            (Part::Plain, b'\\') => self.stay(Place::Text { node, chars, part: Part::Escape }),
            (Part::Plain, 0x20..=0x7f) => self.stay(plain(chars + 1)),
            // The forms of UTF-8 (RFC 3629 §4).
            (Part::Plain, 0xc2..=0xdf) => self.stay(inside(1, 0x80, 0xbf)),
            (Part::Plain, 0xe0) => self.stay(inside(2, 0xa0, 0xbf)),
            (Part::Plain, 0xed) => self.stay(inside(2, 0x80, 0x9f)),
            (Part::Plain, 0xe1..=0xef) => self.stay(inside(2, 0x80, 0xbf)),
            (Part::Plain, 0xf0) => self.stay(inside(3, 0x90, 0xbf)),
            (Part::Plain, 0xf4) => self.stay(inside(3, 0x80, 0x8f)),
            (Part::Plain, 0xf1..=0xf3) => self.stay(inside(3, 0x80, 0xbf)),
            _ => Step::No,
        }
    }

    fn number(&mut self, grammar: &Grammar, (node, part, count): (usize, Digits, u8), byte: u8) -> Step {
        let Some(Node::Number { integer }) = grammar.nodes.get(node) else { return Step::No };
        let more = byte.is_ascii_digit() && count < DIGITS_MAX;
        let part = match (part, byte) {
            (Digits::Start, b'-') => Digits::Minus,
            (Digits::Start | Digits::Minus, b'0') => Digits::Zero,
            (Digits::Start | Digits::Minus, b'1'..=b'9') => Digits::Whole,
            (Digits::Whole, _) if more => Digits::Whole,
            (Digits::Zero | Digits::Whole, b'.') if !integer && count < DIGITS_MAX => Digits::Point,
            (Digits::Point | Digits::Fraction, _) if more => Digits::Fraction,
            _ if part.is_number() => return Step::Again,
            _ => return Step::No,
        };
        self.stay(Place::Number { node, part, count: count + u8::from(byte.is_ascii_digit()) })
    }

    fn one_of(
        &mut self,
        grammar: &Grammar,
        (node, mut alive, at): (usize, Vec<usize>, usize),
        byte: u8,
    ) -> Step {
        let Some(Node::OneOf(texts)) = grammar.nodes.get(node) else { return Step::No };
        let ended = |found: &usize, at: usize| texts.get(*found).is_some_and(|text| text.len() == at);
        let was_whole = alive.iter().any(|found| ended(found, at));
        alive.retain(|found| texts.get(*found).is_some_and(|text| text.get(at) == Some(&byte)));
        if alive.is_empty() {
            return if was_whole { Step::Again } else { Step::No };
        }
        if alive.iter().all(|found| ended(found, at + 1)) {
            return Step::Taken;
        }
        self.stay(Place::OneOf { node, alive, at: at + 1 })
    }

    fn text(&self, node: usize, text: usize) -> &[u8] {
        match self.grammar.nodes.get(node) {
            Some(Node::OneOf(texts)) => texts.get(text).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }
}

impl Digits {
    fn is_number(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction)
    }
}
