//! Moments, as ProtoJSON writes them and protobuf counts them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// RFC 3339 in UTC. None: beyond what it can write.
pub(super) fn text(seconds: i64, nanos: u32) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok()?.replace_nanosecond(nanos).ok()?;
    moment.format(&Rfc3339).ok()
}

/// Seconds since 1970 and nanoseconds behind them.
pub(super) fn parts(text: &str) -> Option<(i64, u32)> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some((moment.unix_timestamp(), moment.nanosecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_both_ways() {
        for (written, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2026-11-21T10:00:00.5Z", 1_795_255_200, 500_000_000),
            ("1969-12-31T23:59:59.25Z", -1, 250_000_000),
        ] {
            assert_eq!(parts(written), Some((seconds, nanos)));
            assert_eq!(text(seconds, nanos).as_deref(), Some(written));
        }
        assert_eq!(text(i64::MAX, 0), None);
        assert_eq!(parts("yesterday"), None);
    }
}
