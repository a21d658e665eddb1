//! The embedded engine: one GGUF model in this process, with a thread of its own that works on one call at a time, in the
//! order in which they came. The others wait in a queue that is bounded by the backend's `in_flight_max`. Who goes away ends
//! the work on his call before its next token.

mod gguf;
mod llama;
mod vocabulary;
mod template;
mod grammar;
mod sampler;
mod text;
mod work;

use crate::ask::{Ask, Piece, Tokens};
use crate::backend::failure::Failure;
use crate::config::Local;
use crate::told::Enforced;
use grammar::Grammar;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use tokio::sync::{mpsc, oneshot};
use work::{Job, Worker};

/// The engine's end of its thread.
#[derive(Debug)]
pub(crate) struct Engine {
    jobs: SyncSender<Job>,
    ended: Arc<AtomicBool>,
}

/// An answer while it comes. Its channel holds as many pieces as the call may have tokens at most, so a reader who is slow
/// does not hold the engine up.
#[derive(Debug)]
pub(crate) struct Stream(mpsc::UnboundedReceiver<Result<Piece, Failure>>);

/// What candle reads its number of threads from, once and for the whole process.
const THREADS: [&str; 2] = ["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"];

/// Sees to it that the engine has so many threads. They are candle's, who takes their number from the environment; if another
/// stands there, this program replaces itself by itself with the right one. The process stays the same one.
///
/// # Errors
/// The system's, if it can't.
pub fn restarted_with(threads: u16) -> std::io::Result<()> {
    let wanted = threads.to_string();
    if THREADS.iter().all(|name| std::env::var(name).is_ok_and(|found| found == wanted)) {
        return Ok(());
    }
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).envs(THREADS.map(|name| (name, &wanted)));
    Err(command.exec()) // It returns only where it failed.
}

impl Engine {
    /// Loads a model, which takes a second or more.
    ///
    /// # Errors
    /// In words, with the key of the configuration.
    pub(crate) async fn load(local: &Local, queue_max: usize) -> Result<Self, String> {
        let (jobs, queue) = sync_channel(queue_max);
        let (ready, loaded) = oneshot::channel();
        let ended = Arc::new(AtomicBool::new(false));
        let (local, ends) = (local.clone(), Ends(Arc::clone(&ended)));
        let spawned = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            let _ends = ends; // However the thread ends, the backend is unhealthy then.
            match Worker::load(&local) {
                Ok(mut worker) => {
                    drop(ready.send(Ok(())));
                    worker.run(&queue);
                }
                Err(what) => drop(ready.send(Err(what))),
            }
        });
        spawned.map_err(|error| format!("engine: its thread can't be started: {error}"))?;
        match loaded.await {
            Ok(Ok(())) => Ok(Self { jobs, ended }),
            Ok(Err(what)) => Err(format!("file: {what}")),
            Err(_) => Err("file: the engine ended while it read it".to_owned()),
        }
    }

    /// Whether its thread is gone.
    pub(crate) fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Asks for a text. Where a schema can be written as a grammar, nothing else can come.
    pub(crate) fn write(&self, ask: &Ask) -> Result<(Stream, Option<Enforced>), Failure> {
        let grammar = ask.schema.as_ref().map(|schema| Grammar::compile(schema.value()));
        let how = grammar.as_ref().map(|grammar| match grammar {
            Some(grammar) if grammar.is_whole() => Enforced::Constrained,
            Some(_) => Enforced::Partly,
            None => Enforced::Checked,
        });
        let (out, pieces) = mpsc::unbounded_channel();
        let job = Job::Write {
            prompt: ask.prompt.clone(),
            sampling: ask.sampling.clone(),
            grammar: grammar.flatten().map(Grammar::machine),
            out,
        };
        self.queue(job)?;
        Ok((Stream(pieces), how))
    }

    /// Asks for vectors.
    pub(crate) async fn embed(&self, inputs: &[String]) -> Result<(Vec<Vec<f32>>, Option<Tokens>), Failure> {
        let (out, vectors) = oneshot::channel();
        self.queue(Job::Embed { inputs: inputs.to_vec(), out })?;
        let (vectors, tokens) = vectors.await.map_err(|_| GONE)??;
        Ok((vectors, Some(tokens)))
    }

    fn queue(&self, job: Job) -> Result<(), Failure> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Failure::Busy,
            TrySendError::Disconnected(_) => GONE,
        })
    }
}

const GONE: Failure = Failure::Broken("the engine has ended");

impl Stream {
    /// The next part of the text; the end comes last, and nothing behind it.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>, Failure> {
        self.0.recv().await.ok_or(GONE)?.map(Some)
    }
}

/// Says that the thread is gone.
struct Ends(Arc<AtomicBool>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
