//! What a message's parameters say: whom it touches, with what, and in which version.

use super::{Arguments, Fault, MethodRow, Target, TargetKind};
use crate::json::{Members, string};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;

pub(super) const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const NAME_BYTES_MAX: usize = 256;
const URI_BYTES_MAX: usize = 8 * 1024;
/// Resources in one `subscriptions/listen`: policy is asked about each.
const SUBSCRIPTIONS_MAX: usize = 32;

/// A message's `params`.
pub(super) struct Params<'a>(Option<Members<'a>>);

/// Its `params._meta`.
pub(super) struct Meta<'a>(Option<Members<'a>>);

impl<'a> Params<'a> {
    /// An object, or absent.
    pub(super) fn read(params: Option<&'a RawValue>) -> Result<Self, Fault> {
        params.map(|params| object(params, "params")).transpose().map(Self)
    }

    /// Whether policy sees all that a call which touches something says, `_meta` aside, and what `answers` the server
    /// where it may ask. Members that extensions add (`task`) come with their support here.
    pub(super) fn are_all_judged(&self, row: &MethodRow, answers: bool) -> Result<(), Fault> {
        let members: &[&str] = match row.target {
            TargetKind::Tool | TargetKind::Prompt if answers => {
                &["_meta", "name", "arguments", "inputResponses", "requestState"]
            }
            TargetKind::Resource if answers => &["_meta", "uri", "inputResponses", "requestState"],
            TargetKind::Tool | TargetKind::Prompt => &["_meta", "name", "arguments"],
            TargetKind::Resource => &["_meta", "uri"],
            TargetKind::Reference => &["_meta", "ref", "argument", "context"],
            TargetKind::Subscriptions => &["_meta", "notifications"],
            TargetKind::Protocol => return Ok(()),
        };
        let all = self.0.as_ref().is_none_or(|params| params.are_among(members));
        if all { Ok(()) } else { Err(Fault::UnknownParameter) }
    }

    /// `_meta`, an object or absent.
    pub(super) fn meta(&self) -> Result<Meta<'a>, Fault> {
        self.get("_meta")?.map(|meta| object(meta, "_meta")).transpose().map(Meta)
    }

    /// The version that `initialize` proposes.
    pub(super) fn proposed_version(&self) -> Result<Cow<'a, str>, Fault> {
        self.get("protocolVersion")?.and_then(string).ok_or(Fault::Params { name: "protocolVersion" })
    }

    /// What the call touches, and the name or URI that `Mcp-Name` mirrors.
    pub(super) fn target(&self, row: &MethodRow) -> Result<(Target, Option<Cow<'a, str>>), Fault> {
        match row.target {
            TargetKind::Tool => {
                let name = text(self.get("name")?, "name", NAME_BYTES_MAX)?;
                Ok((Target::Tool { name: name.clone().into_owned() }, Some(name)))
            }
            TargetKind::Prompt => {
                let name = text(self.get("name")?, "name", NAME_BYTES_MAX)?;
                Ok((Target::Prompt { name: name.clone().into_owned() }, Some(name)))
            }
            TargetKind::Resource => {
                let uri = text(self.get("uri")?, "uri", URI_BYTES_MAX)?;
                Ok((Target::Resource { uris: vec![uri.clone().into_owned()] }, Some(uri)))
            }
            TargetKind::Reference => self.reference(),
            TargetKind::Subscriptions => Ok((self.subscriptions()?, None)),
            TargetKind::Protocol => Ok((Target::Protocol, None)),
        }
    }

    fn reference(&self) -> Result<(Target, Option<Cow<'a, str>>), Fault> {
        let reference = self.get("ref")?.ok_or(Fault::Params { name: "ref" })?;
        let reference = object(reference, "ref")?;
        match reference.get("type")?.and_then(string).as_deref() {
            Some("ref/prompt") => {
                let name = text(reference.get("name")?, "ref.name", NAME_BYTES_MAX)?;
                Ok((Target::Prompt { name: name.clone().into_owned() }, Some(name)))
            }
            Some("ref/resource") => {
                let uri = text(reference.get("uri")?, "ref.uri", URI_BYTES_MAX)?;
                Ok((Target::Resource { uris: vec![uri.clone().into_owned()] }, Some(uri)))
            }
            _ => Err(Fault::Params { name: "ref.type" }),
        }
    }

    fn subscriptions(&self) -> Result<Target, Fault> {
        const NAME: &str = "notifications.resourceSubscriptions";
        let filter = self.get("notifications")?.ok_or(Fault::Params { name: "notifications" })?;
        let Some(listed) = object(filter, "notifications")?.get("resourceSubscriptions")? else {
            return Ok(Target::Protocol);
        };
        let listed: Vec<&RawValue> =
            serde_json::from_str(listed.get()).map_err(|_| Fault::Params { name: NAME })?;
        if listed.len() > SUBSCRIPTIONS_MAX {
            return Err(Fault::Params { name: NAME });
        }
        let uris = listed.into_iter().map(|uri| text(Some(uri), NAME, URI_BYTES_MAX).map(Cow::into_owned));
        let uris = uris.collect::<Result<Vec<_>, _>>()?;
        Ok(if uris.is_empty() { Target::Protocol } else { Target::Resource { uris } })
    }

    /// What policy sees beside the target.
    pub(super) fn arguments(&self, row: &MethodRow) -> Result<Option<Value>, Fault> {
        match row.arguments {
            Arguments::None => Ok(None),
            Arguments::Arguments => {
                self.get("arguments")?.map(|raw| object_value(raw, "arguments")).transpose()
            }
            Arguments::Argument => self.argument(),
            Arguments::Notifications => self.required_object("notifications"),
            Arguments::Level => {
                let level = text(self.get("level")?, "level", NAME_BYTES_MAX)?;
                Ok(Some(json!({ "level": level })))
            }
        }
    }

    /// What is to be completed, and under `context` what has been filled in already.
    fn argument(&self) -> Result<Option<Value>, Fault> {
        let mut argument = self.required_object("argument")?;
        let context = self.get("context")?.map(|raw| object_value(raw, "context")).transpose()?;
        if let (Some(Value::Object(members)), Some(context)) = (&mut argument, context)
            && members.insert("context".into(), context).is_some()
        {
            return Err(Fault::Params { name: "argument.context" }); // It would hide the other one.
        }
        Ok(argument)
    }

    fn required_object(&self, name: &'static str) -> Result<Option<Value>, Fault> {
        let raw = self.get(name)?.ok_or(Fault::Params { name })?;
        object_value(raw, name).map(Some)
    }

    fn get(&self, key: &str) -> Result<Option<&'a RawValue>, Fault> {
        self.0.as_ref().map_or(Ok(None), |members| members.get(key).map_err(Fault::from))
    }
}

impl<'a> Meta<'a> {
    /// The version that a stateless call says it is made in.
    pub(super) fn protocol_version(&self) -> Result<Option<Cow<'a, str>>, Fault> {
        let version = self.get(PROTOCOL_VERSION)?;
        version.map(|raw| string(raw).ok_or(Fault::Params { name: PROTOCOL_VERSION })).transpose()
    }

    /// 2026-07-28, Base Protocol, per-request fields: required beside the version.
    pub(super) fn has_client_capabilities(&self) -> Result<(), Fault> {
        let capabilities =
            self.get(CLIENT_CAPABILITIES)?.ok_or(Fault::MetaMissing { key: CLIENT_CAPABILITIES })?;
        object(capabilities, CLIENT_CAPABILITIES).map(drop)
    }

    /// `traceparent`, if it is well-formed. It decides nothing, so one that isn't is not refused.
    pub(super) fn trace_parent(&self) -> Result<Option<String>, Fault> {
        let text = self.get("traceparent")?.and_then(string);
        Ok(text.filter(|text| is_trace_parent(text)).map(Cow::into_owned))
    }

    fn get(&self, key: &str) -> Result<Option<&'a RawValue>, Fault> {
        self.0.as_ref().map_or(Ok(None), |members| members.get(key).map_err(Fault::from))
    }
}

/// W3C Trace Context §3.2.2, version 00: four fields of lower-case hexadecimal digits, no id of zeros only.
fn is_trace_parent(text: &str) -> bool {
    let is_hex = |field: &str, length: usize| {
        field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |field: &str, length: usize| is_hex(field, length) && field.bytes().any(|byte| byte != b'0');
    let mut fields = text.split('-');
    matches!(
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next()),
        (Some("00"), Some(trace), Some(parent), Some(flags), None)
            if is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2)
    )
}

fn object<'a>(raw: &'a RawValue, name: &'static str) -> Result<Members<'a>, Fault> {
    Members::of(raw).ok_or(Fault::Params { name })
}

fn object_value(raw: &RawValue, name: &'static str) -> Result<Value, Fault> {
    let value: Value = serde_json::from_str(raw.get()).map_err(|_| Fault::Params { name })?;
    if value.is_object() { Ok(value) } else { Err(Fault::Params { name }) }
}

fn text<'a>(raw: Option<&'a RawValue>, name: &'static str, bytes_max: usize) -> Result<Cow<'a, str>, Fault> {
    let text = raw.and_then(string).filter(|text| !text.is_empty() && text.len() <= bytes_max);
    text.ok_or(Fault::Params { name })
}
