//! Requests that look odd get the status that kube-apiserver and metrics-server give, as docs/CASES.md has it.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::Context as _;
use http::{Request, StatusCode, header::ACCEPT};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tributary_controlplane::{
    patience::eventually,
    peer,
    rig::{self, Rig},
};
use tributary_testkit::program::Program;

/// The path after the group and version, and the status of the metrics API, and of kube-apiserver for the Nodes and
/// Pods themselves. `N` is a node, whose last letter may stand as an escape, `E`, or as an escape of an escape, `EE`.
const PATHS: [(&str, u16, u16); 27] = [
    ("nodes/N", 200, 200),
    ("nodes/N/", 200, 200),
    ("nodes/N//", 200, 200),
    ("nodes//", 200, 200),
    ("nodes//N", 404, 404),
    ("/nodes/N", 404, 404),
    ("n%6Fdes/N", 200, 200),
    ("node%73/N", 200, 200),
    ("nodes/E", 200, 200),
    ("nodes%2FN", 200, 200),
    ("node%2573", 404, 404),
    // kube-apiserver also looks whether such a Node could be.
    ("nodes/EE", 404, 400),
    ("nodes/%ff", 404, 404),
    ("nodes/%zz", 400, 400),
    ("nodes/%2", 400, 400),
    ("namespaces//pods", 200, 200),
    ("namespaces//pods/", 200, 200),
    ("namespaces/default//pods", 404, 404),
    ("namespace/default/pods", 404, 404),
    ("namespaces//pods/web", 404, 400),
    ("nodes?fieldSelector=metadata.name%3DN", 200, 200),
    // Old kubectl sends it for any kind; Pods have it, their metrics do not.
    ("pods?fieldSelector=status.phase%3DRunning", 400, 200),
    ("nodes?fieldSelector=status.phase%3DRunning", 400, 400),
    ("nodes?limit=x", 400, 400),
    ("nodes?labelSelector=%3D%3D", 400, 400),
    // It cannot be watched.
    ("nodes?watch=true&timeoutSeconds=1", 405, 200),
    ("pods?labelSelector=LONG", 200, 200),
];

/// What is asked for, and the status of all three.
const ACCEPTS: [(&str, u16); 14] = [
    ("application/json;stream=nonsense", 406),
    ("application/json;stream=watch", 200),
    ("text/html", 406),
    ("application/xml", 406),
    ("application/cbor", 406),
    ("*/*", 200),
    ("application/json; charset=utf-8", 200),
    ("application/json;pretty=1", 200),
    ("application/yaml", 200),
    ("application/vnd.kubernetes.protobuf", 200),
    (
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        200,
    ),
    ("application/json;as=Table;g=meta.k8s.io;v=v1", 200),
    ("application/json;as=Table;g=meta.k8s.io;v=v9", 406),
    (
        "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io, \
         application/json",
        200,
    ),
];

/// How often metrics-server asks kubelets: nine tenths of it have to be more than the ten seconds that it waits for one.
const PERIOD: Duration = Duration::from_secs(15);

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";
const CORE: &str = "/api/v1";

/// A server, as an administrator sees it.
struct Server {
    name: &'static str,
    client: Client,
    prefix: &'static str,
}

impl Server {
    async fn at(
        rig: &Rig,
        name: &'static str,
        url: &str,
        prefix: &'static str,
    ) -> anyhow::Result<Self> {
        let file = Kubeconfig::read_from(rig.plane.kubeconfig())?;
        let mut config =
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        config.cluster_url = url.parse()?;
        // Each has a certificate for another name.
        config.accept_invalid_certs = true;
        let client = Client::try_from(config)?;
        Ok(Self {
            name,
            client,
            prefix,
        })
    }

    async fn status(&self, path: &str, accept: &str) -> anyhow::Result<u16> {
        let path = format!("{}/{path}", self.prefix);
        let request = Request::get(&path).header(ACCEPT, accept);
        let answer = self
            .client
            .send(request.body(Vec::new())?.map(Into::into))
            .await;
        let answer = answer.with_context(|| format!("{}: {path}", self.name))?;
        Ok(answer.status().as_u16())
    }
}

/// The path with its letters filled in.
fn filled(path: &str, node: &str) -> String {
    let (begin, last) = node.split_at(node.len() - 1);
    let last = last.bytes().next().unwrap_or_default();
    let values: Vec<String> = (0..6_000).map(|number| format!("v{number:06}")).collect();
    let long = format!("app%20in%20({})", values.join(","));
    path.replace("LONG", &long)
        .replace("EE", &format!("{begin}%25{last:x}"))
        .replace("nodes/E", &format!("nodes/{begin}%{last:x}"))
        .replace('N', node)
}

#[test]
fn requests_that_look_odd_are_answered_as_others_answer_them() -> anyhow::Result<()> {
    rig::share(async |rig| {
        let api = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let logs = rig.dir().join("log");
        let flags = peer::flags(&rig.plane, &rig.cluster, api, PERIOD);
        let mut peer = Program::start_in_environment(
            "metrics-server",
            &rig.program("metrics-server")?,
            &flags,
            &logs,
        )?;
        let reported = compared(&rig, api).await;
        let ran = peer.still_runs();
        peer.kill().await?;
        ran.and(reported)
    })
}

async fn compared(rig: &Rig, peer: SocketAddr) -> anyhow::Result<()> {
    let node = rig.cluster.nodes().into_iter().next().context("a node")?;
    let url = |api: SocketAddr| format!("https://{api}");
    let metrics = [
        Server::at(rig, "Tributary", &url(rig.components.api), METRICS).await?,
        Server::at(rig, "metrics-server", &url(peer), METRICS).await?,
    ];
    let core = Server::at(rig, "kube-apiserver", rig.plane.url(), CORE).await?;
    let json = "application/json";
    for server in &metrics {
        let path = format!("nodes/{node}");
        eventually("the node has metrics", || async {
            let status = server.status(&path, json).await?;
            anyhow::ensure!(status == StatusCode::OK, "{}: {status}", server.name);
            Ok(())
        })
        .await?;
    }
    for (path, of_metrics, of_core) in PATHS {
        let path = filled(path, &node);
        for server in &metrics {
            let status = server.status(&path, json).await?;
            assert_eq!(status, of_metrics, "{}: {path}", server.name);
        }
        assert_eq!(core.status(&path, json).await?, of_core, "{path}");
    }
    let path = format!("nodes/{node}");
    for (accept, expected) in ACCEPTS {
        for server in metrics.iter().chain([&core]) {
            let status = server.status(&path, accept).await?;
            assert_eq!(status, expected, "{}: {accept}", server.name);
        }
    }
    Ok(())
}
