//! Metrics of the keeper.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::rules::Step;

/// Counters of steps and of failures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    steps: Family<StepName, Counter>,
    failures: Family<On, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepName {
    step: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct On {
    object: &'static str,
}

/// An object that is read or written.
const OBJECTS: [&str; 3] = ["secret", "configmap", "apiservice"];

impl Metrics {
    /// Registers both families, each series at 0.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        for step in Step::ALL {
            drop(new.steps.get_or_create(&StepName { step: step.name() }));
        }
        for object in OBJECTS {
            drop(new.failures.get_or_create(&On { object }));
        }
        registry.register(
            "tributary_serving_certificate_steps",
            "Steps of the renewal of the serving certificate that this frontend took",
            new.steps.clone(),
        );
        registry.register(
            "tributary_serving_certificate_failures",
            "Failures to read or write what the serving certificate and its CA are kept in",
            new.failures.clone(),
        );
        new
    }

    pub(super) fn took(&self, step: Step) {
        let name = StepName { step: step.name() };
        self.steps.get_or_create(&name).inc();
    }

    pub(super) fn failed(&self, object: &'static str) {
        self.failures.get_or_create(&On { object }).inc();
    }
}
