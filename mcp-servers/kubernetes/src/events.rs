//! What the cluster has noted of its objects lately.

use crate::error::{KubernetesError, one_line};
use crate::fence::GroupKind;
use crate::kinds::Resource;
use crate::name::{KindName, Namespace, ObjectName};
use crate::server::Kubernetes;
use k8s_openapi::api::core::v1::Event;
use kit::{Json, cursor};
use kube::core::ObjectList;
use kube::core::params::ListParams;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::Extensions;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EventsArguments {
    /// The namespace
    namespace: Namespace,
    /// Of objects of this kind alone, as in `Pod`
    kind: Option<KindName>,
    /// Of the object of this name alone
    name: Option<ObjectName>,
    /// Of this type alone
    #[serde(rename = "type")]
    kind_of_event: Option<EventType>,
    /// Most events on one page
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
enum EventType {
    Normal,
    Warning,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Events {
    /// The events of this page, the latest first
    events: Vec<Told>,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Told {
    /// When it was seen last, RFC 3339
    time: Option<String>,
    /// Normal or Warning
    #[serde(rename = "type")]
    kind: String,
    reason: String,
    /// Of which object, as in Pod/web-1
    object: String,
    message: String,
    /// How often it was seen
    count: i32,
}

#[tool_router(router = noticing, vis = "pub(crate)")]
impl Kubernetes {
    /// Lists the events of a namespace, of a kind or of one object: what the cluster did and what it could not do. Of kinds
    /// that can't be read here nothing is told, so that a page may be short.
    #[tool(
        title = "List events",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn events(
        &self,
        Parameters(asked): Parameters<EventsArguments>,
        extensions: Extensions,
    ) -> Result<Json<Events>, KubernetesError> {
        self.fence.namespace(&asked.namespace)?;
        let kind = asked.kind.as_ref().map(|name| self.fence.readable(name)).transpose()?;
        let of_type = asked.kind_of_event.map(|kind| match kind {
            EventType::Normal => "Normal".to_owned(),
            EventType::Warning => "Warning".to_owned(),
        });
        let fields = [
            ("involvedObject.kind", kind.map(|kind| kind.kind)),
            ("involvedObject.name", asked.name.map(|name| name.to_string())),
            ("type", of_type),
        ];
        let fields: Vec<_> =
            fields.into_iter().filter_map(|(field, value)| Some(format!("{field}={}", value?))).collect();
        let limit = self.limits.page_items_max.min(asked.limit.unwrap_or(u32::MAX));
        if limit == 0 {
            return Err(KubernetesError::Arguments("limit is 1 or more".into()));
        }
        let parameters = ListParams {
            field_selector: (!fields.is_empty()).then(|| fields.join(",")),
            limit: Some(limit),
            continue_token: asked.cursor.as_deref().map(cursor::parse).transpose()?,
            ..ListParams::default()
        };
        let resource = Resource {
            kind: GroupKind::new("Event", ""),
            version: "v1".into(),
            plural: "events".into(),
            namespaced: true,
        };
        let session = self.cluster.session(&extensions).await?;
        let request = resource.requests(Some(&asked.namespace)).list(&parameters);
        let found: ObjectList<Event> = session.json(request, "EventList", Some("v1")).await?;
        let next = found.metadata.continue_.filter(|next| !next.is_empty());
        let readable = |event: &Event| self.fence.reads(&kind_of(event)).is_ok();
        let mut events: Vec<_> = found.items.into_iter().filter(readable).map(told).collect();
        events.sort_by(|a, b| b.time.cmp(&a.time));
        let warnings = events.iter().filter(|event| event.kind == "Warning").count();
        let text = format!("{} events in {}, {warnings} warnings", events.len(), asked.namespace);
        Ok(Json::new(Events { events, next_cursor: next.map(|next| cursor::after(&next)) }, text))
    }
}

/// Of which kind the object is that something is noted of; one of no group is of the core.
fn kind_of(event: &Event) -> GroupKind {
    let object = &event.involved_object;
    let group = object.api_version.as_deref().and_then(|version| version.rsplit_once('/'));
    GroupKind::new(object.kind.as_deref().unwrap_or_default(), group.map_or("", |(group, _)| group))
}

fn told(event: Event) -> Told {
    let object = event.involved_object;
    let series = event.series;
    let count = series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1);
    let last = series.and_then(|series| series.last_observed_time).or(event.event_time).map(|time| time.0);
    let time = event.last_timestamp.map(|time| time.0).or(last).or(event.first_timestamp.map(|time| time.0));
    Told {
        time: time.map(|time| time.to_string()),
        kind: event.type_.unwrap_or_default(),
        reason: event.reason.unwrap_or_default(),
        object: format!("{}/{}", object.kind.unwrap_or_default(), object.name.unwrap_or_default()),
        message: one_line(&event.message.unwrap_or_default()),
        count,
    }
}
