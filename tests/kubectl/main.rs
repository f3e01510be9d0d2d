//! What people type, with real kubectl of several versions.
//!
//! Every container uses a quarter of a core and 64 MiB, so every answer is
//! known. kubectl is asked as a process; it asks the simulated Kubernetes API,
//! which proxies to a frontend.

#![expect(
    clippy::unwrap_used,
    reason = "a failed step is a failed test, and what was run is printed"
)]

use std::{path::PathBuf, process::Stdio};

use tokio::process::Command;
use tributary_e2e::{patience::eventually, stack::Stack};
use tributary_sim::{Cluster, NodeSpec, PodSpec, Usage};

/// The kubectls to try: `tests/kubectl/run` sets this.
const KUBECTLS: Option<&str> = option_env!("KUBECTLS");

struct Kubectl {
    binary: PathBuf,
    kubeconfig: PathBuf,
    /// A home of its own, so that what another run cached does not count.
    home: tempfile::TempDir,
}

impl Kubectl {
    /// Standard output without the spaces that align it, line by line.
    async fn run(&self, command: &str) -> Result<Vec<String>, String> {
        let output = Command::new(&self.binary)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(command.split(' '))
            .env("HOME", self.home.path())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(text.lines().map(squeeze).collect())
    }

    async fn shows(&self, command: &str, expected: &[&str]) {
        // Newer ones write `CPU(%)` where older ones write `CPU%`.
        let shown = self.run(command).await.unwrap().into_iter();
        let shown: Vec<String> = shown.map(|line| line.replace("(%)", "%")).collect();
        assert_eq!(shown, expected, "{} {command}", self.binary.display());
    }
}

/// Two nodes; in `shop` a web pod on each, one with a sidecar; in `infra` one.
async fn stack() -> Stack {
    let stack = Stack::patient(Cluster::builder().nodes(0).pods_per_node(0), 1, 1).await;
    let usage = Usage::steady(250, 64 << 20);
    for node in ["n1", "n2"] {
        let spec = NodeSpec::new(node).usage(Usage::steady(100, 1 << 30));
        stack.cluster.add_node(spec).await.unwrap();
    }
    for name in ["infra", "shop"] {
        let metadata = serde_json::json!({ "name": name });
        let namespace = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": metadata,
        });
        stack.cluster.put_object(namespace).unwrap();
    }
    let pod = |namespace: &str, name: &str, node: &str| {
        PodSpec::new(namespace, name, node)
            .label("app", "web")
            .container("main", usage)
    };
    stack.cluster.add_pod(pod("shop", "web-1", "n1"));
    let with_sidecar = pod("shop", "web-2", "n2").container("sidecar", usage);
    stack.cluster.add_pod(with_sidecar);
    stack
        .cluster
        .add_pod(pod("infra", "dns", "n1").label("app", "dns"));
    let admin = stack.admin();
    eventually(|| async {
        let pods = admin.ok("/apis/metrics.k8s.io/v1beta1/pods").await?.items();
        let nodes = admin
            .ok("/apis/metrics.k8s.io/v1beta1/nodes")
            .await?
            .items();
        if (pods.len(), nodes.len()) == (3, 2) {
            Ok(())
        } else {
            Err(format!("{pods:?}"))
        }
    })
    .await;
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_shows_what_the_formulas_say() {
    let stack = stack().await;
    let kubectls = KUBECTLS.expect("KUBECTLS: run tests/kubectl/run");
    let mut tried = 0;
    for binary in kubectls.split_whitespace() {
        let kubectl = Kubectl {
            binary: binary.into(),
            kubeconfig: stack.cluster.paths().kubeconfig.clone(),
            home: tempfile::tempdir().unwrap(),
        };
        let version = kubectl.run("version --client").await.unwrap();
        println!("{binary}: {}", version.join(", "));
        top(&kubectl).await;
        get(&kubectl).await;
        raw(&kubectl).await;
        refusals(&kubectl).await;
        tried += 1;
    }
    assert!(tried > 0);
    println!("{tried} versions of kubectl were tried");
    stack.stop().await;
}

/// Each command, and what it shows.
const TOP: [(&str, &[&str]); 7] = [
    // n1: 100 and 2 x 250 millicores; n2: the same. 8 cores and 32 GiB each.
    (
        "top nodes",
        &[
            "NAME CPU(cores) CPU% MEMORY(bytes) MEMORY%",
            "n1 600m 7% 1152Mi 3%",
            "n2 600m 7% 1152Mi 3%",
        ],
    ),
    (
        "top node n2",
        &[
            "NAME CPU(cores) CPU% MEMORY(bytes) MEMORY%",
            "n2 600m 7% 1152Mi 3%",
        ],
    ),
    (
        "top pods -A",
        &[
            "NAMESPACE NAME CPU(cores) MEMORY(bytes)",
            "infra dns 250m 64Mi",
            "shop web-1 250m 64Mi",
            "shop web-2 500m 128Mi",
        ],
    ),
    (
        "top pods -n shop -l app=web --containers",
        &[
            "POD NAME CPU(cores) MEMORY(bytes)",
            "web-1 main 250m 64Mi",
            "web-2 main 250m 64Mi",
            "web-2 sidecar 250m 64Mi",
        ],
    ),
    (
        "top pods -n shop --sum --sort-by=cpu",
        &[
            "NAME CPU(cores) MEMORY(bytes)",
            "web-2 500m 128Mi",
            "web-1 250m 64Mi",
            "________ ________",
            "750m 192Mi",
        ],
    ),
    ("top pod -n infra dns --no-headers", &["dns 250m 64Mi"]),
    (
        "top nodes --use-protocol-buffers=false --no-headers",
        &["n1 600m 7% 1152Mi 3%", "n2 600m 7% 1152Mi 3%"],
    ),
];

async fn top(kubectl: &Kubectl) {
    for (command, expected) in TOP {
        kubectl.shows(command, expected).await;
    }
}

/// The last column is the window, which is what it was.
fn without_window(lines: Vec<String>) -> Vec<String> {
    let cut = |line: String| line.rsplit_once(' ').map(|(rest, _)| rest.to_owned());
    lines.into_iter().filter_map(cut).collect()
}

async fn get(kubectl: &Kubectl) {
    // Kubelets here report swap, so there is a column for it.
    let shown = kubectl.run("get nodemetrics.metrics.k8s.io").await.unwrap();
    assert_eq!(
        without_window(shown),
        [
            "NAME CPU MEMORY SWAP",
            "n1 600m 1152Mi 0",
            "n2 600m 1152Mi 0"
        ]
    );
    let shown = kubectl.run("get podmetrics -A").await.unwrap();
    assert_eq!(
        without_window(shown),
        [
            "NAMESPACE NAME CPU MEMORY SWAP",
            "infra dns 250m 64Mi 0",
            "shop web-1 250m 64Mi 0",
            "shop web-2 500m 128Mi 0"
        ]
    );
    // Pages of one: three requests.
    let shown = kubectl
        .run("get podmetrics -A --chunk-size=1 -o name")
        .await
        .unwrap();
    assert_eq!(
        shown,
        [
            "podmetrics.metrics.k8s.io/dns",
            "podmetrics.metrics.k8s.io/web-1",
            "podmetrics.metrics.k8s.io/web-2"
        ]
    );
    let path = "{.containers[*].usage.cpu}";
    let command = format!("get podmetrics -n shop web-2 -o jsonpath={path}");
    kubectl.shows(&command, &["250m 250m"]).await;
    let command = "get podmetrics -A --field-selector=spec.nodeName=n1 -o name";
    kubectl
        .shows(
            command,
            &[
                "podmetrics.metrics.k8s.io/dns",
                "podmetrics.metrics.k8s.io/web-1",
            ],
        )
        .await;
}

async fn raw(kubectl: &Kubectl) {
    for version in ["v1", "v1beta1"] {
        let base = format!("/apis/metrics.k8s.io/{version}");
        for (path, kind) in [
            ("", "APIResourceList"),
            ("/nodes", "NodeMetricsList"),
            ("/nodes/n1", "NodeMetrics"),
            ("/pods", "PodMetricsList"),
            ("/namespaces/shop/pods", "PodMetricsList"),
            ("/namespaces/shop/pods/web-1", "PodMetrics"),
        ] {
            let shown = kubectl
                .run(&format!("get --raw {base}{path}"))
                .await
                .unwrap();
            let start = format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"");
            assert!(shown.concat().starts_with(&start), "{path}: {shown:?}");
        }
    }
}

async fn refusals(kubectl: &Kubectl) {
    for (command, expected) in [
        ("top node zzz", "node \"zzz\" not found"),
        ("top pod -n shop zzz", "\"zzz\" not found"),
        (
            "get nodemetrics -w --request-timeout=3s",
            "(MethodNotAllowed)",
        ),
        ("get podmetrics -n shop zzz", "\"zzz\" not found"),
    ] {
        let said = kubectl.run(command).await.unwrap_err();
        assert!(said.contains(expected), "{command}: {said}");
    }
}
