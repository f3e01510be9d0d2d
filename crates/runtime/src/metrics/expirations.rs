//! When certificates expire.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
    registry::{Registry, Unit},
};

type Ask = Box<dyn Fn() -> Option<i64> + Send + Sync>;

/// When certificates expire. It is read for each scrape from the certificates in force, so a replaced one needs no
/// notification.
#[derive(Default)]
pub struct Expirations(Vec<(&'static str, Ask)>);

impl fmt::Debug for Expirations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Expirations {
    /// Adds a certificate, which may be absent.
    #[must_use]
    pub fn with(
        mut self,
        name: &'static str,
        ask: impl Fn() -> Option<i64> + Send + Sync + 'static,
    ) -> Self {
        self.0.push((name, Box::new(ask)));
        self
    }

    /// Registers `tributary_certificate_expiration_timestamp_seconds`.
    pub fn register(self, registry: &mut Registry) {
        registry.register_collector(Box::new(self));
    }
}

impl Collector for Expirations {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let ask = |(name, ask): &(&'static str, Ask)| Some((*name, ask()?));
        let known: Vec<_> = self.0.iter().filter_map(ask).collect();
        if known.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "tributary_certificate_expiration_timestamp",
            "When a certificate in force expires, since the Unix epoch",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (name, until) in known {
            let labels = [("certificate", name)];
            let series = family.encode_family(&labels)?;
            ConstGauge::new(until).encode(series)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use super::*;

    #[test]
    fn what_is_in_force_is_exposed_and_what_is_not_there_left_out() {
        let now = Arc::new(AtomicI64::new(5));
        let stored = Arc::clone(&now);
        let mut registry = Registry::default();
        Expirations::default()
            .with("serving", move || Some(stored.load(Ordering::Relaxed)))
            .with("bus-ca", || None)
            .register(&mut registry);
        let rendered = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        let line =
            "tributary_certificate_expiration_timestamp_seconds{certificate=\"serving\"} 5\n";
        assert!(rendered().contains(line), "{}", rendered());
        assert!(!rendered().contains("bus-ca"), "{}", rendered());
        now.store(6, Ordering::Relaxed);
        assert!(
            rendered().contains("{certificate=\"serving\"} 6\n"),
            "{}",
            rendered()
        );
    }
}
