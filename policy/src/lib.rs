//! The policy decision point: a question and the time in, a [`Permit`] or a [`Denial`] out.
//!
//! No sockets, no files, no async, and the time is an input. Policies are Rego v1, run by an interpreter under a
//! budget of milliseconds; whatever keeps a question from being decided is a denial. Only here is a [`Permit`] made.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod input;
mod question;
mod reason;
mod reads;
mod bundle;
mod engine;
mod obligations;
mod answer;
mod fingerprint;
mod cache;
mod set;
mod decide;
pub mod tester;

pub use answer::{Decision, Denial, Permit};
pub use bundle::{Problem, SourceFile};
pub use engine::EvalError;
pub use input::{
    A2aCallInput, Annotations, CallInput, CallerInput, CardInput, ConfigurationInput, Input, ListInput,
    McpCallInput, MessageInput, Moment, OwnerInput, PartInput, PromptInput, PushInput, RequestInput,
    ResourceInput, SkillInput, SubjectInput, TaskInput, ToolInput, input_schema,
};
pub use obligations::{AuditDetail, TaskOwners};
pub use question::{Budget, Entry, Question};
pub use reason::Reason;
pub use set::{Asked, Case, ListingCase, OutOfTime, PackageReads, PolicySet};
