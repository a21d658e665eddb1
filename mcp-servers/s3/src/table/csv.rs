//! Values with something between them (RFC 4180).

use super::{Column, Format, Rows, Wanted, bad, cell};
use crate::error::StoreError;
use csv::{ReaderBuilder, StringRecord};
use serde_json::Value;

/// Values of a row; a file that has more is no table.
const VALUES_MAX: usize = 10_000;

/// What the values of a column have looked like so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// There was none.
    #[default]
    Unknown,
    Boolean,
    Integer,
    Number,
    Text,
}

/// Reads a table; of a text that goes on, all but the last row, which its end may cut.
pub(super) fn table(text: &str, more: bool, wanted: &Wanted) -> Result<Rows, StoreError> {
    let mut reader = ReaderBuilder::new()
        .delimiter(wanted.delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut found = Rows { length: text.len(), whole: !more, ..Rows::default() };
    let (mut kinds, mut empty, mut ragged): (Vec<Kind>, Vec<bool>, u64) = Default::default();
    let (mut names, mut width) = (Vec::new(), None);
    let (mut record, mut previous) = (StringRecord::new(), None::<StringRecord>);
    loop {
        let begin = reader.position().byte() as usize;
        let is_there =
            reader.read_record(&mut record).map_err(|_| bad(wanted.format, "a record can't be read"))?;
        // A record is taken when the next one begins, so that the last one can be left out.
        if let Some(taken) = previous.take().filter(|_| is_there || !more) {
            found.consumed = if is_there { begin } else { text.len() };
            if taken.len() > VALUES_MAX {
                return Err(bad(wanted.format, format!("a row has more than {VALUES_MAX} values")));
            }
            if width.is_none() && wanted.header {
                names = taken.iter().map(str::to_owned).collect();
            } else {
                found.count += 1;
                ragged += u64::from(width.is_some_and(|width| width != taken.len()));
                look(&taken, &mut kinds, &mut empty);
                if found.rows.len() < wanted.rows {
                    found.rows.push(taken.iter().map(cell).collect());
                }
            }
            width.get_or_insert(taken.len());
        }
        if !is_there {
            break;
        }
        previous = Some(record.clone());
    }
    if names.is_empty() && found.count == 0 {
        return Err(bad(wanted.format, if more { "its first row doesn't end" } else { "there is no row" }));
    }
    found.columns = columns(&names, &kinds, &empty);
    let width = found.columns.len();
    for row in &mut found.rows {
        row.resize(width, Value::Null);
    }
    if ragged > 0 {
        found.notes.push(format!("{ragged} rows have more or fewer values than there are columns"));
    }
    if wanted.format == Format::Csv && width == 1 {
        found.notes.push("there is one column; the values may have another delimiter".to_owned());
    }
    Ok(found)
}

fn look(record: &StringRecord, kinds: &mut Vec<Kind>, empty: &mut Vec<bool>) {
    kinds.resize(kinds.len().max(record.len()), Kind::Unknown);
    empty.resize(kinds.len(), false);
    for ((value, kind), empty) in record.iter().zip(kinds).zip(empty) {
        match value {
            "" => *empty = true,
            _ => *kind = kind.and(of(value)),
        }
    }
}

fn of(value: &str) -> Kind {
    if value.parse::<i64>().is_ok() {
        Kind::Integer
    } else if value.parse::<f64>().is_ok() {
        Kind::Number
    } else if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") {
        Kind::Boolean
    } else {
        Kind::Text
    }
}

impl Kind {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, kind) | (kind, Self::Unknown) => kind,
            (a, b) if a == b => a,
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            _ => Self::Text,
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Unknown => "empty",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text => "text",
        }
    }
}

fn columns(names: &[String], kinds: &[Kind], empty: &[bool]) -> Vec<Column> {
    let count = names.len().max(kinds.len());
    let all = (0..count).map(|at| Column {
        name: names
            .get(at)
            .filter(|n| !n.is_empty())
            .cloned()
            .unwrap_or_else(|| format!("column_{}", at + 1)),
        kind: kinds.get(at).copied().unwrap_or_default().told().to_owned(),
        nullable: empty.get(at).copied(),
    });
    all.collect()
}
