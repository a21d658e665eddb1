//! Splitting traffic between the backends of an HTTPRoute (Gateway API): canaries by weight.

use crate::error::KubernetesError;
use crate::fence::GroupKind;
use crate::name::{Namespace, ObjectName};
use crate::server::Kubernetes;
use kit::Json;
use kube::core::params::{GetParams, PostParams};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::Extensions;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The most that Gateway API allows a weight to be.
const WEIGHT_MAX: u32 = 1_000_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SplitArguments {
    /// The HTTPRoute's namespace
    namespace: Namespace,
    /// Its name
    name: ObjectName,
    /// Which of its rules, counted from 0; needed where it has several
    rule: Option<u32>,
    /// Every backend of that rule with its weight. Their sum is more than 0
    #[schemars(length(min = 1))]
    weights: Vec<Weight>,
}

/// A backend and its share.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Weight {
    /// The Service
    service: ObjectName,
    /// Its share of the sum of all weights
    #[schemars(range(max = 1_000_000))]
    weight: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Split {
    namespace: String,
    name: String,
    rule: u32,
    /// The weights as they were
    before: Vec<BackendWeight>,
    /// The weights as they are
    after: Vec<BackendWeight>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
struct BackendWeight {
    /// The Service
    service: String,
    weight: u64,
}

#[tool_router(router = traffic, vis = "pub(crate)")]
impl Kubernetes {
    /// Splits the traffic of an HTTPRoute's rule between the Services that it leads to already. It adds none and takes none
    /// away: that is apply_manifest's.
    #[tool(
        title = "Split traffic",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn split_traffic(
        &self,
        Parameters(asked): Parameters<SplitArguments>,
        extensions: Extensions,
    ) -> Result<Json<Split>, KubernetesError> {
        let wanted = shares(asked.weights)?;
        self.fence.namespace(&asked.namespace)?;
        let kind = GroupKind::new("HTTPRoute", "gateway.networking.k8s.io");
        self.fence.writes(&kind)?;
        let session = self.cluster.session(&extensions).await?;
        let resource = session.resource(&kind).await?;
        let requests = resource.requests(Some(&asked.namespace));
        let what = resource.told(Some(&asked.namespace), &asked.name);
        let told = |error: KubernetesError| error.of(&what, false);
        let get = requests.get(&asked.name, &GetParams::default());
        let mut route = session.object(get, &resource).await.map_err(told)?;
        let (rule, before) = split(&mut route, asked.rule, &wanted)?;
        let manager = Some(self.field_manager.clone());
        let put = requests.replace(
            &asked.name,
            &PostParams { field_manager: manager, ..PostParams::default() },
            route.to_string().into_bytes(),
        );
        let route = session.object(put, &resource).await.map_err(told)?;
        let after = weights_of(&route["spec"]["rules"][rule as usize]);
        let share: Vec<_> = after.iter().map(|b| format!("{} {}", b.service, b.weight)).collect();
        let text = format!("{what}: {}", share.join(", "));
        let (namespace, name) = (asked.namespace.to_string(), asked.name.to_string());
        Ok(Json::new(Split { namespace, name, rule, before, after }, text))
    }
}

/// The shares by Service, each once, and some traffic for somebody.
fn shares(weights: Vec<Weight>) -> Result<BTreeMap<String, u32>, KubernetesError> {
    let wrong = |what: &str| KubernetesError::Arguments(format!("weights: {what}"));
    let count = weights.len();
    if weights.iter().any(|weight| weight.weight > WEIGHT_MAX) {
        return Err(wrong("a weight is 1000000 at most"));
    }
    let shares: BTreeMap<_, _> = weights.into_iter().map(|w| (w.service.to_string(), w.weight)).collect();
    if shares.len() < count {
        return Err(wrong("each service once"));
    }
    if shares.values().all(|weight| *weight == 0) {
        return Err(wrong("their sum is more than 0"));
    }
    Ok(shares)
}

/// Writes the shares into the rule, which has to have these backends and no others.
fn split(
    route: &mut Value,
    rule: Option<u32>,
    wanted: &BTreeMap<String, u32>,
) -> Result<(u32, Vec<BackendWeight>), KubernetesError> {
    let wrong = |what: String| KubernetesError::Arguments(what);
    let rules = route["spec"]["rules"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    let number = match (rule, rules.len()) {
        (Some(number), _) => number,
        (None, 1) => 0,
        (None, count) => return Err(wrong(format!("rule: the route has {count} of them, name one"))),
    };
    let rule =
        rules.get_mut(number as usize).ok_or_else(|| wrong(format!("rule: there is no rule {number}")))?;
    let before = weights_of(rule);
    let named: BTreeMap<_, _> = before.iter().map(|backend| (&backend.service, ())).collect();
    if named.len() != before.len() || !named.keys().copied().eq(wanted.keys()) {
        let names: Vec<_> = before.iter().map(|backend| backend.service.as_str()).collect();
        return Err(wrong(format!(
            "weights: name the services of the rule, each once: {}",
            names.join(", ")
        )));
    }
    for backend in rule["backendRefs"].as_array_mut().into_iter().flatten() {
        let weight = backend["name"].as_str().and_then(|name| wanted.get(name)).copied();
        backend["weight"] = weight.unwrap_or(0).into();
    }
    Ok((number, before))
}

/// The backends of a rule; one without a weight has 1.
fn weights_of(rule: &Value) -> Vec<BackendWeight> {
    let backends = rule["backendRefs"].as_array().into_iter().flatten();
    backends
        .map(|backend| BackendWeight {
            service: backend["name"].as_str().unwrap_or_default().to_owned(),
            weight: backend["weight"].as_u64().unwrap_or(1),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::json;

    fn wanted(all: &[(&str, u32)]) -> BTreeMap<String, u32> {
        all.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
    }

    fn route() -> Value {
        json!({"spec": {"rules": [
            {"matches": [{"path": {"value": "/"}}], "backendRefs": [{"name": "a", "port": 80}, {"name": "b", "port": 80, "weight": 5}]},
            {"backendRefs": [{"name": "c"}]},
        ]}})
    }

    #[test]
    fn weights_are_written_into_one_rule_and_nothing_else_changes() {
        let mut split_route = route();
        let (rule, before) = split(&mut split_route, Some(0), &wanted(&[("a", 90), ("b", 10)])).unwrap();
        assert_eq!((rule, before[0].weight, before[1].weight), (0, 1, 5));
        let mut by_hand = route();
        by_hand["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(90);
        by_hand["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(10);
        assert_eq!(split_route, by_hand);
    }

    #[test]
    fn what_is_not_exactly_a_rules_backends_is_refused() {
        for (rule, shares) in [
            (None, wanted(&[("a", 1), ("b", 1)])),
            (Some(2), wanted(&[("c", 1)])),
            (Some(0), wanted(&[("a", 1)])),
            (Some(0), wanted(&[("a", 1), ("c", 1)])),
            (Some(0), wanted(&[("a", 1), ("b", 1), ("c", 1)])),
        ] {
            assert!(split(&mut route(), rule, &shares).is_err(), "{rule:?} {shares:?}");
        }
        let mut twice =
            json!({"spec": {"rules": [{"backendRefs": [{"name": "a"}, {"name": "a", "port": 81}]}]}});
        assert!(split(&mut twice, None, &wanted(&[("a", 1)])).is_err(), "which of the two is meant?");
    }
}
