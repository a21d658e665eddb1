//! All rules of a set by their full path, and what follows from that: who uses whom.

use std::collections::{BTreeMap, BTreeSet};

use super::module::{Call, Module, Rule, Shape};
use crate::reads::Reads;

/// A rule by the position of its module and of itself in it.
pub(crate) type Position = (usize, usize);

/// What rules read, with all that they use.
pub(crate) struct RuleReads {
    /// Of the input.
    pub(crate) input: Reads,
    /// The functions that they name, those of the policy set among them.
    pub(crate) functions: BTreeSet<String>,
}

/// The rules of some modules, by path from `data`.
pub(crate) struct Index<'a> {
    modules: &'a [Module],
    rules: BTreeMap<Vec<String>, Vec<Position>>,
    /// The modules of each package.
    packages: BTreeMap<Vec<String>, Vec<usize>>,
}

impl<'a> Index<'a> {
    /// Of all modules, or only of those that decisions see.
    pub(crate) fn new(modules: &'a [Module], with_tests: bool) -> Self {
        let mut index = Self { modules, rules: BTreeMap::new(), packages: BTreeMap::new() };
        for (number, module) in modules.iter().enumerate() {
            if !with_tests && !module.decides() {
                continue;
            }
            index.packages.entry(module.own(&[])).or_default().push(number);
            for (position, rule) in module.rules.iter().enumerate() {
                index.rules.entry(module.own(&rule.name)).or_default().push((number, position));
            }
        }
        index
    }

    /// A rule and its module.
    pub(crate) fn get(&self, (module, rule): Position) -> Option<(&'a Module, &'a Rule)> {
        let module = self.modules.get(module)?;
        Some((module, module.rules.get(rule)?))
    }

    /// All definitions under exactly this path.
    pub(crate) fn at(&self, path: &[String]) -> &[Position] {
        self.rules.get(path).map(Vec::as_slice).unwrap_or_default()
    }

    /// All rules whose value a read of this path can touch.
    pub(crate) fn touched(&self, path: &[String]) -> Vec<Position> {
        let above = (1..path.len()).filter_map(|length| path.get(..length)).flat_map(|above| self.at(above));
        let below = self.rules.range(path.to_vec()..).take_while(|(name, _)| name.starts_with(path));
        above.chain(below.flat_map(|(_, positions)| positions)).copied().collect()
    }

    /// A package at or below this path.
    pub(crate) fn package_below(&self, path: &[String]) -> Option<&Vec<String>> {
        let (name, _) = self.packages.range(path.to_vec()..).next()?;
        Some(name).filter(|name| name.starts_with(path))
    }

    /// The modules of the packages above a path.
    pub(crate) fn packages_above(&self, path: &[String]) -> impl Iterator<Item = usize> {
        let above = (1..path.len()).filter_map(|length| path.get(..length));
        above.filter_map(|above| self.packages.get(above)).flatten().copied()
    }

    /// The modules of the packages at, above or below a path: all that a read of it can see.
    fn modules_around(&self, path: &[String]) -> impl Iterator<Item = usize> {
        let below = self.packages.range(path.to_vec()..).take_while(|(name, _)| name.starts_with(path));
        self.packages_above(path).chain(below.flat_map(|(_, modules)| modules).copied())
    }

    /// The modules that a module needs beside it: whose rules it uses, and all that its reads and imports can see.
    pub(crate) fn needed(&self, number: usize) -> BTreeSet<usize> {
        let Some(module) = self.modules.get(number) else { return BTreeSet::new() };
        let mut needed: BTreeSet<usize> =
            self.packages.get(&module.own(&[])).into_iter().flatten().copied().collect();
        let reads =
            module.rules.iter().flat_map(|rule| &rule.uses.reads).map(|read| module.resolve(&read.path));
        let imports = module.imports.values().map(|import| import.path.clone());
        for path in reads.chain(imports).filter(|path| path.first().is_some_and(|root| root == "data")) {
            needed.extend(self.modules_around(&path));
        }
        let rules = (0..module.rules.len()).flat_map(|rule| self.used((number, rule), true));
        needed.extend(rules.map(|(module, _)| module));
        needed
    }

    /// The definitions of the function that a call means, none for a built-in or nothing.
    pub(crate) fn function(&self, module: &Module, name: &[String]) -> Vec<Position> {
        let is_function = |position: &Position| {
            self.get(*position).is_some_and(|(_, rule)| matches!(rule.shape, Shape::Function(_)))
        };
        self.at(&module.resolve(name)).iter().copied().filter(is_function).collect()
    }

    /// What a rule uses: functions that it calls or puts in the place of others, and, if asked, rules that it reads.
    pub(crate) fn used(&self, position: Position, with_reads: bool) -> Vec<Position> {
        let Some((module, rule)) = self.get(position) else { return Vec::new() };
        let called =
            |call: &Call| call.name.as_ref().map(|name| self.function(module, name)).unwrap_or_default();
        let mut used: Vec<Position> = rule.uses.calls.iter().flat_map(called).collect();
        used.extend(rule.uses.stand_ins.iter().flat_map(|read| self.function(module, &read.path)));
        if with_reads {
            used.extend(rule.uses.reads.iter().flat_map(|read| self.touched(&module.resolve(&read.path))));
        }
        used
    }

    /// These rules and all that they use, directly or through others.
    pub(crate) fn reached(&self, from: &[Position]) -> Vec<Position> {
        let mut seen: BTreeSet<Position> = from.iter().copied().collect();
        let mut reached = from.to_vec();
        let mut next = 0_usize;
        while let Some(position) = reached.get(next).copied() {
            reached.extend(self.used(position, true).into_iter().filter(|used| seen.insert(*used)));
            next = next.saturating_add(1);
        }
        reached
    }

    /// What these rules read, with all that they use.
    pub(crate) fn reads(&self, from: &[Position]) -> RuleReads {
        let mut found = RuleReads { input: Reads::nothing(), functions: BTreeSet::new() };
        for (module, rule) in self.reached(from).into_iter().filter_map(|position| self.get(position)) {
            for read in &rule.uses.reads {
                if let [root, path @ ..] = module.resolve(&read.path).as_slice()
                    && root == "input"
                {
                    found.input.add(path);
                }
            }
            found.functions.extend(rule.uses.named_functions());
        }
        found
    }

    /// The first rule, at or behind these, that can read this part of the input, and its line.
    pub(crate) fn reader(&self, from: &[Position], target: &[&str]) -> Option<(&'a Module, u32)> {
        self.reached(from).into_iter().filter_map(|position| self.get(position)).find_map(|(module, rule)| {
            let reads = |path: &[String]| {
                let mut reads = Reads::nothing();
                reads.add(path);
                reads.touches(target)
            };
            let read = rule.uses.reads.iter().find(|read| {
                matches!(module.resolve(&read.path).as_slice(), [root, path @ ..] if root == "input" && reads(path))
            })?;
            Some((module, read.line))
        })
    }

    /// The functions that call themselves, directly or through others.
    pub(crate) fn recursive(&self) -> Vec<Position> {
        let mut found = Vec::new();
        for position in self.rules.values().flatten() {
            let mut seen = BTreeSet::new();
            let mut waiting = self.used(*position, false);
            while let Some(used) = waiting.pop() {
                if used == *position {
                    found.push(*position);
                    break;
                }
                if seen.insert(used) {
                    waiting.extend(self.used(used, false));
                }
            }
        }
        found
    }

    /// The rules whose evaluation can nest more than so many levels, those of the rules that they use included.
    pub(crate) fn deep(&self, levels_max: usize) -> Vec<Position> {
        let mut depths = BTreeMap::new();
        let starts: Vec<Position> = self.rules.values().flatten().copied().collect();
        starts.iter().for_each(|start| self.measure(*start, &mut depths));
        starts
            .into_iter()
            .filter(|start| depths.get(start).is_some_and(|depth| *depth > levels_max))
            .collect()
    }

    /// Depth-first with a stack of its own: a long chain must not be what overflows ours.
    fn measure(&self, start: Position, depths: &mut BTreeMap<Position, usize>) {
        let mut open = BTreeSet::new();
        let mut stack = vec![start];
        while let Some(position) = stack.last().copied() {
            if depths.contains_key(&position) {
                stack.pop();
                continue;
            }
            let used = self.used(position, true);
            if open.insert(position) {
                let fresh =
                    used.into_iter().filter(|used| !open.contains(used) && !depths.contains_key(used));
                stack.extend(fresh);
                continue;
            }
            let below = used.iter().filter_map(|used| depths.get(used)).max().copied().unwrap_or_default();
            let own = self.get(position).map_or(0, |(_, rule)| rule.uses.levels).saturating_add(1);
            depths.insert(position, below.saturating_add(own));
            stack.pop();
        }
    }
}
