//! A JSON object a line (`jsonl`, `ndjson`).

use super::{Column, Rows, Wanted, bad, cell};
use crate::error::StoreError;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};

/// Different members of objects; a file that has more is no table.
const MEMBERS_MAX: usize = 10_000;

/// Reads a table; of a text that goes on, all but the last line, which its end may cut.
pub(super) fn table(text: &str, more: bool, wanted: &Wanted) -> Result<Rows, StoreError> {
    let mut found = Rows { length: text.len(), whole: !more, ..Rows::default() };
    let (mut order, mut at): (Vec<String>, HashMap<String, usize>) = Default::default();
    let (mut kinds, mut seen): (Vec<BTreeSet<&'static str>>, Vec<u64>) = Default::default();
    let mut first: Vec<Map<String, Value>> = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if more && !line.ends_with('\n') {
            break;
        }
        found.consumed += line.len();
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let row: Map<String, Value> = serde_json::from_str(line)
            .map_err(|_| bad(wanted.format, format!("line {} is no JSON object", number + 1)))?;
        found.count += 1;
        for (name, value) in &row {
            let index = match at.get(name) {
                Some(index) => *index,
                None if order.len() == MEMBERS_MAX => {
                    return Err(bad(
                        wanted.format,
                        format!("its objects have more than {MEMBERS_MAX} different members"),
                    ));
                }
                None => {
                    at.insert(name.clone(), order.len());
                    order.push(name.clone());
                    kinds.push(BTreeSet::new());
                    seen.push(0);
                    order.len() - 1
                }
            };
            if let (Some(kinds), Some(seen)) = (kinds.get_mut(index), seen.get_mut(index)) {
                kinds.insert(kind(value));
                *seen += 1;
            }
        }
        if first.len() < wanted.rows {
            first.push(row);
        }
    }
    if found.count == 0 {
        return Err(bad(wanted.format, if more { "its first line doesn't end" } else { "there is no row" }));
    }
    let rows =
        first.iter().map(|row| order.iter().map(|name| row.get(name).map_or(Value::Null, short)).collect());
    found.rows = rows.collect();
    let columns = order.into_iter().zip(kinds).zip(seen).map(|((name, mut kinds), seen)| {
        let nullable = kinds.remove("null") || seen < found.count;
        let kind = kinds.into_iter().collect::<Vec<_>>().join(" or ");
        Column {
            name,
            kind: if kind.is_empty() { "null".to_owned() } else { kind },
            nullable: Some(nullable),
        }
    });
    found.columns = columns.collect();
    Ok(found)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// A value as a cell: a long one as the beginning of its text.
fn short(value: &Value) -> Value {
    match value {
        Value::String(text) => cell(text),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if text.len() <= super::CELL_CHARACTERS_MAX { value.clone() } else { cell(&text) }
        }
        plain => plain.clone(),
    }
}
