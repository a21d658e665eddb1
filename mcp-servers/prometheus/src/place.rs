//! Where an expression stops being one. The parser doesn't say; so the shortest beginning is looked for that nothing we know
//! of would complete. It is a help for whoever wrote it, and decides nothing.

use promql_parser::parser::{lexer, parse};

/// What the parser says when it has nothing to say.
const UNSPECIFIC: &str = "invalid promql query";
/// In longer expressions the place isn't looked for: the end is named.
const BYTES_MAX: usize = 1024;
/// What may be missing at the end of a beginning.
const REST: [&str; 18] = [
    "", "a", " a", "(a)", "(a)(a)", "(a) a", "5m", " 5m", " 1", "[5m]", "=\"a\"", "\"a\"", "= a", "a[5m]",
    "m", "5", "1, a", ", a",
];
/// And behind the parenthesis that is open there.
const BEHIND: [&str; 3] = ["", "(a)", " a"];

/// What is wrong with an expression that failed with `error`, and at which character, counted from 1.
pub(crate) fn failure(text: &str, error: &str) -> (String, usize) {
    let ends: Vec<usize> = text.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
    let begin =
        |count: usize| text.get(..ends.get(count - 1).copied().unwrap_or_default()).unwrap_or_default();
    let last = ends.len().max(1);
    if let Err(error) = lexer(text) {
        let place = first(last, |count| lexer(begin(count)).is_err_and(|found| found == error));
        return (error, place);
    }
    let what = if error == UNSPECIFIC { "this is no PromQL expression" } else { error };
    let place = match text.len() {
        0..=BYTES_MAX => first(last, |count| !can_be_completed(begin(count), error)),
        _ => last,
    };
    (what.to_owned(), place)
}

/// The first count that is bad, where `last` is, and one more than a bad one is bad, too.
fn first(last: usize, bad: impl Fn(usize) -> bool) -> usize {
    let (mut below, mut found) = (0, last);
    while found - below > 1 {
        let middle = below.midpoint(found);
        if bad(middle) { found = middle } else { below = middle }
    }
    found
}

fn can_be_completed(begin: &str, error: &str) -> bool {
    let (quote, open) = unclosed(begin);
    let mut begin = begin.to_owned();
    begin.extend(quote);
    let (innermost, outer) = match open.split_last() {
        Some((c, outer)) => (c.to_string(), outer.iter().rev().collect::<String>()),
        None => (String::new(), String::new()),
    };
    REST.iter().any(|rest| {
        BEHIND.iter().any(|behind| {
            let whole = format!("{begin}{rest}{innermost}{behind}{outer}");
            match parse(&whole) {
                Ok(_) => true,
                Err(other) => other != UNSPECIFIC && other != error && lexer(&whole).is_ok(),
            }
        })
    })
}

/// The quote that is open at the end, and what would close the brackets, the innermost last.
fn unclosed(text: &str) -> (Option<char>, Vec<char>) {
    let (mut quote, mut open) = (None, Vec::new());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('"' | '\''), '\\') => drop(chars.next()),
            (Some('#'), '\n') => quote = None,
            (Some(q), _) if q == c && q != '#' => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`' | '#') => quote = Some(c),
            (None, '(') => open.push(')'),
            (None, '[') => open.push(']'),
            (None, '{') => open.push('}'),
            (None, ')' | ']' | '}') => drop(open.pop()),
            (None, _) => {}
        }
    }
    (quote.map(|q| if q == '#' { '\n' } else { q }), open)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn the_place_is_where_it_went_wrong() {
        for (text, position) in [
            ("up{job=}", 8),
            ("sum(up))", 8),
            ("up{job=\"a\"} )", 13),
            ("up + * up", 6),
            ("sum by job (up)", 8),
            ("rate(up)", 8),
            ("up up", 4),
            ("up{job=\"a\" instance=\"b\"}", 12),
            ("up §", 4),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(failure(text, &error).1, position, "{text}: {error}");
        }
        for text in ["", "(", "up{", "\"", "ü", &"(".repeat(1000)] {
            let (what, position) = failure(text, &parse(text).unwrap_err());
            assert!(!what.is_empty() && position <= text.chars().count().max(1), "{text}");
        }
    }
}
