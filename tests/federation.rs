//! Callers of other trust domains: let in where the configuration lists their domain, by its own bundle and no other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use certs::development::Domain;
use certs::{Clock, SpiffeId, TrustDomain};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use world::{Agent, Plan, World};

const PARTNER: &str = "partner.test";

/// Another trust domain, with a folder for its files.
struct Partner {
    folder: TempDir,
    domain: Domain,
}

impl Partner {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let domain = authority(&folder.path().join("ca"));
        let partner = Self { folder, domain };
        partner.publishes(&partner.domain);
        partner
    }

    fn bundle_file(&self) -> String {
        self.folder.path().join("bundle.pem").display().to_string()
    }

    /// Writes an authority's certificate where the gateway looks.
    fn publishes(&self, domain: &Domain) {
        certs::files::write(Path::new(&self.bundle_file()), domain.bundle().as_bytes(), 0o644).unwrap();
    }

    fn clerk(&self) -> SpiffeId {
        self.domain.id("agent/clerk").unwrap()
    }

    /// Its agent, with alice's token for it.
    fn agent(&self, world: &World) -> Agent {
        let (id, now) = (self.clerk(), world.clock.now());
        let svid = self.domain.write_svid(&self.folder.path().join("clerk"), &id, &[], now).unwrap();
        let token = world.token_for(&id, |_| {});
        Agent::new(&world.url, &world.trust_bundle(), Some(&svid)).with_token(&token)
    }
}

fn authority(folder: &Path) -> Domain {
    Domain::open(folder, &TrustDomain::new(PARTNER).unwrap(), &Clock::system()).unwrap()
}

async fn world(trust_domains: String) -> World {
    certs::install_crypto();
    World::with(Plan { trust_domains, ..Plan::default() }).await
}

fn listing() -> serde_json::Value {
    json!({"name": "post_entry", "arguments": {"amount_cents": 1}})
}

#[tokio::test]
async fn a_caller_of_a_listed_trust_domain_is_let_in_and_one_of_another_is_not() {
    let partner = Partner::new();
    let listed = world(format!("{{{PARTNER}: {{bundle_file: {}}}}}", partner.bundle_file())).await;
    assert_eq!(partner.agent(&listed).post_entry(1).await.result(), "posted");
    assert_eq!(listed.only_record()["caller"], partner.clerk().to_string());

    let unlisted = world(format!("{{other.test: {{bundle_file: {}}}}}", partner.bundle_file())).await;
    assert!(partner.agent(&unlisted).rpc("tools/call", listing()).send().await.is_err());
    assert!(unlisted.ledger.received().is_empty());
    let cause = unlisted.records("connection")[0]["cause"].as_str().unwrap().to_owned();
    assert!(cause.contains("trust domain partner.test is not served here"), "{cause}");
}

#[tokio::test]
async fn nobody_but_a_domain_itself_says_who_belongs_to_it() {
    let (partner, impostor) = (Partner::new(), Partner::new());
    let world = world(format!("{{{PARTNER}: {{bundle_file: {}}}}}", partner.bundle_file())).await;
    assert_eq!(partner.agent(&world).post_entry(1).await.result(), "posted");
    assert!(impostor.agent(&world).rpc("tools/call", listing()).send().await.is_err());
    assert_eq!(world.ledger.received().len(), 1);
}

#[tokio::test]
async fn a_bundle_that_changes_ends_who_it_covered_and_lets_in_who_it_covers() {
    let (before, after) = (Partner::new(), Partner::new());
    let world = world(format!("{{{PARTNER}: {{bundle_file: {}}}}}", before.bundle_file())).await;
    let old = before.agent(&world);
    assert_eq!(old.post_entry(1).await.result(), "posted");
    before.publishes(&after.domain);
    while world.gateway.identity_generation() < 1 {
        tokio::task::yield_now().await;
    }
    let reply = old.post_entry(2).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (403, "identity_not_valid"));
    assert_eq!(after.agent(&world).post_entry(3).await.result(), "posted");
    assert_eq!(world.clerk().post_entry(4).await.result(), "posted", "our own are as they were");
}

#[tokio::test]
async fn the_bundle_of_each_domain_is_followed() {
    let (before, after) = (Partner::new(), Partner::new());
    let from = format!("{{bundle_file: {}}}", before.bundle_file());
    let world = world(format!("{{alpha.test: {from}, {PARTNER}: {from}, zeta.test: {from}}}")).await;
    assert_eq!(before.agent(&world).post_entry(1).await.result(), "posted");
    before.publishes(&after.domain);
    while after.agent(&world).rpc("tools/call", listing()).send().await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(after.agent(&world).post_entry(2).await.result(), "posted");
}

/// A bundle endpoint of profile `https_spiffe`: proves by the partner's SVID who it is, and gives the bundle as it is now.
async fn endpoint(partner: &Partner, bundle: Arc<Mutex<String>>) -> String {
    let id = partner.domain.id("bundle-endpoint").unwrap();
    let issued = partner.domain.issue(&id, &[], certs::development::SVID_TTL, Clock::system().now()).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.private_key.as_bytes()).unwrap();
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/bundle", tcp.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            let Ok(stream) = tls.accept(stream).await else { continue };
            let answer = hyper::service::service_fn(|_| {
                let text = bundle.lock().unwrap().clone();
                async { Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(text)))) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        }
    });
    url
}

/// The SPIFFE bundle format, with a hint of a second.
fn document(sequence: u64, authorities: &[&Domain]) -> String {
    let keys: Vec<_> = authorities
        .iter()
        .map(|domain| {
            let der = CertificateDer::from_pem_slice(domain.bundle().as_bytes()).unwrap();
            json!({"kty": "EC", "use": "x509-svid", "x5c": [STANDARD.encode(&der)]})
        })
        .collect();
    json!({"spiffe_sequence": sequence, "spiffe_refresh_hint": 1, "keys": keys}).to_string()
}

#[tokio::test]
async fn a_bundle_endpoint_is_asked_as_often_as_its_hint_says() {
    let (partner, successor) = (Partner::new(), Partner::new());
    let bundle = Arc::new(Mutex::new(document(1, &[&partner.domain])));
    let url = endpoint(&partner, Arc::clone(&bundle)).await;
    let world = world(format!(
        "{{{PARTNER}: {{bundle_file: {}, bundle_endpoint: {{url: \"{url}\", spiffe_id: \"spiffe://{PARTNER}/bundle-endpoint\"}}}}}}",
        partner.bundle_file()
    ))
    .await;
    assert_eq!(partner.agent(&world).post_entry(1).await.result(), "posted");
    assert!(successor.agent(&world).rpc("tools/call", listing()).send().await.is_err());
    *bundle.lock().unwrap() = document(2, &[&partner.domain, &successor.domain]);
    while world.gateway.identity_generation() < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(successor.agent(&world).post_entry(2).await.result(), "posted");
    assert_eq!(partner.agent(&world).post_entry(3).await.result(), "posted");
}

#[tokio::test]
async fn an_endpoint_that_is_somebody_else_is_not_believed() {
    let (partner, successor) = (Partner::new(), Partner::new());
    let bundle = Arc::new(Mutex::new(document(1, &[&successor.domain])));
    let url = endpoint(&partner, bundle).await;
    let world = world(format!(
        "{{{PARTNER}: {{bundle_file: {}, bundle_endpoint: {{url: \"{url}\", spiffe_id: \"spiffe://{PARTNER}/bundle-endpoints\"}}}}}}",
        partner.bundle_file()
    ))
    .await;
    assert_eq!(partner.agent(&world).post_entry(1).await.result(), "posted", "what it began with stays");
    assert!(successor.agent(&world).rpc("tools/call", listing()).send().await.is_err());
}
