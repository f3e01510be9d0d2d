//! Sizes that are read when asked, and the registry of this binary.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::gauge::ConstGauge,
    registry::Registry,
};

use crate::{catalog::Catalog, store::Store};

/// Registers the sizes of the store and the catalog.
pub(crate) fn register(registry: &mut Registry, catalog: Catalog, store: Store) {
    registry.register_collector(Box::new(Sizes { catalog, store }));
}

#[derive(Debug)]
struct Sizes {
    catalog: Catalog,
    store: Store,
}

impl Collector for Sizes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (nodes, pods) = self.catalog.len();
        let (held, containers) = self.store.held();
        let sizes = [
            ("tributary_catalog_nodes", "Nodes that exist", nodes),
            ("tributary_catalog_pods", "Pods that exist and run", pods),
            ("tributary_store_nodes", "Nodes with samples", held),
            (
                "tributary_store_containers",
                "Containers with samples",
                containers,
            ),
        ];
        for (name, help, size) in sizes {
            let gauge = ConstGauge::new(i64::try_from(size).unwrap_or(i64::MAX));
            let encoder = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(encoder)?;
        }
        Ok(())
    }
}
