//! Chains of actors: an agent that was called calls onward with the credential that it got, and the next one again.
//! A token's chain (RFC 8693 §4.1 `act`) is judged in stage 3, a new credential's in stage 6: it must carry the chain on.

use crate::config::Server;
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
    let actors = subject.map_or(&[][..], SubjectToken::actors);
    if actors.len() > actors_max {
        return Err(ChainError::TooDeep { found: actors.len(), max: actors_max });
    }
    in_no_circle(&[caller.spiffe_id()], actors)
}

/// Judges the call that is about to be made: its caller may not have called the same agent on behalf of the same call before.
/// It is asked behind the permit, since who may not call must not learn who is behind a name.
///
/// # Errors
/// [`ChainError::RepeatedEdge`]; nothing has gone upstream.
pub fn onward(caller: &Caller, subject: Option<&SubjectToken>, server: &Server) -> Result<(), ChainError> {
    let actors = subject.map_or(&[][..], SubjectToken::actors);
    if actors.is_empty() {
        return Ok(()); // It is the first call of all.
    }
    in_no_circle(&[&server.spiffe_id.to_string(), caller.spiffe_id()], actors)
}

/// Each name was called by the one behind it, and the last one by the subject.
fn in_no_circle(last: &[&str], actors: &[String]) -> Result<(), ChainError> {
    let chain = || last.iter().copied().chain(actors.iter().map(String::as_str));
    let mut edges = HashSet::new();
    for (from, to) in chain().skip(1).zip(chain()) {
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

    fn judged(chain: &[&str]) -> Result<(), ChainError> {
        let actors: Vec<String> = chain.iter().skip(1).map(|name| (*name).to_owned()).collect();
        in_no_circle(&chain[..1], &actors)
    }

    #[test]
    fn the_same_agent_may_come_twice_but_not_be_called_twice_by_the_same() {
        assert_eq!(judged(&["a", "b", "a"]), Ok(()), "a called b, and b called a");
        assert_eq!(judged(&["c", "a", "b", "a"]), Ok(()), "then a called c");
        let twice = |from: &str, to: &str| Err(ChainError::RepeatedEdge { from: from.into(), to: to.into() });
        assert_eq!(judged(&["b", "a", "b", "a"]), twice("a", "b"));
        assert_eq!(judged(&["c", "b", "a", "b", "a"]), twice("a", "b"));
        assert_eq!(judged(&["a", "a"]), Ok(()), "an agent may call itself");
        assert_eq!(judged(&["a", "a", "a"]), twice("a", "a"), "once");
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
