//! Which backends, which of their models, and how much at once.

use crate::backend::openai::OpenAi;
use crate::backend::{Backend, Target};
use crate::config::{self, Kind, Mistakes};
#[cfg(feature = "embedded")]
use crate::engine::Engine;
use std::path::PathBuf;
use std::sync::Arc;

/// The backends behind the server.
#[derive(Clone, Debug, clap::Args)]
pub struct InferenceFlags {
    /// File of backends and their models, YAML
    #[arg(long, value_name = "FILE", help_heading = "Inference")]
    pub backends: PathBuf,
    /// Models that are served at all, by name, separated by commas; a `*` at the end stands for any end. Any other looks as if
    /// it were not there. All if not given
    #[arg(long, value_name = "MODELS", value_delimiter = ',', help_heading = "Inference")]
    pub models: Vec<String>,
    /// Threads of the embedded engine; more than the free cores make it slower
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Inference")]
    pub engine_threads: u16,
    /// The bounds.
    #[command(flatten)]
    pub limits: LimitFlags,
}

/// How much a call may cost.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct LimitFlags {
    /// Most tokens that a call may ask for
    #[arg(long, value_name = "COUNT", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub output_tokens_max: u32,
    /// Tokens of a call that doesn't say how many
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub output_tokens: u32,
    /// Most bytes of all messages, of a prompt or of all inputs together
    #[arg(long, value_name = "BYTES", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub prompt_bytes_max: u32,
    /// Most messages of a talk
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub messages_max: u32,
    /// Most texts in one call of embed
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub inputs_max: u32,
    /// Most bytes of a text, or of a backend's answer with vectors
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1024..), help_heading = "Limits")]
    pub response_bytes_max: u32,
    /// Most models in one page of a list
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub page_items_max: u32,
    /// Most backends that are tried for one call
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Limits")]
    pub attempts_max: u32,
}

/// Why flags make no server.
#[derive(Debug, thiserror::Error)]
pub enum FlagsError {
    /// The file can't be read.
    #[error("--backends: {path} can't be read")]
    File {
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What stands in it.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

impl InferenceFlags {
    /// The backends, each with those of its models that are served. Embedded engines are loaded; no network is touched.
    ///
    /// # Errors
    /// [`FlagsError`], with all that is wrong with the file.
    pub(crate) async fn parts(&self, door: &kit::Flags) -> Result<Vec<Arc<Backend>>, FlagsError> {
        let path = self.backends.display().to_string();
        let text =
            std::fs::read_to_string(&self.backends).map_err(|source| FlagsError::File { path, source })?;
        let bytes_max = self.limits.response_bytes_max as usize;
        let (mut all, mut wrong) = (Vec::new(), Vec::new());
        for (at, mut planned) in config::parse(&text)?.into_iter().enumerate() {
            planned.models.retain(|served| self.admits(served.name.as_str()));
            let target = match &planned.kind {
                Kind::OpenAi(remote) => {
                    let server = OpenAi::new(remote, bytes_max, door).await;
                    server.map(|server| Target::OpenAi(Box::new(server)))
                }
                #[cfg(feature = "embedded")]
                Kind::Embedded(local) => {
                    Engine::load(local, planned.in_flight_max).await.map(Target::Embedded)
                }
                #[cfg(not(feature = "embedded"))]
                Kind::Embedded(_) => Err("engine: it was built without the feature embedded".to_owned()),
            };
            match target {
                Ok(target) => {
                    all.push(Backend::new(planned.name, planned.models, planned.in_flight_max, target));
                }
                Err(what) => wrong.push(format!("  backends[{at}].{what}")),
            }
        }
        if wrong.is_empty() { Ok(all) } else { Err(Mistakes(wrong).into()) }
    }

    /// Whether `--models` lets a model through.
    fn admits(&self, model: &str) -> bool {
        self.models.is_empty()
            || self.models.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => model.starts_with(start),
                None => model == pattern,
            })
    }
}
