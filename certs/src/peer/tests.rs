//! Certificates that are almost SVIDs, each a word away from one that is.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};

fn leaf(change: impl FnOnce(&mut CertificateParams)) -> Result<Peer, SvidError> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::URI("spiffe://a.test/agent/demo".try_into().unwrap()));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    peer(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
}

fn uri(params: &mut CertificateParams, uri: &str) {
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
}

#[test]
fn a_workloads_svid_names_it() {
    assert_eq!(leaf(|_| {}).unwrap().id.to_string(), "spiffe://a.test/agent/demo");
    assert!(leaf(|p| p.extended_key_usages.clear()).is_ok(), "extended key usage may be absent");
}

#[test]
fn a_leaf_that_may_sign_names_nobody() {
    assert!(matches!(
        leaf(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        Err(SvidError::SigningCertificate)
    ));
    assert!(matches!(leaf(|p| p.key_usages.push(KeyUsagePurpose::KeyCertSign)), Err(SvidError::KeyUsage)));
    assert!(matches!(leaf(|p| p.key_usages.push(KeyUsagePurpose::CrlSign)), Err(SvidError::KeyUsage)));
    assert!(matches!(leaf(|p| p.key_usages.clear()), Err(SvidError::KeyUsage)));
}

#[test]
fn there_is_exactly_one_uri() {
    assert!(matches!(leaf(|p| p.subject_alt_names.truncate(1)), Err(SvidError::UriSans { found: 0 })));
    let second = |p: &mut CertificateParams| {
        p.subject_alt_names.push(SanType::URI("https://a.test".try_into().unwrap()))
    };
    assert!(matches!(leaf(second), Err(SvidError::UriSans { found: 2 })));
}

#[test]
fn the_uri_is_a_workloads_spiffe_id() {
    for bad in [
        "https://a.test/agent",
        "spiffe://a.test/agent/../admin",
        "spiffe://a.test//agent",
        "spiffe:///agent",
    ] {
        assert!(matches!(leaf(|p| uri(p, bad)), Err(SvidError::SpiffeId(_))), "{bad}");
    }
    assert!(matches!(leaf(|p| uri(p, "spiffe://a.test")), Err(SvidError::NoPath)));
}

#[test]
fn extended_key_usage_has_both_or_is_absent() {
    let server_only =
        |p: &mut CertificateParams| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert!(matches!(leaf(server_only), Err(SvidError::ExtendedKeyUsage)));
}

#[test]
fn bytes_that_are_no_certificate_are_refused() {
    assert!(matches!(peer(b"-----BEGIN"), Err(SvidError::NotACertificate)));
    assert!(matches!(peer(b""), Err(SvidError::NotACertificate)));
}
