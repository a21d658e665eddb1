//! What must be so in a parsed set beyond its syntax. Every check reports all that it finds.

use super::Problem;
use super::builtins;
use super::index::{Index, Position};
use super::module::{Call, Module, Shape};
use super::place::{ROOTS, Role, spelled};

/// Levels of expressions, through all rules that use one another, at most. Each takes stack, which is finite:
/// a thread of 2 MiB holds about three times as many.
const LEVELS_MAX: usize = 512;

/// The input that a list has not, so that what decides listing may not read it.
const ARGUMENTS: [&str; 2] = ["call", "arguments"];
/// The same where agents are listed.
const MESSAGE: [&str; 2] = ["call", "message"];

/// The rules that the gateway asks.
const ASKED: [&str; 5] = ["allow", "deny", "visible", "needs_scopes", "obligations"];

/// Runs all checks.
pub(crate) fn problems(modules: &[Module]) -> Vec<Problem> {
    let all = Index::new(modules, true);
    let deciding = Index::new(modules, false);
    let mut problems = Vec::new();
    for module in modules {
        imports(module, &deciding, &mut problems);
        asked_rules(module, &mut problems);
        names(module, &all, &mut problems);
        calls(module, if module.decides() { &deciding } else { &all }, &mut problems);
        if module.decides() {
            reads(module, &deciding, &mut problems);
            visibility(module, &deciding, &mut problems);
        }
    }
    chains(&all, &mut problems);
    problems
}

fn imports(module: &Module, deciding: &Index<'_>, problems: &mut Vec<Problem>) {
    for import in module.imports.values() {
        let path = import.path.as_slice();
        let message = match path {
            [root] if matches!(root.as_str(), "input" | "data") => {
                format!("import of all of {root} says nothing")
            }
            [root, ..] if matches!(root.as_str(), "rego" | "future" | "input") => continue,
            [root, ..] if root == "data" && (!module.decides() || defined(deciding, path)) => continue,
            _ => format!("nothing defines {}", spelled(path)),
        };
        problems.push(module.problem(import.line, message, "correct or remove the import"));
    }
}

/// The rules that are asked have the form in which they are asked.
fn asked_rules(module: &Module, problems: &mut Vec<Problem>) {
    for rule in &module.rules {
        let Some(name) = rule.name.first().map(String::as_str).filter(|name| ASKED.contains(name)) else {
            continue;
        };
        let (fits, form) = match name {
            "deny" => (matches!(rule.shape, Shape::Value | Shape::Set), "deny contains \"reason\" if { … }"),
            "needs_scopes" => {
                (matches!(rule.shape, Shape::Value | Shape::Set), "needs_scopes contains \"scope\" if { … }")
            }
            "obligations" => (rule.shape == Shape::Value, "obligations := { … }"),
            "visible" => (rule.shape == Shape::Value, "visible if { … }"),
            _ => (rule.shape == Shape::Value, "allow if { … }"),
        };
        match module.place.role {
            Role::Entry | Role::Guard if !fits => {
                let message = format!("{name} is not written in the form that is asked");
                problems.push(module.problem(rule.line, message, &format!("write {form}")));
            }
            Role::Test => {
                let message =
                    format!("a file that ends in _test is a test: no decision would ask its {name}");
                let fix = "rename the rule; a tool whose name ends in _test goes into tools/<server>.rego";
                problems.push(module.problem(rule.line, message, fix));
            }
            Role::Entry | Role::Guard | Role::Library => {}
        }
    }
}

/// No rule stands where a package stands: its value would become part of that package's.
fn names(module: &Module, all: &Index<'_>, problems: &mut Vec<Problem>) {
    for rule in &module.rules {
        let Some(first) = rule.name.get(..1) else { continue };
        let Some(package) = all.package_below(&module.own(first)) else { continue };
        let message = format!("rule {} would write into package {}", spelled(first), below_data(package));
        problems.push(module.problem(rule.line, message, "give the rule another name"));
    }
}

fn calls(module: &Module, index: &Index<'_>, problems: &mut Vec<Problem>) {
    for rule in &module.rules {
        for call in &rule.uses.calls {
            if let Some((message, fix)) = wrong_call(module, index, call) {
                problems.push(module.problem(call.line, message, &fix));
            }
        }
        for stand_in in &rule.uses.stand_ins {
            let name = stand_in.path.join(".");
            if let Some(refused) = builtins::refused(&name) {
                let message = format!("{name} {}", refused.why);
                problems.push(module.problem(stand_in.line, message, refused.fix));
            }
        }
    }
}

fn wrong_call(module: &Module, index: &Index<'_>, call: &Call) -> Option<(String, String)> {
    let Some(name) = &call.name else {
        let fix = "call the function by its name";
        return Some(("the name of a function must be literal".to_owned(), fix.to_owned()));
    };
    let definitions = index.function(module, name);
    let text = name.join(".");
    if definitions.is_empty() {
        if let Some(refused) = builtins::refused(&text) {
            return Some((format!("{text} {}", refused.why), refused.fix.to_owned()));
        }
        if text == "sprintf" && !call.literal_first {
            let fix = "write the format into the call: its widths take memory";
            return Some(("the format of sprintf is not a literal string".to_owned(), fix.to_owned()));
        }
        let fix = "correct the name, import its package, or use another function";
        return (!builtins::known(&text)).then(|| (format!("there is no function {text}"), fix.to_owned()));
    }
    let fits = definitions.iter().filter_map(|position| index.get(*position)).any(|(_, rule)| {
        let Shape::Function(arity) = rule.shape else { return false };
        call.arguments == arity || call.arguments == arity.saturating_add(1)
    });
    let message = || format!("{text} is called with {} arguments, which it does not take", call.arguments);
    (!fits).then(|| (message(), "give it the arguments that its definition names".to_owned()))
}

/// A path under a root of ours that nothing defines is always undefined: `not` makes it always true.
fn reads(module: &Module, deciding: &Index<'_>, problems: &mut Vec<Problem>) {
    for read in module.rules.iter().flat_map(|rule| &rule.uses.reads) {
        let path = module.resolve(&read.path);
        let imported = read.path.first().is_some_and(|first| module.imports.contains_key(first));
        let global = imported || read.path.first().is_some_and(|first| first == "data");
        if global && !defined(deciding, &path) {
            let message = format!("nothing defines {}", spelled(&path));
            problems.push(module.problem(read.line, message, "correct the name, or add the rule"));
        }
    }
}

/// Whether a path can have a value: it is of the input, of the data files, or of a rule.
fn defined(deciding: &Index<'_>, path: &[String]) -> bool {
    match path {
        [data, root, ..] if data == "data" && ROOTS.contains(&root.as_str()) => {
            deciding.package_below(path).is_some() || !deciding.touched(path).is_empty()
        }
        _ => true,
    }
}

/// What decides listing is asked without arguments, so it may not read them.
fn visibility(module: &Module, deciding: &Index<'_>, problems: &mut Vec<Problem>) {
    let missing = match module.place.package.first().map(String::as_str) {
        Some("tools" | "resources" | "prompts") => ARGUMENTS,
        Some("agents") => MESSAGE,
        _ => return,
    };
    if module.place.role != Role::Entry {
        return;
    }
    let rules = |name: &str| deciding.at(&module.own(&[name.to_owned()]));
    let (asked, fix) = match rules("visible") {
        [] => {
            (("allow", rules("allow")), "add a rule visible that decides listing by caller, subject and tool")
        }
        visible => (("visible", visible), "decide by caller, subject and tool only"),
    };
    let (name, positions) = asked;
    if let Some((reader, line)) = deciding.reader(positions, &missing) {
        let message = match name {
            "visible" => format!("visible reads input.{}, which a list has not", missing.join(".")),
            _ => format!("allow reads input.{} and there is no visible beside it", missing.join(".")),
        };
        let place = if reader.path == module.path { String::new() } else { format!(" (in {})", reader.path) };
        let line = if place.is_empty() { line } else { first_line(deciding, positions) };
        problems.push(module.problem(line, format!("{message}{place}"), fix));
    }
}

fn first_line(index: &Index<'_>, positions: &[Position]) -> u32 {
    positions.iter().filter_map(|position| index.get(*position)).map(|(_, rule)| rule.line).min().unwrap_or(1)
}

/// Nothing that could overflow the evaluator's stack, which would end the process.
fn chains(all: &Index<'_>, problems: &mut Vec<Problem>) {
    let recursive = all.recursive();
    for (module, rule) in recursive.iter().filter_map(|position| all.get(*position)) {
        let message = format!("function {} calls itself", spelled(&rule.name));
        problems.push(module.problem(
            rule.line,
            message,
            "Rego has no recursion: use walk or a comprehension",
        ));
    }
    if !recursive.is_empty() {
        return;
    }
    for (module, rule) in all.deep(LEVELS_MAX).iter().filter_map(|position| all.get(*position)) {
        let name = spelled(&rule.name);
        let message = format!("{name} nests more than {LEVELS_MAX} levels, with the rules that it uses");
        problems.push(module.problem(rule.line, message, "shorten the chain of rules that use one another"));
    }
}

fn below_data(path: &[String]) -> String {
    spelled(path.get(1..).unwrap_or_default())
}
