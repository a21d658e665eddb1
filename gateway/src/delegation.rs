//! Chains of actors: an agent that was called calls onward with the credential that it got, and the next one again.
//! A token's chain (RFC 8693 §4.1 `act`) is judged in stage 3, a new credential's in stage 6: it must carry the chain on.

use crate::identity::Caller;
use crate::token::SubjectToken;
use std::collections::HashSet;
use tokens::Claims;

/// Why a token's chain of actors is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Too many agents have handed it on.
    #[error("the chain has {found} actors, and may have {max} (limits.actors_max)")]
    TooDeep {
        /// How many there are.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// An agent has called another a second time on behalf of one call: that is how circles go.
    #[error("{from} has called {to} twice")]
    RepeatedEdge {
        /// Who called.
        from: String,
        /// Whom.
        to: String,
    },
}

/// Judges the chain that a caller presents: not too deep, and nobody has called the same agent twice. The same agent may
/// come twice, called by different ones.
///
/// # Errors
/// [`ChainError`].
pub fn chain(caller: &Caller, subject: Option<&SubjectToken>, actors_max: usize) -> Result<(), ChainError> {
    judge(caller.spiffe_id(), subject.map_or(&[], SubjectToken::actors), actors_max)
}

/// `caller` was called by the first actor, that one by the second, and so on; the last one was called by the subject.
fn judge(caller: &str, actors: &[String], actors_max: usize) -> Result<(), ChainError> {
    if actors.len() > actors_max {
        return Err(ChainError::TooDeep { found: actors.len(), max: actors_max });
    }
    let called = [caller].into_iter().chain(actors.iter().map(String::as_str));
    let mut edges = HashSet::new();
    for (from, to) in actors.iter().map(String::as_str).zip(called) {
        if !edges.insert((from, to)) {
            return Err(ChainError::RepeatedEdge { from: from.into(), to: to.into() });
        }
    }
    Ok(())
}

/// Whether a new credential is about the same subject and carries its token's chain on: the caller in front of it, and
/// nothing else changed. Where the chain is not believed, since its issuer is not, it may also be left out.
pub fn carried_on(credential: &Claims, caller: &str, token: &Claims, believed: &[String]) -> bool {
    let Some((acts, earlier)) = credential.actors.split_first() else { return false };
    credential.sub == token.sub && acts == caller && (earlier == believed || earlier == token.actors)
}

/// Whether a new credential allows no more than the one that its caller was given: scopes only shrink from hop to hop. What
/// a person's own token opens is for the token service to say.
pub fn narrowed(credential: &Claims, caller: &str, token: &Claims) -> bool {
    token.aud != [caller] || credential.scopes.is_subset(&token.scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(chain: &[&str], max: usize) -> Result<(), ChainError> {
        let actors: Vec<String> = chain.iter().skip(1).map(|name| (*name).to_owned()).collect();
        judge(chain.first().copied().unwrap_or_default(), &actors, max)
    }

    #[test]
    fn a_chain_may_be_as_deep_as_the_limit_and_no_deeper() {
        assert_eq!(judged(&["a"], 1), Ok(()));
        assert_eq!(judged(&["c", "b", "a"], 2), Ok(()));
        assert_eq!(judged(&["c", "b", "a"], 1), Err(ChainError::TooDeep { found: 2, max: 1 }));
    }

    #[test]
    fn the_same_agent_may_come_twice_but_not_be_called_twice_by_the_same() {
        assert_eq!(judged(&["a", "b", "a"], 8), Ok(()), "a called b, and b called a");
        assert_eq!(judged(&["c", "a", "b", "a"], 8), Ok(()), "then a called c");
        let twice = |from: &str, to: &str| Err(ChainError::RepeatedEdge { from: from.into(), to: to.into() });
        assert_eq!(judged(&["b", "a", "b", "a"], 8), twice("a", "b"));
        assert_eq!(judged(&["c", "b", "a", "b", "a"], 8), twice("a", "b"));
        assert_eq!(judged(&["a", "a"], 8), Ok(()), "an agent may call itself");
        assert_eq!(judged(&["a", "a", "a"], 8), twice("a", "a"), "once");
    }

    fn claims(aud: &str, scopes: &[&str], actors: &[&str]) -> Claims {
        Claims {
            sub: "alice".into(),
            aud: vec![aud.into()],
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            actors: actors.iter().map(|actor| (*actor).to_owned()).collect(),
            ..Claims::default()
        }
    }

    #[test]
    fn a_credential_carries_the_chain_on_and_changes_nothing_in_it() {
        let token = claims("b", &[], &["a", "front"]);
        let carried = |actors: &[&str]| carried_on(&claims("c", &[], actors), "b", &token, &token.actors);
        assert!(carried(&["b", "a", "front"]));
        for changed in [
            &["b"][..],
            &["b", "a"],
            &["b", "front"],
            &["b", "front", "a"],
            &["a", "front"],
            &["b", "b", "a", "front"],
            &["b", "a", "other"],
            &[],
        ] {
            assert!(!carried(changed), "{changed:?}");
        }
        let bobs = Claims { sub: "bob".into(), ..claims("c", &[], &["b", "a", "front"]) };
        assert!(!carried_on(&bobs, "b", &token, &token.actors));
    }

    #[test]
    fn a_chain_that_is_not_believed_is_carried_on_or_left_out() {
        let token = claims("b", &[], &["a"]);
        let carried = |actors: &[&str]| carried_on(&claims("c", &[], actors), "b", &token, &[]);
        assert!(carried(&["b"]) && carried(&["b", "a"]));
        assert!(!carried(&["b", "x"]) && !carried(&["a"]));
    }

    #[test]
    fn a_credential_for_an_agent_opens_no_more_than_it_says() {
        let given = claims("b", &["x", "y"], &["a"]);
        assert!(narrowed(&claims("c", &["x", "y"], &[]), "b", &given));
        assert!(narrowed(&claims("c", &["y"], &[]), "b", &given));
        assert!(!narrowed(&claims("c", &["y", "z"], &[]), "b", &given));
        let person = claims("https://gateway.test", &["deploy"], &[]);
        assert!(narrowed(&claims("c", &["s3:put_object"], &[]), "b", &person));
    }
}
