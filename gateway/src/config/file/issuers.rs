//! The issuers of subject tokens, as an operator wrote them.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An issuer of subject tokens: RFC 9068 or any JWT access token (`issuer`), or the JWT-SVIDs of a trust domain (`jwt_svid`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerFile {
    /// The `iss` claim, exactly.
    pub issuer: Option<String>,
    /// Where its keys are. Default: where its own metadata says, which is fetched from below its https URL (RFC 8414, else
    /// OpenID Connect Discovery) and must name it exactly.
    pub jwks: Option<JwksFile>,
    /// The JWT-SVIDs of a trust domain, in place of `issuer`, `jwks` and `types`.
    pub jwt_svid: Option<JwtSvidFile>,
    /// Accepted `typ` headers, as `at+jwt`. Empty accepts any.
    #[serde(default)]
    pub types: Vec<String>,
    /// Accepted `alg` headers, as `ES256`. Empty accepts any that its keys are for.
    #[serde(default)]
    pub algorithms: Vec<String>,
    /// What its tokens may be for, beside this gateway's URL and those of its servers. Empty adds nothing.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Who may present its tokens.
    pub presenter: PresenterFile,
    /// Which claims tell scopes, groups and tenant.
    #[serde(default)]
    pub claims: ClaimsFile,
    /// Whether this issuer's `act` chains are believed. Default: no.
    #[serde(default)]
    pub delegates: bool,
    /// The other issuer here whose subjects its credentials are about, by the same `sub`: for a token service that makes
    /// credentials for agents (`presenter: {audience: true}`) under a name of its own, for the people of that issuer and of no
    /// other. A task is then its person's over a chain of agents, too. Default: its subjects are its own.
    pub subjects_of: Option<String>,
    /// How far its clock may be off, as `30s`; at most `5m`. Default `30s`.
    pub leeway: Option<String>,
}

/// JWT-SVIDs as subject tokens: `sub` is a SPIFFE ID of the trust domain, which policy sees as `iss`, too.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtSvidFile {
    /// The trust domain, as `partner.example`.
    pub trust_domain: String,
    /// Where its keys are: a JWK set, or the trust domain's SPIFFE bundle.
    pub jwks: Option<JwksFile>,
    /// Its keys come from the Workload API, with the gateway's own SVID: `jwks` is left out then.
    #[serde(default)]
    pub workload_api: bool,
}

/// Which claims tell scopes, groups and tenant. One that is missing in a token is none; of the wrong type, it refuses the token.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimsFile {
    /// A string with spaces between the scopes, or an array of strings. Default: `scope`, and `scp` without it.
    pub scopes: Option<ClaimPath>,
    /// A string, or an array of strings, as `realm_access.roles`. Default: no groups.
    pub groups: Option<ClaimPath>,
    /// A string, as `tid`. Default: no tenant.
    pub tenant: Option<ClaimPath>,
}

/// The path to a claim.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ClaimPath {
    /// Member names with dots between them, as `realm_access.roles`.
    Dotted(String),
    /// The member names, each as it is, as `["https://app.example/roles"]`.
    Names(Vec<String>),
}

/// Where an issuer's keys are: a file or a URL.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwksFile {
    /// A JWK set on disk, read again when a key is missing. An issuer with neither `file` nor `url` is asked for its metadata.
    pub file: Option<PathBuf>,
    /// An HTTPS URL, fetched with a timeout, a size limit and at most once per `refresh`.
    pub url: Option<String>,
    /// What the URL's server must prove. Default: a host name that the system's authorities vouch for.
    #[serde(default)]
    pub server: HttpsFile,
    /// The least time between two fetches for an unknown key, as `10s`. Default `10s`.
    pub refresh: Option<String>,
}

/// How an HTTPS server proves who it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpsFile {
    /// Its SPIFFE ID, verified against our trust bundle; the gateway shows its own SVID then.
    pub spiffe_id: Option<String>,
    /// PEM file of the authorities that may vouch for its host name, in place of the system's.
    pub ca_file: Option<PathBuf>,
}

/// How a token names the one workload that may present it. A `cnf.x5t#S256` in the token is checked besides, always.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PresenterFile {
    /// The claim that names the presenter, as `client_id` or `azp`.
    pub claim: Option<String>,
    /// From the claim's value to a SPIFFE ID. A value that isn't in it names nobody. Without a map the value is the SPIFFE ID.
    #[serde(default)]
    pub map: BTreeMap<String, String>,
    /// `true`: the workload whose SPIFFE ID is the token's one audience. So the token service's credentials for agents are
    /// presented, with which they call onward.
    #[serde(default)]
    pub audience: bool,
    /// `true`: whoever holds a token may present it. Say so only for issuers whose tokens can't be bound.
    #[serde(default)]
    pub any: bool,
}
