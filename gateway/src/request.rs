//! The whole path of a request, a line or two per stage. Read this first.

use crate::audit::Record;
use crate::decode::{Body, Call};
use crate::listener::Handshake;
use crate::observed::{Observed, Stage};
use crate::reply::{Refusal, Response};
use crate::revocation::{Basis, Hold};
use crate::route::Door;
use crate::state::{Gateway, State};
use crate::tasks::Watcher;
use crate::upstream::{Answer, Going, ToAgent};
use crate::{
    authorize, cards, decode, delegation, exchange, identity, metadata, one_url, push, registry, reply,
    route, session, tasks, token,
};
use http::{HeaderMap, Uri};
use protocol::a2a::Method;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// A request whose body has arrived, or has failed to.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The connection's finished handshake.
    pub handshake: Arc<Handshake>,
    /// The other end of the socket.
    pub ip: Option<IpAddr>,
    /// When its head had arrived.
    pub at: SystemTime,
    /// The same on the clock that only goes forward.
    pub began: Instant,
    /// HTTP method.
    pub method: http::Method,
    /// Version of HTTP.
    pub version: http::Version,
    /// Path and query. The authority is looked at where it may name an agent: over gRPC.
    pub uri: Uri,
    /// Header fields as they came.
    pub headers: HeaderMap,
    /// The whole body within its bounds, or why not.
    pub body: Body,
    /// What it brings with it from the URL of all servers, if it came by that; it has named this server.
    pub one_url: Option<one_url::Through>,
}

/// Carries one request from a finished handshake to its answer.
/// Every exit leaves one audit record, a hang-up that drops this future included: the record's `Drop` writes it.
pub async fn handle(gateway: &Gateway, arrival: Arrival) -> Response {
    let state = gateway.state(); // One snapshot, once the body is complete: a reload never splits a request.
    let mut record = gateway.audit.open(&arrival);
    let mut observed = Observed::open(gateway, &arrival);
    let outcome = forward(gateway, &state, &arrival, &mut record, &mut observed).await;
    reply::render(outcome, &gateway.url, &arrival, record, observed) // The record rides in the body: a stream is over when it ends.
}

async fn forward(
    gateway: &Gateway,
    state: &Arc<State>,
    arrival: &Arrival,
    record: &mut Record,
    observed: &mut Observed,
) -> Result<Answer, Refusal> {
    let now = gateway.clock.now();
    let caller = record.caller(identity::caller(&arrival.handshake, &state.identity, now)?);
    state.revocations.caller(&caller, now).map_err(identity::IdentityError::from)?;
    observed.begins(Stage::Route);
    let server = match route::door(&state.servers, &state.agents, &gateway.url, arrival)? {
        Door::CardKeys => return Ok(cards::keys(gateway)),
        Door::Metadata(resource) => {
            return Ok(Answer::json(metadata::protected_resource(&resource, &state.issuers).to_string()));
        }
        Door::Agents => {
            let asker = registry::Asker { gateway, state, caller: &caller, arrival, now };
            return Box::pin(asker.listed(record, observed)).await;
        }
        Door::Push => {
            let post = push::Post { gateway, state, caller: &caller, arrival, now };
            return Box::pin(post.taken(record, observed)).await;
        }
        Door::AllServers => {
            let front = one_url::Front { gateway, state, caller: &caller, arrival, now };
            return Box::pin(front.answered(record, observed)).await;
        }
        Door::To(server) => server,
    };
    observed.token(&server);
    let subject =
        record.subject(token::subject(&arrival.headers, &caller, &server, &state.issuers, now).await?);
    delegation::chain(&caller, subject.as_ref(), gateway.limits.actors_max)
        .map_err(token::TokenError::from)?;
    state.revocations.token(subject.as_ref(), now).map_err(token::TokenError::from)?;
    observed.begins(Stage::Decode);
    let call = decode::call(arrival, &server, &gateway.origins, &gateway.limits)?;
    let call = record.call(server.name(), call, &arrival.body);
    let through = arrival.one_url.as_ref();
    let behind = record.through(through);
    observed.authorize(&call);
    let question =
        authorize::Question::new(arrival, &caller, subject.as_ref(), &server, &call, &state.revocations, now)
            .knowing(&state.cards, &state.policy);
    if let Call::Card = call {
        return Ok(Box::pin(cards::public(gateway, state, &question, arrival)).await?);
    }
    let named = Box::pin(tasks::named(&question, &gateway.tasks, &gateway.push)).await;
    let question = question.naming(named.as_deref(), &gateway.limits);
    let session = session::open(&question, arrival, &state.sessions, &gateway.sessions, &gateway.limits)?;
    let permitted = authorize::permit(&state.policy, &gateway.lane, &question, &gateway.limits).await?;
    cards::admit(&state.cards, &question).map_err(authorize::AuthorizeError::from)?;
    let (permit, server) = record.permit(&call, permitted);
    delegation::onward(&caller, subject.as_ref(), &server).map_err(token::TokenError::from)?;
    tasks::permitted(named.as_deref(), &question, &permit, (&gateway.tasks, gateway.limits.per_owner))
        .await?;
    let body = Box::pin(push::registered(gateway, state, &question, named.as_deref(), arrival)).await?;
    observed.exchange(&permit);
    let grant =
        exchange::Grant { permit: &permit, server: &server, question: &question, identity: &state.identity };
    let credential = record.credential(gateway.exchange.credential(&grant, now).await?);
    if gateway.audit.required() {
        observed.begins(Stage::Audit);
        record.durable().await?; // What was permitted is on disk before it is done.
    }
    let trace = observed.upstream();
    let upstream = route::upstream(&gateway.pool, &state.identity, server);
    let answer = match (question.call.a2a(), &named) {
        (Some(call), Some(named)) if call.method == Method::ListTasks => {
            let (store, question, permit, credential) = (&gateway.tasks, &question, &permit, &credential);
            let asks_max = gateway.limits.tasks_asked_max;
            let lister =
                tasks::list::Lister { call, named, question, store, upstream, permit, credential, asks_max };
            Box::pin(lister.answer()).await?
        }
        (Some(call), Some(named)) => {
            let (store, most) = (&gateway.tasks, gateway.limits.per_owner);
            let watcher = Watcher::new(call, &question, named, store, record.shown(), most);
            let going = Going::Agent(Box::new(ToAgent { call, watcher, body }));
            let answered = Box::pin(async {
                let answer = upstream.send(permit, credential, going, arrival, trace).await?;
                Ok::<Answer, Refusal>(match call.method {
                    Method::GetExtendedAgentCard => {
                        cards::extended::shown(gateway, state, &question, call, answer).await?
                    }
                    _ => push::shown(gateway, state, &question, named, call, answer).await?,
                })
            });
            answered.await?
        }
        _ => {
            let filter = authorize::list_filter(
                &state.policy,
                &gateway.lane,
                &question,
                &gateway.revocations,
                &gateway.limits,
                through.and_then(|through| through.time.as_ref()),
            );
            upstream
                .send(permit, credential, Going::Server(session.map(Box::new), filter), arrival, trace)
                .await?
        }
    };
    record.answered(&answer);
    let basis = Basis::of(&question, [behind.as_deref(), record.in_session()]);
    let judged = state.revocations.epoch();
    Ok(answer.held(Hold::new(basis, &gateway.revocations, judged, gateway.clock.clone())))
}

/// The same path, once more: for a request that came by the URL of all servers, as the one that it names gets it.
pub(crate) fn onward<'a>(
    gateway: &'a Gateway,
    state: &'a Arc<State>,
    arrival: &'a Arrival,
    record: &'a mut Record,
    observed: &'a mut Observed,
) -> Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send + 'a>> {
    Box::pin(forward(gateway, state, arrival, record, observed))
}

/// And for what the gateway asks a server in its caller's name, with a record of its own.
pub(crate) fn part<'a>(
    gateway: &'a Gateway,
    state: &'a Arc<State>,
    arrival: &'a Arrival,
    mut record: Record,
) -> Pin<Box<dyn Future<Output = Response> + Send + 'a>> {
    Box::pin(async move {
        let mut observed = Observed::open(gateway, arrival);
        let outcome = forward(gateway, state, arrival, &mut record, &mut observed).await;
        reply::render(outcome, &gateway.url, arrival, record, observed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<A, B, F>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// What happens seldom is boxed where it is called. An idle connection holds none of this.
    #[test]
    fn a_request_under_way_takes_little_room() {
        let bytes = bytes(|gateway: &'static Gateway, arrival| handle(gateway, arrival));
        assert!(bytes <= 12 * 1024, "{bytes} bytes");
    }
}
