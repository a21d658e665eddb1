//! People sign in at the embedded token service, and a program of theirs gets a token: for one server, for one workload to
//! present, for a while, and no longer than the person wants.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use world::agent::send;
use world::program::{CHALLENGE, PEOPLE, REDIRECT, form, posts, told};
use world::{Agent, Plan, Program, Reply, World, policies};

async fn people_sign_in() -> (World, Program) {
    let world = World::with(Plan { people: Some(PEOPLE), ..Plan::default() }).await;
    let program = Program::registered(&world).await;
    (world, program)
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// The access and the refresh token of an answer.
fn tokens(answer: &Reply) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

fn error(answer: &Reply) -> (u16, String) {
    (answer.status, answer.json()["error"].as_str().unwrap().to_owned())
}

/// The status with which a workload's call with a token is answered.
async fn calls(world: &World, workload: &str, token: &str) -> u16 {
    world.agent(workload).with_token(token).post_entry(1).await.status
}

/// Nobody may call with the token any more: the gateway has heard of it.
async fn has_ended(world: &World, token: &str, changes: &mut tokio::sync::watch::Receiver<u64>) {
    changes.changed().await.unwrap();
    let before = world.ledger.received().len();
    assert_eq!(calls(world, "agent/clerk", token).await, 401);
    assert_eq!(world.ledger.received().len(), before);
    let records = world.records("request");
    assert!(records.last().unwrap()["cause"].as_str().unwrap().contains("revoked"), "{records:#?}");
}

#[tokio::test]
async fn what_a_person_allows_opens_one_server_for_one_workload() {
    let (world, program) = people_sign_in().await;
    let answer = program.fill(&program.page(&[]).await, &[]).await;
    assert_eq!((answer.status, told(&answer, "state").as_deref()), (303, Some("a state")));
    assert_eq!(told(&answer, "iss"), Some(format!("{}/oauth/users", world.sign_in.as_ref().unwrap())));
    let redeemed = program.redeem(&told(&answer, "code").unwrap(), &[]).await;
    assert_eq!(redeemed.header("cache-control"), Some("no-store"));
    let (access, _) = tokens(&redeemed);

    let said = claims(&access);
    assert_eq!(said["aud"], json!(format!("{}/mcp/ledger", world.url)), "the resource and nothing else");
    assert_eq!((&said["sub"], &said["scope"]), (&json!("alice"), &json!("bookkeeping")));
    assert_eq!(
        (&said["client_id"], &said["azp"]),
        (&json!(program.id), &json!("spiffe://bank.test/agent/clerk"))
    );

    assert_eq!(calls(&world, "agent/intern", &access).await, 401, "the program's user chose the clerk");
    assert!(world.ledger.received().is_empty());
    assert!(world.only_record()["cause"].as_str().unwrap().contains("another workload"));
    assert_eq!(calls(&world, "agent/clerk", &access).await, 200);
    assert_eq!(world.ledger.received().len(), 1);
    let other = world.agent("agent/clerk").with_token(&access).at("/mcp/treasury").post_entry(1).await;
    assert_eq!(other.status, 401, "{}", other.text);

    let kinds: Vec<Value> = world.audit().iter().map(|r| r["kind"].clone()).collect();
    for kind in ["client_registered", "signed_in", "token_issued"] {
        assert_eq!(kinds.iter().filter(|k| *k == kind).count(), 1, "{kind}: {kinds:?}");
    }
    let written = std::fs::read_to_string(world.path("audit.jsonl")).unwrap();
    assert!(!written.contains(&access) && !written.contains("correct horse"));
}

#[tokio::test]
async fn nobody_signs_in_with_a_wrong_name_or_password() {
    let (world, program) = people_sign_in().await;
    let page = program.page(&[]).await;
    let wrong = [("alice", "battery staple"), ("carol", "correct horse"), ("", "")];
    for (refused, (user, password)) in wrong.into_iter().enumerate() {
        let again = program.fill(&page, &[("user", user), ("password", password)]).await;
        assert_eq!((again.status, again.header("location")), (403, None), "{user}");
        assert!(again.text.contains("the user name or the password is not right"), "{}", again.text);
        assert_eq!(world.records("sign_in_refused").len(), refused + 1, "{user}");
        assert!(world.records("signed_in").is_empty());
    }
    assert!(told(&program.fill(&page, &[]).await, "code").is_some(), "the same page, filled in rightly");
}

#[tokio::test]
async fn who_declines_or_is_wrong_too_often_is_sent_back() {
    let (_world, program) = people_sign_in().await;
    let page = program.page(&[]).await;
    let declined = program.fill(&page, &[("answer", "deny"), ("user", ""), ("password", "")]).await;
    assert_eq!(told(&declined, "error").as_deref(), Some("access_denied"));
    assert_eq!((told(&declined, "code"), told(&declined, "state").as_deref()), (None, Some("a state")));
    assert!(told(&declined, "iss").is_some());

    for _ in 0..5 {
        assert_eq!(program.fill(&page, &[("password", "wrong")]).await.status, 403);
    }
    let right = program.fill(&page, &[]).await;
    assert_eq!(
        told(&right, "error").as_deref(),
        Some("access_denied"),
        "even with the right one, for a minute"
    );
    let others =
        [("user", "bob"), ("password", "battery staple"), ("agent", "spiffe://bank.test/agent/robot")];
    let page = program.page(&[("scope", "travel")]).await;
    assert!(told(&program.fill(&page, &others).await, "code").is_some(), "Bob is another person");
}

#[tokio::test]
async fn a_person_gives_no_more_than_is_theirs() {
    let (_world, program) = people_sign_in().await;
    let robots = [("agent", "spiffe://bank.test/agent/robot")];
    let answer = program.fill(&program.page(&[]).await, &robots).await;
    assert_eq!(told(&answer, "error").as_deref(), Some("access_denied"), "the robot is Bob's");

    let page = program.page(&[("scope", "bookkeeping treasury")]).await;
    let code = told(&program.fill(&page, &[]).await, "code").unwrap();
    let answer = program.redeem(&code, &[]).await;
    assert_eq!(answer.json()["scope"], "bookkeeping", "what is given is told");

    let page = program.page(&[("scope", "treasury")]).await;
    let answer = program.fill(&page, &[]).await;
    assert_eq!(told(&answer, "error").as_deref(), Some("invalid_scope"));

    let page = program.page(&[("scope", "")]).await;
    let code = told(&program.fill(&page, &[]).await, "code").unwrap();
    assert_eq!(program.redeem(&code, &[]).await.json()["scope"], "bookkeeping travel");
}

#[tokio::test]
async fn an_answer_goes_to_a_registered_address_of_this_machine_only() {
    let (world, program) = people_sign_in().await;
    let elsewhere = program.register(&json!({"redirect_uris": ["https://evil.test/callback"]})).await;
    assert_eq!(error(&elsewhere), (400, "invalid_redirect_uri".into()));

    for (parameter, value) in [
        ("redirect_uri", "http://evil.test/callback"),
        ("redirect_uri", "http://127.0.0.1:49152/other"),
        ("redirect_uri", "https://127.0.0.1:49152/callback"),
        ("redirect_uri", "http://127.0.0.1:49152@evil.test/callback"),
        ("redirect_uri", ""),
        ("client_id", "unknown"),
        ("client_id", ""),
    ] {
        let page = program.page(&[(parameter, value)]).await;
        assert_eq!((page.status, page.header("location")), (400, None), "{parameter} {value}");
        assert!(!page.text.contains("<form"), "{}", page.text);
    }
    assert_eq!(world.records("sign_in_refused").len(), 7);
    let page = program.page(&[("redirect_uri", "http://127.0.0.1:5/callback")]).await;
    assert!(page.status == 200 && !form(&page).1.is_empty(), "its port is the program's to choose");
}

#[tokio::test]
async fn what_a_program_asks_wrongly_is_sent_back_with_its_code() {
    let (world, program) = people_sign_in().await;
    for (parameter, value, code) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("resource", "https://elsewhere.test/mcp/ledger", "invalid_target"),
        ("resource", "", "invalid_target"),
        ("scope", "a\"b", "invalid_scope"),
    ] {
        let answer = program.page(&[(parameter, value)]).await;
        assert_eq!(told(&answer, "error").as_deref(), Some(code), "{parameter} {value}");
        assert_eq!(told(&answer, "state").as_deref(), Some("a state"));
        assert_eq!(told(&answer, "iss"), Some(format!("{}/oauth/users", world.sign_in.as_ref().unwrap())));
    }
    let twice = program.page(&[("state", "one"), ("state", "two")]).await;
    assert_eq!((twice.status, twice.header("location")), (400, None));
}

#[tokio::test]
async fn a_form_counts_in_the_browser_that_it_was_given_to() {
    let (world, program) = people_sign_in().await;
    let (mine, theirs) = (program.page(&[]).await, program.page(&[]).await);
    let (action, csrf) = form(&mine);
    let cookie = |page: &Reply| page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let filled = [
        ("csrf", csrf.as_str()),
        ("agent", "spiffe://bank.test/agent/clerk"),
        ("user", "alice"),
        ("password", "correct horse"),
        ("answer", "allow"),
    ];
    let post = |action: &str, cookie: Option<String>, origin: Option<&str>| {
        let mut request = posts(program.request(Method::POST, action), &filled);
        for (name, value) in [("cookie", cookie), ("origin", origin.map(ToOwned::to_owned))] {
            request = match value {
                Some(value) => request.header(name, value),
                None => request,
            };
        }
        send(request)
    };
    let other_request = action.replace("bookkeeping", "travel");
    assert_ne!(action, other_request);
    for (action, cookie, origin) in [
        (&action, None, None),
        (&action, Some(cookie(&theirs)), None),
        (&action, Some(format!("{}; {}", cookie(&theirs), cookie(&mine))), None),
        (&action, Some(cookie(&mine)), Some("https://evil.test")),
        (&action, Some(cookie(&mine)), Some("null")),
        (&other_request, Some(cookie(&mine)), None),
    ] {
        let answer = post(action, cookie.clone(), origin).await;
        assert_eq!((answer.status, answer.header("location")), (403, None), "{cookie:?} {origin:?}");
    }
    assert!(world.records("signed_in").is_empty());
    let ours = world.sign_in.clone().unwrap();
    let answer = post(&action, Some(cookie(&mine)), Some(&ours)).await;
    assert!(told(&answer, "code").is_some(), "{}", answer.text);
}

#[tokio::test]
async fn a_page_runs_nothing_and_stands_in_no_frame() {
    let (_world, program) = people_sign_in().await;
    let page = program.page(&[]).await;
    let policy = page.header("content-security-policy").unwrap();
    assert_eq!(
        policy,
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' http://127.0.0.1:49152"
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let cookie = page.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("__Host-") && cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    assert!(!page.text.contains("<script") && !page.text.contains("style"));
}

#[tokio::test]
async fn a_code_is_for_who_has_the_verifier() {
    let (world, program) = people_sign_in().await;
    let other = Program::registered(&world).await;
    let wrong = CHALLENGE; // Of the right length.
    for (change, want) in [
        (("code_verifier", wrong), "invalid_grant"),
        (("code_verifier", ""), "invalid_request"),
        (("redirect_uri", "http://127.0.0.1:49153/callback"), "invalid_grant"),
        (("client_id", other.id.as_str()), "invalid_grant"),
        (("resource", world.url.as_str()), "invalid_target"),
        (("resource", "https://elsewhere.test"), "invalid_target"),
    ] {
        let answer = program.redeem(&program.code().await, &[change]).await;
        assert_eq!(error(&answer), (400, want.into()), "{change:?}");
    }
    let stranger = program.redeem(&program.code().await, &[("client_id", "unknown")]).await;
    assert_eq!(error(&stranger), (401, "invalid_client".into()));
    let secret = program.redeem(&program.code().await, &[("client_secret", "s3cret")]).await;
    assert_eq!(error(&secret), (401, "invalid_client".into()), "it has none, and must not think so");
    assert_eq!(error(&program.redeem("made-up", &[]).await), (400, "invalid_grant".into()));
    let password = [("grant_type", "password"), ("client_id", program.id.as_str()), ("username", "alice")];
    assert_eq!(error(&program.token(&password).await), (400, "unsupported_grant_type".into()));
    assert!(world.records("token_issued").is_empty());

    let code = program.code().await;
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(error(&program.redeem(&code, &[]).await), (400, "invalid_grant".into()), "over");
}

#[tokio::test]
async fn a_code_that_comes_again_ends_what_it_gave() {
    let (world, program) = people_sign_in().await;
    let code = program.code().await;
    let (access, refresh) = tokens(&program.redeem(&code, &[]).await);
    assert_eq!(calls(&world, "agent/clerk", &access).await, 200);

    let mut changes = world.gateway.reloads();
    changes.mark_unchanged();
    assert_eq!(error(&program.redeem(&code, &[]).await), (400, "invalid_grant".into()));
    has_ended(&world, &access, &mut changes).await;
    assert_eq!(error(&program.refresh(&refresh, &[]).await), (400, "invalid_grant".into()));
    assert_eq!(world.records("grant_ended").len(), 1);
}

#[tokio::test]
async fn a_refresh_token_is_changed_at_each_use_and_two_who_have_it_have_nothing() {
    let (world, program) = people_sign_in().await;
    let (_, first) = tokens(&program.redeem(&program.code().await, &[]).await);
    let (access, second) = tokens(&program.refresh(&first, &[]).await);
    assert_ne!(first, second);
    assert_eq!(calls(&world, "agent/clerk", &access).await, 200);

    let mut changes = world.gateway.reloads();
    changes.mark_unchanged();
    assert_eq!(error(&program.refresh(&first, &[]).await), (400, "invalid_grant".into()));
    has_ended(&world, &access, &mut changes).await;
    assert_eq!(error(&program.refresh(&second, &[]).await), (400, "invalid_grant".into()));
}

#[tokio::test]
async fn a_refresh_token_gives_what_was_allowed_and_as_long_as_it_was() {
    let (world, program) = people_sign_in().await;
    let other = Program::registered(&world).await;
    let (_, refresh) = tokens(&program.redeem(&program.code().await, &[]).await);
    for (change, want) in [
        (("client_id", other.id.as_str()), "invalid_grant"),
        (("resource", world.url.as_str()), "invalid_target"),
        (("scope", "bookkeeping travel"), "invalid_scope"),
    ] {
        assert_eq!(error(&program.refresh(&refresh, &[change]).await), (400, want.into()), "{change:?}");
    }
    let (access, next) = tokens(&program.refresh(&refresh, &[("resource", &program.resource)]).await);
    assert_eq!(claims(&access)["aud"], json!(program.resource));
    world.clock.advance(Duration::from_secs(24 * 3600));
    let late = program.refresh(&next, &[]).await;
    assert_eq!(error(&late).1, "invalid_client", "all is over, the registration too: {}", late.text);
}

#[tokio::test]
async fn a_revoked_token_opens_nothing() {
    let (world, program) = people_sign_in().await;
    let other = Program::registered(&world).await;
    let (access, refresh) = tokens(&program.redeem(&program.code().await, &[]).await);
    assert_eq!(error(&program.revoke(&access, &other.id).await), (400, "unauthorized_client".into()));
    assert_eq!(error(&program.revoke(&refresh, &other.id).await), (400, "unauthorized_client".into()));
    assert_eq!(error(&program.revoke(&access, "unknown").await), (401, "invalid_client".into()));
    assert_eq!(calls(&world, "agent/clerk", &access).await, 200, "it was not theirs to revoke");

    let mut changes = world.gateway.reloads();
    changes.mark_unchanged();
    assert_eq!(program.revoke(&access, &program.id).await.status, 200);
    has_ended(&world, &access, &mut changes).await;

    let (access, refresh) = tokens(&program.refresh(&refresh, &[]).await);
    assert_eq!(calls(&world, "agent/clerk", &access).await, 200);
    changes.mark_unchanged();
    assert_eq!(program.revoke(&refresh, &program.id).await.status, 200);
    has_ended(&world, &access, &mut changes).await;
    assert_eq!(error(&program.refresh(&refresh, &[]).await), (400, "invalid_grant".into()));
    assert_eq!(program.revoke(&refresh, &program.id).await.status, 200, "as it wanted it");
}

#[tokio::test]
async fn without_a_certificate_one_learns_where_to_sign_in_and_no_more() {
    let (world, program) = people_sign_in().await;
    let sign_in = world.sign_in.clone().unwrap();
    let resource = program.get("/.well-known/oauth-protected-resource/mcp/ledger").await.json();
    assert_eq!(resource["resource"], json!(program.resource));
    let issuer = resource["authorization_servers"][0].as_str().unwrap().to_owned();
    assert_eq!(issuer, format!("{sign_in}/oauth/users"));
    for path in [
        "/.well-known/oauth-authorization-server/oauth/users",
        "/.well-known/openid-configuration/oauth/users",
        "/oauth/users/.well-known/openid-configuration",
    ] {
        let metadata = program.get(path).await.json();
        assert_eq!(metadata["issuer"], json!(issuer), "{path}");
        assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
        let jwks = metadata["jwks_uri"].as_str().unwrap().strip_prefix(&sign_in).unwrap().to_owned();
        let keys = program.get(&jwks).await.json();
        assert!(keys["keys"][0]["kid"].is_string() && keys["keys"][0].get("d").is_none());
    }
    let of_credentials = program.get("/.well-known/openid-configuration/oauth").await.json();
    assert_eq!(
        of_credentials["issuer"],
        json!(format!("{}/oauth", world.origin)),
        "for systems behind a server"
    );
    let jwks = of_credentials["jwks_uri"].as_str().unwrap().strip_prefix(&sign_in).unwrap().to_owned();
    let keys = program.get(&jwks).await.json();
    assert!(keys["keys"][0]["kid"].is_string() && keys["keys"][0].get("d").is_none());
    for path in ["/mcp/ledger", "/oauth/jwks/", "/oauth", "/healthz", "/metrics", "/", "/oauth/users"] {
        assert_eq!(program.get(path).await.status, 404, "{path}");
    }
    let exchange = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("client_id", program.id.as_str()),
    ];
    assert_eq!(error(&program.token(&exchange).await), (400, "unsupported_grant_type".into()));
    let own = [("grant_type", "client_credentials"), ("client_id", program.id.as_str())];
    assert_eq!(
        error(&program.token(&own).await),
        (400, "unsupported_grant_type".into()),
        "that needs a certificate"
    );
    assert!(world.ledger.received().is_empty());
}

#[tokio::test]
async fn a_workload_gets_a_token_for_itself_by_its_svid() {
    let its_own = "package tools.ledger.post_entry\n\nallow if input.subject.sub == \"spiffe://bank.test/agent/robot\"\n";
    let policy = policies::with_post_entry(its_own);
    let world = World::with(Plan { policy, people: Some(PEOPLE), ..Plan::default() }).await;
    let (robot, clerk) = (world.agent("agent/robot"), world.agent("agent/clerk"));
    let (robots, clerks) = ("spiffe://bank.test/agent/robot", "spiffe://bank.test/agent/clerk");
    let (resource, origin) = (format!("{}/mcp/ledger", world.url), world.origin.clone());
    let ask = |workload: &Agent, client: &str, resource: &str, scope: &str| {
        let usual = [("grant_type", "client_credentials"), ("client_id", client), ("scope", scope)];
        let form: Vec<_> = usual.into_iter().chain([("resource", resource)]).collect();
        send(posts(workload.clone().to(&origin).request(Method::POST, "/oauth/token"), &form))
    };
    for (workload, client, resource, scope, want) in [
        (&clerk, robots, resource.as_str(), "bookkeeping", (401, "invalid_client")),
        (&clerk, clerks, &resource, "bookkeeping", (400, "unauthorized_client")),
        (&robot, "", &resource, "bookkeeping", (400, "invalid_request")),
        (&robot, robots, &resource, "travel", (400, "invalid_scope")),
        (&robot, robots, "https://elsewhere.test", "bookkeeping", (400, "invalid_target")),
        (&robot, robots, "", "bookkeeping", (400, "invalid_target")),
    ] {
        let answer = ask(workload, client, resource, scope).await;
        assert_eq!(error(&answer), (want.0, want.1.to_owned()), "{client} {resource} {scope}");
    }
    assert!(world.records("token_issued").is_empty());

    let answer = ask(&robot, robots, &resource, "bookkeeping").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.json().get("refresh_token").is_none());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let said = claims(&token);
    assert_eq!(
        (&said["sub"], &said["azp"], &said["aud"]),
        (&json!(robots), &json!(robots), &json!(resource))
    );
    assert_eq!(clerk.with_token(&token).post_entry(1).await.status, 401);
    let renewed = world.agent("agent/robot").with_token(&token).post_entry(1).await;
    assert_eq!(renewed.status, 401, "it is bound to the certificate that asked (RFC 8705)");
    assert!(world.ledger.received().is_empty());

    let robot = robot.with_token(&token);
    assert_eq!(robot.post_entry(1).await.result(), "posted");
    assert_eq!(world.ledger.received().len(), 1);
    let mut changes = world.gateway.reloads();
    changes.mark_unchanged();
    let revoke =
        posts(robot.clone().to(&origin).request(Method::POST, "/oauth/revoke"), &[("token", &token)]);
    assert_eq!(send(revoke).await.status, 200);
    changes.changed().await.unwrap();
    assert_eq!((robot.post_entry(1).await.status, world.ledger.received().len()), (401, 1));
}

#[tokio::test]
async fn keys_are_changed_and_no_token_is_lost() {
    let people = format!("{PEOPLE}keys: {{every: 30m, ahead: 1m, overlap: 10m}}\n");
    let people: &'static str = Box::leak(people.into_boxed_str());
    let world = World::with(Plan { people: Some(people), ..Plan::default() }).await;
    let program = Program::registered(&world).await;
    let kid = |token: &str| {
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&header).unwrap()["kid"].clone()
    };
    let minutes = |n: u64| world.clock.advance(Duration::from_secs(60 * n));
    let verifies = |token: &str| {
        let jwks = world.token_service.user_jwks().to_string();
        ::tokens::authentic(token, &::tokens::Keys::from_jwks(jwks.as_bytes()).unwrap()).is_ok()
    };
    let published = || world.token_service.user_jwks()["keys"].as_array().unwrap().len();

    minutes(22);
    let (_, refresh) = tokens(&program.redeem(&program.code().await, &[]).await);
    minutes(8);
    assert!(world.token_service.rotate_keys().unwrap());
    let (old, refresh) = tokens(&program.refresh(&refresh, &[]).await);
    minutes(1);
    let (new, _) = tokens(&program.refresh(&refresh, &[]).await);
    assert_ne!(kid(&old), kid(&new));
    assert_eq!(calls(&world, "agent/clerk", &old).await, 200);
    assert_eq!((published(), world.ledger.received().len()), (2, 1));
    assert!(verifies(&old) && verifies(&new), "both are found by whoever looks now");
    minutes(10);
    assert!(world.token_service.rotate_keys().unwrap());
    assert_eq!(published(), 1, "all that the old key had signed is over");
    assert!(!verifies(&old) && verifies(&new));
    assert_eq!(calls(&world, "agent/clerk", &old).await, 401);
}

#[tokio::test]
async fn registered_redirects_are_the_ones_that_were_asked_for() {
    let (_world, program) = people_sign_in().await;
    let answer =
        program.register(&json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"})).await;
    assert_eq!((answer.status, answer.json()["redirect_uris"].clone()), (201, json!([REDIRECT])));
    let secret = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic"});
    assert_eq!(error(&program.register(&secret).await), (400, "invalid_client_metadata".into()));
    for _ in 0..28 {
        assert_eq!(program.register(&json!({"redirect_uris": [REDIRECT]})).await.status, 201);
    }
    let answer = program.register(&json!({"redirect_uris": [REDIRECT]})).await;
    assert_eq!(
        (error(&answer), answer.header("retry-after")),
        ((429, "temporarily_unavailable".into()), Some("60"))
    );
}
