//! Sizes and states that are read when metrics are scraped, and the registry of this binary.

use std::{fmt, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use super::Known;
use crate::{
    catalog::{Catalog, Kind},
    store::{Remembered, State},
};

/// The percentiles of ages that are reported. There is a series for each percentile, and none for each node.
const QUANTILES: [(&str, usize); 4] = [("0.5", 50), ("0.9", 90), ("0.99", 99), ("1", 100)];

/// Registers the metrics of the store and the catalog.
pub(crate) fn register(registry: &mut Registry, known: Known) {
    registry.register_collector(Box::new(Sizes(known)));
}

#[derive(Debug)]
struct Sizes(Known);

impl Collector for Sizes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Self(known) = self;
        let (nodes, pods) = known.catalog.len();
        let (stored, containers) = known.store.sizes();
        for (name, help, size) in [
            ("tributary_catalog_nodes", "Nodes that exist", nodes),
            ("tributary_catalog_pods", "Pods that exist and run", pods),
            ("tributary_store_nodes", "Nodes with samples", stored),
            (
                "tributary_store_containers",
                "Containers with samples",
                containers,
            ),
        ] {
            let gauge = ConstGauge::new(wide(size));
            let encoder = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(encoder)?;
        }
        encode_labels(&mut encoder, &known.catalog)?;
        encode_remembered(&mut encoder, known.store.remembered())?;
        let (pods, nodes) = known.store.refused();
        encode_refused(&mut encoder, pods, nodes)?;
        let now = known.now();
        let states = known.store.states(&known.catalog.node_names(), now);
        encode_states(&mut encoder, &states)?;
        let ages = states.into_iter().filter_map(|(_, age)| age);
        encode_ages(&mut encoder, ages.collect())
    }
}

fn encode_remembered(
    encoder: &mut DescriptorEncoder<'_>,
    remembered: Remembered,
) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(wide(remembered.containers));
    let help = "Containers that are remembered although the newest pages of their nodes lack them";
    let name = "tributary_store_containers_remembered";
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
    let counter = ConstCounter::new(remembered.forgotten);
    let help = "Containers that a page lacked and that were forgotten for want of room";
    let name = "tributary_store_containers_forgotten";
    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
}

fn encode_labels(encoder: &mut DescriptorEncoder<'_>, catalog: &Catalog) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(
        "tributary_catalog_labels_refused",
        "Times that an object came with more labels than are kept",
        None,
        MetricType::Counter,
    )?;
    for kind in Kind::ALL {
        let counter = ConstCounter::new(catalog.labels_refused(kind));
        let labels = [("kind", kind.as_str())];
        counter.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn encode_refused(
    encoder: &mut DescriptorEncoder<'_>,
    pods: u64,
    nodes: usize,
) -> Result<(), fmt::Error> {
    let counter = ConstCounter::new(pods);
    let help = "Pods in readings that count for nothing because they are bound to other nodes";
    let name = "tributary_pod_claims_refused";
    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
    let gauge = ConstGauge::new(wide(nodes));
    let help = "Nodes that report pods which are bound to other nodes";
    let name = "tributary_pod_claims_refused_nodes";
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

fn encode_states(
    encoder: &mut DescriptorEncoder<'_>,
    states: &[(State, Option<Duration>)],
) -> Result<(), fmt::Error> {
    let help = "Nodes that exist, by state";
    let mut family = encoder.encode_descriptor("tributary_nodes", help, None, MetricType::Gauge)?;
    for state in State::ALL {
        let nodes = states.iter().filter(|(is, _)| *is == state).count();
        let labels = [("state", state.as_str())];
        ConstGauge::new(wide(nodes)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn encode_ages(
    encoder: &mut DescriptorEncoder<'_>,
    mut ages: Vec<Duration>,
) -> Result<(), fmt::Error> {
    ages.sort_unstable();
    let mut family = encoder.encode_descriptor(
        "tributary_sample_age",
        "Age of the newest sample of a node, over the nodes that have one, counted from when \
         the kubelet was asked",
        Some(&Unit::Seconds),
        MetricType::Gauge,
    )?;
    for (quantile, percent) in QUANTILES {
        let labels = [("quantile", quantile)];
        let age = at_percent(&ages, percent).unwrap_or_default();
        ConstGauge::new(age.as_secs_f64()).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// The age that this percentage of the sorted `ages` does not exceed.
fn at_percent(ages: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (ages.len() * percent).div_ceil(100);
    ages.get(rank.saturating_sub(1)).copied()
}

fn wide(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_an_age_that_there_is() {
        let ages: Vec<Duration> = (1..=10).map(Duration::from_secs).collect();
        let seconds = |percent| at_percent(&ages, percent).map(|age| age.as_secs());
        assert_eq!(seconds(50), Some(5));
        assert_eq!(seconds(90), Some(9));
        assert_eq!(seconds(99), Some(10));
        assert_eq!(seconds(100), Some(10));
        assert_eq!(at_percent(&ages[..1], 50), Some(Duration::from_secs(1)));
        assert_eq!(at_percent(&[], 50), None);
    }
}
