//! A histogram of the ages of what is served, with one observation for each object. The observations are added once for
//! each page of an answer, so serving needs no lock and no memory for them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Registry,
};
use tributary_model::Timestamp;

use super::objects::Object;

/// The limits of metrics-server's histogram (docs/parity.md#metrics), in seconds: from one second to six minutes, each
/// 1.364 times the one before it.
const BUCKETS: [f64; 20] = [
    1.0, 1.364, 1.86, 2.538, 3.461, 4.721, 6.44, 8.784, 11.982, 16.343, 22.292, 30.406, 41.474,
    56.57, 77.162, 105.248, 143.559, 195.814, 267.091, 364.312,
];

/// The ages of what was served. Cheap to clone; clones share their counters.
#[derive(Clone, Debug, Default)]
pub struct Freshness(Arc<Ages>);

#[derive(Debug, Default)]
struct Ages {
    /// The counters of the buckets. The last one has no limit.
    counts: [AtomicU64; BUCKETS.len() + 1],
    sum_millis: AtomicU64,
}

impl Freshness {
    /// Registers the histogram. Its name and help text exist only here.
    pub fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "tributary_api_metric_freshness_seconds",
            "How old the metrics of each object that was served were",
            new.clone(),
        );
        new
    }

    /// Counts the measured objects of `objects`, which are served at `now`. A time in the future, by the kubelet's
    /// clock, has the age 0.
    pub(crate) fn observe<T: Object>(&self, objects: &[T], now: Timestamp) {
        let mut counts = [0_u64; BUCKETS.len() + 1];
        let mut sum = 0_u64;
        for at in objects.iter().filter_map(Object::measured_at) {
            let age = now.since(at).unwrap_or_default();
            let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            sum = sum.saturating_add(millis);
            let seconds = age.as_secs_f64();
            let bucket = BUCKETS.partition_point(|bound| *bound < seconds);
            if let Some(count) = counts.get_mut(bucket) {
                *count += 1;
            }
        }
        for (all, count) in self.0.counts.iter().zip(counts) {
            if count > 0 {
                all.fetch_add(count, Ordering::Relaxed);
            }
        }
        self.0.sum_millis.fetch_add(sum, Ordering::Relaxed);
    }

    fn snapshot(&self) -> Vec<(f64, u64)> {
        let buckets = BUCKETS.into_iter().chain([f64::INFINITY]);
        let counts = self.0.counts.iter();
        buckets
            .zip(counts.map(|count| count.load(Ordering::Relaxed)))
            .collect()
    }
}

impl EncodeMetric for Freshness {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let buckets = self.snapshot();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_millis(self.0.sum_millis.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use tributary_model::{Bytes, NanoCores, Usage};

    use super::*;
    use crate::{
        api::nodes::NodeMetrics,
        catalog::{Labels, NodeRecord},
    };

    fn measured(millis: i64) -> NodeMetrics {
        let usage = Usage {
            at: Timestamp::from_millis(millis),
            window: Duration::from_secs(15),
            cpu: NanoCores(1),
            memory: Bytes(1),
            swap: None,
        };
        let record = NodeRecord {
            name: "n1".into(),
            labels: Labels::default(),
        };
        NodeMetrics {
            node: Arc::new(record),
            usage,
        }
    }

    #[test]
    fn an_age_is_counted_in_the_bucket_whose_bound_it_does_not_pass() {
        let mut registry = Registry::default();
        let freshness = Freshness::register(&mut registry);
        let ages = [0, 1_000, 1_001, 15_000, 400_000];
        let items = ages.map(|age| measured(1_000_000 - age));
        freshness.observe(&items, Timestamp::from_millis(1_000_000));
        freshness.observe(&[measured(1_000_500)], Timestamp::from_millis(1_000_000));
        let mut rendered = String::new();
        text::encode(&mut rendered, &registry).unwrap();
        for line in [
            "# TYPE tributary_api_metric_freshness_seconds histogram\n",
            "_sum 417.001\n",
            "_count 6\n",
            "_bucket{le=\"1.0\"} 3\n",
            "_bucket{le=\"1.364\"} 4\n",
            "_bucket{le=\"11.982\"} 4\n",
            "_bucket{le=\"16.343\"} 5\n",
            "_bucket{le=\"364.312\"} 5\n",
            "_bucket{le=\"+Inf\"} 6\n",
        ] {
            assert!(rendered.contains(line), "{line:?} is not in {rendered}");
        }
    }
}
