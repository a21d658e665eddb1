//! What can go wrong with a call to a backend, before and after its first token.

use crate::error::InferenceError;

/// One variant for each kind that is treated in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It has as many calls as it takes.
    Busy,
    /// It refused this server's credential.
    Forbidden,
    /// It does not have the model.
    NoModel,
    /// It understood, and won't: another backend would not either.
    Rejected(String),
    /// Its answer is longer than is read.
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// No token in time.
    Timeout,
    /// Anything else; the word is for the log.
    Broken(&'static str),
}

impl Failure {
    /// Whether another backend may do better.
    pub(crate) fn may_be_tried_elsewhere(&self) -> bool {
        match self {
            Self::Rejected(_) | Self::TooLarge { .. } => false,
            Self::Busy | Self::Forbidden | Self::NoModel | Self::Timeout | Self::Broken(_) => true,
        }
    }

    /// What speaks against the backend for a while; none where it is only busy, or right.
    pub(crate) fn against_it(&self) -> Option<&'static str> {
        match self {
            Self::Forbidden => Some("it refused this server's credential"),
            Self::NoModel => Some("it does not have the model"),
            Self::Timeout => Some("it did not answer in time"),
            Self::Broken(why) => Some(why),
            Self::Busy | Self::Rejected(_) | Self::TooLarge { .. } => None,
        }
    }

    /// As the end of a call.
    pub(crate) fn ends(self) -> InferenceError {
        match self {
            Self::Busy => InferenceError::Overloaded,
            Self::Forbidden => InferenceError::Forbidden,
            Self::NoModel => InferenceError::Unavailable("the backend does not have the model"),
            Self::Rejected(message) => InferenceError::Rejected(message),
            Self::TooLarge { max } => InferenceError::TooLarge { max },
            Self::Timeout => InferenceError::Timeout,
            Self::Broken(why) => InferenceError::Unavailable(why),
        }
    }

    /// Why an answer that had begun broke off.
    pub(crate) fn broke_off(&self) -> &'static str {
        match self {
            Self::Timeout => "the backend stopped writing",
            Self::TooLarge { .. } => "it is longer than allowed",
            _ => "the backend went away",
        }
    }
}
