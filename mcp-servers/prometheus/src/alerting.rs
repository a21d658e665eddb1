//! The tools that say what Alertmanager makes of alerts: whom it tells of them, and of which it keeps silent. Of each it tells
//! what the fence leaves: alerts whose labels satisfy it, silences that can reach no other alerts.

use crate::alertmanager::{Alertmanager, FoundAlert, FoundSilence, FoundState, FoundStatus, SilenceMatcher};
use crate::error::PrometheusError;
use crate::fence::Labels;
use crate::matchers::{Asked, Comparison, LabelMatcher};
use crate::page::{begin, page};
use crate::server::Metrics;
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Matchers in one call.
const MATCHERS_MAX: usize = 10;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AlertsArguments {
    /// Only alerts whose labels satisfy all of these, as in `{"label": "severity", "op": "=", "value": "critical"}`
    #[serde(default)]
    #[schemars(with = "Vec<LabelMatcher>", length(max = 10))]
    matchers: Vec<Asked>,
    /// Only alerts in one of these states; in any if not given
    #[serde(default)]
    states: Vec<AlertState>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SilencesArguments {
    /// Only silences in one of these states; those that are active or pending if not given
    #[serde(default = "effective")]
    states: Vec<SilenceState>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

fn effective() -> Vec<SilenceState> {
    vec![SilenceState::Active, SilenceState::Pending]
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NotifiedAlerts {
    /// The alerts that Alertmanager has
    alerts: Vec<NotifiedAlert>,
    /// How many there are on all pages
    total: usize,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct NotifiedAlert {
    /// Its labels
    labels: Labels,
    /// What the rule says of it
    annotations: Labels,
    /// Whether its receivers hear of it, or why not
    state: AlertState,
    /// The ids of the silences that reach it; `silences` may not have all of them
    silenced_by: Vec<String>,
    /// Who is told of it
    receivers: Vec<String>,
    /// Since when, RFC 3339
    starts_at: String,
    /// When it is taken to be over if it isn't heard of again, RFC 3339
    ends_at: String,
    /// What Alertmanager knows it by
    fingerprint: String,
}

/// What becomes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum AlertState {
    /// Its receivers are told
    Active,
    /// A silence keeps it from them, and maybe another alert, too
    Silenced,
    /// Another alert keeps it from them
    Inhibited,
    /// A time of day or year keeps it from them
    Muted,
    /// Alertmanager has not looked at it yet
    Unprocessed,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Silences {
    /// The silences, those that end first at the top
    silences: Vec<Silence>,
    /// How many there are on all pages
    total: usize,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Silence {
    /// Its id, as in `silenced_by` of an alert
    id: String,
    /// Whether it is in force
    state: SilenceState,
    /// It reaches alerts whose labels satisfy all of these
    matchers: Vec<LabelMatcher>,
    /// Why, in the words of whoever made it
    comment: String,
    /// Who made it, in their own words
    created_by: String,
    /// From when, RFC 3339
    starts_at: String,
    /// Until when, RFC 3339
    ends_at: String,
    /// When it was changed last, RFC 3339
    updated_at: String,
}

/// Where a silence is in its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SilenceState {
    /// It begins later
    Pending,
    /// It is in force
    Active,
    /// It has ended
    Expired,
}

#[tool_router(router = alerting, vis = "pub(crate)")]
impl Metrics {
    /// Lists the alerts that Alertmanager has, whom it tells of them, and which are silenced or inhibited.
    #[tool(
        title = "List the alerts of Alertmanager",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn alertmanager_alerts(
        &self,
        Parameters(asked): Parameters<AlertsArguments>,
    ) -> Result<Json<NotifiedAlerts>, PrometheusError> {
        let begin = begin(asked.cursor.as_deref())?;
        if asked.matchers.len() > MATCHERS_MAX {
            return Err(PrometheusError::Arguments(format!("there are {MATCHERS_MAX} matchers at most")));
        }
        let within = self.fence.and(asked.matchers.into_iter().map(|Asked(matcher)| matcher));
        // So that less is read: what is told is decided below.
        let filters = within.exact().map(|matcher| ("filter", matcher)).collect();
        let found: Vec<FoundAlert> = self.alertmanager()?.list("alerts", filters).await?;
        let all = found.into_iter().filter(|alert| within.holds(&alert.labels)).map(NotifiedAlert::from);
        let mut all: Vec<_> =
            all.filter(|alert| asked.states.is_empty() || asked.states.contains(&alert.state)).collect();
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        let heard = all.iter().filter(|alert| alert.state == AlertState::Active).count();
        let found = page(all, begin, self.limits.page_items_max);
        let text = format!("{}; {heard} are active", found.told("alerts"));
        Ok(Json::new(
            NotifiedAlerts { alerts: found.items, total: found.total, next_cursor: found.next },
            text,
        ))
    }

    /// Lists the silences that keep alerts from their receivers, with who made them and why.
    #[tool(
        title = "List silences",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn silences(
        &self,
        Parameters(asked): Parameters<SilencesArguments>,
    ) -> Result<Json<Silences>, PrometheusError> {
        let begin = begin(asked.cursor.as_deref())?;
        let found: Vec<FoundSilence<SilenceState>> =
            self.alertmanager()?.list("silences", Vec::new()).await?;
        let all = found.into_iter().map(Silence::from);
        let all = all.filter(|silence| self.fence.covers(&silence.matchers));
        let mut all: Vec<_> = all.filter(|silence| asked.states.contains(&silence.state)).collect();
        all.sort_by(|a, b| (&a.ends_at, &a.id).cmp(&(&b.ends_at, &b.id)));
        let active = all.iter().filter(|silence| silence.state == SilenceState::Active).count();
        let found = page(all, begin, self.limits.page_items_max);
        let text = format!("{}; {active} are active", found.told("silences"));
        Ok(Json::new(Silences { silences: found.items, total: found.total, next_cursor: found.next }, text))
    }
}

impl Metrics {
    fn alertmanager(&self) -> Result<&Alertmanager, PrometheusError> {
        self.alertmanager.as_ref().ok_or(PrometheusError::NoAlertmanager)
    }
}

impl From<FoundAlert> for NotifiedAlert {
    fn from(found: FoundAlert) -> Self {
        let FoundAlert { labels, annotations, status, receivers, starts_at, ends_at, fingerprint } = found;
        let receivers = receivers.into_iter().map(|receiver| receiver.name).collect();
        let state = AlertState::from(&status);
        // Which alerts inhibit it is not told: they may be beyond the fence.
        let silenced_by = status.silenced_by;
        Self { labels, annotations, state, silenced_by, receivers, starts_at, ends_at, fingerprint }
    }
}

impl From<&FoundStatus> for AlertState {
    fn from(found: &FoundStatus) -> Self {
        match found.state {
            FoundState::Unprocessed => Self::Unprocessed,
            FoundState::Active => Self::Active,
            FoundState::Suppressed if !found.silenced_by.is_empty() => Self::Silenced,
            FoundState::Suppressed if !found.inhibited_by.is_empty() => Self::Inhibited,
            FoundState::Suppressed => Self::Muted,
        }
    }
}

impl From<FoundSilence<SilenceState>> for Silence {
    fn from(found: FoundSilence<SilenceState>) -> Self {
        let FoundSilence { id, status, matchers, comment, created_by, starts_at, ends_at, updated_at } =
            found;
        let matchers = matchers.into_iter().map(LabelMatcher::from).collect();
        Self { id, state: status.state, matchers, comment, created_by, starts_at, ends_at, updated_at }
    }
}

impl From<SilenceMatcher> for LabelMatcher {
    fn from(found: SilenceMatcher) -> Self {
        let op = match (found.is_equal, found.is_regex) {
            (true, false) => Comparison::Is,
            (false, false) => Comparison::IsNot,
            (true, true) => Comparison::Like,
            (false, true) => Comparison::Unlike,
        };
        Self { label: found.name, op, value: found.value }
    }
}
