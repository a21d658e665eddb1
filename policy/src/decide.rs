//! One decision: the order in which the rules of a package are asked, and what each answer means.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use regorus::Value;

use crate::Reason;
use crate::answer::Denial;
use crate::engine::{Asker, Failure, with_scopes, without_arguments};
use crate::obligations::{ObligationError, Obligations, kind, obligations, scope_token};
use crate::set::{Case, Package};

/// Characters of a denial's detail, at most.
const DETAIL_MAX: usize = 2_048;

/// One case before its judge.
pub(crate) struct Judge<'a> {
    package: &'a Package,
    case: &'a Case,
    revision: &'a Arc<str>,
    budget: Duration,
}

impl<'a> Judge<'a> {
    /// Nothing is asked yet.
    pub(crate) fn new(case: &'a Case, revision: &'a Arc<str>, budget: Duration) -> Self {
        Self { package: &case.package, case, revision, budget }
    }

    /// Whether a list shows the thing.
    pub(crate) fn shown(&self) -> Result<bool, Failure> {
        let Some(decides) = self.package.listing() else { return Ok(false) };
        let mut asker = self.asker()?;
        asker.set_input(without_arguments(&self.case.input));
        if asker.rule(decides)? != Value::from(true) {
            return Ok(false);
        }
        Ok(self.denials(&mut asker)?.is_empty())
    }

    /// The conditions under which the call may go on, or why it may not.
    pub(crate) fn conditions(&self) -> Result<Obligations, Denial> {
        let mut asker = self.asker().map_err(|failure| self.failure(failure))?;
        let input = &self.case.input;

        // What isn't visible looks like what doesn't exist, so this comes before any reason that a policy gives.
        match &self.package.visible {
            Some(visible) => {
                asker.set_input(without_arguments(input));
                self.require_visible(asker.rule(visible))?;
                asker.set_input(input.clone());
            }
            None => {
                asker.set_input(input.clone());
                self.require_allow(&mut asker)?;
            }
        }
        let reasons = self.denials(&mut asker).map_err(|failure| self.failure(failure))?;
        self.require_no_reason(&reasons)?;
        let needs = self.needs(&mut asker).map_err(|failure| self.failure(failure))?;
        let lacking = self.lacking(&needs);
        if !lacking.is_empty() {
            return Err(self.lack(&mut asker, needs, &lacking));
        }
        if self.package.visible.is_some() {
            self.require_allow(&mut asker)?;
        }
        let needs_scopes = needs.into_iter().collect();
        Ok(Obligations { needs_scopes, ..self.obligations(&mut asker)? })
    }

    fn asker(&self) -> Result<Asker, Failure> {
        let mut asker = Asker::new(&self.package.engine, self.budget)?;
        if self.package.reads_clock {
            asker.set_clock(self.case.now)?;
        }
        Ok(asker)
    }

    fn require_visible(&self, answer: Result<Value, Failure>) -> Result<(), Denial> {
        match answer {
            Ok(Value::Bool(true)) => Ok(()),
            Ok(other) => Err(self.denial(Reason::NOT_ALLOWED, format!("visible is {}", said(&other)))),
            Err(Failure::Budget) => Err(self.failure(Failure::Budget)),
            Err(Failure::Error(text)) => {
                let denial = self.denial(Reason::NOT_ALLOWED, format!("visible failed: {text}"));
                Err(Denial { decided: false, ..denial })
            }
        }
    }

    fn require_allow(&self, asker: &mut Asker) -> Result<(), Denial> {
        let answer = match &self.package.allow {
            None => Value::Undefined,
            Some(path) => asker.rule(path).map_err(|failure| self.failure(failure))?,
        };
        let reason = match answer {
            Value::Bool(true) => return Ok(()),
            Value::Bool(false) | Value::Undefined => Reason::NOT_ALLOWED,
            _ => Reason::POLICY_ERROR,
        };
        Err(self.denial(reason, format!("allow is {}", said(&answer))))
    }

    /// A reason that is none is still a denial, but of the policy's own making.
    fn require_no_reason(&self, reasons: &BTreeSet<String>) -> Result<(), Denial> {
        let Some(first) = reasons.first() else { return Ok(()) };
        let detail = format!("deny: {}", reasons.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
        let wrong = reasons.iter().find(|text| Reason::parse(text).is_none());
        Err(match (wrong, Reason::parse(first)) {
            (None, Some(reason)) => self.denial(reason, detail),
            (wrong, _) => {
                let wrong = wrong.unwrap_or(first);
                let detail = format!("{detail}; not a reason, [a-z0-9_]{{1,64}}: {wrong}");
                self.denial(Reason::POLICY_ERROR, detail)
            }
        })
    }

    /// The scopes that the package says the call needs.
    fn needs(&self, asker: &mut Asker) -> Result<BTreeSet<String>, Failure> {
        let Some(rule) = &self.package.needs_scopes else { return Ok(BTreeSet::new()) };
        let answer = asker.rule(rule)?;
        let wrong = || Failure::Error(format!("{rule} is {}, not a set of scopes", kind(&answer)));
        let mut needs = BTreeSet::new();
        for member in answer.as_set().map_err(|_| wrong())?.iter() {
            let wrong = || Failure::Error(format!("{rule} has {} in it, which is no scope", kind(member)));
            needs.insert(scope_token(member).ok_or_else(wrong)?);
        }
        Ok(needs)
    }

    /// Those of them that the subject has not.
    fn lacking(&self, needs: &BTreeSet<String>) -> BTreeSet<String> {
        let mut lacking = needs.clone();
        let has = &self.case.input[&Value::from("subject")][&Value::from("scopes")];
        for scope in has.as_array().map(|scopes| scopes.iter()).into_iter().flatten() {
            if let Ok(scope) = scope.as_string() {
                lacking.remove(scope.as_ref());
            }
        }
        lacking
    }

    /// The denial for scopes that are lacking. Their lack is the reason if the call would be allowed with them: else
    /// nobody is sent to get scopes that would not help. Told are all that the call needs: who gets a new token for those that
    /// are lacking would lose the others.
    fn lack(&self, asker: &mut Asker, needs: BTreeSet<String>, lacking: &BTreeSet<String>) -> Denial {
        asker.set_input(with_scopes(&self.case.input, lacking));
        if let Err(denial) = self.require_allow(asker) {
            return denial;
        }
        let lacking: Vec<&str> = lacking.iter().map(String::as_str).collect();
        let denial =
            self.denial(Reason::INSUFFICIENT_SCOPE, format!("lacking scopes: {}", lacking.join(" ")));
        Denial { needs_scopes: needs.into_iter().collect(), ..denial }
    }

    fn obligations(&self, asker: &mut Asker) -> Result<Obligations, Denial> {
        let Some(path) = &self.package.obligations else { return Ok(Obligations::default()) };
        let value = asker.rule(path).map_err(|failure| self.failure(failure))?;
        obligations(&value).map_err(|error| {
            let reason = match error {
                ObligationError::Unknown(_) => Reason::UNKNOWN_OBLIGATION,
                _ => Reason::POLICY_ERROR,
            };
            self.denial(reason, error.to_string())
        })
    }

    /// All texts of all `deny` that have a say.
    fn denials(&self, asker: &mut Asker) -> Result<BTreeSet<String>, Failure> {
        let mut texts = BTreeSet::new();
        for rule in &self.package.denies {
            let answer = asker.rule(rule)?;
            let wrong = || Failure::Error(format!("{rule} is {}, not a set of strings", kind(&answer)));
            for member in answer.as_set().map_err(|_| wrong())?.iter() {
                let text = member.as_string().map_err(|_| {
                    Failure::Error(format!("{rule} has {} in it, not only strings", kind(member)))
                })?;
                texts.insert(text.to_string());
            }
        }
        Ok(texts)
    }

    fn failure(&self, failure: Failure) -> Denial {
        let denial = match failure {
            Failure::Budget => {
                self.denial(Reason::POLICY_BUDGET, format!("no answer within {:?}", self.budget))
            }
            Failure::Error(text) => self.denial(Reason::POLICY_ERROR, text),
        };
        Denial { decided: false, ..denial }
    }

    fn denial(&self, reason: Reason, detail: impl Into<String>) -> Denial {
        denial(self.revision, Some(&self.package.name), reason, detail)
    }
}

/// A denial that policy has decided.
pub(crate) fn denial(
    revision: &Arc<str>,
    package: Option<&Arc<str>>,
    reason: Reason,
    detail: impl Into<String>,
) -> Denial {
    let mut detail: String = detail.into();
    if let Some((end, _)) = detail.char_indices().nth(DETAIL_MAX) {
        detail.truncate(end);
        detail.push('…');
    }
    Denial {
        reason,
        package: package.cloned(),
        revision: revision.clone(),
        detail: detail.into(),
        needs_scopes: Arc::default(),
        decided: true,
    }
}

/// What a rule that should be `true` said.
fn said(value: &Value) -> String {
    match value {
        Value::Bool(bool) => bool.to_string(),
        other => kind(other).to_owned(),
    }
}
