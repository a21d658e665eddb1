#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::super::{Binding, Method, Version, result, unframed};
use super::*;
use crate::json::Limits;
use serde_json::json;
use std::path::Path;

/// The vectors that official SDKs made, by name.
fn vectors() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/a2a/cards");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let vector = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            found.push((path.file_stem().unwrap().to_string_lossy().into_owned(), vector));
        }
    }
    assert!(found.len() > 40, "{} vectors", found.len());
    found
}

/// What is refused, since the SDKs differ on it or read it only by another name.
fn refused(name: &str) -> Option<CardError> {
    let path = |path: &str| path.to_owned();
    Some(match name {
        "wire-both-names" => CardError::OtherName { path: path("card.supported_interfaces") },
        "wire-snake-case" => CardError::OtherName { path: path("card.default_input_modes") },
        "wire-wrong-type" => CardError::Type { path: path("card.name") },
        "deep" => CardError::Depth,
        _ => return None,
    })
}

fn canonical(card: &Value) -> Result<String, CardError> {
    Ok(String::from_utf8(Card::read(card)?.canonical().unwrap()).unwrap())
}

#[test]
fn what_is_signed_is_what_both_sdks_sign() {
    for (name, vector) in vectors() {
        let made = canonical(&vector["card"]);
        if let Some(error) = refused(&name) {
            assert_eq!(made, Err(error), "{name}");
            continue;
        }
        // A 0.3 card lacks a member that was signed.
        let same = name != "served-js-0.3";
        assert_eq!(made.unwrap() == vector["canonical"], same, "{name}");
    }
}

#[test]
fn a_changed_byte_is_seen_where_the_sdks_see_it() {
    let mut changed = 0;
    for (name, vector) in vectors() {
        let Some(twin) = vector["twin"].as_object().filter(|_| refused(&name).is_none()) else { continue };
        let mut card = vector["card"].clone();
        for (member, value) in twin {
            card[member] = value.clone();
        }
        let unseen = vector["twin_verdicts"]["a2a-sdk"].as_bool().unwrap();
        assert_eq!(canonical(&card).unwrap() == vector["canonical"], unseen, "{name}");
        changed += 1;
    }
    assert!(changed > 30, "{changed} twins");
}

#[test]
fn a_header_has_what_both_sdks_ask_for() {
    let of = |header: Value| {
        use base64::Engine;
        let protected = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header.to_string());
        CardSignature { protected, signature: String::new() }.header()
    };
    let read =
        of(json!({"alg": "ES256", "kid": "k", "typ": "JOSE", "jku": "https://a.test/keys", "more": 1}))
            .unwrap();
    assert_eq!((read.alg.as_str(), read.kid.as_str()), ("ES256", "k"));
    assert_eq!(read.jku.as_deref(), Some("https://a.test/keys"));
    for (name, header) in [
        ("alg", json!({"kid": "k", "typ": "JOSE"})),
        ("kid", json!({"alg": "ES256", "kid": "", "typ": "JOSE"})),
        ("typ", json!({"alg": "ES256", "kid": "k"})),
        ("jku", json!({"alg": "ES256", "kid": "k", "typ": "JOSE", "jku": 5})),
    ] {
        assert_eq!(of(header), Err(HeaderError::Parameter { name }));
    }
    for name in ["crit", "b64"] {
        let mut header = json!({"alg": "ES256", "kid": "k", "typ": "JOSE"});
        header[name] = json!(["b64"]);
        assert_eq!(of(header), Err(HeaderError::Critical));
    }
    assert_eq!(of(json!(["ES256"])), Err(HeaderError::Json));
    let spoiled = CardSignature { protected: "e30=".to_owned(), signature: String::new() };
    assert_eq!(spoiled.header(), Err(HeaderError::Encoding));
}

#[test]
fn a_scheme_that_is_two_things_is_refused() {
    let card = json!({"securitySchemes": {"s": {"mtlsSecurityScheme": {}, "httpAuthSecurityScheme": {"scheme": "Bearer"}}}});
    assert_eq!(Card::read(&card), Err(CardError::Choice { path: "card.securitySchemes.s".to_owned() }));
}

#[test]
fn a_key_that_one_sdk_drops_is_refused() {
    let text = r#"{"capabilities": {"extensions": [{"uri": "u", "params": {"a": [{"__proto__": 1}]}}]}}"#;
    let card: Value = serde_json::from_str(text).unwrap();
    let path = "card.capabilities.extensions.params".to_owned();
    assert_eq!(Card::read(&card), Err(CardError::ReservedKey { path }));
}

#[test]
fn an_integer_is_written_as_the_double_that_it_becomes() {
    let card = json!({"capabilities": {"extensions": [{"params": {"n": 9_007_199_254_740_993_u64}}]}});
    assert_eq!(
        canonical(&card).unwrap(),
        r#"{"capabilities":{"extensions":[{"params":{"n":9007199254740992}}]}}"#
    );
}

#[test]
fn what_a_card_offers_is_read_in_the_words_of_both_versions_and_each_once() {
    let one = |binding, version, tenant: &str| Interface { binding, version, tenant: tenant.to_owned() };
    let place = |binding: &str, version: &str, tenant: &str| json!({"url": "https://a.test/", "protocolBinding": binding, "protocolVersion": version, "tenant": tenant});
    let card = json!({
        "supportedInterfaces": [
            place("JSONRPC", "1.0", ""), place("JSONRPC", "1.0.1", ""), place("GRPC", "1.0", "t"),
            place("SOAP", "1.0", ""), place("JSONRPC", "1.1", ""), place("JSONRPC", "10", ""), {},
        ],
        "url": "https://a.test/", "additionalInterfaces": [{"url": "https://b.test/", "transport": "HTTP+JSON"}, {"transport": "JSONRPC"}],
    });
    let found = interfaces(&card);
    let (first, second) = (one(Binding::JsonRpc, Version::V1_0, ""), one(Binding::Grpc, Version::V1_0, "t"));
    let (third, fourth) =
        (one(Binding::JsonRpc, Version::V0_3, ""), one(Binding::HttpJson, Version::V0_3, ""));
    assert_eq!(found, [first.clone(), second, third, fourth]);
    let members = older::members(&found, "https://gateway.test/a2a/a", true);
    assert_eq!(
        Value::Object(members),
        json!({
            "url": "https://gateway.test/a2a/a", "preferredTransport": "JSONRPC", "protocolVersion": "0.3.0",
            "additionalInterfaces": [{"url": "https://gateway.test/a2a/a", "transport": "HTTP+JSON"}],
            "supportsAuthenticatedExtendedCard": true,
        })
    );
    assert!(
        older::members(&[first], "https://gateway.test/a2a/a", true).is_empty(),
        "nothing of it is 0.3's"
    );
}

#[test]
fn a_0_3_card_that_an_sdk_signed_is_the_one_that_it_signed_in_todays_words() {
    let (_, vector) = vectors().into_iter().find(|(name, _)| name == "served-js-0.3").unwrap();
    let mut card = vector["card"].clone();
    older::in_todays_words(&mut card);
    assert_eq!(canonical(&card).unwrap(), vector["canonical"]);
}

#[test]
fn an_answer_has_the_same_card_in_every_binding() {
    for (name, vector) in vectors() {
        let Ok(read) = Card::read(&vector["card"]) else { continue };
        let members = read.members().clone();
        for binding in [Binding::JsonRpc, Binding::HttpJson, Binding::Grpc] {
            let bytes = result(binding, Method::GetExtendedAgentCard, None, &members);
            let message = if binding == Binding::Grpc { unframed(&bytes).unwrap() } else { &bytes };
            if binding != Binding::Grpc && crate::json::check(message, &Limits::default()).is_err() {
                assert!(in_answer(binding, message).is_err(), "{name}: what two readers read in two ways");
                continue;
            }
            let found = in_answer(binding, message).unwrap().unwrap();
            let again = Card::read(&found).unwrap();
            assert_eq!(again.canonical().unwrap(), read.canonical().unwrap(), "{name} {binding:?}");
        }
    }
    let refusal = br#"{"jsonrpc": "2.0", "id": 1, "error": {"code": -32007, "message": "none"}}"#;
    assert_eq!(in_answer(Binding::JsonRpc, refusal).unwrap(), None);
    for neither in [
        r#"{"jsonrpc": "2.0", "id": 1}"#,
        r#"{"result": {}, "error": {}}"#,
        r#"{"result": {}, "result": {}}"#,
    ] {
        assert!(in_answer(Binding::JsonRpc, neither.as_bytes()).is_err(), "{neither}");
    }
}

#[test]
fn a_pin_holds_to_what_an_agent_is_and_not_to_where_it_is() {
    let at = |url: &str, skill: &str| {
        let card = json!({"supportedInterfaces": [{"url": url, "protocolBinding": "JSONRPC"}], "skills": [{"id": skill}]});
        Card::read(&card).unwrap().promised().unwrap()
    };
    assert_eq!(at("https://a.test/", "s"), at("https://b.test/", "s"));
    assert_ne!(at("https://a.test/", "s"), at("https://a.test/", "t"));
}
