//! The authorization endpoint (RFC 6749 §4.1.1 with PKCE): what a program asks for, the form that a person fills in, and
//! the code that goes back. Nothing is kept of a form: it comes back with all that was asked, and is judged anew.

use super::clients::Redirect;
use super::grants::Allowed;
use super::page::{self, Asks};
use super::people::People;
use super::random::{self, same};
use super::users::SignInError;
use super::{TokenService, scopes_of};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;
use tokens::Secret;

/// What the browser gets.
pub(super) enum Shown {
    /// The form, for the browser that has this cookie from now on.
    Form { page: String, form_action: String, cookie: String, refused: bool },
    /// Back to the program.
    Redirect(String),
    /// It is not known where to go back to, or not safe to.
    Stop(Stop),
}

/// Why there is neither a form nor a way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    #[error("a parameter stands there twice")]
    Twice,
    #[error("this program is not registered here, or no longer; it can register again")]
    Client,
    #[error("the program did not register the address that it wants the answer at")]
    Redirect,
    #[error("the form was not made for this browser; go back to the program and begin anew")]
    NotThisBrowser,
}

/// A request that may be shown to a person.
struct Request {
    client: String,
    client_name: String,
    redirect: Redirect,
    redirect_text: String,
    state: Option<String>,
    challenge: String,
    resource: String,
    /// None asks for all that the person may give.
    scopes: Option<BTreeSet<String>>,
}

/// A request that is sent back to the program with an error code (RFC 6749 §4.1.2.1, RFC 8707 §2).
struct SentBack {
    redirect: Redirect,
    state: Option<String>,
    error: &'static str,
    why: &'static str,
}

enum Judged {
    Asks(Request),
    SentBack(SentBack),
    Stop(Stop),
}

/// A filled in form.
pub(super) struct Form<'a> {
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
    pub(super) cookie: Option<&'a str>,
}

type Parameters = BTreeMap<String, String>;

impl TokenService {
    /// A program has sent a person here: shows the form.
    pub(super) fn asked(&self, people: &People, query: &str, cookie: Option<&str>, now: SystemTime) -> Shown {
        match self.judge(people, query, now) {
            Judged::Stop(stop) => Shown::Stop(stop),
            Judged::SentBack(back) => back.shown(people),
            Judged::Asks(request) => self.form(people, &request, query, cookie, None),
        }
    }

    /// The form comes back.
    pub(super) fn answered(&self, people: &People, form: &Form<'_>, now: SystemTime) -> Shown {
        let request = match self.judge(people, form.query, now) {
            Judged::Stop(stop) => return Shown::Stop(stop),
            Judged::SentBack(back) => return back.shown(people),
            Judged::Asks(request) => request,
        };
        let Some(filled) = parameters(form.body) else { return Shown::Stop(Stop::Twice) };
        let field = |name: &str| filled.get(name).map_or("", String::as_str);
        let tied = form.cookie.is_some_and(|cookie| {
            same(field("csrf").as_bytes(), tie(&people.form_key, cookie, form.query).as_bytes())
        });
        if !tied {
            return Shown::Stop(Stop::NotThisBrowser);
        }
        if field("answer") != "allow" {
            people.note("sign_in_refused", &format!("declined, client {}", request.client));
            return request.sent_back("access_denied", "the person declined").shown(people);
        }
        let users = &people.settings.users;
        let signed_in = people.state().failures.sign_in(users, field("user"), field("password"), now);
        match signed_in {
            Ok(user) => {
                let agent = user.agents.iter().find(|agent| agent.to_string() == field("agent"));
                let scopes: BTreeSet<String> = match &request.scopes {
                    None => user.scopes.clone(),
                    Some(asked) => user.scopes.intersection(asked).cloned().collect(),
                };
                let refuse = |code, why| {
                    let (user, client) = (field("user"), &request.client);
                    people.note("sign_in_refused", &format!("user {user}, client {client}: {why}"));
                    request.sent_back(code, why).shown(people)
                };
                let Some(agent) = agent else { return refuse("access_denied", "not this person's agent") };
                if scopes.is_empty() {
                    return refuse("invalid_scope", "none of the scopes is this person's");
                }
                let allowed = Allowed {
                    user: field("user").to_owned(),
                    agent: agent.to_string(),
                    client: request.client.clone(),
                    resource: request.resource.clone(),
                    scopes,
                };
                give(people, &request, allowed, now)
            }
            Err(error) => {
                // Who mistypes may have typed the password here.
                let user = users.get_key_value(field("user")).map_or("(unknown)", |(name, _)| name);
                let client = &request.client;
                people.note("sign_in_refused", &format!("user {user}, client {client}: {error}"));
                if error == SignInError::TooMany {
                    return request.sent_back("access_denied", "too many wrong passwords").shown(people);
                }
                self.form(people, &request, form.query, form.cookie, Some(error))
            }
        }
    }

    fn form(
        &self,
        people: &People,
        request: &Request,
        query: &str,
        cookie: Option<&str>,
        error: Option<SignInError>,
    ) -> Shown {
        let cookie = match cookie {
            Some(cookie) => cookie.to_owned(),
            None => match random::text::<16>() {
                Ok(cookie) => cookie,
                Err(_) => return request.sent_back("server_error", "no random bytes").shown(people),
            },
        };
        let agents: BTreeSet<String> =
            people.settings.users.values().flat_map(|user| &user.agents).map(ToString::to_string).collect();
        let asks = Asks {
            client: &request.client_name,
            redirect: &request.redirect_text,
            resource: &request.resource,
            scopes: request.scopes.as_ref(),
            agents: &agents,
            query,
            csrf: &tie(&people.form_key, &cookie, query),
            error,
        };
        Shown::Form {
            page: page::form(&asks),
            form_action: request.redirect.source(),
            cookie,
            refused: error.is_some(),
        }
    }

    /// Reads a request. What is wrong before the redirect URI is known to be the program's is told to the person alone.
    fn judge(&self, people: &People, query: &str, now: SystemTime) -> Judged {
        let mut state = people.state();
        let Some(mut given) = parameters(query.as_bytes()) else { return Judged::Stop(Stop::Twice) };
        let mut take = |name: &str| given.remove(name).filter(|value| !value.is_empty());
        let id = take("client_id").unwrap_or_default();
        let Some(client) = state.clients.used(&id, now) else { return Judged::Stop(Stop::Client) };
        let redirect_text = take("redirect_uri").unwrap_or_default();
        let redirect = Redirect::parse(&redirect_text).filter(|redirect| client.answers_at(redirect));
        let Some(redirect) = redirect else { return Judged::Stop(Stop::Redirect) };
        let client_name = client.name.clone();
        let from_program = take("state");
        let back = |error, why| {
            let (redirect, state) = (redirect.clone(), from_program.clone());
            Judged::SentBack(SentBack { redirect, state, error, why })
        };
        match take("response_type").as_deref() {
            Some("code") => {}
            Some(_) => return back("unsupported_response_type", "response_type is not code"),
            None => return back("invalid_request", "response_type is missing"),
        }
        let challenge = take("code_challenge").unwrap_or_default();
        if !is_challenge(&challenge) || take("code_challenge_method").as_deref() != Some("S256") {
            return back("invalid_request", "code_challenge with code_challenge_method S256 is needed");
        }
        let resource = take("resource").and_then(|resource| self.resource(&resource));
        let Some(resource) = resource else {
            return back("invalid_target", "resource is missing, or not one that is served here");
        };
        let asked = take("scope");
        let scopes = asked.as_deref().map(scopes_of);
        if scopes.as_ref().is_some_and(Option::is_none) {
            return back("invalid_scope", "scope is not a list of scopes");
        }
        Judged::Asks(Request {
            client: id,
            client_name,
            redirect,
            redirect_text,
            state: from_program,
            challenge,
            resource,
            scopes: scopes.flatten(),
        })
    }
}

fn give(people: &People, request: &Request, allowed: Allowed, now: SystemTime) -> Shown {
    let scopes = super::joined(&allowed.scopes);
    let what = format!(
        "{} allowed {} at {} through client {}: {scopes}",
        allowed.user, allowed.agent, allowed.resource, allowed.client
    );
    let ends = now + people.settings.lifetimes.grant;
    let mut state = people.state();
    let code = state.grants.code(allowed, &request.redirect_text, &request.challenge, ends, now);
    match code {
        Ok(code) => {
            state.clients.hold(&request.client, ends);
            drop(state);
            people.note("signed_in", &what);
            Shown::Redirect(request.redirect.with(answer(
                people,
                &[("code", code.as_str())],
                request.state.as_deref(),
            )))
        }
        Err(_) => request.sent_back("temporarily_unavailable", "too many grants are open").shown(people),
    }
}

impl Request {
    fn sent_back(&self, error: &'static str, why: &'static str) -> SentBack {
        SentBack { redirect: self.redirect.clone(), state: self.state.clone(), error, why }
    }
}

impl SentBack {
    fn shown(&self, people: &People) -> Shown {
        let told = [("error", self.error), ("error_description", self.why)];
        Shown::Redirect(self.redirect.with(answer(people, &told, self.state.as_deref())))
    }
}

/// An answer's parameters: what it says, the program's `state`, and who says it (RFC 9207).
fn answer<'a>(
    people: &'a People,
    told: &[(&'a str, &'a str)],
    state: Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    let state = state.map(|state| ("state", state));
    told.iter().copied().chain(state).chain([("iss", people.issuer.as_str())]).collect()
}

/// What ties a form to the browser that it was given to, and to what was asked: a page of somebody else's has no cookie.
fn tie(key: &Secret, cookie: &str, query: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    for part in [cookie, query] {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(context.sign())
}

/// The base64url of a SHA-256 (RFC 7636 §4.2).
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && URL_SAFE_NO_PAD.decode(text).is_ok()
}

/// Parameters, each once (RFC 6749 §3.1); none if one stands there twice.
pub(super) fn parameters(text: &[u8]) -> Option<Parameters> {
    let mut all = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(text) {
        if all.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(all)
}
