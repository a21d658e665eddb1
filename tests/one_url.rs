//! All servers at one URL: who lists what there, where a call goes, and that it is decided as at `/mcp/<server>`.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use world::agent::{meta, send};
use world::{Agent, Answer, McpServer, Plan, Received, Reply, World, policies};

/// The clerk may ask at both, the intern at one of them, for small amounts; both may post.
pub(crate) fn policy() -> Vec<(&'static str, String)> {
    let rule = |tool: &str, who: &str| {
        format!(
            "package tools.{tool}\n\nvisible if input.caller.path[1] in {{{who}}}\n\nallow if {{\n\tvisible\n\tinput.call.arguments.amount_cents <= 1000\n}}\n"
        )
    };
    vec![
        ("protocol.rego", policies::protocol()),
        ("tools/ledger/post_entry.rego", rule("ledger.post_entry", "\"clerk\", \"intern\"")),
        ("tools/notes/ask.rego", rule("notes.ask", "\"clerk\", \"intern\"")),
        ("tools/vault/ask.rego", rule("vault.ask", "\"clerk\"")),
    ]
}

/// A world with three servers, of which two have a tool of the same name.
pub(crate) async fn three(plan: Plan) -> World {
    let world = World::with(Plan { policy: policy(), agents: &["notes", "vault"], ..plan }).await;
    for name in ["notes", "vault"] {
        world.agents[name].answers(move |received| serves(received, name, &["ask", "forget"]));
    }
    world
}

/// A server that has these tools, and says its own name when one is called.
pub(crate) fn serves(received: &Received, name: &str, tools: &[&str]) -> Answer {
    if received.method != http::Method::POST || received.json()["id"].is_null() {
        return world::server::usual(received);
    }
    let request = received.json();
    let tool = |tool: &&str| json!({"name": tool, "inputSchema": {"type": "object"}, "title": format!("{name} {tool}")});
    let result = match request["method"].as_str().unwrap() {
        "tools/list" => {
            let tools: Vec<_> = tools.iter().map(tool).collect();
            json!({"resultType": "complete", "ttlMs": 5000, "cacheScope": "public", "tools": tools})
        }
        "tools/call" => json!({"resultType": "complete", "content": [{"type": "text", "text": name}]}),
        _ => return not_found(&request),
    };
    Answer::Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
}

pub(crate) fn not_found(request: &Value) -> Answer {
    let error =
        json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "unknown"}});
    let answer = http::Response::builder().status(404).header("content-type", "application/json");
    Answer::Raw(answer.body(error.to_string()).unwrap())
}

pub(crate) fn at_one_url(world: &World, workload: &str) -> Agent {
    world.agent(workload).with_token(&world.token(workload)).at("/mcp")
}

async fn list(agent: &Agent, method: &str) -> Value {
    send(agent.rpc(method, json!({}))).await.json()["result"].clone()
}

pub(crate) fn names(result: &Value) -> Vec<String> {
    let tools = result["tools"].as_array().unwrap_or_else(|| panic!("no list: {result}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn heard(server: &McpServer, method: &str) -> Vec<Received> {
    server
        .received()
        .into_iter()
        .filter(|r| r.method == http::Method::POST && r.json()["method"] == method)
        .collect()
}

fn calls(world: &World) -> usize {
    let servers = world.agents.values().chain([&world.ledger]);
    servers.map(|server| heard(server, "tools/call").len()).sum()
}

#[tokio::test]
async fn each_agent_lists_what_it_may_call_of_all_servers() {
    let world = three(Plan::default()).await;
    for (workload, listed) in [
        ("agent/clerk", vec!["ledger__post_entry", "notes__ask", "vault__ask"]),
        ("agent/intern", vec!["ledger__post_entry", "notes__ask"]),
        ("agent/stranger", vec![]),
    ] {
        let agent = at_one_url(&world, workload);
        let result = list(&agent, "tools/list").await;
        assert_eq!(names(&result), listed, "{workload}");
        assert_eq!((&result["cacheScope"], &result["resultType"]), (&json!("private"), &json!("complete")));
        assert_eq!(result["_meta"], Value::Null, "it is all there is");
        for name in
            ["ledger__post_entry", "ledger__read_balance", "notes__ask", "notes__forget", "vault__ask"]
        {
            let reply = agent.call(name, json!({"amount_cents": 1})).await;
            assert_eq!(reply.json()["error"].is_null(), listed.contains(&name), "{workload} {name}");
        }
    }
    let result = send(at_one_url(&world, "agent/clerk").rpc("tools/list", json!({}))).await;
    assert!(result.text.contains("12345678901234567890"), "an item stays as it came: {}", result.text);
}

#[tokio::test]
async fn a_list_leaves_a_record_of_its_own_and_one_for_each_server() {
    let world = three(Plan { audit: "required", ..Plan::default() }).await;
    list(&at_one_url(&world, "agent/clerk"), "tools/list").await;
    let record = world.only_record();
    assert_eq!(
        (&record["path"], &record["method"], &record["count"]),
        (&json!("/mcp"), &json!("tools/list"), &json!(3))
    );
    assert_eq!(
        (&record["server"], &record["decision"], &record["cause"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let mut parts = world.records("part");
    parts.sort_by_key(|part| part["server"].to_string());
    let told: Vec<_> = parts
        .iter()
        .map(|part| (part["server"].as_str().unwrap(), part["decision"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("ledger", "permit"), ("notes", "permit"), ("vault", "permit")]);
    for part in &parts {
        assert_eq!((&part["package"], &part["outcome"]), (&json!("protocol"), &json!("complete")), "{part}");
        assert_eq!(part["path"], format!("/mcp/{}", part["server"].as_str().unwrap()));
        assert!(part["credential"]["audience"].is_string() && part["permit"].is_u64(), "{part}");
        assert_eq!((&part["caller"], &part["subject"]["sub"]), (&record["caller"], &json!("alice")));
    }
    assert_eq!(world.records("permit").len(), 3);
}

#[tokio::test]
async fn a_call_goes_to_the_server_that_its_name_names() {
    let world = three(Plan::default()).await;
    let agent = at_one_url(&world, "agent/clerk");
    let written = r#"{ "params" : {"arguments":{"name":"vault__ask","n":1.50e1,"amount_cents":1},"n\u0061me" : "NAME","_meta":META},"id":"a\u0062", "method":"tools/call","jsonrpc":"2.0"}"#;
    let body = |name: &str| written.replace("META", &meta().to_string()).replace("NAME", name);
    let call = agent.post("/mcp", body("vault__\\u0061sk")).header("mcp-name", "vault__ask");
    let reply =
        send(call.header("mcp-protocol-version", "2026-07-28").header("mcp-method", "tools/call")).await;
    assert_eq!(reply.result(), "vault", "{reply:?}");
    let heard = heard(&world.agents["vault"], "tools/call").pop().unwrap();
    assert_eq!(String::from_utf8(heard.body.to_vec()).unwrap(), body("ask"), "every byte but the name's");
    assert_eq!(heard.headers["mcp-name"], "ask");
    assert_eq!(calls(&world), 1);
    let record = world.only_record();
    assert_eq!(
        (&record["path"], &record["server"], &record["target"]),
        (&json!("/mcp"), &json!("vault"), &json!({"tool": "ask"}))
    );
    assert_eq!(
        (&record["package"], &record["credential"]["scopes"]),
        (&json!("tools.vault.ask"), &json!(["vault:ask"]))
    );
    let other = agent.call("notes__ask", json!({"amount_cents": 1})).await;
    assert_eq!(other.result(), "notes", "the same tool of another server");
}

#[tokio::test]
async fn what_is_denied_reads_the_same_whoever_it_is_about() {
    let world = three(Plan::default()).await;
    let (clerk, intern) = (at_one_url(&world, "agent/clerk"), at_one_url(&world, "agent/intern"));
    assert_eq!(clerk.call("vault__ask", json!({"amount_cents": 1})).await.result(), "vault");
    let long = format!("vault__{}", "a".repeat(122));
    let (small, large) = (json!({"amount_cents": 1}), json!({"amount_cents": 1001}));
    let mut told = Vec::new();
    for (agent, name, arguments, server) in [
        (&clerk, "vault__ask", &large, json!("vault")),
        (&intern, "vault__ask", &small, json!("vault")),
        (&clerk, "vault__forget", &small, json!("vault")),
        (&clerk, "vault__post_entry", &small, json!("vault")),
        (&clerk, "ledger__ask", &small, json!("ledger")),
        (&clerk, "nobody__ask", &small, json!("nobody")),
        (&clerk, "ask", &small, Value::Null),
        (&clerk, "vault_ask", &small, Value::Null),
        (&clerk, "Vault__ask", &small, Value::Null),
        (&clerk, "vault/__ask", &small, Value::Null),
        (&clerk, "__ask", &small, Value::Null),
        (&clerk, long.as_str(), &small, Value::Null),
    ] {
        let reply = agent.call(name, arguments.clone()).await;
        assert_eq!((reply.status, reply.refused_because().as_str()), (200, "not_allowed"), "{name}");
        let record = world.records("request").pop().unwrap();
        assert_eq!((&record["decision"], &record["server"]), (&json!("denial"), &server), "{name}");
        told.push(reply.text);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(calls(&world), 1, "no server has heard of any of it");
}

/// What the caller hears, less what names a server.
fn outcome(reply: &Reply) -> (u16, Value) {
    (reply.status, reply.json())
}

#[tokio::test]
async fn a_call_is_decided_as_at_the_servers_own_url() {
    let world = three(Plan::default()).await;
    let only = world.token_with("agent/clerk", |claims| claims.subject = "bob");
    let agents = [
        world.clerk(),
        world.agent("agent/intern").with_token(&world.token("agent/intern")),
        world.agent("agent/stranger").with_token(&world.token("agent/stranger")),
        world.agent("agent/clerk").with_token(&only),
        world.agent("agent/clerk"),
        world.agent("agent/clerk").with_token("none"),
    ];
    let facts = |record: &Value| -> Vec<Value> {
        ["decision", "package", "policy", "reason", "server", "target", "arguments", "credential", "subject"]
            .map(|fact| match fact {
                "credential" => record[fact]["scopes"].clone(),
                "subject" => record[fact]["sub"].clone(),
                _ => record[fact].clone(),
            })
            .to_vec()
    };
    let mut permitted = 0;
    for agent in &agents {
        for server in ["ledger", "notes", "vault", "nobody"] {
            for tool in ["post_entry", "read_balance", "ask", "forget", "a__b"] {
                for amount in [json!(1), json!(1000), json!(1001), json!("1"), json!([1])] {
                    let arguments = json!({ "amount_cents": amount });
                    let own = agent.clone().at(&format!("/mcp/{server}")).call(tool, arguments.clone()).await;
                    let by_name = format!("{server}__{tool}");
                    let one = agent.clone().at("/mcp").call(&by_name, arguments.clone()).await;
                    assert_eq!(outcome(&own), outcome(&one), "{by_name} {arguments}");
                }
            }
        }
    }
    let records = world.records("request");
    for pair in records.chunks(2) {
        let [own, one] = pair else { panic!("two records for each call") };
        assert_eq!(facts(own), facts(one), "{own} {one}");
        permitted += usize::from(one["decision"] == "permit");
    }
    // Each of three may do something for small amounts: the clerk at three servers, for either person, the intern at two.
    assert_eq!(permitted, 2 * (3 + 2 + 3));
}

#[tokio::test]
async fn a_server_that_is_down_is_left_out_and_the_list_says_that_it_is_not_all() {
    let world = three(Plan::default()).await;
    let agent = at_one_url(&world, "agent/clerk");
    world.agents["vault"].stop();
    let result = list(&agent, "tools/list").await;
    assert_eq!(names(&result), ["ledger__post_entry", "notes__ask"]);
    assert_eq!(result["_meta"], json!({"dev.sallyport/incomplete": true}), "and no word of whom");
    assert_eq!(result["ttlMs"], 0, "it is asked for again soon");
    let record = world.only_record();
    assert_eq!(record["cause"], "left out: vault (failed)");
    let part = world.records("part").into_iter().find(|part| part["server"] == "vault").unwrap();
    assert_eq!(part["reason"], "upstream_failed");
    let (_, metrics) = world.probe().get("/metrics").await;
    assert!(
        metrics.contains("sallyport_one_url_left_out_total{reason=\"failed\",server=\"vault\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_server_that_takes_too_long_is_left_out() {
    let world = three(Plan { limits: "{merged_list_timeout: 300ms}", ..Plan::default() }).await;
    let (held, mut closed) = mpsc::channel(1);
    world.agents["notes"].answers(move |_| Answer::Silence(held.clone()));
    let result = list(&at_one_url(&world, "agent/clerk"), "tools/list").await;
    assert_eq!(names(&result), ["ledger__post_entry", "vault__ask"]);
    assert_eq!(world.only_record()["cause"], "left out: notes (timeout)");
    world.agents["notes"].answers(world::server::usual); // The other sender is gone with the connection.
    assert!(closed.recv().await.is_none());
}

#[tokio::test]
async fn all_servers_are_asked_at_once() {
    let world = three(Plan::default()).await;
    let (asked, mut all) = mpsc::unbounded_channel();
    for (name, tool) in [("ledger", "post_entry"), ("notes", "ask"), ("vault", "ask")] {
        let (server, asked) = (world.agents.get(name).unwrap_or(&world.ledger), asked.clone());
        server.answers(move |received| {
            let (pieces, answer) = mpsc::channel(1);
            let text =
                json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": {"tools": [{"name": tool}]}});
            let text: &'static str = Box::leak(text.to_string().into_boxed_str());
            asked.send((pieces, text)).unwrap();
            Answer::Pieces(answer)
        });
    }
    let answers = async {
        let mut waiting = Vec::new();
        for _ in 0..3 {
            waiting.push(all.recv().await.unwrap()); // No one is answered before all have been asked.
        }
        for (pieces, text) in waiting {
            pieces.send(Ok(text)).await.unwrap();
        }
    };
    let agent = at_one_url(&world, "agent/clerk");
    let (result, ()) = tokio::join!(list(&agent, "tools/list"), answers);
    assert_eq!(names(&result).len(), 3);
}

/// A server whose list has pages, each of one tool.
fn pages(received: &Received, count: usize) -> Answer {
    let request = received.json();
    let page: usize = request["params"]["cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
    let mut result = json!({"tools": [{"name": "ask", "title": page}]});
    if page + 1 < count {
        result["nextCursor"] = json!((page + 1).to_string());
    }
    Answer::Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
}

#[tokio::test]
async fn all_pages_of_a_server_are_one_here() {
    let world =
        three(Plan { limits: "{merged_list_pages_max: 3, merged_list_bytes_max: 2000}", ..Plan::default() })
            .await;
    let agent = at_one_url(&world, "agent/clerk");
    world.agents["notes"].answers(|received| pages(received, 3));
    let result = list(&agent, "tools/list").await;
    let titles: Vec<&Value> = result["tools"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|t| t["name"] == "notes__ask")
        .map(|t| &t["title"])
        .collect();
    assert_eq!(titles, [0, 1, 2]);
    assert_eq!((&result["nextCursor"], &result["_meta"]), (&Value::Null, &Value::Null));
    let reply = send(agent.rpc("tools/list", json!({"cursor": "1"}))).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (400, "invalid_params"));

    world.agents["notes"].answers(|received| pages(received, 4));
    let result = list(&agent, "tools/list").await;
    assert_eq!(names(&result), ["ledger__post_entry", "vault__ask"]);
    let left_out = |n: usize| world.records("request")[n]["cause"].clone();
    assert_eq!(left_out(2), "left out: notes (too_many_pages)");

    world.agents["notes"].answers(|received| {
        let tools = [json!({"name": "ask", "title": "x".repeat(2000)})];
        Answer::Json(json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": {"tools": tools}}))
    });
    assert_eq!(names(&list(&agent, "tools/list").await), ["ledger__post_entry", "vault__ask"]);
    assert_eq!(left_out(3), "left out: notes (too_long)");
}

#[tokio::test]
async fn a_name_that_would_be_too_long_is_not_listed() {
    let text = "package tools.notes\n\nvisible := true\n\nallow := true\n";
    let mut policy = policy();
    policy.push(("tools/notes.rego", text.to_owned()));
    let world = World::with(Plan { policy, agents: &["notes"], ..Plan::default() }).await;
    let (fits, long) = ("a".repeat(128 - "notes__".len()), "b".repeat(129 - "notes__".len()));
    let tools = [fits.clone(), long];
    world.agents["notes"].answers(move |received| serves(received, "notes", &[&tools[0], &tools[1]]));
    let result = list(&at_one_url(&world, "agent/clerk"), "tools/list").await;
    assert_eq!(names(&result), ["ledger__post_entry".to_owned(), format!("notes__{fits}")]);
    assert_eq!(result["_meta"], json!({"dev.sallyport/incomplete": true}));
    assert_eq!(world.only_record()["cause"], "left out: notes (name_too_long)");
}

#[tokio::test]
async fn prompts_have_their_servers_name_and_resources_their_own_uri() {
    let mut all = policy();
    let prompts = |server: &str| format!("package prompts.{server}\n\nvisible := true\n\nallow := true\n");
    all.push(("prompts/vault.rego", prompts("vault")));
    let resources = |server: &str, uri: &str| {
        format!("package resources.{server}\n\nallow if startswith(input.call.resource.uri, \"{uri}\")\n")
    };
    all.push(("resources/vault.rego", resources("vault", "doc://")));
    all.push(("resources/notes.rego", resources("notes", "doc://shared")));
    let world = World::with(Plan { policy: all, agents: &["notes", "vault"], ..Plan::default() }).await;
    for name in ["notes", "vault"] {
        world.agents[name].answers(move |received| {
            let request = received.json();
            let result = match request["method"].as_str().unwrap() {
                "prompts/list" => json!({"prompts": [{"name": "greet"}]}),
                "prompts/get" => json!({"messages": [], "description": name}),
                "completion/complete" => json!({"completion": {"values": [name]}}),
                "resources/list" => json!({"resources": [{"uri": "doc://shared", "name": name}, {"uri": format!("doc://{name}"), "name": name}, {"uri": "other://x", "name": name}]}),
                "resources/templates/list" => json!({"resourceTemplates": [{"uriTemplate": format!("doc://{name}/{{id}}"), "name": name}]}),
                "resources/read" => json!({"contents": [{"uri": request["params"]["uri"], "text": name}]}),
                _ => return not_found(&request),
            };
            Answer::Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
        });
    }
    let agent = at_one_url(&world, "agent/clerk");
    assert_eq!(list(&agent, "prompts/list").await["prompts"], json!([{"name": "vault__greet"}]));
    let greet = async |name: &str| send(agent.rpc("prompts/get", json!({"name": name}))).await;
    assert_eq!(greet("vault__greet").await.json()["result"]["description"], "vault");
    assert_eq!(greet("notes__greet").await.refused_because(), "not_allowed");
    let complete = |reference: Value| {
        agent.rpc("completion/complete", json!({"ref": reference, "argument": {"name": "a", "value": "b"}}))
    };
    let of_prompt = send(complete(json!({"type": "ref/prompt", "name": "vault__greet"}))).await;
    assert_eq!(of_prompt.json()["result"]["completion"]["values"], json!(["vault"]), "{}", of_prompt.text);
    let asked = heard(&world.agents["vault"], "completion/complete").pop().unwrap().json();
    assert_eq!(asked["params"]["ref"]["name"], "greet");

    let listed = list(&agent, "resources/list").await;
    assert_eq!(
        listed["resources"],
        json!([{"uri": "doc://vault", "name": "vault"}]),
        "what two have is nobody's here"
    );
    let read = async |uri: &str| send(agent.rpc("resources/read", json!({"uri": uri}))).await;
    assert_eq!(read("doc://vault").await.json()["result"]["contents"][0]["text"], "vault");
    let record = world.records("request").pop().unwrap();
    assert_eq!(
        (&record["path"], &record["server"], &record["package"]),
        (&json!("/mcp"), &json!("vault"), &json!("resources.vault"))
    );
    let before = heard(&world.agents["vault"], "resources/read").len();
    for (uri, status, reason) in
        [("doc://shared", 400, "ambiguous_resource"), ("other://x", 200, "not_allowed")]
    {
        let reply = read(uri).await;
        assert_eq!((reply.status, reply.refused_because().as_str()), (status, reason), "{uri}");
    }
    assert!(
        world
            .records("request")
            .iter()
            .any(|r| r["cause"].as_str().is_some_and(|c| c.contains("notes, vault")))
    );
    let templates = list(&agent, "resources/templates/list").await;
    assert_eq!(templates["resourceTemplates"], json!([{"uriTemplate": "doc://vault/{id}", "name": "vault"}]));
    let of_resource = send(complete(json!({"type": "ref/resource", "uri": "doc://vault/{id}"}))).await;
    assert_eq!(of_resource.json()["result"]["completion"]["values"], json!(["vault"]));
    assert_eq!(heard(&world.agents["vault"], "resources/read").len(), before);
}

#[tokio::test]
async fn a_token_for_this_url_opens_it_and_no_server_and_one_for_a_server_not_this() {
    let world = three(Plan::default()).await;
    let for_path = |path: &str| {
        let audience: &'static str = Box::leak(format!("{}{path}", world.url).into_boxed_str());
        let token = world.token_with("agent/clerk", |claims| claims.audience = audience);
        world.agent("agent/clerk").with_token(&token)
    };
    let statuses = async |agent: Agent| {
        let small = json!({"amount_cents": 1});
        let one = agent.clone().at("/mcp");
        [
            send(one.rpc("tools/list", json!({}))).await.status,
            one.call("ledger__post_entry", small.clone()).await.status,
            agent.at("/mcp/ledger").call("post_entry", small).await.status,
        ]
    };
    assert_eq!(statuses(for_path("")).await, [200, 200, 200]);
    assert_eq!(statuses(for_path("/mcp")).await, [200, 200, 401]);
    assert_eq!(statuses(for_path("/mcp/ledger")).await, [401, 401, 200]);
    assert_eq!(statuses(world.agent("agent/clerk")).await, [401, 401, 401]);
    let told = send(world.agent("agent/clerk").at("/mcp").rpc("tools/list", json!({}))).await;
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", world.url);
    assert_eq!(told.header("www-authenticate").unwrap(), format!("Bearer resource_metadata=\"{metadata}\""));
    let document =
        send(world.clerk().request(http::Method::GET, "/.well-known/oauth-protected-resource/mcp")).await;
    assert_eq!(document.json()["resource"], format!("{}/mcp", world.url));
}

#[tokio::test]
async fn without_a_token_it_is_open_where_every_server_is() {
    let world = World::with(Plan { subject: "optional", ..Plan::default() }).await;
    let reply = send(world.agent("agent/clerk").at("/mcp").rpc("tools/list", json!({}))).await;
    assert_eq!(reply.status, 200);
    let world = World::with(Plan { subject: "optional", agents: &["notes"], ..Plan::default() }).await;
    let reply = send(world.agent("agent/clerk").at("/mcp").rpc("tools/list", json!({}))).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (401, "token_required"));
}

#[tokio::test]
async fn the_gateway_answers_for_itself_and_says_what_is_not_here() {
    let world = three(Plan::default()).await;
    let agent = at_one_url(&world, "agent/clerk");
    let discovered = list(&agent, "server/discover").await;
    assert_eq!(discovered["supportedVersions"][0], "2026-07-28");
    assert_eq!(
        discovered["capabilities"],
        json!({"tools": {}, "prompts": {}, "resources": {}, "completions": {}})
    );
    let listen =
        send(agent.rpc("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))).await;
    assert_eq!(
        (listen.status, listen.code(), listen.refused_because().as_str()),
        (404, -32601, "method_of_one_server")
    );
    let listen = json!({"notifications": {"resourceSubscriptions": ["doc://a"]}});
    assert_eq!(
        send(agent.rpc("subscriptions/listen", listen)).await.refused_because(),
        "method_of_one_server"
    );
    let query = send(agent.post("/mcp?server=vault", "{}".into())).await;
    assert_eq!(query.status, 404);
    assert!(world.agents.values().all(|server| server.received().is_empty()));
}

#[tokio::test]
async fn a_header_that_names_another_tool_is_refused() {
    let world = three(Plan::default()).await;
    let agent = at_one_url(&world, "agent/clerk");
    let call = |header: &'static str| {
        let params = json!({"name": "vault__ask", "arguments": {"amount_cents": 1}, "_meta": meta()});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
        let request = agent.post("/mcp", body.to_string()).header("mcp-protocol-version", "2026-07-28");
        request.header("mcp-method", "tools/call").header("mcp-name", header)
    };
    assert_eq!(send(call("=?base64?dmF1bHRfX2Fzaw==?=")).await.result(), "vault");
    for (header, reason) in
        [("ask", "header_mismatch"), ("notes__ask", "header_mismatch"), ("=?base64?*?=", "header_encoding")]
    {
        let reply = send(call(header)).await;
        assert_eq!((reply.status, reply.refused_because().as_str()), (400, reason), "{header}");
    }
    let twice = send(call("vault__ask").header("mcp-name", "ask")).await;
    assert_eq!(twice.refused_because(), "header_repeated");
    assert_eq!(calls(&world), 1);
}

#[tokio::test]
async fn what_is_revoked_is_neither_listed_nor_called() {
    let world = three(Plan::default()).await;
    let agent = at_one_url(&world, "agent/clerk");
    world.revoke(&["--tool", "vault/ask"]).await;
    assert_eq!(names(&list(&agent, "tools/list").await), ["ledger__post_entry", "notes__ask"]);
    assert_eq!(agent.call("vault__ask", json!({"amount_cents": 1})).await.refused_because(), "not_allowed");
    assert_eq!(calls(&world), 0);
}
