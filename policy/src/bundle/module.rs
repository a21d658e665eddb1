//! What a parsed Rego file says, as far as the checks need it: its rules, what they call, what they read.

use std::collections::BTreeMap;

use regorus::unstable::{
    Expr, Literal, LiteralStmt, Module as Parsed, Query, Ref, Rule as ParsedRule, RuleHead,
};

use super::place::{Place, Role, spelled};

/// One Rego file.
pub(crate) struct Module {
    pub(crate) path: String,
    pub(crate) place: Place,
    /// What each alias stands for, from its root: `paths` for `data.lib.paths`.
    pub(crate) imports: BTreeMap<String, Import>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) parsed: Ref<Parsed>,
}

/// What an import names.
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    pub(crate) line: u32,
}

/// The form of a rule's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `name := value if …`
    Value,
    /// `name contains member if …`
    Set,
    /// `name[key] := value if …`, or a name of several parts.
    Nested,
    /// `name(x) := value if …`, with the number of arguments.
    Function(usize),
}

/// One definition of a rule.
pub(crate) struct Rule {
    /// The name below the package, up to the first part that isn't a literal.
    pub(crate) name: Vec<String>,
    pub(crate) shape: Shape,
    pub(crate) line: u32,
    pub(crate) uses: Uses,
}

/// What the definition of a rule calls and reads.
#[derive(Default)]
pub(crate) struct Uses {
    pub(crate) calls: Vec<Call>,
    /// Paths read, up to the first part that isn't a literal: whoever reads `input[x]` reads all of `input`.
    pub(crate) reads: Vec<Read>,
    /// Paths named after `with … as`: a function there may be called.
    pub(crate) stand_ins: Vec<Read>,
    /// The levels of its most nested expression: each takes stack.
    pub(crate) levels: usize,
    level: usize,
}

/// A path that a rule names, in its module's words.
pub(crate) struct Read {
    pub(crate) path: Vec<String>,
    pub(crate) line: u32,
}

/// A call of a function or a built-in.
pub(crate) struct Call {
    /// None: part of the name is not a literal.
    pub(crate) name: Option<Vec<String>>,
    pub(crate) arguments: usize,
    pub(crate) line: u32,
    /// The first argument is a string in the source.
    pub(crate) literal_first: bool,
}

impl Module {
    /// Reads a parsed file. The error is the line of a rule whose name can't be told.
    pub(crate) fn read(path: &str, place: Place, parsed: Ref<Parsed>) -> Result<Self, u32> {
        let imports = parsed
            .imports
            .iter()
            .filter_map(|import| {
                let (path, _) = reference(&import.refr)?;
                let alias = match &import.r#as {
                    Some(alias) => alias.text().to_owned(),
                    None => path.last()?.clone(),
                };
                Some((alias, Import { path, line: import.span.line }))
            })
            .collect();
        let rules = parsed.policy.iter().map(|rule| Rule::read(rule).ok_or(rule.span().line));
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { path: path.to_owned(), place, imports, rules, parsed })
    }

    /// The package as the file declares it.
    pub(crate) fn declared(&self) -> Vec<String> {
        reference(&self.parsed.package.refr).map(|(path, _)| path).unwrap_or_default()
    }

    /// The file's text.
    pub(crate) fn text(&self) -> &str {
        self.parsed.package.span.source.get_contents()
    }

    /// Whether decisions see it.
    pub(crate) fn decides(&self) -> bool {
        self.place.role != Role::Test
    }

    /// The canonical path of a rule of this name, if the module defines it.
    pub(crate) fn rule(&self, name: &str) -> Option<String> {
        let defined = self.rules.iter().any(|rule| rule.name.first().is_some_and(|first| first == name));
        defined.then(|| spelled(&self.own(&[name.to_owned()])))
    }

    /// A path in this module's words, from its root: `data`, `input`, or a rule of its own package.
    pub(crate) fn resolve(&self, path: &[String]) -> Vec<String> {
        let Some((first, rest)) = path.split_first() else { return Vec::new() };
        if matches!(first.as_str(), "data" | "input") {
            return path.to_vec();
        }
        match self.imports.get(first) {
            Some(import) => import.path.iter().chain(rest).cloned().collect(),
            None => self.own(path),
        }
    }

    /// A name of this module's own package, from the root.
    pub(crate) fn own(&self, name: &[String]) -> Vec<String> {
        let root = std::iter::once("data".to_owned());
        root.chain(self.place.package.iter().cloned()).chain(name.iter().cloned()).collect()
    }
}

impl Rule {
    fn read(rule: &ParsedRule) -> Option<Self> {
        let mut uses = Uses::default();
        let (refr, shape) = match rule {
            ParsedRule::Default { refr, args, value, .. } => {
                uses.expression(value);
                let shape = if args.is_empty() { Shape::Value } else { Shape::Function(args.len()) };
                (refr, shape)
            }
            ParsedRule::Spec { head, bodies, .. } => {
                let (refr, shape, assign) = match head {
                    RuleHead::Compr { refr, assign, .. } => (refr, Shape::Value, assign.as_ref()),
                    RuleHead::Set { refr, key, .. } => {
                        if let Some(key) = key {
                            uses.expression(key);
                        }
                        (refr, Shape::Set, None)
                    }
                    RuleHead::Func { refr, args, assign, .. } => {
                        args.iter().for_each(|arg| uses.expression(arg));
                        (refr, Shape::Function(args.len()), assign.as_ref())
                    }
                };
                if let Some(assign) = assign {
                    uses.expression(&assign.value);
                }
                for body in bodies {
                    if let Some(assign) = &body.assign {
                        uses.expression(&assign.value);
                    }
                    uses.query(&body.query);
                }
                (refr, shape)
            }
        };
        let (name, whole) = reference(refr)?;
        uses.indices(refr);
        let nested = shape == Shape::Value && (name.len() > 1 || !whole);
        let set_of_sets = shape == Shape::Set && (name.len() > 1 || !whole);
        let shape = if nested || set_of_sets { Shape::Nested } else { shape };
        Some(Self { name, shape, line: rule.span().line, uses })
    }
}

/// The literal start of a reference, and whether that is all of it. None: it doesn't start at a name.
pub(crate) fn reference(expr: &Expr) -> Option<(Vec<String>, bool)> {
    match expr {
        Expr::Var { span, .. } => Some((vec![span.text().to_owned()], true)),
        Expr::RefDot { refr, field, .. } => {
            let (mut path, whole) = reference(refr)?;
            if whole {
                path.push(field.0.text().to_owned());
            }
            Some((path, whole))
        }
        Expr::RefBrack { refr, index, .. } => {
            let (mut path, whole) = reference(refr)?;
            match index.as_ref() {
                Expr::String { value, .. } | Expr::RawString { value, .. } if whole => {
                    path.push(value.as_string().map(|text| text.to_string()).ok()?);
                    Some((path, true))
                }
                _ => Some((path, false)),
            }
        }
        _ => None,
    }
}

impl Uses {
    /// The functions that it calls by name, or puts in the place of others.
    pub(crate) fn named_functions(&self) -> impl Iterator<Item = String> {
        let called = self.calls.iter().filter_map(|call| call.name.as_ref());
        called.chain(self.stand_ins.iter().map(|read| &read.path)).map(|path| path.join("."))
    }

    fn query(&mut self, query: &Query) {
        query.stmts.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().for_each(|key| self.expression(key));
                self.expression(value);
                self.expression(collection);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expression(expr),
            Literal::Every { domain, query, .. } => {
                self.expression(domain);
                self.level = self.level.saturating_add(1);
                self.query(query);
                self.level = self.level.saturating_sub(1);
            }
        }
        for with in &statement.with_mods {
            self.indices(&with.refr);
            if let Some((path, _)) = reference(&with.r#as) {
                self.stand_ins.push(Read { path, line: with.span.line });
            }
            self.expression(&with.r#as);
        }
    }

    /// The indices of a reference that are not literals.
    fn indices(&mut self, expr: &Expr) {
        match expr {
            Expr::RefDot { refr, .. } => self.indices(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.indices(refr);
                self.expression(index);
            }
            Expr::Var { .. } => {}
            _ => self.expression(expr),
        }
    }

    fn expression(&mut self, expr: &Expr) {
        self.level = self.level.saturating_add(1);
        self.levels = self.levels.max(self.level);
        self.inside(expr);
        self.level = self.level.saturating_sub(1);
    }

    fn inside(&mut self, expr: &Expr) {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                if let Some((path, _)) = reference(expr) {
                    self.reads.push(Read { path, line: expr.span().line });
                }
                self.indices(expr);
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().for_each(|item| self.expression(item));
            }
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.expression(key);
                    self.expression(value);
                }
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expression(term);
                self.query(query);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.expression(key);
                self.expression(value);
                self.query(query);
            }
            Expr::Call { span, fcn, params, .. } => {
                let name = reference(fcn).and_then(|(name, whole)| whole.then_some(name));
                let literal_first = params.first().is_some_and(|first| {
                    matches!(first.as_ref(), Expr::String { .. } | Expr::RawString { .. })
                });
                let (arguments, line) = (params.len(), span.line);
                self.calls.push(Call { name, arguments, line, literal_first });
                params.iter().for_each(|param| self.expression(param));
            }
            Expr::UnaryExpr { expr, .. } => self.expression(expr),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.expression(lhs);
                self.expression(rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().for_each(|key| self.expression(key));
                self.expression(value);
                self.expression(collection);
            }
        }
    }
}
