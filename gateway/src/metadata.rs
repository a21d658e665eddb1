//! OAuth 2.0 Protected Resource Metadata (RFC 9728): what a client reads after a 401 to learn whose token it needs.

use crate::token::Issuers;
use serde_json::{Value, json};

/// Where RFC 9728 §3.1 puts the metadata: before the resource's own path.
const PATH: &str = "/.well-known/oauth-protected-resource";

/// The resource that a path asks about: the gateway's URL, or that of one server or agent below it.
pub fn resource(url: &str, path: &str) -> Option<String> {
    match path.strip_prefix(PATH)? {
        "" => Some(url.to_owned()),
        rest => crate::route::is_endpoint(rest).then(|| format!("{url}{rest}")),
    }
}

/// Whether a path is one of metadata, of any resource at all.
pub fn is_below(path: &str) -> bool {
    path.starts_with(PATH)
}

/// The metadata of the gateway's URL, or of one server's below it. It is the same whether that server exists or not.
pub fn protected_resource(resource: &str, issuers: &Issuers) -> Value {
    json!({
        "resource": resource,
        "authorization_servers": issuers.names().collect::<Vec<_>>(),
        "bearer_methods_supported": ["header"],
        "tls_client_certificate_bound_access_tokens": true,
        "resource_name": "Sallyport",
    })
}
