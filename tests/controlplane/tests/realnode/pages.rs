//! The pages that a real kubelet has, side by side, and what each needs.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use http::uri::PathAndQuery;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Config};
use serde_json::json;
use tributary_controlplane::{
    components::{KUBELET_READER, NAMESPACE},
    node::{Certificate, pod},
    objects::{apply, grant, namespace, service_account},
    patience::eventually,
    rig::{self, Rig, Size},
};
use tributary_model::{
    Columns, ContainerPoint, CpuPoint, Endpoint, MemoryPoint, NodePoint, Reading, Timestamp,
};
use tributary_runtime::clock::Clock;
use tributary_scraper::{
    kubelet::{Client, DEFAULT_PAGE, Kubelet, Limits, Security},
    nodes::Target,
};

use super::refused;
use crate::get;

const NODE: &str = "pages";

/// Another one, for it may run at the same time.
const ANNOTATED: &str = "annotated";

/// What is asked of a kubelet here.
const RESOURCE: &str = "/metrics/resource";
const SUMMARY: &str = "/stats/summary?only_cpu_and_memory=true";
const WHOLE_SUMMARY: &str = "/stats/summary";

#[test]
fn all_pages_of_a_real_kubelet_give_the_same_reading() -> anyhow::Result<()> {
    rig::alone(Size::REAL, async |rig| {
        rig.real_node(NODE, Certificate::Signed).await?;
        namespace(&rig.client, NODE).await?;
        let burns = pod(
            (NODE, "burns", NODE),
            &[],
            &[("main", &["50", "20"]), ("beside", &[])],
        );
        apply(&rig.client, &burns).await?;
        let kubelet = Asked::new(&rig).await?;
        eventually("two pages of the same samples", async || {
            kubelet.side_by_side().await
        })
        .await
    })
}

#[test]
fn a_node_that_names_its_summary_needs_a_permission_more() -> anyhow::Result<()> {
    rig::alone(Size::REAL, async |rig| {
        rig.real_node(ANNOTATED, Certificate::Signed).await?;
        let annotated = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": ANNOTATED,
                "annotations": { "metrics.k8s.io/resource-metrics-path": WHOLE_SUMMARY },
            },
        });
        apply(&rig.client, &annotated).await?;
        refused(
            &rig,
            ANNOTATED,
            "request failed, status: \"403 Forbidden\"; the kubelet needs the verb get on nodes/stats to be allowed \
             (in the Helm chart kubeletReader.stats=true); asked for /stats/summary, which the node names",
        )
        .await?;
        let rules = json!([{
            "apiGroups": [""],
            "resources": ["nodes/metrics", "nodes/stats"],
            "verbs": ["get"],
        }]);
        grant(&rig.client, (NAMESPACE, KUBELET_READER), rules).await?;
        eventually("the node is measured", async || {
            get(&rig, &format!("nodes/{ANNOTATED}")).await
        })
        .await?;
        Ok(())
    })
}

/// Somebody who may read all pages of the kubelet.
struct Asked {
    client: Arc<Client>,
    port: u16,
}

impl Asked {
    async fn new(rig: &Rig) -> anyhow::Result<Self> {
        let token = service_account(&rig.client, NODE, "reader").await?;
        let rules = json!([{
            "apiGroups": [""],
            "resources": ["nodes/metrics", "nodes/stats"],
            "verbs": ["get"],
        }]);
        grant(&rig.client, (NODE, "reader"), rules).await?;
        let mut config = Config::new("https://127.0.0.1".parse()?);
        config.auth_info.token = Some(token.into());
        let security = Security {
            authority: Some(rig.cluster.paths().kubelet_ca.clone()),
            ..Security::default()
        };
        let limits = Limits {
            time: Duration::from_secs(30),
            page: DEFAULT_PAGE,
            fallback: true,
        };
        let node = Api::<Node>::all(rig.client.clone()).get(NODE).await?;
        let endpoints = node.status.unwrap_or_default().daemon_endpoints;
        let port = endpoints.and_then(|it| it.kubelet_endpoint);
        Ok(Self {
            client: Client::new(&security, &config, limits).map_err(anyhow::Error::new)?,
            port: port.context("a port")?.port.try_into()?,
        })
    }

    async fn read(&self, path: &'static str) -> anyhow::Result<Reading> {
        let target = Target {
            node: NODE.into(),
            uid: "".into(),
            host: Ok("127.0.0.1".into()),
            port: self.port,
            path: PathAndQuery::from_static(path),
            ready: true,
            cpu_millis: None,
        };
        let now = Timestamp::from_millis(Clock::system().now_millis());
        let decoded = Kubelet::new(Arc::clone(&self.client))
            .scrape(&target, now)
            .await?;
        let refused = decoded.refused.to_string();
        assert_eq!(decoded.refused.total(), 0, "{path}: {refused}");
        Ok(decoded.reading)
    }

    /// Reads all pages, and compares them unless samples were renewed meanwhile.
    async fn side_by_side(&self) -> anyhow::Result<()> {
        let before = self.read(RESOURCE).await?;
        let summaries = [self.read(SUMMARY).await?, self.read(WHOLE_SUMMARY).await?];
        let after = self.read(RESOURCE).await?;
        let renewed = before.columns != after.columns || before.point != after.point;
        anyhow::ensure!(!renewed, "samples were renewed");
        let measured = before.columns.points().filter(|point| point.cpu.is_some());
        anyhow::ensure!(measured.count() == 2, "{before:?}");
        assert_eq!(before.remarks.endpoint, Endpoint::Resource);
        for summary in summaries {
            assert_eq!(summary.remarks.endpoint, Endpoint::StatsSummary);
            assert!(!summary.remarks.is_stamped_by_scraper);
            assert_eq!(summary.roster, before.roster);
            assert_eq!(summary.point, node_cut(before.point));
            assert_eq!(summary.columns, cut(&before.columns));
        }
        Ok(())
    }
}

/// The same, with times in whole seconds.
fn cut(columns: &Columns) -> Columns {
    let mut whole = Columns::missing(columns.len());
    for (row, point) in columns.points().enumerate() {
        let point = ContainerPoint {
            cpu: point.cpu.map(cpu_cut),
            memory: point.memory.map(memory_cut),
            started: point.started.map(second),
            swap: point.swap,
        };
        whole.set(row, &point);
    }
    whole
}

fn node_cut(point: NodePoint) -> NodePoint {
    NodePoint {
        cpu: point.cpu.map(cpu_cut),
        memory: point.memory.map(memory_cut),
        swap: point.swap,
    }
}

fn cpu_cut(cpu: CpuPoint) -> CpuPoint {
    CpuPoint {
        at: second(cpu.at),
        ..cpu
    }
}

fn memory_cut(memory: MemoryPoint) -> MemoryPoint {
    MemoryPoint {
        at: second(memory.at),
        ..memory
    }
}

fn second(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis() / 1_000 * 1_000)
}
