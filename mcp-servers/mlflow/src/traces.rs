//! Traces: what an application did, span by span.

use crate::error::MlflowError;
use crate::experiments::{filter, orders, sparse};
use crate::filter::Entity;
use crate::names::{ExperimentName, TraceId};
use crate::page::{Wanted, next, told};
use crate::server::Mlflow;
use crate::wire::Texts;
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchArguments {
    /// The names of the experiments to search
    #[schemars(length(min = 1, max = 20))]
    experiments: Vec<ExperimentName>,
    /// MLflow's filter, as in `status = 'ERROR' AND tags.env = 'prod' AND span.name LIKE 'chat%'`
    filter: Option<String>,
    /// By what to sort, as in `timestamp_ms DESC`
    #[schemars(length(max = 5))]
    order_by: Option<Vec<String>>,
    /// How many at most
    #[schemars(range(min = 1))]
    page_size: Option<u32>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    /// The trace's id
    trace_id: TraceId,
    /// The experiment that it belongs to; it is refused if it belongs to another one. Policy may insist on this argument
    experiment: Option<ExperimentName>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Traces {
    /// The traces
    traces: Vec<TraceView>,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A trace without its spans.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TraceView {
    /// Its id
    trace_id: String,
    /// The experiment that it belongs to
    experiment: String,
    /// `OK`, `ERROR` or `IN_PROGRESS`
    status: String,
    /// When it began, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    /// How long it took, as in `0.128s`
    #[serde(skip_serializing_if = "Option::is_none")]
    took: Option<String>,
    /// The beginning of what went in
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    /// The beginning of what came out
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<String>,
    /// Its tags
    tags: Texts,
    /// Its metadata
    metadata: Texts,
}

/// A trace with its spans.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TraceWhole {
    /// All but its spans
    trace: TraceView,
    /// Its spans, as MLflow keeps them
    spans: Vec<SpanView>,
    /// What is not as it was asked for
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct SpanView {
    /// Its id, in base64
    span_id: String,
    /// The id of the span that it is part of
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    /// Its name
    name: String,
    /// `OK`, `ERROR` or `UNSET`
    status: String,
    /// How long it took, in milliseconds
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<f64>,
    /// Its attributes; long texts are cut
    attributes: Map<String, Value>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    traces: Vec<Info>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct TraceFound {
    trace: Trace,
}

#[derive(Deserialize)]
struct Trace {
    trace_info: Info,
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Info {
    trace_id: String,
    trace_location: Option<Location>,
    #[serde(default)]
    state: String,
    request_time: Option<String>,
    execution_duration: Option<String>,
    request_preview: Option<String>,
    response_preview: Option<String>,
    #[serde(default)]
    tags: Texts,
    #[serde(default)]
    trace_metadata: Texts,
}

#[derive(Deserialize)]
struct Location {
    mlflow_experiment: Option<ExperimentLocation>,
}

#[derive(Deserialize)]
struct ExperimentLocation {
    experiment_id: String,
}

#[derive(Deserialize)]
struct Span {
    #[serde(default)]
    span_id: String,
    parent_span_id: Option<String>,
    #[serde(default)]
    name: String,
    start_time_unix_nano: Option<u64>,
    end_time_unix_nano: Option<u64>,
    #[serde(default)]
    attributes: Vec<Attribute>,
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Attribute {
    key: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: String,
}

/// Characters of a text in a span.
const TEXT_CHARS_MAX: usize = 2000;
/// How deep an attribute's value is read.
const DEPTH_MAX: usize = 16;
/// MLflow's own bound on a page of traces.
const PAGE_MAX: usize = 500;

#[tool_router(router = traces, vis = "pub(crate)")]
impl Mlflow {
    /// Searches the traces of some experiments.
    #[tool(
        title = "Search traces",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn search_traces(
        &self,
        Parameters(asked): Parameters<SearchArguments>,
    ) -> Result<Json<Traces>, MlflowError> {
        let max = self.limits.page_items_max.min(PAGE_MAX);
        let wanted = Wanted::read(asked.page_size, asked.cursor.as_deref(), max)?;
        let filter = filter(Entity::Traces, asked.filter.as_deref())?;
        let order_by = orders(Entity::Traces, asked.order_by.as_deref())?;
        let names = self.experiment_ids(&asked.experiments).await?;
        let place = |id| json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": id}});
        let body = json!({
            "locations": names.keys().map(place).collect::<Vec<_>>(),
            "filter": filter,
            "order_by": order_by,
            "max_results": wanted.count,
            "page_token": wanted.token,
        });
        let found: Found = self.client.post_3(&["traces", "search"], &sparse(body)).await?;
        let next_cursor = next(found.next_page_token);
        let named = |info: Info| {
            let name = names.get(info.experiment_id()?)?.clone();
            Some(info.view(name))
        };
        let traces: Vec<_> = found.traces.into_iter().filter_map(named).collect();
        let text = told(traces.len(), "traces", next_cursor.as_ref());
        Ok(Json::new(Traces { traces, next_cursor }, text))
    }

    /// Reads a trace with its spans.
    #[tool(
        title = "Get a trace",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get_trace(
        &self,
        Parameters(asked): Parameters<GetArguments>,
    ) -> Result<Json<TraceWhole>, MlflowError> {
        let missing = || MlflowError::NotFound(format!("trace {}", asked.trace_id));
        let query = vec![("trace_id", asked.trace_id.to_string())];
        let trace = match self.client.get_3::<TraceFound>(&["traces", "get"], query).await {
            Ok(found) if found.trace.trace_info.trace_id == asked.trace_id.as_str() => found.trace,
            Ok(_) | Err(MlflowError::NotFound(_)) => return Err(missing()),
            Err(error) => return Err(error),
        };
        let Trace { trace_info, mut spans } = trace;
        // A trace that is kept elsewhere than in an experiment has no name to judge it by.
        let id = trace_info.experiment_id().ok_or_else(missing)?;
        let experiment = self.experiment_of(id, asked.experiment.as_ref(), "trace", missing).await?;
        let (all, max) = (spans.len(), self.limits.spans_max);
        spans.truncate(max);
        let note = (all > max).then(|| format!("the first {max} of {all} spans"));
        let trace = trace_info.view(experiment);
        let text = format!("the trace {} is {}, with {all} spans", trace.trace_id, trace.status);
        let spans = spans.into_iter().map(Span::view).collect();
        Ok(Json::new(TraceWhole { trace, spans, note }, text))
    }
}

impl Info {
    fn experiment_id(&self) -> Option<&str> {
        Some(self.trace_location.as_ref()?.mlflow_experiment.as_ref()?.experiment_id.as_str())
    }

    fn view(self, experiment: String) -> TraceView {
        TraceView {
            trace_id: self.trace_id,
            experiment,
            status: self.state,
            started: self.request_time,
            took: self.execution_duration,
            request: self.request_preview.map(cut),
            response: self.response_preview.map(cut),
            tags: self.tags,
            metadata: self.trace_metadata,
        }
    }
}

impl Span {
    fn view(self) -> SpanView {
        let nanoseconds = self.start_time_unix_nano.zip(self.end_time_unix_nano);
        let milliseconds = nanoseconds.and_then(|(start, end)| Some(end.checked_sub(start)? as f64 / 1e6));
        let code = self.status.map(|status| status.code).unwrap_or_default();
        let status = code.strip_prefix("STATUS_CODE_").unwrap_or("UNSET").to_owned();
        let attributes =
            self.attributes.into_iter().map(|found| (found.key, plain(found.value, DEPTH_MAX))).collect();
        let parent_id = self.parent_span_id.filter(|id| !id.is_empty());
        SpanView { span_id: self.span_id, parent_id, name: self.name, status, milliseconds, attributes }
    }
}

/// A value of OpenTelemetry, which says its type, as plain JSON.
fn plain(value: Value, depth: usize) -> Value {
    let Value::Object(mut typed) = value else { return Value::Null };
    let Some((kind, inner)) = typed.iter_mut().next().map(|(kind, inner)| (kind.clone(), inner.take()))
    else {
        return Value::Null;
    };
    let values = |inner: &Value| inner["values"].as_array().cloned().unwrap_or_default();
    match (kind.as_str(), inner) {
        (_, Value::String(text)) => Value::String(cut(text)),
        ("array_value", inner) if depth > 0 => {
            values(&inner).into_iter().map(|value| plain(value, depth - 1)).collect()
        }
        ("kvlist_value", inner) if depth > 0 => {
            let entry = |mut pair: Value| {
                let key = pair["key"].as_str().unwrap_or_default().to_owned();
                (key, plain(pair["value"].take(), depth - 1))
            };
            Value::Object(values(&inner).into_iter().map(entry).collect())
        }
        ("array_value" | "kvlist_value", _) => Value::String("…".into()),
        (_, inner) => inner,
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lose_their_types_and_long_texts_their_ends() {
        let value = json!({"kvlist_value": {"values": [
            {"key": "x", "value": {"int_value": 3}},
            {"key": "l", "value": {"array_value": {"values": [{"string_value": "a"}, {"bool_value": true}]}}},
            {"key": "e", "value": {}},
        ]}});
        assert_eq!(plain(value, 4), json!({"x": 3, "l": ["a", true], "e": null}));
        assert_eq!(plain(json!({"kvlist_value": {"values": []}}), 0), json!("…"));
        assert_eq!(cut("ü".repeat(3000)).chars().count(), TEXT_CHARS_MAX + 1);
    }
}
