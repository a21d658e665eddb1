#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;

const BOUNDS: Bounds =
    Bounds { clients_max: 2, redirect_uris_max: 2, per_minute: 100, idle_max: Duration::from_secs(3600) };

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn clients() -> Clients {
    Clients::new(BOUNDS)
}

fn asks(clients: &mut Clients, registration: &Value, now: SystemTime) -> Result<Value, &'static str> {
    clients.register(registration.to_string().as_bytes(), now).map_err(|error| error.code())
}

fn registered(clients: &mut Clients, now: SystemTime) -> String {
    let answer = asks(clients, &json!({"redirect_uris": ["http://127.0.0.1/cb"]}), now).unwrap();
    answer["client_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_program_on_this_machine_is_registered_without_a_secret() {
    let asked = json!({
        "redirect_uris": ["http://127.0.0.1:3000/callback", "http://localhost/cb"], "client_name": "Inspector",
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "scope": "s3:read", "software_id": "x",
    });
    let answer = asks(&mut clients(), &asked, at(0)).unwrap();
    assert_eq!(answer["token_endpoint_auth_method"], "none");
    assert_eq!(answer["redirect_uris"], asked["redirect_uris"]);
    assert!(answer.get("client_secret").is_none());
}

#[test]
fn a_redirect_to_another_host_is_refused() {
    for uri in [
        "https://127.0.0.1/cb",
        "http://evil.test/cb",
        "http://127.0.0.1.evil.test/cb",
        "http://localhost.evil.test/cb",
        "http://127.0.0.1@evil.test/cb",
        "http://user@127.0.0.1/cb",
        "http://127.0.0.1/cb#part",
        "http://10.0.0.1/cb",
        "http://0.0.0.0/cb",
        "myapp:/cb",
        "javascript:alert(1)",
        "/cb",
        "",
    ] {
        let refused = asks(&mut clients(), &json!({ "redirect_uris": [uri] }), at(0));
        assert_eq!(refused, Err("invalid_redirect_uri"), "{uri}");
    }
    let three = json!({"redirect_uris": ["http://127.0.0.1/1", "http://127.0.0.1/2", "http://127.0.0.1/3"]});
    for uris in [json!({}), json!({"redirect_uris": []}), three] {
        assert_eq!(asks(&mut clients(), &uris, at(0)), Err("invalid_redirect_uri"), "{uris}");
    }
}

#[test]
fn what_is_not_served_is_refused() {
    for (name, value) in [
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("grant_types", json!(["authorization_code", "client_credentials"])),
        ("grant_types", json!(["implicit"])),
        ("response_types", json!(["token"])),
        ("scope", json!("a\"b")),
        ("client_name", json!("n".repeat(101))),
        ("redirect_uris", json!("http://127.0.0.1/cb")),
    ] {
        let mut asked = json!({"redirect_uris": ["http://127.0.0.1/cb"]});
        asked[name] = value;
        assert_eq!(asks(&mut clients(), &asked, at(0)), Err("invalid_client_metadata"), "{asked}");
    }
}

#[test]
fn the_port_of_a_redirect_does_not_matter_and_all_the_rest_does() {
    let mut clients = clients();
    let asked = json!({"redirect_uris": ["http://127.0.0.1/cb?a=b", "http://[::1]:8080/cb"]});
    let id = asks(&mut clients, &asked, at(0)).unwrap()["client_id"].as_str().unwrap().to_owned();
    let client = clients.used(&id, at(0)).unwrap();
    for (uri, fits) in [
        ("http://127.0.0.1:53001/cb?a=b", true),
        ("http://127.0.0.1/cb?a=b", true),
        ("http://[::1]:1/cb", true),
        ("http://127.0.0.1:53001/cb", false),
        ("http://127.0.0.1:53001/cb/?a=b", false),
        ("http://127.0.0.2:53001/cb?a=b", false),
        ("http://localhost:53001/cb?a=b", false),
        ("http://[::1]:1/CB", false),
    ] {
        assert_eq!(client.answers_at(&Redirect::parse(uri).unwrap()), fits, "{uri}");
    }
}

#[test]
fn the_one_that_was_idle_for_the_longest_gives_place() {
    let mut clients = clients();
    let (first, second) = (registered(&mut clients, at(0)), registered(&mut clients, at(1)));
    assert!(clients.used(&first, at(2)).is_some());
    let third = registered(&mut clients, at(3));
    assert!(clients.used(&second, at(3)).is_none());
    clients.hold(&first, at(100));
    for seconds in 4..50 {
        registered(&mut clients, at(seconds));
    }
    assert!(clients.used(&third, at(50)).is_none());
    assert!(clients.used(&first, at(50)).is_some(), "whom a grant holds goes last");
}

#[test]
fn a_client_that_nobody_uses_is_forgotten() {
    let mut clients = clients();
    let (idle, held) = (registered(&mut clients, at(0)), registered(&mut clients, at(0)));
    clients.hold(&held, at(5000));
    assert!(clients.used(&idle, at(3600)).is_none());
    assert!(clients.used(&held, at(4999)).is_some());
}

#[test]
fn registrations_have_a_rate() {
    let mut clients = Clients::new(Bounds { per_minute: 2, clients_max: 100, ..BOUNDS });
    registered(&mut clients, at(0));
    registered(&mut clients, at(30));
    let asked = json!({"redirect_uris": ["http://127.0.0.1/cb"]});
    assert_eq!(asks(&mut clients, &asked, at(59)), Err("temporarily_unavailable"));
    assert!(asks(&mut clients, &asked, at(60)).is_ok());
}
