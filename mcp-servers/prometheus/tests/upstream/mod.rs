//! An upstream on a socket: a Prometheus and an Alertmanager with a little in them, or something that isn't one.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    Prometheus,
    Down,
    Silent,
    Half,
    Closes,
    Says(u16, String),
}

pub(crate) struct Upstream {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

/// The `Authorization` of a request, where it stands in what was heard.
pub(crate) fn credential(heard: &str) -> Option<&str> {
    heard.split_once("authorization: ").map(|(_, rest)| rest.lines().next().unwrap())
}

impl Upstream {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let url = format!("http://{}/", socket.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let upstream = Self { url, heard: Arc::clone(&heard) };
        if matches!(behaviour, Behaviour::Down) {
            std::mem::forget(socket); // Nobody listens there, and nobody else gets the port.
        } else {
            let listener = socket.listen(64).unwrap();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, behaviour.clone(), Arc::clone(&heard)));
                }
            });
        }
        upstream
    }

    /// Path, query, body and credential of each request.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, heard: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    let text = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .to_lowercase()
            .split("content-length: ")
            .nth(1)
            .map_or(0, |l| l.lines().next().unwrap().parse().unwrap());
        if body.len() >= length {
            let credential = head.lines().find(|line| line.to_lowercase().starts_with("authorization: "));
            let target = head.split(' ').nth(1).unwrap();
            break format!("{target} {body}\n{}", credential.unwrap_or_default());
        }
    };
    heard.lock().unwrap().push(text.clone());
    let (status, body, length) = match behaviour {
        Behaviour::Prometheus => (200, answer(&text), None),
        Behaviour::Says(status, body) => (status, body, None),
        Behaviour::Half => (200, "{\"status\":\"succ".into(), Some(1000)),
        Behaviour::Silent => return std::future::pending().await,
        Behaviour::Closes | Behaviour::Down => return,
    };
    let length = length.unwrap_or(body.len());
    let reply = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nlocation: /elsewhere\r\nconnection: close\r\n\r\n{body}"
    );
    let _ = stream.write_all(reply.as_bytes()).await;
}

/// In its Alertmanager are an alert of each state and one of another namespace; silences of one namespace, and of more.
fn of_alertmanager(silences: bool) -> String {
    let alert = |name: &str, namespace: &str, state: &str, silenced: &str, inhibited: &str| {
        format!(
            r#"{{"labels":{{"alertname":"{name}","namespace":"{namespace}"}},"annotations":{{"summary":"of {namespace}"}},
            "status":{{"state":"{state}","silencedBy":[{silenced}],"inhibitedBy":[{inhibited}],"mutedBy":[]}},
            "receivers":[{{"name":"pager"}}],"startsAt":"2026-01-01T00:00:00Z","endsAt":"2026-01-01T00:05:00Z",
            "updatedAt":"2026-01-01T00:00:00Z","fingerprint":"01","generatorURL":"http://h/?token=x"}}"#
        )
    };
    let silence = |id: &str, state: &str, matchers: &[(&str, &str, bool)]| {
        let matchers = matchers.iter().map(|(name, value, is_regex)| {
            format!(r#"{{"name":"{name}","value":"{value}","isRegex":{is_regex},"isEqual":true}}"#)
        });
        format!(
            r#"{{"id":"{id}","status":{{"state":"{state}"}},"matchers":[{}],"comment":"why {id}","createdBy":"alan",
            "startsAt":"2026-01-01T00:00:00Z","endsAt":"2026-01-01T01:00:00Z","updatedAt":"2026-01-01T00:00:00Z"}}"#,
            matchers.collect::<Vec<_>>().join(",")
        )
    };
    let all = match silences {
        false => vec![
            alert("Up", "ops", "active", "", ""),
            alert("E", "ml", "unprocessed", "", ""),
            alert("D", "ml", "suppressed", "", ""),
            alert("C", "ml", "suppressed", "", "\"of ops\""),
            alert("B", "ml", "suppressed", "\"1\",\"2\"", "\"of ops\""),
            alert("A", "ml", "active", "", ""),
        ],
        true => vec![
            silence("ops", "active", &[("namespace", "ops", false)]),
            silence("ops or ml", "active", &[("namespace", "ml|ops", true)]),
            silence("ops and ml", "active", &[("alertname", "A", false)]),
            silence("of nothing, not even ops", "active", &[]),
            silence("1", "active", &[("alertname", "B", false), ("namespace", "ml", false)]),
            silence("2", "pending", &[("namespace", "ml", false)]),
            silence("3", "expired", &[("namespace", "ml", false)]),
        ],
    };
    format!("[{}]", all.join(","))
}

/// In it are two series of `up`, four of `many`; targets, alerts and rules of the namespaces ml and ops.
fn answer(request: &str) -> String {
    if let Some(rest) = request.strip_prefix("/api/v2/") {
        return of_alertmanager(rest.starts_with("silences"));
    }
    let is = |path: &str| request.starts_with(&format!("/api/v1/{path}"));
    let data = if is("query_range") {
        let points = (0..40).map(|i| format!("[{i},\"{}\"]", i / 20)).collect::<Vec<_>>().join(",");
        format!(
            r#"{{"resultType":"matrix","result":[{{"metric":{{"__name__":"up"}},"values":[{points}]}}]}}"#
        )
    } else if is("query") {
        let count = if request.contains("many") { 4 } else { 1 };
        let series = vec![r#"{"metric":{"job":"a"},"value":[1.5,"2"]}"#; count].join(",");
        format!(r#"{{"resultType":"vector","result":[{series}]}}"#)
    } else if is("series") {
        r#"[{"__name__":"up","job":"a"}]"#.into()
    } else if is("labels") || is("label/") {
        r#"["a","b","up"]"#.into()
    } else if is("metadata") {
        let up = r#""up":[{"type":"gauge","help":"Whether it is up","unit":""}]"#;
        format!(r#"{{{up},"ops_only":[{{"type":"gauge","help":"","unit":""}}]}}"#)
    } else if is("targets") {
        let target = |namespace: &str| {
            format!(
                r#"{{"labels":{{"namespace":"{namespace}"}},"scrapePool":"p","health":"down","lastScrape":"",
                "lastError":"Get \"http://h/metrics?token=x\": refused","scrapeUrl":"http://h/metrics?token=x"}}"#
            )
        };
        format!(r#"{{"activeTargets":[{},{}],"droppedTargets":[]}}"#, target("ml"), target("ops"))
    } else if is("alerts") {
        let alert = |namespace: &str| {
            format!(
                r#"{{"labels":{{"namespace":"{namespace}"}},"annotations":{{}},"state":"firing","activeAt":"2026-01-01T00:00:00Z","value":"1e+00"}}"#
            )
        };
        format!(r#"{{"alerts":[{},{}]}}"#, alert("ml"), alert("ops"))
    } else {
        let rule = |namespace: &str| {
            format!(
                r#"{{"name":"r","query":"up","labels":{{"namespace":"{namespace}"}},"health":"ok","type":"recording"}}"#
            )
        };
        format!(r#"{{"groups":[{{"name":"g","rules":[{},{}]}}]}}"#, rule("ml"), rule("ops"))
    };
    format!(r#"{{"status":"success","data":{data}}}"#)
}
