//! What a model would have to read a thousand points for: how they spread, where they tend to, and where they jump.

use schemars::JsonSchema;
use serde::Serialize;

/// Points on each side of a jump, at least.
const SIDE_MIN: usize = 5;
/// Jumps that are told of a series, at most.
const CHANGES_MAX: usize = 8;
/// How many standard errors a jump is from none, at least. The best of many places is taken, so that 2 would be chance.
const SCORE_MIN: f64 = 5.0;
/// A jump between two constants is told with this score.
const SCORE_MAX: f64 = 1e6;

/// Numbers of one series. NaN and infinities are left out.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Statistics {
    /// How many finite values there are
    pub(crate) count: usize,
    /// The least of them
    min: f64,
    /// The greatest of them
    max: f64,
    /// Their mean
    mean: f64,
    /// The value that half of them don't exceed
    p50: f64,
    /// The value that 90 percent don't exceed
    p90: f64,
    /// The value that 99 percent don't exceed
    p99: f64,
    /// The first one
    first: f64,
    /// The last one
    last: f64,
    /// Slope of the line of least squares, per hour
    pub(crate) trend_per_hour: f64,
    /// Where the level jumps, in the order of time
    pub(crate) change_points: Vec<Change>,
}

/// A jump of the level.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Change {
    /// When the new level begins, Unix seconds
    pub(crate) time: f64,
    /// The mean before, back to the jump before
    pub(crate) before: f64,
    /// The mean after, up to the next jump
    pub(crate) after: f64,
    /// How many standard errors the two means differ by, 5 at least
    score: f64,
}

/// The numbers of finite points in the order of time; none of no points.
pub(crate) fn statistics(points: &[(f64, f64)]) -> Option<Statistics> {
    let ((_, first), (_, last)) = (points.first()?, points.last()?);
    let values: Vec<f64> = points.iter().map(|p| p.1).collect();
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    Some(Statistics {
        count: values.len(),
        min: *sorted.first()?,
        max: *sorted.last()?,
        mean: mean(&values),
        p50: quantile(&sorted, 0.5),
        p90: quantile(&sorted, 0.9),
        p99: quantile(&sorted, 0.99),
        first: *first,
        last: *last,
        trend_per_hour: slope(points) * 3600.0,
        change_points: changes(points),
    })
}

/// From the first value on, so that equal ones have exactly that mean.
fn mean(values: &[f64]) -> f64 {
    let first = values.first().copied().unwrap_or_default();
    first + values.iter().map(|v| v - first).sum::<f64>() / values.len().max(1) as f64
}

/// Between the two neighbours, in proportion.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len().saturating_sub(1)) as f64;
    let value = |at: f64| sorted.get(at as usize).copied().unwrap_or_default();
    let (below, above) = (value(at.floor()), value(at.ceil()));
    if below == above { below } else { below + (above - below) * at.fract() }
}

/// Per second; 0 where there is one time only.
fn slope(points: &[(f64, f64)]) -> f64 {
    let (times, values): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    let (time, value) = (mean(&times), mean(&values));
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), (t, v)| {
        (above + (t - time) * (v - value), below + (t - time).powi(2))
    });
    if below > 0.0 { above / below } else { 0.0 }
}

/// Binary segmentation: the piece is cut where two levels describe it best, and each part again, as long as a cut is
/// significant (two-sample t of the means, [`SCORE_MIN`]) and describes the piece better than a straight line does.
fn changes(points: &[(f64, f64)]) -> Vec<Change> {
    let mut cuts: Vec<(usize, f64)> = Vec::new();
    let mut pieces = vec![(0, points.len())];
    while let Some((from, to)) = pieces.pop() {
        let Some((at, score)) = points.get(from..to).and_then(cut) else { continue };
        cuts.push((from + at, score));
        pieces.extend([(from, from + at), (from + at, to)]);
    }
    cuts.sort_by(|a, b| b.1.total_cmp(&a.1));
    cuts.truncate(CHANGES_MAX);
    cuts.sort_by_key(|cut| cut.0);
    let level = |from: usize, to: usize| {
        let values: Vec<f64> = points.iter().skip(from).take(to - from).map(|p| p.1).collect();
        mean(&values)
    };
    let mut told = Vec::new();
    for (nth, (at, score)) in cuts.iter().enumerate() {
        let from = nth.checked_sub(1).and_then(|before| cuts.get(before)).map_or(0, |c| c.0);
        let to = cuts.get(nth + 1).map_or(points.len(), |c| c.0);
        let time = points.get(*at).map_or(0.0, |p| p.0);
        told.push(Change { time, before: level(from, *at), after: level(*at, to), score: *score });
    }
    told
}

/// The best place to cut a piece in two, and its score; none that is good enough.
fn cut(piece: &[(f64, f64)]) -> Option<(usize, f64)> {
    let count = piece.len();
    if count < 2 * SIDE_MIN {
        return None;
    }
    let values: Vec<f64> = piece.iter().map(|p| p.1).collect();
    let centre = mean(&values);
    let squares = |level: f64| values.iter().map(|v| (v - level).powi(2)).sum::<f64>();
    let total = squares(centre);
    if total == 0.0 {
        return None;
    }
    let (mut best, mut left) = ((0, 0.0), 0.0);
    for at in 1..=count - SIDE_MIN {
        left += values.get(at - 1)? - centre;
        // What two levels explain of the squares: their sums are opposite, since they are taken from the common mean.
        let explained = left * left * count as f64 / (at as f64 * (count - at) as f64);
        if at >= SIDE_MIN && explained > best.1 {
            best = (at, explained);
        }
    }
    let (at, explained) = best;
    let noise = (total - explained).max(total * 1e-12);
    let line = slope(piece);
    let time = mean(&piece.iter().map(|p| p.0).collect::<Vec<_>>());
    let beside_line = piece.iter().map(|(t, v)| (v - centre - line * (t - time)).powi(2)).sum::<f64>();
    let score = ((count - 2) as f64 * explained / noise).sqrt().min(SCORE_MAX);
    (at > 0 && score >= SCORE_MIN && noise < beside_line).then_some((at, score))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    fn series(count: u32, value: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..count).map(|i| (f64::from(i) * 60.0, value(f64::from(i)))).collect()
    }

    /// Between -1 and 1, without order.
    fn noise(i: f64) -> f64 {
        (i * 12.9898).sin() * 43_758.547 % 1.0
    }

    #[test]
    fn a_line_has_a_trend_and_no_jumps() {
        let found = statistics(&series(101, |i| 5.0 + i)).unwrap();
        assert!((found.trend_per_hour - 60.0).abs() < 1e-9, "{found:?}");
        assert_eq!((found.count, found.min, found.max, found.mean), (101, 5.0, 105.0, 55.0));
        assert_eq!((found.p50, found.p90, found.p99), (55.0, 95.0, 104.0));
        assert_eq!(found.change_points, []);
        let noisy = statistics(&series(500, |i| i / 10.0 + noise(i))).unwrap();
        assert_eq!(noisy.change_points, []);
    }

    #[test]
    fn jumps_are_found_where_they_are() {
        let level = |i: f64| {
            if i < 40.0 {
                10.0
            } else if i < 120.0 {
                20.0
            } else {
                12.0
            }
        };
        let found = statistics(&series(200, |i| level(i) + noise(i))).unwrap().change_points;
        let times: Vec<f64> = found.iter().map(|c| c.time / 60.0).collect();
        assert_eq!(times, [40.0, 120.0], "{found:?}");
        assert!((found[0].before - 10.0).abs() < 0.5 && (found[0].after - 20.0).abs() < 0.5, "{found:?}");
        let clean = statistics(&series(20, |i| if i < 10.0 { 0.0 } else { 1.0 })).unwrap().change_points;
        assert_eq!((clean.len(), clean[0].time, clean[0].score), (1, 600.0, SCORE_MAX));
    }

    #[test]
    fn noise_and_constants_do_not_jump() {
        assert_eq!(statistics(&series(1000, noise)).unwrap().change_points, []);
        let constant = statistics(&series(100, |_| 7.0)).unwrap();
        assert_eq!((constant.change_points.len(), constant.trend_per_hour, constant.p99), (0, 0.0, 7.0));
        assert_eq!(statistics(&[]), None);
        let one = statistics(&[(5.0, 3.0)]).unwrap();
        assert_eq!((one.mean, one.trend_per_hour, one.p50), (3.0, 0.0, 3.0));
    }
}
