//! Engines for parts of a set. The evaluator looks through all modules that its engine has, so each package is asked in an
//! engine that holds what it can see and little else: what a decision costs doesn't grow with the set.
//!
//! Packages that stand side by side share an engine as long as it stays small, since each engine has the libraries and the
//! guard in it once more.

use std::collections::BTreeSet;
use std::sync::Arc;

use regorus::Engine;

use super::index::Index;
use super::{Bundle, Module, Problem, Role, in_order};

/// Modules that an engine of several packages holds at most.
const MODULES_MAX: usize = 16;

/// The engine of each module.
pub(crate) struct Groups {
    engines: Vec<Arc<Engine>>,
    /// By the number of the module.
    of: Vec<Option<usize>>,
}

impl Groups {
    /// Puts the modules that decisions see into engines. What no package uses is put into one too: its problems count.
    pub(crate) fn new(bundle: &Bundle, index: &Index<'_>) -> Result<Self, Vec<Problem>> {
        let needed = needed(bundle, index);
        let role = |number: usize| bundle.modules.get(number).map(|module| module.place.role);
        let mut groups: Vec<(Vec<usize>, BTreeSet<usize>)> = Vec::new();
        let mut covered = BTreeSet::<usize>::new();
        for wanted in [Role::Entry, Role::Guard, Role::Library] {
            for number in (0..bundle.modules.len()).filter(|number| role(*number) == Some(wanted)) {
                if wanted != Role::Entry && covered.contains(&number) {
                    continue;
                }
                let modules = closure(number, &needed);
                covered.extend(&modules);
                match groups.last_mut() {
                    Some((seeds, group)) if group.union(&modules).count() <= MODULES_MAX => {
                        seeds.push(number);
                        group.extend(modules);
                    }
                    _ => groups.push((vec![number], modules)),
                }
            }
        }
        let mut of = vec![None; bundle.modules.len()];
        let (mut engines, mut problems) = (Vec::new(), Vec::new());
        for (seeds, group) in groups {
            let modules: Vec<&Module> =
                group.iter().filter_map(|number| bundle.modules.get(*number)).collect();
            match bundle.prepared(&modules) {
                Ok(engine) => engines.push(Arc::new(engine)),
                Err(more) => problems.extend(more),
            }
            for seed in seeds {
                if let Some(place) = of.get_mut(seed) {
                    *place = engines.len().checked_sub(1);
                }
            }
        }
        if problems.is_empty() { Ok(Self { engines, of }) } else { Err(in_order(problems)) }
    }

    /// The engine in which a module's rules are asked.
    pub(crate) fn engine(&self, module: usize) -> Option<&Arc<Engine>> {
        self.engines.get((*self.of.get(module)?)?)
    }
}

/// What each module needs beside it. A package's denials are those of the packages above it and of the guard as well.
fn needed(bundle: &Bundle, index: &Index<'_>) -> Vec<BTreeSet<usize>> {
    let numbered = || bundle.modules.iter().enumerate();
    let guard: Vec<usize> =
        numbered().filter(|(_, module)| module.place.role == Role::Guard).map(|(number, _)| number).collect();
    numbered()
        .map(|(number, module)| {
            if !module.decides() {
                return BTreeSet::new();
            }
            let mut needed = index.needed(number);
            needed.insert(number);
            if module.place.role == Role::Entry {
                needed.extend(&guard);
                needed.extend(index.packages_above(&module.own(&[])));
            }
            needed
        })
        .collect()
}

fn closure(start: usize, needed: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let (mut found, mut waiting) = (BTreeSet::from([start]), vec![start]);
    while let Some(number) = waiting.pop() {
        let fresh = needed.get(number).into_iter().flatten().filter(|number| found.insert(**number));
        waiting.extend(fresh.copied().collect::<Vec<_>>());
    }
    found
}
