//! What agents are asked and what they answer: `SendMessage` of exactly 2 KiB, and the events of `SendStreamingMessage`.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a request's body.
pub(crate) const BODY_BYTES: usize = 2048;
/// Where the agent is, at the gateway and behind it.
pub(crate) const PATH: &str = "/a2a/trainer";
/// Behind that, over HTTP+JSON.
pub(crate) const SEND: &str = "/message:send";

/// A message to the agent, and what comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// JSON-RPC; a task that is done already.
    Task,
    /// HTTP+JSON; the same.
    TaskOverRest,
    /// JSON-RPC; a message, and no task.
    Word,
    /// JSON-RPC; the events of a task.
    Stream,
}

const MESSAGE_ID: &str = r#""messageId":""#;
const ID: &str = r#"{"jsonrpc":"2.0","id":"#;
/// The ends of answers: of a task, and of a message.
const TASK_END: &str = r#""status":{"state":"TASK_STATE_COMPLETED","timestamp":"2026-11-22T10:00:00.000Z"},"artifacts":[{"artifactId":"report","parts":[{"text":"an answer of the length that most answers of agents have at the least, which is a few lines of text. The model was trained on the data that was named, with the parameters that were asked for, and what came of it was written to the place where such things are written."}]}]}}"#;
const WORD_END: &str = r#""role":"ROLE_AGENT","parts":[{"text":"an answer of the length that most answers of agents have at the least, which is a few lines of text. The model was trained on the data that was named, with the parameters that were asked for, and what came of it was written to the place where such things are written."}]}}"#;

impl Message {
    /// Where it is posted.
    pub(crate) fn path(self) -> String {
        if self == Self::TaskOverRest { format!("{PATH}{SEND}") } else { PATH.into() }
    }

    /// The body of the `n`th.
    pub(crate) fn body(self, n: u64) -> String {
        let n = 1_000_000_000 + n;
        let (open, kind, close) = match self {
            Self::Task => (format!(r#"{ID}{n},"method":"SendMessage","params":{{"#), "task", "}"),
            Self::TaskOverRest => ("{".to_owned(), "task", ""),
            Self::Word => (format!(r#"{ID}{n},"method":"SendMessage","params":{{"#), "word", "}"),
            Self::Stream => {
                (format!(r#"{ID}{n},"method":"SendStreamingMessage","params":{{"#), "stream", "}")
            }
        };
        let mut body =
            format!(r#"{open}"message":{{{MESSAGE_ID}{kind}-{n}","role":"ROLE_USER","parts":[{{"text":""#);
        let end = format!(r#""}}]}}}}{close}"#);
        while body.len() + end.len() < BODY_BYTES {
            let left = BODY_BYTES - body.len() - end.len();
            body.push_str(&"a line of text as an agent would write it, "[..left.min(43)]);
        }
        body + &end
    }

    /// Whether that answers the `n`th.
    pub(crate) fn is_answered_by(self, n: u64, answer: &[u8]) -> bool {
        let id = format!("{ID}{},", 1_000_000_000 + n);
        let (starts, end) = match self {
            Self::Task => (answer.starts_with(id.as_bytes()), [TASK_END, "}"].concat()),
            Self::TaskOverRest => (true, TASK_END.to_owned()),
            Self::Word | Self::Stream => (answer.starts_with(id.as_bytes()), [WORD_END, "}"].concat()),
        };
        starts && answer.ends_with(end.as_bytes())
    }
}

/// What the agent makes of a body.
pub(crate) enum Said {
    /// All of its answer.
    Whole(String),
    /// It goes on with events, each begun like this.
    Events { first: String, each: String },
}

/// Every task and context is a new one, as long as the agent runs; their ids are in no order, as those of agents are.
static MADE: AtomicU64 = AtomicU64::new(0);

/// The agent's answer to a body.
pub(crate) fn answer(body: &[u8]) -> Said {
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let id = |salt: u64| format!("{:016x}-{made:08x}", mixed(made ^ salt));
    let (task, context) = (id(0), id(u64::MAX));
    let (open, close) = match body.strip_prefix(ID.as_bytes()) {
        Some(rest) => {
            let number = String::from_utf8_lossy(rest.get(..10).unwrap_or(b"null")).into_owned();
            (format!(r#"{ID}{number},"result":"#), "}")
        }
        None => (String::new(), ""),
    };
    let kind = body.windows(MESSAGE_ID.len()).position(|window| window == MESSAGE_ID.as_bytes());
    match kind.and_then(|at| body.get(at + MESSAGE_ID.len())) {
        Some(b'w') => Said::Whole(format!(
            r#"{open}{{"message":{{"messageId":"answer-{made}","contextId":"{context}",{WORD_END}{close}"#
        )),
        Some(b's') => Said::Events {
            first: format!(
                r#"{open}{{"task":{{"id":"{task}","contextId":"{context}","status":{{"state":"TASK_STATE_WORKING"}}}}}}{close}"#
            ),
            each: format!(
                r#"{open}{{"artifactUpdate":{{"taskId":"{task}","contextId":"{context}","append":true,"artifact":{{"artifactId":"report","parts":[{{"text":""#
            ),
        },
        _ => Said::Whole(format!(
            r#"{open}{{"task":{{"id":"{task}","contextId":"{context}",{TASK_END}{close}"#
        )),
    }
}

/// What stands in an event before its number and the time at which it was sent, and in no event else.
pub(crate) const MARK: u8 = b'#';
/// Digits of both.
pub(crate) const DIGITS: usize = 20;

/// The `n`th event behind the first one, sent at this time (nanoseconds).
pub(crate) fn event(each: &str, n: u64, sent: u64) -> String {
    let mark = char::from(MARK);
    format!(
        "data: {each}{mark}{n:020}{sent:020} and the next few words of what the agent has to say\"}}]}}}}}}}}\n\n"
    )
}

/// A bijection that leaves no order (SplitMix64's).
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
