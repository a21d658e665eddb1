//! Good input, spoiled in many small ways, always the same ones: what holds for any bytes holds here.

mod properties;

const MUTATIONS: usize = 400;

const CALLS: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_object","arguments":{"key":"a","n":[1,-2.5e3,null]}}}"#,
    r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"name":"a","arguments":{"A":1,"b":"\ud83d\ude00"}}}"#,
    r#"{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"s3://demo/a"}}"#,
    r#"{"jsonrpc":"2.0","id":3,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"u"},"argument":{"name":"n","value":"v"}}}"#,
    r#"{"jsonrpc":"2.0","id":4,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    r#"{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"notifications":{"resourceSubscriptions":["u","v"]}}}"#,
];

const LISTS: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"b","x":1e999}],"ttlMs":1,"cacheScope":"public"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"resources":[{"uri":"a"},{"name":"b","uri":"\u0063"}]}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"prompts":[],"resourceTemplates":[{"uriTemplate":"a"}]}}"#,
];

const ANSWERS: &[&str] = &[
    concat!(
        "\u{1}",
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"a\"b"}]}}"#
    ),
    concat!(
        "\u{2}",
        r#"{"id":1,"result":{"inputRequests":{"a":{"method":"elicitation/create"}},"resultType":"input_required"}}"#
    ),
    concat!("\u{3}", r#"{"jsonrpc":"2.0","id":"x","method":"roots/list","params":{}}"#),
    concat!("\u{4}", r#"{"error":{"code":-1,"message":"m"},"id":null}"#),
];

const STREAMS: &[&str] = &[
    "\u{1}\u{FEFF}id: 1\r\ndata: {\"a\":1}\r\ndata: b\r\n\r\n: comment\r\n\r\ndata\r\n\r\n",
    "\u{2}event: message\ndata:one\n\nretry: 3\n\ndata: two\rdata: three\r\rdata: half",
];

/// Pieces that matter to some parser.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b" ",
    b"0",
    b"-",
    b"1e999",
    b"null",
    b"\\ud800",
    b"\\u0000",
    b"\xFF",
    b"\xEF\xBB\xBF",
    b"data:",
    b"\"name\":\"x\",",
    b"\"Name\":\"x\",",
    b"\"id\":1,",
    b"\"params\":{},",
    b"\"result\":{},",
    b"\"resultType\":\"input_required\",",
    b"18446744073709551616",
];

/// Numbers that look random and are the same in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        let end = at + self.below((bytes.len() - at).min(24));
        match self.below(5) {
            0 => bytes[at] = self.below(256) as u8,
            1 => drop(bytes.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied())),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.extend_from_within(at..end),
            _ => {
                let piece = bytes[at..end].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
}

/// Calls `property` with every seed as it is, and spoiled once to four times. Good bytes and bad ones must come by.
#[track_caller]
fn holds(seeds: &[&str], property: fn(&[u8]) -> bool) {
    let mut dice = Dice(0x5A11_7907);
    let (mut good, mut bad) = (0, 0);
    for seed in seeds {
        assert!(property(seed.as_bytes()), "{seed}");
        for _ in 0..MUTATIONS {
            let mut bytes = seed.as_bytes().to_vec();
            for _ in 0..=dice.below(4) {
                if !bytes.is_empty() {
                    dice.spoil(&mut bytes);
                }
            }
            *if property(&bytes) { &mut good } else { &mut bad } += 1;
        }
    }
    assert!(good > MUTATIONS / 10 && bad > 0, "{good} good, {bad} bad");
}

#[test]
fn the_scanner_accepts_nothing_that_another_parser_refuses() {
    holds(CALLS, properties::json);
}

#[test]
fn a_call_is_what_another_parser_reads_in_the_body() {
    holds(CALLS, properties::call);
}

#[test]
fn a_list_loses_what_goes_and_nothing_else() {
    holds(LISTS, properties::list);
}

#[test]
fn an_answer_that_streams_by_hides_nothing() {
    holds(ANSWERS, properties::answer);
}

#[test]
fn a_stream_loses_no_byte_however_it_is_cut() {
    holds(STREAMS, properties::events);
}
