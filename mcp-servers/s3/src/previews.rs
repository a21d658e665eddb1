//! The tools that show the beginning of an object: of a text its first lines, of a table its columns and first rows.

use crate::error::StoreError;
use crate::server::Objects;
use crate::table::{self, Format, Table, Wanted};
use crate::text::{self, Charset};
use crate::tools::{bounded, object, version};
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lines and rows when nobody says how many, and at most.
const LINES: u64 = 50;
const LINES_MAX: u64 = 10_000;
const ROWS: u64 = 10;
const ROWS_MAX: u64 = 200;
/// Names of columns in one call.
const COLUMNS_MAX: usize = 50;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TextArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// A version of it, as list_versions gives it; the latest if not given
    version: Option<String>,
    /// How many lines at most; 50 if not given
    #[schemars(range(min = 1, max = 10_000))]
    lines: Option<u64>,
    /// How many bytes at most; as many as an answer carries if not given
    #[schemars(range(min = 1))]
    bytes: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Text {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// The first lines, without a byte order mark
    text: String,
    /// How many lines that are
    lines: u64,
    /// Whether there is more
    more: bool,
    /// How the object is encoded
    charset: Charset,
    /// The object's length in bytes
    total_size: u64,
    /// What it is, as whoever wrote it said
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// Changes when the content does
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TableArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// A version of it, as list_versions gives it; the latest if not given
    version: Option<String>,
    /// How it is written down; by the end of its key if not given
    format: Option<Format>,
    /// How many rows at most; 10 if not given
    #[schemars(range(min = 1, max = 200))]
    rows: Option<u64>,
    /// Names of the columns whose values are wanted; the first 50 if not given
    #[serde(default)]
    #[schemars(length(max = 50))]
    columns: Vec<String>,
    /// Of CSV: what stands between values, one character of ASCII; `,` if not given
    delimiter: Option<String>,
    /// Of CSV and TSV: whether the first row has the names; true if not given
    header: Option<bool>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Previewed {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    #[serde(flatten)]
    table: Table,
}

#[tool_router(router = previews, vis = "pub(crate)")]
impl Objects {
    /// Shows the first lines of a text in UTF-8 or UTF-16. What is no text is refused.
    #[tool(
        title = "Preview a text",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn preview_text(
        &self,
        Parameters(asked): Parameters<TextArguments>,
    ) -> Result<Json<Text>, StoreError> {
        let (bucket, key) = object(&asked.bucket, &asked.key)?;
        let version = version(asked.version.as_deref())?;
        let lines = bounded("lines", asked.lines, LINES, LINES_MAX)?;
        let max = self.store.limits.page_bytes_max;
        // A character has four bytes at most, and a byte order mark three.
        let length = bounded("bytes", asked.bytes, max, max)?.max(8);
        let piece = self.store.read(&bucket, &key, version.as_ref(), 0, length).await?;
        let cut = piece.info.size > piece.bytes.len() as u64;
        let (charset, text) = text::decoded(&piece.bytes, cut).ok_or(StoreError::NotText)?;
        let wanted = usize::try_from(lines).unwrap_or(usize::MAX);
        let end: usize = text.split_inclusive('\n').take(wanted).map(str::len).sum();
        let told = text.get(..end).unwrap_or_default();
        let shown = Text {
            bucket: bucket.to_string(),
            key: key.to_string(),
            lines: told.lines().count() as u64,
            more: cut || end < text.len(),
            text: told.to_owned(),
            charset,
            total_size: piece.info.size,
            content_type: piece.info.content_type,
            etag: piece.info.etag,
        };
        let (text, more) = (shown.text.clone(), shown.more);
        let note = format!("[the first {} lines of {} bytes]", shown.lines, shown.total_size);
        let json = Json::new(shown, text);
        Ok(if more { json.and(note) } else { json })
    }

    /// Shows the columns, the first rows and the count of rows of a table in CSV, TSV, JSON lines or Parquet. Little of a
    /// long object is read; a count that is not exact is called an estimate.
    #[tool(
        title = "Preview a table",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn preview_table(
        &self,
        Parameters(asked): Parameters<TableArguments>,
    ) -> Result<Json<Previewed>, StoreError> {
        let (bucket, key) = object(&asked.bucket, &asked.key)?;
        let version = version(asked.version.as_deref())?;
        let format = asked.format.or_else(|| Format::of(&key));
        let format = format.ok_or(StoreError::Arguments("give format: the key doesn't say which it is"))?;
        let rows = bounded("rows", asked.rows, ROWS, ROWS_MAX)?;
        if asked.columns.len() > COLUMNS_MAX {
            return Err(StoreError::TooLarge { what: "the number of columns", max: COLUMNS_MAX as u64 });
        }
        let wanted = Wanted {
            format,
            rows: usize::try_from(rows).unwrap_or(1),
            columns: asked.columns,
            delimiter: delimiter(format, asked.delimiter.as_deref())?,
            header: asked.header.unwrap_or(true),
        };
        let table = table::preview(&self.store, (&bucket, &key, version.as_ref()), wanted).await?;
        let (head, rows) = table.told();
        let notes = table.notes.join("; ");
        let json =
            Json::new(Previewed { bucket: bucket.to_string(), key: key.to_string(), table }, head).and(rows);
        Ok(if notes.is_empty() { json } else { json.and(format!("[{notes}]")) })
    }
}

fn delimiter(format: Format, asked: Option<&str>) -> Result<u8, StoreError> {
    match (format, asked) {
        (Format::Csv, Some(text)) => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Ok(*byte),
            _ => {
                Err(StoreError::Arguments("delimiter is one character of ASCII, no quote and no line break"))
            }
        },
        (_, Some(_)) => Err(StoreError::Arguments("delimiter is of CSV alone")),
        (Format::Tsv, None) => Ok(b'\t'),
        (_, None) => Ok(b','),
    }
}
