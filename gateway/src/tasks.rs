//! Whose tasks and contexts are. To everyone but its owner a task does not exist: whoever names another's hears what
//! they would hear of one that never was. Ids pass unchanged; who made them is kept in the store.
//!
//! Between stages 4 and 5: what a call names is looked up. Behind stage 8: what an answer shows becomes its owner's.

mod follow;
pub mod list;
pub mod store;
pub mod watch;

pub use follow::follow;
pub use store::{Store, StoreError};
pub use watch::Watcher;

use crate::authorize::Question;
use crate::config::PerOwner;
use crate::config::agents::{Agent, Contexts, Tenants};
use crate::identity::Caller;
use crate::push::{Outbox, TargetError};
use crate::token::SubjectToken;
use policy::{Permit, TaskOwners};
use protocol::a2a::{Call, Method};
use store::{Claim, Names, Task};

/// Whom a task belongs to: who began it, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Who knows the subject by its name: who issued its token, or whose people that one hands on; none for a workload that
    /// acts for itself.
    pub iss: Option<String>,
    /// The subject.
    pub sub: Option<String>,
    /// The workload.
    pub spiffe_id: String,
}

/// What a call names, as far as it may be there for its caller.
#[derive(Debug)]
pub struct Named {
    /// Who calls.
    pub owner: Owner,
    /// The task that it is about.
    pub task: Option<Task>,
    /// Whose what the answer shows will be: the owner of what the call goes on with, else the caller.
    pub owner_of_answer: Owner,
    /// Of what it names, the first that another workload of the same person began: why that is not there, unless policy
    /// shares it.
    unshared: Option<TaskError>,
    /// A context that nobody has, and that becomes the caller's with the permit.
    claims: Option<String>,
    /// Why what it names is not there, or can't be said to be. Only who may call at all is told.
    missing: Option<TaskError>,
}

/// Why what a call names is not there.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TaskError {
    /// The agent never made it, as far as is known here.
    #[error("there is no such task")]
    Unknown,
    /// It belongs to another principal.
    #[error("the task is another principal's")]
    Owner,
    /// Another workload of the same person began it, and policy doesn't share it.
    #[error("the task is another workload's, and the policy does not share it")]
    NotShared,
    /// The same of a context.
    #[error("the context is another workload's, and the policy does not share it")]
    ContextNotShared,
    /// A context that the agent never made, or that is another's.
    #[error("the context is not the caller's")]
    Context,
    /// The caller has as many contexts as one may.
    #[error("the owner has {max} contexts, and tasks that the agent has forgotten")]
    TooManyContexts {
        /// The limit.
        max: usize,
    },
    /// Task and context are not of each other.
    #[error("the task is in another context")]
    Apart,
    /// It is about having events sent somewhere, and nobody may have this agent's.
    #[error("push notifications are off for this agent, or no target is allowed")]
    PushOff,
    /// It names a tenant, and the subject's token another one.
    #[error("the subject is of another tenant than the one that the call names")]
    Tenant,
    /// A push configuration that is not there, or another's.
    #[error("there is no such push configuration of the caller's")]
    NoConfig,
    /// It would have its events sent where they may not go.
    #[error("the events may not be sent there")]
    Target(#[from] TargetError),
    /// A page token that no page gave.
    #[error("the page token is none of ours")]
    PageToken,
    /// Fewer than one task on a page, or more than 100 (A2A 1.0 §3.1.4).
    #[error("a page has 1 to 100 tasks")]
    PageSize,
    /// A time that is none.
    #[error("statusTimestampAfter is no time")]
    Moment,
    /// Nobody can say whose it is.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Owner {
    /// The owner that a principal is.
    pub fn new(caller: &Caller, subject: Option<&SubjectToken>) -> Self {
        Self {
            iss: subject.map(|subject| subject.subject_of().to_owned()),
            sub: subject.map(|subject| subject.claims().sub.clone()),
            spiffe_id: caller.spiffe_id().to_owned(),
        }
    }

    /// Whether both act for the same person or service.
    fn same_subject(&self, other: &Self) -> bool {
        self.sub.is_some() && (&self.iss, &self.sub) == (&other.iss, &other.sub)
    }
}

/// Looks up what a call to an agent names; none for a call to a server. What is not there is told behind the permit, and so
/// is a store that fails: who may not call an agent must not learn that there is one.
pub async fn named(question: &Question<'_>, store: &Store, pushes: &Outbox) -> Option<Box<Named>> {
    let (call, route) = (question.call.a2a()?, question.server.agent()?);
    let owner = Owner::new(question.caller, question.subject);
    let mut named = Box::new(Named {
        owner_of_answer: owner.clone(),
        owner,
        task: None,
        unshared: None,
        claims: None,
        missing: None,
    });
    if let Some(agent) = &route.agent {
        let foreign =
            agent.tenants == Tenants::Subject && is_foreign(call.tenant.as_deref(), question.subject);
        let unserved = (call.push.is_some() || call.method.is_about_pushes()) && !pushes.serves(agent);
        named.missing = match (foreign, unserved) {
            (true, _) => Some(TaskError::Tenant),
            (false, true) => Some(TaskError::PushOff), // As the card says, whosever the task is.
            (false, false) => named.look_up(call, agent, store).await.err(),
        };
    }
    Some(named)
}

/// Whether a call names another tenant than the token of its subject. Where either names none, there is nothing to compare.
fn is_foreign(named: Option<&str>, subject: Option<&SubjectToken>) -> bool {
    let own = subject.and_then(|token| token.claims().tenant.as_deref());
    named.zip(own).is_some_and(|(named, own)| named != own)
}

/// What a permit makes of it: it may share what another workload of the same person began, and a context that nobody has
/// becomes the caller's.
///
/// # Errors
/// [`TaskError`]: what the call names is not there, or not shared.
pub async fn permitted(
    named: Option<&Named>,
    question: &Question<'_>,
    permit: &Permit,
    (store, most): (&Store, PerOwner),
) -> Result<(), TaskError> {
    match named {
        Some(named) => named.permitted(question.server.name(), permit, store, most).await,
        None => Ok(()),
    }
}

impl Named {
    async fn look_up(&mut self, call: &Call, agent: &Agent, store: &Store) -> Result<(), TaskError> {
        let is_list = call.method == Method::ListTasks;
        let names = Names {
            task: call.task.clone(),
            context: call.context.clone().filter(|_| !is_list), // A list of another's context is an empty one.
            references: call.message.as_ref().map(|message| message.references.clone()).unwrap_or_default(),
        };
        if names.task.is_none() && names.context.is_none() && names.references.is_empty() {
            if call.method != Method::GetExtendedAgentCard {
                store.answers().await?; // Else nobody would learn whose the task is that the agent makes.
            }
            return Ok(());
        }
        let known = store.known(&agent.name, names.clone()).await?;
        for reference in &names.references {
            let found =
                known.references.iter().find(|task| task.id == *reference).ok_or(TaskError::Unknown)?;
            self.may_name(&found.owner, TaskError::Owner, TaskError::NotShared)?;
        }
        if let Some(id) = names.context {
            match known.context {
                Some(whose) => {
                    self.may_name(&whose, TaskError::Context, TaskError::ContextNotShared)?;
                    self.owner_of_answer = whose;
                }
                None if agent.contexts == Contexts::Claim && names.task.is_none() => {
                    self.claims = Some(id.clone())
                }
                None => return Err(TaskError::Context),
            }
            let of_task = known.task.as_ref().and_then(|task| task.context.as_ref());
            if of_task.is_some_and(|of_task| *of_task != id) {
                return Err(TaskError::Apart);
            }
        }
        if names.task.is_some() {
            let task = known.task.ok_or(TaskError::Unknown)?;
            self.may_name(&task.owner, TaskError::Owner, TaskError::NotShared)?;
            self.owner_of_answer = task.owner.clone();
            self.task = Some(task);
        }
        Ok(())
    }

    fn may_name(&mut self, whose: &Owner, foreign: TaskError, unshared: TaskError) -> Result<(), TaskError> {
        if *whose == self.owner {
            return Ok(());
        }
        if !whose.same_subject(&self.owner) {
            return Err(foreign);
        }
        self.unshared.get_or_insert(unshared);
        Ok(())
    }

    async fn permitted(
        &self,
        agent: &str,
        permit: &Permit,
        store: &Store,
        most: PerOwner,
    ) -> Result<(), TaskError> {
        if let Some(unshared) = &self.unshared
            && permit.tasks() != TaskOwners::Subject
        {
            return Err(unshared.clone()); // As if it were not there: that was asked before what is missing.
        }
        if let Some(missing) = &self.missing {
            return Err(missing.clone());
        }
        let Some(context) = &self.claims else { return Ok(()) };
        match store.claim_context(agent, &self.owner, context, most).await? {
            Claim::Owned => Ok(()),
            Claim::Foreign | Claim::TooManyTasks => Err(TaskError::Context),
            Claim::TooManyContexts => Err(TaskError::TooManyContexts { max: most.contexts_max }),
        }
    }
}
