//! Proof of an attack: what the fleet has counted of it.

use std::collections::BTreeMap;

use crate::{fleet::Fleet, report};

/// The metrics of each process that answered, by series.
#[derive(Debug)]
pub(super) struct Counted(BTreeMap<String, BTreeMap<String, f64>>);

impl Counted {
    /// Reads the metrics of every process that answers.
    pub(super) async fn now(fleet: &Fleet) -> Self {
        let mut processes = BTreeMap::new();
        for (process, page) in report::pages(fleet).await {
            let lines = page.lines().filter(|line| !line.starts_with('#'));
            let series = lines.filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                Some((series.to_owned(), value.parse().ok()?))
            });
            processes.insert(process.to_owned(), series.collect());
        }
        Self(processes)
    }

    /// How much the series that begin with `prefix` have grown since `before`, in the processes that answered both times.
    pub(super) fn grown(&self, before: &Self, prefix: &str) -> f64 {
        let sum = |series: &BTreeMap<String, f64>| -> f64 {
            let series = series.iter();
            let series = series.filter(|(series, _)| series.starts_with(prefix));
            series.map(|(_, value)| value).sum()
        };
        let processes = self.0.iter();
        let processes = processes.filter_map(|(name, after)| Some((before.0.get(name)?, after)));
        processes
            .map(|(before, after)| sum(after) - sum(before))
            .sum()
    }
}
