//! The checks: functions of the facts. One that lacks what it looks at says why it cannot be made.

mod certificates;
mod components;
mod nodes;
mod permissions;
mod registration;

use super::{
    facts::{Facts, Read},
    finding::Finding,
};
use crate::{catalogue::Code, printed::some_of};

/// A check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What it looks at.
    pub name: &'static str,
    /// Looks.
    pub run: fn(&Facts) -> Read<Vec<Finding>>,
}

/// All of them.
pub const CHECKS: &[Check] = &[
    Check {
        name: "aggregation layer",
        run: registration::aggregation,
    },
    Check {
        name: "APIServices",
        run: registration::services,
    },
    Check {
        name: "who answers",
        run: registration::another_server,
    },
    Check {
        name: "pods",
        run: components::pods,
    },
    Check {
        name: "Deployments",
        run: components::deployments,
    },
    Check {
        name: "connected scrapers",
        run: components::connected,
    },
    Check {
        name: "Leases",
        run: components::leases,
    },
    Check {
        name: "versions",
        run: components::versions,
    },
    Check {
        name: "permissions",
        run: permissions::permissions,
    },
    Check {
        name: "nodes",
        run: nodes::nodes,
    },
    Check {
        name: "age of metrics",
        run: nodes::ages,
    },
    Check {
        name: "certificate requests",
        run: certificates::requests,
    },
    Check {
        name: "certificates",
        run: certificates::certificates,
    },
    Check {
        name: "autoscalers",
        run: autoscalers,
    },
];

/// How many names a finding has.
const NAMED: usize = 5;

/// The first names, and how many more.
fn named(names: impl IntoIterator<Item: AsRef<str>>) -> String {
    some_of(names, NAMED)
}

/// Autoscalers whose pods lack requests.
fn autoscalers(facts: &Facts) -> Read<Vec<Finding>> {
    let lacking = facts.lacking.clone()?.into_iter();
    let finding = |one: super::facts::Lacking| {
        let (namespace, hpa) = (&one.namespace, &one.autoscaler);
        let what = format!(
            "{namespace}/{hpa} needs requests for {}, and container {} of {} has none",
            one.resource, one.container, one.target
        );
        Finding::new(Code::HpaWithoutRequests, what)
            .seen(format!(
                "pods: {}",
                named(one.pods.iter().map(String::as_str))
            ))
            .with("namespace", namespace)
            .with("hpa", hpa)
            .with("target", &one.target)
            .with("container", &one.container)
            .with("resource", &one.resource)
    };
    Ok(lacking.map(finding).collect())
}
