//! A server as its author writes it: a name, tools, and perhaps how to see whether the system behind is there.

use crate::admin::Check;
use rmcp::ServerHandler;
use rmcp::model::Tool;
use std::io::Write;
use std::sync::Arc;

/// What [`crate::run`] serves.
#[derive(Clone)]
pub struct Service<H> {
    pub(crate) name: &'static str,
    pub(crate) handler: H,
    pub(crate) check: Option<Check>,
}

impl<H: ServerHandler + Clone> Service<H> {
    /// A server's handler under its name: the first half of its scopes, as in `s3:get_object`.
    pub fn new(name: &'static str, handler: H) -> Self {
        Self { name, handler, check: None }
    }

    /// With a look at the system behind it, for `/readyz`: three seconds at most, once a probe. Why it fails goes to the log.
    #[must_use]
    pub fn reachable_if<F>(mut self, check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.check = Some(Arc::new(move || Box::pin(check())));
        self
    }
}

/// Reads the command line, as `clap::Parser::parse` does. `None` after `--print-tools`, which needs no other flag: `tools`
/// stand on standard output then, and there is nothing to serve.
pub fn parse<C: clap::Parser>(tools: impl IntoIterator<Item = Tool>) -> Option<C> {
    let matches = C::command().get_matches();
    if matches.get_flag("print_tools") {
        let printed = std::io::stdout().write_all(crate::tools_json(tools).as_bytes());
        if let Err(error) = printed {
            tracing::error!(%error, "nobody reads the tools");
        }
        return None;
    }
    match C::from_arg_matches(&matches) {
        Ok(command) => Some(command),
        Err(error) => error.format(&mut C::command()).exit(),
    }
}
