//! Tokens as an attacker writes them. Each table begins with a token that verifies; every row after it differs in one thing
//! and is refused.

use crate::keys;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokens::jws::signed;
use tokens::{Keys, SigningKey, TokenError};

/// The order of P-256 (SEC 2 §2.4.2).
const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// An issuer with one P-256 key.
struct Issuer {
    key: SigningKey,
    jwk: Value,
    keys: Keys,
}

fn issuer() -> Issuer {
    let key = SigningKey::generate().unwrap();
    let jwk = SigningKey::jwks([&key])["keys"][0].clone();
    Issuer { keys: keys(&jwk), jwk, key }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    /// A signature of 64 bytes over these characters.
    fn signature(&self, message: &str) -> Vec<u8> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, self.key.to_pkcs8()).unwrap();
        pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
    }

    /// A token with this header text and a signature that holds.
    fn token(&self, header: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(r#"{"sub":"alice"}"#));
        format!("{message}.{}", b64(self.signature(&message)))
    }

    fn header(&self) -> String {
        format!(r#"{{"alg":"ES256","kid":"{}"}}"#, self.key.kid())
    }

    /// The usual header with one more member.
    fn header_with(&self, member: &str) -> String {
        self.header().replace('}', &format!(",{member}}}"))
    }

    fn all_are_refused(&self, rows: &[(&str, String)], count: usize) {
        assert!(signed(&self.token(&self.header()), &self.keys).is_ok(), "the twin");
        for (name, token) in rows {
            assert!(signed(token, &self.keys).is_err(), "{name}: {token}");
        }
        assert_eq!(rows.len(), count);
    }
}

#[test]
fn a_header_that_says_more_than_it_may_is_refused() {
    let issuer = issuer();
    let kid = issuer.key.kid();
    let with = |member: &str| issuer.token(&issuer.header_with(member));
    let rows = [
        ("crit", with(r#""crit":["exp"]"#)),
        ("crit that is empty", with(r#""crit":[]"#)),
        ("crit that is null", with(r#""crit":null"#)),
        ("b64", with(r#""b64":false"#)),
        ("b64 as RFC 7797 has it", with(r#""b64":false,"crit":["b64"]"#)),
        ("b64 that changes nothing", with(r#""b64":true"#)),
        ("alg twice", with(r#""alg":"ES256""#)),
        ("alg twice, once escaped", with(r#""\u0061lg":"none""#)),
        ("kid twice", with(&format!(r#""kid":"{kid}""#))),
        ("typ that is a number", with(r#""typ":1"#)),
        ("another kid", issuer.token(r#"{"alg":"ES256","kid":"other"}"#)),
        ("kid with a path", issuer.token(&format!(r#"{{"alg":"ES256","kid":"./{kid}"}}"#))),
        ("kid that is an array", issuer.token(&format!(r#"{{"alg":"ES256","kid":["{kid}"]}}"#))),
        ("no alg", issuer.token(&format!(r#"{{"kid":"{kid}"}}"#))),
        ("alg in lower case", issuer.token(&format!(r#"{{"alg":"es256","kid":"{kid}"}}"#))),
        ("alg none, and a signature", issuer.token(&format!(r#"{{"alg":"none","kid":"{kid}"}}"#))),
        ("alg that is an array", issuer.token(&format!(r#"{{"alg":["ES256"],"kid":"{kid}"}}"#))),
        ("a header that is an array", issuer.token(r#"["ES256"]"#)),
        ("a header that is text", issuer.token("ES256")),
        ("text behind the header", issuer.token(&format!("{}x", issuer.header()))),
        ("a byte order mark", issuer.token(&format!("\u{feff}{}", issuer.header()))),
    ];
    issuer.all_are_refused(&rows, 21);
}

#[test]
fn a_key_that_comes_with_the_token_is_never_used() {
    let (issuer, attacker) = (issuer(), issuer());
    let kid = issuer.key.kid();
    let jwk = SigningKey::jwks([&attacker.key])["keys"][0].clone();
    let mut named_alike = jwk.clone();
    named_alike["kid"] = kid.into();
    for (member, value) in [
        ("jwk", jwk),
        ("jwk", named_alike),
        ("jku", json!("https://attacker.test/jwks")),
        ("x5u", json!("https://attacker.test/chain")),
        ("x5c", json!(["MIIB"])),
        ("x5t#S256", json!("AAAA")),
    ] {
        let header = json!({"alg": "ES256", "kid": kid, member: value}).to_string();
        let refused = signed(&attacker.token(&header), &issuer.keys);
        assert!(matches!(refused, Err(TokenError::Signature)), "{member}: {refused:?}");
        assert!(signed(&issuer.token(&header), &issuer.keys).is_ok(), "{member}: it is ignored");
        let mut nameless: Value = serde_json::from_str(&header).unwrap();
        nameless.as_object_mut().unwrap().remove("kid");
        assert!(signed(&attacker.token(&nameless.to_string()), &issuer.keys).is_err(), "{member}");
    }
}

#[test]
fn a_published_key_is_no_shared_secret() {
    let issuer = issuer();
    let point = [b"\x04".to_vec(), coordinate(&issuer.jwk, "x"), coordinate(&issuer.jwk, "y")].concat();
    let secrets = [
        issuer.jwk.to_string().into_bytes(),
        json!({ "keys": [issuer.jwk] }).to_string().into_bytes(),
        coordinate(&issuer.jwk, "x"),
        point,
        issuer.key.kid().as_bytes().to_vec(),
        Vec::new(),
    ];
    let mut rows = Vec::new();
    for secret in secrets {
        for (alg, hash) in [
            ("HS256", aws_lc_rs::hmac::HMAC_SHA256),
            ("HS384", aws_lc_rs::hmac::HMAC_SHA384),
            ("HS512", aws_lc_rs::hmac::HMAC_SHA512),
        ] {
            let header = json!({"alg": alg, "kid": issuer.key.kid()}).to_string();
            let message = format!("{}.{}", b64(header), b64("{}"));
            let tag = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(hash, &secret), message.as_bytes());
            rows.push((alg, format!("{message}.{}", b64(tag.as_ref()))));
        }
    }
    issuer.all_are_refused(&rows, 18);
}

#[test]
fn a_signature_of_another_form_is_refused() {
    let issuer = issuer();
    let message = format!("{}.{}", b64(issuer.header()), b64(r#"{"sub":"alice"}"#));
    let good = issuer.signature(&message);
    let (r, s) = good.split_at(32);
    let order = hex(ORDER);
    let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, issuer.key.to_pkcs8()).unwrap();
    let asn1 = asn1.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    let zero = [0u8; 32];
    let mut one = zero;
    one[31] = 1;
    let rows = [
        ("none", vec![]),
        ("DER", asn1.as_ref().to_vec()),
        ("r = 0, s = 0", [zero, zero].concat()),
        ("r = 0", [&zero, s].concat()),
        ("s = 0", [r, &zero].concat()),
        ("r = 1, s = 1", [one, one].concat()),
        ("r = order", [&order, s].concat()),
        ("s = order", [r, &order].concat()),
        ("both the order", [order.clone(), order.clone()].concat()),
        ("all ones", vec![0xff; 64]),
        ("r and s changed over", [s, r].concat()),
        ("the first byte missing", good[1..].to_vec()),
        ("the last byte missing", good[..63].to_vec()),
        ("r alone", r.to_vec()),
        ("a zero before it", [&[0], &good[..]].concat()),
        ("a zero behind it", [&good[..], &[0]].concat()),
        ("twice", [&good[..], &good[..]].concat()),
        ("each half with a zero before", [&[0], r, &[0], s].concat()),
        ("as P-384 has it", [&[0; 16], r, &[0; 16], s].concat()),
    ];
    let rows = rows.map(|(name, signature)| (name, format!("{message}.{}", b64(signature))));
    issuer.all_are_refused(&rows, 19);
}

#[test]
fn characters_that_two_readers_read_in_two_ways_are_refused() {
    let issuer = issuer();
    let good = issuer.token(&issuer.header());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let signed_as = |header: &str, payload: &str| {
        let message = format!("{header}.{payload}");
        let signature = b64(issuer.signature(&message));
        format!("{message}.{signature}")
    };
    let spare_bits = |text: &str| {
        // The last character carries bits that say nothing: set, the text is another and the bytes are the same.
        const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let (rest, last) = text.split_at(text.len() - 1);
        let at = ALPHABET.find(last).unwrap();
        format!("{rest}{}", &ALPHABET[at + 1..at + 2])
    };
    let ones = URL_SAFE_NO_PAD.encode(r#"{"sub":"???>>>~~~"}"#);
    let rows = [
        ("padding behind the header", signed_as(&URL_SAFE.encode(format!("{} ", issuer.header())), payload)),
        ("padding behind the payload", signed_as(header, &URL_SAFE.encode(r#"{"sub":"ali"}"#))),
        ("padding behind the signature", format!("{header}.{payload}.{}", URL_SAFE.encode(&raw))),
        ("spare bits in the signature", format!("{header}.{payload}.{}", spare_bits(signature))),
        ("spare bits in the payload", signed_as(header, &spare_bits(&b64(r#"{"sub":"ali"}"#)))),
        ("the other alphabet", signed_as(header, &STANDARD.encode(r#"{"sub":"???>>>~~~"}"#))),
        ("a space before", format!(" {good}")),
        ("a line break behind", format!("{good}\n")),
        ("a line break within", good.replace('.', ".\n")),
        ("a tab in the signature", format!("{header}.{payload}.{}\t{}", &signature[..8], &signature[8..])),
        ("a zero byte behind", format!("{good}\0")),
        ("percent signs", good.replace('.', "%2E")),
        ("a letter that looks alike", good.replacen('e', "\u{435}", 1)),
        ("nothing", String::new()),
        ("dots", "..".into()),
        ("one part", header.into()),
        ("two parts", format!("{header}.{payload}")),
        ("no signature", format!("{header}.{payload}.")),
        ("no payload", format!("{header}..{signature}")),
        ("no header", format!(".{payload}.{signature}")),
        ("header and signature", format!("{header}.{signature}")),
        ("four parts", format!("{good}.")),
        ("five parts, as a JWE has", format!("{good}.{payload}.{signature}")),
        ("another payload", format!("{header}.{ones}.{signature}")),
        ("header and payload changed over", format!("{payload}.{header}.{signature}")),
        (
            "flattened JSON",
            json!({"protected": header, "payload": payload, "signature": signature}).to_string(),
        ),
        (
            "an unprotected header",
            json!({"header": {"alg": "ES256", "kid": issuer.key.kid()}, "payload": payload,
                   "signature": signature})
            .to_string(),
        ),
        (
            "general JSON",
            json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]})
                .to_string(),
        ),
    ];
    issuer.all_are_refused(&rows, 28);
}

#[test]
fn a_key_that_is_none_verifies_nothing() {
    let issuer = issuer();
    let token = issuer.token(&issuer.header());
    assert!(signed(&token, &issuer.keys).is_ok(), "the twin");
    let (x, y) = (coordinate(&issuer.jwk, "x"), coordinate(&issuer.jwk, "y"));
    let mut off = y.clone();
    off[31] ^= 1;
    let cut = |bytes: &[u8]| json!(b64(&bytes[1..]));
    let long = |bytes: &[u8]| json!(b64([&[0], bytes].concat()));
    let rows = [
        ("a point that is not on the curve", vec![("y", json!(b64(&off)))]),
        ("the point at infinity", vec![("x", json!(b64([0; 32]))), ("y", json!(b64([0; 32])))]),
        ("coordinates changed over", vec![("x", json!(b64(&y))), ("y", json!(b64(&x)))]),
        ("x cut", vec![("x", cut(&x))]),
        ("y cut", vec![("y", cut(&y))]),
        ("x longer", vec![("x", long(&x))]),
        ("a byte moved from y to x", vec![("x", json!(b64([&x[..], &y[..1]].concat()))), ("y", cut(&y))]),
        ("all of it in x", vec![("x", json!(b64([x.clone(), y.clone()].concat()))), ("y", json!(""))]),
        ("x with padding", vec![("x", json!(URL_SAFE.encode(&x)))]),
        ("no x", vec![("x", Value::Null)]),
        ("P-384", vec![("crv", json!("P-384"))]),
        ("P-521", vec![("crv", json!("P-521"))]),
        ("secp256k1", vec![("crv", json!("secp256k1"))]),
        ("Ed25519", vec![("crv", json!("Ed25519"))]),
        ("no curve", vec![("crv", Value::Null)]),
        ("RSA", vec![("kty", json!("RSA"))]),
        ("OKP", vec![("kty", json!("OKP"))]),
        ("oct", vec![("kty", json!("oct")), ("k", json!(b64(&x)))]),
        ("for ES384", vec![("alg", json!("ES384"))]),
        ("for HS256", vec![("alg", json!("HS256"))]),
        ("for encryption", vec![("use", json!("enc"))]),
        ("for wrapping", vec![("key_ops", json!(["wrapKey"]))]),
        ("private", vec![("d", json!(b64([1; 32])))]),
    ];
    assert_eq!(rows.len(), 23);
    for (name, changes) in rows {
        let mut jwk = issuer.jwk.clone();
        for (member, value) in changes {
            if value.is_null() {
                jwk.as_object_mut().unwrap().remove(member);
            } else {
                jwk[member] = value;
            }
        }
        assert!(signed(&token, &keys(&jwk)).is_err(), "{name}: {jwk}");
    }
}

#[test]
fn a_weak_rsa_key_verifies_nothing() {
    let modulus = |bytes: usize| b64([vec![0xc1], vec![0xab; bytes - 1]].concat());
    let message = format!("{}.{}", b64(r#"{"alg":"RS256"}"#), b64("{}"));
    let block = |bytes: usize| {
        // With the exponent 1 the padded block is its own signature.
        let info = hex("3031300d060960864801650304020105000420");
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message.as_bytes());
        let tail = [&[0], &info[..], hash.as_ref()].concat();
        [vec![0, 1], vec![0xff; bytes - 2 - tail.len()], tail].concat()
    };
    for (bytes, exponent) in [(256, "AQ"), (128, "AQ"), (64, "AQ"), (256, "Ag"), (256, "")] {
        let keys = keys(&json!({"kty": "RSA", "n": modulus(bytes), "e": exponent}));
        let token = format!("{message}.{}", b64(block(bytes)));
        assert!(signed(&token, &keys).is_err(), "{bytes} bytes, exponent {exponent:?}");
    }
}

fn coordinate(jwk: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
