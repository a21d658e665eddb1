//! The table of methods: what it says is what the decoder does, and what `docs/mcp-methods.md` says.

use super::*;

const DOCUMENT: &str = include_str!("../../../../docs/mcp-methods.md");

/// Which packages are asked, the first that exists.
fn packages(row: &MethodRow) -> &'static str {
    match row.target {
        TargetKind::Tool => "`tools.<server>.<tool>`, else `tools.<server>`",
        TargetKind::Resource => "`resources.<server>`",
        TargetKind::Prompt => "`prompts.<server>`",
        TargetKind::Reference => "`prompts.<server>` or `resources.<server>`, by `ref`",
        TargetKind::Subscriptions => {
            "`resources.<server>` for each resource named; without one `protocol.<server>`, else `protocol`"
        }
        TargetKind::Protocol => "`protocol.<server>`, else `protocol`",
    }
}

fn items(list: ListKind) -> &'static str {
    match list {
        ListKind::Tools => "`tools.<server>.<tool>`, else `tools.<server>`",
        ListKind::Resources | ListKind::ResourceTemplates => "`resources.<server>`",
        ListKind::Prompts => "`prompts.<server>`",
    }
}

fn line(row: &MethodRow) -> String {
    let form = match row.form {
        Form::Request => "request",
        Form::Notification => "notification",
        Form::Answer => "response",
        Form::Get => "GET",
        Form::Delete => "DELETE",
    };
    let arguments = match row.arguments {
        Arguments::None => "",
        Arguments::Arguments => "`params.arguments`",
        Arguments::Argument => "`params.argument`, and in it `params.context`",
        Arguments::Level => "`{\"level\": params.level}`",
        Arguments::Notifications => "`params.notifications`",
    };
    let lacking = format!("`{}`", refusal(row));
    let served = |served: bool| if served { "yes" } else { lacking.as_str() };
    let method = format!("`{}`", row.method);
    written([
        method.as_str(),
        form,
        served(row.legacy),
        served(row.stateless),
        packages(row),
        row.list.map_or("", items),
        arguments,
    ])
}

/// How a version that lacks it says so.
fn refusal(row: &MethodRow) -> &'static str {
    match row.form {
        Form::Request | Form::Notification => "unknown_method",
        Form::Answer => "client_response_refused",
        Form::Get | Form::Delete => "method_not_allowed",
    }
}

fn written(cells: [&str; 7]) -> String {
    let spaced = cells.map(|cell| if cell.is_empty() { " ".to_owned() } else { format!(" {cell} ") });
    format!("|{}|", spaced.join("|"))
}

/// What some version or extension has and no call is made of: method and form. All of it is tasks.
const TASKS: [(&str, Form); 6] = [
    ("tasks/get", Form::Request),
    ("tasks/list", Form::Request),
    ("tasks/result", Form::Request),
    ("tasks/cancel", Form::Request),
    ("tasks/update", Form::Request),
    ("notifications/tasks/status", Form::Notification),
];

fn tasks_line((method, form): (&str, Form)) -> String {
    let form = if form == Form::Request { "request" } else { "notification" };
    let refused = "`tasks_not_supported`";
    written([&format!("`{method}`"), form, refused, refused, "", "", ""])
}

/// What clients send by the schemas: unions `ClientRequest` and `ClientNotification`, answers, GET and DELETE. The
/// tasks of 2025-11-25 and of the extension for 2026-07-28 stand above.
const OF_ALL_VERSIONS: &str = "tools/call tools/list prompts/get prompts/list resources/read resources/list \
    resources/templates/list completion/complete";
const OF_2025: &str = "initialize ping logging/setLevel resources/subscribe resources/unsubscribe \
    notifications/initialized notifications/cancelled notifications/progress notifications/roots/list_changed \
    session/answer session/stream session/end";
const OF_2026: &str = "server/discover subscriptions/listen";

#[test]
fn the_document_has_exactly_these_methods() {
    let table = DOCUMENT.split("\n## ").next().unwrap();
    let found: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = methods().iter().map(line).chain(TASKS.map(tasks_line)).collect();
    assert_eq!(found, expected, "docs/mcp-methods.md should say:\n{}\n", expected.join("\n"));
}

#[test]
fn every_method_of_the_schemas_is_served() {
    for (methods_of, legacy, stateless) in
        [(OF_ALL_VERSIONS, true, true), (OF_2025, true, false), (OF_2026, false, true)]
    {
        for method in methods_of.split_whitespace() {
            let row = methods().iter().find(|row| row.method == method);
            assert_eq!(row.map(|row| (row.legacy, row.stateless)), Some((legacy, stateless)), "{method}");
        }
    }
    let named = [OF_ALL_VERSIONS, OF_2025, OF_2026].map(|names| names.split_whitespace().count());
    assert_eq!(named.iter().sum::<usize>(), methods().len());
}

#[test]
fn the_document_has_every_refusal_with_its_codes() {
    use crate::json::JsonError;
    let (name, key, requested, version) = ("", "", String::new(), Version::V2026_07_28);
    let json = |error| Fault::Json(error);
    let refusals = DOCUMENT.split("\n## Refusals\n").nth(1).unwrap();
    let faults = [
        Fault::HttpMethod,
        Fault::ContentType,
        Fault::ContentEncoding,
        Fault::Accept,
        Fault::UnexpectedBody,
        Fault::EmptyBody,
        json(JsonError::Utf8 { offset: 0 }),
        json(JsonError::ByteOrderMark),
        json(JsonError::Syntax { offset: 0 }),
        json(JsonError::Trailing { offset: 0 }),
        json(JsonError::DuplicateKey { offset: 0 }),
        json(JsonError::CaseVariant { offset: 0 }),
        json(JsonError::ReservedKey { offset: 0 }),
        json(JsonError::LoneSurrogate { offset: 0 }),
        json(JsonError::Number { offset: 0 }),
        json(JsonError::Depth { offset: 0 }),
        Fault::CaseVariant,
        Fault::Batch,
        Fault::NotAnObject,
        Fault::JsonRpcVersion,
        Fault::Id,
        Fault::IdMissing,
        Fault::IdUnexpected,
        Fault::Method,
        Fault::ClientResponse,
        Fault::Params { name },
        Fault::UnknownParameter,
        Fault::MetaMissing { key },
        Fault::HeaderMissing { name },
        Fault::HeaderMismatch { name },
        Fault::HeaderRepeated { name },
        Fault::HeaderEncoding { name },
        Fault::UnsupportedVersion { requested },
        Fault::SessionInStatelessCall,
        Fault::SessionInInitialize,
        Fault::SessionId,
        Fault::UnknownMethod { version },
        Fault::Tasks { version },
    ];
    for error in faults.map(DecodeError::from) {
        let reason = format!("`{}`", error.reason());
        let row = refusals.lines().find(|line| line.contains(&reason)).unwrap_or_default();
        assert!(row.contains(error.http_status().as_str()), "{reason}: {row}");
        assert!(row.contains(&error.rpc_code().to_string()), "{reason}: {row}");
        assert!(error.reason().bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')));
    }
}

/// Parameters with which each kind of target can be read.
fn params(row: &MethodRow, version: Version) -> Value {
    match row.target {
        TargetKind::Tool => json!({"name": "n", "arguments": {"a": 1}}),
        TargetKind::Prompt => json!({"name": "n", "arguments": {"a": "1"}}),
        TargetKind::Resource => json!({"uri": "u"}),
        TargetKind::Reference => {
            json!({"ref": {"type": "ref/prompt", "name": "n"}, "argument": {"name": "a", "value": "v"}})
        }
        TargetKind::Subscriptions => json!({"notifications": {"resourceSubscriptions": ["u"]}}),
        TargetKind::Protocol => json!({"level": "info", "protocolVersion": version.as_str()}),
    }
}

fn request(row: &MethodRow, version: Version) -> Request {
    match row.form {
        Form::Get => {
            return Request::without_body(Method::GET).header("mcp-protocol-version", version.as_str());
        }
        Form::Delete => {
            return Request::without_body(Method::DELETE).header("mcp-protocol-version", version.as_str());
        }
        Form::Answer => {
            let mut answer = Request::post(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
            answer.limits.client_answers = true;
            return answer.header("mcp-protocol-version", version.as_str());
        }
        Form::Request | Form::Notification => {}
    }
    let mut body = json!({"jsonrpc": "2.0", "method": row.method, "params": params(row, version)});
    if row.form == Form::Request {
        body["id"] = json!(1);
    }
    if version.is_stateless() {
        body["params"]["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": version.as_str(),
            "io.modelcontextprotocol/clientCapabilities": {},
        });
    }
    let request = Request::post(&body.to_string()).header("mcp-protocol-version", version.as_str());
    match (version.is_stateless(), row.target) {
        (true, TargetKind::Tool | TargetKind::Prompt) => request.header("mcp-name", "n"),
        (true, TargetKind::Resource) => request.header("mcp-name", "u"),
        _ => request,
    }
    .header("mcp-method", row.method)
}

/// The same request with one word changed: the method's, or what allows it.
fn twin(request: &Request, row: &MethodRow) -> Request {
    match row.form {
        Form::Get | Form::Delete => return Request { method: Method::PUT, ..request.clone() },
        Form::Answer => return Request { limits: Limits::default(), ..request.clone() },
        Form::Request | Form::Notification => {}
    }
    let other = format!("{}s", row.method);
    let body = String::from_utf8(request.body.clone()).unwrap();
    let body = body.replace(&format!("\"{}\"", row.method), &format!("\"{other}\"")).into_bytes();
    Request { body, ..request.clone() }.header("mcp-method", &other)
}

#[test]
fn tasks_are_refused_by_name_in_every_version() {
    for (method, form) in TASKS {
        for version in Version::ALL {
            let row = MethodRow { method, form, ..methods()[0] };
            let (status, code, reason) = request(&row, version).refused();
            let expected = if version.is_stateless() { 404 } else { 400 };
            assert_eq!((status, code, reason), (expected, -32601, "tasks_not_supported"), "{method}");
        }
    }
}

#[test]
fn the_decoder_does_what_the_table_says() {
    for row in methods() {
        for version in Version::ALL {
            let served = if version.is_stateless() { row.stateless } else { row.legacy };
            let request = request(row, version);
            if !served {
                assert_eq!(request.refused().2, refusal(row), "{} {version:?}", row.method);
                continue;
            }
            let call = request.accepted();
            assert_eq!(twin(&request, row).refused().2, refusal(row), "{}'s twin", row.method);
            assert_eq!((call.method, call.version), (row.method, version));
            assert_eq!(call.list, row.list, "{}", row.method);
            assert_eq!(call.id.is_some(), row.form == Form::Request, "{}", row.method);
            assert_eq!(call.arguments.is_some(), row.arguments != Arguments::None, "{}", row.method);
            let kind = match call.target {
                Target::Tool { .. } => vec![TargetKind::Tool],
                Target::Prompt { .. } => vec![TargetKind::Prompt, TargetKind::Reference],
                Target::Resource { .. } => vec![TargetKind::Resource, TargetKind::Subscriptions],
                Target::Protocol => vec![TargetKind::Protocol],
            };
            assert!(kind.contains(&row.target), "{}", row.method);
        }
    }
}

#[test]
fn every_method_stands_in_the_table_once() {
    for (at, row) in methods().iter().enumerate() {
        assert!(row.legacy || row.stateless, "{}", row.method);
        assert!(methods().iter().skip(at + 1).all(|other| other.method != row.method), "{}", row.method);
    }
}
