//! Runs the tests of a policy set, as `opa test` understands them: rules `test_…` in packages that end in `_test`.
//!
//! Each definition of a test is run alone, so that one which fails isn't hidden by another of the same name. A test
//! with sub-cases, `test_x[name] if { some name, case in …; … }`, is run twice: once as written, once cut behind the
//! statement that names the cases. A sub-case that the first run lacks has failed.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use regorus::unstable::{AssignOp, Expr, Literal, LiteralStmt, Module as Parsed, Ref, Rule, RuleHead, Span};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::bundle::{self, Bundle, Module, Problem, Role, SourceFile, spelled};
use crate::obligations::kind;

/// The time for one test.
const TEST_TIME: ExecutionTimerConfig = ExecutionTimerConfig {
    limit: Duration::from_secs(10),
    check_interval: NonZeroU32::MIN.saturating_add(63),
};

/// What came of all tests of a set.
#[derive(Clone, Debug)]
pub struct Report {
    /// In the order of files and of the tests in them.
    pub cases: Vec<Case>,
}

/// One test.
#[derive(Clone, Debug)]
pub struct Case {
    /// The package, as Rego spells it.
    pub package: String,
    /// The rule; its second definition ends in `#2`.
    pub name: String,
    /// The file's path.
    pub file: String,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub duration: Duration,
    /// What there is to say: sub-cases that failed, an error's text, what the test printed. May be empty.
    pub note: String,
}

/// What came of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is true.
    Passed,
    /// It is false, undefined, or a sub-case of it is.
    Failed,
    /// It could not be evaluated; this fails a run as well.
    Error,
    /// Its name starts with `todo_`.
    Skipped,
}

impl Report {
    /// How many tests passed.
    pub fn passed(&self) -> usize {
        self.count(|outcome| outcome == Outcome::Passed)
    }

    /// How many failed or could not be evaluated.
    pub fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Failed | Outcome::Error))
    }

    /// How many are still to be done.
    pub fn skipped(&self) -> usize {
        self.count(|outcome| outcome == Outcome::Skipped)
    }

    fn count(&self, wanted: impl Fn(Outcome) -> bool) -> usize {
        self.cases.iter().filter(|case| wanted(case.outcome)).count()
    }
}

/// Runs all tests, or those whose `package.name` contains `filter`.
///
/// Built-in errors are errors, as they are in decisions.
///
/// # Errors
/// The problems that keep the set from loading.
pub fn run(files: &[SourceFile], filter: Option<&str>) -> Result<Report, Vec<Problem>> {
    let bundle = bundle::bundle(files)?;
    bundle.engine(false)?; // What decisions see must also stand without the tests.
    let mut engine = bundle::bundle(&with_listers(files, &bundle))?.engine(true)?;
    engine.set_execution_timer_config(TEST_TIME);
    let parsed = engine.get_modules().clone();

    let mut cases = Vec::new();
    let mut names = BTreeSet::new();
    for module in bundle.modules.iter().filter(|module| module.place.role == Role::Test) {
        let package = spelled(&module.place.package);
        let Some(parsed) = parsed.iter().find(|parsed| parsed.package.span.source.get_path() == &module.path)
        else {
            continue;
        };
        for (number, rule) in parsed.policy.iter().enumerate() {
            let Some(test) = Test::of(rule) else { continue };
            let mut name = test.name.clone();
            let mut definition = 1_u32;
            while !names.insert((package.clone(), name.clone())) {
                definition = definition.saturating_add(1);
                name = format!("{}#{definition}", test.name);
            }
            if filter.is_some_and(|filter| !format!("{package}.{name}").contains(filter)) {
                continue;
            }
            let start = Instant::now();
            let mut engine = engine.clone();
            let ran = catch_unwind(AssertUnwindSafe(|| {
                let ran = test.run(&mut engine, module, parsed, rule, number);
                let prints = engine.take_prints().unwrap_or_default();
                (ran, prints)
            }));
            let (ran, prints) =
                ran.unwrap_or_else(|_| (Err("the evaluator panicked".to_owned()), Vec::new()));
            let (outcome, note) = ran.unwrap_or_else(|error| (Outcome::Error, error));
            let note: Vec<String> =
                std::iter::once(note).filter(|note| !note.is_empty()).chain(prints).collect();
            let (file, duration) = (module.path.clone(), start.elapsed());
            cases.push(Case {
                package: package.clone(),
                name,
                file,
                outcome,
                duration,
                note: note.join("\n"),
            });
        }
    }
    Ok(Report { cases })
}

/// A rule that is a test.
struct Test<'a> {
    name: String,
    /// What names a sub-case: `test_x[kind][name]` has two keys, `test_x` none, `test_x contains name` one.
    keys: Vec<&'a Expr>,
    set: bool,
    function: bool,
    statements: &'a [LiteralStmt],
}

impl<'a> Test<'a> {
    fn of(rule: &'a Rule) -> Option<Self> {
        let Rule::Spec { head, bodies, .. } = rule else { return None };
        let (refr, member, function) = match head {
            RuleHead::Compr { refr, .. } => (refr, None, false),
            RuleHead::Set { refr, key, .. } => (refr, key.as_ref(), false),
            RuleHead::Func { refr, .. } => (refr, None, true),
        };
        let (path, _) = bundle::reference(refr)?;
        let name = path.first().filter(|name| name.starts_with("test_") || name.starts_with("todo_test_"))?;
        let mut keys = Vec::new();
        let mut expr: &Expr = refr;
        while let Expr::RefBrack { refr, index, .. } = expr {
            keys.insert(0, index.as_ref());
            expr = refr;
        }
        keys.extend(member.map(AsRef::as_ref));
        let statements = bodies.first().map(|body| body.query.stmts.as_slice()).unwrap_or_default();
        Some(Self { name: name.clone(), keys, set: member.is_some(), function, statements })
    }

    fn run(
        &self,
        engine: &mut Engine,
        module: &Module,
        parsed: &Ref<Parsed>,
        rule: &Ref<Rule>,
        number: usize,
    ) -> Result<(Outcome, String), String> {
        if self.name.starts_with("todo_") {
            return Ok((Outcome::Skipped, String::new()));
        }
        if self.function {
            return Err("a test takes no arguments".to_owned());
        }
        let expected = match self.keys.as_slice() {
            [] => None,
            _ if self.lister(number).is_none() => {
                let fix = "name the sub-case first: some name, case in cases";
                return Err(format!("its sub-cases can't be counted; {fix}"));
            }
            _ => {
                let path = spelled(&module.own(&[lister_name(number)]));
                Some(engine.eval_rule(path).map_err(|error| format!("{error:#}"))?)
            }
        };
        let data = engine.eval_rule_in_module(parsed, rule, false).map_err(|error| format!("{error:#}"))?;
        let mut value = &data;
        for name in module.own(std::slice::from_ref(&self.name)).iter().skip(1) {
            value = value
                .as_object()
                .ok()
                .and_then(|object| object.get(&name.as_str().into()))
                .unwrap_or(&Value::Undefined);
        }
        let Some(expected) = expected else {
            return Ok(match value {
                Value::Bool(true) => (Outcome::Passed, String::new()),
                Value::Bool(false) => (Outcome::Failed, "false".to_owned()),
                other => (Outcome::Failed, kind(other).to_owned()),
            });
        };
        self.compare(&expected, value)
    }

    /// Holds the sub-cases that should be against those that are true.
    fn compare(&self, expected: &Value, value: &Value) -> Result<(Outcome, String), String> {
        let expected = expected.as_set().map_err(|error| error.to_string())?;
        if expected.is_empty() {
            return Ok((Outcome::Failed, "it has no sub-cases".to_owned()));
        }
        let failed: Vec<String> = expected
            .iter_sorted()
            .filter(|keys| {
                let keys = keys.as_array().map(|keys| keys.iter().collect::<Vec<_>>()).unwrap_or_default();
                !self.holds(&keys, value)
            })
            .map(|keys| keys.to_string())
            .collect();
        if failed.is_empty() {
            return Ok((Outcome::Passed, String::new()));
        }
        let note = format!("{} of {} sub-cases failed: {}", failed.len(), expected.len(), failed.join(", "));
        Ok((Outcome::Failed, note))
    }

    fn holds(&self, keys: &[&Value], value: &Value) -> bool {
        if keys.len() != self.keys.len() {
            return false;
        }
        let mut value = value;
        for (depth, key) in keys.iter().enumerate() {
            if self.set && depth.saturating_add(1) == keys.len() {
                return value.as_set().is_ok_and(|set| set.contains(key));
            }
            let Some(below) = value.as_object().ok().and_then(|object| object.get(key)) else { return false };
            value = below;
        }
        *value == Value::from(true)
    }

    /// The source of a rule that lists the sub-cases. None: no statement binds all their names.
    fn lister(&self, number: usize) -> Option<String> {
        let mut missing = BTreeSet::new();
        self.keys.iter().for_each(|key| variables(key, &mut missing));
        let mut kept = Vec::new();
        let mut statements = self.statements.iter();
        while !missing.is_empty() {
            let statement = statements.next()?;
            let mut bound = BTreeSet::new();
            bindings(statement, &mut bound);
            missing.retain(|name| !bound.contains(name));
            kept.push(source(&statement.span));
        }
        let keys: Vec<&str> = self.keys.iter().map(|key| source(key.span())).collect();
        let head = format!("{} contains [{}]", lister_name(number), keys.join(", "));
        Some(if kept.is_empty() { head } else { format!("{head} if {{\n{}\n}}", kept.join("\n")) })
    }
}

fn lister_name(number: usize) -> String {
    format!("sub_cases_of_rule_{number}")
}

/// The files, with a rule behind each test file's own for each of its tests that has sub-cases.
fn with_listers(files: &[SourceFile], bundle: &Bundle) -> Vec<SourceFile> {
    let mut files = files.to_vec();
    for file in &mut files {
        let test = |module: &&Module| module.path == file.path && module.place.role == Role::Test;
        let Some(module) = bundle.modules.iter().find(test) else { continue };
        for (number, rule) in module.parsed.policy.iter().enumerate() {
            let Some(test) = Test::of(rule).filter(|test| !test.keys.is_empty()) else { continue };
            if let Some(lister) = test.lister(number) {
                file.text.push_str("\n\n");
                file.text.push_str(&lister);
                file.text.push('\n');
            }
        }
    }
    files
}

/// The source of a span. The parser's span of a string lacks its quotes, and so does all that begins or ends with one.
fn source(span: &Span) -> &str {
    let contents = span.source.get_contents();
    let at = |place: u32| usize::try_from(place).unwrap_or(usize::MAX);
    let quote = |place: usize| matches!(contents.as_bytes().get(place), Some(b'"' | b'`'));
    let (start, end) = (at(span.start), at(span.end));
    let start = start.checked_sub(1).filter(|before| quote(*before)).unwrap_or(start);
    let end = if quote(end) { end.saturating_add(1) } else { end };
    contents.get(start..end).unwrap_or_default()
}

/// Names that a statement gives a value, whatever else holds.
fn bindings(statement: &LiteralStmt, bound: &mut BTreeSet<String>) {
    match &statement.literal {
        Literal::SomeIn { key, value, .. } => {
            key.iter().for_each(|key| variables(key, bound));
            variables(value, bound);
        }
        Literal::Expr { expr, .. } => {
            if let Expr::AssignExpr { op: AssignOp::ColEq, lhs, rhs, .. } = expr.as_ref() {
                variables(lhs, bound);
                let mut reference: &Expr = rhs;
                while let Expr::RefBrack { refr, index, .. } = reference {
                    variables(index, bound);
                    reference = refr;
                }
            }
        }
        Literal::SomeVars { .. } | Literal::NotExpr { .. } | Literal::Every { .. } => {}
    }
}

/// The names in a pattern.
fn variables(expr: &Expr, names: &mut BTreeSet<String>) {
    match expr {
        Expr::Var { span, .. } => {
            names.insert(span.text().to_owned());
        }
        Expr::Array { items, .. } => items.iter().for_each(|item| variables(item, names)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| variables(value, names)),
        Expr::Call { params, .. } => params.iter().for_each(|param| variables(param, names)),
        Expr::RefDot { refr, .. } => variables(refr, names),
        Expr::RefBrack { refr, index, .. } => {
            variables(refr, names);
            variables(index, names);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
