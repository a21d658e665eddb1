//! Tables in objects: what columns there are, the first rows, and how many. No more of an object is read than a bound says,
//! and whatever an object holds, reading it ends in a table or in an error.

mod csv;
mod jsonl;
mod parquet;
mod ranged;
mod thrift;

use crate::argument::VersionId;
use crate::error::StoreError;
use crate::name::{Bucket, Key};
use crate::store::Store;
use crate::text;
use ranged::Ranged;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a table is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Format {
    /// Comma separated values (RFC 4180), whatever separates them.
    Csv,
    /// Tab separated values.
    Tsv,
    /// A JSON object a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

/// What of a table is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) format: Format,
    pub(crate) rows: usize,
    /// Names of columns; all, as far as they go, if there is none.
    pub(crate) columns: Vec<String>,
    pub(crate) delimiter: u8,
    pub(crate) header: bool,
}

/// What of a table is told.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Table {
    /// How it is written down
    pub(crate) format: Format,
    /// Its columns, in its order
    pub(crate) columns: Vec<Column>,
    /// The names of the columns that are in `rows`, in their order
    pub(crate) shown: Vec<String>,
    /// The first rows, a value for each of `shown`
    pub(crate) rows: Vec<Vec<Value>>,
    /// How many rows there are, if it is known exactly
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) row_count: Option<u64>,
    /// About how many there are, guessed from those that were read; absent if `row_count` is there
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) row_count_estimate: Option<u64>,
    /// The object's length in bytes
    pub(crate) total_size: u64,
    /// How many of them were read for this
    pub(crate) bytes_read: u64,
    /// What else there is to know: what was left out, and why
    pub(crate) notes: Vec<String>,
    /// Changes when the content does
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Column {
    /// Its name; of a column within another the path, with dots
    pub(crate) name: String,
    /// What is in it: of Parquet as the file says, else as the rows that were read look
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Whether it may be empty; unknown if not given
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nullable: Option<bool>,
}

/// Columns that are told, and those that have their values in rows.
const COLUMNS_MAX: usize = 2_000;
const SHOWN_MAX: usize = 50;
/// Characters of a value; of a longer one the beginning is told.
const CELL_CHARACTERS_MAX: usize = 256;
/// Items of a list in a cell.
const CELL_ITEMS_MAX: usize = 20;

impl Format {
    /// By the end of a key.
    pub(crate) fn of(key: &Key) -> Option<Self> {
        let (_, end) = key.as_str().rsplit_once('.')?;
        match end.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "parquet" | "parq" | "pq" => Some(Self::Parquet),
            _ => None,
        }
    }

    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::Jsonl => "JSON lines",
            Self::Parquet => "Parquet",
        }
    }
}

/// Reads the beginning of a table.
///
/// # Errors
/// [`StoreError::BadTable`] for what is none.
pub(crate) async fn preview(
    store: &Store,
    (bucket, key, version): (&Bucket, &Key, Option<&VersionId>),
    wanted: Wanted,
) -> Result<Table, StoreError> {
    if wanted.format == Format::Parquet {
        let reader = Ranged::open(store, bucket, key, version).await?;
        // Its own thread: the crate waits for bytes, and should it panic, then there.
        let done = tokio::task::spawn_blocking(move || parquet::table(reader, &wanted)).await;
        return done.unwrap_or_else(|_| {
            Err(bad(Format::Parquet, "it is malformed in a way that its reader can't tell"))
        });
    }
    let piece = store.read(bucket, key, version, 0, store.limits.table_bytes_max).await?;
    let more = piece.info.size > piece.bytes.len() as u64;
    let (size, etag) = (piece.info.size, piece.info.etag.clone());
    let read = move || {
        let (_, text) = text::decoded(&piece.bytes, more).ok_or(StoreError::NotText)?;
        match wanted.format {
            Format::Jsonl => jsonl::table(&text, more, &wanted),
            _ => csv::table(&text, more, &wanted),
        }
        .map(|rows| rows.table(&wanted, size, piece.bytes.len() as u64, etag))
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(StoreError::Store(error.into())))
}

/// What a text gave.
#[derive(Debug, Default)]
struct Rows {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    /// How many there were in what was read.
    count: u64,
    /// How many characters they took.
    consumed: usize,
    /// How many characters there were.
    length: usize,
    whole: bool,
    notes: Vec<String>,
}

impl Rows {
    /// Picks the columns that are shown, and counts or guesses.
    fn table(mut self, wanted: &Wanted, total_size: u64, bytes_read: u64, etag: Option<String>) -> Table {
        let (picked, mut notes) = pick(&self.columns, &wanted.columns);
        let rows = self.rows.iter_mut().map(|row| {
            let cells = picked.iter().map(|at| row.get_mut(*at).map_or(Value::Null, Value::take));
            cells.collect()
        });
        let rows = rows.collect();
        // By bytes: what was read stands for the rest.
        let estimate = match self.consumed {
            0 => None,
            consumed => {
                let share = consumed as f64 / self.length.max(1) as f64 * bytes_read as f64;
                Some((self.count as f64 * total_size as f64 / share.max(1.0)).round() as u64)
            }
        };
        if !self.whole {
            notes.push(format!(
                "the first {bytes_read} of {total_size} bytes were read; the count of rows is an estimate from them"
            ));
        }
        notes.append(&mut self.notes);
        let shown = picked.iter().filter_map(|at| self.columns.get(*at)).map(|c| c.name.clone()).collect();
        truncate(&mut self.columns, &mut notes);
        Table {
            format: wanted.format,
            columns: self.columns,
            shown,
            rows,
            row_count: self.whole.then_some(self.count),
            row_count_estimate: estimate.filter(|_| !self.whole),
            total_size,
            bytes_read,
            notes,
            etag,
        }
    }
}

/// Which columns are shown: those that were named, else the first.
fn pick(columns: &[Column], named: &[String]) -> (Vec<usize>, Vec<String>) {
    let mut notes = Vec::new();
    if named.is_empty() {
        if columns.len() > SHOWN_MAX {
            notes.push(format!(
                "{SHOWN_MAX} of {} columns have their values in rows; name others in columns",
                columns.len()
            ));
        }
        return ((0..columns.len().min(SHOWN_MAX)).collect(), notes);
    }
    let mut picked = Vec::new();
    for name in named {
        match columns.iter().position(|column| column.name == *name) {
            Some(at) if !picked.contains(&at) => picked.push(at),
            Some(_) => {}
            None => notes.push(format!("there is no column {name:?}")),
        }
    }
    (picked, notes)
}

fn truncate(columns: &mut Vec<Column>, notes: &mut Vec<String>) {
    if columns.len() > COLUMNS_MAX {
        notes.push(format!("{COLUMNS_MAX} of {} columns are told", columns.len()));
        columns.truncate(COLUMNS_MAX);
    }
}

fn bad(format: Format, why: impl Into<String>) -> StoreError {
    StoreError::BadTable { format: format.told(), why: why.into() }
}

/// A text as a cell.
fn cell(text: &str) -> Value {
    match text.char_indices().nth(CELL_CHARACTERS_MAX) {
        None => Value::from(text),
        Some((end, _)) => Value::from(format!("{}…", text.get(..end).unwrap_or_default())),
    }
}

/// A list as a cell.
fn list(mut items: Vec<Value>) -> Value {
    if items.len() > CELL_ITEMS_MAX {
        let left = items.len() - CELL_ITEMS_MAX;
        items.truncate(CELL_ITEMS_MAX);
        items.push(Value::from(format!("… {left} more")));
    }
    Value::Array(items)
}

impl Table {
    /// How many rows, in words.
    fn counted(&self) -> String {
        match (self.row_count, self.row_count_estimate) {
            (Some(count), _) => format!("{count} rows"),
            (None, Some(estimate)) => format!("about {estimate} rows (an estimate)"),
            (None, None) => "no row in what was read".to_owned(),
        }
    }

    /// For a model: what it is, and the rows with tabs between their values.
    pub(crate) fn told(&self) -> (String, String) {
        let line = |cells: Vec<String>| cells.join("\t");
        let head = format!(
            "{}: {}, {} columns; {} rows follow",
            self.format.told(),
            self.counted(),
            self.columns.len(),
            self.rows.len()
        );
        let mut lines = vec![line(self.shown.clone())];
        for row in &self.rows {
            let plain = |value: &Value| match value {
                Value::String(text) => text.replace(['\t', '\n', '\r'], " "),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            lines.push(line(row.iter().map(plain).collect()));
        }
        (head, lines.join("\n"))
    }
}

#[cfg(test)]
mod tests;
