//! Proof of an attack: what the fleet has counted of it.

use std::collections::BTreeMap;

use crate::{fleet::Fleet, report};

/// The metrics of all processes, added up by series.
#[derive(Debug)]
pub(super) struct Counted(BTreeMap<String, f64>);

impl Counted {
    /// Reads the metrics of every process that answers.
    pub(super) async fn now(fleet: &Fleet) -> Self {
        let mut all = BTreeMap::new();
        for (_, page) in report::pages(fleet).await {
            for line in page.lines().filter(|line| !line.starts_with('#')) {
                if let Some((series, value)) = line.rsplit_once(' ') {
                    *all.entry(series.to_owned()).or_insert(0.0) +=
                        value.parse::<f64>().unwrap_or(0.0);
                }
            }
        }
        Self(all)
    }

    /// How much the series that begin with `prefix` have grown since `before`.
    pub(super) fn grown(&self, before: &Self, prefix: &str) -> f64 {
        let sum = |counted: &Self| -> f64 {
            let series = counted.0.iter();
            let series = series.filter(|(series, _)| series.starts_with(prefix));
            series.map(|(_, value)| value).sum()
        };
        sum(self) - sum(before)
    }
}
