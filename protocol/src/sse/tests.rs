//! What a reader of the standard sees, and that no byte is lost on the way.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;

/// The stream in chunks of a size: every event, the rest included.
fn events(stream: &[u8], chunk_size: usize) -> Vec<Event> {
    let mut events = Events::new(1000);
    let mut all = Vec::new();
    for chunk in stream.chunks(chunk_size) {
        all.extend(events.push(chunk).unwrap());
    }
    all.extend(events.finish().unwrap());
    all
}

fn data(stream: &[u8], chunk_size: usize) -> Vec<String> {
    events(stream, chunk_size).iter().filter_map(|event| Some(event.data()?.into_owned())).collect()
}

#[test]
fn chunks_may_end_anywhere_and_lines_in_three_ways() {
    let streams: [&[u8]; 6] = [
        b"data: one\n\ndata: two\ndata:three\n\n: comment\n\nid: 4\ndata\n\n",
        b"data: one\r\n\r\ndata: two\r\ndata:three\r\n\r\n: comment\r\n\r\nid: 4\r\ndata\r\n\r\n",
        b"data: one\r\rdata: two\rdata:three\r\r: comment\r\rid: 4\rdata\r\r",
        b"data: one\r\n\rdata: two\n\ndata: two\r\rdata: two\r\n\n",
        b"\xEF\xBB\xBFdata: one\n\ndata: two\ndata:three\n\ndata\n\n",
        b"\n\n\r\ndata: one\n\n",
    ];
    let whole = ["one", "two\nthree", ""];
    let seen: [&[&str]; 6] = [&whole, &whole, &whole, &["one", "two", "two", "two"], &whole, &["one"]];
    for (stream, seen) in streams.into_iter().zip(seen) {
        for size in 1..=stream.len() {
            assert_eq!(data(stream, size), seen, "{stream:?} in chunks of {size}");
            let raw: Vec<u8> = events(stream, size).iter().flat_map(|event| event.raw.to_vec()).collect();
            assert_eq!(raw, stream);
        }
    }
}

#[test]
fn an_event_comes_out_as_soon_as_its_blank_line_is_there() {
    let mut events = Events::new(100);
    assert_eq!(events.push(b"data: 1\r\n").unwrap(), []);
    assert_eq!(events.push(b"\r").unwrap().len(), 1);
    assert_eq!(events.push(b"\n").unwrap(), []);
    let next = events.push(b"data: 2\r\n\r\n").unwrap();
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].data().as_deref(), Some("2"));
    assert_eq!(next[0].raw, "\ndata: 2\r\n\r\n"); // The line feed that belongs to the first event.
}

#[test]
fn only_the_exact_field_name_is_data() {
    for (line, seen) in [
        ("data: x", Some("x")),
        ("data:  x", Some(" x")),
        ("data:", Some("")),
        ("data", Some("")),
        ("Data: x", None),
        (" data: x", None),
        ("data2: x", None),
        (":data: x", None),
        ("event: data", None),
    ] {
        let event = events(format!("{line}\n\n").as_bytes(), 1000).remove(0);
        assert_eq!(event.data().as_deref(), seen, "{line}");
    }
}

#[test]
fn a_mark_in_the_middle_of_a_stream_is_no_mark() {
    assert_eq!(data(b"\xEF\xBB\xBFdata: 1\n\n", 1), ["1"]);
    assert_eq!(data(b"\n\n\xEF\xBB\xBFdata: 1\n\n", 1), Vec::<String>::new());
}

#[test]
fn an_event_written_anew_has_its_fields_and_the_data_given() {
    let event =
        events(b"id: 7\r\n:c\r\ndata: a\r\nretry:1\r\ndata: b\r\nevent: message\r\n\r\n", 1000).remove(0);
    assert_eq!(event.plain(Some(b"x")), "id: 7\nretry:1\nevent: message\ndata: x\n\n");
    assert_eq!(event.plain(None), "id: 7\nretry:1\nevent: message\ndata:\n\n");
    for text in ["", "x", "x\ny", "x\n", "\n", " x"] {
        let again = events(&event.plain(Some(text.as_bytes())), 1000);
        assert_eq!(again.len(), 1, "{text:?}");
        assert_eq!(again[0].data().as_deref(), Some(text));
    }
}

#[test]
fn an_event_without_data_can_be_given_some() {
    let event = events(b"id: 7\n\n", 1000).remove(0);
    assert_eq!(event.data(), None);
    assert_eq!(event.plain(Some(b"x")), "id: 7\ndata: x\n\n");
    assert_eq!(event.plain(None), "id: 7\n\n");
}

#[test]
fn an_event_can_lose_its_data_and_keep_its_place() {
    let without = |text: &str| events(text.as_bytes(), 1000).remove(0).without_data();
    assert_eq!(without("event: message\nid: 7\nretry: 3\ndata: x\ndata: y\n\n"), "id: 7\nretry: 3\n\n");
    assert_eq!(without("data: x\n\n"), ":\n\n");
    assert_eq!(events(&without("id: 7\ndata: x\n\n"), 1000).remove(0).data(), None);
}

#[test]
fn a_line_that_only_a_lenient_reader_takes_for_a_field_is_not_written_again() {
    let plain = |text: &str| events(text.as_bytes(), 1000).remove(0).plain(Some(b"x"));
    for odd in
        ["DATA: y", " data: y", "data : y", ": y", "id: 1\u{2028}data: y", "event: m\u{c}data: y", "x: y"]
    {
        assert_eq!(plain(&format!("{odd}\ndata: z\n\n")), "data: x\n\n", "{odd:?}");
    }
    assert_eq!(events(b": keep-alive\n\n", 1000).remove(0).plain(None), ":\n\n");
}

#[test]
fn a_half_event_at_the_end_is_not_overlooked() {
    assert_eq!(data(b"data: 1\n\ndata: 2", 3), ["1", "2"]);
    assert_eq!(data(b"data: 1\n\ndata: 2\n", 3), ["1", "2"]);
    assert_eq!(events(b"data: 1\n\n", 3).len(), 1);
}

#[test]
fn an_event_of_the_limit_passes_and_one_byte_more_does_not() {
    let mut events = Events::new(9);
    assert_eq!(events.push(b"data: 1\n\ndata: 2\n\n").unwrap().len(), 2);
    assert_eq!(Events::new(8).push(b"data: 1\n\n"), Err(SseError::TooLong { max: 8 }));
    let mut endless = Events::new(8);
    assert_eq!(endless.push(b"data: 12"), Ok(Vec::new()));
    assert_eq!(endless.push(b"3"), Err(SseError::TooLong { max: 8 }));
}

#[test]
fn data_that_is_not_utf_8_is_decoded_as_readers_do() {
    assert_eq!(data(b"data: \xFF\n\n", 1), ["\u{FFFD}"]);
}
