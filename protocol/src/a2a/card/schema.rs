//! The members of an agent card and of what is in it, as A2A 1.0's `a2a.proto` has them.

/// What a member holds.
pub(super) enum Kind {
    /// A string.
    Text,
    /// A boolean whose false counts as absent.
    Flag,
    /// A boolean that may be absent, so that false says something.
    OptionalFlag,
    /// A message.
    Message(&'static Message),
    /// An array.
    Many(&'static Kind),
    /// An object whose keys are anybody's.
    Named(&'static Kind),
    /// Any JSON object.
    Free,
}

/// A message: its members, and whether it is one of them.
pub(super) struct Message {
    members: &'static [(&'static str, Kind)],
    pub(super) choice: bool,
}

impl Message {
    /// What a member of this name holds, if there is one.
    pub(super) fn kind(&self, name: &str) -> Option<&'static Kind> {
        self.members.iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }
}

const fn all(members: &'static [(&'static str, Kind)]) -> Message {
    Message { members, choice: false }
}

const fn one_of(members: &'static [(&'static str, Kind)]) -> Message {
    Message { members, choice: true }
}

const TEXTS: Kind = Kind::Many(&Kind::Text);
const SCOPES: Kind = Kind::Named(&Kind::Text);
const REQUIREMENTS: Kind = Kind::Many(&Kind::Message(&REQUIREMENT));

pub(super) static CARD: Message = all(&[
    ("name", Kind::Text),
    ("description", Kind::Text),
    ("supportedInterfaces", Kind::Many(&Kind::Message(&INTERFACE))),
    ("provider", Kind::Message(&PROVIDER)),
    ("version", Kind::Text),
    ("documentationUrl", Kind::Text),
    ("capabilities", Kind::Message(&CAPABILITIES)),
    ("securitySchemes", Kind::Named(&Kind::Message(&SCHEME))),
    ("securityRequirements", REQUIREMENTS),
    ("defaultInputModes", TEXTS),
    ("defaultOutputModes", TEXTS),
    ("skills", Kind::Many(&Kind::Message(&SKILL))),
    ("signatures", Kind::Many(&Kind::Message(&SIGNATURE))),
    ("iconUrl", Kind::Text),
]);

static INTERFACE: Message = all(&[
    ("url", Kind::Text),
    ("protocolBinding", Kind::Text),
    ("tenant", Kind::Text),
    ("protocolVersion", Kind::Text),
]);

static PROVIDER: Message = all(&[("url", Kind::Text), ("organization", Kind::Text)]);

static CAPABILITIES: Message = all(&[
    ("streaming", Kind::OptionalFlag),
    ("pushNotifications", Kind::OptionalFlag),
    ("extensions", Kind::Many(&Kind::Message(&EXTENSION))),
    ("extendedAgentCard", Kind::OptionalFlag),
]);

static EXTENSION: Message = all(&[
    ("uri", Kind::Text),
    ("description", Kind::Text),
    ("required", Kind::Flag),
    ("params", Kind::Free),
]);

static SKILL: Message = all(&[
    ("id", Kind::Text),
    ("name", Kind::Text),
    ("description", Kind::Text),
    ("tags", TEXTS),
    ("examples", TEXTS),
    ("inputModes", TEXTS),
    ("outputModes", TEXTS),
    ("securityRequirements", REQUIREMENTS),
]);

static SIGNATURE: Message =
    all(&[("protected", Kind::Text), ("signature", Kind::Text), ("header", Kind::Free)]);

static REQUIREMENT: Message = all(&[("schemes", Kind::Named(&Kind::Message(&LIST)))]);

static LIST: Message = all(&[("list", TEXTS)]);

static SCHEME: Message = one_of(&[
    ("apiKeySecurityScheme", Kind::Message(&API_KEY)),
    ("httpAuthSecurityScheme", Kind::Message(&HTTP_AUTH)),
    ("oauth2SecurityScheme", Kind::Message(&OAUTH)),
    ("openIdConnectSecurityScheme", Kind::Message(&OPEN_ID)),
    ("mtlsSecurityScheme", Kind::Message(&MUTUAL_TLS)),
]);

static API_KEY: Message = all(&[("description", Kind::Text), ("location", Kind::Text), ("name", Kind::Text)]);

static HTTP_AUTH: Message =
    all(&[("description", Kind::Text), ("scheme", Kind::Text), ("bearerFormat", Kind::Text)]);

static OAUTH: Message =
    all(&[("description", Kind::Text), ("flows", Kind::Message(&FLOWS)), ("oauth2MetadataUrl", Kind::Text)]);

static OPEN_ID: Message = all(&[("description", Kind::Text), ("openIdConnectUrl", Kind::Text)]);

static MUTUAL_TLS: Message = all(&[("description", Kind::Text)]);

static FLOWS: Message = one_of(&[
    ("authorizationCode", Kind::Message(&AUTHORIZATION_CODE)),
    ("clientCredentials", Kind::Message(&TOKEN_FLOW)),
    ("implicit", Kind::Message(&IMPLICIT)),
    ("password", Kind::Message(&TOKEN_FLOW)),
    ("deviceCode", Kind::Message(&DEVICE_CODE)),
]);

static AUTHORIZATION_CODE: Message = all(&[
    ("authorizationUrl", Kind::Text),
    ("tokenUrl", Kind::Text),
    ("refreshUrl", Kind::Text),
    ("scopes", SCOPES),
    ("pkceRequired", Kind::Flag),
]);

static TOKEN_FLOW: Message = all(&[("tokenUrl", Kind::Text), ("refreshUrl", Kind::Text), ("scopes", SCOPES)]);

static IMPLICIT: Message =
    all(&[("authorizationUrl", Kind::Text), ("refreshUrl", Kind::Text), ("scopes", SCOPES)]);

static DEVICE_CODE: Message = all(&[
    ("deviceAuthorizationUrl", Kind::Text),
    ("tokenUrl", Kind::Text),
    ("refreshUrl", Kind::Text),
    ("scopes", SCOPES),
]);
