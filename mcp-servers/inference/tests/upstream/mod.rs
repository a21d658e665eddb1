//! A backend on a socket: a server with the API of OpenAI and one model in it, or something that isn't one.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
#![allow(dead_code, reason = "each test program uses its part")]

use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What it does with calls for a text or for vectors. Its models and its metrics it tells as a good one does, unless it is
/// down.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Answers with this text, a word at a time.
    Says(&'static str),
    /// The same, and counts no tokens.
    Uncounted(&'static str),
    /// Two words, and then it waits.
    Stalls,
    /// Two words, and then it closes.
    BreaksOff,
    /// Two words, and then an error.
    Fails,
    /// A stream without a word in it, that closes.
    Empty,
    /// Never an answer.
    Silent,
    /// Closes at once.
    Closes,
    /// An answer that is no stream.
    Answers(u16, &'static str),
    /// A stream with this in it.
    Streams(&'static str),
    /// Words without end.
    Endless,
}

pub(crate) struct Upstream {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
    /// Calls that it says are running and waiting.
    pub(crate) load: Arc<Mutex<(u32, u32)>>,
}

/// An address where nobody is.
pub(crate) fn nobody() -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}/v1", socket.local_addr().unwrap());
    std::mem::forget(socket); // Nobody listens there, and nobody else gets the port.
    url
}

impl Upstream {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (heard, load) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new((0, 0))));
        let upstream = Self { url, heard: Arc::clone(&heard), load: Arc::clone(&load) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (behaviour, heard, load) = (behaviour.clone(), Arc::clone(&heard), Arc::clone(&load));
                tokio::spawn(async move { drop(serve(stream, behaviour, heard, load).await) });
            }
        });
        upstream
    }

    /// The head of each call for a text or for vectors, and its body.
    pub(crate) fn heard(&self) -> Vec<(String, Value)> {
        self.heard.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    behaviour: Behaviour,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
    load: Arc<Mutex<(u32, u32)>>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length =
            head.split("content-length: ").nth(1).map_or(0, |l| l.lines().next().unwrap().parse().unwrap());
        if body.len() >= length {
            break (head, body.to_owned());
        }
    };
    if head.starts_with("get /v1/models") {
        return plain(&mut stream, 200, r#"{"object":"list","data":[{"id":"there"},{"id":"vectors"}]}"#)
            .await;
    }
    if head.starts_with("get /metrics") {
        let (running, waiting) = *load.lock().unwrap();
        let page = format!(
            "vllm:num_requests_running{{m=\"a\"}} {running}\nvllm:num_requests_waiting{{m=\"a\"}} {waiting}\n"
        );
        return plain(&mut stream, 200, &page).await;
    }
    let body: Value = serde_json::from_str(&body).unwrap();
    heard.lock().unwrap().push((head.clone(), body.clone()));
    if head.starts_with("post /v1/embeddings") && matches!(behaviour, Behaviour::Says(_)) {
        let count = body["input"].as_array().unwrap().len();
        // The last one first: their order is what they say, and not where they stand.
        let data: Vec<_> = (0..count).rev().map(|at| json!({"index": at, "embedding": [at, 0.5]})).collect();
        let answer = json!({"data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}});
        return plain(&mut stream, 200, &answer.to_string()).await;
    }
    match behaviour {
        Behaviour::Silent => std::future::pending().await,
        Behaviour::Closes => Ok(()),
        Behaviour::Answers(status, text) => plain(&mut stream, status, text).await,
        Behaviour::Streams(text) => {
            begin(&mut stream).await?;
            part(&mut stream, text).await
        }
        Behaviour::Says(text) | Behaviour::Uncounted(text) => {
            begin(&mut stream).await?;
            for word in text.split_inclusive(' ') {
                word_of(&mut stream, &head, word).await?;
            }
            event(&mut stream, &json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
                .await?;
            if matches!(behaviour, Behaviour::Says(_)) {
                let usage = json!({"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16});
                event(&mut stream, &json!({"choices": [], "usage": usage})).await?;
            }
            part(&mut stream, "data: [DONE]\n\n").await?;
            part(&mut stream, "").await
        }
        Behaviour::Empty => begin(&mut stream).await,
        Behaviour::Endless => {
            begin(&mut stream).await?;
            loop {
                word_of(&mut stream, &head, &"a ".repeat(500)).await?;
            }
        }
        Behaviour::Stalls | Behaviour::BreaksOff | Behaviour::Fails => {
            begin(&mut stream).await?;
            word_of(&mut stream, &head, "two ").await?;
            word_of(&mut stream, &head, "words").await?;
            match behaviour {
                Behaviour::Stalls => std::future::pending().await,
                Behaviour::Fails => {
                    event(&mut stream, &json!({"error": {"message": "secret http://u:p@inner/"}})).await
                }
                _ => Ok(()),
            }
        }
    }
}

async fn plain(stream: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let reply = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nlocation: /elsewhere\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(reply.as_bytes()).await
}

async fn begin(stream: &mut TcpStream) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await
}

async fn word_of(stream: &mut TcpStream, head: &str, word: &str) -> std::io::Result<()> {
    let choice = if head.starts_with("post /v1/completions") {
        json!({"index": 0, "text": word, "finish_reason": null})
    } else {
        json!({"index": 0, "delta": {"content": word}, "finish_reason": null})
    };
    event(stream, &json!({"choices": [choice]})).await
}

async fn event(stream: &mut TcpStream, data: &Value) -> std::io::Result<()> {
    part(stream, &format!("data: {data}\n\n")).await
}

async fn part(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await
}
