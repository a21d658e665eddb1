//! The agent card (A2A 1.0 §4.4), which travels as protobuf only as the answer of `GetExtendedAgentCard`. What its
//! signatures cover is read by this table too: `optional` decides whether a false is signed.

use super::{Field, Kind, Message, field, list, message, of, one_of, optional, text};

const fn texts(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Map(&Kind::Text))
}

static STRINGS: Message = message(&[list(text(1, "list"))]);
static REQUIREMENT: Message = message(&[field(1, "schemes", Kind::Map(&Kind::Message(&STRINGS)))]);
static INTERFACE: Message =
    message(&[text(1, "url"), text(2, "protocolBinding"), text(3, "tenant"), text(4, "protocolVersion")]);
static PROVIDER: Message = message(&[text(1, "url"), text(2, "organization")]);
static EXTENSION: Message = message(&[
    text(1, "uri"),
    text(2, "description"),
    field(3, "required", Kind::Bool),
    field(4, "params", Kind::Struct),
]);
static CAPABILITIES: Message = message(&[
    optional(field(1, "streaming", Kind::Bool)),
    optional(field(2, "pushNotifications", Kind::Bool)),
    list(of(3, "extensions", &EXTENSION)),
    optional(field(4, "extendedAgentCard", Kind::Bool)),
]);
static SKILL: Message = message(&[
    text(1, "id"),
    text(2, "name"),
    text(3, "description"),
    list(text(4, "tags")),
    list(text(5, "examples")),
    list(text(6, "inputModes")),
    list(text(7, "outputModes")),
    list(of(8, "securityRequirements", &REQUIREMENT)),
]);
static SIGNATURE: Message =
    message(&[text(1, "protected"), text(2, "signature"), field(3, "header", Kind::Struct)]);
static API_KEY: Message = message(&[text(1, "description"), text(2, "location"), text(3, "name")]);
static HTTP_AUTH: Message = message(&[text(1, "description"), text(2, "scheme"), text(3, "bearerFormat")]);
static CODE: Message = message(&[
    text(1, "authorizationUrl"),
    text(2, "tokenUrl"),
    text(3, "refreshUrl"),
    texts(4, "scopes"),
    field(5, "pkceRequired", Kind::Bool),
]);
static CLIENT: Message = message(&[text(1, "tokenUrl"), text(2, "refreshUrl"), texts(3, "scopes")]);
static IMPLICIT: Message = message(&[text(1, "authorizationUrl"), text(2, "refreshUrl"), texts(3, "scopes")]);
static DEVICE: Message = message(&[
    text(1, "deviceAuthorizationUrl"),
    text(2, "tokenUrl"),
    text(3, "refreshUrl"),
    texts(4, "scopes"),
]);
static FLOWS: Message = message(&[
    one_of(of(1, "authorizationCode", &CODE)),
    one_of(of(2, "clientCredentials", &CLIENT)),
    one_of(of(3, "implicit", &IMPLICIT)),
    one_of(of(4, "password", &CLIENT)),
    one_of(of(5, "deviceCode", &DEVICE)),
]);
static OAUTH2: Message =
    message(&[text(1, "description"), of(2, "flows", &FLOWS), text(3, "oauth2MetadataUrl")]);
static OPEN_ID: Message = message(&[text(1, "description"), text(2, "openIdConnectUrl")]);
static MTLS: Message = message(&[text(1, "description")]);
static SCHEME: Message = message(&[
    one_of(of(1, "apiKeySecurityScheme", &API_KEY)),
    one_of(of(2, "httpAuthSecurityScheme", &HTTP_AUTH)),
    one_of(of(3, "oauth2SecurityScheme", &OAUTH2)),
    one_of(of(4, "openIdConnectSecurityScheme", &OPEN_ID)),
    one_of(of(5, "mtlsSecurityScheme", &MTLS)),
]);

/// `AgentCard`.
pub(in crate::a2a) static CARD: Message = message(&[
    text(1, "name"),
    text(2, "description"),
    list(of(3, "supportedInterfaces", &INTERFACE)),
    of(4, "provider", &PROVIDER),
    text(5, "version"),
    text(6, "documentationUrl"),
    of(7, "capabilities", &CAPABILITIES),
    field(8, "securitySchemes", Kind::Map(&Kind::Message(&SCHEME))),
    list(of(9, "securityRequirements", &REQUIREMENT)),
    list(text(10, "defaultInputModes")),
    list(text(11, "defaultOutputModes")),
    list(of(12, "skills", &SKILL)),
    list(of(13, "signatures", &SIGNATURE)),
    text(14, "iconUrl"),
]);
