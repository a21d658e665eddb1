//! The people who may sign in, and how often somebody may be wrong about their passwords.

use super::random::same;
use crate::digest;
use certs::SpiffeId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, SystemTime};
use tokens::Secret;

/// A person.
#[derive(Clone, Debug)]
pub struct User {
    /// What proves that it is this person.
    pub password: Secret,
    /// What the person may give to a program.
    pub scopes: BTreeSet<String>,
    /// The workloads that may act for the person.
    pub agents: Vec<SpiffeId>,
}

/// Why nobody signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// Nobody of that name, or not that password: which of the two is not told.
    #[error("the user name or the password is not right")]
    Wrong,
    /// Too many were wrong of late.
    #[error("too many wrong passwords for this name; try again later")]
    TooMany,
}

/// When passwords were wrong of late, by user; all the names that are nobody's share one count.
#[derive(Debug)]
pub(super) struct Failures {
    max: usize,
    within: Duration,
    at: BTreeMap<Option<String>, VecDeque<SystemTime>>,
}

impl Failures {
    pub(super) fn new(max: usize, within: Duration) -> Self {
        Self { max, within, at: BTreeMap::new() }
    }

    /// Signs a person in.
    ///
    /// # Errors
    /// [`SignInError`]; while there are too many, the right password is refused too.
    pub(super) fn sign_in<'u>(
        &mut self,
        users: &'u BTreeMap<String, User>,
        name: &str,
        password: &str,
        now: SystemTime,
    ) -> Result<&'u User, SignInError> {
        let user = users.get(name);
        let failures = self.at.entry(user.map(|_| name.to_owned())).or_default();
        while failures.front().is_some_and(|at| *at + self.within <= now) {
            failures.pop_front();
        }
        if failures.len() >= self.max {
            return Err(SignInError::TooMany);
        }
        // Digests: of one length, so that the comparison tells nothing of the password's.
        let kept = digest::of(user.map_or("", |user| user.password.expose()).as_bytes());
        if let Some(user) = user
            && same(&kept, &digest::of(password.as_bytes()))
        {
            return Ok(user);
        }
        failures.push_back(now);
        Err(SignInError::Wrong)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::*;
    use std::time::UNIX_EPOCH;

    fn users() -> BTreeMap<String, User> {
        let user =
            |password| User { password: Secret::new(password), scopes: BTreeSet::new(), agents: vec![] };
        BTreeMap::from([("alice".into(), user("correct horse")), ("bob".into(), user("battery staple"))])
    }

    #[test]
    fn only_the_persons_own_password_signs_in() {
        let (users, mut failures) = (users(), Failures::new(5, Duration::from_secs(60)));
        assert!(failures.sign_in(&users, "alice", "correct horse", UNIX_EPOCH).is_ok());
        for (name, password) in
            [("alice", "battery staple"), ("bob", "correct horse"), ("alice", ""), ("", ""), ("carol", "")]
        {
            assert_eq!(
                failures.sign_in(&users, name, password, UNIX_EPOCH).unwrap_err(),
                SignInError::Wrong,
                "{name}"
            );
        }
    }

    #[test]
    fn who_is_wrong_too_often_has_to_wait_and_nobody_else() {
        let (users, mut failures) = (users(), Failures::new(3, Duration::from_secs(60)));
        for _ in 0..3 {
            assert_eq!(failures.sign_in(&users, "alice", "no", UNIX_EPOCH).unwrap_err(), SignInError::Wrong);
        }
        let mut try_at = |name: &str, password: &str, seconds| {
            failures.sign_in(&users, name, password, UNIX_EPOCH + Duration::from_secs(seconds)).map(|_| ())
        };
        assert_eq!(try_at("alice", "correct horse", 59), Err(SignInError::TooMany));
        assert_eq!(try_at("bob", "battery staple", 59), Ok(()));
        assert_eq!(try_at("alice", "correct horse", 60), Ok(()));
    }
}
