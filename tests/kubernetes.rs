//! The Kubernetes server behind the gate, before a real API server: the starter policy, told with its twins, and every
//! effect read back by kubectl.

mod manifests; // what `deploy/` holds, taken by a real API server
mod whom; // on whose behalf the cluster is asked, and what else has to hold of the server

use serde_json::{Value, json};
use world::components::{program, root};
use world::kubernetes::{Cluster, NODE};
use world::served::{Served, heard};
use world::{Agent, Plan, Reply, World, policies};

/// What a person's token may open there.
const SCOPES: &[&str] = &[
    "protocol",
    "resources",
    "prompts",
    "get",
    "list",
    "get_pod_status",
    "pod_logs",
    "events",
    "explain",
    "can_i",
    "apply_manifest",
    "scale_deployment",
    "rollout_restart",
    "rollout_status",
    "rollout_undo",
    "delete",
    "split_traffic",
];
/// The rights of the server's own service account, in the one namespace.
const RIGHTS: &[&str] = &[
    "deployments.apps=get,list,watch,create,update,patch,delete",
    "deployments.apps/scale=get,patch",
    "replicasets.apps=get,list",
    "pods,pods/log,events,services=get,list",
    "configmaps,secrets=get,list,create,patch,delete",
    "httproutes.gateway.networking.k8s.io=get,list,update",
];

/// The starter policy's part for this server, and `more` in place of files of the same name.
fn policy(more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let starter = root().join("policy/rego/starter");
    let read = |name: &str| std::fs::read_to_string(starter.join(name)).unwrap();
    let mut all = vec![
        ("protocol.rego", policies::protocol()),
        ("lib/cluster.rego", read("lib/cluster.rego")),
        ("lib/demo.rego", read("lib/demo.rego")),
        ("resources/kubernetes.rego", read("resources/kubernetes.rego")),
    ];
    for tool in &SCOPES[3..] {
        let path: &'static str = Box::leak(format!("tools/kubernetes/{tool}.rego").into_boxed_str());
        all.push((path, read(path)));
    }
    for (path, text) in more {
        all.retain(|(name, _)| name != path);
        all.push((path, (*text).to_owned()));
    }
    all
}

fn served(cluster: &Cluster, flags: &[&str], files: Vec<(&'static str, String)>) -> Served {
    let (url, ca) = (cluster.url(), cluster.ca().display().to_string());
    let usual = ["--server", &url, "--server-ca", &ca];
    Served {
        name: "kubernetes",
        program: program("mcp-kubernetes"),
        scopes: SCOPES,
        flags: usual.iter().chain(flags).map(|flag| (*flag).to_owned()).collect(),
        files,
    }
}

/// What the cluster calls a service account of the server's.
fn user(account: &str) -> String {
    format!("system:serviceaccount:accounts:{account}")
}

/// A world whose server has a service account with rights in `staging`, and a fence around that.
async fn world(cluster: &Cluster, account: &str, more: &[(&'static str, &str)]) -> World {
    cluster.namespace("production");
    let token = cluster.service_account(account, &["staging"], RIGHTS);
    let kinds = "Pod,ReplicaSet.apps,Secret,Node";
    let files = vec![("audit-file", String::new()), ("credential-file", token)];
    let served = served(cluster, &["--namespaces", "staging", "--kinds", kinds], files);
    World::with(Plan { policy: policy(more), served: Some(served), ..Plan::default() }).await
}

fn demo(world: &World) -> Agent {
    world.agent("agent/demo").with_token(&world.token("agent/demo")).at("/mcp/kubernetes")
}

fn content(reply: &Reply) -> Value {
    let mut reply = reply.json();
    assert_eq!(reply["result"]["isError"], json!(false), "{reply}");
    reply["result"]["structuredContent"].take()
}

fn code(reply: &Reply) -> String {
    let reply = reply.json();
    let code = &reply["result"]["structuredContent"]["error"]["code"];
    code.as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
}

/// A Deployment whose pods kwok plays.
fn deployment(name: &str, image: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"nodeName": NODE, "containers": [{"name": "app", "image": image}]},
            },
        },
    })
}

/// A call whose caller wants to hear of its progress.
fn progressing(agent: &Agent, tool: &str, arguments: Value) -> reqwest::Request {
    let params = json!({"name": tool, "arguments": arguments});
    let mut request = agent.rpc("tools/call", params).build().unwrap();
    let mut body: Value = serde_json::from_slice(request.body().unwrap().as_bytes().unwrap()).unwrap();
    body["params"]["_meta"]["progressToken"] = json!("t");
    *request.body_mut() = Some(body.to_string().into());
    request
}

async fn with_progress(agent: &Agent, tool: &str, arguments: Value) -> Reply {
    world::agent::read(agent.execute(progressing(agent, tool, arguments)).await).await
}

fn apply(namespace: &str, manifests: &[Value], dry_run: bool) -> Value {
    json!({"namespace": namespace, "manifests": manifests, "dry_run": dry_run})
}

#[tokio::test]
async fn a_deployment_is_brought_out_in_staging_and_nowhere_else() {
    let Some(cluster) = Cluster::shared() else { return };
    let world = world(cluster, "shop", &[]).await;
    let agent = demo(&world);
    let there = |namespace: &str| cluster.get(&["deployment", "shop", "-n", namespace]);
    let shop = [deployment("shop", "shop:1", 2)];

    let tried = content(&agent.call("apply_manifest", apply("staging", &shop, true)).await);
    assert_eq!(
        (&tried["dry_run"], &tried["objects"][0]["action"]),
        (&json!(true), &json!("created")),
        "{tried}"
    );
    assert!(there("staging").is_none(), "a trial changes nothing");
    let applied = content(&agent.call("apply_manifest", apply("staging", &shop, false)).await);
    assert_eq!(applied["objects"][0]["action"], "created", "{applied}");
    let read = there("staging").unwrap();
    assert_eq!(read["metadata"]["uid"], applied["objects"][0]["uid"]);
    let manager = &cluster.get(&["deployment", "shop", "-n", "staging", "--show-managed-fields"]).unwrap();
    assert_eq!(manager["metadata"]["managedFields"][0]["manager"], "mcp-kubernetes");
    let done = content(&agent.call("rollout_status", json!({"namespace": "staging", "name": "shop"})).await);
    assert_eq!((&done["state"], &done["available"]), (&json!("done"), &json!(2)), "{done}");

    // Another's Deployment, which could be deleted, and undone.
    let mut others = deployment("live", "live:1", 1);
    others["metadata"]["namespace"] = json!("production");
    cluster.apply(&others.to_string());
    cluster.kubectl(&["rollout", "status", "deployment/live", "-n", "production"]);
    cluster.kubectl(&["set", "image", "deployment/live", "app=live:2", "-n", "production"]);
    let live = || cluster.get(&["deployment", "live", "-n", "production"]).unwrap();
    let kept = live();
    let uid = &kept["metadata"]["uid"];

    let before = heard(&world, 3).await;
    let asked = cluster.heard_of(&user("shop")).len();
    let of_live = json!({"namespace": "production", "name": "live"});
    let denied = [
        ("apply_manifest", apply("production", &shop, false)),
        ("apply_manifest", apply("staging", &[deployment("shop", "shop:1", 300)], false)),
        ("scale_deployment", json!({"namespace": "production", "name": "shop", "replicas": 3})),
        ("scale_deployment", json!({"namespace": "staging", "name": "shop", "replicas": 300})),
        ("rollout_restart", json!({"namespace": "production", "name": "shop"})),
        ("list", json!({"kind": "Deployment"})),
        ("get", json!({"kind": "Secret", "namespace": "staging", "name": "db"})),
        ("delete", json!({"kind": "Deployment", "namespace": "production", "name": "live", "uid": uid})),
        ("delete", json!({"kind": "Secret", "namespace": "staging", "name": "db", "uid": uid})),
        ("rollout_undo", of_live.clone()),
        ("rollout_status", of_live.clone()),
        ("get_pod_status", of_live),
        ("events", json!({"namespace": "production", "kind": "Deployment", "name": "live"})),
        ("explain", json!({"kind": "Secret", "path": "data"})),
        ("can_i", json!({"verb": "delete", "kind": "Deployment", "namespace": "production"})),
    ];
    for (tool, arguments) in &denied {
        let reply = agent.call(tool, arguments.clone()).await;
        let answer = (reply.code(), reply.refused_because());
        assert_eq!(answer, (-32003, "not_allowed".to_owned()), "{tool} {arguments}: {}", reply.text);
    }
    assert_eq!(heard(&world, before).await, before, "of the refused calls the server hears nothing");
    assert_eq!(cluster.heard_of(&user("shop")).len(), asked, "and the cluster neither");
    let denials =
        world.records("request").into_iter().filter(|record| record["decision"] == "denial").count();
    assert_eq!(denials, denied.len(), "each has its record");
    assert!(there("production").is_none());
    let after = live();
    assert_eq!(
        (&after["metadata"]["uid"], &after["metadata"]["generation"], &after["spec"]),
        (uid, &kept["metadata"]["generation"], &kept["spec"]),
        "neither deleted nor undone"
    );

    let scaled = json!({"namespace": "staging", "name": "shop", "replicas": 3});
    let scaled = content(&agent.call("scale_deployment", scaled).await);
    assert_eq!((&scaled["before"], &scaled["replicas"]), (&json!(2), &json!(3)));
    assert_eq!(there("staging").unwrap()["spec"]["replicas"], 3);
}

#[tokio::test]
async fn a_change_is_shown_followed_taken_back_and_deleted_as_what_was_looked_at() {
    let Some(cluster) = Cluster::shared() else { return };
    let world = world(cluster, "till", &[]).await;
    let agent = demo(&world);
    let name = json!({"namespace": "staging", "name": "till"});
    let there = || cluster.get(&["deployment", "till", "-n", "staging"]);
    let image = || there().unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    content(&agent.call("apply_manifest", apply("staging", &[deployment("till", "till:1", 2)], false)).await);
    content(&agent.call("rollout_status", name.clone()).await);
    let newer = [deployment("till", "till:2", 2)];
    let applied = content(&agent.call("apply_manifest", apply("staging", &newer, false)).await);
    let change = json!([{
        "path": "spec.template.spec.containers[app].image", "before": "\"till:1\"", "after": "\"till:2\"",
    }]);
    assert_eq!(
        (&applied["objects"][0]["action"], &applied["objects"][0]["changes"]),
        (&json!("changed"), &change)
    );

    let followed = with_progress(&agent, "rollout_status", name.clone()).await;
    assert_eq!(content(&followed)["state"], "done", "{}", followed.text);
    assert_eq!(image(), "till:2");
    let unchanged = content(&agent.call("apply_manifest", apply("staging", &newer, false)).await);
    assert_eq!(unchanged["objects"][0]["action"], "unchanged", "{unchanged}");

    let mut jammed = deployment("jammed", "x:1", 1);
    jammed["spec"]["progressDeadlineSeconds"] = json!(2);
    jammed["spec"]["template"]["metadata"]["labels"]["stuck"] = json!("yes");
    content(&agent.call("apply_manifest", apply("staging", &[jammed], false)).await);
    let arguments = json!({"namespace": "staging", "name": "jammed"});
    let failed = with_progress(&agent, "rollout_status", arguments).await;
    assert!(failed.text.contains("notifications/progress"), "{}", failed.text);
    assert_eq!(content(&failed)["state"], "failed", "{}", failed.text);

    let undone = content(&agent.call("rollout_undo", name.clone()).await);
    assert_eq!((&undone["to_revision"], &undone["images"]), (&json!(1), &json!(["till:1"])), "{undone}");
    assert_eq!(image(), "till:1");
    let wanted = json!({"namespace": "staging", "name": "till", "to_revision": 9});
    assert_eq!(code(&agent.call("rollout_undo", wanted).await), "no_revision");
    let restarted = content(&agent.call("rollout_restart", name.clone()).await);
    let template = &there().unwrap()["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(template["kubectl.kubernetes.io/restartedAt"], restarted["restarted_at"]);
    let done = content(&agent.call("rollout_status", name.clone()).await);
    assert_eq!(done["state"], "done", "{done}");

    let pods = cluster.get(&["pods", "-n", "staging", "-l", "app=till"]).unwrap();
    let pod = pods["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    let status = content(&agent.call("get_pod_status", json!({"namespace": "staging", "name": pod})).await);
    assert_eq!(
        (&status["phase"], &status["ready"], &status["node"]),
        (&json!("Running"), &json!(true), &json!(NODE))
    );

    let delete = |uid: &Value, dry_run: bool| json!({"kind": "Deployment", "namespace": "staging", "name": "till", "uid": uid, "dry_run": dry_run});
    let other = json!("0f8fad5b-d9cb-469f-a165-70867728950e");
    assert_eq!(code(&agent.call("delete", delete(&other, false)).await), "conflict");
    let uid = there().unwrap()["metadata"]["uid"].clone();
    let mut older = delete(&uid, false);
    older["resource_version"] = json!("1");
    assert_eq!(code(&agent.call("delete", older).await), "conflict");
    content(&agent.call("delete", delete(&uid, true)).await);
    assert!(there().is_some(), "neither a wrong uid nor a trial deletes it");
    content(&agent.call("delete", delete(&uid, false)).await);
    assert!(there().is_none());
    assert_eq!(code(&agent.call("delete", delete(&uid, false)).await), "not_found");
}

#[tokio::test]
async fn objects_are_found_by_labels_and_fields_in_the_clusters_own_columns() {
    let Some(cluster) = Cluster::shared() else { return };
    let world = world(cluster, "finder", &[]).await;
    let agent = demo(&world);
    let both = [deployment("red", "x:1", 1), deployment("blue", "x:1", 1)];
    content(&agent.call("apply_manifest", apply("staging", &both, false)).await);
    content(&agent.call("rollout_status", json!({"namespace": "staging", "name": "red"})).await);
    let list = async |more: Value| {
        let mut arguments = json!({"kind": "Deployment", "namespace": "staging"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        content(&agent.call("list", arguments).await)
    };
    let red = list(json!({"labels": "app in (red)"})).await;
    assert_eq!(red["columns"], json!(["Name", "Ready", "Up-to-date", "Available", "Age"]), "{red}");
    assert_eq!(
        (red["rows"].as_array().unwrap().len(), &red["rows"][0]["cells"][1]),
        (1, &json!("1/1")),
        "{red}"
    );
    let by_kubectl =
        cluster.kubectl(&["get", "deployments", "-n", "staging", "-l", "app in (red)", "--no-headers"]);
    assert_eq!(by_kubectl.split_whitespace().next().unwrap(), red["rows"][0]["name"]);
    let blue = list(json!({"fields": "metadata.name=blue"})).await;
    assert_eq!((blue["rows"].as_array().unwrap().len(), &blue["rows"][0]["name"]), (1, &json!("blue")));
    let first = list(json!({"labels": "app in (red, blue)", "limit": 1})).await;
    let rest =
        list(json!({"labels": "app in (red, blue)", "limit": 1, "cursor": first["next_cursor"]})).await;
    assert_eq!((&first["rows"][0]["name"], &rest["rows"][0]["name"]), (&json!("blue"), &json!("red")));
    let unknown =
        agent.call("list", json!({"kind": "Pod", "namespace": "staging", "fields": "spec.x=y"})).await;
    assert_eq!(code(&unknown), "rejected", "the cluster knows no such field");

    let events = json!({"namespace": "staging", "kind": "Deployment", "name": "red"});
    let events = content(&agent.call("events", events).await);
    assert_eq!(events["events"][0]["reason"], "ScalingReplicaSet", "{events}");
    let field = json!({"kind": "Deployment", "path": "spec.replicas"});
    let explained = content(&agent.call("explain", field).await);
    assert_eq!((&explained["type"], &explained["api_version"]), (&json!("integer"), &json!("apps/v1")));
    let by_kubectl =
        cluster.kubectl(&["explain", "deployment.spec.replicas"]).split_whitespace().collect::<String>();
    let told = explained["description"].as_str().unwrap().split_whitespace().collect::<String>();
    assert!(by_kubectl.contains(&told), "{by_kubectl} {told}");
    let template =
        content(&agent.call("explain", json!({"kind": "Deployment", "path": "spec.template.spec"})).await);
    assert!(
        template["fields"]
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["name"] == "containers" && f["required"] == true)
    );

    let may = async |verb: &str, kind: &str| {
        content(&agent.call("can_i", json!({"verb": verb, "kind": kind, "namespace": "staging"})).await)["allowed"].clone()
    };
    assert_eq!((may("delete", "Deployment").await, may("delete", "Pod").await), (json!(true), json!(false)));
    let account = format!("--as={}", user("finder"));
    assert_eq!(
        cluster.kubectl(&["auth", "can-i", "delete", "deployments", "-n", "staging", &account]).trim(),
        "yes"
    );

    let read = async |uri: &str| world::agent::send(agent.rpc("resources/read", json!({ "uri": uri }))).await;
    let resource = read("cluster://deployments/staging/red").await;
    assert!(resource.text.contains("observedGeneration"), "{}", resource.text);
    assert_eq!(read("cluster://deployments/production/red").await.refused_because(), "not_allowed");
    let listed = world::agent::send(agent.rpc("resources/list", json!({}))).await;
    assert!(listed.text.contains("cluster://deployments/staging/blue"), "{}", listed.text);
}

#[tokio::test]
async fn the_log_of_a_pod_is_read_bounded_and_followed() {
    let Some(cluster) = Cluster::shared() else { return };
    let world = world(cluster, "talker", &[]).await;
    let agent = demo(&world);
    content(&agent.call("apply_manifest", apply("staging", &[deployment("talker", "x:1", 1)], false)).await);
    content(&agent.call("rollout_status", json!({"namespace": "staging", "name": "talker"})).await);
    let pods = cluster.get(&["pods", "-n", "staging", "-l", "app=talker"]).unwrap();
    let pod = pods["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.pods_say(&["good morning", "and \u{1b}[31mred"]);
    let log = |namespace: &str, more: Value| {
        let mut arguments = json!({"namespace": namespace, "name": pod, "tail_lines": 2});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    let read = content(&agent.call("pod_logs", log("staging", json!({}))).await);
    assert_eq!(read["lines"], json!(["good morning", "and \u{fffd}[31mred"]), "{read}");
    let by_kubectl = cluster.kubectl(&["logs", &pod, "-n", "staging", "--tail=2"]);
    assert_eq!(by_kubectl.lines().next().unwrap(), read["lines"][0]);
    let denied = agent.call("pod_logs", log("production", json!({}))).await;
    assert_eq!(denied.refused_because(), "not_allowed");
    let missing = agent.call("pod_logs", json!({"namespace": "staging", "name": "nobody"})).await;
    assert_eq!(code(&missing), "not_found");

    let request = progressing(&agent, "pod_logs", log("staging", json!({"follow_seconds": 4})));
    let response = agent.execute(request).await;
    cluster.pods_say(&["good night"]); // The answer has begun: its first lines are told.
    let followed = world::agent::read(response).await;
    let progress = followed.text.matches("notifications/progress").count();
    let last = content(&followed);
    assert_eq!(last["lines"].as_array().unwrap().last().unwrap(), "good night", "{}", followed.text);
    assert_eq!(progress, last["lines"].as_array().unwrap().len(), "each line is told as it comes");
}

#[tokio::test]
async fn the_values_of_a_secret_stay_in_the_cluster_whatever_policy_says() {
    let Some(cluster) = Cluster::shared() else { return };
    let all = "package tools.kubernetes.get\n\nvisible := true\n\nallow := true\n";
    let list = all.replace("kubernetes.get", "kubernetes.list");
    let apply_all = all.replace("kubernetes.get", "kubernetes.apply_manifest");
    let more = [
        ("tools/kubernetes/get.rego", all),
        ("tools/kubernetes/list.rego", &list),
        ("tools/kubernetes/apply_manifest.rego", &apply_all),
    ];
    let world = world(cluster, "keeper", &more).await;
    let agent = demo(&world);
    cluster.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: staging}, stringData: {password: hunter2}}",
    );
    let applied = cluster.get(&["secret", "db", "-n", "staging"]).unwrap().to_string();
    assert!(applied.contains("aHVudGVyMg==") && applied.contains("last-applied"), "kubectl sees both");
    let db = json!({"kind": "Secret", "namespace": "staging", "name": "db"});
    let got = agent.call("get", db).await;
    let listed = agent.call("list", json!({"kind": "Secret", "namespace": "staging", "wide": true})).await;
    assert_eq!(content(&got)["object"]["data"]["password"], "(withheld, 7 bytes)");
    assert_eq!(content(&listed)["rows"][0]["cells"][0], "db");
    for reply in [&got, &listed] {
        assert!(!reply.text.contains("hunter2") && !reply.text.contains("aHVudGVyMg"), "{}", reply.text);
    }
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"password": "x"}});
    let refused = agent.call("apply_manifest", apply("staging", &[secret], false)).await;
    assert_eq!(code(&refused), "kind_not_allowed", "it can be read here, and not written");
    let outside =
        agent.call("get", json!({"kind": "Deployment", "namespace": "production", "name": "a"})).await;
    assert_eq!(code(&outside), "namespace_not_allowed", "the fence stands behind the policy");
    let role =
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "all"}});
    let refused = agent.call("apply_manifest", apply("staging", &[role], false)).await;
    assert_eq!(code(&refused), "kind_not_allowed");
    let conflict = deployment("owned", "x:1", 1);
    cluster.apply(&deployment_in("owned", "x:2"));
    let refused = agent.call("apply_manifest", apply("staging", &[conflict], false)).await;
    assert_eq!(code(&refused), "conflict", "{}", refused.text);
    let mut typo = deployment("typo", "x:1", 1);
    typo["spec"]["replicsa"] = json!(1);
    let refused =
        agent.call("apply_manifest", apply("staging", &[deployment("first", "x:1", 1), typo], false)).await;
    assert_eq!(code(&refused), "rejected", "{}", refused.text);
    assert!(refused.text.contains("replicsa"));
    assert!(cluster.get(&["deployment", "first", "-n", "staging"]).is_none(), "all of them or none");
}

/// The same as YAML, of a namespace.
fn deployment_in(name: &str, image: &str) -> String {
    let mut manifest = deployment(name, image, 1);
    manifest["metadata"]["namespace"] = json!("staging");
    manifest.to_string()
}

#[tokio::test]
async fn a_canary_gets_its_share_of_an_http_route() {
    let Some(cluster) = Cluster::shared() else { return };
    let path = root().join("tests/kubernetes/httproute.yaml");
    cluster.kubectl(&["apply", "-f", path.to_str().unwrap()]);
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/httproutes.gateway.networking.k8s.io"]);
    let world = world(cluster, "canary", &[]).await;
    for namespace in ["staging", "production"] {
        cluster.apply(&format!(
            "{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: web, namespace: {namespace}}},
              spec: {{hostnames: [web.test], rules: [{{matches: [{{path: {{type: PathPrefix, value: /}}}}],
              backendRefs: [{{name: web, port: 80}}, {{name: web-canary, port: 80, weight: 0}}]}}]}}}}"
        ));
    }
    let agent = demo(&world);
    let split = |namespace: &str, canary: &str| {
        let weights = json!([{"service": "web", "weight": 90}, {"service": canary, "weight": 10}]);
        json!({"namespace": namespace, "name": "web", "weights": weights})
    };
    let done = content(&agent.call("split_traffic", split("staging", "web-canary")).await);
    assert_eq!(
        (&done["before"][1]["weight"], &done["after"][1]["weight"]),
        (&json!(0), &json!(10)),
        "{done}"
    );
    let weights = |namespace: &str| {
        let route = cluster.get(&["httproute", "web", "-n", namespace]).unwrap();
        route["spec"]["rules"][0]["backendRefs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|b| b["weight"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(weights("staging"), [json!(90), json!(10)]);
    let route = cluster.get(&["httproute", "web", "-n", "staging"]).unwrap();
    assert_eq!(route["spec"]["rules"][0]["matches"][0]["path"]["value"], "/", "nothing else has changed");
    let stranger = agent.call("split_traffic", split("staging", "attacker")).await;
    assert_eq!(code(&stranger), "invalid_arguments", "a service that the route doesn't lead to");
    let denied = agent.call("split_traffic", split("production", "web-canary")).await;
    assert_eq!(denied.refused_because(), "not_allowed");
    assert_eq!(weights("production"), [json!(1), json!(0)]);
}
