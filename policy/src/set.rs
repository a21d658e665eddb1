//! A compiled set of policies: which package answers what, what it reads, and the answers that it gave before.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use regorus::{Engine, Value};
use serde::Serialize;

use crate::answer::{Decision, Denial, Permit};
use crate::bundle::{self, Groups, Index, Module, Problem, Role, RuleReads, SourceFile, spelled};
use crate::cache::Cache;
use crate::decide::{Judge, denial};
use crate::engine::{Asker, EvalError, Failure, document, value};
use crate::fingerprint::{Fingerprint, fingerprint};
use crate::obligations::Obligations;
use crate::question::{Budget, Entry, Question};
use crate::reads::Reads;
use crate::reason::Reason;

/// A compiled set of policies. Share it in an `Arc`; a question clones what it changes.
pub struct PolicySet {
    /// By kind of entry: `tools`, `resources`, …
    families: HashMap<String, Family>,
    /// In the order of their names.
    packages: Vec<Arc<Package>>,
    files: Vec<SourceFile>,
    /// An engine with all of it, for a person's queries.
    whole: OnceLock<Engine>,
    revision: Arc<str>,
    budget: Budget,
    calls: Cache<Result<Arc<Obligations>, Denial>>,
    listings: Cache<bool>,
}

/// The packages at and below a name.
#[derive(Default)]
struct Family {
    own: Option<Arc<Package>>,
    members: HashMap<String, Family>,
}

/// A package that answers, with the rules that are asked for it, each by its path.
pub(crate) struct Package {
    pub(crate) name: Arc<str>,
    pub(crate) allow: Option<String>,
    pub(crate) visible: Option<String>,
    pub(crate) needs_scopes: Option<String>,
    pub(crate) obligations: Option<String>,
    /// The guard's, its own, and those of the packages above it.
    pub(crate) denies: Vec<String>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) reads_clock: bool,
    call: Basis,
    list: Basis,
}

/// What an answer rests on.
struct Basis {
    input: Reads,
    /// A function or field that is another one each time: then no answer is kept.
    varies: Option<String>,
}

/// What a package's decisions rest on, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageReads {
    /// The package, as Rego spells it.
    pub package: String,
    /// The paths of the input that its decisions read, as `input.call.arguments.key`.
    pub input: Vec<String>,
    /// Why its answers are not kept: a function or field that is another one each time.
    pub varies: Option<String>,
}

/// An answer that was given before, or the work that there is to do.
pub enum Asked<T, C> {
    /// The answer.
    Answered(T),
    /// Nobody has asked this before.
    Open(C),
}

/// A question that is still to be decided. It owns its parts, so that it can be decided on another thread.
pub struct Case {
    pub(crate) package: Arc<Package>,
    pub(crate) input: Value,
    pub(crate) now: SystemTime,
    permit_ttl_max: Duration,
    ends: SystemTime,
    key: Option<Fingerprint>,
}

impl Case {
    /// The package that answers.
    pub fn package(&self) -> &Arc<str> {
        &self.package.name
    }
}

/// Whether a list shows something, still to be decided.
pub struct ListingCase(Case);

impl ListingCase {
    /// The package that answers.
    pub fn package(&self) -> &Arc<str> {
        self.0.package()
    }
}

/// The time for a question was spent before an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time for the question was spent")]
pub struct OutOfTime;

impl Package {
    fn of(module: &Module, guard: Option<&[String]>, index: &Index<'_>, engine: &Arc<Engine>) -> Self {
        let own = module.own(&[]);
        let above = (1..own.len()).rev().filter_map(|length| own.get(..length));
        let chain = guard.into_iter().chain([own.as_slice()]).chain(above);
        let deny = |package: &[String]| [package, &["deny".to_owned()]].concat();
        let denies: Vec<Vec<String>> = chain.map(deny).filter(|rule| !index.at(rule).is_empty()).collect();
        let rules = |names: &[&str]| {
            let named = names.iter().flat_map(|name| index.at(&module.own(&[(*name).to_owned()])));
            named.chain(denies.iter().flat_map(|rule| index.at(rule))).copied().collect::<Vec<_>>()
        };
        let listing = if module.rule("visible").is_some() { "visible" } else { "allow" };
        let list = index.reads(&rules(&[listing]));
        let mut call = index.reads(&rules(&["allow", "visible", "needs_scopes", "obligations"]));
        let needs_scopes = module.rule("needs_scopes");
        if needs_scopes.is_some() {
            call.input.add(&["subject", "scopes"]); // What it lacks is for us to see.
        }
        Self {
            name: spelled(&module.place.package).into(),
            allow: module.rule("allow"),
            visible: module.rule("visible"),
            needs_scopes,
            obligations: module.rule("obligations"),
            denies: denies.iter().map(|rule| spelled(rule)).collect(),
            engine: Arc::clone(engine),
            reads_clock: call.functions.contains(bundle::CLOCK),
            call: Basis::of(call),
            list: Basis::of(list),
        }
    }

    /// The rule that decides whether a list shows the thing.
    pub(crate) fn listing(&self) -> Option<&String> {
        self.visible.as_ref().or(self.allow.as_ref())
    }
}

/// Fields of the input that are others in each request.
const VARYING: [[&str; 2]; 2] = [["request", "time"], ["request", "trace_id"]];

impl Basis {
    fn of(reads: RuleReads) -> Self {
        let field = VARYING.into_iter().find(|field| reads.input.touches(field));
        let function = reads.functions.into_iter().find(|name| bundle::varies(name));
        let varies = function.or_else(|| field.map(|field| format!("input.{}", field.join("."))));
        Self { input: reads.input, varies }
    }
}

impl PolicySet {
    /// Compiles a set that keeps no answers.
    ///
    /// # Errors
    /// All problems at once, each with its file and what to do.
    pub fn compile(files: &[SourceFile], budget: Budget) -> Result<Self, Vec<Problem>> {
        let bundle = bundle::bundle(files)?;
        let index = Index::new(&bundle.modules, false);
        let groups = Groups::new(&bundle, &index)?;
        let guard = bundle.modules.iter().find(|module| module.place.role == Role::Guard);
        let guard = guard.map(|module| module.own(&[]));
        let (mut families, mut packages) = (HashMap::<String, Family>::new(), Vec::new());
        for (number, module) in bundle.modules.iter().enumerate() {
            let (Role::Entry, Some(engine), Some((root, names))) =
                (module.place.role, groups.engine(number), module.place.package.split_first())
            else {
                continue;
            };
            let family = names.iter().fold(families.entry(root.clone()).or_default(), |family, name| {
                family.members.entry(name.clone()).or_default()
            });
            let package = Arc::new(Package::of(module, guard.as_deref(), &index, engine));
            family.own = Some(Arc::clone(&package));
            packages.push(package);
        }
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        let (calls, listings, whole) = (Cache::new(0), Cache::new(0), OnceLock::new());
        let (revision, files) = (bundle.revision().into(), bundle.into_sources());
        Ok(Self { families, packages, files, whole, revision, budget, calls, listings })
    }

    /// The same set, keeping so many answers at most; 0 keeps none.
    #[must_use]
    pub fn with_cache(self, answers_max: usize) -> Self {
        Self { calls: Cache::new(answers_max), listings: Cache::new(answers_max), ..self }
    }

    /// `sha256:` and the digest, in hex, of all files: what stands in the audit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// What the decisions of each package rest on, in the order of their names.
    pub fn reads(&self) -> impl Iterator<Item = PackageReads> {
        self.packages.iter().map(|package| PackageReads {
            package: package.name.to_string(),
            input: package.call.input.paths("input"),
            varies: package.call.varies.clone(),
        })
    }

    /// Whether the package that answers looks at anything at, below or around a path of the input: what costs something to put
    /// together may be left out else.
    pub fn looks_at(&self, entry: &Entry<'_>, path: &[&str]) -> bool {
        let package = self.package(entry);
        package.is_some_and(|of| of.call.input.touches(path) || of.list.input.touches(path))
    }

    /// Decides one question within the set's budget. Whatever keeps it from being decided is a denial.
    pub fn decide<D: Serialize>(&self, question: &Question<'_, D>) -> Decision {
        match self.ask(question) {
            Asked::Answered(decision) => decision,
            Asked::Open(case) => self.judge(&case, self.budget.evaluation),
        }
    }

    /// Whether a list shows the thing that the question is about. A failure to decide hides it.
    ///
    /// `call.arguments` is taken out of the input, if it has any.
    pub fn visible<D: Serialize>(&self, question: &Question<'_, D>) -> bool {
        match self.ask_listing(question) {
            Asked::Answered(shown) => shown,
            Asked::Open(case) => self.judge_listing(&case, self.budget.evaluation).unwrap_or(false),
        }
    }

    /// The decision that was made before of all that this one would rest on, or the case to judge.
    pub fn ask<D: Serialize>(&self, question: &Question<'_, D>) -> Asked<Decision, Case> {
        let Some(package) = self.package(&question.entry) else {
            let detail = "no package answers for this";
            return Asked::Answered(Decision::Denial(self.denied(None, Reason::NOT_ALLOWED, detail)));
        };
        let (key, kept) = known(&self.calls, b"call", package, &package.call, question);
        if let Some(kept) = kept {
            let (now, ttl_max) = (question.now, question.permit_ttl_max);
            return Asked::Answered(self.decision(package, kept, now, ttl_max));
        }
        match case(package, question, key) {
            Ok(case) => Asked::Open(case),
            Err(text) => {
                let denial = self.denied(Some(&package.name), Reason::POLICY_ERROR, &text);
                Asked::Answered(Decision::Denial(denial))
            }
        }
    }

    /// The same for a list: whether it shows the thing. A question that can't be asked hides it.
    pub fn ask_listing<D: Serialize>(&self, question: &Question<'_, D>) -> Asked<bool, ListingCase> {
        let Some(package) = self.package(&question.entry) else { return Asked::Answered(false) };
        let (key, kept) = known(&self.listings, b"list", package, &package.list, question);
        match kept {
            Some(shown) => Asked::Answered(shown),
            None => case(package, question, key)
                .map_or(Asked::Answered(false), |case| Asked::Open(ListingCase(case))),
        }
    }

    /// Decides a case within a time; it may be tried again with more. Out of time is a denial, too.
    pub fn judge(&self, case: &Case, time: Duration) -> Decision {
        let outcome = Judge::new(case, &self.revision, time).conditions().map(Arc::new);
        if let Some(key) = case.key
            && outcome.as_ref().err().is_none_or(|denial| denial.decided)
        {
            self.calls.put(key, outcome.clone(), case.ends);
        }
        self.decision(&case.package, outcome, case.now, case.permit_ttl_max)
    }

    /// The same for a list. A failure to decide hides the thing.
    ///
    /// # Errors
    /// [`OutOfTime`]; it may be tried again with more.
    pub fn judge_listing(&self, case: &ListingCase, time: Duration) -> Result<bool, OutOfTime> {
        match Judge::new(&case.0, &self.revision, time).shown() {
            Ok(shown) => {
                if let Some(key) = case.0.key {
                    self.listings.put(key, shown, case.0.ends);
                }
                Ok(shown)
            }
            Err(Failure::Budget) => Err(OutOfTime),
            Err(Failure::Error(_)) => Ok(false),
        }
    }

    /// An outcome with the times of this question.
    fn decision(
        &self,
        package: &Package,
        outcome: Result<Arc<Obligations>, Denial>,
        now: SystemTime,
        ttl_max: Duration,
    ) -> Decision {
        let obligations = match outcome {
            Ok(obligations) => obligations,
            Err(denial) => return Decision::Denial(denial),
        };
        let life = obligations.ttl.unwrap_or(ttl_max).min(ttl_max);
        let Some(expires_at) = now.checked_add(life) else {
            let detail = "the permit would have no end";
            return Decision::Denial(self.denied(Some(&package.name), Reason::POLICY_ERROR, detail));
        };
        let (package, revision) = (package.name.clone(), self.revision.clone());
        Decision::Permit(Permit { package, revision, expires_at, obligations })
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
        let engine = match self.whole.get() {
            Some(engine) => engine,
            None => {
                let listed = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
                let engine = bundle::bundle(&self.files).and_then(|bundle| bundle.engine(false));
                let engine = engine.map_err(listed).map_err(EvalError::Query)?;
                self.whole.get_or_init(|| engine)
            }
        };
        let mut asker = Asker::new(engine, self.budget.evaluation)?;
        asker.set_input(value(input)?);
        let answer = asker.query(query)?;
        if answer == Value::Undefined {
            return Ok(None);
        }
        let json = answer.to_json_str().map_err(|error| EvalError::Query(error.to_string()))?;
        serde_json::from_str(&json).map(Some).map_err(|error| EvalError::Query(error.to_string()))
    }

    /// The package that answers: the most specific one.
    fn package(&self, entry: &Entry<'_>) -> Option<&Arc<Package>> {
        let (root, names) = entry.path();
        let mut family = self.families.get(root)?;
        let mut package = family.own.as_ref();
        for name in names.into_iter().flatten() {
            let Some(member) = family.members.get(name) else { break };
            family = member;
            package = family.own.as_ref().or(package);
        }
        package
    }

    fn denied(&self, package: Option<&Arc<str>>, reason: Reason, detail: &str) -> Denial {
        denial(&self.revision, package, reason, detail)
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet").field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// The digest of what an answer rests on, if answers of this package are kept, and the answer, if it was.
fn known<T: Clone, D: Serialize>(
    cache: &Cache<T>,
    kind: &[u8],
    package: &Package,
    basis: &Basis,
    question: &Question<'_, D>,
) -> (Option<Fingerprint>, Option<T>) {
    if !cache.is_on() || basis.varies.is_some() {
        return (None, None);
    }
    let context = [kind, package.name.as_bytes(), &question.epoch.to_le_bytes()];
    let key = fingerprint(&context, &basis.input, question.input);
    let kept = key.as_ref().and_then(|key| cache.get(key, question.now));
    (key, kept)
}

fn case<D: Serialize>(
    package: &Arc<Package>,
    question: &Question<'_, D>,
    key: Option<Fingerprint>,
) -> Result<Case, String> {
    let input = document(question.input)?;
    Ok(Case {
        package: Arc::clone(package),
        input,
        now: question.now,
        permit_ttl_max: question.permit_ttl_max,
        ends: question.ends,
        key: key.filter(|_| question.now < question.ends),
    })
}
