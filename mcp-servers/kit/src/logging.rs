//! Logs go to standard error; standard output is for the one line that names the address.

use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Installs the process's log, filtered by `RUST_LOG` (default `info`). A log that is there already stays.
pub(crate) fn install() {
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // rmcp prints whole messages from `debug` on and quotes arguments in its warnings: never into our log.
    let ours = filter_fn(|m| !m.target().starts_with("rmcp") || *m.level() == Level::ERROR);
    let lines = fmt::layer().with_writer(std::io::stderr).with_filter(ours);
    let _ = tracing_subscriber::registry().with(chosen).with(lines).try_init();
}
