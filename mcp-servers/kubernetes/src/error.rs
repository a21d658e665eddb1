//! Why there is no answer, in words that help whoever asked.

use crate::wire::WireError;
use kit::error::{BAD_CURSOR, FORBIDDEN, INVALID_ARGUMENTS, RESULT_TOO_LARGE, UNAVAILABLE};
use kit::{Code, ToolError};
use kube::core::Status;
use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, ErrorCode};

const NAMESPACE_NOT_ALLOWED: Code = Code::new("namespace_not_allowed");
const KIND_NOT_ALLOWED: Code = Code::new("kind_not_allowed");
const NOT_FOUND: Code = Code::new("not_found");
const CONFLICT: Code = Code::new("conflict");
const REJECTED: Code = Code::new("rejected");
const NO_REVISION: Code = Code::new("no_revision");
const TIMEOUT: Code = Code::new("timeout");

/// Characters of somebody else's message that are passed on.
const MESSAGE_CHARS_MAX: usize = 400;

/// One variant for each thing that a caller can do something about, and one for the rest.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// Arguments beyond what their schema says. Nothing was sent.
    #[error("{0}")]
    Arguments(String),
    /// A cursor that this server didn't give, or that the cluster doesn't know any more.
    #[error("the cursor is not one of ours, or too old")]
    Cursor,
    /// A namespace outside of the fence. Nothing was sent.
    #[error("this server does not reach the namespace {0}")]
    NamespaceNotAllowed(String),
    /// What is in no namespace, outside of the fence.
    #[error("this server reaches some namespaces, and nothing outside of them")]
    WholeCluster,
    /// A kind outside of the fence. Nothing was sent.
    #[error("this server does not do that with the kind {0}")]
    KindNotAllowed(String),
    /// No such object, or none that the caller may know of.
    #[error("there is no {0}")]
    NotFound(String),
    /// Somebody else changed it, or owns the field.
    #[error("the cluster refuses it as a conflict: {0}")]
    Conflict(String),
    /// The cluster understood, and won't.
    #[error("the cluster rejects it: {0}")]
    Rejected(String),
    /// There is no such state to go back to.
    #[error("{0}")]
    NoRevision(String),
    /// The caller has no right to that in the cluster.
    #[error("the cluster does not allow that")]
    Forbidden,
    /// There is no credential for the cluster.
    #[error("{0}")]
    Credential(ToolError),
    /// More bytes than are read.
    #[error("the answer of the cluster has more than {max} bytes")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// No answer in time.
    #[error("the cluster did not answer in time")]
    Timeout,
    /// Anything else that the cluster, or what stands before it, did; the word is for the log.
    #[error("the cluster did not answer as it should")]
    Unavailable(&'static str),
    /// Some of several objects are changed, and then one failed.
    #[error("{applied} of {total} objects are applied, and then: {cause}")]
    Partly {
        /// How many are as they were asked for.
        applied: usize,
        /// How many were asked for.
        total: usize,
        /// Why the next one isn't.
        cause: Box<KubernetesError>,
    },
}

impl KubernetesError {
    /// For whoever called. What only the operator should read goes to the log here.
    pub fn told(&self) -> ToolError {
        if let Self::Credential(error) = self {
            return error.clone();
        }
        if let Self::Unavailable(why) = self {
            tracing::warn!(why, "the cluster did not answer as it should");
        }
        let (code, fix) = self.advice();
        ToolError::new(code, self.to_string(), fix)
    }

    /// The code, and what whoever called can do.
    fn advice(&self) -> (Code, &'static str) {
        match self {
            Self::Arguments(_) => (INVALID_ARGUMENTS, "Give the arguments as the tool's description says"),
            Self::Cursor => (BAD_CURSOR, "Begin again without a cursor"),
            Self::NamespaceNotAllowed(_) | Self::WholeCluster => {
                (NAMESPACE_NOT_ALLOWED, "Name a namespace that this server was given")
            }
            Self::KindNotAllowed(_) => (KIND_NOT_ALLOWED, "Name a kind that this server was given for that"),
            Self::NotFound(_) => (NOT_FOUND, "See list for what there is"),
            Self::Conflict(_) => (CONFLICT, "Read it again with get, and decide anew"),
            Self::Rejected(_) => (REJECTED, "Change the call as the message says; explain tells of fields"),
            Self::NoRevision(_) => (NO_REVISION, "See list of ReplicaSet for the revisions there are"),
            Self::Forbidden => {
                (FORBIDDEN, "Ask can_i what is allowed, or whoever runs the cluster for the right")
            }
            Self::Credential(error) => (error.code(), "Ask whoever runs this server"),
            Self::TooLarge { .. } => (RESULT_TOO_LARGE, "Ask for less: a smaller limit, or a selector"),
            Self::Timeout => (TIMEOUT, "The same call may work later"),
            Self::Unavailable(_) => (UNAVAILABLE, "The same call may work later"),
            Self::Partly { cause, .. } => (cause.advice().0, "Mend that object, and apply all of them again"),
        }
    }

    /// For methods that know JSON-RPC errors alone.
    pub fn protocol(&self) -> ErrorData {
        let code = match self {
            Self::NotFound(_) | Self::NamespaceNotAllowed(_) | Self::KindNotAllowed(_) => {
                ErrorCode::RESOURCE_NOT_FOUND
            }
            Self::Arguments(_) | Self::Cursor => ErrorCode::INVALID_PARAMS,
            _ => ErrorCode::INTERNAL_ERROR,
        };
        self.told().protocol(code)
    }

    /// The same failure, told of this object; where its values are for nobody, without the cluster's words, which may
    /// quote them.
    pub(crate) fn of(self, object: &str, secret: bool) -> Self {
        match self {
            Self::NotFound(_) => Self::NotFound(object.to_owned()),
            Self::Conflict(_) if secret => Self::Conflict(format!("{object} (its message is withheld)")),
            Self::Rejected(_) if secret => Self::Rejected(format!("{object} (its message is withheld)")),
            other => other,
        }
    }

    /// What the cluster itself says of a failure.
    fn said(status: &Status) -> Self {
        let message = one_line(&status.message);
        match (status.code, status.reason.as_str()) {
            (401, _) => {
                tracing::warn!("the cluster does not accept the credential");
                Self::Forbidden
            }
            (403, _) => {
                tracing::info!(message, "the cluster does not allow a call");
                Self::Forbidden
            }
            (404, _) => Self::NotFound("such object".into()),
            (409, _) => Self::Conflict(message),
            (410, _) => Self::Cursor,
            (504, _) | (_, "Timeout" | "ServerTimeout") => Self::Timeout,
            (429, _) => Self::Unavailable("it has too much to do"),
            (400..500, _) => Self::Rejected(message),
            // A field that no schema has is an internal error to the API server, though it is the caller's.
            (500, _) if message.starts_with("failed to create typed patch object") => Self::Rejected(message),
            _ => Self::Unavailable("it says that it failed"),
        }
    }
}

impl From<kube::Error> for KubernetesError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Service(error) => match error.downcast::<WireError>() {
                Ok(error) => (*error).into(),
                Err(_) => Self::Unavailable("the client failed"),
            },
            kube::Error::Api(status) => Self::said(&status),
            kube::Error::BuildRequest(_) => Self::Unavailable("the request can't be built"),
            _ => Self::Unavailable("the answer is not that of a cluster"),
        }
    }
}

impl From<WireError> for KubernetesError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Said(status) => Self::said(&status),
            WireError::Forbidden => Self::Forbidden,
            WireError::Timeout => Self::Timeout,
            WireError::TooLarge { max } => Self::TooLarge { max },
            WireError::Failed(why) => Self::Unavailable(why),
        }
    }
}

impl From<kube::core::request::Error> for KubernetesError {
    fn from(_: kube::core::request::Error) -> Self {
        Self::Unavailable("the request can't be built")
    }
}

impl From<kit::cursor::BadCursor> for KubernetesError {
    fn from(_: kit::cursor::BadCursor) -> Self {
        Self::Cursor
    }
}

impl IntoCallToolResult for KubernetesError {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        self.told().into_call_tool_result()
    }
}

/// Somebody else's message as one line of bounded length.
pub(crate) fn one_line(message: &str) -> String {
    let visible: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shortened(&visible.split_whitespace().collect::<Vec<_>>().join(" "), MESSAGE_CHARS_MAX)
}

/// At most so many characters.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str) -> Status {
        Status::failure("Deployment.apps \"a\" is\n invalid", reason).with_code(code)
    }

    #[test]
    fn what_the_cluster_says_becomes_a_code() {
        for (code, reason, wanted) in [
            (400, "BadRequest", "rejected"),
            (401, "Unauthorized", "forbidden"),
            (403, "Forbidden", "forbidden"),
            (404, "NotFound", "not_found"),
            (405, "MethodNotAllowed", "rejected"),
            (409, "Conflict", "conflict"),
            (410, "Expired", "bad_cursor"),
            (422, "Invalid", "rejected"),
            (429, "TooManyRequests", "unavailable"),
            (500, "InternalError", "unavailable"),
            (500, "ServerTimeout", "timeout"),
            (504, "Timeout", "timeout"),
        ] {
            let told = KubernetesError::said(&status(code, reason)).told();
            assert_eq!(told.code().as_str(), wanted, "{code} {reason}");
        }
        let told = KubernetesError::said(&status(422, "Invalid")).told().to_string();
        assert_eq!(told, "the cluster rejects it: Deployment.apps \"a\" is invalid");
        let told = KubernetesError::said(&status(403, "Forbidden")).told().to_string();
        assert!(!told.contains("Deployment"), "who may do what is not told");
    }

    #[test]
    fn of_a_secret_no_words_are_passed_on() {
        let told = KubernetesError::said(&status(422, "Invalid")).of("Secret a", true).told().to_string();
        assert_eq!(told, "the cluster rejects it: Secret a (its message is withheld)");
    }
}
