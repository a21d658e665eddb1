//! The manager as rmcp uses it: on one side HTTP requests, on the other the service of a session.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::events::EVENTS_KEPT_MAX;
use super::open::CALLS_MAX;
use super::*;
use futures_util::future::FutureExt;
use futures_util::stream::{BoxStream, StreamExt};
use rmcp::model::{GetExtensions, JsonRpcMessage, RequestId};
use rmcp::service::OriginatingRequestId;
use rmcp::transport::Transport;
use serde_json::{Value, json};

const LONG: Times =
    Times { opening: Duration::from_secs(60), idle: Duration::from_secs(60), beginning: Duration::ZERO };
const SHORT: Duration = Duration::from_millis(50);
const MANY: usize = 10;

struct Opened {
    open: OpenSessions,
    id: SessionId,
    transport: SessionTransport,
}

fn client(message: Value) -> ClientJsonRpcMessage {
    serde_json::from_value(message).unwrap()
}

fn server(message: Value) -> ServerJsonRpcMessage {
    serde_json::from_value(message).unwrap()
}

fn hello() -> ClientJsonRpcMessage {
    client(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}))
}

fn call(id: u32, token: &str) -> ClientJsonRpcMessage {
    client(json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": "t", "_meta": {"progressToken": token}}}))
}

fn answer(id: u32) -> ServerJsonRpcMessage {
    server(json!({"jsonrpc": "2.0", "id": id, "result": {}}))
}

fn progress(token: &str, done: usize) -> ServerJsonRpcMessage {
    server(json!({"jsonrpc": "2.0", "method": "notifications/progress",
        "params": {"progressToken": token, "progress": done}}))
}

/// What belongs to no call.
fn told(n: usize) -> ServerJsonRpcMessage {
    server(
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": n}}),
    )
}

fn question(origin: Option<u32>) -> ServerJsonRpcMessage {
    let mut message = server(json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}));
    if let (JsonRpcMessage::Request(request), Some(origin)) = (&mut message, origin) {
        request.request.extensions_mut().insert(OriginatingRequestId(RequestId::Number(origin.into())));
    }
    message
}

async fn opened(times: Times) -> Opened {
    let open = OpenSessions::new(MANY, times);
    let (id, mut transport) = open.create_session().await.unwrap();
    let answered = async {
        assert!(matches!(transport.receive().await, Some(JsonRpcMessage::Request(_))));
        transport.send(answer(0)).await.unwrap();
    };
    let (first, ()) = tokio::join!(open.initialize_session(&id, hello()), answered);
    assert!(matches!(first, Ok(JsonRpcMessage::Response(_))), "{first:?}");
    Opened { open, id, transport }
}

impl Opened {
    /// A call that the handler has got.
    async fn call(&mut self, id: u32, token: &str) -> BoxStream<'static, ServerSseMessage> {
        let stream = self.open.create_stream(&self.id, call(id, token)).await.unwrap().boxed();
        assert!(matches!(self.transport.receive().await, Some(JsonRpcMessage::Request(_))));
        stream
    }

    async fn listen(&self) -> BoxStream<'static, ServerSseMessage> {
        self.open.create_standalone_stream(&self.id).await.unwrap().boxed()
    }

    async fn resume(&self, last: &str) -> Result<BoxStream<'static, ServerSseMessage>, SessionError> {
        self.open.resume(&self.id, last.to_owned()).await.map(StreamExt::boxed)
    }
}

/// What can be read by now: the ids of the events, each with what it says in short; and `end` behind the last.
fn read(stream: &mut BoxStream<'static, ServerSseMessage>) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(event) = stream.next().now_or_never() {
        let Some(event) = event else {
            all.push("end".to_owned());
            break;
        };
        let message = serde_json::to_value(event.message.as_deref()).unwrap();
        let number = message.pointer("/params/progress").or(message.pointer("/params/data"));
        let said = match number.and_then(Value::as_f64) {
            Some(done) => done.to_string(),
            None => ["/method", "/error/code", "/id"]
                .iter()
                .find_map(|at| message.pointer(at))
                .unwrap_or(&Value::Null)
                .to_string(),
        };
        all.push(format!("{} {said}", event.event_id.unwrap()));
    }
    all
}

#[tokio::test]
async fn each_message_goes_to_the_stream_that_it_belongs_to() {
    let nothing: &[&str] = &[];
    let error =
        |id: Value| server(json!({"jsonrpc": "2.0", "id": id, "error": {"code": -1, "message": "m"}}));
    let nobodys = server(json!({"jsonrpc": "2.0", "error": {"code": -1, "message": "m"}}));
    for (message, first, second, own) in [
        (answer(1), &["0.1 1", "end"][..], nothing, nothing),
        (answer(2), nothing, &["1.1 2", "end"][..], nothing),
        (error(json!(2)), nothing, &["1.1 -1", "end"], nothing),
        (progress("p1", 5), &["0.1 5"], nothing, nothing),
        (progress("p2", 5), nothing, &["1.1 5"], nothing),
        (question(Some(2)), nothing, &["1.1 \"ping\""], nothing),
        // What belongs to no call, or to none any more.
        (question(Some(9)), nothing, nothing, &["1 \"ping\""][..]),
        (question(None), nothing, nothing, &["1 \"ping\""]),
        (told(5), nothing, nothing, &["1 5"]),
        // But the progress of a call ends with it.
        (progress("p3", 5), nothing, nothing, nothing),
        // An answer to nothing is nobody's, and never on the session's own stream.
        (answer(9), nothing, nothing, nothing),
        (error(json!("1")), nothing, nothing, nothing),
        (nobodys, nothing, nothing, nothing),
    ] {
        let said = format!("{message:?}");
        let mut session = opened(LONG).await;
        let mut streams = [session.call(1, "p1").await, session.call(2, "p2").await, session.listen().await];
        assert_eq!([read(&mut streams[0]), read(&mut streams[1])], [["0.0 null"], ["1.0 null"]]);
        session.transport.send(message).await.unwrap();
        let heard = streams.each_mut().map(read);
        assert_eq!(
            heard,
            [first, second, own].map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_comes_soon_is_there_when_its_stream_begins() {
    let patient = Times { beginning: LONG.idle, ..LONG };
    for (message, heard) in
        [(answer(1), &["0.0 null", "0.1 1", "end"][..]), (progress("p1", 5), &["0.0 null", "0.1 5"])]
    {
        let Opened { open, id, mut transport } = opened(patient).await;
        let answered = async {
            transport.receive().await.unwrap();
            tokio::time::sleep(SHORT).await;
            transport.send(message).await.unwrap();
        };
        let (stream, ()) = tokio::join!(open.create_stream(&id, call(1, "p1")), answered);
        assert_eq!(read(&mut stream.unwrap().boxed()), heard);
    }
    let mut session = opened(Times::of(LONG.idle)).await;
    let stream = tokio::time::timeout(Duration::from_secs(1), session.call(1, "p1")).await;
    assert_eq!(read(&mut stream.unwrap()), ["0.0 null"], "of a longer one, the beginning comes first");
    let Opened { open, id, transport: _transport } = opened(patient).await;
    let ended = async {
        tokio::time::sleep(SHORT).await;
        open.close_session(&id).await.unwrap();
    };
    let (stream, ()) = tokio::join!(open.create_stream(&id, call(1, "p1")), ended);
    assert_eq!(read(&mut stream.unwrap().boxed()), ["0.0 null", "end"], "nothing more will come");
}

#[tokio::test]
async fn what_nobody_read_of_the_sessions_own_stream_waits_and_each_event_is_read_once() {
    let mut session = opened(LONG).await;
    for done in 0..EVENTS_KEPT_MAX + 2 {
        session.transport.send(told(done)).await.unwrap(); // Nobody reads: nobody waits, and the oldest go.
    }
    let mut first = session.listen().await;
    assert_eq!(
        read(&mut first),
        (2..EVENTS_KEPT_MAX + 2).map(|n| format!("{} {n}", n + 1)).collect::<Vec<_>>()
    );
    let mut second = session.listen().await;
    session.transport.send(told(90)).await.unwrap();
    assert_eq!((read(&mut second), read(&mut first)), (vec!["19 90".to_owned()], vec![]));
    drop((first, second));
    let mut resumed = session.resume("18").await.unwrap();
    assert_eq!(read(&mut resumed), ["19 90"]);
    let mut beside = session.resume("0").await.unwrap();
    assert_eq!(read(&mut beside), Vec::<String>::new(), "another one reads");
}

#[tokio::test]
async fn a_call_is_resumed_behind_the_last_event_that_its_client_saw_until_it_is_answered() {
    let mut session = opened(LONG).await;
    let mut lost = session.call(1, "p1").await;
    session.transport.send(progress("p1", 1)).await.unwrap();
    assert_eq!(read(&mut lost), ["0.0 null", "0.1 1"]);
    session.transport.send(progress("p1", 2)).await.unwrap();
    let mut resumed = session.resume("0.0").await.unwrap();
    assert_eq!(read(&mut lost), ["end"], "who comes back takes the place of a connection that may be dead");
    drop(lost);
    session.transport.send(progress("p1", 3)).await.unwrap();
    assert_eq!(read(&mut resumed), ["0.1 1", "0.2 2", "0.3 3"]);
    drop(resumed);
    for wrong in ["0.4", "1.0", "", "x", "0.", ".0", "-1", "0.0.0", "99999999999999999999"] {
        assert!(session.resume(wrong).await.is_err(), "{wrong}");
    }
    let mut last = session.resume("0.3").await.unwrap();
    session.transport.send(answer(1)).await.unwrap();
    assert_eq!(read(&mut last), ["0.4 1", "end"]);
    assert!(session.resume("0.3").await.is_err());
}

#[tokio::test]
async fn a_tool_waits_for_a_slow_client_and_not_for_one_that_is_gone() {
    let mut session = opened(LONG).await;
    let mut stream = session.call(1, "p1").await;
    assert_eq!(read(&mut stream), ["0.0 null"]);
    for done in 0..EVENTS_KEPT_MAX {
        session.transport.send(progress("p1", done)).await.unwrap();
    }
    let mut full = session.transport.send(progress("p1", 99)).boxed();
    assert!((&mut full).now_or_never().is_none(), "no room");
    assert!(stream.next().now_or_never().is_some());
    full.await.unwrap();
    let waits = session.transport.send(progress("p1", 100)).boxed();
    let answered = session.transport.send(answer(1));
    answered.await.unwrap();
    waits.await.unwrap(); // The call is over.
    let rest = read(&mut stream);
    assert_eq!(
        (rest.len(), rest.last().unwrap().as_str()),
        (EVENTS_KEPT_MAX + 3, "end"),
        "in order, none lost"
    );

    let gone = session.call(2, "p2").await;
    for done in 0..=EVENTS_KEPT_MAX {
        let sent = session.transport.send(progress("p2", done)).boxed();
        if done == EVENTS_KEPT_MAX {
            drop(gone);
            sent.await.unwrap();
            break;
        }
        drop(sent);
    }
}

#[tokio::test]
async fn an_id_in_use_is_refused_and_one_that_is_answered_may_come_again() {
    let mut session = opened(LONG).await;
    let mut first = session.call(1, "p1").await;
    let mut second = session.open.create_stream(&session.id, call(1, "p1")).await.unwrap().boxed();
    assert_eq!(read(&mut second), ["1.0 null", "1.1 -32600", "end"]);
    assert!(session.transport.receive().now_or_never().is_none(), "the handler hears nothing of it");
    session.transport.send(answer(1)).await.unwrap();
    assert_eq!(read(&mut first), ["0.0 null", "0.1 1", "end"]);
    let mut again = session.call(1, "p1").await;
    session.transport.send(answer(1)).await.unwrap();
    assert_eq!(read(&mut again), ["2.0 null", "2.1 1", "end"]);
}

#[tokio::test]
async fn the_id_of_a_call_that_was_taken_back_is_not_used_again() {
    let mut session = opened(LONG).await;
    for id in [1, 2] {
        drop(session.call(id, "p").await);
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        session.open.accept_message(&session.id, client(cancel)).await.unwrap();
        assert!(session.transport.receive().await.is_some());
    }
    for (id, refused) in [(1, true), (2, true), (3, false)] {
        let mut again = session.open.create_stream(&session.id, call(id, "p")).await.unwrap().boxed();
        assert_eq!(read(&mut again).contains(&format!("{}.1 -32600", id + 1)), refused);
        assert_eq!(session.transport.receive().now_or_never().is_none(), refused);
    }
}

#[tokio::test]
async fn a_reader_that_reads_nothing_keeps_no_more_than_so_much() {
    let mut session = opened(LONG).await;
    let mut stream = session.listen().await;
    for n in 0..1_000 {
        drop(session.transport.send(told(n))); // Nobody waits for room.
    }
    let read = read(&mut stream);
    assert_eq!((read.len(), read.last().unwrap().as_str()), (256, "1000 999"));
}

#[tokio::test]
async fn no_more_sessions_are_open_than_may_be() {
    let open = OpenSessions::new(2, LONG);
    let one = open.create_session().await.unwrap();
    assert!(!open.is_full());
    let _two = open.create_session().await.unwrap();
    assert!(open.is_full());
    assert!(matches!(open.create_session().await, Err(SessionError::TooMany)));
    open.close_session(&one.0).await.unwrap();
    assert!(!open.is_full() && open.create_session().await.is_ok());
}

#[tokio::test]
async fn there_is_an_end_to_the_calls_under_way_and_to_what_waits_for_the_handler() {
    let mut session = opened(LONG).await;
    for id in 1..=CALLS_MAX {
        drop(session.call(id.try_into().unwrap(), "p").await); // Its client is gone, it goes on.
    }
    let mut more = session.open.create_stream(&session.id, call(9_999, "p")).await.unwrap().boxed();
    assert_eq!(read(&mut more).last().unwrap(), "end");
    session.transport.send(answer(1)).await.unwrap();
    drop(session.call(9_999, "p").await);

    let ping = || client(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let mut taken = 0;
    while session.open.accept_message(&session.id, ping()).now_or_never().is_some() {
        taken += 1;
    }
    assert_eq!(taken, 16);
    let waits = session.open.accept_message(&session.id, ping());
    let (sent, got) = tokio::join!(waits, session.transport.receive());
    assert!(sent.is_ok() && got.is_some());
}

#[tokio::test]
async fn a_call_that_its_client_takes_back_has_no_answer() {
    let mut session = opened(LONG).await;
    let (mut one, mut two) = (session.call(1, "p1").await, session.call(2, "p2").await);
    let cancel =
        client(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}));
    session.open.accept_message(&session.id, cancel).await.unwrap();
    assert!(matches!(session.transport.receive().await, Some(JsonRpcMessage::Notification(_))));
    session.transport.send(answer(1)).await.unwrap();
    session.transport.send(answer(2)).await.unwrap();
    assert_eq!(
        (read(&mut one), read(&mut two)),
        (vec!["0.0 null".into(), "end".into()], vec!["1.0 null".into(), "1.1 2".into(), "end".into()])
    );
}

#[tokio::test]
async fn closing_a_session_ends_its_streams_and_its_service_and_no_others() {
    let (mut session, mut other) = (opened(LONG).await, opened(LONG).await);
    let mut streams = [session.call(1, "p1").await, session.listen().await];
    let mut others = other.call(1, "p1").await;
    session.open.close_session(&session.id).await.unwrap();
    assert_eq!(streams.each_mut().map(|stream| read(stream).pop().unwrap()), ["end", "end"]);
    assert!(session.transport.receive().await.is_none());
    assert!(session.transport.send(answer(1)).await.is_err());
    assert!(!session.open.has_session(&session.id).await.unwrap());
    assert!(session.open.create_stream(&session.id, call(2, "p")).await.is_err());
    session.open.close_session(&session.id).await.unwrap(); // As rmcp does when the service has ended.
    assert!(other.open.has_session(&other.id).await.unwrap());
    assert_eq!(read(&mut others), ["0.0 null"]);
}

#[tokio::test]
async fn a_session_whose_service_ends_is_over() {
    for close in [true, false] {
        let mut session = opened(LONG).await;
        let mut stream = session.call(1, "p1").await;
        if close {
            session.transport.close().await.unwrap();
        } else {
            drop(session.transport);
        }
        assert_eq!(read(&mut stream), ["0.0 null", "end"]);
        assert!(!session.open.has_session(&session.id).await.unwrap());
    }
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends_and_so_does_one_that_never_opens() {
    let mut idle = opened(Times { idle: SHORT, ..LONG }).await;
    assert!(idle.open.has_session(&idle.id).await.unwrap());
    let began = tokio::time::Instant::now();
    assert!(idle.transport.receive().await.is_none());
    assert!(began.elapsed() >= SHORT / 2 && !idle.open.has_session(&idle.id).await.unwrap());

    let unopened = OpenSessions::new(MANY, Times { opening: SHORT, ..LONG });
    let (id, mut transport) = unopened.create_session().await.unwrap();
    assert!(transport.receive().await.is_none());
    assert!(!unopened.has_session(&id).await.unwrap());
    // The handler has it and never answers.
    let (id, _transport) = unopened.create_session().await.unwrap();
    assert!(matches!(unopened.initialize_session(&id, hello()).await, Err(SessionError::Over)));
    assert!(!unopened.has_session(&id).await.unwrap());
}

#[tokio::test]
async fn a_session_whose_client_left_before_it_was_open_is_over() {
    let open = OpenSessions::new(MANY, LONG);
    let (id, mut transport) = open.create_session().await.unwrap();
    assert!(open.initialize_session(&id, hello()).now_or_never().is_none());
    assert!(transport.receive().await.is_some());
    assert!(transport.send(answer(0)).await.is_err());
    assert!(transport.receive().await.is_none());
}

#[tokio::test]
async fn a_session_that_is_not_there_takes_nothing() {
    let session = opened(LONG).await;
    let foreign: SessionId = "b7".into();
    assert!(!session.open.has_session(&foreign).await.unwrap());
    assert!(matches!(
        session.open.create_stream(&foreign, call(1, "p")).await.err(),
        Some(SessionError::Unknown)
    ));
    assert!(matches!(session.open.accept_message(&foreign, hello()).await, Err(SessionError::Unknown)));
    assert!(matches!(session.open.initialize_session(&foreign, hello()).await, Err(SessionError::Unknown)));
    assert!(matches!(
        session.open.create_standalone_stream(&foreign).await.err(),
        Some(SessionError::Unknown)
    ));
    assert!(matches!(session.open.resume(&foreign, "0".into()).await.err(), Some(SessionError::Unknown)));
    assert!(session.open.close_session(&foreign).await.is_ok());
    assert!(matches!(
        session.open.initialize_session(&session.id, hello()).await,
        Err(SessionError::NotTheFirst)
    ));
}

#[test]
fn a_call_may_be_silent_for_as_long_as_it_may_take() {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    assert_eq!(Times::of(minutes(1)).idle, minutes(5));
    assert_eq!(Times::of(minutes(10)).idle, minutes(20));
    assert_eq!(Times::of(Duration::MAX).idle, minutes(24 * 60), "and no clock overflows");
}
