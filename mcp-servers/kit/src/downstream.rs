//! A credential for the system behind a server. The token that a request came with never goes there: it is exchanged for
//! one that the system was meant to get (RFC 8693), or the server has a credential of its own in a file.

use crate::error::{Code, FORBIDDEN, ToolError, UNAVAILABLE};
use crate::flags::{Flags, spiffe_id};
use crate::https::{Client, ClientError};
use crate::request::Presented;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use certs::{Clock, IdentityError, SharedSource, SpiffeId};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use rmcp::model::Extensions;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokens::Secret;
use url::Url;
use url::form_urlencoded::Serializer;

/// Where the credential for the system behind comes from. For servers that have such a system: flatten it into the command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DownstreamFlags {
    /// Token endpoint that exchanges a request's token for one for the system behind (RFC 8693). This server proves itself
    /// there by its SVID
    #[arg(
        long,
        value_name = "URL",
        requires_all = ["token_server", "downstream_audience"],
        conflicts_with = "credential_file",
        help_heading = "Downstream"
    )]
    pub token_endpoint: Option<Url>,
    /// The token endpoint's SPIFFE ID
    #[arg(long, value_name = "SPIFFE_ID", value_parser = spiffe_id, help_heading = "Downstream")]
    pub token_server: Option<SpiffeId>,
    /// Who the system behind is in a token (`aud`)
    #[arg(long, value_name = "NAME", help_heading = "Downstream")]
    pub downstream_audience: Option<String>,
    /// Scopes that are asked for, separated by spaces; the token endpoint's choice if not given
    #[arg(long, value_name = "SCOPES", help_heading = "Downstream")]
    pub downstream_scope: Option<String>,
    /// A credential with the least rights that will do, in a file. Read again when it changes
    #[arg(long, value_name = "FILE", help_heading = "Downstream")]
    pub credential_file: Option<PathBuf>,
}

/// How a server proves itself to the system behind.
#[derive(Debug)]
pub enum Downstream {
    /// With a token that the request's own was exchanged for.
    Exchange(Exchange),
    /// With a credential of its own.
    File(CredentialFile),
}

/// Why there is no way to prove anything.
#[derive(Debug, thiserror::Error)]
pub enum DownstreamError {
    /// The SVID or the trust bundle.
    #[error("the server's identity can't be used")]
    Identity(#[from] IdentityError),
    /// The token endpoint.
    #[error("the token endpoint can't be called")]
    Endpoint(#[from] ClientError),
    /// The credential's file.
    #[error("--credential-file: {path} can't be read, or is empty")]
    File {
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A client of one token endpoint, for one audience.
#[derive(Debug)]
pub struct Exchange {
    client: Client,
    source: SharedSource,
    clock: Clock,
    audience: String,
    scope: Option<String>,
    kept: Mutex<HashMap<[u8; 32], Kept>>,
}

#[derive(Debug)]
struct Kept {
    token: Secret,
    ends: SystemTime,
}

/// A credential in a file. The last good one stays where a new one can't be read.
#[derive(Debug)]
pub struct CredentialFile {
    path: PathBuf,
    state: Mutex<Read>,
}

#[derive(Debug)]
struct Read {
    credential: Secret,
    modified: Option<SystemTime>,
    looked: Instant,
}

/// What a token endpoint answers (RFC 8693 §2.2.1).
#[derive(Deserialize)]
struct Issued {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

/// The request came without a token to exchange; over the kit's own door that can't be.
const NO_TOKEN: Code = Code::new("no_token");
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Tokens that are kept; with one more, those that have ended go, and if none has, all do.
const KEPT_MAX: usize = 1024;
/// A token that ends within this time is exchanged anew: its call takes time, too.
const MARGIN: Duration = Duration::from_secs(10);
/// A credential's file is looked at this often at most.
const INTERVAL: Duration = Duration::from_secs(1);

impl Downstream {
    /// As the flags say; `None` if they say nothing.
    ///
    /// # Errors
    /// [`DownstreamError`]. The token endpoint isn't called yet.
    pub async fn from_flags(flags: &DownstreamFlags, door: &Flags) -> Result<Option<Self>, DownstreamError> {
        if let Some(path) = &flags.credential_file {
            return CredentialFile::open(path, Instant::now()).map(Self::File).map(Some);
        }
        let (Some(url), Some(audience)) = (&flags.token_endpoint, &flags.downstream_audience) else {
            return Ok(None);
        };
        let (source, clock) = (door.identity().await?, Clock::system());
        let client = Client::new(url, flags.token_server.as_ref(), &source, &clock)?;
        let (audience, scope) = (audience.clone(), flags.downstream_scope.clone());
        let exchange = Exchange { client, source, clock, audience, scope, kept: Mutex::default() };
        Ok(Some(Self::Exchange(exchange)))
    }

    /// The credential for a request's call to the system behind. `extensions` are those of the tool's context.
    ///
    /// # Errors
    /// `forbidden` where the token endpoint says no, `unavailable` where it can't be asked.
    pub async fn credential(&self, extensions: &Extensions) -> Result<Secret, ToolError> {
        match self {
            Self::File(file) => Ok(file.current(Instant::now())),
            Self::Exchange(exchange) => exchange.credential(extensions).await,
        }
    }
}

impl Exchange {
    async fn credential(&self, extensions: &Extensions) -> Result<Secret, ToolError> {
        let presented = extensions
            .get::<http::request::Parts>()
            .and_then(|parts| parts.extensions.get::<Presented>())
            .ok_or_else(|| {
                ToolError::new(NO_TOKEN, "the request has no token to exchange", "Call with a token")
            })?;
        let (key, now) = (hashed(&presented.0), self.clock.now());
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && now + MARGIN < kept.ends
        {
            return Ok(kept.token.clone());
        }
        let issued = self.exchanged(&presented.0).await?;
        let token = Secret::new(issued.access_token);
        if let Some(seconds) = issued.expires_in {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= KEPT_MAX {
                kept.retain(|_, kept| now < kept.ends);
            }
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
            let ends = now + Duration::from_secs(seconds.min(24 * 3600));
            kept.insert(key, Kept { token: token.clone(), ends });
        }
        Ok(token)
    }

    async fn exchanged(&self, subject: &Secret) -> Result<Issued, ToolError> {
        let unavailable = || {
            ToolError::new(
                UNAVAILABLE,
                "the token service could not be asked",
                "The same call may work later",
            )
        };
        let call = self.client.call(self.request(subject).ok_or_else(unavailable)?, ANSWER_BYTES_MAX);
        let answer = match tokio::time::timeout(TIMEOUT, call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::warn!(%error, cause = ?std::error::Error::source(&error), "no token for the system behind");
                return Err(unavailable());
            }
            Err(_) => {
                tracing::warn!("the token service takes too long to answer");
                return Err(unavailable());
            }
        };
        if answer.status() != StatusCode::OK {
            let status = answer.status();
            tracing::warn!(%status, "the token service gives no token for the system behind");
            return Err(if status.is_client_error() { self.refused() } else { unavailable() });
        }
        let issued: Issued = serde_json::from_slice(answer.body()).map_err(|_| unavailable())?;
        let usable = issued.token_type.eq_ignore_ascii_case("bearer")
            && !issued.access_token.is_empty()
            && issued.access_token != subject.expose(); // What we got goes nowhere, whoever hands it back.
        if usable { Ok(issued) } else { Err(unavailable()) }
    }

    fn refused(&self) -> ToolError {
        let text = format!("no access to {} is given on behalf of this caller", self.audience);
        ToolError::new(FORBIDDEN, text, "Ask whoever runs this server to allow the exchange")
    }

    fn request(&self, subject: &Secret) -> Option<Request<Bytes>> {
        let identity = self.source.current();
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", GRANT_TYPE)
            .append_pair("client_id", &identity.svid.peer().id.to_string()) // RFC 8705 §2: beside the certificate.
            .append_pair("subject_token", subject.expose())
            .append_pair("subject_token_type", ACCESS_TOKEN)
            .append_pair("requested_token_type", ACCESS_TOKEN)
            .append_pair("audience", &self.audience);
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        let request = Request::builder()
            .method(Method::POST)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        request.body(Bytes::from(form.finish())).ok()
    }
}

fn hashed(token: &Secret) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.expose().as_bytes()).as_ref());
    hash
}

impl CredentialFile {
    /// Reads the file once.
    ///
    /// # Errors
    /// [`DownstreamError::File`].
    fn open(path: &Path, now: Instant) -> Result<Self, DownstreamError> {
        let modified = modified(path);
        let credential = read(path)
            .map_err(|source| DownstreamError::File { path: path.display().to_string(), source })?;
        let state = Mutex::new(Read { credential, modified, looked: now });
        Ok(Self { path: path.to_owned(), state })
    }

    fn current(&self, now: Instant) -> Secret {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(state.looked) >= INTERVAL {
            state.looked = now;
            let modified = modified(&self.path);
            if modified != state.modified {
                match read(&self.path) {
                    Ok(credential) => (state.credential, state.modified) = (credential, modified),
                    Err(error) => tracing::warn!(%error, "the last good credential stays"),
                }
            }
        }
        state.credential.clone()
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

fn read(path: &Path) -> std::io::Result<Secret> {
    let text = std::fs::read_to_string(path)?;
    match text.trim() {
        "" => Err(std::io::ErrorKind::UnexpectedEof.into()),
        credential => Ok(Secret::new(credential)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn a_changed_credential_is_taken_up_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credential");
        std::fs::write(&path, "").unwrap();
        let start = Instant::now();
        assert!(CredentialFile::open(&path, start).is_err(), "an empty one is none");
        std::fs::write(&path, "first\n").unwrap();
        let file = CredentialFile::open(&path, start).unwrap();
        assert_eq!(file.current(start).expose(), "first");
        let write = |text: &str, seconds| {
            std::fs::write(&path, text).unwrap();
            let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
        };
        write("second", 1);
        assert_eq!(file.current(start).expose(), "first", "the file is not looked at yet");
        assert_eq!(file.current(start + INTERVAL).expose(), "second");
        write(" ", 2);
        assert_eq!(file.current(start + INTERVAL * 2).expose(), "second");
    }
}
