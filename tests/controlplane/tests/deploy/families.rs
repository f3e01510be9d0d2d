//! IPv4 and IPv6: which addresses pods and Services of a site have, and the chart where there is IPv6.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU16, Ordering},
};

use serde_json::{Value, json};
use tributary_controlplane::patience::eventually;

use crate::{
    polling::{every_stream_is_open, goes_on},
    site::{NAMESPACE, Plan, Site, on},
};

/// The number of the next pod, for all sites of the process share the network.
static NEXT: AtomicU16 = AtomicU16::new(10);

/// The addresses of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Families {
    Ipv4,
    Ipv6,
    /// IPv4 first.
    Both,
}

impl Families {
    /// Of Services, for kube-apiserver.
    pub(crate) fn service_ranges(self) -> &'static str {
        match self {
            Self::Ipv4 => "10.0.0.0/16",
            Self::Ipv6 => "fd00:10::/112",
            Self::Both => "10.0.0.0/16,fd00:10::/112",
        }
    }

    /// Of a new pod. `tests/deploy/run` makes them local.
    pub(crate) fn new_pod(self) -> Vec<IpAddr> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [high, low] = number.to_be_bytes();
        let ipv4 = IpAddr::from([10, 244, high, low]);
        let ipv6 = IpAddr::from([0xfd00, 0x10, 0x244, 0, 0, 0, 0, number]);
        match self {
            Self::Ipv4 => vec![ipv4],
            Self::Ipv6 => vec![ipv6],
            Self::Both => vec![ipv4, ipv6],
        }
    }
}

/// Waits until a Service has a slice of each of these families, with this number of endpoints each.
async fn has_slices(
    site: &Site,
    service: &str,
    families: &[&str],
    endpoints: usize,
) -> anyhow::Result<()> {
    let found = site
        .get(&format!(
            "/api/v1/namespaces/{NAMESPACE}/services/{service}"
        ))
        .await?;
    assert_eq!(found["spec"]["ipFamilies"], json!(families), "{service}");
    let label = format!("kubernetes.io/service-name={service}");
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices?labelSelector={label}"
    );
    let expected: Vec<(&str, usize)> = families.iter().map(|it| (*it, endpoints)).collect();
    eventually("a slice of each family", || async {
        let list = site.get(&path).await?;
        let slices = list["items"].as_array().cloned().unwrap_or_default();
        let count = |slice: &Value| slice["endpoints"].as_array().map_or(0, Vec::len);
        let mut seen: Vec<(&str, usize)> = slices
            .iter()
            .map(|slice| {
                (
                    slice["addressType"].as_str().unwrap_or_default(),
                    count(slice),
                )
            })
            .collect();
        seen.sort_unstable();
        anyhow::ensure!(seen == expected, "{seen:?}");
        Ok(())
    })
    .await
}

#[test]
fn where_there_is_only_ipv6_the_chart_serves() -> anyhow::Result<()> {
    let plan = Plan {
        families: Families::Ipv6,
        ..Plan::default()
    };
    on(plan, async |site| {
        site.install(&["--set", "profile=ha,replicas=2"]).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        for (_, ip) in site.pods_of("frontend").await? {
            assert!(ip.starts_with("fd00:10:244::"), "{ip}");
        }
        for service in ["tributary", "tributary-bus"] {
            has_slices(&site, service, &["IPv6"], 2).await?;
        }
        every_stream_is_open(&site).await?;
        goes_on(&site).await
    })
}

/// Pods listen on their first address, so a frontend that was dialled by both of its addresses would be down by one.
#[test]
fn with_both_families_each_frontend_is_dialled_once() -> anyhow::Result<()> {
    let plan = Plan {
        families: Families::Both,
        ..Plan::default()
    };
    on(plan, async |site| {
        let values = [
            "--set",
            "profile=ha,replicas=2,metrics.enabled=true",
            "--set",
            "service.ipFamilyPolicy=RequireDualStack,service.ipFamilies={IPv4,IPv6}",
        ];
        site.install(&values).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        for service in ["tributary", "tributary-bus", "tributary-scraper"] {
            has_slices(&site, service, &["IPv4", "IPv6"], 2).await?;
        }
        goes_on(&site).await?;
        every_stream_is_open(&site).await
    })
}
