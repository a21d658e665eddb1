//! Times, and how many points lie between two of them.

use crate::client::Point;
use crate::error::PrometheusError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds of the years 1970 to 9999.
const SECONDS_MAX: f64 = 253_402_300_799.0;
/// Steps that people read easily, in seconds; beyond them it is days.
const STEPS: [f64; 18] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0,
    21_600.0, 43_200.0, 86_400.0,
];

/// A range of times and the distance of its points, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) step: f64,
}

impl Range {
    /// A range with the step that was asked for, or else the shortest usual one that gives no more than `wanted` points.
    pub(crate) fn new(
        (start, end): (f64, f64),
        step: Option<f64>,
        wanted: usize,
        points_max: usize,
    ) -> Result<Self, PrometheusError> {
        if end <= start {
            return Err(PrometheusError::Arguments("start has to be before end".into()));
        }
        let length = end - start;
        let step = match step {
            Some(step) if step.is_finite() && step >= 0.001 => step,
            Some(_) => return Err(PrometheusError::Arguments("step_seconds is 0.001 at least".into())),
            None => {
                let least = length / (wanted.max(2) - 1) as f64;
                let usual = STEPS.into_iter().find(|step| *step >= least);
                usual.unwrap_or_else(|| (least / 86_400.0).ceil() * 86_400.0)
            }
        };
        let points = (length / step).floor() + 1.0;
        if points > points_max as f64 {
            let text = format!(
                "that are {points} points a series, and {points_max} are allowed: make step_seconds longer"
            );
            return Err(PrometheusError::Arguments(text));
        }
        Ok(Self { start, end, step })
    }
}

/// A time as the tools take it: `now`, `now-6h`, RFC 3339 or Unix seconds.
pub(crate) fn moment(text: &str, now: f64) -> Result<f64, PrometheusError> {
    let wrong = || {
        let text = "a time is now, now-6h (s, m, h, d or w), RFC 3339 or Unix seconds".to_owned();
        PrometheusError::Arguments(text)
    };
    let seconds = if text == "now" {
        now
    } else if let Some(ago) = text.strip_prefix("now-") {
        let unit = ago.chars().next_back().ok_or_else(wrong)?;
        let factor = match unit {
            's' => 1.0,
            'm' => 60.0,
            'h' => 3600.0,
            'd' => 86_400.0,
            'w' => 604_800.0,
            _ => return Err(wrong()),
        };
        let count: u32 = ago.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        now - f64::from(count) * factor
    } else if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        time.unix_timestamp() as f64 + f64::from(time.millisecond()) / 1000.0
    } else {
        text.parse().map_err(|_| wrong())?
    };
    if (0.0..=SECONDS_MAX).contains(&seconds) { Ok(seconds) } else { Err(wrong()) }
}

/// Makes points fewer: each of the new ones is the mean of neighbours, at the time of the first. How many became one is the
/// second value. NaN is left out of a mean that has anything else.
pub(crate) fn fewer(points: Vec<Point>, max: usize) -> (Vec<Point>, usize) {
    let together = points.len().div_ceil(max.max(1)).max(1);
    if together == 1 {
        return (points, 1);
    }
    let mean = |group: &[Point]| {
        let known: Vec<f64> = group.iter().filter_map(|p| number(&p.1)).filter(|v| !v.is_nan()).collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64; // NaN of none.
        group.first().map(|first| (first.0, told(mean)))
    };
    (points.chunks(together).filter_map(mean).collect(), together)
}

/// The number of a point.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A number as Prometheus writes it.
fn told(number: f64) -> String {
    match number {
        n if n.is_nan() => "NaN".into(),
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        n => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn a_step_is_chosen_that_fits() {
        let step = |length: f64, wanted| Range::new((0.0, length), None, wanted, 11_000).unwrap().step;
        assert_eq!(step(3600.0, 250), 15.0);
        assert_eq!(step(60.0, 500), 1.0);
        assert_eq!(step(86_400.0 * 3650.0, 100), 86_400.0 * 37.0);
        assert!(Range::new((0.0, 11_000.0), Some(1.0), 250, 11_000).is_err(), "that is one more");
        assert!(Range::new((0.0, 10_999.0), Some(1.0), 250, 11_000).is_ok());
        for (start, end, step) in [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (0.0, 1.0, 0.0), (0.0, 1.0, f64::NAN)] {
            assert!(Range::new((start, end), Some(step), 250, 11_000).is_err(), "{start} {end} {step}");
        }
    }

    #[test]
    fn times_are_read_in_four_forms_and_no_other() {
        let at = |text: &str| moment(text, 1_000_000.0).ok();
        assert_eq!((at("now"), at("now-2h"), at("12.5")), (Some(1e6), Some(992_800.0), Some(12.5)));
        assert_eq!(at("1970-01-02T00:00:00Z"), Some(86_400.0));
        for wrong in [
            "",
            "now-",
            "now+1h",
            "now-1y",
            "now-h",
            "now--1h",
            "yesterday",
            "NaN",
            "inf",
            "-1",
            "1e30",
            "now-9999999999w",
            "now-1ü",
        ] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn points_are_made_fewer_by_means() {
        let points: Vec<Point> = (0..10).map(|i| (f64::from(i), i.to_string())).collect();
        let (few, together) = fewer(points.clone(), 4);
        assert_eq!(together, 3);
        assert_eq!(few, [(0.0, "1".into()), (3.0, "4".into()), (6.0, "7".into()), (9.0, "9".into())]);
        assert_eq!(fewer(points.clone(), 10), (points, 1));
        let odd = vec![(0.0, "NaN".into()), (1.0, "2".into()), (2.0, "NaN".into()), (3.0, "NaN".into())];
        assert_eq!(fewer(odd, 2).0, [(0.0, "2".to_owned()), (2.0, "NaN".to_owned())]);
    }
}
