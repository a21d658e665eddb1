//! What policy says to a question: a [`Permit`] under conditions, or a [`Denial`] with its reason.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::Reason;
use crate::obligations::{AuditDetail, Obligations, TaskOwners};

/// What policy says to a question.
#[derive(Debug)]
pub enum Decision {
    /// The call may go on, under conditions.
    Permit(Permit),
    /// It may not.
    Denial(Denial),
}

/// Leave for one call to go on. Only a [`PolicySet`](crate::PolicySet) makes one.
///
/// It can be neither made, copied nor changed elsewhere:
///
/// ```compile_fail,E0451
/// fn widened(permit: policy::Permit) -> policy::Permit {
///     policy::Permit { expires_at: std::time::SystemTime::now(), ..permit }
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    pub(crate) package: Arc<str>,
    pub(crate) revision: Arc<str>,
    pub(crate) expires_at: SystemTime,
    pub(crate) obligations: Arc<Obligations>,
}

impl Permit {
    /// The package that permitted, as Rego spells it: `tools.s3.get_object`.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// The revision of the policy set that permitted.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The scopes to ask of the token service: sorted, none twice, not empty. None: the policy leaves it open.
    pub fn scopes(&self) -> Option<&[String]> {
        self.obligations.scopes.as_deref()
    }

    /// Whom the credential must be for, among the audiences configured for the upstream. None: its only one.
    pub fn audience(&self) -> Option<&str> {
        self.obligations.audience.as_deref()
    }

    /// The scopes that the call needs and the subject has, by the policy's `needs_scopes`: sorted, each once.
    pub fn needs_scopes(&self) -> &[String] {
        &self.obligations.needs_scopes
    }

    /// When the permit ends, and whatever still runs under it.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// How much of the call the audit keeps.
    pub fn audit(&self) -> AuditDetail {
        self.obligations.audit
    }

    /// To whom the tasks are there that the call is about.
    pub fn tasks(&self) -> TaskOwners {
        self.obligations.tasks
    }
}

/// Why a call may not go on. Only its reason and the scopes may leave the gateway.
#[derive(Clone, Debug, thiserror::Error)]
#[error("denied by policy: {reason}")]
pub struct Denial {
    pub(crate) reason: Reason,
    pub(crate) package: Option<Arc<str>>,
    pub(crate) revision: Arc<str>,
    pub(crate) detail: Arc<str>,
    pub(crate) needs_scopes: Arc<[String]>,
    /// Policy has decided: it would say the same of the same input. Else it has failed to.
    pub(crate) decided: bool,
}

impl Denial {
    /// The stable code.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The scopes that the call needs, those included that the subject has, if with them it would be permitted: sorted, each
    /// once, printable ASCII without `"`. Empty unless the reason is [`Reason::INSUFFICIENT_SCOPE`] and lack of one the cause.
    pub fn needs_scopes(&self) -> &[String] {
        &self.needs_scopes
    }

    /// The same denial of a call that needs these scopes, for all that it touches.
    #[must_use]
    pub fn needing(self, scopes: BTreeSet<String>) -> Self {
        Self { needs_scopes: scopes.into_iter().collect(), ..self }
    }

    /// The package that answered, if there was one.
    pub fn package(&self) -> Option<&str> {
        self.package.as_deref()
    }

    /// The revision of the policy set that denied.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// What happened, in words; for the audit only, it may name rules and values.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}
