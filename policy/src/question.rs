//! What is asked of a policy set: an entry point, the input document, and how long the answer may hold.

use std::time::{Duration, SystemTime};

use crate::Input;

/// Limits of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Wall time for all rules asked for one question together.
    pub evaluation: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { evaluation: Duration::from_millis(50) }
    }
}

/// Which package answers: the most specific one that exists. Without one the answer is a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// `tools.<server>["<tool>"]`, else `tools.<server>`.
    Tool {
        /// The server's name in the gateway's configuration.
        server: &'a str,
        /// The tool's name as that server has it.
        tool: &'a str,
    },
    /// `resources.<server>`.
    Resource {
        /// The server's name in the gateway's configuration.
        server: &'a str,
    },
    /// `prompts.<server>`.
    Prompt {
        /// The server's name in the gateway's configuration.
        server: &'a str,
    },
    /// `protocol.<server>`, else `protocol`: what opens, keeps and ends a session, and the lists themselves.
    Protocol {
        /// The server's name in the gateway's configuration.
        server: &'a str,
    },
    /// `agents.<agent>`: a call to an A2A agent.
    Agent {
        /// The agent's name in the gateway's configuration.
        agent: &'a str,
    },
}

impl<'a> Entry<'a> {
    /// The names that lead to the answering package, the most general first.
    pub(crate) fn path(&self) -> (&'static str, [Option<&'a str>; 2]) {
        match *self {
            Self::Tool { server, tool } => ("tools", [Some(server), Some(tool)]),
            Self::Resource { server } => ("resources", [Some(server), None]),
            Self::Prompt { server } => ("prompts", [Some(server), None]),
            Self::Protocol { server } => ("protocol", [Some(server), None]),
            Self::Agent { agent } => ("agents", [Some(agent), None]),
        }
    }
}

/// One question to a policy set. The gateway's document is an [`Input`]; tests may ask about any.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a, D = Input<'a>> {
    /// Which package answers.
    pub entry: Entry<'a>,
    /// The whole `input` document. Numbers must be ones that 64 bits hold exactly.
    pub input: &'a D,
    /// The time of the question; also what `time.now_ns()` says to the policy.
    pub now: SystemTime,
    /// Upper bound for the permit's life.
    pub permit_ttl_max: Duration,
    /// When what the question rests on ends: the earlier of token and SVID. No answer is kept longer.
    pub ends: SystemTime,
    /// Counts revocations: an answer given in another epoch is none.
    pub epoch: u64,
}
