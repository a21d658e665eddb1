//! The tools that read any kind within the fence: one object, or a table of many.

use crate::error::{KubernetesError, shortened};
use crate::name::{KindName, Namespace, ObjectName};
use crate::selector::{FieldSelector, LabelSelector};
use crate::server::Kubernetes;
use crate::shown::shown;
use http::header::{ACCEPT, HeaderValue};
use kit::{Json, cursor};
use kube::core::params::{GetParams, ListParams};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::Extensions;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Asks the API server for the columns that it has for people.
const TABLE: HeaderValue = HeaderValue::from_static("application/json;as=Table;v=v1;g=meta.k8s.io");
/// The longest cell, in characters.
const CELL_CHARS_MAX: usize = 300;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    /// The kind, as in `Deployment`
    kind: KindName,
    /// Its namespace; none for a kind that is in none
    namespace: Option<Namespace>,
    /// Its name
    name: ObjectName,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    /// The kind, as in `Deployment`
    kind: KindName,
    /// The namespace; all if not given, where this server reaches all
    namespace: Option<Namespace>,
    /// Labels that the objects have, as in `app=web,tier!=db,track in (a, b),!old`
    labels: Option<LabelSelector>,
    /// Fields that they have, as in `status.phase=Running`
    fields: Option<FieldSelector>,
    /// Columns that are for experts, too
    #[serde(default)]
    wide: bool,
    /// Most objects on one page
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Found {
    /// The object; of a Secret its values are withheld
    object: Value,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Listed {
    /// Names of the columns
    columns: Vec<String>,
    /// The objects
    rows: Vec<Row>,
    /// How many there are on later pages, where the cluster says that
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    /// The namespace, if it is in one
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// The name
    name: String,
    /// What stands in each column
    cells: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    #[serde(default)]
    metadata: TableMetadata,
    column_definitions: Vec<Column>,
    #[serde(default)]
    rows: Vec<TableRow>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TableMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
    remaining_item_count: Option<u64>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    #[serde(default)]
    priority: i32,
}

#[derive(Deserialize)]
struct TableRow {
    cells: Vec<Value>,
    object: Partial,
}

#[derive(Deserialize)]
struct Partial {
    metadata: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    namespace: Option<String>,
}

#[tool_router(router = reading, vis = "pub(crate)")]
impl Kubernetes {
    /// Gets one object. The values of Secrets are withheld.
    #[tool(
        title = "Get an object",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get(
        &self,
        Parameters(asked): Parameters<GetArguments>,
        extensions: Extensions,
    ) -> Result<Json<Found>, KubernetesError> {
        let kind = self.fence.readable(&asked.kind)?;
        let namespace = asked.namespace.as_ref();
        namespace.map_or(Ok(()), |namespace| self.fence.namespace(namespace))?;
        let session = self.cluster.session(&extensions).await?;
        let resource = session.resource(&kind).await?;
        resource.admit(&self.fence, namespace)?;
        let what = resource.told(namespace, &asked.name);
        let request = resource.requests(namespace).get(&asked.name, &GetParams::default());
        let object =
            session.object(request, &resource).await.map_err(|error| error.of(&what, kind.is_secret()))?;
        Ok(Json::new(Found { object: shown(object, &kind) }, what))
    }

    /// Lists objects of a kind as a table, with the columns that the cluster has for it.
    #[tool(
        title = "List objects",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn list(
        &self,
        Parameters(asked): Parameters<ListArguments>,
        extensions: Extensions,
    ) -> Result<Json<Listed>, KubernetesError> {
        let kind = self.fence.readable(&asked.kind)?;
        match &asked.namespace {
            Some(namespace) => self.fence.namespace(namespace)?,
            None => self.fence.whole_cluster()?,
        }
        let limit = self.limits.page_items_max.min(asked.limit.unwrap_or(u32::MAX));
        if limit == 0 {
            return Err(KubernetesError::Arguments("limit is 1 or more".into()));
        }
        let parameters = ListParams {
            label_selector: asked.labels.map(|labels| labels.to_string()),
            field_selector: asked.fields.map(|fields| fields.to_string()),
            limit: Some(limit),
            continue_token: asked.cursor.as_deref().map(cursor::parse).transpose()?,
            ..ListParams::default()
        };
        let session = self.cluster.session(&extensions).await?;
        let resource = session.resource(&kind).await?;
        if let (false, Some(_)) = (resource.namespaced, &asked.namespace) {
            return Err(KubernetesError::Arguments(format!("{kind} is in no namespace")));
        }
        let mut request = resource.requests(asked.namespace.as_ref()).list(&parameters)?;
        request.headers_mut().insert(ACCEPT, TABLE);
        let told = |error: KubernetesError| error.of(&format!("{kind}"), kind.is_secret());
        let table = session.json(Ok(request), "Table", Some("meta.k8s.io/v1"));
        let table: Table = table.await.map_err(told)?;
        let listed = listed(table, asked.wide);
        let more = if listed.next_cursor.is_some() { ", and there are more (next_cursor)" } else { "" };
        let text = format!("{} of {kind}{more}", listed.rows.len());
        Ok(Json::new(listed, text))
    }
}

fn listed(table: Table, wide: bool) -> Listed {
    let kept: Vec<bool> =
        table.column_definitions.iter().map(|column| wide || column.priority == 0).collect();
    let keep = |place: usize| kept.get(place).copied().unwrap_or(false);
    let columns = table.column_definitions.into_iter().enumerate();
    let columns = columns.filter(|(place, _)| keep(*place)).map(|(_, column)| column.name).collect();
    let cell = |value: Value| match value {
        Value::String(text) => shortened(&text, CELL_CHARS_MAX),
        Value::Null => String::new(),
        other => shortened(&other.to_string(), CELL_CHARS_MAX),
    };
    let row = |TableRow { cells, object: Partial { metadata: Named { name, namespace } } }| {
        let cells = cells.into_iter().enumerate().filter(|(place, _)| keep(*place));
        Row { namespace, name, cells: cells.map(|(_, value)| cell(value)).collect() }
    };
    Listed {
        columns,
        rows: table.rows.into_iter().map(row).collect(),
        remaining: table.metadata.remaining_item_count,
        next_cursor: table.metadata.next.filter(|next| !next.is_empty()).map(|next| cursor::after(&next)),
    }
}
