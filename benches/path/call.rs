//! The calls that loads are made of: `tools/call` of exactly 1 KiB, no two alike.

use serde::{Deserialize, Serialize};

/// Bytes of a request's body.
pub(crate) const BODY_BYTES: usize = 1024;
/// The end of the upstream's answer: a call that was refused, or got another's answer, does not end so.
pub(crate) const ANSWER_END: &str = r#""result":{"resultType":"complete","content":[{"type":"text","text":"an answer of the length that most answers of tools have, which is not much more than a line of text"}],"structuredContent":{"done":true}}}"#;
/// Where the id's ten digits begin in a body, and in an answer.
const ID_AT: usize = r#"{"jsonrpc":"2.0","id":"#.len();
/// The first id: all of them have ten digits.
const FIRST_ID: u64 = 1_000_000_000;

/// What is called, and how its arguments differ from call to call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Tool {
    /// `post_entry`, each with another amount. Its policy does not look.
    PostEntry,
    /// `get_object` of so many objects in turn. The starter policy judges the key.
    GetObject { keys: u64 },
    /// `spin`, whose policy does not come to an end.
    Spin,
}

impl Tool {
    /// For the header that names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PostEntry => "post_entry",
            Self::GetObject { .. } => "get_object",
            Self::Spin => "spin",
        }
    }

    /// The body of the `n`th call.
    pub(crate) fn body(self, n: u64) -> String {
        let id = FIRST_ID + n;
        let arguments = match self {
            Self::PostEntry => format!(r#""account":"travel","amount_cents":{:09}"#, 100_000_000 + n),
            Self::GetObject { keys } => {
                format!(r#""bucket":"demo","key":"public/reports/{:09}.txt""#, n % keys)
            }
            Self::Spin => r#""forever":true"#.to_owned(),
        };
        let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
        let mut body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{}","_meta":{meta},"arguments":{{{arguments},"note":""#,
            self.name()
        );
        let end = r#""}}}"#;
        while body.len() + end.len() < BODY_BYTES {
            let left = BODY_BYTES - body.len() - end.len();
            body.push_str(&"a line of text as an agent would write it, "[..left.min(43)]);
        }
        body + end
    }
}

/// What the upstream says to a body: its id, and always the same.
pub(crate) fn answer(body: &[u8]) -> String {
    let id = body.get(ID_AT..ID_AT + 10).unwrap_or(b"null");
    format!(r#"{{"jsonrpc":"2.0","id":{},{ANSWER_END}"#, String::from_utf8_lossy(id))
}
