//! `sallyport agents`: which agents a workload may talk to, asked of a running gateway.

use crate::config::HttpsServer;
use crate::config::problems::chain;
use crate::https::{self, Https, HttpsError};
use crate::up::state::{Addresses, Workload};
use crate::up::{TRUST_DOMAIN, starter};
use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use certs::development::paths_in;
use certs::files::{self, FileSource, Paths};
use certs::{Clock, SharedSource, SpiffeId};
use clap::{Args, Subcommand};
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokens::Secret;
use url::{Position, Url, form_urlencoded};

/// `agents`.
#[derive(Debug, Subcommand)]
pub enum Agents {
    /// List the agents that you may talk to, or those of them that are searched for.
    #[command(after_help = "\
Examples:
  sallyport agents list                        as the demo agent of `sallyport up`, for its user
  sallyport agents list --tag text --json
  sallyport agents list --url https://gateway.example:8443 --gateway spiffe://prod.example/gateway \\
    --certificate svid.pem --private-key svid.key --trust-bundle bundle.pem --token token.txt

An agent is listed if rule `visible` of its policy, agents/NAME.rego, holds for you. What you don't see may still exist.")]
    List(List),
    /// Say all that the gateway says of one agent.
    #[command(after_help = "\
Examples:
  sallyport agents show echo
  sallyport agents show echo --json | jq -r .card

Exits with 0 if you may talk to it, else with 1.")]
    Show(Show),
}

/// `agents list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only agents with this skill, by the skill's id.
    #[arg(long, value_name = "ID")]
    skill: Option<String>,
    /// Only agents with a skill of this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Only agents with this text in their name, description or skills' names.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    from: From,
}

/// `agents show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The agent's name, as the list has it.
    name: String,
    #[command(flatten)]
    from: From,
}

/// Which gateway is asked, and who asks.
#[derive(Debug, Args)]
struct From {
    /// The folder of a running `sallyport up`: its gateway is asked, as its demo agent, for its user.
    #[arg(long, default_value = ".sallyport", conflicts_with = "url")]
    dir: PathBuf,
    /// Another gateway, by its URL. The next four flags go with it.
    #[arg(long, requires_all = ["gateway", "certificate", "private_key", "trust_bundle"])]
    url: Option<String>,
    /// The SPIFFE ID that the gateway must prove.
    #[arg(long, value_name = "SPIFFE_ID", requires = "url")]
    gateway: Option<String>,
    /// Your X.509-SVID: PEM, leaf first.
    #[arg(long, value_name = "FILE", requires = "url")]
    certificate: Option<PathBuf>,
    /// Its PKCS #8 key: PEM.
    #[arg(long, value_name = "FILE", requires = "url")]
    private_key: Option<PathBuf>,
    /// The authorities of the gateway's trust domain: PEM.
    #[arg(long, value_name = "FILE", requires = "url")]
    trust_bundle: Option<PathBuf>,
    /// A file with the access token of whom you act for; `-` reads standard input.
    #[arg(long, value_name = "FILE", requires = "url")]
    token: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A gateway, and who asks it.
struct Asker {
    url: String,
    gateway: SpiffeId,
    source: SharedSource,
    token: Option<Secret>,
    /// What to do where nobody listens.
    start: String,
}

const TIMEOUT: Duration = Duration::from_secs(10);
const BYTES_MAX: usize = 16 << 20;

/// Runs one of the commands.
///
/// # Errors
/// What went wrong, for a person to read.
pub fn run(agents: &Agents) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match agents {
        Agents::List(list) => {
            let all = runtime.block_on(ask(&list.from, &list.query()))?;
            if list.from.json {
                println!("{}", serde_json::to_string_pretty(&all)?);
            } else if all.is_empty() {
                println!("no agent that you may talk to (rule `visible` of agents/NAME.rego says who may)");
            } else {
                print!("{}", table(&all));
            }
        }
        Agents::Show(show) => {
            let all = runtime.block_on(ask(&show.from, ""))?;
            let Some(agent) = all.iter().find(|agent| agent["name"] == show.name.as_str()) else {
                bail!(
                    "there is no agent {:?} that you may talk to; `sallyport agents list` shows those that there are, and rule \
                     `visible` of agents/{}.rego says who may see it",
                    show.name,
                    show.name
                );
            };
            match show.from.json {
                true => println!("{}", serde_json::to_string_pretty(agent)?),
                false => print!("{}", described(agent)),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl List {
    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("skill", &self.skill), ("tag", &self.tag), ("q", &self.search)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

impl From {
    fn asker(&self) -> anyhow::Result<Asker> {
        let (Some(url), Some(gateway), Some(certificate), Some(private_key), Some(trust_bundle)) =
            (&self.url, &self.gateway, &self.certificate, &self.private_key, &self.trust_bundle)
        else {
            return of_up(&self.dir);
        };
        let paths = Paths {
            certificate: certificate.clone(),
            private_key: private_key.clone(),
            trust_bundle: trust_bundle.clone(),
        };
        Ok(Asker {
            url: url.trim_end_matches('/').to_owned(),
            gateway: SpiffeId::new(gateway).context("--gateway is no SPIFFE ID")?,
            source: FileSource::open(paths)?,
            token: self.token.as_deref().map(token).transpose()?,
            start: "check --url, and that the gateway runs".into(),
        })
    }
}

fn token(path: &Path) -> anyhow::Result<Secret> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?;
    }
    Ok(Secret::new(text.trim()))
}

/// The demo agent of a state folder, and its gateway.
fn of_up(dir: &Path) -> anyhow::Result<Asker> {
    let shown = dir.display();
    let start = format!("`sallyport up --dir {shown}` starts it");
    if !dir.join("addresses.json").exists() {
        bail!("{shown} is not the folder of a `sallyport up`; {start}, or name another gateway with --url");
    }
    let addresses: Addresses = serde_json::from_slice(&files::read(&dir.join("addresses.json"))?)?;
    let id = |workload: Workload| SpiffeId::new(format!("spiffe://{TRUST_DOMAIN}/{}", workload.path()));
    let token = starter::user_token(dir, &addresses, &id(Workload::DemoAgent)?, &Clock::system())?;
    Ok(Asker {
        gateway: id(Workload::Gateway)?,
        source: FileSource::open(paths_in(&dir.join("svids").join(Workload::DemoAgent.folder())))?,
        token: Some(token),
        url: addresses.url,
        start,
    })
}

/// The agents that a gateway lists.
async fn ask(from: &From, query: &str) -> anyhow::Result<Vec<Value>> {
    let asker = from.asker()?;
    let mut url = Url::parse(&format!("{}/a2a", asker.url)).context("--url is no URL")?;
    url.set_query(Some(query).filter(|query| !query.is_empty()));
    let mut request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .body(Full::<Bytes>::default())?;
    if let Some(token) = &asker.token {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
    }
    let server = HttpsServer::SpiffeId(asker.gateway.clone());
    let client = Https::new(&server, &asker.source, &Clock::system())?;
    let exchange = async { https::converse(client.connect(&url).await?, request, BYTES_MAX).await };
    let answer = tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or(Err(HttpsError::Timeout));
    let answer = answer.map_err(|error| asker.unreached(&error))?;
    let document: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    match (answer.status(), &document["agents"]) {
        (StatusCode::OK, Value::Array(agents)) => Ok(agents.clone()),
        (StatusCode::UNAUTHORIZED, _) => bail!(
            "the gateway does not accept the token; get a new one, of an issuer that the gateway knows, for {} and for this \
             SVID to present",
            asker.url
        ),
        (StatusCode::FORBIDDEN, _) => bail!("the gateway does not accept the SVID: it is over, or revoked"),
        (status, _) => {
            let reason = document["error"]["data"]["reason"].as_str().unwrap_or("no reason given");
            bail!("{} answered {status} ({}): is that a gateway's URL?", asker.url, printable(reason))
        }
    }
}

impl Asker {
    fn unreached(&self, error: &HttpsError) -> anyhow::Error {
        let Self { url, gateway, start, .. } = self;
        match error {
            HttpsError::Connect(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                anyhow!("nobody listens at {url}; {start}")
            }
            HttpsError::Connect(_) => anyhow!(
                "no connection to {url} as {gateway}; it proves another SPIFFE ID, or doesn't take this SVID: {}",
                chain(error)
            ),
            _ => anyhow!("{url} did not answer: {}", chain(error)),
        }
    }
}

fn text<'v>(agent: &'v Value, name: &str) -> &'v str {
    agent[name].as_str().unwrap_or("-")
}

fn words(agent: &Value, name: &str) -> String {
    let all = agent[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    all.collect::<Vec<_>>().join(", ")
}

/// What an agent says of itself is for a terminal to print and not to obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// One line an agent, in columns.
fn table(agents: &[Value]) -> String {
    let head = ["NAME", "HEALTH", "BINDINGS", "DESCRIPTION"].map(str::to_owned);
    let line = |agent: &Value| {
        let cells = [
            text(agent, "name"),
            text(agent, "health"),
            &words(agent, "bindings"),
            text(agent, "description"),
        ];
        cells.map(printable)
    };
    let lines: Vec<[String; 4]> = [head].into_iter().chain(agents.iter().map(line)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let (name, health, bindings) = (width(0), width(1), width(2));
    lines.iter().map(|[a, b, c, d]| format!("{a:name$}  {b:health$}  {c:bindings$}  {d}\n")).collect()
}

/// All of one agent.
fn described(agent: &Value) -> String {
    let mut told: Vec<(&str, String)> = ["name", "description", "url", "grpc", "card", "health"]
        .into_iter()
        .filter(|name| *name != "grpc" || agent.get(name).is_some())
        .map(|name| (name, text(agent, name).to_owned()))
        .chain(["bindings", "versions"].map(|name| (name, words(agent, name))))
        .collect();
    for skill in agent["skills"].as_array().into_iter().flatten() {
        let tags = words(skill, "tags");
        told.push(("skill", format!("{}: {} ({tags})", text(skill, "id"), text(skill, "name"))));
    }
    told.iter().map(|(name, value)| format!("{name:12} {}\n", printable(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn echo() -> Value {
        json!({
            "name": "echo", "url": "https://g.test/a2a/echo", "bindings": ["JSONRPC", "HTTP+JSON"], "versions": ["1.0", "0.3"],
            "card": "https://g.test/a2a/echo/.well-known/agent-card.json", "health": "up", "description": "Says\u{1b}[2J it again",
            "skills": [{"id": "repeat", "name": "Repeat", "tags": ["demo", "text"]}],
        })
    }

    #[test]
    fn a_table_has_a_line_for_each_agent_and_nothing_that_a_terminal_obeys() {
        let bare = json!({"name": "b", "bindings": ["JSONRPC"], "health": "unknown"});
        let wanted = "\
NAME  HEALTH   BINDINGS            DESCRIPTION
echo  up       JSONRPC, HTTP+JSON  Says [2J it again
b     unknown  JSONRPC             -
";
        assert_eq!(table(&[echo(), bare]), wanted);
    }

    #[test]
    fn one_agent_is_told_whole() {
        let told = described(&echo());
        for line in
            ["name         echo\n", "versions     1.0, 0.3\n", "skill        repeat: Repeat (demo, text)\n"]
        {
            assert!(told.contains(line), "{line}{told}");
        }
    }
}
