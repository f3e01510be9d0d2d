//! The numbers of one pipeline, and how they are shown.

use serde_json::{Value, json};

use super::observer::Measured;

/// Seconds of many steps, summed up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// The mean.
    pub mean: f64,
    /// Half were at most this.
    pub p50: f64,
    /// All but a twentieth were at most this.
    pub p95: f64,
    /// The worst.
    pub max: f64,
    /// How many.
    pub n: usize,
}

impl Summary {
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let n = seconds.len();
        // The smallest that this many of a hundred do not exceed.
        let rank = |percent: usize| {
            let index = (n * percent).div_ceil(100).saturating_sub(1);
            seconds.get(index).copied().unwrap_or(0.0)
        };
        let count = f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        Self {
            mean: seconds.iter().sum::<f64>() / count.max(1.0),
            p50: rank(50),
            p95: rank(95),
            max: rank(100),
            n,
        }
    }

    fn json(self) -> Value {
        let round = |seconds: f64| (seconds * 100.0).round() / 100.0;
        json!({
            "mean": round(self.mean),
            "p50": round(self.p50),
            "p95": round(self.p95),
            "max": round(self.max),
            "n": self.n,
        })
    }
}

/// What one pipeline took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// From a step to another number of desired replicas.
    pub decision: Summary,
    /// From a step until the autoscaler sees 95 % of it.
    pub right_size: Summary,
    /// From the readiness of a pod that a step made until the autoscaler would count its metrics.
    pub new_pod: Summary,
    /// How old the samples were on which a decision was made.
    pub sample_age: Summary,
    /// Steps that were not seen, or not acted on, in time.
    pub missed: usize,
}

impl Figures {
    pub(super) fn of(measured: Measured) -> Self {
        Self {
            decision: Summary::of(measured.decision),
            right_size: Summary::of(measured.right_size),
            new_pod: Summary::of(measured.new_pod),
            sample_age: Summary::of(measured.sample_age),
            missed: measured.missed,
        }
    }

    /// The four, by the names they have in JSON.
    pub fn named(&self) -> [(&'static str, Summary); 4] {
        [
            ("decision_s", self.decision),
            ("right_size_s", self.right_size),
            ("new_pod_s", self.new_pod),
            ("sample_age_s", self.sample_age),
        ]
    }
}

/// One object with everything.
pub fn json(results: &[(String, Figures)]) -> Value {
    let of = |figures: &Figures| {
        let named = figures.named().into_iter();
        let all = named.map(|(name, one)| (name.to_owned(), one.json()));
        let mut all: serde_json::Map<String, Value> = all.collect();
        all.insert("missed".to_owned(), figures.missed.into());
        Value::Object(all)
    };
    let pipelines = results.iter().map(|(name, one)| (name.clone(), of(one)));
    json!({ "pipelines": pipelines.collect::<serde_json::Map<_, _>>() })
}

/// A table in Markdown: mean / half / 95 % / worst.
pub fn table(results: &[(String, Figures)]) -> String {
    let head = "| Pipeline | Decision | 95 % seen | New pod counts | Age of samples | Steps | Missed |\n\
                |---|---|---|---|---|---|---|\n";
    let cell = |one: Summary| {
        format!(
            "{:.1} / {:.1} / {:.1} / {:.1}",
            one.mean, one.p50, one.p95, one.max
        )
    };
    let rows = results.iter().map(|(name, one)| {
        let cells = one.named().map(|(_, summary)| cell(summary)).join(" | ");
        let (steps, missed) = (one.right_size.n, one.missed);
        format!("| {name} | {cells} | {steps} | {missed} |\n")
    });
    rows.fold(head.to_owned(), |table, row| table + &row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_twenty_the_nineteenth_is_the_95th_percentile() {
        let summary = Summary::of((1..=20).rev().map(f64::from).collect());
        let all = (summary.mean, summary.p50, summary.p95, summary.max);
        assert_eq!(all, (10.5, 10.0, 19.0, 20.0));
        assert_eq!(summary.n, 20);
    }

    #[test]
    fn nothing_measured_is_zero_of_none() {
        assert_eq!(Summary::of(Vec::new()).n, 0);
    }
}
