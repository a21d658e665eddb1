//! OAuth 2.0 Protected Resource Metadata (RFC 9728): what a client reads after a 401 to learn whose token it needs.

use crate::token::Issuers;
use crate::upstream::Answer;
use serde_json::json;

/// The metadata of the gateway's URL, or of one server's below it. It is the same whether that server exists or not.
pub fn protected_resource(resource: &str, issuers: &Issuers) -> Answer {
    let document = json!({
        "resource": resource,
        "authorization_servers": issuers.names().collect::<Vec<_>>(),
        "bearer_methods_supported": ["header"],
        "tls_client_certificate_bound_access_tokens": true,
        "resource_name": "Sallyport",
    });
    Answer::json(document.to_string())
}
