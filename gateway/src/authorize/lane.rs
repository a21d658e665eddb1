//! Two lanes for decisions: one that is quickly made is made where it is asked; one that takes longer is made again on a
//! thread of its own, few at a time. So a policy that runs long keeps no worker from other requests.
//!
//! Whose decision was slow goes into the slow lane at once for a while. "Whose" is the package's and the caller's
//! together: a caller with costly arguments must not slow down the others of the same tool. Everybody has one decision
//! under way there at a time, so that they take turns. Places in the lane are bounded, a caller's share of them too; who
//! finds none, or waits too long, is denied.
//!
//! Slow is what used processor time. An attempt that ran out of time because the machine had others to serve says nothing
//! about the policy, and is made again.

use crate::config::Limits;
use certs::SpiffeId;
use parking_lot::Mutex;
use policy::{Asked, Decision, Input, PolicySet};
use rustix::time::{ClockId, clock_gettime};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long it is remembered that somebody's decisions are slow.
const SLOW_FOR: Duration = Duration::from_secs(60);
/// Of how many this is remembered.
const REMEMBERED_MAX: usize = 4_096;
/// What part of the lane's places one caller may have.
const SHARE: usize = 8;
/// How often an attempt is made that the machine interrupts.
const ATTEMPTS_MAX: usize = 4;

/// Makes the decisions of a gateway.
#[derive(Debug)]
pub struct Lane {
    running: Arc<Semaphore>,
    places: Arc<Mutex<Places>>,
    quick: Duration,
    full: Duration,
    wait_max: Duration,
}

/// Lets other requests on between quick decisions: many of them must not keep a worker either.
pub(crate) struct Pace {
    worker_kept_since: Instant,
    quick: Duration,
}

/// No decision: too many slow ones wait already, or this one has waited too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many slow decisions are waiting")]
pub struct Busy;

/// Whose decision it is: a package's, for a caller.
type Whose = (Arc<str>, SpiffeId);

#[derive(Debug)]
struct Places {
    free: usize,
    share: usize,
    slow: HashMap<Whose, Slow>,
    /// How many places each caller has.
    taken: HashMap<SpiffeId, usize>,
}

#[derive(Debug)]
struct Slow {
    until: Instant,
    waiting: usize,
    turn: Arc<Semaphore>,
}

/// A place in the slow lane, given back when it is dropped.
struct Place {
    places: Arc<Mutex<Places>>,
    whose: Whose,
    turn: Arc<Semaphore>,
}

impl Lane {
    /// With nobody in it. `budget`: the time for a slow decision, `quick_budget`: for one that is made where it is asked.
    pub fn new(budget: Duration, quick_budget: Duration, limits: &Limits) -> Self {
        let free = limits.slow_queue_max;
        let places =
            Places { free, share: free.div_ceil(SHARE), slow: HashMap::new(), taken: HashMap::new() };
        Self {
            running: Arc::new(Semaphore::new(limits.slow_decisions_max)),
            places: Arc::new(Mutex::new(places)),
            quick: quick_budget.min(budget),
            full: budget,
            wait_max: limits.decisions_timeout,
        }
    }

    /// For who makes many decisions, one after the other.
    pub(crate) fn pace(&self) -> Pace {
        Pace { worker_kept_since: Instant::now(), quick: self.quick }
    }

    /// Decides a call.
    ///
    /// # Errors
    /// [`Busy`].
    pub(super) async fn decide(
        &self,
        policy: &Arc<PolicySet>,
        question: &policy::Question<'_, Input<'_>>,
        caller: &SpiffeId,
    ) -> Result<Decision, Busy> {
        let case = match policy.ask(question) {
            Asked::Answered(decision) => return Ok(decision),
            Asked::Open(case) => case,
        };
        let (policy, whose) = (Arc::clone(policy), (Arc::clone(case.package()), caller.clone()));
        let attempt = move |time| match policy.judge(&case, time) {
            Decision::Denial(denial) if *denial.reason() == policy::Reason::POLICY_BUDGET => {
                Err(Decision::Denial(denial))
            }
            decision => Ok(decision),
        };
        self.run(whose, attempt).await
    }

    /// Decides whether a list shows something. What can't be decided isn't shown.
    pub(super) async fn shows(
        &self,
        policy: &Arc<PolicySet>,
        question: &policy::Question<'_, Input<'_>>,
        caller: &SpiffeId,
    ) -> bool {
        let case = match policy.ask_listing(question) {
            Asked::Answered(shown) => return shown,
            Asked::Open(case) => case,
        };
        let (policy, whose) = (Arc::clone(policy), (Arc::clone(case.package()), caller.clone()));
        let attempt = move |time| policy.judge_listing(&case, time).map_err(|_| false);
        self.run(whose, attempt).await.unwrap_or(false)
    }

    /// Tries once here, if the last time was quick; else, and if that wasn't enough, in the slow lane. An attempt's error
    /// is its answer for want of time.
    async fn run<T, F>(&self, whose: Whose, attempt: F) -> Result<T, Busy>
    where
        T: Send + 'static,
        F: FnMut(Duration) -> Result<T, T> + Send + 'static,
    {
        let mut attempt = attempt;
        let mut slow = self.places.lock().is_slow(&whose);
        if !slow {
            match uninterrupted(self.quick, &mut attempt) {
                (Ok(answer), _) => return Ok(answer),
                (Err(answer), _) if self.quick == self.full => return Ok(answer),
                (Err(_), used) => slow = used >= self.quick,
            }
        }
        let place = Place::take(&self.places, whose, slow)?;
        let both_turns = async {
            let own = Arc::clone(&place.turn).acquire_owned().await;
            (own, Arc::clone(&self.running).acquire_owned().await)
        };
        let turns = timeout(self.wait_max, both_turns).await.map_err(|_| Busy)?;
        let (full, quick) = (self.full, self.quick);
        let work = move || {
            let _turns = turns; // Held here and not by who waits, as the place is: a caller that goes leaves the work to its end.
            let (answer, used) = uninterrupted(full, &mut attempt);
            if answer.is_ok() && used < quick {
                place.was_quick();
            }
            answer
        };
        let Ok(answer) = tokio::task::spawn_blocking(work).await else { return Err(Busy) };
        let (Ok(answer) | Err(answer)) = answer;
        Ok(answer)
    }
}

/// Attempts until there is an answer, or the processor time is used up, and says how much of that was used.
fn uninterrupted<T>(
    time: Duration,
    attempt: &mut impl FnMut(Duration) -> Result<T, T>,
) -> (Result<T, T>, Duration) {
    let began = processor_time();
    for _ in 1..ATTEMPTS_MAX {
        let answer = attempt(time);
        let used = processor_time().saturating_sub(began);
        if answer.is_ok() || used >= time {
            return (answer, used);
        }
    }
    (attempt(time), processor_time().saturating_sub(began))
}

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

impl Pace {
    /// Called before each decision.
    pub(crate) async fn keep(&mut self) {
        if self.worker_kept_since.elapsed() > self.quick {
            tokio::task::yield_now().await;
            self.worker_kept_since = Instant::now();
        }
    }
}

impl Places {
    fn is_slow(&self, whose: &Whose) -> bool {
        !self.slow.is_empty() && self.slow.get(whose).is_some_and(|slow| slow.is_remembered())
    }

    fn forget_some(&mut self) {
        if self.slow.len() >= REMEMBERED_MAX {
            self.slow.retain(|_, slow| slow.is_remembered());
        }
        if self.slow.len() >= REMEMBERED_MAX {
            self.slow.retain(|_, slow| slow.waiting > 0);
        }
    }
}

impl Slow {
    fn is_remembered(&self) -> bool {
        self.waiting > 0 || Instant::now() < self.until
    }
}

impl Place {
    fn take(places: &Arc<Mutex<Places>>, whose: Whose, remember: bool) -> Result<Self, Busy> {
        let mut held = places.lock();
        held.forget_some();
        let (now, taken) = (Instant::now(), held.taken.get(&whose.1).copied().unwrap_or_default());
        let is_free = held.free > 0 && taken < held.share;
        let one = || Slow { until: now, waiting: 0, turn: Arc::new(Semaphore::new(1)) };
        let slow = held.slow.entry(whose.clone()).or_insert_with(one);
        if remember {
            slow.until = now + SLOW_FOR;
        }
        if !is_free {
            return Err(Busy);
        }
        slow.waiting += 1;
        let turn = Arc::clone(&slow.turn);
        held.free -= 1;
        held.taken.insert(whose.1.clone(), taken + 1);
        drop(held);
        Ok(Self { places: Arc::clone(places), whose, turn })
    }

    /// It went quickly this time, so the next one is tried where it is asked.
    fn was_quick(&self) {
        if let Some(slow) = self.places.lock().slow.get_mut(&self.whose) {
            slow.until = Instant::now();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.lock();
        held.free += 1;
        if let Entry::Occupied(mut taken) = held.taken.entry(self.whose.1.clone()) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
        if let Some(slow) = held.slow.get_mut(&self.whose) {
            slow.waiting -= 1;
        }
    }
}
