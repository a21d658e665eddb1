//! The token service, as written and as run.

use super::Checker;
use crate::config::file::{ActorFile, BreakerFile, ServiceClientFile, TokenServiceFile, WithoutSubjectFile};
use crate::config::{Breaker, ServiceClient, TokenService};
use std::path::Path;
use std::time::Duration;
use tokens::Secret;

impl Checker<'_> {
    pub(super) fn token_service(&mut self, file: &TokenServiceFile) -> Option<TokenService> {
        let token_endpoint = self.https("token_service.token_endpoint", &file.token_endpoint);
        let jwks = self.jwks("token_service.jwks", &file.jwks);
        let server = self.https_server("token_service.server", &file.server);
        let actor_key = self.signing_key("token_service.actor_key", &file.actor_key);
        let timeout = self.problems.duration(
            "token_service.timeout",
            file.timeout.as_deref(),
            Duration::from_secs(5),
            Duration::from_millis(100)..=Duration::from_secs(60),
        );
        let refusals_kept = self.problems.duration(
            "token_service.refusals_kept",
            file.refusals_kept.as_deref(),
            Duration::from_secs(5),
            Duration::ZERO..=Duration::from_secs(60),
        );
        let client = match &file.client {
            None => Some(ServiceClient::Svid { id: None }),
            Some(client) => self.service_client(client),
        };
        self.client_credentials(file);
        Some(TokenService {
            issuer: file.issuer.clone(),
            token_endpoint: token_endpoint?,
            jwks: jwks?,
            server: server?,
            actor_key: actor_key?,
            timeout,
            client: client?,
            actor: file.actor,
            without_subject: file.without_subject,
            target: file.target,
            refusals_kept,
            breaker: self.breaker(&file.breaker),
        })
    }

    fn service_client(&mut self, file: &ServiceClientFile) -> Option<ServiceClient> {
        let id = file.id.clone();
        if id.is_empty() {
            self.problems.add("token_service.client.id", "is empty", "write the client_id that it has there");
        }
        match (&file.secret_file, &file.key_file) {
            (None, None) => Some(ServiceClient::Svid { id: Some(id) }),
            (Some(file), None) => Some(ServiceClient::Secret { id, secret: self.secret(file)? }),
            (None, Some(file)) => {
                let key = self.signing_key("token_service.client.key_file", file)?;
                Some(ServiceClient::Key { id, key: Box::new(key) })
            }
            (Some(_), Some(_)) => {
                self.problems.add(
                    "token_service.client",
                    "has both `secret_file` and `key_file`",
                    "keep one, or neither for a client that is known by its SVID",
                );
                None
            }
        }
    }

    fn secret(&mut self, file: &Path) -> Option<Secret> {
        let path = "token_service.client.secret_file";
        self.private(path, file);
        let text = std::fs::read_to_string(self.base.join(file)).ok()?; // That it isn't there has been noted.
        let secret = text.strip_suffix('\n').unwrap_or(&text);
        if secret.is_empty() || secret.contains(char::is_control) {
            self.problems.add(path, "is not one line with a secret", "write the secret, and nothing else");
            return None;
        }
        Some(Secret::new(secret))
    }

    /// Such a credential is the gateway's own: nothing in it names who called.
    fn client_credentials(&mut self, file: &TokenServiceFile) {
        if file.without_subject == WithoutSubjectFile::ClientCredentials
            && (file.client.is_none() || file.actor == ActorFile::Required)
        {
            self.problems.add(
                "token_service.without_subject",
                "client credentials are the gateway's own and don't name the caller",
                "write `client` and `actor: recorded` too, or `without_subject: exchange`",
            );
        }
    }

    fn breaker(&mut self, file: &BreakerFile) -> Breaker {
        Breaker {
            failures_max: self.problems.number(
                "token_service.breaker.failures_max",
                file.failures_max,
                5,
                1..=1_000_000,
            ),
            open: self.problems.duration(
                "token_service.breaker.open",
                file.open.as_deref(),
                Duration::from_secs(10),
                Duration::from_millis(100)..=Duration::from_secs(600),
            ),
        }
    }
}
