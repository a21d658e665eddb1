//! From files to an engine that can be asked: parsed, checked, refused with every problem at once.

mod builtins;
mod checks;
mod groups;
mod index;
mod module;
mod place;

use std::collections::BTreeSet;
use std::fmt;

use aws_lc_rs::digest;
use regorus::{Engine, Value};

pub(crate) use builtins::{CLOCK, set_clock, varies};
pub(crate) use groups::Groups;
pub(crate) use index::{Index, RuleReads};
pub(crate) use module::{Module, reference};
pub(crate) use place::{Role, spelled};

/// A file of a policy set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path relative to the set's root, with `/` separators: `tools/s3/get_object.rego`, `data.json`.
    pub path: String,
    /// What stands in it.
    pub text: String,
}

/// One thing that keeps a policy set from loading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's path, as it was given.
    pub path: String,
    /// The line, from 1, when it is known.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {} ({})", self.message, self.fix)
    }
}

impl std::error::Error for Problem {}

/// A checked set, not yet in an engine.
pub(crate) struct Bundle {
    pub(crate) modules: Vec<Module>,
    data: Option<Value>,
    sources: Vec<SourceFile>,
}

/// Reads and checks all files of a set.
pub(crate) fn bundle(files: &[SourceFile]) -> Result<Bundle, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut bundle = Bundle { modules: Vec::new(), data: None, sources: files.to_vec() };
    bundle.sources.sort_by(|a, b| a.path.cmp(&b.path));
    let mut seen = BTreeSet::new();
    for file in &bundle.sources {
        if !seen.insert(&file.path) {
            problems.push(file.problem("there are two files of this path", "remove one"));
            continue;
        }
        match file.kind() {
            Ok(Kind::Rego(stem)) => match module(file, stem) {
                Ok(module) => bundle.modules.push(module),
                Err(problem) => problems.push(problem),
            },
            Ok(kind) => match data(file, &kind) {
                Ok(_) if bundle.data.is_some() => {
                    problems.push(file.problem("there are two data files", "keep data.json or data.yaml"));
                }
                Ok(data) => bundle.data = Some(data),
                Err(problem) => problems.push(problem),
            },
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        problems = checks::problems(&bundle.modules);
    }
    if problems.is_empty() {
        return Ok(bundle);
    }
    Err(in_order(problems))
}

impl Bundle {
    /// `sha256:` and the digest in hex, over the files in the order of their paths.
    pub(crate) fn revision(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in self.sources.iter().flat_map(|file| [&file.path, &file.text]) {
            // The length keeps a path's end and a text's start apart.
            context.update(format!("{}:", part.len()).as_bytes());
            context.update(part.as_bytes());
        }
        let hex: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }

    /// The files, in the order of their paths.
    pub(crate) fn into_sources(self) -> Vec<SourceFile> {
        self.sources
    }

    /// An engine with all modules in it, with or without the tests.
    pub(crate) fn engine(&self, with_tests: bool) -> Result<Engine, Vec<Problem>> {
        let chosen: Vec<&Module> =
            self.modules.iter().filter(|module| with_tests || module.decides()).collect();
        self.prepared(&chosen)
    }

    /// An engine with some modules, ready to be cloned for each question.
    fn prepared(&self, modules: &[&Module]) -> Result<Engine, Vec<Problem>> {
        self.first_prepared(modules).map_err(|first| {
            // The engine stops at its first problem; each file alone shows the others.
            let mut problems: Vec<Problem> =
                modules.iter().filter_map(|module| self.first_prepared(&[module]).err()).collect();
            if !problems.iter().any(|problem| problem.path == first.path) {
                problems.push(first);
            }
            in_order(problems)
        })
    }

    fn first_prepared(&self, modules: &[&Module]) -> Result<Engine, Problem> {
        let path = modules.first().map(|module| module.path.as_str()).unwrap_or_default();
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(true);
        engine.set_gather_prints(true); // Else a policy's print goes to standard error.
        builtins::bound(&mut engine).map_err(|error| engine_problem(path, &error))?;
        for module in modules {
            let added = engine.add_policy(module.path.clone(), module.text().to_owned());
            added.map_err(|error| engine_problem(&module.path, &format!("{error:#}")))?;
        }
        if let Some(data) = &self.data {
            engine.add_data(data.clone()).map_err(|error| engine_problem("data", &format!("{error:#}")))?;
        }
        // Asking anything analyses all modules: done here once, and shared by all clones.
        let analysed = engine.eval_query("true".to_owned(), false);
        analysed.map_err(|error| engine_problem(path, &format!("{error:#}")))?;
        Ok(engine)
    }
}

enum Kind<'a> {
    Rego(&'a str),
    Json,
    Yaml,
}

impl SourceFile {
    fn problem(&self, message: impl Into<String>, fix: &str) -> Problem {
        Problem { path: self.path.clone(), line: None, message: message.into(), fix: fix.to_owned() }
    }

    fn kind(&self) -> Result<Kind<'_>, Problem> {
        if !place::well_formed(&self.path) {
            return Err(self.problem("not a path inside of a policy set", "use a/b.rego"));
        }
        match self.path.as_str() {
            "data.json" => Ok(Kind::Json),
            "data.yaml" => Ok(Kind::Yaml),
            path => path.strip_suffix(".rego").map(Kind::Rego).ok_or_else(|| {
                let message = "a policy set holds .rego files, and one data.json or data.yaml at its root";
                self.problem(message, "move or rename the file")
            }),
        }
    }
}

impl Module {
    pub(crate) fn problem(&self, line: u32, message: impl Into<String>, fix: &str) -> Problem {
        Problem { path: self.path.clone(), line: Some(line), message: message.into(), fix: fix.to_owned() }
    }
}

fn module(file: &SourceFile, stem: &str) -> Result<Module, Problem> {
    let place = place::of_rego(stem).map_err(|misplaced| file.problem(misplaced.message, &misplaced.fix))?;
    let mut engine = Engine::new();
    let added = engine.add_policy(file.path.clone(), file.text.clone());
    added.map_err(|error| engine_problem(&file.path, &format!("{error:#}")))?;
    let parsed = engine.get_modules().first().cloned();
    let parsed = parsed.ok_or_else(|| file.problem("not a Rego file", "start it with a package"))?;
    let module = Module::read(&file.path, place, parsed).map_err(|line| Problem {
        line: Some(line),
        ..file.problem("the name of a rule can't be told", "start it with a plain name")
    })?;
    if module.declared() != module.place.package {
        let (declared, due) = (spelled(&module.declared()), spelled(&module.place.package));
        let message = format!("package {declared} is not the package of this path");
        let line = module.parsed.package.span.line;
        return Err(module.problem(line, message, &format!("write package {due}, or move the file")));
    }
    Ok(module)
}

fn data(file: &SourceFile, kind: &Kind<'_>) -> Result<Value, Problem> {
    let parsed = match kind {
        Kind::Yaml => Value::from_yaml_str(&file.text),
        _ => Value::from_json_str(&file.text),
    };
    let value = parsed.map_err(|error| file.problem(error.to_string(), "correct the syntax"))?;
    let object = value.as_object().map_err(|_| file.problem("data must be an object", "write { … }"))?;
    let taken = object.keys().filter_map(|key| key.as_string().ok());
    if let Some(root) = taken.into_iter().find(|key| place::ROOTS.contains(&key.as_ref())) {
        let message = format!("data may not define {root}: packages of that name do");
        return Err(file.problem(message, "use another name at the top"));
    }
    Ok(value)
}

/// Takes the engine's text apart: `--> path:line:column`, an excerpt, `error: message`.
fn engine_problem(path: &str, text: &str) -> Problem {
    let place = text.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
    let mut parts = place.unwrap_or_default().rsplitn(3, ':');
    let (_column, line, named) = (parts.next(), parts.next(), parts.next());
    let message = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("not valid Rego");
    Problem {
        path: named.filter(|named| !named.is_empty()).unwrap_or(path).to_owned(),
        line: line.and_then(|line| line.parse().ok()),
        message: message.strip_prefix("error: ").unwrap_or(message).to_owned(),
        fix: "correct the Rego".to_owned(),
    }
}

fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|a, b| (&a.path, a.line, &a.message).cmp(&(&b.path, b.line, &b.message)));
    problems.dedup();
    problems
}
