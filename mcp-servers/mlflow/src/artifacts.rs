//! Files below a run. Where they are is MLflow's to say; they go through MLflow itself, and nothing else is called.

use crate::error::MlflowError;
use crate::names::{ArtifactPath, ExperimentName, RunId};
use crate::page::{Wanted, next, told};
use crate::server::Mlflow;
use crate::wire::Run;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    /// The run's id
    run_id: RunId,
    /// The experiment that it belongs to; it is refused if it belongs to another one. Policy may insist on this argument
    experiment: Option<ExperimentName>,
    /// A folder, as in `model/data`; the top if not given
    path: Option<ArtifactPath>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    /// The run's id
    run_id: RunId,
    /// The experiment that it belongs to; it is refused if it belongs to another one. Policy may insist on this argument
    experiment: Option<ExperimentName>,
    /// The file, as in `model/MLmodel`
    path: ArtifactPath,
    /// The first byte to read; 0 if not given
    offset: Option<u64>,
    /// How many bytes to read; as many as an answer carries if not given
    #[schemars(range(min = 1))]
    length: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PutArguments {
    /// The run's id
    run_id: RunId,
    /// The experiment that it belongs to; it is refused if it belongs to another one. Policy may insist on this argument
    experiment: Option<ExperimentName>,
    /// The file, as in `reports/validation.md`
    path: ArtifactPath,
    /// The content as text; either this or `content_base64`
    content: Option<String>,
    /// The content as base64; either this or `content`
    content_base64: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Artifacts {
    /// Files and folders
    artifacts: Vec<Entry>,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Entry {
    /// The path, below the run's artifacts
    path: String,
    /// Whether it is a folder
    folder: bool,
    /// The file's length in bytes
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Content {
    /// The file
    path: String,
    /// The content: as it is if it is UTF-8, else base64
    content: String,
    /// Whether `content` is base64
    base64: bool,
    /// Where in the file the content begins, in bytes
    offset: u64,
    /// How many of the file's bytes the content holds
    length: u64,
    /// The file's length in bytes, where MLflow says it
    #[serde(skip_serializing_if = "Option::is_none")]
    total_size: Option<u64>,
    /// Give this as `offset` for the rest; absent at the end
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Written {
    /// The file
    path: String,
    /// Its length in bytes
    size: usize,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    files: Vec<File>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct File {
    path: String,
    #[serde(default)]
    is_dir: bool,
    file_size: Option<u64>,
}

#[tool_router(router = artifacts, vis = "pub(crate)")]
impl Mlflow {
    /// Lists the files of a run, folder by folder.
    #[tool(
        title = "List artifacts",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn list_artifacts(
        &self,
        Parameters(asked): Parameters<ListArguments>,
    ) -> Result<Json<Artifacts>, MlflowError> {
        let wanted = Wanted::read(None, asked.cursor.as_deref(), self.limits.page_items_max)?;
        self.run(&asked.run_id, asked.experiment.as_ref()).await?;
        let mut query = vec![("run_id", asked.run_id.to_string())];
        query.extend(asked.path.map(|path| ("path", path.to_string())));
        query.extend(wanted.token.map(|token| ("page_token", token)));
        let found: Found = self.client.get(&["artifacts", "list"], query).await?;
        let next_cursor = next(found.next_page_token);
        let entry = |file: File| Entry { path: file.path, folder: file.is_dir, size: file.file_size };
        let artifacts: Vec<_> = found.files.into_iter().map(entry).collect();
        let text = told(artifacts.len(), "artifacts", next_cursor.as_ref());
        Ok(Json::new(Artifacts { artifacts, next_cursor }, text))
    }

    /// Reads a file of a run, or a range of its bytes. A long one comes in pages: ask again with `next_offset` as `offset`.
    #[tool(
        title = "Read an artifact",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get_artifact(
        &self,
        Parameters(asked): Parameters<GetArguments>,
    ) -> Result<Json<Content>, MlflowError> {
        let max = self.limits.artifact_bytes_max;
        let length = asked.length.map_or(max, |length| usize::try_from(length).unwrap_or(max).min(max));
        if length == 0 {
            return Err(MlflowError::Arguments("length is 1 at least".into()));
        }
        let (run, _) = self.run(&asked.run_id, asked.experiment.as_ref()).await?;
        let root = root(&run)?;
        let offset = asked.offset.unwrap_or_default();
        let path: Vec<_> = root.iter().map(String::as_str).chain(asked.path.segments()).collect();
        let piece = self.client.download(&path, offset, length).await;
        let piece = match piece {
            Ok(piece) => piece,
            // Of a folder MLflow says it in words that nobody promised; so its list says what it is.
            Err(error) => return Err(self.why_no_file(&asked.run_id, &asked.path, error).await),
        };
        let end = offset.saturating_add(piece.bytes.len() as u64);
        let more =
            piece.total.map_or(piece.bytes.len() == length, |total| end < total) && !piece.bytes.is_empty();
        let length = piece.bytes.len() as u64;
        let (content, base64) = match String::from_utf8(piece.bytes) {
            Ok(text) => (text, false),
            Err(error) => (STANDARD.encode(error.as_bytes()), true),
        };
        let text = format!("{length} bytes of {}", asked.path);
        let (path, total_size, next_offset) = (asked.path.to_string(), piece.total, more.then_some(end));
        Ok(Json::new(Content { path, content, base64, offset, length, total_size, next_offset }, text))
    }

    /// Writes a file of a run whole. A file that is there already is replaced.
    #[tool(
        title = "Write an artifact",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn put_artifact(
        &self,
        Parameters(asked): Parameters<PutArguments>,
    ) -> Result<Json<Written>, MlflowError> {
        let bytes = match (asked.content, asked.content_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => STANDARD
                .decode(base64)
                .map_err(|_| MlflowError::Arguments("content_base64 is not base64".into()))?,
            _ => return Err(MlflowError::Arguments("give either content or content_base64".into())),
        };
        let (size, max) = (bytes.len(), self.limits.artifact_bytes_max);
        if size > max {
            return Err(MlflowError::Arguments(format!(
                "the content has {size} bytes, and {max} are allowed"
            )));
        }
        let (run, _) = self.run(&asked.run_id, asked.experiment.as_ref()).await?;
        let root = root(&run)?;
        let path: Vec<_> = root.iter().map(String::as_str).chain(asked.path.segments()).collect();
        self.client.upload(&path, bytes).await?;
        let text = format!("{} has {size} bytes", asked.path);
        Ok(Json::new(Written { path: asked.path.to_string(), size }, text))
    }
}

impl Mlflow {
    async fn why_no_file(&self, run_id: &RunId, path: &ArtifactPath, error: MlflowError) -> MlflowError {
        if !matches!(error, MlflowError::NotFound(_) | MlflowError::Unavailable(_) | MlflowError::Rejected(_))
        {
            return error;
        }
        let missing = matches!(error, MlflowError::NotFound(_));
        let query = vec![("run_id", run_id.to_string()), ("path", path.to_string())];
        match self.client.get::<Found>(&["artifacts", "list"], query).await {
            Ok(found) if !found.files.is_empty() => MlflowError::Folder(path.to_string()),
            _ if missing => MlflowError::NotFound(format!("artifact {:?}", path.as_str())),
            _ => error,
        }
    }
}

/// The parts of a run's place in the store behind MLflow. It is MLflow's word, and a URL is made of it: so it is read like
/// an argument.
fn root(run: &Run) -> Result<Vec<String>, MlflowError> {
    let rest = run.info.artifact_uri.strip_prefix("mlflow-artifacts:").ok_or(MlflowError::Elsewhere)?;
    // `//host/path` names a server. It is this one, or its artifacts aren't ours to fetch; nothing goes to another.
    let path = match rest.strip_prefix("//") {
        Some(after) => after.split_once('/').ok_or(MlflowError::Elsewhere)?.1,
        None => rest.strip_prefix('/').ok_or(MlflowError::Elsewhere)?,
    };
    let path = ArtifactPath::try_from(path.to_owned()).map_err(|_| MlflowError::Elsewhere)?;
    Ok(path.segments().map(ToOwned::to_owned).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::json;

    #[test]
    fn artifacts_are_fetched_from_behind_mlflow_and_from_nowhere_else() {
        let at = |uri: &str| {
            let run = json!({"info": {"run_id": "a", "experiment_id": "1", "artifact_uri": uri}});
            root(&serde_json::from_value(run).unwrap()).map(|parts| parts.join("/"))
        };
        assert_eq!(at("mlflow-artifacts:/1/a/artifacts"), Ok("1/a/artifacts".into()));
        assert_eq!(at("mlflow-artifacts://host:5000/1/a/artifacts"), Ok("1/a/artifacts".into()));
        for elsewhere in [
            "",
            "s3://bucket/1",
            "file:///etc",
            "/etc",
            "mlflow-artifacts:",
            "mlflow-artifacts:/",
            "mlflow-artifacts://host",
            "mlflow-artifacts:/1/../2",
            "mlflow-artifacts:/1//a",
            "mlflow-artifacts:/1/%2e%2e",
            "mlflow-artifacts:/1?x=y",
        ] {
            assert_eq!(at(elsewhere), Err(MlflowError::Elsewhere), "{elsewhere}");
        }
    }
}
