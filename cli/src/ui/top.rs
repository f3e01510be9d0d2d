//! Which nodes and pods use most.

use std::cmp::Reverse;

use serde::Serialize;

use super::text;
use crate::{
    kube_api::{KubeApi, path},
    metrics_api,
    usages::{self, Usages, Used},
};

/// How many of a kind are shown, by CPU and by memory.
const SHOWN: usize = 50;

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Top {
    nodes: Consumers,
    pods: Consumers,
}

/// Those of a kind that use most.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Consumers {
    /// How many there are.
    count: usize,
    /// What all use together.
    total: Used,
    /// Those that use most CPU, and those that use most memory.
    most: Vec<One>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct One {
    name: String,
    #[serde(flatten)]
    used: Used,
}

/// Reads both lists. Pods are those of the namespace, or all.
pub(super) async fn read(api: &KubeApi, namespace: Option<&str>) -> Result<String, String> {
    let root = metrics_api::root(api).await;
    let nodes = format!("{root}/nodes");
    let pods = match namespace {
        Some(namespace) => path(root, &["namespaces", namespace, "pods"]),
        None => format!("{root}/pods"),
    };
    let (nodes, pods) = futures::join!(usages::read(api, &nodes), usages::read(api, &pods));
    let most = |read: usages::Read| Consumers::of(&read.usages);
    let top = Top {
        nodes: most(nodes.map_err(|failure| failure.to_string())?),
        pods: most(pods.map_err(|failure| failure.to_string())?),
    };
    text(&top)
}

impl Consumers {
    fn of(usages: &Usages) -> Self {
        let by = |amount: fn(&Used) -> i64| {
            let mut all: Vec<(&String, &Used)> = usages.iter().collect();
            all.sort_by_key(|(_, used)| Reverse(amount(used)));
            all.truncate(SHOWN);
            all
        };
        let (by_cpu, by_memory) = (by(|used| used.cpu), by(|used| used.memory));
        let mut most: Vec<(&String, &Used)> = by_cpu.into_iter().chain(by_memory).collect();
        most.sort_unstable_by_key(|(name, _)| *name);
        most.dedup_by_key(|(name, _)| *name);
        let one = |(name, used): (&String, &Used)| One {
            name: name.clone(),
            used: *used,
        };
        Self {
            count: usages.len(),
            total: usages
                .values()
                .fold(Used::default(), |sum, one| sum.plus(*one)),
            most: most.into_iter().map(one).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_with_most_cpu_and_those_with_most_memory_are_there_once() {
        let used = |cpu, memory| Used { cpu, memory };
        let many = (0..200).map(|index| (format!("p{index:03}"), used(index, 1_000 - index)));
        let most = Consumers::of(&many.collect());
        assert_eq!((most.count, most.total), (200, used(19_900, 180_100)));
        let names: Vec<&str> = most.most.iter().map(|one| &*one.name).collect();
        assert_eq!(names.len(), 100);
        assert_eq!((names[0], names[49]), ("p000", "p049"));
        assert_eq!((names[50], names[99]), ("p150", "p199"));
        let few = Consumers::of(&Usages::from([("n".to_owned(), used(1, 2))]));
        assert_eq!(few.most.len(), 1);
    }
}
