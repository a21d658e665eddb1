//! What `sallyport up` says and writes for whoever wants to try it.

use crate::up::state::{Addresses, Dir, Workload};
use crate::up::{Up, UpError, embedded, servers, starter};
use certs::Clock;
use certs::development::Domain;
use std::fmt::Write;

/// Writes `agent.env`: all that a client needs, as shell variables. It holds a token, so only its owner may read it.
///
/// # Errors
/// [`UpError`].
pub fn write_agent_env(
    dir: &Dir,
    domain: &Domain,
    addresses: &Addresses,
    clock: &Clock,
) -> Result<(), UpError> {
    let svid = dir.svid(&Workload::DemoAgent);
    let presenter = domain.id(&Workload::DemoAgent.path())?;
    let token = starter::user_token(&dir.path(""), addresses, &presenter, clock)?;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "export {name}='{}'", value.replace('\'', "'\\''")); // A String takes everything.
    };
    line("SALLYPORT_URL", &addresses.url);
    line("SALLYPORT_CA", &svid.trust_bundle.display().to_string());
    line("SALLYPORT_CERT", &svid.certificate.display().to_string());
    line("SALLYPORT_KEY", &svid.private_key.display().to_string());
    line("SALLYPORT_TOKEN", token.expose());
    line("SPIFFE_ENDPOINT_SOCKET", &format!("unix:{}", dir.path("workload-api.sock").display()));
    dir.write("agent.env", text.as_bytes(), 0o600)
}

/// An agent in a dozen lines, with the official SDK.
const PYTHON: &str = r#"  python3 - <<'END'
import asyncio, os, ssl, httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
async def main():
    tls = ssl.create_default_context(cafile=os.environ["SALLYPORT_CA"])
    tls.load_cert_chain(os.environ["SALLYPORT_CERT"], os.environ["SALLYPORT_KEY"])
    bearer = {"Authorization": "Bearer " + os.environ["SALLYPORT_TOKEN"]}
    async with httpx2.AsyncClient(verify=tls, headers=bearer) as http:
        async with Client(streamable_http_client(os.environ["SALLYPORT_URL"] + "/mcp/s3", http_client=http)) as s3:
            for key in ["public/hello.txt", "private/salary.csv"]:
                try: print(await s3.call_tool("get_object", {"bucket": "demo", "key": key}))
                except Exception as refusal: print(key, refusal)
asyncio.run(main())
END"#;

/// The lines to try, once everything is up.
pub fn to_try(up: &Up) -> String {
    let (dir, url, sign_in) = (up.dir(), &up.url, &up.sign_in);
    let env = dir.path("agent.env").display().to_string();
    let call = |key: &str| {
        format!(
            r#"curl --cacert "$SALLYPORT_CA" --cert "$SALLYPORT_CERT" --key "$SALLYPORT_KEY" \
    -H "Authorization: Bearer $SALLYPORT_TOKEN" -H 'Content-Type: application/json' \
    -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2026-07-28' \
    -H 'Mcp-Method: tools/call' -H 'Mcp-Name: get_object' "$SALLYPORT_URL/mcp/s3" \
    -d '{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"get_object","arguments":{{"bucket":"demo","key":"{key}"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}'"#
        )
    };
    let say = |text: &str| {
        format!(
            r#"curl -N --cacert "$SALLYPORT_CA" --cert "$SALLYPORT_CERT" --key "$SALLYPORT_KEY" \
    -H "Authorization: Bearer $SALLYPORT_TOKEN" -H 'Content-Type: application/json' -H 'A2A-Version: 1.0' \
    "$SALLYPORT_URL/a2a/echo" \
    -d '{{"jsonrpc":"2.0","id":1,"method":"SendStreamingMessage","params":{{"message":{{"messageId":"m1","role":"ROLE_USER","parts":[{{"text":"{text}"}}]}}}}}}'"#
        )
    };
    format!(
        "sallyport is up: {url}   (state in {dir})

MCP servers, as {list} has them:
  {servers}
  /mcp              all of them at one URL
A2A agents:
  /a2a/echo

In another terminal:
  source {env}

An allowed call:
  {allowed}

The same with one argument changed, refused:
  {denied}

The same from Python (pip install mcp==2.3.0):
{python}

An agent that says again what it hears, word by word:
  {said}

The same with one word changed, refused:
  {unsaid}

Sign-in:  {sign_in}, for this machine alone; any MCP client with OAuth finds it by itself.
          User {user}, the password is in {token_service}
Policies: {policies}  (edit them while it runs)
SVIDs:    {workloads}  says who gets which from the SPIFFE Workload API
Audit:    {audit}
Metrics:  {metrics}
Stop with Ctrl-C.
",
        dir = dir.path("").display(),
        allowed = call("public/hello.txt"),
        denied = call("private/salary.csv"),
        said = say("what is my name"),
        unsaid = say("what is my password"),
        python = PYTHON,
        user = starter::USER,
        token_service = dir.path(embedded::FILE).display(),
        policies = dir.path("policies").display(),
        workloads = dir.path("workloads.yaml").display(),
        list = dir.path(servers::FILE).display(),
        servers = up.servers.told().join("\n  "),
        metrics = up
            .gateway
            .admin_address()
            .map_or_else(|| "off".into(), |at| format!("http://{at}/metrics  (and /readyz)")),
        audit = dir.path("audit.jsonl").display(),
    )
}
