//! A fence: label matchers that every selector of every query gets. The query is parsed, each selector of its syntax tree
//! gets the matchers beside those it has, so that it can only become narrower, and the tree is written anew. What is
//! written is parsed once more and has to be the same tree: whatever the parser and its printer don't agree on is refused.

use crate::apart::{NoOutcome, apart, here};
use crate::error::{PrometheusError, one_line};
use crate::matchers::LabelMatcher;
use crate::place;
use crate::upstream::System;
use promql_parser::label::{METRIC_NAME, MatchOp, Matcher};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, LabelModifier, VectorSelector, parse};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Labels and their values.
pub(crate) type Labels = BTreeMap<String, String>;

/// The longest PromQL that is read.
const BYTES_MAX: usize = 4096;
/// The longest that may be shallow, and how many of its bytes are in no word then: each level of an expression has one at least.
const SHALLOW_BYTES_MAX: usize = 256;
const SHALLOW_MARKS_MAX: usize = 32;

/// Matchers that hold for all that is read; none let everything be read.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<[Matcher]>);

/// Why matchers are none.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a list of label matchers, as in namespace=\"ml\"")]
pub struct FenceError(String);

/// A query that may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// With the fence in it.
    pub text: String,
    /// The metric of each selector; `None` for one that selects by anything else than the name.
    pub metrics: Vec<Option<String>>,
}

impl Fence {
    /// Reads matchers as they stand between `{` and `}`.
    ///
    /// # Errors
    /// [`FenceError`] for the first text that is none.
    pub fn parse(texts: &[String]) -> Result<Self, FenceError> {
        let mut matchers = Vec::new();
        for text in texts {
            let wrong = || FenceError(text.clone());
            match parse(&format!("x{{{text}}}")) {
                Ok(Expr::VectorSelector(found)) if plain(&found) && !found.matchers.matchers.is_empty() => {
                    matchers.extend(found.matchers.matchers)
                }
                // A name outside of the braces forbids one inside, where a fence may have it.
                _ => match parse(&format!("{{__name__=~\".+\",{text}}}")) {
                    Ok(Expr::VectorSelector(found)) if plain(&found) && found.matchers.matchers.len() > 1 => {
                        matchers.extend(found.matchers.matchers.into_iter().skip(1));
                    }
                    _ => return Err(wrong()),
                },
            }
        }
        Ok(Self(matchers.into()))
    }

    /// Whether nothing is fenced off.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether labels satisfy every matcher; a label that is not there is empty.
    pub fn holds(&self, labels: &Labels) -> bool {
        self.0.iter().all(|m| m.is_match(labels.get(&m.name).map_or("", String::as_str)))
    }

    /// Narrower by more matchers.
    pub(crate) fn and(&self, more: impl IntoIterator<Item = Matcher>) -> Self {
        Self(self.0.iter().cloned().chain(more).collect())
    }

    /// Those that want one value and take no missing label for it, as PromQL and Alertmanager write them.
    pub(crate) fn exact(&self) -> impl Iterator<Item = String> {
        let plain = |value: &str| !value.is_empty() && !value.contains(char::is_control);
        self.0.iter().filter(move |m| m.op == MatchOp::Equal && plain(&m.value)).map(Matcher::to_string)
    }

    /// Whether matchers can be satisfied only within: for each of the fence's there is one that implies it.
    pub(crate) fn covers(&self, matchers: &[LabelMatcher]) -> bool {
        self.0.iter().all(|m| matchers.iter().any(|other| other.implies(m)))
    }

    /// A selector of all that may be read; none where that is everything.
    pub fn everything(&self) -> Option<String> {
        let matchers: Vec<_> = self.0.iter().map(Matcher::to_string).collect();
        (!self.is_open()).then(|| format!("{{__name__=~\".+\",{}}}", matchers.join(",")))
    }

    /// An expression with the fence in it.
    ///
    /// # Errors
    /// [`PrometheusError::Query`] where it is no PromQL, [`PrometheusError::Unsupported`] where it can't be fenced.
    pub async fn query(&self, text: &str) -> Result<Query, PrometheusError> {
        self.judged(text, fenced).await
    }

    /// A single selector, as `series` and the like take it, with the fence in it.
    ///
    /// # Errors
    /// As [`Fence::query`].
    pub async fn selector(&self, text: &str) -> Result<String, PrometheusError> {
        let only = |text: &str, fence: &[Matcher]| match parse(text) {
            Ok(Expr::VectorSelector(found)) if found.offset.is_none() && found.at.is_none() => {
                fenced(text, fence)
            }
            Ok(_) => Err(unsupported("only a selector is allowed here, as in up{job=\"node\"}")),
            Err(_) => fenced(text, fence),
        };
        Ok(self.judged(text, only).await?.text)
    }

    /// Whether a text can ask for little of the stack and of the clock: no deep expression, no regular expression to compile, be
    /// it the fence's, which each selector gets.
    fn is_quick(&self, text: &str) -> bool {
        let marks = text.bytes().filter(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').count();
        let shallow = text.len() <= SHALLOW_BYTES_MAX && marks <= SHALLOW_MARKS_MAX;
        let compiles = |m: &Matcher| matches!(m.op, MatchOp::Re(_) | MatchOp::NotRe(_));
        shallow && !text.contains('~') && !self.0.iter().any(compiles)
    }

    async fn judged(
        &self,
        text: &str,
        work: impl Fn(&str, &[Matcher]) -> Result<Query, PrometheusError> + Send + 'static,
    ) -> Result<Query, PrometheusError> {
        if text.len() > BYTES_MAX {
            return Err(unsupported(format!("the query has more than {BYTES_MAX} bytes")));
        }
        // Where a text is none, finding the place of that parses it many times.
        let quick = self.is_quick(text) && here(|| parse(text).is_ok()) == Ok(true);
        let judged = if quick {
            here(|| work(text, &self.0))
        } else {
            let (text, fence) = (text.to_owned(), Arc::clone(&self.0));
            apart(move || work(&text, &fence)).await
        };
        match judged {
            Ok(judged) => judged,
            Err(NoOutcome::Panic) => Err(unsupported("the query can't be parsed")),
            Err(NoOutcome::NoThread) => {
                Err(PrometheusError::Unavailable(System::Prometheus, "no thread for the parser"))
            }
        }
    }
}

fn unsupported(what: impl Into<String>) -> PrometheusError {
    PrometheusError::Unsupported(what.into())
}

fn plain(found: &VectorSelector) -> bool {
    found.offset.is_none() && found.at.is_none() && check(found).is_ok()
}

fn fenced(text: &str, fence: &[Matcher]) -> Result<Query, PrometheusError> {
    let mut expr = parse(text).map_err(|error| {
        let (what, position) = place::failure(text, &error);
        PrometheusError::Query { what: one_line(&what), position }
    })?;
    if expr.value_type() == ValueType::Matrix {
        return Err(unsupported("the query gives ranges; take rate(...) or another function of them"));
    }
    let mut metrics = Vec::new();
    walk(&mut expr, fence, &mut metrics)?;
    if fence.is_empty() {
        return Ok(Query { text: text.to_owned(), metrics });
    }
    let written = expr.to_string();
    match parse(&written) {
        Ok(read) if read == expr => Ok(Query { text: written, metrics }),
        _ => Err(unsupported("the query can't be written anew with the fence in it")),
    }
}

/// Visits every selector, those in an aggregation's parameter, too. Without a wildcard: a new kind of node must be thought of.
fn walk(
    expr: &mut Expr,
    fence: &[Matcher],
    metrics: &mut Vec<Option<String>>,
) -> Result<(), PrometheusError> {
    match expr {
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &mut aggregate.param {
                walk(param, fence, metrics)?;
            }
            if matches!(&aggregate.modifier, Some(LabelModifier::Include(labels)) if labels.is_empty()) {
                aggregate.modifier = None; // `by ()` is what no modifier is.
            }
            walk(&mut aggregate.expr, fence, metrics)
        }
        Expr::Unary(unary) => walk(&mut unary.expr, fence, metrics),
        Expr::Binary(binary) => {
            walk(&mut binary.lhs, fence, metrics)?;
            walk(&mut binary.rhs, fence, metrics)
        }
        Expr::Paren(paren) => walk(&mut paren.expr, fence, metrics),
        Expr::Subquery(subquery) => walk(&mut subquery.expr, fence, metrics),
        Expr::Call(call) if call.func.name == "info" => {
            Err(unsupported("info() reads metrics that no selector names"))
        }
        Expr::Call(call) => call.args.args.iter_mut().try_for_each(|arg| walk(arg, fence, metrics)),
        Expr::VectorSelector(selector) => narrow(selector, fence, metrics),
        Expr::MatrixSelector(selector) => narrow(&mut selector.vs, fence, metrics),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
        Expr::Extension(_) => Err(unsupported("the query has an extension")),
    }
}

fn narrow(
    selector: &mut VectorSelector,
    fence: &[Matcher],
    metrics: &mut Vec<Option<String>>,
) -> Result<(), PrometheusError> {
    check(selector)?;
    let matchers = &mut selector.matchers.matchers;
    let exact = matchers.iter().find(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal);
    metrics.push(selector.name.clone().or_else(|| exact.map(|m| m.value.clone())));
    let by_name = fence.iter().any(|m| m.name == METRIC_NAME);
    if let Some(name) = selector.name.take_if(|name| by_name || !is_metric_name(name)) {
        matchers.push(Matcher::new(MatchOp::Equal, METRIC_NAME, &name)); // A name before the braces forbids one in them.
    }
    matchers.extend(fence.iter().cloned());
    matchers.sort_by_cached_key(Matcher::to_string); // As they are written.
    matchers.dedup();
    Ok(())
}

fn check(selector: &VectorSelector) -> Result<(), PrometheusError> {
    if !selector.matchers.or_matchers.is_empty() {
        return Err(unsupported("`or` between label matchers is not PromQL of Prometheus"));
    }
    match selector.matchers.matchers.iter().find(|m| !is_label_name(&m.name)) {
        Some(m) => Err(unsupported(format!("{:?} is no label name", one_line(&m.name)))),
        None => Ok(()),
    }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`, of bounded length.
pub(crate) fn is_metric_name(text: &str) -> bool {
    is_name(text, |c| c == b':')
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, of bounded length.
pub(crate) fn is_label_name(text: &str) -> bool {
    is_name(text, |_| false)
}

fn is_name(text: &str, more: impl Fn(u8) -> bool) -> bool {
    let begins = text.bytes().next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_' || more(c));
    begins && text.len() <= 256 && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || more(c))
}

#[cfg(test)]
mod tests;
