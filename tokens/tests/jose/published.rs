//! Published examples, and signatures whose padding was tampered with.
//!
//! `rfc.json`: the examples of RFC 7520 §4, RFC 7515 A and RFC 8037 A. `rsa_padding.txt`: signatures with the private key of
//! RFC 7520 §4.1 over blocks that are no PKCS #1 v1.5 padding (RFC 8017 §9.2), except for the first. `wycheproof.txt`: Project
//! Wycheproof's 401 signatures. Of its valid ones, those are refused here that are made with a shared secret or on P-521, and
//! two whose key names another algorithm than their header.

use crate::keys;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokens::jws::signed;

fn published() -> Vec<Value> {
    serde_json::from_str(include_str!("rfc.json")).unwrap()
}

#[test]
fn of_the_published_examples_those_that_we_accept_verify_and_no_others() {
    let (mut verified, mut refused) = (0, 0);
    for row in published() {
        let source = row["source"].as_str().unwrap();
        let outcome = signed(row["jws"].as_str().unwrap(), &keys(&row["key"]));
        assert_eq!(outcome.is_ok(), row["accepted"].as_bool().unwrap(), "{source}: {outcome:?}");
        if outcome.is_ok() { verified += 1 } else { refused += 1 }
    }
    assert_eq!((verified, refused), (4, 6));
}

#[test]
fn a_published_example_with_any_byte_changed_is_refused() {
    let mut refused = 0;
    for row in published().iter().filter(|row| row["accepted"] == true) {
        let (keys, jws) = (keys(&row["key"]), row["jws"].as_str().unwrap());
        for position in 0..jws.len() {
            let mut changed = jws.as_bytes().to_vec();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(signed(&changed, &keys).is_err(), "{} at {position}", row["source"]);
            refused += 1;
        }
    }
    assert!(refused > 1500, "{refused}");
}

#[test]
fn a_published_example_under_another_algorithm_is_refused() {
    let mut refused = 0;
    for row in published().iter().filter(|row| row["accepted"] == true) {
        let jws = row["jws"].as_str().unwrap();
        let (header, rest) = jws.split_once('.').unwrap();
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        for other in [
            "none", "None", "nOnE", "", "HS256", "HS512", "RS384", "PS256", "ES384", "ES512", "ES256K", "RSA",
        ] {
            let mut header = header.clone();
            header["alg"] = other.into();
            let jws = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
            assert!(signed(&jws, &keys(&row["key"])).is_err(), "{} as {other}", row["source"]);
            refused += 1;
        }
    }
    assert_eq!(refused, 48);
}

#[test]
fn a_changed_rsa_padding_is_refused() {
    let rsa = &published()[0]["key"];
    let keys = keys(&json!({"kty": "RSA", "n": rsa["n"], "e": rsa["e"]}));
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#), URL_SAFE_NO_PAD.encode("foo"));
    let rows: Vec<(&str, &str)> =
        include_str!("rsa_padding.txt").lines().map(|row| row.split_once('|').unwrap()).collect();
    assert_eq!(rows.len(), 13);
    for (name, signature) in rows {
        let outcome = signed(&format!("{message}.{signature}"), &keys);
        assert_eq!(outcome.is_ok(), name == "as it must be", "{name}: {outcome:?}");
    }
}

#[test]
fn of_wycheproofs_signatures_no_invalid_one_verifies_and_each_valid_one_that_we_accept_does() {
    let (mut key, mut verified, mut declined, mut refused) = (Value::Null, 0, Vec::new(), 0);
    for row in include_str!("wycheproof.txt").lines().filter(|row| !row.starts_with('#')) {
        let [id, comment, result, _, jws] = match row.split('\t').collect::<Vec<_>>()[..] {
            ["group", _, jwk] => {
                key = serde_json::from_str(jwk).unwrap();
                continue;
            }
            [id, comment, result, flags, jws] => [id, comment, result, flags, jws],
            _ => panic!("{row}"),
        };
        let jws = if jws == "(empty)" { "" } else { jws };
        match (result, signed(jws, &keys(&key))) {
            ("valid", Ok(_)) => verified += 1,
            ("valid", Err(_)) => declined.push(format!("{} {}", key["kty"], key["alg"]).replace('"', "")),
            ("invalid", Err(_)) => refused += 1,
            (_, outcome) => panic!("{id} {comment}: {outcome:?}"),
        }
    }
    let count = |what| declined.iter().filter(|one| *one == what).count();
    assert_eq!((verified, refused, declined.len()), (32, 355, 14));
    assert_eq!((count("oct HS256"), count("EC ES521"), count("RSA PS256")), (10, 2, 2)); // ES521: the file's name for it.
}
