//! The tools that say which metrics, labels and series there are. The fence goes with every one of them as a selector.

use crate::error::PrometheusError;
use crate::fence::{Labels, is_label_name, is_metric_name};
use crate::page::{Page, begin, page};
use crate::range::moment;
use crate::server::Metrics;
use crate::upstream;
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Selectors in one call.
const SELECTORS_MAX: usize = 10;
/// When nobody says from when, in seconds: series that ended long ago interest few.
const BACK: f64 = 3600.0;
/// What the series of a histogram or summary have behind its name.
const SUFFIXES: [&str; 4] = ["_bucket", "_count", "_sum", "_total"];

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SeriesArguments {
    /// Selectors, as in `up{job="node"}`: series that satisfy one of them
    #[serde(rename = "match")]
    #[schemars(length(min = 1, max = 10))]
    selectors: Vec<String>,
    /// From when: `now-6h`, RFC 3339 or Unix seconds; an hour before `end` if not given
    start: Option<String>,
    /// Until when; `now` if not given
    end: Option<String>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LabelsArguments {
    /// Selectors, as in `up{job="node"}`: labels of series that satisfy one of them; of all series if not given
    #[serde(rename = "match", default)]
    #[schemars(length(max = 10))]
    selectors: Vec<String>,
    /// From when: `now-6h`, RFC 3339 or Unix seconds; an hour before `end` if not given
    start: Option<String>,
    /// Until when; `now` if not given
    end: Option<String>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ValuesArguments {
    /// The label, as in `job`; `__name__` for the names of metrics
    label: String,
    /// Selectors, as in `up{job="node"}`: values in series that satisfy one of them; in all series if not given
    #[serde(rename = "match", default)]
    #[schemars(length(max = 10))]
    selectors: Vec<String>,
    /// From when: `now-6h`, RFC 3339 or Unix seconds; an hour before `end` if not given
    start: Option<String>,
    /// Until when; `now` if not given
    end: Option<String>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MetadataArguments {
    /// The metric; all if not given
    metric: Option<String>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SeriesList {
    /// The labels of each series
    series: Vec<Labels>,
    /// How many there are on all pages
    total: usize,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Names {
    /// The names or values, sorted
    names: Vec<String>,
    /// How many there are on all pages
    total: usize,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MetadataList {
    /// The metrics, sorted by name
    metrics: Vec<Metadata>,
    /// How many there are on all pages
    total: usize,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What a target says of a metric.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Metadata {
    /// Its name
    pub(crate) name: String,
    /// counter, gauge, histogram, summary or unknown
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// What it counts or measures
    pub(crate) help: String,
    /// Its unit; empty where the target doesn't say
    pub(crate) unit: String,
}

#[derive(Deserialize)]
struct Said {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    help: String,
    #[serde(default)]
    unit: String,
}

#[tool_router(router = lists, vis = "pub(crate)")]
impl Metrics {
    /// Lists the series that satisfy selectors.
    #[tool(
        title = "List series",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn series(
        &self,
        Parameters(asked): Parameters<SeriesArguments>,
    ) -> Result<Json<SeriesList>, PrometheusError> {
        let begin = begin(asked.cursor.as_deref())?;
        if asked.selectors.is_empty() {
            return Err(PrometheusError::Arguments("match has one selector at least".into()));
        }
        let query = self.selection(&asked.selectors, asked.start.as_deref(), asked.end.as_deref()).await?;
        let mut all: Vec<Labels> = self.client.get(&["series"], query).await?;
        all.sort();
        let found = page(all, begin, self.limits.page_items_max);
        let text = found.told("series");
        Ok(Json::new(SeriesList { series: found.items, total: found.total, next_cursor: found.next }, text))
    }

    /// Lists the names of labels.
    #[tool(
        title = "List labels",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn labels(
        &self,
        Parameters(asked): Parameters<LabelsArguments>,
    ) -> Result<Json<Names>, PrometheusError> {
        let begin = begin(asked.cursor.as_deref())?;
        let query = self.selection(&asked.selectors, asked.start.as_deref(), asked.end.as_deref()).await?;
        let all: Vec<String> = self.client.get(&["labels"], query).await?;
        let found = page(all, begin, self.limits.page_items_max);
        Ok(names(found, "labels"))
    }

    /// Lists the values of a label: of `__name__`, the names of metrics.
    #[tool(
        title = "List the values of a label",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn label_values(
        &self,
        Parameters(asked): Parameters<ValuesArguments>,
    ) -> Result<Json<Names>, PrometheusError> {
        let begin = begin(asked.cursor.as_deref())?;
        if !is_label_name(&asked.label) {
            return Err(PrometheusError::Arguments("label is a name of letters, digits and _".into()));
        }
        let query = self.selection(&asked.selectors, asked.start.as_deref(), asked.end.as_deref()).await?;
        let all: Vec<String> = self.client.get(&["label", &asked.label, "values"], query).await?;
        let found = page(all, begin, self.limits.page_items_max);
        Ok(names(found, "values"))
    }

    /// Tells the type, help and unit of metrics.
    #[tool(
        title = "Describe metrics",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn metadata(
        &self,
        Parameters(asked): Parameters<MetadataArguments>,
    ) -> Result<Json<MetadataList>, PrometheusError> {
        let begin = begin(asked.cursor.as_deref())?;
        let all = self.described(asked.metric.as_deref()).await?;
        let found = page(all, begin, self.limits.page_items_max);
        let text = match found.items.as_slice() {
            [one] => format!("{}: {}, {}", one.name, one.kind, one.help),
            _ => found.told("metrics"),
        };
        Ok(Json::new(
            MetadataList { metrics: found.items, total: found.total, next_cursor: found.next },
            text,
        ))
    }
}

impl Metrics {
    /// The names of the metrics within the fence, sorted.
    pub(crate) async fn metric_names(&self) -> Result<Vec<String>, PrometheusError> {
        let query = self.selection(&[], None, None).await?;
        self.client.get(&["label", "__name__", "values"], query).await
    }

    /// What targets say of one metric or of all. Metadata has no labels: with a fence, that of metrics without a series in it
    /// is not told.
    pub(crate) async fn described(&self, metric: Option<&str>) -> Result<Vec<Metadata>, PrometheusError> {
        let query = match metric {
            Some(name) if is_metric_name(name) => vec![("metric", name.to_owned())],
            Some(_) => return Err(PrometheusError::Arguments("metric is the name of one metric".into())),
            None => Vec::new(),
        };
        let said: BTreeMap<String, Vec<Said>> = self.client.get(&["metadata"], query).await?;
        let within: Option<BTreeSet<String>> = match self.fence.is_open() {
            true => None,
            false => Some(self.metric_names().await?.into_iter().collect()),
        };
        let visible = |name: &str| {
            within.as_ref().is_none_or(|within| {
                within.contains(name) || SUFFIXES.iter().any(|end| within.contains(&format!("{name}{end}")))
            })
        };
        let told = said.into_iter().filter(|(name, _)| visible(name)).filter_map(|(name, said)| {
            let Said { kind, help, unit } = said.into_iter().next()?;
            Some(Metadata { name, kind, help, unit })
        });
        Ok(told.collect())
    }

    /// Selectors with the fence in them, and between which times.
    async fn selection(
        &self,
        selectors: &[String],
        start: Option<&str>,
        end: Option<&str>,
    ) -> Result<upstream::Parameters<'static>, PrometheusError> {
        if selectors.len() > SELECTORS_MAX {
            return Err(PrometheusError::Arguments(format!("match has {SELECTORS_MAX} selectors at most")));
        }
        let mut query = Vec::new();
        for selector in selectors {
            query.push(("match[]", self.fence.selector(selector).await?));
        }
        if selectors.is_empty() {
            query.extend(self.fence.everything().map(|all| ("match[]", all)));
        }
        let now = self.now();
        let end = end.map_or(Ok(now), |text| moment(text, now))?;
        let start = start.map_or(Ok((end - BACK).max(0.0)), |text| moment(text, now))?;
        if end < start {
            return Err(PrometheusError::Arguments("start has to be before end".into()));
        }
        query.extend([("start", start.to_string()), ("end", end.to_string())]);
        Ok(query)
    }
}

fn names(found: Page<String>, what: &str) -> Json<Names> {
    let text = format!("{}: {}", found.told(what), found.items.join(", "));
    Json::new(Names { names: found.items, total: found.total, next_cursor: found.next }, text)
}
