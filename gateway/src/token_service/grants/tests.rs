#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;
use std::time::UNIX_EPOCH;

/// RFC 7636, Appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http://127.0.0.1:5000/cb";
const GATEWAY: &str = "https://gateway.test/mcp/s3";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn grants() -> Grants {
    Grants::new(2, 2, Duration::from_secs(60))
}

fn allowed() -> Allowed {
    Allowed {
        user: "alice".into(),
        agent: "spiffe://a.test/agent/demo".into(),
        client: "inspector".into(),
        resource: GATEWAY.into(),
        scopes: ["s3:read".to_owned(), "s3:write".to_owned()].into(),
    }
}

fn code(grants: &mut Grants) -> String {
    grants.code(allowed(), REDIRECT, CHALLENGE, at(3600), at(0)).unwrap()
}

fn usual() -> Presented<'static> {
    Presented { client: "inspector", redirect: REDIRECT, verifier: VERIFIER, resource: Some(GATEWAY) }
}

fn refused(grants: &mut Grants, code: &str, by: &Presented<'_>, now: SystemTime) -> GivesNothing {
    grants.redeem(code, by, now).unwrap_err()
}

#[test]
fn a_code_gives_what_was_allowed() {
    let mut grants = grants();
    let code = code(&mut grants);
    let given = grants.redeem(&code, &usual(), at(59)).unwrap();
    assert_eq!((given.allowed, given.ends), (allowed(), at(3600)));
}

#[test]
fn a_code_is_its_clients_and_its_challenges_and_over_once_it_was_presented() {
    let other = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl";
    for (by, why) in [
        (Presented { client: "other", ..usual() }, GivesNothing::OthersCode),
        (Presented { redirect: "http://127.0.0.1:5001/cb", ..usual() }, GivesNothing::Redirect),
        (Presented { verifier: other, ..usual() }, GivesNothing::Verifier),
        (Presented { verifier: CHALLENGE, ..usual() }, GivesNothing::Verifier),
        (Presented { verifier: "", ..usual() }, GivesNothing::Verifier),
        (Presented { resource: Some("https://other.test"), ..usual() }, GivesNothing::Resource),
    ] {
        let mut grants = grants();
        let code = code(&mut grants);
        assert_eq!(refused(&mut grants, &code, &by, at(1)), why);
        assert_eq!(refused(&mut grants, &code, &usual(), at(1)), GivesNothing::CodeAgain(vec![]));
    }
    let mut grants = grants();
    let code = code(&mut grants);
    assert_eq!(refused(&mut grants, &code, &usual(), at(60)), GivesNothing::Code, "a minute was enough");
}

#[test]
fn a_code_that_comes_again_ends_what_it_gave() {
    let mut grants = grants();
    let code = code(&mut grants);
    let given = grants.redeem(&code, &usual(), at(1)).unwrap();
    grants.note(&given.id, "old".into(), at(2), at(1)).unwrap();
    grants.note(&given.id, "jti".into(), at(601), at(500)).unwrap();
    let again = refused(&mut grants, &code, &usual(), at(501));
    assert_eq!(
        again,
        GivesNothing::CodeAgain(vec![("jti".into(), at(601))]),
        "what is over by itself needs no end"
    );
    let refresh = grants.refresh(given.refresh.expose(), "inspector", None, None, at(502)).unwrap_err();
    assert_eq!(refresh, GivesNothing::Refresh);
    let late = grants.note(&given.id, "late".into(), at(1100), at(502));
    assert_eq!(late, Err(GivesNothing::Ended), "a token that was being signed meanwhile is nobody's");
}

#[test]
fn a_refresh_token_is_changed_each_time_and_one_that_comes_again_ends_the_grant() {
    let mut grants = grants();
    let code = code(&mut grants);
    let first = grants.redeem(&code, &usual(), at(1)).unwrap();
    grants.note(&first.id, "one".into(), at(601), at(1)).unwrap();
    let second = grants.refresh(first.refresh.expose(), "inspector", Some(GATEWAY), None, at(2)).unwrap();
    assert_ne!(first.refresh, second.refresh);
    assert_eq!((second.allowed.clone(), second.ends), (allowed(), at(3600)), "and it lasts no longer for it");
    grants.note(&second.id, "two".into(), at(602), at(2)).unwrap();

    let again = grants.refresh(first.refresh.expose(), "inspector", None, None, at(3)).unwrap_err();
    assert_eq!(again, GivesNothing::RefreshAgain(vec![("one".into(), at(601)), ("two".into(), at(602))]));
    let newest = grants.refresh(second.refresh.expose(), "inspector", None, None, at(4)).unwrap_err();
    assert_eq!(newest, GivesNothing::Refresh, "the newest has ended too");
}

#[test]
fn a_refresh_token_gives_no_more_than_was_allowed() {
    let mut grants = grants();
    let code = code(&mut grants);
    let given = grants.redeem(&code, &usual(), at(1)).unwrap();
    let set = |scopes: &[&str]| Some(scopes.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>());
    let mut refresh = |client: &str, resource: Option<&str>, scopes, now| {
        grants.refresh(given.refresh.expose(), client, resource, scopes, now).unwrap_err()
    };
    assert_eq!(refresh("other", None, None, at(2)), GivesNothing::OthersRefresh);
    assert_eq!(refresh("inspector", Some("https://other.test"), None, at(2)), GivesNothing::Resource);
    assert_eq!(refresh("inspector", None, set(&["s3:read", "s3:admin"]), at(2)), GivesNothing::Scope);
    assert_eq!(refresh("inspector", None, set(&[]), at(2)), GivesNothing::Scope);
    assert_eq!(refresh("inspector", None, None, at(3600)), GivesNothing::Refresh, "over");

    let mut grants = super::tests::grants();
    let code = super::tests::code(&mut grants);
    let given = grants.redeem(&code, &usual(), at(1)).unwrap();
    let fewer = grants.refresh(given.refresh.expose(), "inspector", None, set(&["s3:read"]), at(2)).unwrap();
    assert_eq!(Some(fewer.allowed.scopes), set(&["s3:read"]));
    let all = grants.refresh(fewer.refresh.expose(), "inspector", None, None, at(3)).unwrap();
    assert_eq!(all.allowed, allowed(), "fewer for once (RFC 6749 §6)");
}

#[test]
fn a_client_ends_its_own_grant_and_no_other() {
    let mut grants = grants();
    let code = code(&mut grants);
    let given = grants.redeem(&code, &usual(), at(1)).unwrap();
    grants.note(&given.id, "jti".into(), at(601), at(1)).unwrap();
    assert_eq!(grants.revoke(given.refresh.expose(), "other"), Err(GivesNothing::OthersRefresh));
    assert_eq!(grants.revoke("unknown.token", "inspector"), Ok(None));
    assert_eq!(grants.revoke(given.refresh.expose(), "inspector"), Ok(Some(vec![("jti".into(), at(601))])));
    assert_eq!(grants.revoke(given.refresh.expose(), "inspector"), Ok(None));
}

#[test]
fn codes_and_grants_are_bounded() {
    let mut grants = grants();
    let (one, two) = (code(&mut grants), code(&mut grants));
    let full = |grants: &mut Grants, now| grants.code(allowed(), REDIRECT, CHALLENGE, at(3600), now).is_err();
    assert!(full(&mut grants, at(0)), "two codes wait");
    grants.redeem(&one, &usual(), at(1)).unwrap();
    assert!(!full(&mut grants, at(1)));
    grants.redeem(&two, &usual(), at(1)).unwrap();
    assert!(full(&mut grants, at(2)), "two grants are open");
    assert!(!full(&mut grants, at(3600)));
}
