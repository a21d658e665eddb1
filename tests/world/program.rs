//! A person's program and the person's browser, at the embedded token service: plain HTTPS, and no certificate to show.

use crate::reply::Reply;
use crate::{World, agent};
use certs::Clock;
use gateway::token_service::keys::Ring;
use gateway::token_service::keys::files::FileKeys;
use gateway::token_service::{People, Rings, ServiceKeys, Settings, TokenService};
use reqwest::{Client, Method, RequestBuilder, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tokens::SigningKey;

/// RFC 7636, Appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// Where a program waits for its answer, at whatever port.
pub const REDIRECT: &str = "http://127.0.0.1:49152/callback";

/// What stands in the token service's file.
pub const PEOPLE: &str = "
users:
  alice:
    password: correct horse
    scopes: [bookkeeping, travel]
    agents: [\"spiffe://bank.test/agent/clerk\"]
  bob:
    password: battery staple
    scopes: [travel]
    agents: [\"spiffe://bank.test/agent/robot\"]
workloads:
  \"spiffe://bank.test/agent/robot\": [bookkeeping]
";

pub struct Program {
    http: Client,
    origin: String,
    pub resource: String,
    pub id: String,
}

impl Program {
    /// One that has registered.
    pub async fn registered(world: &World) -> Self {
        let mut program = Self::unknown(world);
        let answer =
            program.register(&json!({"redirect_uris": [REDIRECT], "client_name": "ledger-cli"})).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        program.id = answer.json()["client_id"].as_str().unwrap().to_owned();
        program
    }

    /// One that has not.
    pub fn unknown(world: &World) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let bundle = world.trust_bundle();
        roots
            .add_parsable_certificates(CertificateDer::pem_slice_iter(bundle.as_bytes()).map(Result::unwrap));
        let tls = rustls::ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_root_certificates(roots)
            .with_no_client_auth();
        #[expect(clippy::disallowed_methods, reason = "a person's program, and not the gateway")]
        let client = Client::builder().tls_backend_preconfigured(tls).no_proxy();
        let http = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let origin = world.sign_in.clone().unwrap();
        Self { http, origin, resource: format!("{}/mcp/ledger", world.url), id: "unknown".into() }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.origin))
    }

    pub async fn get(&self, path: &str) -> Reply {
        agent::send(self.request(Method::GET, path)).await
    }

    pub async fn register(&self, metadata: &Value) -> Reply {
        agent::send(self.request(Method::POST, "/oauth/register").body(metadata.to_string())).await
    }

    /// What it asks of the authorization endpoint; a change of an empty value leaves the parameter out.
    pub fn asks<'a>(&'a self, changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let usual = [
            ("response_type", "code"),
            ("client_id", self.id.as_str()),
            ("redirect_uri", REDIRECT),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("resource", self.resource.as_str()),
            ("scope", "bookkeeping"),
            ("state", "a state"),
        ];
        changed(&usual, changes)
    }

    /// Opens the page in the person's browser.
    pub async fn page(&self, changes: &[(&str, &str)]) -> Reply {
        let path = format!("/oauth/authorize?{}", encoded(&self.asks(changes)));
        self.get(&path).await
    }

    /// Fills in a page's form and sends it, with the cookie that came with it.
    pub async fn fill(&self, page: &Reply, changes: &[(&str, &str)]) -> Reply {
        let (action, csrf) = form(page);
        let usual = [
            ("csrf", csrf.as_str()),
            ("agent", "spiffe://bank.test/agent/clerk"),
            ("user", "alice"),
            ("password", "correct horse"),
            ("answer", "allow"),
        ];
        let cookie = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let request = self.request(Method::POST, &action).header("cookie", cookie);
        agent::send(posts(request, &changed(&usual, changes))).await
    }

    /// A code for what a person has allowed.
    pub async fn code(&self) -> String {
        let answer = self.fill(&self.page(&[]).await, &[]).await;
        told(&answer, "code").unwrap_or_else(|| panic!("no code: {} {}", answer.status, answer.text))
    }

    /// The token endpoint.
    pub async fn token(&self, form: &[(&str, &str)]) -> Reply {
        agent::send(posts(self.request(Method::POST, "/oauth/token"), form)).await
    }

    /// Redeems a code.
    pub async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> Reply {
        let usual = [
            ("grant_type", "authorization_code"),
            ("client_id", self.id.as_str()),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("resource", self.resource.as_str()),
            ("code", code),
        ];
        self.token(&changed(&usual, changes)).await
    }

    /// Changes a refresh token for the next one.
    pub async fn refresh(&self, token: &str, changes: &[(&str, &str)]) -> Reply {
        let usual =
            [("grant_type", "refresh_token"), ("client_id", self.id.as_str()), ("refresh_token", token)];
        self.token(&changed(&usual, changes)).await
    }

    pub async fn revoke(&self, token: &str, client: &str) -> Reply {
        let form = [("token", token), ("client_id", client)];
        agent::send(posts(self.request(Method::POST, "/oauth/revoke"), &form)).await
    }
}

/// A request with a form.
pub fn posts(request: RequestBuilder, form: &[(&str, &str)]) -> RequestBuilder {
    request.header("content-type", "application/x-www-form-urlencoded").body(encoded(form))
}

fn encoded(parameters: &[(&str, &str)]) -> String {
    let url = Url::parse_with_params("http://localhost", parameters).unwrap();
    url.query().unwrap().to_owned()
}

fn changed<'a>(usual: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = usual.iter().filter(|(name, _)| !changes.iter().any(|(change, _)| change == name));
    let new = changes.iter().filter(|(_, value)| !value.is_empty());
    kept.chain(new).copied().collect()
}

/// Where a page's form goes, and what ties it to the browser.
pub fn form(page: &Reply) -> (String, String) {
    let between = |before: &str| {
        let rest = page.text.split_once(before).unwrap_or_else(|| panic!("no form: {}", page.text)).1;
        rest.split_once('"').unwrap().0.replace("&amp;", "&")
    };
    (between("<form method=\"post\" action=\""), between("name=\"csrf\" value=\""))
}

/// A parameter of the answer that goes back to the program; none if nothing goes back.
pub fn told(answer: &Reply, parameter: &str) -> Option<String> {
    let url = Url::parse(answer.header("location")?).unwrap();
    assert!(url.as_str().starts_with(&format!("{REDIRECT}?")), "{url}");
    url.query_pairs().find(|(name, _)| name == parameter).map(|(_, value)| value.into_owned())
}

/// A token service where people sign in, with keys in files that follow each other.
pub(crate) fn with_people(
    dir: &Path,
    text: &str,
    at: &str,
    keys: ServiceKeys,
    actor: &SigningKey,
    settings: Settings,
    clock: Clock,
) -> TokenService {
    let file = dir.join("token-service.yaml");
    certs::files::write(&file, text.as_bytes(), 0o600).unwrap();
    let people = gateway::config::load_embedded(&file).unwrap();
    let files = Arc::new(FileKeys::open(&dir.join("keys")).unwrap());
    let users = Ring::open(files, people.keys, clock.now()).unwrap();
    let rings = Rings { users, credentials: Ring::of(keys.credentials).unwrap() };
    let people = People::new(at, people, Some(dir.join("revoked.jsonl")), clock.clone()).unwrap();
    TokenService::with_rings(rings, actor, settings, clock).unwrap().with_people(people)
}
