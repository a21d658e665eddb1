//! Models, their versions and runs as resources.

use crate::error::MlflowError;
use crate::names::{ModelName, RunId};
use crate::page::Wanted;
use crate::server::Mlflow;
use rmcp::model::{ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde::Serialize;
use std::fmt::Write;

const REGISTRY: &str = "model://registry/";
const RUNS: &str = "experiment://runs/";

/// What a resource's URI names.
#[derive(Debug, PartialEq)]
enum Named {
    Model(ModelName),
    Version(ModelName, u32),
    Run(RunId),
}

/// The three templates.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = |uri: &str, name: &str, title: &str, says: &str| {
        ResourceTemplate::new(uri, name)
            .with_title(title)
            .with_description(says)
            .with_mime_type("application/json")
    };
    vec![
        template(
            "model://registry/{name}",
            "model",
            "A registered model",
            "Its aliases, tags and latest versions",
        ),
        template(
            "model://registry/{name}/versions/{version}",
            "model_version",
            "A version of a registered model",
            "Its aliases, stage, tags and where it comes from",
        ),
        template("experiment://runs/{id}", "run", "A run", "Its status, metrics, parameters and tags"),
    ]
}

impl Mlflow {
    /// One page of the registered models.
    pub(crate) async fn list_resources_page(
        &self,
        cursor: Option<&str>,
    ) -> Result<ListResourcesResult, MlflowError> {
        let wanted = Wanted::read(None, cursor, self.limits.page_items_max)?;
        let (models, next) = self.models_page(wanted, None, None).await?;
        let resources = models.into_iter().map(|model| {
            Resource::new(format!("{REGISTRY}{}", encoded(&model.name)), model.name)
                .with_mime_type("application/json")
        });
        let mut result = ListResourcesResult::with_all_items(resources.collect());
        result.next_cursor = next;
        Ok(result)
    }

    /// What a URI names.
    pub(crate) async fn read_uri(&self, uri: &str) -> Result<ReadResourceResult, MlflowError> {
        let text = match Named::parse(uri)? {
            Named::Model(name) => json(&self.model(&name).await?.view()),
            Named::Version(name, version) => json(&self.version(&name, version).await?.view()),
            Named::Run(id) => {
                let (run, experiment) = self.run(&id, None).await?;
                json(&run.view(experiment))
            }
        };
        let contents = ResourceContents::text(text, uri).with_mime_type("application/json");
        Ok(ReadResourceResult::new(vec![contents]))
    }
}

impl Named {
    /// Reads a URI. Only the one spelling that [`encoded`] gives is accepted, so that whoever judged the text judged the thing.
    fn parse(uri: &str) -> Result<Self, MlflowError> {
        let found = match (uri.strip_prefix(REGISTRY), uri.strip_prefix(RUNS)) {
            (Some(rest), _) => match rest.split_once("/versions/") {
                Some((name, version)) => decoded(name).zip(number(version)).map(|(n, v)| Self::Version(n, v)),
                None => decoded(rest).map(Self::Model),
            },
            (None, Some(id)) => RunId::try_from(id.to_owned()).ok().map(Self::Run),
            (None, None) => None,
        };
        // A URI of another form names nothing that is here.
        found.ok_or_else(|| MlflowError::NotFound("resource of that URI".into()))
    }
}

fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).unwrap_or_default() // Texts, numbers and maps with texts as keys always can be.
}

/// Digits without a sign and without zeros in front.
fn number(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|number| *number > 0 && number.to_string() == text)
}

/// A name as one segment of a URI: what is unreserved in RFC 3986 stays, the rest is percent-encoded.
fn encoded(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}"); // Writing to a String can't fail.
        }
    }
    text
}

fn decoded(segment: &str) -> Option<ModelName> {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after.get(2..)?;
    }
    let name = ModelName::try_from(String::from_utf8(bytes).ok()?).ok()?;
    (encoded(name.as_str()) == segment).then_some(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn a_uri_names_one_thing_in_one_spelling() {
        let model = |name: &str| ModelName::try_from(name.to_owned()).unwrap();
        let good = [
            ("model://registry/fraud", Named::Model(model("fraud"))),
            ("model://registry/fraud%20%C3%BC", Named::Model(model("fraud ü"))),
            ("model://registry/fraud/versions/3", Named::Version(model("fraud"), 3)),
            ("experiment://runs/b252", Named::Run(RunId::try_from("b252".to_owned()).unwrap())),
        ];
        for (uri, named) in good {
            assert_eq!(Named::parse(uri), Ok(named), "{uri}");
        }
        for bad in [
            "",
            "model://registry/",
            "model://registry",
            "model://other/fraud",
            "MODEL://registry/fraud",
            "model://registry/fraud/",
            "model://registry/fraud/versions/",
            "model://registry/fraud/versions/0",
            "model://registry/fraud/versions/03",
            "model://registry/fraud/versions/+3",
            "model://registry/fraud/versions/3/x",
            "model://registry/fraud/versions/-1",
            "model://registry/a/b",
            "model://registry/a%2Fb",
            "model://registry/a%3Ab",
            "model://registry/%66raud",
            "model://registry/fraud%c3%bc",
            "model://registry/fraud%",
            "model://registry/fraud%2",
            "model://registry/%+1",
            "model://registry/..",
            "model://registry/%2E%2E",
            "model://registry/fraud?x",
            "model://registry/fraud ü",
            "model://registry/%FF",
            "model://registry/a%00b",
            "experiment://runs/",
            "experiment://runs/../x",
            "experiment://runs/a/b",
            "experiment://runs/a%20",
            "metrics://up",
            "file:///etc/passwd",
        ] {
            assert!(Named::parse(bad).is_err(), "{bad}");
        }
    }
}
