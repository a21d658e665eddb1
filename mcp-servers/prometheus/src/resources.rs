//! Metrics as resources, `metrics://{metric_name}`: what it is, and how many series it has now.

use crate::client::Found;
use crate::error::PrometheusError;
use crate::fence::is_metric_name;
use crate::page::{begin, page};
use crate::server::Metrics;
use kit::Resources;
use rmcp::ErrorData;
use rmcp::model::{ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::json;

const SCHEME: &str = "metrics://";

impl Resources for Metrics {
    fn templates(&self) -> Vec<ResourceTemplate> {
        let template = ResourceTemplate::new("metrics://{metric_name}", "metric")
            .with_title("A metric")
            .with_description("Type, help and unit of a metric, and how many series it has now")
            .with_mime_type("application/json");
        vec![template]
    }

    async fn list(&self, cursor: Option<&str>) -> Result<ListResourcesResult, ErrorData> {
        self.list_resources_page(cursor).await.map_err(|e| e.protocol())
    }

    async fn read(&self, uri: &str) -> Result<ReadResourceResult, ErrorData> {
        self.read_metric(uri).await.map_err(|e| e.protocol())
    }
}

impl Metrics {
    /// One page of the metrics within the fence.
    async fn list_resources_page(
        &self,
        cursor: Option<&str>,
    ) -> Result<ListResourcesResult, PrometheusError> {
        let begin = begin(cursor)?;
        let mut names = self.metric_names().await?;
        names.retain(|name| is_metric_name(name));
        let found = page(names, begin, self.limits.page_items_max);
        let resources = found.items.into_iter().map(|name| Resource::new(format!("{SCHEME}{name}"), name));
        let mut result = ListResourcesResult::with_all_items(resources.collect());
        result.next_cursor = found.next;
        Ok(result)
    }

    /// One metric.
    async fn read_metric(&self, uri: &str) -> Result<ReadResourceResult, PrometheusError> {
        let name = uri.strip_prefix(SCHEME).filter(|name| is_metric_name(name));
        let name = name.ok_or_else(|| {
            PrometheusError::Arguments(format!("a resource is {SCHEME} and the name of a metric"))
        })?;
        let selector = self.fence.selector(&format!("{{__name__=\"{name}\"}}")).await?;
        let counted = self.client.evaluate("query", vec![("query", format!("count({selector})"))]).await?;
        let series = match counted {
            Found::Vector(samples) => {
                samples.into_iter().find_map(|s| s.value?.1.parse::<u64>().ok()).unwrap_or(0)
            }
            _ => return Err(self.client.unexpected("a count that is no vector")),
        };
        let metadata = self.described(Some(name)).await?.into_iter().next();
        if series == 0 && metadata.is_none() {
            return Err(PrometheusError::UnknownMetric(name.to_owned()));
        }
        let text = json!({"name": name, "series": series, "metadata": metadata}).to_string();
        let contents = ResourceContents::text(text, uri).with_mime_type("application/json");
        Ok(ReadResourceResult::new(vec![contents]))
    }
}
