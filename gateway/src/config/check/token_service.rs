//! The token service, as written and as run.

use super::Checker;
use crate::config::file::{
    ActorFile, BreakerFile, HttpsFile, IdJagFile, JwksFile, ServiceClientFile, SubjectNameFile,
    TokenServiceFile, WithoutSubjectFile,
};
use crate::config::{Breaker, IdJag, IdentityFrom, ServiceClient, TokenEndpoint, TokenService};
use std::path::Path;
use std::time::Duration;
use tokens::Secret;

/// Where tokens are asked for, as it stands in two places of the file.
struct Written<'f> {
    path: &'static str,
    issuer: &'f str,
    token_endpoint: &'f str,
    jwks: &'f JwksFile,
    server: &'f HttpsFile,
    client: Option<&'f ServiceClientFile>,
}

impl Checker<'_> {
    pub(super) fn token_service(
        &mut self,
        file: &TokenServiceFile,
        identity: Option<&IdentityFrom>,
    ) -> Option<TokenService> {
        let written = Written {
            path: "token_service",
            issuer: &file.issuer,
            token_endpoint: &file.token_endpoint,
            jwks: &file.jwks,
            server: &file.server,
            client: file.client.as_ref(),
        };
        let at = self.token_endpoint(&written, identity);
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
        self.client_credentials(file);
        let id_jag = file.id_jag.as_ref().map(|id_jag| self.id_jag(file, id_jag, identity));
        Some(TokenService {
            at: at?,
            actor_key: actor_key?,
            timeout,
            actor: file.actor,
            without_subject: file.without_subject,
            target: file.target,
            refusals_kept,
            breaker: self.breaker(&file.breaker),
            id_jag: match id_jag {
                None => None,
                Some(checked) => Some(checked?),
            },
        })
    }

    fn token_endpoint(
        &mut self,
        written: &Written<'_>,
        identity: Option<&IdentityFrom>,
    ) -> Option<TokenEndpoint> {
        let path = written.path;
        let url = self.https(&format!("{path}.token_endpoint"), written.token_endpoint);
        let jwks = self.jwks(&format!("{path}.jwks"), written.jwks);
        let server = self.https_server(&format!("{path}.server"), written.server);
        let client = match written.client {
            None => Some(ServiceClient::Svid { id: None }),
            Some(client) => self.service_client(&format!("{path}.client"), client, identity),
        };
        Some(TokenEndpoint {
            issuer: written.issuer.to_owned(),
            url: url?,
            jwks: jwks?,
            server: server?,
            client: client?,
        })
    }

    fn id_jag(
        &mut self,
        service: &TokenServiceFile,
        file: &IdJagFile,
        identity: Option<&IdentityFrom>,
    ) -> Option<IdJag> {
        let written = Written {
            path: "token_service.id_jag",
            issuer: &file.issuer,
            token_endpoint: &file.token_endpoint,
            jwks: &file.jwks,
            server: &file.server,
            client: file.client.as_ref(),
        };
        let at = self.token_endpoint(&written, identity);
        if file.subject == SubjectNameFile::Mapped && service.actor == ActorFile::Required {
            self.problems.add(
                "token_service.id_jag.subject",
                "a name that is mapped can't be checked together with a chain of actors",
                "write `actor: recorded` too, or `subject: same`",
            );
        }
        let Some(client) = &service.client else {
            self.problems.add(
                "token_service.client",
                "an ID-JAG names the gateway as a client of the token service",
                "write `client: {id: …}`",
            );
            return None;
        };
        let (subject_token, subject, client_id) = (file.subject_token, file.subject, client.id.clone());
        Some(IdJag { at: at?, subject_token, subject, client_id })
    }

    fn service_client(
        &mut self,
        path: &str,
        file: &ServiceClientFile,
        identity: Option<&IdentityFrom>,
    ) -> Option<ServiceClient> {
        let id = file.id.clone();
        if id.is_empty() {
            self.problems.add(format!("{path}.id"), "is empty", "write the client_id that it has there");
        }
        match (&file.secret_file, &file.key_file, file.jwt_svid) {
            (None, None, None) => Some(ServiceClient::Svid { id: Some(id) }),
            (Some(file), None, None) => {
                Some(ServiceClient::Secret { id, secret: self.secret(&format!("{path}.secret_file"), file)? })
            }
            (None, Some(file), None) => {
                let key = self.signing_key(&format!("{path}.key_file"), file)?;
                Some(ServiceClient::Key { id, key: Box::new(key) })
            }
            (None, None, Some(assertion)) => {
                let endpoint = self.workload_api(&format!("{path}.jwt_svid"), identity)?;
                Some(ServiceClient::JwtSvid { id, assertion, endpoint })
            }
            _ => {
                self.problems.add(
                    path,
                    "has more than one of `secret_file`, `key_file` and `jwt_svid`",
                    "keep one, or none for a client that is known by its X.509-SVID",
                );
                None
            }
        }
    }

    fn secret(&mut self, path: &str, file: &Path) -> Option<Secret> {
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
