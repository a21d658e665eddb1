//! A server with the API of OpenAI: vLLM, llama.cpp, Llama Stack, NIM, Ollama. Texts always come in pieces, so that a caller
//! who goes away ends the work there, too. No redirects, no proxy, a bound on time and on bytes; of what came back only a
//! typed refusal is passed on.

use super::failure::Failure;
use super::load::{self, Load};
use super::sse::Events;
use crate::ask::{Ask, Finish, Piece, Prompt, Tokens};
use crate::config::{Remote, Served};
use crate::error::one_line;
use kit::system::{Scheme, authorization, client_tls};
use kit::{Downstream, DownstreamFlags};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response, StatusCode};
use rmcp::model::Extensions;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// A connection is kept for the next call of a busy server, and for no other: sooner or later the backend ends it, perhaps under
/// a call, which is not sent to it twice; and there are backends that have a thread for each.
const IDLE: Duration = Duration::from_millis(250);
/// Time of a look at health or load.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of what such a look reads.
const PROBE_BYTES_MAX: usize = 4 << 20;
/// Bytes of a refusal that are read.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// A client of one server.
#[derive(Debug)]
pub(crate) struct OpenAi {
    http: reqwest::Client,
    remote: Remote,
    credential: Option<Downstream>,
    bytes_max: usize,
}

/// An answer while it comes.
#[derive(Debug)]
pub(crate) struct Stream {
    response: Response,
    events: Events,
    pieces: VecDeque<Piece>,
    finish: Option<Finish>,
    tokens: Option<Tokens>,
    ends: Instant,
    token_timeout: Duration,
    read: usize,
    bytes_max: usize,
    over: bool,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Counted>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    text: Option<String>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Counted {
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct Vectors {
    data: Vec<Vector>,
    usage: Option<Counted>,
}

#[derive(Deserialize)]
struct Vector {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Listed {
    data: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

impl OpenAi {
    /// A client. No network is touched.
    ///
    /// # Errors
    /// In words, with the key of the configuration.
    pub(crate) async fn new(remote: &Remote, bytes_max: usize, door: &kit::Flags) -> Result<Self, String> {
        let tls = client_tls(remote.ca_file.as_deref()).map_err(|error| format!("ca_file: {error}"))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a backend has no SPIFFE ID; deadlines are set at each call"
        )]
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(PROBE_TIMEOUT)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(|error| format!("url: the HTTP client can't be made: {}", error.without_url()))?;
        let flags =
            DownstreamFlags { credential_file: remote.credential_file.clone(), ..DownstreamFlags::default() };
        let credential = Downstream::from_flags(&flags, door).await;
        let credential =
            credential.map_err(|_| "credential_file: it can't be read, or is empty".to_owned())?;
        Ok(Self { http, remote: remote.clone(), credential, bytes_max })
    }

    pub(crate) fn probe_interval(&self) -> Duration {
        self.remote.probe_interval
    }

    /// Asks for a text.
    pub(crate) async fn write(&self, ask: &Ask, served: &Served) -> Result<Stream, Failure> {
        let path = match ask.prompt {
            Prompt::Chat(_) => ["chat", "completions"].as_slice(),
            Prompt::Text(_) => &["completions"],
        };
        let now = Instant::now();
        let ends = now + self.remote.timeout;
        let first = ends.min(now + self.remote.token_timeout);
        let response = self.post(path, &body(ask, served), "text/event-stream", first).await?;
        let is_stream = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if !is_stream {
            return Err(Failure::Broken("the answer is no stream of events"));
        }
        Ok(Stream {
            response,
            events: Events::default(),
            pieces: VecDeque::new(),
            finish: None,
            tokens: None,
            ends,
            token_timeout: self.remote.token_timeout,
            read: 0,
            bytes_max: self.bytes_max,
            over: false,
        })
    }

    /// Asks for vectors, in the order of the inputs.
    pub(crate) async fn embed(
        &self,
        inputs: &[String],
        served: &Served,
    ) -> Result<(Vec<Vec<f32>>, Option<Tokens>), Failure> {
        let deadline = Instant::now() + self.remote.timeout;
        let body = json!({"model": served.there, "input": inputs, "encoding_format": "float"});
        let response = self.post(&["embeddings"], &body, "application/json", deadline).await?;
        let bytes = bounded(response, self.bytes_max, deadline).await?;
        let mut found: Vectors = serde_json::from_slice(&bytes)
            .map_err(|_| Failure::Broken("the answer is not that of a server of embeddings"))?;
        found.data.sort_by_key(|vector| vector.index);
        let in_order = found.data.iter().enumerate().all(|(at, vector)| vector.index == at);
        let length = found.data.first().map_or(0, |vector| vector.embedding.len());
        let alike = length > 0 && found.data.iter().all(|vector| vector.embedding.len() == length);
        let finite = found.data.iter().flat_map(|vector| &vector.embedding).all(|number| number.is_finite());
        if found.data.len() != inputs.len() || !in_order || !alike || !finite {
            return Err(Failure::Broken("there is not one vector for each input"));
        }
        let tokens = found.usage.and_then(Counted::tokens);
        Ok((found.data.into_iter().map(|vector| vector.embedding).collect(), tokens))
    }

    /// The models that it has.
    pub(crate) async fn models(&self) -> Result<Vec<String>, Failure> {
        let deadline = Instant::now() + PROBE_TIMEOUT;
        let response = self.sent(self.http.get(self.url(&["models"])), true, deadline).await?;
        let bytes = bounded(response, PROBE_BYTES_MAX, deadline).await?;
        let listed: Listed = serde_json::from_slice(&bytes)
            .map_err(|_| Failure::Broken("it lists no models as OpenAI's API does"))?;
        Ok(listed.data.into_iter().map(|model| model.id).collect())
    }

    /// How busy it says it is; none where it doesn't.
    pub(crate) async fn load(&self) -> Option<Load> {
        let deadline = Instant::now() + PROBE_TIMEOUT;
        let url = self.remote.metrics.clone()?;
        let same = url.origin() == self.remote.url.origin();
        let response = self.sent(self.http.get(url), same, deadline).await.ok()?;
        let bytes = bounded(response, PROBE_BYTES_MAX, deadline).await.ok()?;
        load::read(std::str::from_utf8(&bytes).ok()?)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.remote.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    async fn post(
        &self,
        path: &[&str],
        body: &Value,
        accept: &'static str,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        let request = self
            .http
            .post(self.url(path))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, accept)
            .body(body.to_string());
        self.sent(request, true, deadline).await
    }

    /// Sends it, and gives the answer if it is a good one.
    async fn sent(
        &self,
        mut request: RequestBuilder,
        ours: bool,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        if let Some(credential) = self.credential.as_ref().filter(|_| ours) {
            let found = credential.credential(&Extensions::default()).await.ok();
            let header = found.and_then(|secret| authorization(Scheme::Bearer, &secret));
            let header = header.ok_or(Failure::Broken("the credential can't be sent"))?;
            request = request.header(AUTHORIZATION, header);
        }
        let response = match timeout_at(deadline, request.send()).await {
            Err(_) => return Err(Failure::Timeout),
            Ok(sent) => sent.map_err(|error| failure(&error))?,
        };
        let status = response.status();
        match status {
            _ if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Failure::Forbidden),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Err(Failure::Busy),
            StatusCode::NOT_FOUND => Err(Failure::NoModel),
            StatusCode::NOT_IMPLEMENTED => Err(Failure::Broken("it can't do that")),
            _ if status.is_client_error() => {
                let bytes = bounded(response, REFUSAL_BYTES_MAX, deadline).await?;
                Err(refusal(&bytes).map_or(Failure::Broken("it refused without a reason"), Failure::Rejected))
            }
            _ if status.is_server_error() => Err(Failure::Broken("it failed with a 5xx")),
            _ => Err(Failure::Broken("it answers with a redirect")),
        }
    }
}

impl Stream {
    /// The next part of the text; the end comes last, and nothing behind it.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>, Failure> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok(Some(piece));
            }
            if self.over {
                return Ok(None);
            }
            let deadline = self.ends.min(Instant::now() + self.token_timeout);
            let chunk = timeout_at(deadline, self.response.chunk()).await.map_err(|_| Failure::Timeout)?;
            match chunk.map_err(|error| failure(&error))? {
                Some(chunk) => self.take(&chunk)?,
                // Some servers leave [DONE] out; none leaves out why it ended.
                None if self.finish.is_some() => self.end(),
                None => return Err(Failure::Broken("the answer broke off")),
            }
        }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.read = self.read.saturating_add(chunk.len());
        // Around each token stand some 300 bytes of JSON.
        let max = self.bytes_max.saturating_mul(64);
        if self.read > max {
            return Err(Failure::TooLarge { max: self.bytes_max });
        }
        let events =
            self.events.take(chunk).map_err(|_| Failure::Broken("an event is longer than allowed"))?;
        for data in events {
            if data.trim() == "[DONE]" {
                if self.finish.is_none() {
                    return Err(Failure::Broken("the answer ended without saying why"));
                }
                self.end();
                break;
            }
            let chunk: Chunk = serde_json::from_str(&data)
                .map_err(|_| Failure::Broken("an event is no part of an answer"))?;
            if chunk.error.is_some() {
                return Err(Failure::Broken("it failed while it was writing"));
            }
            self.tokens = chunk.usage.and_then(Counted::tokens).or(self.tokens);
            for choice in chunk.choices {
                let text = choice.text.or(choice.delta.and_then(|delta| delta.content)).unwrap_or_default();
                if !text.is_empty() {
                    self.pieces.push_back(Piece::Text(text));
                }
                if let Some(why) = choice.finish_reason {
                    self.finish = Some(match why.as_str() {
                        "stop" => Finish::Stop,
                        "length" => Finish::Length,
                        _ => Finish::Other,
                    });
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        self.over = true;
        self.pieces.push_back(Piece::End(self.finish.unwrap_or(Finish::Other), self.tokens));
    }
}

impl Counted {
    fn tokens(self) -> Option<Tokens> {
        Some(Tokens { input: self.prompt_tokens?, output: self.completion_tokens })
    }
}

/// What is posted for a text.
fn body(ask: &Ask, served: &Served) -> Value {
    let sampling = &ask.sampling;
    let mut body = json!({
        "model": served.there, "stream": true, "stream_options": {"include_usage": true},
        "max_tokens": sampling.tokens_max,
    });
    match &ask.prompt {
        Prompt::Chat(messages) => body["messages"] = json!(messages),
        Prompt::Text(text) => body["prompt"] = json!(text),
    }
    let mut with = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    with("temperature", sampling.temperature.map(|number| json!(number)));
    with("top_p", sampling.top_p.map(|number| json!(number)));
    with("seed", sampling.seed.map(|number| json!(number)));
    with("stop", Some(json!(sampling.stop)).filter(|_| !sampling.stop.is_empty()));
    let schema = ask.schema.as_ref().filter(|_| served.structured);
    with(
        "response_format",
        schema.map(|schema| {
            json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema.value()}})
        }),
    );
    body
}

/// All of a body, if it is within the bounds.
async fn bounded(mut response: Response, max: usize, deadline: Instant) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = timeout_at(deadline, response.chunk())
        .await
        .map_err(|_| Failure::Timeout)?
        .map_err(|error| failure(&error))?
    {
        if body.len() + chunk.len() > max {
            return Err(Failure::TooLarge { max });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a server of this API says when it won't. Only that form is passed on.
fn refusal(bytes: &[u8]) -> Option<String> {
    let said: Value = serde_json::from_slice(bytes).ok()?;
    let message = said.pointer("/error/message").or(said.get("message"))?.as_str()?;
    Some(one_line(message))
}

/// The client's own words quote the URL.
fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        Failure::Timeout
    } else if error.is_connect() {
        Failure::Broken("no connection, or a certificate that nobody vouches for")
    } else {
        Failure::Broken("the answer broke off")
    }
}
