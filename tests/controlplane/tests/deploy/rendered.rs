//! What the chart renders: taken by kube-apiserver, and every flag in it by our binaries.

use std::path::Path;

use anyhow::Context as _;
use clap::Parser as _;
use serde_json::Value;
use tributary_apiserver::args::Args as FrontendArgs;
use tributary_controlplane::patience::eventually;
use tributary_scraper::{args::Args as ScraperArgs, config::Config};

use crate::site::{NAMESPACE, Site, helm, items, on_site};

const CHART: &str = "deploy/helm/tributary";

const PROFILES: [(&str, &[&str]); 6] = [
    ("sidecar", &[]),
    (
        "without what is new",
        &[
            "--set",
            "replicas=2,kubeletReader.enabled=false,leasePolicy.enabled=false",
        ],
    ),
    (
        "with accounts that exist",
        &[
            "--set",
            "profile=ha,scraper.serviceAccount.create=false,scraper.serviceAccount.name=mine",
            "--set",
            "kubeletReader.serviceAccount.create=false,kubeletReader.serviceAccount.name=theirs",
        ],
    ),
    ("sidecar with three replicas", &["--set", "replicas=3"]),
    ("ha", &["--set", "profile=ha,replicas=2"]),
    (
        "ha with groups",
        &[
            "--set",
            "profile=ha,scraper.groups[0].name=a,scraper.groups[0].selector=pool=a",
            "--set",
            "scraper.groups[1].name=b,scraper.groups[1].selector=pool!=a,scraper.groups[1].replicas=1",
        ],
    ),
];

const CERTIFICATES: [(&str, &[&str]); 7] = [
    ("auto", &[]),
    (
        "helm",
        &["--set", "tls.type=helm,tls.helm.allowOffline=true"],
    ),
    (
        "injected",
        &[
            "--set",
            "tls.type=existingSecret,tls.existingSecret.name=mine,apiService.caBundleInjected=true",
        ],
    ),
    ("cert-manager", &["--set", "tls.type=cert-manager"]),
    (
        "an issuer that exists",
        &[
            "--set",
            "tls.type=cert-manager,tls.certManager.existingIssuer.enabled=true",
        ],
    ),
    (
        "a secret that exists",
        &[
            "--set",
            "tls.type=existingSecret,tls.existingSecret.name=mine,apiService.caBundle=PEM",
        ],
    ),
    (
        "none",
        &[
            "--set",
            "tls.type=existingSecret,tls.existingSecret.name=mine,apiService.insecureSkipTLSVerify=true",
        ],
    ),
];

/// All that is off by default.
const EVERYTHING: &[&str] = &[
    "--set",
    "metrics.enabled=true,serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true",
    "--set",
    "networkPolicy.egress.enabled=true,podDisruptionBudget.enabled=true,hostUsers=false",
];

#[test]
fn every_profile_with_every_certificate_is_taken_by_kube_apiserver_and_by_the_binaries()
-> anyhow::Result<()> {
    on_site(async |site| {
        define(&site).await?;
        for (profile, one) in PROFILES {
            for (certificate, two) in CERTIFICATES {
                for more in [&[][..], EVERYTHING] {
                    let values = [one, two, more].concat();
                    let tried = taken(&site, &values).await;
                    tried.with_context(|| format!("{profile}, {certificate}"))?;
                }
            }
        }
        let own = [
            "--set",
            "tls.type=metrics-server,apiService.insecureSkipTLSVerify=true",
        ];
        taken(&site, &own).await.context("made by the frontend")
    })
}

/// The kinds of cert-manager and of the Prometheus operator.
pub(crate) async fn define(site: &Site) -> anyhow::Result<()> {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/bin/crds");
    let crds = crds.display().to_string();
    let apply = ["apply", "--server-side", "-f", &crds];
    site.kubectl.ok(&apply).await?;
    eventually("the kinds are served", || async {
        let kinds = site.kubectl.ok(&["api-resources", "--no-headers"]).await?;
        let served = [
            "issuers",
            "certificates",
            "servicemonitors",
            "prometheusrules",
        ];
        let all = served.iter().all(|kind| kinds.contains(kind));
        anyhow::ensure!(all, "{kinds}");
        Ok(())
    })
    .await
}

async fn taken(site: &Site, values: &[&str]) -> anyhow::Result<()> {
    let lint = helm(None, &[&["lint", CHART], values].concat()).await?;
    anyhow::ensure!(lint.ok, "{}{}", lint.stdout, lint.stderr);
    let path = site.dir.path().join("rendered.yaml");
    std::fs::write(&path, template(values).await?)?;
    let path = path.display().to_string();
    let command = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "-o",
        "json",
        "-f",
        &path,
    ];
    let outcome = site.kubectl.run(&command).await?;
    anyhow::ensure!(outcome.ok, "{}", outcome.stderr);
    // Pods that would not be admitted are warned of.
    anyhow::ensure!(outcome.stderr.is_empty(), "{}", outcome.stderr);
    let mut containers = 0;
    for object in items(&outcome.stdout)? {
        let found = object.pointer("/spec/template/spec/containers");
        for container in found.and_then(Value::as_array).into_iter().flatten() {
            parse(container)?;
            containers += 1;
        }
    }
    anyhow::ensure!(containers >= 2, "{containers} containers");
    Ok(())
}

/// Parses the flags of a container as its binary does.
fn parse(container: &Value) -> anyhow::Result<()> {
    let words = |field: &str| {
        let words = container[field].as_array().into_iter().flatten();
        words
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let line = [words("command"), words("args")].concat();
    match line.first().map(String::as_str) {
        Some("/usr/bin/tributary-apiserver") => {
            FrontendArgs::try_parse_from(&line).with_context(|| line.join(" "))?;
        }
        Some("/usr/bin/tributary-scraper") => {
            let named = [line.clone(), vec!["--source-name=pod".to_owned()]].concat();
            let args = ScraperArgs::try_parse_from(named).with_context(|| line.join(" "))?;
            Config::try_from(args).with_context(|| line.join(" "))?;
        }
        other => anyhow::bail!("a container that runs {other:?}"),
    }
    Ok(())
}

/// Values, and what is said about them.
const REFUSED: &[(&str, &str)] = &[
    (
        "prometheusRule.alerts.TributarySampleOld.threshold=3",
        "prometheusRule.alerts.TributarySampleOld: there is no such alert; there are TributaryAPIServiceUnavailable, ",
    ),
    (
        "prometheusRule.alerts.TributaryFrontendsAbsent.threshold=3",
        "prometheusRule.alerts.TributaryFrontendsAbsent.threshold: this alert has no threshold",
    ),
    (
        "prometheusRule.alerts.TributaryScrapesFail.threshold=30",
        "prometheusRule.alerts.TributaryScrapesFail.threshold: 30 is more than all; write a part of 1, such as 0.05",
    ),
    (
        "addonResizer.enabled=true",
        "addonResizer.enabled: not supported; set resources, or use a VerticalPodAutoscaler",
    ),
    (
        "rbac.pspEnabled=true",
        "rbac.pspEnabled: Kubernetes has no pod security policies since 1.25",
    ),
    (
        "extraArgs=x",
        "extraArgs: there is no such value; write args, frontend.args or scraper.args",
    ),
    (
        "nodeselector.a=b",
        "nodeselector: there is no such value; did you mean nodeSelector?",
    ),
    (
        "tolerantions[0].operator=Exists",
        "tolerantions: there is no such value; did you mean tolerations?",
    ),
    (
        "frontend.resource.limits.cpu=1",
        "frontend.resource: there is no such value; did you mean frontend.resources?",
    ),
    (
        "bus.tls=true",
        "bus.tls: there is no such value; there are port, tokenExpirationSeconds",
    ),
    (
        "kubelet=x",
        "kubelet: there is no such value; did you mean kubeletReader?",
    ),
    ("xyz=x", "xyz: there is no such value; values.yaml has all"),
    (
        "scraper.replicas=3",
        "scraper.replicas: only with profile ha; with profile sidecar each pod has a scraper of its own, and replicas says how many",
    ),
    (
        "nodeEvents.delay=5 minutes",
        "nodeEvents.delay: \"5 minutes\" should be a duration such as 15s or 1m30s",
    ),
    (
        "tls.type=cert-manager,tls.certManager.duration=90d",
        "tls.certManager.duration: \"90d\" should be a duration such as 15s or 1m30s",
    ),
    (
        "serviceMonitor.interval=1 minute",
        "serviceMonitor.interval: \"1 minute\" should be a duration of Prometheus such as 30s or 1m",
    ),
    (
        "bindAddress=localhost",
        "bindAddress: \"localhost\" should be an IP address, or $(POD_IP)",
    ),
    (
        "containerPort=443",
        "at '/containerPort': minimum: got 443, want 1,024",
    ),
    (
        "image.repository=registry.k8s.io/metrics-server/metrics-server",
        "image.repository: \"registry.k8s.io/metrics-server/metrics-server\" is an image of metrics-server, not of Tributary",
    ),
    (
        "tls.type=metrics-server",
        "tls.type: metrics-server makes certificates that kube-apiserver cannot verify; use auto, cert-manager or existingSecret, or set apiService.insecureSkipTLSVerify",
    ),
    (
        "tls.type=metrics-server,profile=ha",
        "tls.type: metrics-server makes certificates that scrapers cannot verify",
    ),
    (
        "tls.type=existingSecret",
        "tls.existingSecret.name: needed with tls.type existingSecret",
    ),
    (
        "tls.type=existingSecret,tls.existingSecret.name=x",
        "apiService.caBundle: needed, for secret default/x could not be looked up or has no ca.crt; or set apiService.caBundleInjected, if something in the cluster writes it, or apiService.insecureSkipTLSVerify",
    ),
    (
        "tls.type=cert-manager,tls.certManager.addInjectorAnnotations=false",
        "apiService.caBundle: needed when tls.certManager.addInjectorAnnotations is off",
    ),
    (
        "tls.type=helm",
        "tls.type: helm needs a cluster, and none can be seen here, as with helm template and GitOps tools",
    ),
    (
        "apiService.caBundle=PEM",
        "apiService.caBundle: with tls.type auto frontends write it",
    ),
    (
        "apiService.caBundleInjected=true",
        "apiService.caBundleInjected: with tls.type auto nobody knows the CA who could inject it",
    ),
    (
        "tls.type=existingSecret,tls.existingSecret.name=x,apiService.caBundleInjected=true,apiService.insecureSkipTLSVerify=true",
        "apiService.insecureSkipTLSVerify: kube-apiserver takes no caBundle beside it",
    ),
    (
        "args={--tls-auto=a/b}",
        "args: --tls-auto is for the chart to set: use tls.type auto",
    ),
    (
        "scraper.groups[0].name=a,scraper.groups[0].selector=b",
        "scraper.groups: only with profile ha",
    ),
    (
        "hostNetwork.enabled=true",
        "containerPort: with hostNetwork.enabled 10250 is the kubelet's own; use another, such as 4443",
    ),
    (
        "hostNetwork.enabled=true,containerPort=10280",
        "containerPort and scraper.adminPort: both are 10280, and one of the two cannot listen there",
    ),
    (
        "replicas=2,containerPort=8443",
        "bus.port and containerPort: both are 8443",
    ),
    (
        "containerPort=8080",
        "containerPort and scraper.adminPort: both are 8080",
    ),
    (
        "replicas=null",
        "replicas: may be empty only with profile ha, where something else may set it",
    ),
    (
        "frontend.image.tag=v0.7.2",
        "frontend.image.tag: \"v0.7.2\" is a tag of metrics-server",
    ),
    (
        "profile=ha,scraper.groups[0].name=a,scraper.groups[0].selector=pool:a",
        "scraper.groups a: selector: \"pool:a\" should be labels of nodes as in kubectl -l",
    ),
    (
        "profile=ha,scraper.groups[0].name=a,scraper.groups[0].selector=b,scraper.groups[0].affinity.x=metrics-server",
        "scraper.groups a: affinity: selects pods labelled metrics-server",
    ),
    (
        "args={--audit-policy-file=/x}",
        "args: --audit-policy-file is no flag of the frontend or the scraper; docs/MIGRATING.md tells what became of metrics-server's flags",
    ),
    (
        "args={--metric-resolution-time=15s}",
        "args: --metric-resolution-time is no flag of the frontend or the scraper (did you mean --metric-resolution?); docs/MIGRATING.md",
    ),
    (
        "args={--secure-port=4443}",
        "args: --secure-port is for the chart to set: use containerPort",
    ),
    (
        "args={kubelet-insecure-tls}",
        "args: \"kubelet-insecure-tls\" is not a flag",
    ),
    (
        "defaultArgs={--kubelet-port}",
        "defaultArgs: --kubelet-port needs a value",
    ),
    (
        "args={--kubelet-token-service-account=x}",
        "args: --kubelet-token-service-account is for the chart to set: use kubeletReader",
    ),
    (
        "namespaceOverride=kube-system,profile=ha",
        "namespace kube-system: scrapers that share the nodes may write every Lease there, those of kube-controller-manager and kube-scheduler too; use a namespace of its own, or set allowKubeSystem",
    ),
    (
        "namespaceOverride=kube-system,replicas=2",
        "or set allowKubeSystem",
    ),
    (
        "frontend.args={--kubelet-port=1}",
        "frontend.args: --kubelet-port is no flag of the frontend",
    ),
];

/// `helm template` of a profile with a certificate.
async fn template(values: &[&str]) -> anyhow::Result<String> {
    let start = ["template", "tributary", CHART, "-n", NAMESPACE];
    let rendered = helm(None, &[&start[..], values].concat()).await?;
    anyhow::ensure!(rendered.ok, "{}", rendered.stderr);
    Ok(rendered.stdout)
}

#[test]
fn rendered_twice_it_is_the_same_except_certificates_that_helm_makes() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    for (profile, one) in PROFILES {
        for (certificate, two) in CERTIFICATES {
            let values = [one, two, EVERYTHING].concat();
            let first = runtime.block_on(template(&values))?;
            let second = runtime.block_on(template(&values))?;
            let same = certificate != "helm";
            assert_eq!(first == second, same, "{profile}, {certificate}");
        }
    }
    Ok(())
}

#[test]
fn what_cannot_mean_the_same_is_refused_with_a_sentence_that_names_the_key() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    for (values, sentence) in REFUSED {
        let outcome = runtime.block_on(helm(None, &["template", "t", CHART, "--set", values]))?;
        assert!(!outcome.ok, "{values} renders");
        assert!(
            outcome.stderr.contains(sentence),
            "{values}: {}",
            outcome.stderr
        );
    }
    Ok(())
}

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
