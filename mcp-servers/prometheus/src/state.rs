//! The tools that say what Prometheus is about: what it scrapes, what it alerts on, by which rules. Of each it tells what
//! has labels that satisfy the fence.

use crate::error::{PrometheusError, without_quotes};
use crate::fence::{Fence, Labels};
use crate::page::{begin, page};
use crate::server::Metrics;
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PageArguments {
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Targets {
    /// The targets that are scraped
    targets: Vec<Target>,
    /// How many there are on all pages
    total: usize,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Target {
    /// Its labels
    labels: Labels,
    /// Which scrape configuration it is of
    pool: String,
    /// up, down or unknown
    health: String,
    /// Why it is not up, without URLs; empty if it is
    last_error: String,
    /// When it was scraped last, RFC 3339
    last_scrape: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Alerts {
    /// The alerts that are pending or firing
    alerts: Vec<Alert>,
    /// How many there are on all pages
    total: usize,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Alert {
    /// Its labels
    labels: Labels,
    /// What the rule says of it
    #[serde(default)]
    annotations: Labels,
    /// pending or firing
    state: String,
    /// Since when, RFC 3339
    #[serde(alias = "activeAt", default)]
    active_at: Option<String>,
    /// The number that the rule's expression gave
    #[serde(default)]
    value: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Rules {
    /// The rules, in the order in which they are evaluated
    rules: Vec<Rule>,
    /// How many there are on all pages
    total: usize,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Rule {
    /// The rule's group
    #[serde(skip_deserializing)]
    group: String,
    /// The name of the alert or of the recorded metric
    name: String,
    /// alerting or recording
    #[serde(rename = "type")]
    kind: String,
    /// Its PromQL
    query: String,
    /// Labels that it gives
    #[serde(default)]
    labels: Labels,
    /// Of an alerting rule: inactive, pending or firing
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// ok, err or unknown
    #[serde(default)]
    health: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundTargets {
    active_targets: Vec<FoundTarget>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct FoundTarget {
    labels: Labels,
    scrape_pool: String,
    health: String,
    last_error: String,
    last_scrape: String,
}

#[derive(Deserialize)]
struct FoundAlerts {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct FoundRules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[tool_router(router = state, vis = "pub(crate)")]
impl Metrics {
    /// Lists what Prometheus scrapes, and whether that works.
    #[tool(
        title = "List targets",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn targets(
        &self,
        Parameters(asked): Parameters<PageArguments>,
    ) -> Result<Json<Targets>, PrometheusError> {
        let begin = begin(asked.cursor.as_deref())?;
        let found: FoundTargets = self.client.get(&["targets"], vec![("state", "active".into())]).await?;
        let mut all = within(&self.fence, found.active_targets, |target| &target.labels);
        all.sort_by(|a, b| (&a.scrape_pool, &a.labels).cmp(&(&b.scrape_pool, &b.labels)));
        let down = all.iter().filter(|target| target.health == "down").count();
        let found = page(all, begin, self.limits.page_items_max);
        let text = format!("{}; {down} are down", found.told("targets"));
        let targets = found.items.into_iter().map(Target::from).collect();
        Ok(Json::new(Targets { targets, total: found.total, next_cursor: found.next }, text))
    }

    /// Lists the alerts that are pending or firing.
    #[tool(
        title = "List alerts",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn alerts(
        &self,
        Parameters(asked): Parameters<PageArguments>,
    ) -> Result<Json<Alerts>, PrometheusError> {
        let begin = begin(asked.cursor.as_deref())?;
        let found: FoundAlerts = self.client.get(&["alerts"], Vec::new()).await?;
        let mut all = within(&self.fence, found.alerts, |alert| &alert.labels);
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        let firing = all.iter().filter(|alert| alert.state == "firing").count();
        let found = page(all, begin, self.limits.page_items_max);
        let text = format!("{}; {firing} are firing", found.told("alerts"));
        Ok(Json::new(Alerts { alerts: found.items, total: found.total, next_cursor: found.next }, text))
    }

    /// Lists the rules that alert and record.
    #[tool(
        title = "List rules",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn rules(
        &self,
        Parameters(asked): Parameters<PageArguments>,
    ) -> Result<Json<Rules>, PrometheusError> {
        let begin = begin(asked.cursor.as_deref())?;
        let found: FoundRules = self.client.get(&["rules"], Vec::new()).await?;
        let all = found.groups.into_iter().flat_map(|group| {
            group.rules.into_iter().map(move |rule| Rule { group: group.name.clone(), ..rule })
        });
        let all = within(&self.fence, all.collect(), |rule| &rule.labels);
        let found = page(all, begin, self.limits.page_items_max);
        let text = found.told("rules");
        Ok(Json::new(Rules { rules: found.items, total: found.total, next_cursor: found.next }, text))
    }
}

/// Those whose labels satisfy the fence.
fn within<T>(fence: &Fence, all: Vec<T>, labels: impl Fn(&T) -> &Labels) -> Vec<T> {
    all.into_iter().filter(|item| fence.holds(labels(item))).collect()
}

impl From<FoundTarget> for Target {
    fn from(found: FoundTarget) -> Self {
        let FoundTarget { labels, scrape_pool: pool, health, last_error, last_scrape } = found;
        Self { labels, pool, health, last_error: without_quotes(&last_error), last_scrape }
    }
}
