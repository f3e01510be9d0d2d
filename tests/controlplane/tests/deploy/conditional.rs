//! What the chart renders only with some values, or for some versions of Kubernetes; and to which component flags go.

use anyhow::Context as _;

use crate::site::{CHART, helm};

/// Lines of a template, and whether they are rendered with these values and of this version of Kubernetes.
async fn renders(values: &[&str], line: &str) -> anyhow::Result<bool> {
    let outcome = helm(None, &[&["template", "t", CHART][..], values].concat()).await?;
    anyhow::ensure!(outcome.ok, "{}", outcome.stderr);
    Ok(outcome
        .stdout
        .lines()
        .any(|rendered| rendered.trim() == line))
}

#[test]
fn the_policy_is_rendered_where_there_are_leases_and_kubernetes_knows_it() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let cases: [(&[&str], bool); 6] = [
        (&[], false),
        (&["--set", "profile=ha", "--kube-version=1.29.9"], false),
        (&["--set", "profile=ha", "--kube-version=1.30.0"], true),
        (
            &["--set", "replicas=2", "--kube-version=1.31.4-eks-1"],
            true,
        ),
        (&["--set", "profile=ha,leasePolicy.enabled=false"], false),
        (&["--set", "profile=ha,rbac.create=false"], false),
    ];
    for (values, wanted) in cases {
        let kind = "kind: ValidatingAdmissionPolicy";
        let rendered = runtime.block_on(renders(values, kind))?;
        assert_eq!(rendered, wanted, "{values:?}");
    }
    Ok(())
}

#[test]
fn a_quota_comes_with_a_system_priority_class_where_there_is_none_yet() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let cases: [(&[&str], bool); 6] = [
        (&[], true),
        (&["--set", "priorityClassName=system-node-critical"], true),
        (&["--set", "priorityClassName=mine"], false),
        (&["--set", "priorityClassName="], false),
        (&["--set", "resourceQuota.enabled=false"], false),
        (&["-n", "kube-system"], false),
    ];
    for (values, wanted) in cases {
        let rendered = runtime.block_on(renders(values, "kind: ResourceQuota"))?;
        assert_eq!(rendered, wanted, "{values:?}");
    }
    Ok(())
}

#[test]
fn on_one_node_a_rollout_with_host_ports_can_proceed() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let host = "hostNetwork.enabled=true,containerPort=4443";
    for (values, wanted) in [(host, true), ("hostNetwork.enabled=false", false)] {
        let rendered = runtime.block_on(renders(&["--set", values], "maxSurge: 0"))?;
        assert_eq!(rendered, wanted, "{values}");
    }
    Ok(())
}

#[test]
fn kubelets_see_a_token_of_their_own_unless_something_else_is_wanted() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let cases = [
        ("profile=ha", true),
        ("replicas=3", true),
        ("kubeletReader.enabled=false", false),
        // Permissions that somebody else gives do not know of it.
        ("rbac.create=false", false),
        ("rbac.create=false,kubeletReader.enabled=true", true),
        ("args={--deprecated-kubelet-completely-insecure}", false),
        (
            "scraper.args={--kubelet-client-certificate=a,--kubelet-client-key,b}",
            false,
        ),
        ("args={--kubelet-certificate-authority=a}", true),
    ];
    for (values, wanted) in cases {
        let flag = "- --kubelet-token-service-account=default/t-tributary-kubelet-reader";
        let rendered = runtime.block_on(renders(&["--set", values], flag))?;
        assert_eq!(rendered, wanted, "{values}");
    }
    Ok(())
}

#[test]
fn kubelets_are_asked_for_statistics_only_where_a_flag_says_so() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let only_metrics = "resources: [nodes/metrics]";
    let both = "resources: [nodes/metrics, nodes/stats]";
    for (values, line) in [
        ("profile=sidecar", only_metrics),
        ("profile=ha", only_metrics),
        ("kubeletReader.stats=true", both),
        ("profile=ha,kubeletReader.stats=true", both),
        // Of the scrapers themselves, then.
        ("kubeletReader.stats=true,kubeletReader.enabled=false", both),
    ] {
        for (other, wanted) in [(only_metrics, line == only_metrics), (both, line == both)] {
            let rendered = runtime.block_on(renders(&["--set", values], other))?;
            assert_eq!(rendered, wanted, "{values}: {other}");
        }
    }
    Ok(())
}

#[test]
fn rules_for_other_publishers_are_taken_where_the_scrapers_of_the_chart_have_one()
-> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let other = "- --bus-allow=other=pool=b";
    for values in [
        // Rules for groups are the chart's.
        "profile=ha,scraper.groups[0].name=a,scraper.groups[0].selector=pool=a,frontend.args={--bus-allow=other=pool=b}",
        "profile=ha,frontend.args={--bus-allow=system:serviceaccount:default:t-tributary-scraper=,--bus-allow=other=pool=b}",
        "replicas=2,args={--bus-allow=system:serviceaccount:default:t-tributary=,--bus-allow=other=pool=b}",
        "securityContext.runAsUser=7,args={--bus-allow=uid:7=,--bus-allow=other=pool=b}",
        // OpenShift chooses the user.
        "securityContext.runAsUser=null,args={--bus-allow=other=pool=b}",
        // Names of certificates are not known to the chart.
        "profile=ha,args={--bus-client-ca-file=/ca,--bus-allow=other=pool=b,--bus-client-certificate=/c,--bus-client-key=/k}",
    ] {
        let rendered = runtime.block_on(renders(&["--set", values], other));
        assert!(rendered.context(values)?, "{values}");
    }
    Ok(())
}

#[test]
fn flags_go_to_the_half_that_takes_them_and_the_last_of_a_kind_wins() -> anyhow::Result<()> {
    let values = "args={--kubelet-insecure-tls,--metric-resolution,30s,-l,pool=a,--client-ca-file=/ca.crt,--kubelet-preferred-address-types=Hostname}";
    let runtime = tokio::runtime::Runtime::new()?;
    let arguments = [
        "template",
        "t",
        CHART,
        "-s",
        "templates/frontend.yaml",
        "--set",
        values,
    ];
    let outcome = runtime.block_on(helm(None, &arguments))?;
    let flags: Vec<&str> = outcome
        .stdout
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix("- --"))
        .collect();
    assert_eq!(
        flags,
        [
            "secure-port=10250",
            "tls-auto=default/t-tributary",
            "tls-auto-names=t-tributary.default.svc.cluster.local",
            "bus-address=unix:///run/tributary/bus.sock",
            "node-selector=pool=a",
            "client-ca-file=/ca.crt",
            "admin-address=0.0.0.0:8080",
            "frontend=unix:///run/tributary/bus.sock",
            "shard-count=1",
            "shard-index=0",
            "kubelet-token-service-account=default/t-tributary-kubelet-reader",
            "kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
            "kubelet-use-node-status-port",
            "kubelet-insecure-tls",
            "metric-resolution=30s",
            "node-selector=pool=a",
            "kubelet-preferred-address-types=Hostname",
        ],
        "{}",
        outcome.stderr
    );
    Ok(())
}
