//! Apache Parquet: the footer, and of the columns that are shown the first pages. The crate's low level is used, a column at
//! a time: its records would copy each value whole, and there a small file can be made to fill the memory.

use super::ranged::{Guard, Ranged, Skipped};
use super::{Column, Format, SHOWN_MAX, Table, Wanted, bad, cell, list, pick, truncate};
use crate::error::StoreError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::page::PageReader;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::properties::ReaderProperties;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::{ColumnDescPtr, Type};
use serde_json::{Number, Value};
use std::sync::Arc;
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime};

const MAGIC: &[u8] = b"PAR1";
/// The footer's length and the magic number.
const TAIL: u64 = 8;
/// The longest footer.
const FOOTER_BYTES_MAX: u64 = 4 << 20;

/// Reads the beginning of a table. Crate `parquet` is known to panic on some damaged files, so call it where that is caught.
pub(super) fn table(reader: Ranged, wanted: &Wanted) -> Result<Table, StoreError> {
    let metadata = metadata(&reader)?;
    let reader = Arc::new(reader);
    let schema = metadata.file_metadata().schema_descr_ptr();
    let mut columns: Vec<Column> = schema.columns().iter().map(column).collect();
    let (picked, mut notes) = pick(&columns, &wanted.columns);
    let picked: Vec<_> = picked.into_iter().take(SHOWN_MAX).collect();
    let rows = metadata.file_metadata().num_rows();
    let mut shown: Vec<Vec<Value>> = Vec::new();
    let mut count = 0;
    if let Some(group) = metadata.row_groups().iter().find(|group| group.num_rows() > 0) {
        count = usize::try_from(group.num_rows()).unwrap_or(0).min(wanted.rows);
        for at in &picked {
            let values = match values(&reader, group, *at, count) {
                Ok(values) => values,
                Err(error) => {
                    let name = columns.get(*at).map_or("", |c| &c.name);
                    notes.push(unread(&reader, error, name)?);
                    vec![Value::Null; count]
                }
            };
            shown.push(values);
        }
        if count < wanted.rows && metadata.num_row_groups() > 1 {
            notes.push(format!("rows are from one of {} row groups", metadata.num_row_groups()));
        }
    }
    notes.extend(metadata.file_metadata().created_by().map(|by| format!("written by {}", short(by))));
    let names = picked.iter().filter_map(|at| columns.get(*at)).map(|c| c.name.clone()).collect();
    let rows_of =
        |at: usize| shown.iter_mut().map(|c| c.get_mut(at).map_or(Value::Null, Value::take)).collect();
    let first: Vec<Vec<Value>> = (0..count).map(rows_of).collect();
    truncate(&mut columns, &mut notes);
    Ok(Table {
        format: Format::Parquet,
        columns,
        shown: names,
        rows: first,
        row_count: u64::try_from(rows).ok(),
        row_count_estimate: None,
        total_size: reader.size,
        bytes_read: reader.bytes_read(),
        notes,
        etag: reader.etag.clone(),
    })
}

/// Why a column is not shown, if that can be said beside the others.
fn unread(reader: &Ranged, error: ParquetError, name: &str) -> Result<String, StoreError> {
    match reader.wrong() {
        Some(StoreError::TooLarge { max, .. }) => {
            return Ok(format!("column {name:?} is not shown: more than {max} bytes would have to be read"));
        }
        Some(wrong) => return Err(wrong),
        None => {}
    }
    if let ParquetError::External(cause) = &error
        && let Some(Skipped(why)) = cause.downcast_ref()
    {
        return Ok(format!("column {name:?} is not shown: {why}"));
    }
    Err(bad(Format::Parquet, format!("column {name:?} is damaged")))
}

/// Reads the footer.
fn metadata(reader: &Ranged) -> Result<ParquetMetaData, StoreError> {
    let none = || bad(Format::Parquet, "it is none");
    if reader.size < TAIL + MAGIC.len() as u64 {
        return Err(none());
    }
    // Most footers are short enough to come along.
    let guess = (64 << 10).min(reader.size);
    let tail = reader.bytes(reader.size - guess, guess, reader.size)?;
    let (length, magic) = tail.last_chunk::<8>().map(|tail| tail.split_at(4)).ok_or_else(none)?;
    if magic == b"PARE" {
        return Err(bad(Format::Parquet, "it is encrypted"));
    }
    let length = u64::from(u32::from_le_bytes(length.try_into().map_err(|_| none())?));
    if magic != MAGIC || length > reader.size - TAIL {
        return Err(none());
    }
    if length > FOOTER_BYTES_MAX {
        return Err(StoreError::TooLarge { what: "the footer of a Parquet file", max: FOOTER_BYTES_MAX });
    }
    let footer = reader.bytes(reader.size - TAIL - length, length, reader.size)?;
    super::thrift::check_footer(&footer).map_err(|why| bad(Format::Parquet, why))?;
    ParquetMetaDataReader::decode_metadata(&footer)
        .map_err(|_| bad(Format::Parquet, "its footer can't be read"))
}

/// The first values of a column.
fn values(
    reader: &Arc<Ranged>,
    group: &RowGroupMetaData,
    at: usize,
    rows: usize,
) -> Result<Vec<Value>, ParquetError> {
    let chunk =
        group.columns().get(at).ok_or_else(|| ParquetError::General("a column is missing".to_owned()))?;
    let column = chunk.column_descr_ptr();
    let gzip = match chunk.compression() {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) | Compression::LZ4_RAW => {
            false
        }
        Compression::GZIP(_) => true,
        _ => return Err(ParquetError::External(Box::new(Skipped("its compression is not read here")))),
    };
    if column.physical_type() == Physical::FIXED_LEN_BYTE_ARRAY && column.type_length() <= 0 {
        return Err(ParquetError::General("values without a length".to_owned()));
    }
    let sound = chunk.data_page_offset() >= 0
        && chunk.compressed_size() >= 0
        && chunk.dictionary_page_offset().is_none_or(|offset| offset >= 0);
    if !sound {
        return Err(ParquetError::General("a column is nowhere".to_owned()));
    }
    let (start, length) = chunk.byte_range();
    let end = start.saturating_add(length).min(reader.size);
    reader.column(Guard { end, gzip, repeated: column.max_rep_level() > 0, ..Guard::default() });
    let (total, schema) = (usize::try_from(group.num_rows())?, group.schema_descr_ptr());
    let schema = schema.root_schema();
    let properties = Arc::new(ReaderProperties::builder().build());
    let pages =
        SerializedPageReader::new_with_properties(Arc::clone(reader), chunk, total, None, properties)?;
    let pages: Box<dyn PageReader> = Box::new(pages);
    match get_column_reader(Arc::clone(&column), pages) {
        ColumnReader::BoolColumnReader(r) => first(r, &column, rows, schema, |_, value| Value::Bool(*value)),
        ColumnReader::Int32ColumnReader(r) => {
            first(r, &column, rows, schema, |c, value| integer(c, i64::from(*value)))
        }
        ColumnReader::Int64ColumnReader(r) => first(r, &column, rows, schema, |c, value| integer(c, *value)),
        ColumnReader::Int96ColumnReader(r) => first(r, &column, rows, schema, |_, value: &Int96| {
            instant(value.to_millis().checked_mul(1_000_000).map(i128::from))
        }),
        ColumnReader::FloatColumnReader(r) => {
            first(r, &column, rows, schema, |_, value| float(f64::from(*value)))
        }
        ColumnReader::DoubleColumnReader(r) => first(r, &column, rows, schema, |_, value| float(*value)),
        ColumnReader::ByteArrayColumnReader(r) => {
            first(r, &column, rows, schema, |c, value: &ByteArray| bytes(c, value.data()))
        }
        ColumnReader::FixedLenByteArrayColumnReader(r) => {
            first(r, &column, rows, schema, |c, value: &FixedLenByteArray| bytes(c, value.data()))
        }
    }
}

/// Reads the first rows of a column and puts them together: a value for each, or a list where there may be many.
fn first<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    column: &ColumnDescPtr,
    rows: usize,
    schema: &Type,
    told: impl Fn(&ColumnDescPtr, &T::T) -> Value,
) -> Result<Vec<Value>, ParquetError> {
    let (mut definitions, mut repetitions, mut found) = (Vec::new(), Vec::new(), Vec::new());
    reader.read_records(rows, Some(&mut definitions), Some(&mut repetitions), &mut found)?;
    let mut left = found.iter().map(|value| told(column, value));
    let most = column.max_def_level();
    if column.max_rep_level() == 0 {
        let values: Vec<_> = match most {
            0 => left.collect(),
            _ => definitions.iter().map(|level| some(*level == most, &mut left)).collect(),
        };
        return Ok(values);
    }
    let exists = list_level(schema, column);
    let mut all: Vec<Option<Vec<Value>>> = Vec::new();
    for (definition, repetition) in definitions.iter().zip(&repetitions) {
        if *repetition == 0 {
            all.push((*definition >= exists - 1).then(Vec::new)); // An empty list, or none.
        }
        if *definition >= exists
            && let Some(Some(items)) = all.last_mut()
        {
            items.push(some(*definition == most, &mut left));
        }
    }
    Ok(all.into_iter().map(|items| items.map_or(Value::Null, list)).collect())
}

fn some(is_there: bool, values: &mut impl Iterator<Item = Value>) -> Value {
    if is_there { values.next().unwrap_or_default() } else { Value::Null }
}

/// The definition level from which on the outermost list of a column has an item.
fn list_level(schema: &Type, column: &ColumnDescPtr) -> i16 {
    let (mut level, mut node) = (0, Some(schema));
    for part in column.path().parts() {
        let child =
            node.filter(|n| n.is_group()).and_then(|n| n.get_fields().iter().find(|f| f.name() == part));
        match child.map(|child| child.get_basic_info().repetition()) {
            Some(Repetition::REPEATED) => return level + 1,
            Some(Repetition::OPTIONAL) => level += 1,
            _ => {}
        }
        node = child.map(AsRef::as_ref);
    }
    level
}

fn column(column: &ColumnDescPtr) -> Column {
    let kind = match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::String), _) | (None, ConvertedType::UTF8) => "text".to_owned(),
        (Some(LogicalType::Json), _) | (None, ConvertedType::JSON) => "text (JSON)".to_owned(),
        (Some(LogicalType::Enum), _) | (None, ConvertedType::ENUM) => "text (enum)".to_owned(),
        (Some(LogicalType::Uuid), _) => "uuid".to_owned(),
        (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) => "date".to_owned(),
        (Some(LogicalType::Float16), _) => "float16".to_owned(),
        (Some(LogicalType::Timestamp(_)), _)
        | (None, ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS) => "timestamp".to_owned(),
        (Some(LogicalType::Time(_)), _) | (None, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS) => {
            "time".to_owned()
        }
        _ if is_decimal(column) => format!("decimal({}, {})", column.type_precision(), column.type_scale()),
        _ => physical(column).to_owned(),
    };
    let kind = if column.max_rep_level() > 0 { format!("list of {kind}") } else { kind };
    let name = short(&column.path().string());
    Column { name, kind, nullable: Some(column.max_def_level() > 0) }
}

fn physical(column: &ColumnDescPtr) -> &'static str {
    match column.physical_type() {
        Physical::BOOLEAN => "boolean",
        Physical::INT32 => "int32",
        Physical::INT64 => "int64",
        Physical::INT96 => "timestamp",
        Physical::FLOAT => "float32",
        Physical::DOUBLE => "float64",
        Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => "bytes",
    }
}

fn is_decimal(column: &ColumnDescPtr) -> bool {
    matches!(column.logical_type_ref(), Some(LogicalType::Decimal(_)))
        || column.converted_type() == ConvertedType::DECIMAL
}

/// Names are whoever's who wrote the file.
fn short(name: &str) -> String {
    match cell(name) {
        Value::String(text) => text,
        _ => String::new(),
    }
}

fn integer(column: &ColumnDescPtr, value: i64) -> Value {
    if is_decimal(column) {
        return decimal(i128::from(value), column.type_scale());
    }
    let unsigned = matches!(
        column.converted_type(),
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64
    );
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Timestamp(stamp)), _) => {
            let nanoseconds = match stamp.unit {
                TimeUnit::MILLIS => 1_000_000,
                TimeUnit::MICROS => 1_000,
                TimeUnit::NANOS => 1,
            };
            instant(Some(i128::from(value) * nanoseconds))
        }
        (None, ConvertedType::TIMESTAMP_MILLIS) => instant(Some(i128::from(value) * 1_000_000)),
        (None, ConvertedType::TIMESTAMP_MICROS) => instant(Some(i128::from(value) * 1_000)),
        (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) => {
            let day = OffsetDateTime::UNIX_EPOCH.date().checked_add(Duration::days(value));
            day.map_or_else(|| Value::from(value), |day: Date| Value::from(day.to_string()))
        }
        _ if unsigned && column.physical_type() == Physical::INT32 => {
            Value::from(i32::try_from(value).unwrap_or_default().cast_unsigned())
        }
        _ if unsigned => Value::from(value.cast_unsigned()),
        _ => Value::from(value),
    }
}

/// JSON has no numbers for the others.
fn float(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| Value::from(value.to_string()), Value::Number)
}

fn instant(nanoseconds: Option<i128>) -> Value {
    let told = nanoseconds
        .and_then(|n| OffsetDateTime::from_unix_timestamp_nanos(n).ok())
        .and_then(|at| at.format(&Rfc3339).ok());
    told.map_or(Value::Null, Value::from)
}

/// A decimal as text, since a number of JSON may be read as a float.
fn decimal(unscaled: i128, scale: i32) -> Value {
    let Some(scale) = usize::try_from(scale).ok().filter(|scale| (1..=76).contains(scale)) else {
        return Value::from(unscaled.to_string());
    };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    Value::from(format!("{}{whole}.{part}", if unscaled < 0 { "-" } else { "" }))
}

fn bytes(column: &ColumnDescPtr, value: &[u8]) -> Value {
    let logical = column.logical_type_ref();
    if is_decimal(column) {
        return match signed(value) {
            Some(unscaled) => decimal(unscaled, column.type_scale()),
            None => base64(value),
        };
    }
    if logical == Some(&LogicalType::Uuid) && value.len() == 16 {
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        let cut =
            [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default().to_owned());
        return Value::from(cut.join("-"));
    }
    let is_text = matches!(logical, Some(LogicalType::String | LogicalType::Json | LogicalType::Enum))
        || matches!(column.converted_type(), ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM);
    // Only as much as a cell tells is looked at; four bytes a character at most.
    let beginning = value.get(..value.len().min(4 * super::CELL_CHARACTERS_MAX + 4)).unwrap_or_default();
    match crate::text::utf8(beginning, beginning.len() < value.len()) {
        Some(text) if is_text => cell(text),
        _ => base64(value),
    }
}

fn base64(value: &[u8]) -> Value {
    cell(&STANDARD.encode(value.get(..value.len().min(super::CELL_CHARACTERS_MAX)).unwrap_or_default()))
}

/// A big-endian number of two's complement.
fn signed(value: &[u8]) -> Option<i128> {
    let (first, mut all) = (*value.first()?, [0; 16]);
    all.fill(if first & 0x80 == 0 { 0 } else { 0xff });
    let begin = all.len().checked_sub(value.len())?;
    all.get_mut(begin..)?.copy_from_slice(value);
    Some(i128::from_be_bytes(all))
}
