//! The token service, as an operator wrote it.

use super::{HttpsFile, JwksFile};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// The token service that makes credentials for upstreams: by an exchange (RFC 8693), or, with `id_jag`, for an assertion
/// that an identity provider gives (RFC 7523).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenServiceFile {
    /// Its `iss`, which the credentials carry.
    pub issuer: String,
    /// Its token endpoint (https).
    pub token_endpoint: String,
    /// Where its keys are: what it issues is checked before it is used.
    pub jwks: JwksFile,
    /// What its server must prove.
    #[serde(default)]
    pub server: HttpsFile,
    /// PKCS #8 PEM or DER file of the P-256 key that signs the actor assertions; mode 0600.
    pub actor_key: PathBuf,
    /// How long an exchange may take, as `5s`. Default `5s`.
    pub timeout: Option<String>,
    /// Who the gateway is there, and how it proves that. Default: its SVID alone.
    pub client: Option<ServiceClientFile>,
    /// Whether what it issues must name the calling workload in `act`. Default `required`.
    #[serde(default)]
    pub actor: ActorFile,
    /// What is asked for a call without a subject token. Default `exchange`.
    #[serde(default)]
    pub without_subject: WithoutSubjectFile,
    /// The parameter that says whom a credential is for. Default `audience`.
    #[serde(default)]
    pub target: TargetFile,
    /// How long a refusal is remembered, so that the same question is not asked again at once; `0s` forgets it. At most
    /// `1m`. Default `5s`.
    pub refusals_kept: Option<String>,
    /// When it is asked no more for a while.
    #[serde(default)]
    pub breaker: BreakerFile,
    /// The identity provider whose assertions (ID-JAG) it takes. It is the authorization server of the MCP server then, and
    /// needs `client`.
    pub id_jag: Option<IdJagFile>,
}

/// An identity provider that says for whom the gateway may ask (MCP enterprise-managed authorization): it exchanges the
/// subject token (RFC 8693) for an Identity Assertion JWT Authorization Grant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdJagFile {
    /// Its `iss`.
    pub issuer: String,
    /// Its token endpoint (https).
    pub token_endpoint: String,
    /// Where its keys are: what it gives is checked before it is passed on.
    pub jwks: JwksFile,
    /// What its server must prove.
    #[serde(default)]
    pub server: HttpsFile,
    /// Who the gateway is there, and how it proves that. Default: its SVID alone.
    pub client: Option<ServiceClientFile>,
    /// What the callers' subject tokens are to it. Default `access_token`.
    #[serde(default)]
    pub subject_token: SubjectTokenFile,
    /// Whether the MCP server's authorization server calls people by the same names. Default `same`.
    #[serde(default)]
    pub subject: SubjectNameFile,
}

/// What the callers' subject tokens are to the identity provider.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SubjectTokenFile {
    /// Access tokens.
    #[default]
    AccessToken,
    /// ID tokens (OpenID Connect).
    IdToken,
}

/// Whom a credential must be about.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SubjectNameFile {
    /// The subject token's `sub`.
    #[default]
    Same,
    /// Whom the authorization server maps that to: its word, in a credential that says that it was issued to the gateway.
    /// Needs `actor: recorded`.
    Mapped,
}

/// The gateway as a client of a token service: unless it says more, it is known by its X.509-SVID (RFC 8705,
/// `tls_client_auth`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceClientFile {
    /// Its `client_id`.
    pub id: String,
    /// File with the client's secret on one line, sent as HTTP Basic (RFC 6749 §2.3.1); mode 0600.
    pub secret_file: Option<PathBuf>,
    /// PKCS #8 PEM or DER file of a P-256 key that signs an assertion for each request (`private_key_jwt`, RFC 7523 §2.2);
    /// mode 0600.
    pub key_file: Option<PathBuf>,
    /// The gateway's own JWT-SVID is the assertion, and this its type; needs `identity.workload_api`.
    pub jwt_svid: Option<AssertionFile>,
}

/// The `client_assertion_type` of a JWT-SVID.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AssertionFile {
    /// `jwt-spiffe` (OAuth SPIFFE Client Authentication).
    JwtSpiffe,
    /// `jwt-bearer` (RFC 7523 §2.2), for a service that takes it by its issuer's or trust domain's keys.
    JwtBearer,
}

/// Whether a credential must name the calling workload in `act` (RFC 8693 §4.1).
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ActorFile {
    /// One that doesn't is refused.
    #[default]
    Required,
    /// It need not: who acted stands in the audit alone. An `act` that names another workload is refused all the same.
    Recorded,
}

/// What is asked for a call without a subject token.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum WithoutSubjectFile {
    /// An exchange of the gateway's assertion about the caller: the credential's subject is the caller.
    #[default]
    Exchange,
    /// The gateway's own credential (RFC 6749 §4.4), which does not name the caller; needs `client` and `actor: recorded`.
    ClientCredentials,
}

/// The parameter that says whom a credential is for.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TargetFile {
    /// `audience` (RFC 8693 §2.1).
    #[default]
    Audience,
    /// `resource` (RFC 8707): the audience has to be a URI.
    Resource,
}

/// When a token service that fails is asked no more for a while.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakerFile {
    /// Failures in a row after which it is left alone; refusals are no failures. Default 5.
    pub failures_max: Option<u64>,
    /// For how long, as `10s`; after that one call tries. Default `10s`.
    pub open: Option<String>,
}
