#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;

fn fence(text: &str) -> Fence {
    Fence::parse(&[text.to_owned()]).unwrap()
}

async fn ml(query: &str) -> Result<String, PrometheusError> {
    fence("namespace=\"ml\"").query(query).await.map(|query| query.text)
}

/// Every selector of a text has the fence.
fn all_fenced(text: &str) -> bool {
    struct Selectors(usize, usize);
    fn count(expr: &Expr, found: &mut Selectors) {
        let mut selector = |vs: &VectorSelector| {
            let has = vs.matchers.matchers.iter().any(|m| m.to_string() == "namespace=\"ml\"");
            (found.0, found.1) = (found.0 + 1, found.1 + usize::from(has));
        };
        match expr {
            Expr::Aggregate(e) => {
                count(&e.expr, found);
                e.param.iter().for_each(|p| count(p, found));
            }
            Expr::Unary(e) => count(&e.expr, found),
            Expr::Binary(e) => [&e.lhs, &e.rhs].into_iter().for_each(|e| count(e, found)),
            Expr::Paren(e) => count(&e.expr, found),
            Expr::Subquery(e) => count(&e.expr, found),
            Expr::Call(e) => e.args.args.iter().for_each(|e| count(e, found)),
            Expr::VectorSelector(vs) => selector(vs),
            Expr::MatrixSelector(ms) => selector(&ms.vs),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        }
    }
    let mut found = Selectors(0, 0);
    count(&parse(text).unwrap(), &mut found);
    found.0 > 0 && found.0 == found.1
}

#[tokio::test]
async fn a_fence_stands_in_every_selector() {
    for (query, fenced) in [
        ("up", "up{namespace=\"ml\"}"),
        ("up{job=\"a\"}", "up{job=\"a\",namespace=\"ml\"}"),
        ("up{namespace=\"ops\"}", "up{namespace=\"ml\",namespace=\"ops\"}"),
        ("up{namespace=~\".*\"}", "up{namespace=\"ml\",namespace=~\".*\"}"),
        ("up{namespace!=\"ml\"}", "up{namespace!=\"ml\",namespace=\"ml\"}"),
        ("{__name__=~\".+\"}", "{__name__=~\".+\",namespace=\"ml\"}"),
        ("{\"up\"}", "{__name__=\"up\",namespace=\"ml\"}"),
        ("{\"up}or secret{\"}", "{__name__=\"up}or secret{\",namespace=\"ml\"}"),
        ("rate(x[5m] offset 1h)", "rate(x{namespace=\"ml\"}[5m] offset 1h)"),
        ("x @ 1700000000 offset -5m", "x{namespace=\"ml\"} @ 1700000000.000 offset -5m"),
        (
            "max_over_time(rate(x[1m])[1h:5m] @ end())",
            "max_over_time(rate(x{namespace=\"ml\"}[1m])[1h:5m] @ end())",
        ),
        ("topk(scalar(secret), up)", "topk(scalar(secret{namespace=\"ml\"}), up{namespace=\"ml\"})"),
        (
            "label_replace(up, \"namespace\", \"ml\", \"\", \"\")",
            "label_replace(up{namespace=\"ml\"}, \"namespace\", \"ml\", \"\", \"\")",
        ),
        (
            "-a + (b / on(job) group_left(x) c)",
            "-a{namespace=\"ml\"} + (b{namespace=\"ml\"} / on (job) group_left (x) c{namespace=\"ml\"})",
        ),
        (
            "a unless b or absent(c)",
            "a{namespace=\"ml\"} unless b{namespace=\"ml\"} or absent(c{namespace=\"ml\"})",
        ),
        ("sum by () (up) # } or secret", "sum(up{namespace=\"ml\"})"),
        ("up{job='\"}\\n`'}", "up{job=\"\\\"}\\n`\",namespace=\"ml\"}"),
        ("up{job=`a\"`}", "up{job=\"a\\\"\",namespace=\"ml\"}"),
        ("count_values(\"v\", up) > bool 1", "count_values(\"v\", up{namespace=\"ml\"}) > bool 1"),
        (
            "quantile_over_time(scalar(q), x[5m])",
            "quantile_over_time(scalar(q{namespace=\"ml\"}), x{namespace=\"ml\"}[5m])",
        ),
    ] {
        let found = ml(query).await.unwrap();
        assert_eq!(found, fenced, "{query}");
        assert!(all_fenced(&found), "{found}");
    }
    assert_eq!(ml("1 + 1").await.unwrap(), "1 + 1");
}

#[tokio::test]
async fn what_cannot_be_fenced_is_not_sent() {
    for query in [
        "up{namespace=\"ml\" or namespace=\"ops\"}",
        "info(up)",
        "{\"a b\"=\"x\", job=\"y\"}",
        "up{\"name space\"=\"x\"}",
        "x @ -5",
        "a * ignoring() group_left b",
        "up[5m]",
    ] {
        let refused = ml(query).await;
        assert!(matches!(refused, Err(PrometheusError::Unsupported(_))), "{query}: {refused:?}");
    }
    for query in [
        "",
        "up{",
        "up} or secret{",
        "up{job=\"a\"",
        "up; up",
        "sum(up",
        "rate(up)",
        "{}",
        "up{job=~\"(\"}",
        "no_such(up)",
    ] {
        let refused = ml(query).await;
        assert!(matches!(refused, Err(PrometheusError::Query { .. })), "{query}: {refused:?}");
    }
}

#[tokio::test]
async fn a_query_that_is_deep_or_absurd_ends_nothing() {
    for query in [
        "(".repeat(4000),
        format!("{}up{}", "(".repeat(1300), ")".repeat(1300)),
        format!("{}up", "-".repeat(4000)),
        format!("up{}", "+up".repeat(1300)),
        format!("up{}", "^up".repeat(1300)),
        "x[1e300]".to_owned(),
        "x offset 1e300".to_owned(),
        "rate(x[99999999999999999999y])".to_owned(),
        "ü".repeat(2000),
        "up".repeat(5000),
    ] {
        if let Ok(text) = ml(&query).await {
            assert!(all_fenced(&text));
        }
    }
}

/// A quarter of what a worker thread has.
const SMALL_STACK: usize = 512 << 10;

#[test]
fn what_is_parsed_in_place_fits_on_a_small_stack() {
    let queries = [
        format!("{}up{}", "(".repeat(16), ")".repeat(16)),
        format!("{}up{}", "sum(".repeat(16), ")".repeat(16)),
        format!("{}up", "-".repeat(32)),
        format!("up{}", "+up".repeat(32)),
        format!("up{}", "^up".repeat(32)),
        format!("up{}", " or up".repeat(16)),
    ];
    let texts = [
        "(".repeat(32),
        format!("no_such(up){}", "+up".repeat(28)),
        format!("up{}", "[5m:]".repeat(8)),
        format!("{}up", "@ ".repeat(16)),
    ];
    let work = move || {
        let fence = fence("namespace=\"ml\"");
        for query in queries {
            assert!(fence.is_quick(&query) && !fence.is_quick(&format!("-{query}")), "{query}");
            assert!(all_fenced(&fenced(&query, &fence.0).unwrap().text), "{query}");
        }
        for text in texts {
            assert!(fence.is_quick(&text) && parse(&text).is_err(), "{text}");
        }
    };
    std::thread::Builder::new().stack_size(SMALL_STACK).spawn(work).unwrap().join().unwrap();
}

#[test]
fn what_compiles_a_regular_expression_is_not_parsed_in_place() {
    let plain = fence("namespace=\"ml\"");
    assert!(plain.is_quick("up{job=\"a\"}") && !plain.is_quick("up{job=~\"a\"}"));
    assert!(!fence("namespace=~\"ml\"").is_quick("up") && !fence("namespace!~\"ml\"").is_quick("up"));
    assert!(
        plain.is_quick(&"u".repeat(SHALLOW_BYTES_MAX)) && !plain.is_quick(&"u".repeat(SHALLOW_BYTES_MAX + 1))
    );
}

#[tokio::test]
async fn a_fence_may_be_of_names_and_of_several_labels() {
    let names = fence("__name__=~\"ml_.*\"");
    assert_eq!(names.query("up").await.unwrap().text, "{__name__=\"up\",__name__=~\"ml_.*\"}");
    assert_eq!(names.query("{__name__=\"up\"}").await.unwrap().text, "{__name__=\"up\",__name__=~\"ml_.*\"}");
    let both = Fence::parse(&["a=\"1\",b!=\"2\"".to_owned(), "c=~\"3|\"".to_owned()]).unwrap();
    assert_eq!(both.query("up").await.unwrap().text, "up{a=\"1\",b!=\"2\",c=~\"3|\"}");
    assert_eq!(both.everything().unwrap(), "{__name__=~\".+\",a=\"1\",b!=\"2\",c=~\"3|\"}");
    let labels =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<Labels>();
    assert!(both.holds(&labels(&[("a", "1")])));
    assert!(!both.holds(&labels(&[("a", "1"), ("b", "2")])));
    assert!(!both.holds(&labels(&[("a", "1"), ("c", "34")])), "a pattern is of the whole value");
    assert!(!both.holds(&labels(&[])));
    assert_eq!((Fence::default().everything(), Fence::default().is_open()), (None, true));
    for wrong in [
        "",
        "namespace",
        "namespace=ml",
        "a=\"1\"} or up{b=\"2\"",
        "a=\"1\" or b=\"2\"",
        "a=\"1\"} offset 5m #",
        "a=~\"(\"",
    ] {
        assert!(Fence::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn selectors_and_metrics_are_read_of_the_tree() {
    let fence = fence("namespace=\"ml\"");
    assert_eq!(fence.selector("up").await.unwrap(), "up{namespace=\"ml\"}");
    for wrong in ["up offset 5m", "sum(up)", "up[5m]", "up or up", "1", "up @ 5"] {
        assert!(fence.selector(wrong).await.is_err(), "{wrong}");
    }
    let metrics = async |query: &str| Fence::default().query(query).await.unwrap().metrics;
    let named = |names: &[&str]| names.iter().map(|n| Some((*n).to_owned())).collect::<Vec<_>>();
    assert_eq!(metrics("topk(scalar(a), rate(b[5m])) + {__name__=\"c\"}").await, named(&["a", "b", "c"]));
    assert_eq!(metrics("{__name__=~\"a\"}").await, [None]);
    assert_eq!(metrics("{job=\"a\"}").await, [None]);
}
