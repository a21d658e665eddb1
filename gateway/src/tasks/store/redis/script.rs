//! The scripts, what they are told and what they answer. What isn't an answer of theirs to the letter is none.

use super::super::{Claim, Owner, StoreError, Task};
use crate::redis::RedisFailure;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};

/// Which script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Mark,
    Known,
    Saw,
    ClaimContext,
    Page,
    Gone,
}

/// The scripts in the order of their names.
const TEXTS: [&str; 6] = [
    include_str!("mark.lua"),
    concat!(include_str!("begin.lua"), include_str!("known.lua")),
    concat!(include_str!("begin.lua"), include_str!("saw.lua")),
    concat!(include_str!("begin.lua"), include_str!("claim_context.lua")),
    concat!(include_str!("begin.lua"), include_str!("page.lua")),
    concat!(include_str!("begin.lua"), include_str!("gone.lua")),
];

/// By what names the server knows them: their digests, as it has computed them.
pub(super) struct Scripts([String; 6]);

impl Scripts {
    /// Brings them there.
    pub(super) async fn load(connection: &mut MultiplexedConnection) -> Result<Self, RedisFailure> {
        let mut all = Pipeline::new();
        for text in TEXTS {
            all.cmd("SCRIPT").arg("LOAD").arg(text);
        }
        Ok(Self(all.query_async(connection).await?))
    }

    pub(super) fn hash(&self, name: Name) -> &str {
        let [mark, known, saw, claim_context, page, gone] = &self.0;
        match name {
            Name::Mark => mark,
            Name::Known => known,
            Name::Saw => saw,
            Name::ClaimContext => claim_context,
            Name::Page => page,
            Name::Gone => gone,
        }
    }
}

/// A mark that no other store has.
pub(super) fn fresh_mark() -> Result<String, RedisFailure> {
    let mut bytes = [0_u8; 16];
    let no_randomness = |_| RedisFailure::Connect(std::io::Error::other("no random bytes are to be had"));
    aws_lc_rs::rand::fill(&mut bytes).map_err(no_randomness)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A text that may be missing, as the scripts read it.
pub(super) fn maybe(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| format!("={text}"))
}

/// Where a time stands in lists: the later, the smaller; 20 digits.
pub(super) fn place(since_ms: i64) -> String {
    const WIDTH: usize = 20;
    let later = u64::MAX - since_ms.cast_unsigned().wrapping_add(1 << 63);
    format!("{later:0WIDTH$}")
}

fn since_ms(place: &str) -> Option<i64> {
    let later: u64 = place.parse().ok()?;
    Some((u64::MAX - later).wrapping_sub(1 << 63).cast_signed())
}

/// An owner as one text; what is missing is not what is empty.
pub(super) fn encoded(owner: &Owner) -> String {
    serde_json::json!([owner.iss, owner.sub, owner.spiffe_id]).to_string()
}

/// The owner that a text names.
pub(super) fn owner_of(value: Value) -> Result<Owner, StoreError> {
    let text = text(value)?;
    let (iss, sub, spiffe_id) = serde_json::from_str(&text).map_err(|_| StoreError::Nonsense)?;
    Ok(Owner { iss, sub, spiffe_id })
}

/// A task, as `row` of the scripts gives it.
pub(super) fn row(value: Value) -> Result<Task, StoreError> {
    let [id, owner, context, state, place] = parts(value)?;
    Ok(Task {
        id: text(id)?,
        owner: owner_of(owner)?,
        context: maybe_text(context)?,
        state: maybe_text(state)?,
        since_ms: since_ms(&text(place)?).ok_or(StoreError::Nonsense)?,
    })
}

/// What became of a claim.
pub(super) fn claim(value: Value) -> Result<Claim, StoreError> {
    match text(value)?.as_str() {
        "owned" => Ok(Claim::Owned),
        "foreign" => Ok(Claim::Foreign),
        "too_many_tasks" => Ok(Claim::TooManyTasks),
        "too_many_contexts" => Ok(Claim::TooManyContexts),
        _ => Err(StoreError::Nonsense),
    }
}

/// An answer of so many parts.
pub(super) fn parts<const N: usize>(value: Value) -> Result<[Value; N], StoreError> {
    parts_of(value)?.try_into().map_err(|_| StoreError::Nonsense)
}

/// An answer of parts.
pub(super) fn parts_of(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(parts) => Ok(parts),
        _ => Err(StoreError::Nonsense),
    }
}

/// A text.
pub(super) fn text(value: Value) -> Result<String, StoreError> {
    maybe_text(value)?.ok_or(StoreError::Nonsense)
}

fn maybe_text(value: Value) -> Result<Option<String>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| StoreError::Nonsense),
        _ => Err(StoreError::Nonsense),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::*;

    #[test]
    fn a_place_is_smaller_the_later_it_is_and_reads_the_same() {
        let times = [i64::MIN, -62_167_219_200_000, -1, 0, 1, 1_763_683_200_000, i64::MAX];
        for (earlier, later) in times.iter().zip(times.iter().skip(1)) {
            assert!(place(*later) < place(*earlier), "{earlier} {later}");
        }
        for time in times {
            assert_eq!((since_ms(&place(time)), place(time).len()), (Some(time), 20));
        }
    }

    #[test]
    fn owners_are_told_apart_to_the_letter() {
        let owner = |iss: Option<&str>, sub: Option<&str>, id: &str| Owner {
            iss: iss.map(str::to_owned),
            sub: sub.map(str::to_owned),
            spiffe_id: id.to_owned(),
        };
        let all = [
            owner(None, None, "s"),
            owner(Some(""), None, "s"),
            owner(None, Some(""), "s"),
            owner(Some(""), Some(""), "s"),
            owner(Some("null"), None, "s"),
            owner(Some("i"), Some("a\",\"b"), "s"),
            owner(Some("i\",\"a"), Some("b"), "s"),
            owner(Some("i"), Some("a\0"), "s"),
            owner(Some("i"), Some("é"), "s"),
            owner(Some("i"), Some("e\u{301}"), "s"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(owner_of(Value::BulkString(encoded(one).into_bytes())).unwrap(), *one);
            assert!(all.iter().skip(at + 1).all(|other| encoded(other) != encoded(one)), "{one:?}");
        }
    }

    #[test]
    fn what_no_script_says_is_no_answer() {
        let said = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let task = |owner: Value, place: Value| {
            row(Value::Array(vec![said("t"), owner, Value::Nil, Value::Nil, place]))
        };
        assert!(task(said("[null,null,\"s\"]"), said("00000000000000000000")).is_ok());
        for (owner, place) in [
            (Value::Nil, said("0")),
            (said("[null,\"s\"]"), said("0")),
            (said("[null,null,\"s\"]"), Value::Nil),
            (said("[null,null,\"s\"]"), Value::Int(0)),
            (said("[null,null,\"s\"]"), said("x")),
            (Value::BulkString(vec![0xFF]), said("0")),
        ] {
            assert!(matches!(task(owner, place), Err(StoreError::Nonsense)));
        }
        for answer in [said("Owned"), Value::Okay, Value::Int(1), Value::Nil, Value::Array(Vec::new())] {
            assert!(matches!(claim(answer), Err(StoreError::Nonsense)));
        }
        assert!(parts::<2>(Value::Array(vec![Value::Nil])).is_err());
    }
}
