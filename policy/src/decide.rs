//! From a question to a [`Permit`] or a [`Denial`]: the order in which rules are asked, and what each answer means.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use regorus::{Engine, Value};

use crate::bundle::{self, Module, Problem, Role, SourceFile, spelled};
use crate::engine::{Asker, EvalError, Failure, value, without_arguments};
use crate::obligations::{AuditDetail, ObligationError, Obligations, kind, obligations};
use crate::{Budget, Entry, Question, Reason};

/// Characters of a denial's detail, at most.
const DETAIL_MAX: usize = 2_048;

/// A compiled set of policies. Share it in an `Arc`; a question clones what it changes.
pub struct PolicySet {
    engine: Engine,
    /// By kind of entry: `tools`, `resources`, …
    families: HashMap<String, Family>,
    /// The rule `deny` of the guard.
    guard: Option<String>,
    revision: Arc<str>,
    budget: Budget,
    /// Some rule calls `time.now_ns`.
    reads_clock: bool,
}

/// The packages at and below a name.
#[derive(Default)]
struct Family {
    own: Option<Package>,
    members: HashMap<String, Family>,
}

/// The rules that a package has among those that are asked, each by its path.
struct Package {
    name: Arc<str>,
    allow: Option<String>,
    deny: Option<String>,
    visible: Option<String>,
    obligations: Option<String>,
}

/// What policy says to a question.
#[derive(Debug)]
pub enum Decision {
    /// The call may go on, under conditions.
    Permit(Permit),
    /// It may not.
    Denial(Denial),
}

/// Leave for one call to go on. Only [`PolicySet::decide`] makes one.
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
    package: Arc<str>,
    revision: Arc<str>,
    expires_at: SystemTime,
    obligations: Obligations,
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

    /// When the permit ends, and whatever still runs under it.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// How much of the call the audit keeps.
    pub fn audit(&self) -> AuditDetail {
        self.obligations.audit
    }
}

/// Why a call may not go on. Only its reason may leave the gateway.
#[derive(Clone, Debug, thiserror::Error)]
#[error("denied by policy: {reason}")]
pub struct Denial {
    reason: Reason,
    package: Option<Arc<str>>,
    revision: Arc<str>,
    detail: String,
}

impl Denial {
    /// The stable code, the only part that may leave the gateway.
    pub fn reason(&self) -> &Reason {
        &self.reason
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

impl PolicySet {
    /// Compiles a set.
    ///
    /// # Errors
    /// All problems at once, each with its file and what to do.
    pub fn compile(files: &[SourceFile], budget: Budget) -> Result<Self, Vec<Problem>> {
        let bundle = bundle::bundle(files)?;
        let engine = bundle.engine(false)?;
        let mut set = Self {
            engine,
            families: HashMap::new(),
            guard: None,
            revision: bundle.revision().into(),
            budget,
            reads_clock: false,
        };
        for module in bundle.modules.iter().filter(|module| module.decides()) {
            set.reads_clock |= module.calls_builtin("time.now_ns");
            match module.place.role {
                Role::Entry => set.add(module),
                Role::Guard if set.guard.is_none() => set.guard = module.rule("deny"),
                Role::Guard | Role::Library | Role::Test => {}
            }
        }
        Ok(set)
    }

    fn add(&mut self, module: &Module) {
        let Some((root, names)) = module.place.package.split_first() else { return };
        let mut family = self.families.entry(root.clone()).or_default();
        for name in names {
            family = family.members.entry(name.clone()).or_default();
        }
        family.own = Some(Package {
            name: spelled(&module.place.package).into(),
            allow: module.rule("allow"),
            deny: module.rule("deny"),
            visible: module.rule("visible"),
            obligations: module.rule("obligations"),
        });
    }

    /// `sha256:` and the digest, in hex, of all files: what stands in the audit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Decides one question. Whatever keeps it from being decided is a denial.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        match self.judge(question) {
            Ok(permit) => Decision::Permit(permit),
            Err(denial) => Decision::Denial(denial),
        }
    }

    /// Whether a list shows the thing that the question is about. A failure to decide hides it.
    ///
    /// `call.arguments` is taken out of the input, if it has any.
    pub fn visible(&self, question: &Question<'_>) -> bool {
        let chain = self.chain(&question.entry);
        let Some(package) = chain.first() else { return false };
        self.shown(package, &chain, question).unwrap_or(false)
    }

    /// Evaluates a query like `data.tools.s3.allow` for a person who asks. None: it is undefined.
    ///
    /// # Errors
    /// [`EvalError`] if the query doesn't parse, a built-in fails, or the budget is spent.
    pub fn eval(
        &self,
        query: &str,
        input: &serde_json::Value,
    ) -> Result<Option<serde_json::Value>, EvalError> {
        let mut asker = Asker::new(&self.engine, self.budget.evaluation)?;
        asker.set_input(value(input)?);
        let answer = asker.query(query)?;
        if answer == Value::Undefined {
            return Ok(None);
        }
        let json = answer.to_json_str().map_err(|error| EvalError::Query(error.to_string()))?;
        serde_json::from_str(&json).map(Some).map_err(|error| EvalError::Query(error.to_string()))
    }

    /// The packages that have a say, the one that answers first. Empty: none answers.
    fn chain(&self, entry: &Entry<'_>) -> Vec<&Package> {
        let (root, names) = entry.path();
        let Some(mut family) = self.families.get(root) else { return Vec::new() };
        let mut chain = Vec::from_iter(&family.own);
        for name in names.into_iter().flatten() {
            let Some(member) = family.members.get(name) else { break };
            family = member;
            chain.extend(&family.own);
        }
        chain.reverse();
        chain
    }

    fn asker(&self, question: &Question<'_>) -> Result<Asker, Failure> {
        let mut asker = Asker::new(&self.engine, self.budget.evaluation)?;
        if self.reads_clock {
            asker.set_clock(question.now)?;
        }
        Ok(asker)
    }

    fn shown(&self, package: &Package, chain: &[&Package], question: &Question<'_>) -> Result<bool, Failure> {
        let Some(decides) = package.visible.as_ref().or(package.allow.as_ref()) else { return Ok(false) };
        let mut asker = self.asker(question)?;
        asker.set_input(without_arguments(&value(question.input)?));
        if asker.rule(decides)? != Value::from(true) {
            return Ok(false);
        }
        Ok(self.denials(&mut asker, chain)?.is_empty())
    }

    fn judge(&self, question: &Question<'_>) -> Result<Permit, Denial> {
        let chain = self.chain(&question.entry);
        let Some(package) = chain.first().copied() else {
            return Err(self.denial(None, Reason::NOT_ALLOWED, "no package answers for this"));
        };
        let failed = |failure| self.failure(package, failure);
        let mut asker = self.asker(question).map_err(failed)?;
        let input = value(question.input).map_err(failed)?;

        // What isn't visible looks like what doesn't exist, so this comes before any reason that a policy gives.
        match &package.visible {
            Some(visible) => {
                asker.set_input(without_arguments(&input));
                self.require_visible(package, asker.rule(visible))?;
                asker.set_input(input);
            }
            None => {
                asker.set_input(input);
                self.require_allow(package, &mut asker)?;
            }
        }
        let reasons = self.denials(&mut asker, &chain).map_err(failed)?;
        self.require_no_reason(package, &reasons)?;
        if package.visible.is_some() {
            self.require_allow(package, &mut asker)?;
        }
        let obligations = self.obligations(package, &mut asker)?;
        let life = obligations.ttl.unwrap_or(question.permit_ttl_max).min(question.permit_ttl_max);
        let expires_at = question.now.checked_add(life).ok_or_else(|| {
            self.denial(Some(package), Reason::POLICY_ERROR, "the permit would have no end")
        })?;
        let (package, revision) = (package.name.clone(), self.revision.clone());
        Ok(Permit { package, revision, expires_at, obligations })
    }

    fn require_visible(&self, package: &Package, answer: Result<Value, Failure>) -> Result<(), Denial> {
        match answer {
            Ok(Value::Bool(true)) => Ok(()),
            Ok(other) => {
                let detail = format!("visible is {}", said(&other));
                Err(self.denial(Some(package), Reason::NOT_ALLOWED, detail))
            }
            Err(Failure::Budget) => Err(self.failure(package, Failure::Budget)),
            Err(Failure::Error(text)) => {
                let detail = format!("visible failed: {text}");
                Err(self.denial(Some(package), Reason::NOT_ALLOWED, detail))
            }
        }
    }

    fn require_allow(&self, package: &Package, asker: &mut Asker) -> Result<(), Denial> {
        let answer = match &package.allow {
            None => Value::Undefined,
            Some(path) => asker.rule(path).map_err(|failure| self.failure(package, failure))?,
        };
        let reason = match answer {
            Value::Bool(true) => return Ok(()),
            Value::Bool(false) | Value::Undefined => Reason::NOT_ALLOWED,
            _ => Reason::POLICY_ERROR,
        };
        Err(self.denial(Some(package), reason, format!("allow is {}", said(&answer))))
    }

    /// A reason that is none is still a denial, but of the policy's own making.
    fn require_no_reason(&self, package: &Package, reasons: &[String]) -> Result<(), Denial> {
        let Some(first) = reasons.first() else { return Ok(()) };
        let detail = format!("deny: {}", reasons.join(", "));
        let wrong = reasons.iter().find(|text| Reason::parse(text).is_none());
        Err(match (wrong, Reason::parse(first)) {
            (None, Some(reason)) => self.denial(Some(package), reason, detail),
            (wrong, _) => {
                let wrong = wrong.unwrap_or(first);
                let detail = format!("{detail}; not a reason, [a-z0-9_]{{1,64}}: {wrong}");
                self.denial(Some(package), Reason::POLICY_ERROR, detail)
            }
        })
    }

    fn obligations(&self, package: &Package, asker: &mut Asker) -> Result<Obligations, Denial> {
        let Some(path) = &package.obligations else { return Ok(Obligations::default()) };
        let value = asker.rule(path).map_err(|failure| self.failure(package, failure))?;
        obligations(&value).map_err(|error| {
            let reason = match error {
                ObligationError::Unknown(_) => Reason::UNKNOWN_OBLIGATION,
                _ => Reason::POLICY_ERROR,
            };
            self.denial(Some(package), reason, error.to_string())
        })
    }

    /// All texts of all `deny` that have a say, sorted.
    fn denials(&self, asker: &mut Asker, chain: &[&Package]) -> Result<Vec<String>, Failure> {
        let rules = self.guard.iter().chain(chain.iter().filter_map(|package| package.deny.as_ref()));
        let mut texts = Vec::new();
        for rule in rules {
            let answer = asker.rule(rule)?;
            let wrong = || Failure::Error(format!("{rule} is {}, not a set of strings", kind(&answer)));
            for member in answer.as_set().map_err(|_| wrong())?.iter() {
                let text = member.as_string().map_err(|_| {
                    Failure::Error(format!("{rule} has {} in it, not only strings", kind(member)))
                })?;
                texts.push(text.to_string());
            }
        }
        texts.sort();
        texts.dedup();
        Ok(texts)
    }

    fn failure(&self, package: &Package, failure: Failure) -> Denial {
        match failure {
            Failure::Budget => {
                let detail = format!("no answer within {:?}", self.budget.evaluation);
                self.denial(Some(package), Reason::POLICY_BUDGET, detail)
            }
            Failure::Error(text) => self.denial(Some(package), Reason::POLICY_ERROR, text),
        }
    }

    fn denial(&self, package: Option<&Package>, reason: Reason, detail: impl Into<String>) -> Denial {
        let package = package.map(|package| package.name.clone());
        let detail: String = detail.into();
        let detail = match detail.char_indices().nth(DETAIL_MAX) {
            None => detail,
            Some((end, _)) => format!("{}…", detail.get(..end).unwrap_or_default()),
        };
        Denial { reason, package, revision: self.revision.clone(), detail }
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet").field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// What a rule that should be `true` said.
fn said(value: &Value) -> String {
    match value {
        Value::Bool(bool) => bool.to_string(),
        other => kind(other).to_owned(),
    }
}
