#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;

/// A filter as it is sent.
fn sent(entity: Entity, text: &str) -> Result<String, MlflowError> {
    let filter = Filter::parse(entity, text)?;
    let sent = filter.to_string();
    assert_eq!(Filter::parse(entity, &sent).as_ref(), Ok(&filter), "{text} became {sent}");
    Ok(sent)
}

#[test]
fn a_filter_is_written_anew_and_means_the_same() {
    use Entity::{Experiments, Models, Runs, Traces, Versions};
    for (entity, text, wanted) in [
        (Runs, "metrics.acc>0.9", "metrics.`acc` > 0.9"),
        (Runs, "  metric.`val/loss x` <= -1e-3 ", "metrics.`val/loss x` <= -0.001"),
        (
            Runs,
            "params.\"lr\" = \"0.1\" and parameter.opt != 'adam'",
            "params.`lr` = '0.1' AND params.`opt` != 'adam'",
        ),
        (Runs, "tags.mlflow.source.name like '%x%'", "tags.`mlflow.source.name` LIKE '%x%'"),
        (Runs, "tag.a ILIKE \"it's\"", "tags.`a` ILIKE \"it's\""),
        (Runs, "attributes.status = 'RUNNING' AND run.run_name = ''", "status = 'RUNNING' AND run_name = ''"),
        (Runs, "run_id in ('a', \"b\")", "run_id IN ('a', 'b')"),
        (Runs, "attr.run_id NOT IN ('a')", "run_id NOT IN ('a')"),
        (Runs, "params.x IS null AND tags.y is not NULL", "params.`x` IS NULL AND tags.`y` IS NOT NULL"),
        (Runs, "dataset.name IN ('d')", "dataset.name IN ('d')"),
        (Runs, "start_time >= 1700000000000", "start_time >= 1700000000000"),
        (Runs, "tags.a = 'x'' ", ""),
        (Runs, "tags.a = 'x; DROP TABLE runs --'", "tags.`a` = 'x; DROP TABLE runs --'"),
        (Experiments, "name LIKE 'team-%' AND tags.k = 'v'", "name LIKE 'team-%' AND tags.`k` = 'v'"),
        (Experiments, "attribute.last_update_time > 5", "last_update_time > 5"),
        (Models, "name ILIKE 'fr%'", "name ILIKE 'fr%'"),
        (
            Versions,
            "name='fraud' AND version_number = 3 AND run_id IN ('a')",
            "name = 'fraud' AND version_number = 3 AND run_id IN ('a')",
        ),
        (Traces, "trace.status = 'OK' AND timestamp_ms > 1", "status = 'OK' AND timestamp_ms > 1"),
        (
            Traces,
            "metadata.k = 'v' AND span.name RLIKE 'a\\d+'",
            "request_metadata.`k` = 'v' AND span.name RLIKE 'a\\d+'",
        ),
        (Traces, "span.content LIKE '%x%'", "span.content LIKE '%x%'"),
    ] {
        match sent(entity, text) {
            Ok(sent) => assert_eq!(sent, wanted, "{text}"),
            Err(error) => assert_eq!(wanted, "", "{text}: {error}"),
        }
    }
}

#[test]
fn what_is_no_filter_is_refused_with_its_place() {
    use Entity::{Experiments, Models, Runs, Traces, Versions};
    let mut wrong = Vec::new();
    for (entity, text, position) in [
        (Runs, "", 1),
        (Runs, "   ", 4),
        (Runs, "metrics.acc", 12),
        (Runs, "metrics.acc > ", 15),
        (Runs, "metrics.acc > 'a'", 15),
        (Runs, "metrics.acc LIKE 1", 13),
        (Runs, "metrics.acc > 1 OR 1 = 1", 17),
        (Runs, "metrics.acc > 1; DROP TABLE runs", 16),
        (Runs, "metrics.acc > 1 -- x", 17),
        (Runs, "metrics.acc > 1 /* x */", 17),
        (Runs, "metrics.acc > 1 AND", 20),
        (Runs, "(metrics.acc > 1)", 1),
        (Runs, "NOT metrics.acc > 1", 1),
        (Runs, "1 = 1", 1),
        (Runs, "metrics.acc > nan", 15),
        (Runs, "metrics.acc > 1e999", 15),
        (Runs, "metrics.acc > 0x10", 15),
        (Runs, "metrics.acc > 1.2.3", 15),
        (Runs, "metrics. > 1", 9),
        (Runs, "metrics.`a`` > 1", 9),
        (Runs, "metrics.`a", 9),
        (Runs, "metrics.\"a`b\" > 1", 9),
        (Runs, "metrics.'a' > 1", 9),
        (Runs, "artifact_uri = 'x'", 1),
        (Runs, "artifact_uri LIKE 's3://%'", 1),
        (Runs, "secret.x = 'y'", 1),
        (Runs, "attributes.password = 'y'", 12),
        (Runs, "params.x = 'it''s'", 12),
        (Runs, "params.x = 'a\\'", 12),
        (Runs, "params.x = 'a\\' AND tags.y = '", 12),
        (Runs, "params.x = 'open", 12),
        (Runs, "params.x = 'a\u{0}b'", 12),
        (Runs, "params.x = 'a\u{202e}b'", 12),
        (Runs, "params.x RLIKE 'a'", 10),
        (Runs, "params.x IN ('a')", 10),
        (Runs, "run_id IN ()", 12),
        (Runs, "run_id IN ('a' 'b')", 16),
        (Runs, "run_id IN ('a\\x41')", 12),
        (Runs, "run_id IN (1)", 12),
        (Runs, "status IS NULL", 8),
        (Runs, "dataset.x = 'a'", 9),
        (Runs, "params.ü = 'a'", 8),
        (Experiments, "metrics.acc > 1", 1),
        (Models, "run_id = 'a'", 1),
        (Models, "tags.a IS NULL", 8),
        (Versions, "source_path = '/etc/passwd'", 1),
        (Versions, "version_number = '1'", 18),
        (Traces, "span.secret = 'a'", 6),
        (Traces, "span.content = 'a'", 14),
        (Traces, "text LIKE 'x'", 1),
    ] {
        match Filter::parse(entity, text) {
            Err(MlflowError::Filter { position: found, .. }) if found == position => {}
            Err(MlflowError::Filter { position: found, .. }) => {
                wrong.push(format!("{text}: {found} and not {position}"))
            }
            other => wrong.push(format!("{text}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for long in [
        "x".repeat(5000),
        vec!["tags.a = 'b'"; 33].join(" AND "),
        format!("run_id IN ({})", vec!["'a'"; 101].join(",")),
    ] {
        assert!(matches!(Filter::parse(Runs, &long), Err(MlflowError::Filter { .. })));
    }
}

#[test]
fn an_order_is_written_anew() {
    use Entity::{Experiments, Models, Runs, Traces, Versions};
    for (entity, text, wanted) in [
        (Runs, "metrics.acc DESC", Some("metrics.`acc` DESC")),
        (Runs, "params.`a b`", Some("params.`a b` ASC")),
        (Runs, "start_time desc", Some("start_time DESC")),
        (Experiments, "name", Some("name ASC")),
        (Models, "last_updated_timestamp DESC", Some("last_updated_timestamp DESC")),
        (Versions, "version_number DESC", Some("version_number DESC")),
        (Traces, "timestamp_ms", Some("timestamp_ms ASC")),
        (Traces, "tags.a", None),
        (Traces, "span.name", None),
        (Models, "tags.a", None),
        (Runs, "metrics.acc DESC, name", None),
        (Runs, "metrics.acc SIDEWAYS", None),
        (Runs, "", None),
        (Runs, "1", None),
        (Runs, "metrics.acc; --", None),
        (Runs, "metrics.\"a'b\"", None),
    ] {
        let found = Order::parse(entity, text).ok().map(|order| order.to_string());
        assert_eq!(found.as_deref(), wanted, "{text}");
    }
}

#[test]
fn a_name_narrows_a_filter() {
    let named = |text: &str, beginning| {
        Filter::named(Entity::Versions, text, beginning).map(|filter| filter.to_string())
    };
    assert_eq!(named("fraud", false).as_deref(), Some("name = 'fraud'"));
    assert_eq!(named("it's", true).as_deref(), Some("name LIKE \"it's%\""));
    assert_eq!(named("a'b\"", false), None);
    let both = Filter::parse(Entity::Versions, "run_id = 'a'")
        .unwrap()
        .and(Filter::named(Entity::Versions, "b", false).unwrap());
    assert_eq!(both.to_string(), "run_id = 'a' AND name = 'b'");
}
