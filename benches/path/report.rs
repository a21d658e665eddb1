//! The figures as a table, and as one line of JSON for whoever compares runs.

use serde_json::{Map, Value, json};

/// The measured rounds of one row.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) rounds: Vec<Round>,
}

/// One round: so much time under load.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// CPU of the process in the middle; none where there is none.
    pub(crate) cpu_us: Option<f64>,
}

impl Row {
    fn of(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect())
    }

    fn requests_per_second(&self) -> f64 {
        self.of(|r| r.requests_per_second)
    }

    fn cpu_us(&self) -> Option<f64> {
        let all: Option<Vec<f64>> = self.rounds.iter().map(|r| r.cpu_us).collect();
        all.map(median)
    }

    /// How far the rounds were apart: half of the span, in percent of the median.
    fn spread(&self) -> f64 {
        let all = || self.rounds.iter().map(|r| r.requests_per_second);
        let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
        (most - least) * 50.0 / self.requests_per_second()
    }
}

/// The yardstick.
pub(crate) const STOCK: &str = "stock_pingora_tls";

/// Prints the rows, and notes their figures and how they compare to the yardstick of that name.
pub(crate) fn rows(rows: &[Row], yardstick: &str, figures: &mut Map<String, Value>) {
    let stock = rows.iter().find(|row| row.name == yardstick).filter(|row| !row.rounds.is_empty());
    println!(
        "\n{:<18} {:>10} {:>5} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8}",
        "row", "requests/s", "±%", "p50 µs", "p99 µs", "p50 added", "CPU µs", "rps", "CPU"
    );
    println!("{:>81} {:>8}", "× stock", "× stock");
    for row in rows {
        if row.rounds.is_empty() {
            println!("{:<18} {}", row.name, row.what);
            continue;
        }
        let (rps, cpu) = (row.requests_per_second(), row.cpu_us());
        let (p50, p99) = (row.of(|r| r.p50_us), row.of(|r| r.p99_us));
        let added = stock.map(|stock| p50 - stock.of(|r| r.p50_us)).filter(|_| row.name != yardstick);
        let rps_ratio = stock.map(|stock| rps / stock.requests_per_second());
        let cpu_ratio = stock.and_then(|stock| Some(cpu? / stock.cpu_us()?));
        let shown = |figure: Option<f64>, digits| {
            figure.map_or("-".to_owned(), |figure| format!("{figure:.digits$}"))
        };
        println!(
            "{:<18} {rps:>10.0} {:>5.0} {p50:>9.0} {p99:>9.0} {:>9} {:>9} {:>8} {:>8}   {}",
            row.name,
            row.spread(),
            shown(added, 0),
            shown(cpu, 1),
            shown(rps_ratio, 2),
            shown(cpu_ratio, 2),
            row.what
        );
        let name = row.name;
        for (key, figure) in
            [("requests_per_second", Some(rps)), ("p50_us", Some(p50)), ("p99_us", Some(p99))]
        {
            note(figures, format!("{name}_{key}"), figure);
        }
        note(figures, format!("{}_cpu_us_per_call", if name == "path" { "gateway" } else { name }), cpu);
        if name != yardstick {
            note(figures, format!("{name}_p50_us_added_to_{yardstick}"), added);
            note(figures, format!("{name}_rps_ratio_to_{yardstick}"), rps_ratio);
            note(figures, format!("{name}_cpu_ratio_to_{yardstick}"), cpu_ratio);
        }
    }
}

/// Notes a figure, to a thousandth, where there is one.
pub(crate) fn note(figures: &mut Map<String, Value>, key: impl Into<String>, figure: Option<f64>) {
    if let Some(figure) = figure {
        figures.insert(key.into(), json!((figure * 1000.0).round() / 1000.0));
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}
