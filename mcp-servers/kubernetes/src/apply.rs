//! Server-side apply: what a caller wants of some objects, tried on all of them before any is changed.

use crate::cluster::Session;
use crate::diff::{Change, changes};
use crate::error::KubernetesError;
use crate::fence::GroupKind;
use crate::kinds::Resource;
use crate::name::{Namespace, ObjectName, is_kind, is_subdomain, is_version};
use crate::server::Kubernetes;
use kit::Json;
use kube::core::params::{GetParams, Patch, PatchParams, ValidationDirective};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{Extensions, JsonObject};
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ApplyArguments {
    /// The namespace of all the objects; none if they are in none
    namespace: Option<Namespace>,
    /// The objects, each with apiVersion, kind, metadata.name and what else is wanted of it
    #[schemars(length(min = 1))]
    manifests: Vec<JsonObject>,
    /// Tries it and tells what would change, and changes nothing
    #[serde(default)]
    dry_run: bool,
    /// Takes over fields that somebody else has set
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Applied {
    /// Whether nothing was changed
    dry_run: bool,
    /// The objects in the order of the manifests
    objects: Vec<AppliedObject>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct AppliedObject {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    action: Action,
    /// Its uid; of an object that is not there yet that of the trial
    uid: String,
    resource_version: String,
    /// The fields that changed; none of an object that is new
    changes: Vec<Change>,
    /// How many fields changed, also those beyond the list
    changes_total: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Action {
    Created,
    Changed,
    Unchanged,
}

/// One object as it is wanted.
struct Wanted {
    resource: Resource,
    name: ObjectName,
    manifest: Value,
    /// As it is now.
    live: Option<Value>,
}

/// What a manifest says of its place.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    api_version: String,
    kind: String,
    metadata: HeaderMetadata,
}

#[derive(Deserialize)]
struct HeaderMetadata {
    name: String,
    namespace: Option<String>,
}

#[tool_router(router = applying, vis = "pub(crate)")]
impl Kubernetes {
    /// Applies objects (server-side apply): what is not there is created, what is there is changed as far as the manifest
    /// says. All of them are tried first, and if one would be refused, none is changed. Tells field by field what changed.
    #[tool(
        title = "Apply manifests",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn apply_manifest(
        &self,
        Parameters(asked): Parameters<ApplyArguments>,
        extensions: Extensions,
    ) -> Result<Json<Applied>, KubernetesError> {
        let max = self.limits.documents_max as usize;
        if asked.manifests.is_empty() || asked.manifests.len() > max {
            return Err(KubernetesError::Arguments(format!("manifests has 1 to {max} objects")));
        }
        let namespace = asked.namespace.as_ref();
        namespace.map_or(Ok(()), |namespace| self.fence.namespace(namespace))?;
        let manifests = asked.manifests.into_iter().enumerate();
        let headers: Vec<_> = manifests
            .map(|(number, manifest)| self.header(number + 1, manifest, namespace))
            .collect::<Result<_, _>>()?;
        let session = self.cluster.session(&extensions).await?;
        let mut wanted = Vec::new();
        for (kind, version, name, manifest) in headers {
            let resource = session.resource_at(&kind, &version).await?;
            resource.admit(&self.fence, namespace)?;
            let get = resource.requests(namespace).get(&name, &GetParams::default());
            let what = resource.told(namespace, &name);
            let live = session
                .object_opt(get, &resource)
                .await
                .map_err(|error| error.of(&what, kind.is_secret()))?;
            if let Some(live) = live.as_ref().filter(|_| kind.is_secret()) {
                untelling(live, asked.force, &what)?;
            }
            wanted.push(Wanted { resource, name, manifest, live });
        }
        let mut objects = Vec::new();
        for one in &wanted {
            objects.push(self.applied(&session, one, namespace, true, asked.force).await?);
        }
        if !asked.dry_run {
            objects.clear();
            for one in &wanted {
                match self.applied(&session, one, namespace, false, asked.force).await {
                    Ok(object) => objects.push(object),
                    Err(error) if objects.is_empty() => return Err(error),
                    Err(cause) => {
                        let (applied, total, cause) = (objects.len(), wanted.len(), Box::new(cause));
                        return Err(KubernetesError::Partly { applied, total, cause });
                    }
                }
            }
        }
        let count = |action| objects.iter().filter(|object| object.action == action).count();
        let (created, changed) = (count(Action::Created), count(Action::Changed));
        let would = if asked.dry_run { " would be" } else { "" };
        let text = format!("of {} objects {created}{would} created, {changed}{would} changed", objects.len());
        Ok(Json::new(Applied { dry_run: asked.dry_run, objects }, text))
    }
}

/// Whether a Secret that is there can be applied without a word of what is in it. A conflict, or the refusal to change what
/// is immutable, comes only where a value differs: by those a guess could be tried without being written.
fn untelling(live: &Value, force: bool, what: &str) -> Result<(), KubernetesError> {
    if live["immutable"] == true {
        return Err(KubernetesError::Rejected(format!("{what} is immutable")));
    }
    if !force {
        let text = format!("{what} is there already: it can be overwritten with force, and not compared");
        return Err(KubernetesError::Arguments(text));
    }
    Ok(())
}

impl Kubernetes {
    /// Where a manifest belongs, by its own words, if that is within the fence.
    fn header(
        &self,
        number: usize,
        manifest: JsonObject,
        namespace: Option<&Namespace>,
    ) -> Result<(GroupKind, String, ObjectName, Value), KubernetesError> {
        let wrong = |what: &str| KubernetesError::Arguments(format!("manifest {number}: {what}"));
        let manifest = Value::Object(manifest);
        let header: Header = serde_json::from_value(manifest.clone())
            .map_err(|_| wrong("it has no apiVersion, kind or metadata.name, or they are no texts"))?;
        let (group, version) = header.api_version.rsplit_once('/').unwrap_or(("", &header.api_version));
        let group_holds = if header.api_version.contains('/') { is_subdomain(group) } else { true };
        if !group_holds || !is_version(version) || !is_kind(&header.kind) {
            return Err(wrong("its apiVersion or kind is none"));
        }
        let kind = GroupKind::new(&header.kind, group);
        self.fence.writes(&kind)?;
        let name = ObjectName::try_from(header.metadata.name).map_err(|error| wrong(error.0))?;
        let own = header.metadata.namespace.as_deref();
        if own.is_some_and(|own| namespace.is_none_or(|namespace| **namespace != *own)) {
            return Err(wrong("its namespace is not the one of this call"));
        }
        Ok((kind, version.to_owned(), name, manifest))
    }

    async fn applied(
        &self,
        session: &Session,
        wanted: &Wanted,
        namespace: Option<&Namespace>,
        dry_run: bool,
        force: bool,
    ) -> Result<AppliedObject, KubernetesError> {
        let Wanted { resource, name, manifest, live } = wanted;
        let parameters = PatchParams {
            dry_run,
            force,
            field_manager: Some(self.field_manager.clone()),
            field_validation: Some(ValidationDirective::Strict),
        };
        let request = resource.requests(namespace).patch(name, &parameters, &Patch::Apply(manifest));
        let what = resource.told(namespace, name);
        let now = session.object(request, resource).await.map_err(|error| match error {
            // The object itself is not asked for: what is missing is its namespace.
            KubernetesError::NotFound(_) => KubernetesError::NotFound(format!("place for {what}")),
            other => other.of(&what, resource.kind.is_secret()),
        })?;
        let text = |field: &str| now["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (changes, changes_total) =
            live.as_ref().map(|live| changes(live, &now, manifest, &resource.kind)).unwrap_or_default();
        let action = match live {
            None => Action::Created,
            Some(_) if changes_total > 0 => Action::Changed,
            Some(_) => Action::Unchanged,
        };
        Ok(AppliedObject {
            kind: resource.kind.to_string(),
            namespace: namespace.map(ToString::to_string),
            name: name.to_string(),
            action,
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            changes,
            changes_total,
        })
    }
}
