//! All rules of a set by their full path, and what follows from that: who uses whom.

use std::collections::{BTreeMap, BTreeSet};

use super::module::{Call, Module, Rule, Shape};

/// A rule by the position of its module and of itself in it.
pub(crate) type Position = (usize, usize);

/// The rules of some modules, by path from `data`.
pub(crate) struct Index<'a> {
    modules: &'a [Module],
    rules: BTreeMap<Vec<String>, Vec<Position>>,
    packages: BTreeSet<Vec<String>>,
}

impl<'a> Index<'a> {
    /// Of all modules, or only of those that decisions see.
    pub(crate) fn new(modules: &'a [Module], with_tests: bool) -> Self {
        let mut index = Self { modules, rules: BTreeMap::new(), packages: BTreeSet::new() };
        for (number, module) in modules.iter().enumerate() {
            if !with_tests && !module.decides() {
                continue;
            }
            index.packages.insert(module.own(&[]));
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
        self.packages.range(path.to_vec()..).next().filter(|name| name.starts_with(path))
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

    /// The first rule, at or behind these, that can read `target` of the input, or something around it.
    pub(crate) fn reader(&self, from: &[Position], target: &[&str]) -> Option<(&'a Module, u32)> {
        let mut seen: BTreeSet<Position> = from.iter().copied().collect();
        let mut waiting = from.to_vec();
        while let Some(position) = waiting.pop() {
            let (module, rule) = self.get(position)?;
            for read in &rule.uses.reads {
                let path = module.resolve(&read.path);
                if path.iter().zip(target).all(|(part, wanted)| part == wanted) {
                    return Some((module, read.line));
                }
            }
            waiting.extend(self.used(position, true).into_iter().filter(|used| seen.insert(*used)));
        }
        None
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
