//! The agent that gives the gateway its SVID: the development trust domain's Workload API, which can go away and come back.

use crate::DOMAIN;
use certs::development::Domain;
use certs::{Clock, TrustDomain};
use gateway::workload_api;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use tokens::SigningKey;
use tokio::task::JoinHandle;

pub const SOCKET: &str = "agent.sock";

pub struct WorkloadApi {
    folder: PathBuf,
    clock: Clock,
    ttl: Duration,
    /// Signs its JWT-SVIDs: another one each time that it comes.
    key: SigningKey,
    serving: Option<JoinHandle<()>>,
}

impl WorkloadApi {
    /// Serves the trust domain whose authority is in the folder; this process is the gateway.
    pub fn start(folder: &Path, clock: &Clock, ttl: Duration) -> Self {
        Self::with(folder, clock, ttl, &the_gateway())
    }

    /// The same for a list of its own.
    pub fn with(folder: &Path, clock: &Clock, ttl: Duration, list: &str) -> Self {
        let key = SigningKey::generate().unwrap();
        let mut api = Self { folder: folder.into(), clock: clock.clone(), ttl, key, serving: None };
        api.knows(list);
        api.comes();
        api
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join(SOCKET)
    }

    pub fn knows_the_gateway(&self) {
        self.knows(&the_gateway());
    }

    /// Its trust domain's bundle, as a bundle endpoint publishes the keys of JWT-SVIDs.
    pub fn jwt_bundle(&self) -> Value {
        let mut keys = SigningKey::jwks([&self.key]);
        keys["keys"][0]["use"] = "jwt-svid".into();
        keys
    }

    /// A JWT-SVID of any workload, for one audience.
    pub fn jwt_svid(&self, path: &str, audience: &str) -> String {
        let now = self.clock.now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"sub": format!("spiffe://{DOMAIN}/{path}"), "aud": [audience], "exp": now + 300});
        self.key.sign("JWT", claims.as_object().unwrap()).unwrap().expose().to_owned()
    }

    pub fn knows_nobody(&self) {
        self.knows("[]");
    }

    pub fn knows(&self, list: &str) {
        certs::files::write(&self.folder.join("workloads.yaml"), list.as_bytes(), 0o644).unwrap();
    }

    pub async fn goes(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    pub fn comes(&mut self) {
        self.key = SigningKey::generate().unwrap();
        let name = TrustDomain::new(DOMAIN).unwrap();
        let api = workload_api::WorkloadApi {
            domain: Domain::open(&self.folder.join("ca"), &name, &self.clock).unwrap(),
            key: self.key.clone(),
            entries: self.folder.join("workloads.yaml"),
            ttl: self.ttl,
            clock: self.clock.clone(),
        };
        self.serving = Some(workload_api::serve(api, &self.socket()).unwrap());
    }
}

fn the_gateway() -> String {
    let uid = rustix::process::getuid().as_raw();
    format!("- {{spiffe_id: spiffe://{DOMAIN}/gateway, uid: {uid}, hosts: [127.0.0.1]}}")
}
