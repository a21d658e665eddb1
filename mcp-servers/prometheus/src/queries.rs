//! The tools that evaluate PromQL: now, over a range, and over a range in numbers that describe it.

use crate::analysis::{Statistics, statistics};
use crate::client::{Found, Point, Series};
use crate::error::PrometheusError;
use crate::fence::{Labels, Query};
use crate::range::{Range, fewer, moment, number};
use crate::server::Metrics;
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Points a series when nobody says how far apart they are.
const POINTS: usize = 250;
/// Greater numbers would have squares without end.
const VALUE_MAX: f64 = 1e150;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InstantArguments {
    /// PromQL, as in `sum by (job) (up)`
    query: String,
    /// The names of all metrics that the query reads. It is refused if it reads another one, or selects by anything but a
    /// name. Policy may insist on this argument
    #[schemars(length(max = 100))]
    metrics: Option<Vec<String>>,
    /// When: `now` (the default), `now-6h` (s, m, h, d or w), RFC 3339 or Unix seconds
    time: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RangeArguments {
    /// PromQL, as in `rate(http_requests_total[5m])`
    query: String,
    /// The names of all metrics that the query reads. It is refused if it reads another one, or selects by anything but a
    /// name. Policy may insist on this argument
    #[schemars(length(max = 100))]
    metrics: Option<Vec<String>>,
    /// From when: `now-6h` (s, m, h, d or w), RFC 3339 or Unix seconds
    start: String,
    /// Until when; `now` if not given
    end: Option<String>,
    /// Seconds between two points; chosen for some 250 points if not given
    step_seconds: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Instant {
    /// The PromQL that was evaluated
    query: String,
    /// The series and their values
    series: Vec<Value>,
    /// What is not as it was asked for
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Value {
    /// The labels
    labels: Labels,
    /// When, Unix seconds
    time: f64,
    /// The number, or NaN, +Inf or -Inf
    value: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Ranged {
    /// The PromQL that was evaluated
    query: String,
    /// The first time, Unix seconds
    start: f64,
    /// The last time that was asked for, Unix seconds
    end: f64,
    /// Seconds between two points that Prometheus evaluated
    step_seconds: f64,
    /// The series
    series: Vec<Line>,
    /// What is not as it was asked for
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Line {
    /// The labels
    labels: Labels,
    /// Unix seconds and the number, or NaN, +Inf or -Inf
    points: Vec<Point>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Analysis {
    /// The PromQL that was evaluated
    query: String,
    /// The first time, Unix seconds
    start: f64,
    /// The last time that was asked for, Unix seconds
    end: f64,
    /// Seconds between two points
    step_seconds: f64,
    /// The series
    series: Vec<Analyzed>,
    /// What is not as it was asked for
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Analyzed {
    /// The labels
    labels: Labels,
    /// Points that are no numbers (NaN, infinite) and left out
    left_out: usize,
    /// Absent where no point is a number
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<Statistics>,
}

const HISTOGRAMS: &str =
    "native histograms are left out: take histogram_quantile(...) or histogram_sum(...) of them";

#[tool_router(router = queries, vis = "pub(crate)")]
impl Metrics {
    /// Evaluates PromQL at one time: one value for each series.
    #[tool(
        title = "Query now",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn query_instant(
        &self,
        Parameters(asked): Parameters<InstantArguments>,
    ) -> Result<Json<Instant>, PrometheusError> {
        let now = self.now();
        let time = asked.time.as_deref().map_or(Ok(now), |text| moment(text, now))?;
        let query = self.query(&asked.query, asked.metrics.as_deref()).await?.text;
        let form = vec![("query", query.clone()), ("time", time.to_string())];
        let (mut series, mut note) = (Vec::new(), None);
        match self.client.evaluate("query", form).await? {
            Found::Vector(samples) => {
                self.few(samples.len())?;
                for sample in samples {
                    match sample.value {
                        Some((time, value)) => series.push(Value { labels: sample.metric, time, value }),
                        None => note = Some(HISTOGRAMS.to_owned()),
                    }
                }
            }
            Found::Scalar((time, value)) | Found::String((time, value)) => {
                series.push(Value { labels: Labels::new(), time, value });
            }
            Found::Matrix(_) => {
                return Err(self.client.unexpected("a range where there should be a value"));
            }
        }
        let text = match series.as_slice() {
            [one] => format!("{} = {}", written(&one.labels), one.value),
            many => format!("{} series", many.len()),
        };
        Ok(Json::new(Instant { query, series, note: note.clone() }, with(text, note)))
    }

    /// Evaluates PromQL over a range of times. For long ranges `analyze` says more in fewer words.
    #[tool(
        title = "Query a range",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn query_range(
        &self,
        Parameters(asked): Parameters<RangeArguments>,
    ) -> Result<Json<Ranged>, PrometheusError> {
        let (query, range, found, mut note) = self.ranged(&asked).await?;
        let mut series = Vec::new();
        for Series { metric, values } in found {
            let (points, together) = fewer(values, self.limits.answer_points_max);
            if together > 1 {
                note = Some(format!(
                    "each point is the mean of up to {together} neighbours; analyze reads all of them"
                ));
            }
            series.push(Line { labels: metric, points });
        }
        let points: usize = series.iter().map(|line| line.points.len()).sum();
        let text = format!("{} series, {points} points, every {} s", series.len(), range.step);
        let Range { start, end, step } = range;
        let ranged = Ranged { query, start, end, step_seconds: step, series, note: note.clone() };
        Ok(Json::new(ranged, with(text, note)))
    }

    /// Describes a range in numbers, series by series: least, greatest, mean, quantiles, trend, and where the level jumps.
    #[tool(
        title = "Analyze a range",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn analyze(
        &self,
        Parameters(asked): Parameters<RangeArguments>,
    ) -> Result<Json<Analysis>, PrometheusError> {
        let (query, range, found, note) = self.ranged(&asked).await?;
        let series: Vec<_> = found.into_iter().map(analyzed).collect();
        let text = match series.as_slice() {
            [Analyzed { labels, statistics: Some(found), .. }] => {
                let jumps = found.change_points.len();
                format!("{}: trend {} an hour, {jumps} jumps", written(labels), found.trend_per_hour)
            }
            many => format!("{} series", many.len()),
        };
        let Range { start, end, step } = range;
        let analysis = Analysis { query, start, end, step_seconds: step, series, note: note.clone() };
        Ok(Json::new(analysis, with(text, note)))
    }
}

impl Metrics {
    /// A query with the fence in it, that reads no other metrics than were named.
    async fn query(&self, text: &str, named: Option<&[String]>) -> Result<Query, PrometheusError> {
        let query = self.fence.query(text).await?;
        if let Some(named) = named {
            for metric in &query.metrics {
                match metric {
                    Some(metric) if named.contains(metric) => {}
                    Some(metric) => return Err(PrometheusError::NotNamed(metric.clone())),
                    None => return Err(PrometheusError::NotNamed("a metric without naming it".into())),
                }
            }
        }
        Ok(query)
    }

    async fn ranged(
        &self,
        asked: &RangeArguments,
    ) -> Result<(String, Range, Vec<Series>, Option<String>), PrometheusError> {
        let now = self.now();
        let times =
            (moment(&asked.start, now)?, asked.end.as_deref().map_or(Ok(now), |text| moment(text, now))?);
        let wanted = POINTS.min(self.limits.points_max);
        let range = Range::new(times, asked.step_seconds, wanted, self.limits.points_max)?;
        let query = self.query(&asked.query, asked.metrics.as_deref()).await?.text;
        let form = vec![
            ("query", query.clone()),
            ("start", range.start.to_string()),
            ("end", range.end.to_string()),
            ("step", range.step.to_string()),
        ];
        let Found::Matrix(mut found) = self.client.evaluate("query_range", form).await? else {
            return Err(self.client.unexpected("a value where there should be a range"));
        };
        self.few(found.len())?;
        let all = found.len();
        found.retain(|series| !series.values.is_empty());
        let note = (found.len() < all).then(|| HISTOGRAMS.to_owned());
        Ok((query, range, found, note))
    }

    fn few(&self, found: usize) -> Result<(), PrometheusError> {
        let max = self.limits.series_max;
        if found > max { Err(PrometheusError::TooManySeries { found, max }) } else { Ok(()) }
    }
}

fn analyzed(Series { metric, values }: Series) -> Analyzed {
    let points: Vec<_> = values
        .iter()
        .filter_map(|(time, value)| Some((*time, number(value)?)))
        .filter(|(_, value)| value.abs() < VALUE_MAX)
        .collect();
    Analyzed { labels: metric, left_out: values.len() - points.len(), statistics: statistics(&points) }
}

/// Labels as PromQL has them.
fn written(labels: &Labels) -> String {
    let name = labels.get("__name__").map_or("", String::as_str);
    let others: Vec<_> =
        labels.iter().filter(|(label, _)| *label != "__name__").map(|(k, v)| format!("{k}={v:?}")).collect();
    format!("{name}{{{}}}", others.join(","))
}

fn with(text: String, note: Option<String>) -> String {
    note.map_or_else(|| text.clone(), |note| format!("{text}; {note}"))
}
