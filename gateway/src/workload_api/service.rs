//! The calls of the Workload API (standard §5 and §6), each answered for whoever asks.

use super::entries::{Entry, Peer};
use super::messages::{
    Empty, JwtBundlesResponse, JwtSvid, JwtSvidRequest, JwtSvidResponse, Struct, ValidateJwtSvidRequest,
    ValidateJwtSvidResponse, X509BundlesResponse, X509Svid, X509SvidResponse,
};
use certs::development::Domain;
use certs::{Clock, IdentityError, SpiffeId};
use futures_util::stream::{Stream, unfold};
use hyper::body::Incoming;
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokens::{Expect, Keys, SigningKey};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// `typ` of a JWT-SVID (JWT-SVID standard §2.3).
const JWT: &str = "JWT";
/// How long a JWT-SVID lives.
const JWT_TTL: Duration = Duration::from_secs(300);
/// Every call must carry this header (standard, Workload Endpoint §6): no browser and no tricked proxy sends it.
const SECURITY_HEADER: &str = "workload.spiffe.io";
/// Audiences of one JWT-SVID.
const AUDIENCES_MAX: usize = 32;

/// Answers calls.
pub(super) struct Service {
    domain: Domain,
    key: SigningKey,
    entries: watch::Receiver<Vec<Entry>>,
    ttl: Duration,
    clock: Clock,
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    pub(super) fn new(
        domain: Domain,
        key: SigningKey,
        entries: watch::Receiver<Vec<Entry>>,
        ttl: Duration,
        clock: Clock,
    ) -> Self {
        Self { domain, key, entries, ttl, clock }
    }

    pub(super) async fn answer(
        self: Arc<Self>,
        peer: Arc<Peer>,
        request: http::Request<Incoming>,
    ) -> Result<http::Response<Body>, Infallible> {
        let request = request.map(Body::new);
        let Some(method) = request.uri().path().strip_prefix("/SpiffeWorkloadAPI/").map(str::to_owned) else {
            return Ok(Status::new(Code::Unimplemented, "no such service").into_http());
        };
        if request.headers().get(SECURITY_HEADER).is_none_or(|value| value != "true") {
            return Ok(Status::invalid_argument("security header missing from request").into_http());
        }
        Ok(match method.as_str() {
            "FetchX509SVID" => self.streams(request, move |service| service.x509_svids(&peer)).await,
            "FetchX509Bundles" => self.streams(request, move |service| service.x509_bundles(&peer)).await,
            "FetchJWTBundles" => self.streams(request, move |service| service.jwt_bundles(&peer)).await,
            "FetchJWTSVID" => unary(request, move |asked| self.jwt_svids(&peer, asked)).await,
            "ValidateJWTSVID" => unary(request, move |asked| self.validated(&peer, asked)).await,
            _ => Status::new(Code::Unimplemented, "this call is not offered here").into_http(),
        })
    }

    /// A stream of what `make` gives: at once, at half the life of what was given, and whenever the list changes.
    async fn streams<T: Message + Default + 'static>(
        self: Arc<Self>,
        request: http::Request<Body>,
        make: impl Fn(&Self) -> Result<T, Status> + Send + Sync + 'static,
    ) -> http::Response<Body> {
        let make = Arc::new(make);
        let open = service_fn(move |_: Request<Empty>| {
            let (service, make, changes) = (Arc::clone(&self), Arc::clone(&make), self.entries.clone());
            let messages =
                unfold((service, make, changes, true), |(service, make, mut changes, first)| async move {
                    if !first {
                        let half = service.ttl / 2;
                        let _ = tokio::time::timeout(half, changes.changed()).await; // Either is a reason to say it again.
                    }
                    changes.mark_unchanged();
                    Some((make(&service), (service, make, changes, false)))
                });
            let messages: Messages<T> = Box::pin(messages);
            async move { Ok::<_, Status>(Response::new(messages)) }
        });
        Grpc::new(ProstCodec::<T, Empty>::default()).server_streaming(open, request).await
    }

    fn identities(&self, peer: &Peer) -> Result<Vec<Entry>, Status> {
        let all: Vec<Entry> = peer.matching(&self.entries.borrow()).cloned().collect();
        if all.is_empty() { Err(Status::permission_denied("no identity issued")) } else { Ok(all) }
    }

    fn x509_svids(&self, peer: &Peer) -> Result<X509SvidResponse, Status> {
        let bundle = self.bundle()?;
        let svid = |entry: &Entry| {
            let hosts: Vec<&str> = entry.hosts.iter().map(String::as_str).collect();
            let issued = self.domain.issue(&entry.id, &hosts, self.ttl, self.clock.now())?;
            let pem = |what| move |_| IdentityError::Pem { what };
            let leaf =
                CertificateDer::from_pem_slice(issued.certificate.as_bytes()).map_err(pem("certificate"))?;
            let key =
                PrivateKeyDer::from_pem_slice(issued.private_key.as_bytes()).map_err(pem("private key"))?;
            Ok(X509Svid {
                spiffe_id: entry.id.to_string(),
                x509_svid: leaf.to_vec(),
                x509_svid_key: key.secret_der().to_vec(),
                bundle: bundle.clone(),
                hint: String::new(),
            })
        };
        let svids: Result<Vec<X509Svid>, IdentityError> = self.identities(peer)?.iter().map(svid).collect();
        let svids = svids.map_err(internal)?;
        Ok(X509SvidResponse { svids, ..X509SvidResponse::default() })
    }

    fn x509_bundles(&self, peer: &Peer) -> Result<X509BundlesResponse, Status> {
        self.identities(peer)?;
        Ok(X509BundlesResponse { crl: vec![], bundles: [(self.domain_id(), self.bundle()?)].into() })
    }

    fn jwt_bundles(&self, peer: &Peer) -> Result<JwtBundlesResponse, Status> {
        self.identities(peer)?;
        let mut jwks = SigningKey::jwks([&self.key]);
        for key in jwks["keys"].as_array_mut().into_iter().flatten() {
            key["use"] = json!("jwt-svid");
        }
        Ok(JwtBundlesResponse { bundles: [(self.domain_id(), jwks.to_string().into_bytes())].into() })
    }

    /// What a JWT-SVID of this domain says, if it holds for an audience (standard §6.2.4).
    fn validated(
        &self,
        peer: &Peer,
        request: &ValidateJwtSvidRequest,
    ) -> Result<ValidateJwtSvidResponse, Status> {
        self.identities(peer)?;
        let invalid = |why: &dyn std::fmt::Display| Status::invalid_argument(why.to_string());
        let iss = self.domain_id();
        let keys = SigningKey::jwks([&self.key]).to_string();
        let keys = Keys::from_jwks(keys.as_bytes()).map_err(internal)?;
        let expect = Expect {
            issuer: iss.clone(),
            audiences: vec![request.audience.clone()],
            types: vec![],
            leeway: Duration::ZERO,
        };
        let token = tokens::authentic_svid(&request.svid, &keys, &iss).map_err(|error| invalid(&error))?;
        token.judge(&expect, self.clock.now()).map_err(|error| invalid(&error))?;
        let claims = token.claims();
        let id = SpiffeId::new(&claims.sub).map_err(|error| invalid(&error))?;
        if id.trust_domain_name() != self.domain.name().as_str() {
            return Err(invalid(&"the JWT-SVID is of another trust domain"));
        }
        Ok(ValidateJwtSvidResponse { spiffe_id: id.to_string(), claims: Some(Struct::of(&claims.all)) })
    }

    fn jwt_svids(&self, peer: &Peer, request: &JwtSvidRequest) -> Result<JwtSvidResponse, Status> {
        if request.audience.is_empty() || request.audience.len() > AUDIENCES_MAX {
            return Err(Status::invalid_argument("audience must be specified, and not too often"));
        }
        let wanted = |id: &SpiffeId| request.spiffe_id.is_empty() || request.spiffe_id == id.to_string();
        let mut ids: Vec<SpiffeId> = self.identities(peer)?.into_iter().map(|entry| entry.id).collect();
        ids.retain(wanted);
        if ids.is_empty() {
            return Err(Status::permission_denied("no identity issued"));
        }
        let now = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let svid = |id: SpiffeId| {
            let claims = json!({
                "sub": id.to_string(), "aud": request.audience, "iat": now, "exp": now + JWT_TTL.as_secs(),
            });
            let Value::Object(claims) = claims else { return Err(Status::internal("no claims")) };
            let token = self.key.sign(JWT, &claims).map_err(internal)?;
            Ok(JwtSvid { spiffe_id: id.to_string(), svid: token.expose().to_owned(), hint: String::new() })
        };
        Ok(JwtSvidResponse { svids: ids.into_iter().map(svid).collect::<Result<_, _>>()? })
    }

    fn bundle(&self) -> Result<Vec<u8>, Status> {
        let authority = CertificateDer::from_pem_slice(self.domain.bundle().as_bytes());
        authority.map(|authority| authority.to_vec()).map_err(internal)
    }

    fn domain_id(&self) -> String {
        format!("spiffe://{}", self.domain.name())
    }
}

/// One question, one answer.
async fn unary<Q, A>(
    request: http::Request<Body>,
    mut answer: impl FnMut(&Q) -> Result<A, Status>,
) -> http::Response<Body>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let call = service_fn(move |request: Request<Q>| {
        let answer = answer(&request.into_inner()).map(Response::new);
        async move { answer }
    });
    Grpc::new(ProstCodec::<A, Q>::default()).unary(call, request).await
}

/// The cause is for the log; who asks can do nothing about it.
fn internal(error: impl std::error::Error) -> Status {
    tracing::error!(%error, "the Workload API could not make what was asked for");
    Status::internal("the SVID could not be made")
}
