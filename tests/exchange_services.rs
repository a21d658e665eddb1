//! Credentials from token services of every make: one list of stories, told over each of them.

use serde_json::{Value, json};
use world::process::Process;
use world::services::{claims, claims_of};
use world::token_services::{Actor, Embedded, Keycloak, LEDGER, OidcProvider, TokenService};
use world::{Agent, DOMAIN, World};

#[tokio::test]
async fn every_story_of_token_services_holds_over_the_embedded_one() {
    every_story::<Embedded>().await;
}

#[tokio::test]
async fn every_story_of_token_services_holds_over_oidc_provider() {
    every_story::<OidcProvider>().await;
}

#[tokio::test]
async fn every_story_of_token_services_holds_over_keycloak() {
    every_story::<Keycloak>().await;
}

async fn every_story<S: TokenService>() {
    // Every call is permitted: what is in its way is the token service.
    let all = "package tools.ledger\n\nvisible := true\n\nallow := true\n".to_owned();
    let world = World::with_policy(vec![("tools/ledger.rego", all)]).await;
    let Some(service) = S::start(&world).await else { return };
    let mut stage = Stage { world, service, heard: 0 };
    stage.a_credential_is_for_one_server_and_one_operation().await;
    stage.who_acted_is_named_or_recorded_and_where_it_must_be_named_it_is().await;
    stage.more_than_the_person_may_is_refused_as_what_it_is().await;
    stage.an_audience_that_is_not_known_is_refused().await;
    stage.a_subject_token_that_has_expired_is_worth_nothing().await;
    stage.a_workload_alone_gets_what_the_service_gives_to_it().await;
    stage.a_service_that_is_down_is_told_as_that().await;
}

struct Stage<S> {
    world: World,
    service: S,
    /// How many calls the server has heard.
    heard: usize,
}

impl<S: TokenService> Stage<S> {
    fn gateway(&self, options: &str) -> Process {
        self.world.process("best_effort", |config| self.service.known(&config, "0s", options))
    }

    async fn clerk(&self, gateway: &Process, account: &'static str) -> Agent {
        let token = self.service.token(&self.world, account).await;
        self.world.agent("agent/clerk").to(&gateway.url).with_token(&token)
    }

    /// The claims of the one credential that the server has received since it was asked last.
    fn credential(&mut self) -> Value {
        let received = self.world.ledger.received();
        self.heard += 1;
        assert_eq!(received.len(), self.heard);
        claims(received.last().unwrap())
    }

    fn nothing_was_heard(&self) {
        assert_eq!(self.world.ledger.received().len(), self.heard);
    }

    async fn a_credential_is_for_one_server_and_one_operation(&mut self) {
        let gateway = self.gateway("");
        let token = self.service.token(&self.world, "alice").await;
        let clerk = self.world.agent("agent/clerk").to(&gateway.url).with_token(&token);
        assert_eq!(clerk.post_entry(1).await.result(), "posted");
        let credential = self.credential();
        assert_eq!((&credential["aud"], &credential["scope"]), (&json!(LEDGER), &json!("ledger:post_entry")));
        assert_eq!(credential["sub"], claims_of(&token)["sub"]);
        let records = requests(gateway, &[None]);
        assert_eq!(records[0]["subject"]["sub"], credential["sub"]);
        assert_eq!(records[0]["caller"], format!("spiffe://{DOMAIN}/agent/clerk"));
    }

    async fn who_acted_is_named_or_recorded_and_where_it_must_be_named_it_is(&mut self) {
        for required in [false, true] {
            let gateway = self.gateway(if required { "  actor: required" } else { "  actor: recorded" });
            let reply = self.clerk(&gateway, "alice").await.post_entry(1).await;
            match (S::SAYS.actor, required) {
                (Actor::Recorded, true) => {
                    assert_eq!(reply.refused_because(), "credential_not_accepted");
                    self.nothing_was_heard();
                    requests(gateway, &[Some("credential_not_accepted")]);
                }
                (actor, _) => {
                    assert_eq!(reply.result(), "posted");
                    let acted = self.credential()["act"]["sub"].clone();
                    let recorded = requests(gateway, &[None])[0]["credential"]["actor"].clone();
                    let clerk = json!(format!("spiffe://{DOMAIN}/agent/clerk"));
                    let (named, alone) = (json!("recorded"), Value::Null);
                    let told = if actor == Actor::Named { (clerk, alone) } else { (Value::Null, named) };
                    assert_eq!((acted, recorded), told);
                }
            }
        }
    }

    async fn more_than_the_person_may_is_refused_as_what_it_is(&mut self) {
        let gateway = self.gateway("");
        let refused = self.clerk(&gateway, "alice").await.call("open_vault", json!({})).await;
        assert_eq!((refused.status, refused.refused_because().as_str()), (502, S::SAYS.wider));
        let refused = self.clerk(&gateway, "bob").await.post_entry(1).await;
        assert_eq!((refused.status, refused.refused_because().as_str()), (502, S::SAYS.person));
        self.nothing_was_heard();
        requests(gateway, &[Some(S::SAYS.wider), Some(S::SAYS.person)]);
    }

    async fn an_audience_that_is_not_known_is_refused(&mut self) {
        let gateway = self.world.process("best_effort", |config| {
            let config = self.service.known(&config, "0s", "");
            let other = "    subject: optional\n    audience: https://other.test";
            config.replace("    subject: optional", other)
        });
        let refused = self.clerk(&gateway, "alice").await.post_entry(1).await;
        assert_eq!(refused.refused_because(), S::SAYS.audience);
        self.nothing_was_heard();
        requests(gateway, &[Some(S::SAYS.audience)]);
    }

    async fn a_subject_token_that_has_expired_is_worth_nothing(&mut self) {
        let expired = self.service.expired(&self.world).await;
        for (leeway, status, reason) in [("0s", 401, "invalid_token"), ("5m", 502, S::SAYS.expired)] {
            let gateway = self.world.process("best_effort", |config| self.service.known(&config, leeway, ""));
            let clerk = self.world.agent("agent/clerk").to(&gateway.url).with_token(&expired);
            let refused = clerk.post_entry(1).await;
            assert_eq!((refused.status, refused.refused_because().as_str()), (status, reason));
            self.nothing_was_heard();
            requests(gateway, &[Some(reason)]);
        }
    }

    async fn a_workload_alone_gets_what_the_service_gives_to_it(&mut self) {
        let (options, outcome) = S::SAYS.alone;
        let gateway = self.gateway(options);
        let robot = self.world.agent("agent/robot").to(&gateway.url);
        let reply = robot.post_entry(1).await;
        let records = match outcome {
            Ok(subject) => {
                assert_eq!(reply.result(), "posted");
                let credential = self.credential();
                assert!([&credential["sub"], &credential["client_id"]].contains(&&json!(subject)));
                requests(gateway, &[None])
            }
            Err(reason) => {
                assert_eq!(reply.refused_because(), reason);
                self.nothing_was_heard();
                requests(gateway, &[Some(reason)])
            }
        };
        assert_eq!(records[0]["caller"], format!("spiffe://{DOMAIN}/agent/robot"));
    }

    async fn a_service_that_is_down_is_told_as_that(mut self) {
        let gateway = self.gateway("");
        let clerk = self.clerk(&gateway, "alice").await;
        assert_eq!(clerk.post_entry(1).await.result(), "posted");
        self.credential();
        self.service.goes(&self.world).await;
        assert_eq!(clerk.post_entry(2).await.result(), "posted", "a credential holds until it ends");
        let refused = clerk.call("read_balance", json!({})).await;
        assert_eq!((refused.status, refused.refused_because().as_str()), (502, "token_service_failed"));
        assert_eq!(self.world.ledger.received().len(), self.heard + 1);
        requests(gateway, &[None, None, Some("token_service_failed")]);
    }
}

/// The records of a gateway's requests, once it has ended: their reasons are these.
fn requests(gateway: Process, reasons: &[Option<&str>]) -> Vec<Value> {
    let requests = gateway.requests();
    assert_eq!(requests.iter().map(|record| record["reason"].as_str()).collect::<Vec<_>>(), reasons);
    requests
}
