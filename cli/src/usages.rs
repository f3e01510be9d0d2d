//! Lists of what nodes and pods use, of whichever server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    kube_api::{Failure, KubeApi, LeftOut, Listed},
    quantity::milli,
};

/// What nodes or pods use, by name, that of a pod with its namespace: `shop/web`.
pub type Usages = BTreeMap<String, Used>;

/// How many a page has: some megabytes of pods.
const PAGE: usize = 10_000;

/// What the fields that are read are not in.
const LEFT_OUT: LeftOut = &[
    "annotations",
    "creationTimestamp",
    "labels",
    "managedFields",
    "timestamp",
    "window",
];

/// What one of them uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Used {
    /// Milli-cores.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
}

/// A list that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// What is in it.
    pub usages: Usages,
    /// Whether Tributary answered.
    pub from_tributary: bool,
}

/// An item: a node has `usage`, a pod has containers.
#[derive(Deserialize)]
struct Item {
    metadata: Meta,
    #[serde(default)]
    usage: Amounts,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Meta {
    name: String,
    namespace: String,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    usage: Amounts,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Amounts {
    cpu: String,
    memory: String,
}

impl Amounts {
    fn used(&self) -> Used {
        Used {
            cpu: milli(&self.cpu).unwrap_or(0),
            memory: milli(&self.memory).unwrap_or(0).div_euclid(1_000),
        }
    }
}

impl Used {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_add(other.cpu),
            memory: self.memory.saturating_add(other.memory),
        }
    }
}

impl Item {
    fn named(&self) -> (String, Used) {
        let Meta { name, namespace } = &self.metadata;
        let name = match &**namespace {
            "" => name.clone(),
            namespace => format!("{namespace}/{name}"),
        };
        let containers = self.containers.iter();
        let all = containers.fold(self.usage.used(), |sum, one| sum.plus(one.usage.used()));
        (name, all)
    }
}

/// Reads such a list.
///
/// # Errors
///
/// It cannot be read.
pub async fn read(api: &KubeApi, path: &str) -> Result<Read, Failure> {
    let Listed {
        items,
        from_tributary,
        ..
    } = api.listed::<Item>(path, PAGE, LEFT_OUT).await?;
    Ok(Read {
        usages: items.iter().map(Item::named).collect(),
        from_tributary,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube_api::fake::Fake;

    #[tokio::test]
    async fn a_pod_uses_what_its_containers_use_together() {
        let usage = |cpu: &str, memory: &str| json!({ "usage": { "cpu": cpu, "memory": memory } });
        let items = json!([
            { "metadata": { "name": "n1" }, "usage": { "cpu": "1500m", "memory": "1Gi" } },
            {
                "metadata": { "namespace": "shop", "name": "web" },
                "containers": [usage("100m", "1Ki"), usage("250000001n", "1024")],
            },
            { "metadata": { "name": "bare" } },
        ]);
        let api = Fake::default().list("/list", &items).api();
        let read = read(&api, "/list").await.unwrap();
        let used = |cpu, memory| Used { cpu, memory };
        let expected = [
            ("n1", used(1_500, 1 << 30)),
            ("shop/web", used(351, 2_048)),
            ("bare", used(0, 0)),
        ];
        let expected = expected.map(|(name, used)| (name.to_owned(), used));
        assert_eq!(read.usages, Usages::from(expected));
        assert!(!read.from_tributary);
    }
}
