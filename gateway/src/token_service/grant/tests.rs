#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;
use crate::exchange::client::caller_issuer;
use crate::token_service::{ServiceKeys, Settings, SubjectClaims, subject_token, users_issuer};
use certs::development::Domain;
use certs::{Clock, SharedSource, files::FileSource};
use tokens::SigningKey;
use url::form_urlencoded::Serializer;

const AGENT: &str = "spiffe://a.test/agent/planner";
const SERVER: &str = "spiffe://a.test/mcp/s3";
const SYSTEM: &str = "https://cluster.test";
const URL: &str = "https://gateway.test";

struct Story {
    service: TokenService,
    gateway: Peer,
    users: SigningKey,
    actor: SigningKey,
    domain: Domain,
    now: SystemTime,
    dir: tempfile::TempDir,
}

impl Story {
    fn begins() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let domain = Domain::open(dir.path(), &certs::TrustDomain::new("a.test").unwrap(), &clock).unwrap();
        let id = domain.id("gateway").unwrap();
        let svid = domain.write_svid(dir.path(), &id, &[], clock.now()).unwrap();
        let source: SharedSource = FileSource::open(svid).unwrap();
        let gateway = source.current().svid.peer().clone();
        let key = || SigningKey::generate().unwrap();
        let (users, actor) = (key(), key());
        let scopes = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>();
        let settings = Settings {
            origin: "https://127.0.0.1:9000".into(),
            gateway: id,
            resources: [URL.to_owned()].into(),
            audiences: scopes(&[AGENT, SERVER]),
            agents: scopes(&[AGENT]),
            grants: [("work".to_owned(), scopes(&["planner:plan", "s3:put", "s3:get"]))].into(),
            workload_grants: BTreeMap::new(),
            downstream: [(SERVER.to_owned(), SYSTEM.to_owned()), (AGENT.to_owned(), SERVER.to_owned())]
                .into(),
        };
        let keys = ServiceKeys { users: users.clone(), credentials: key() };
        let service = TokenService::new(keys, &actor, settings, clock.clone()).unwrap();
        Self { service, gateway, users, actor, domain, now: clock.now(), dir }
    }

    /// Alice's token for the clerk to present.
    fn alices(&self) -> String {
        let claims = SubjectClaims {
            issuer: &users_issuer("https://127.0.0.1:9000"),
            subject: "alice",
            presenter: &self.domain.id("agent/clerk").unwrap(),
            audience: URL,
            scopes: &["work".to_owned()].into(),
            ttl: Duration::from_secs(60),
        };
        subject_token(&self.users, &claims, self.now).unwrap().expose().to_owned()
    }

    /// Exchanges a token for a workload: the credential, or the error's code.
    fn exchange(&self, token: &str, path: &str, audience: &str, scope: &str) -> Result<String, &'static str> {
        let at = seconds(self.now);
        let claims = json!({
            "iss": caller_issuer(&self.actor), "sub": self.domain.id(path).unwrap().to_string(),
            "aud": self.service.issuer, "iat": at, "exp": at + 60,
        });
        let actor = self.actor.sign(ACTOR_TYPE, &object(claims)).unwrap();
        let form = Serializer::new(String::new())
            .append_pair("grant_type", GRANT_TYPE)
            .append_pair("subject_token", token)
            .append_pair("subject_token_type", ACCESS_TOKEN)
            .append_pair("actor_token", actor.expose())
            .append_pair("actor_token_type", JWT)
            .append_pair("audience", audience)
            .append_pair("scope", scope)
            .finish();
        let issued = self.service.exchange(&self.gateway, form.as_bytes(), self.now);
        issued.map(|issued| issued["access_token"].as_str().unwrap().to_owned()).map_err(|e| e.code())
    }

    /// A server's own exchange, with some parameters changed: the credential, or the error's code.
    fn onward(&self, path: &str, token: &str, change: &[(&str, &str)]) -> Result<String, &'static str> {
        let id = self.domain.id(path).unwrap();
        let folder = self.dir.path().join(path.replace('/', "-"));
        let svid = self.domain.write_svid(&folder, &id, &[], self.now).unwrap();
        let source: SharedSource = FileSource::open(svid).unwrap();
        let peer = source.current().svid.peer().clone();
        let mut form = BTreeMap::from([
            ("grant_type", GRANT_TYPE),
            ("subject_token", token),
            ("subject_token_type", ACCESS_TOKEN),
            ("audience", SYSTEM),
        ]);
        form.extend(change.iter().copied());
        let form = Serializer::new(String::new()).extend_pairs(form).finish();
        let issued = self.service.exchange(&peer, form.as_bytes(), self.now);
        issued.map(|issued| issued["access_token"].as_str().unwrap().to_owned()).map_err(|e| e.code())
    }

    fn read(&self, credential: &str) -> Claims {
        tokens::authentic(credential, &self.service.credential_keys.verifying()).unwrap().claims().clone()
    }
}

#[test]
fn an_agents_credential_is_exchanged_for_that_agent_and_no_more_than_it_says() {
    let story = Story::begins();
    let given = story.exchange(&story.alices(), "agent/clerk", AGENT, "planner:plan s3:get").unwrap();
    let next = story.exchange(&given, "agent/planner", SERVER, "s3:get").unwrap();
    let claims = story.read(&next);
    assert_eq!((claims.sub.as_str(), claims.actors.len()), ("alice", 2));
    assert_eq!(claims.actors, [AGENT, "spiffe://a.test/agent/clerk"]);
    assert!(claims.exp <= story.read(&given).exp, "it ends with what it was made from");
    for (path, scope, code) in [
        ("agent/planner", "s3:put", "invalid_scope"), // Alice's own token would open it.
        ("agent/planner", "s3:get s3:put", "invalid_scope"),
        ("agent/planner", "work", "invalid_scope"),
        ("agent/clerk", "s3:get", "invalid_grant"),
        ("mcp/s3", "s3:get", "invalid_grant"),
    ] {
        assert_eq!(story.exchange(&given, path, SERVER, scope), Err(code), "{path} {scope}");
    }
}

#[test]
fn an_agents_credential_is_bound_to_no_certificate_and_a_servers_is_not_exchanged() {
    let story = Story::begins();
    let agents = story.exchange(&story.alices(), "agent/clerk", AGENT, "s3:get").unwrap();
    let servers = story.exchange(&story.alices(), "agent/clerk", SERVER, "s3:get").unwrap();
    assert_eq!(story.read(&agents).x5t_s256, None);
    assert_eq!(
        story.read(&servers).x5t_s256,
        thumbprint(&story.gateway)["x5t#S256"].as_str().map(Into::into)
    );
    assert_eq!(story.exchange(&servers, "mcp/s3", SERVER, "s3:get"), Err("invalid_grant"));
    assert!(story.exchange(&agents, "agent/planner", SERVER, "s3:get").is_ok());
}

#[test]
fn a_server_gets_a_token_for_its_own_system_with_itself_in_the_chain() {
    let story = Story::begins();
    let given = story.exchange(&story.alices(), "agent/clerk", SERVER, "s3:get s3:put").unwrap();
    let claims = story.read(&story.onward("mcp/s3", &given, &[]).unwrap());
    assert_eq!((claims.sub.as_str(), &claims.aud), ("alice", &vec![SYSTEM.to_owned()]));
    assert_eq!(claims.actors, [SERVER, "spiffe://a.test/agent/clerk"]);
    assert_eq!(claims.scopes, story.read(&given).scopes);
    assert_eq!(claims.x5t_s256, None, "the system knows no certificate of ours");
    assert!(claims.exp <= story.read(&given).exp);
    let narrow = story.onward("mcp/s3", &given, &[("scope", "s3:get")]).unwrap();
    assert_eq!(story.read(&narrow).scopes, ["s3:get".to_owned()].into());
    assert_eq!(
        story.onward("mcp/s3", &narrow, &[]),
        Err("invalid_grant"),
        "it is for the system, and nobody else"
    );
}

#[test]
fn a_server_gets_nothing_else() {
    let mut story = Story::begins();
    let given = story.exchange(&story.alices(), "agent/clerk", SERVER, "s3:get").unwrap();
    let agents = story.exchange(&story.alices(), "agent/clerk", AGENT, "s3:get").unwrap();
    for (path, token, change, code) in [
        ("mcp/s3", &given, ("audience", SERVER), "invalid_target"),
        ("mcp/s3", &given, ("audience", "https://other.test"), "invalid_target"),
        ("mcp/s3", &given, ("scope", "s3:put"), "invalid_scope"), // Alice's own token would open it.
        ("mcp/s3", &given, ("scope", " "), "invalid_scope"),
        ("mcp/s3", &given, ("actor_token", &*given), "unsupported_grant_type"),
        ("mcp/s3", &given, ("subject_token_type", JWT), "unsupported_grant_type"),
        ("mcp/s3", &agents, ("scope", "s3:get"), "invalid_grant"),
        ("mcp/s3", &story.alices(), ("scope", "s3:get"), "invalid_grant"),
        ("mcp/mlflow", &given, ("scope", "s3:get"), "invalid_client"),
        ("agent/planner", &agents, ("audience", SERVER), "invalid_target"), // Written down, and ours all the same.
        ("agent/planner", &given, ("scope", "s3:get"), "invalid_grant"),
    ] {
        assert_eq!(story.onward(path, token, &[change]), Err(code), "{path} {change:?}");
    }
    story.now += CREDENTIAL_TTL + LEEWAY;
    assert_eq!(story.onward("mcp/s3", &given, &[]), Err("invalid_grant"), "it has ended");
}
