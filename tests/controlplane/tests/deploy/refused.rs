//! Values that cannot mean what they say: refused with a sentence that names the key.

use crate::site::{CHART, helm};

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
        "args={--bus-token-audience=x}",
        "args: --bus-token-audience is for the chart to set: scrapers show tokens for tributary-bus",
    ),
    (
        "profile=ha,frontend.args={--bus-allow=other=}",
        "frontend.args: --bus-allow: no rule is for system:serviceaccount:default:t-tributary-scraper, the publisher of this release",
    ),
    (
        "profile=ha,frontend.args={--bus-allow=other=},args={--node-selector=pool=a}",
        "add --bus-allow=system:serviceaccount:default:t-tributary-scraper=pool=a, or leave --bus-allow out",
    ),
    (
        "profile=ha,scraper.serviceAccount.create=false,scraper.serviceAccount.name=mine,args={--bus-allow=system:serviceaccount:default:t-tributary-scraper=}",
        "args: --bus-allow: no rule is for system:serviceaccount:default:mine, the publisher of this release",
    ),
    (
        "replicas=2,args={--bus-allow=other=}",
        "args: --bus-allow: no rule is for system:serviceaccount:default:t-tributary, the publisher of this release",
    ),
    (
        "args={--bus-allow=other=}",
        "args: --bus-allow: no rule is for uid:1000, the publisher of this release",
    ),
    (
        "args={--bus-allow=uid:1000=pool=a}",
        "args: --bus-allow=uid:1000=pool=a: scrapers of this release scrape all nodes",
    ),
    (
        "replicas=2,args={--bus-client-ca-file=/ca}",
        "args: --bus-client-ca-file: frontends would refuse scrapers without a certificate",
    ),
    (
        "profile=ha,scraper.groups[0].name=a,scraper.groups[0].selector=pool=a,frontend.args={--bus-client-ca-file=/ca}",
        "frontend.args: --bus-client-ca-file: frontends would refuse scrapers without a certificate",
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
