//! How much memory hostile answers take: as long as they may be, in rows that are short as text and long in memory.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::{iter::repeat_n, time::Duration};

use k8s_openapi::api::core::v1::Node;
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tributary_cli::{
    args::Common,
    kube_api::{Failure, KubeApi},
    usages,
};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// How long the answers are: almost as long as they may be.
const ANSWER: usize = 63 * MIB;

/// The most that one list may take, with the answer.
const MOST: usize = 400 * MIB;

/// What a client asks to know whether it is a Kubernetes API.
const PROOF: [(&str, &str); 2] = [
    ("GET /version ", r#"{"gitVersion":"v1.37.0"}"#),
    ("GET /api ", r#"{"kind":"APIVersions","versions":["v1"]}"#),
];

/// Answers with a list of such rows.
async fn answer(mut stream: TcpStream, row: &str) -> std::io::Result<()> {
    let mut head = [0; 4_096];
    let length = stream.read(&mut head).await?;
    if length == 0 {
        return Ok(());
    }
    let head = String::from_utf8_lossy(head.get(..length).unwrap_or_default());
    for (path, body) in PROOF {
        if head.starts_with(path) {
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            return stream.write_all((head + body).as_bytes()).await;
        }
    }
    let rows = format!("{row},");
    let rows = rows.repeat((64 << 10) / rows.len() + 1);
    let times = ANSWER / rows.len();
    let (begin, end) = ("{\"items\":[", format!("{row}]}}"));
    let length = begin.len() + times * rows.len() + end.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{begin}");
    stream.write_all(head.as_bytes()).await?;
    for rows in repeat_n(rows.as_bytes(), times) {
        stream.write_all(rows).await?;
    }
    stream.write_all(end.as_bytes()).await
}

/// The API of a server whose lists have such rows. The directory has its kubeconfig.
async fn api(row: String) -> (KubeApi, tempfile::TempDir, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The client may end before the answer does.
            answer(stream, &row).await.ok();
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let config = json!({
        "current-context": "c", "users": [{ "name": "u", "user": {} }],
        "clusters": [{ "name": "c", "cluster": { "server": server } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let mut common = Common::of(&path);
    common.request_timeout = Duration::from_mins(5);
    let api = KubeApi::connect(&common).await.unwrap();
    (api, directory, serving)
}

/// What reads a list.
#[derive(Clone, Copy, Debug)]
enum Reader {
    Nodes,
    Json,
    Usages,
}

impl Reader {
    async fn read(self, api: &KubeApi) -> Result<(), Failure> {
        const PATH: &str = "/list";
        match self {
            Self::Nodes => api.list::<Node>(PATH).await.map(drop),
            Self::Json => api.list::<Value>(PATH).await.map(drop),
            Self::Usages => usages::read(api, PATH).await.map(drop),
        }
    }
}

#[tokio::test]
async fn a_list_takes_a_limited_amount_of_memory_whatever_is_in_it() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let usage = json!({
        "metadata": { "name": "n".repeat(200), "namespace": "shop" },
        "containers": [{ "name": "main", "usage": { "cpu": "100m", "memory": "64Mi" } }],
    });
    let conditions = vec![json!({}); 1_000];
    let containers = json!({ "metadata": {}, "containers": conditions });
    for (reader, row) in [
        (Reader::Nodes, json!({})),
        (
            Reader::Nodes,
            json!({ "status": { "conditions": conditions } }),
        ),
        (Reader::Json, json!(vec![json!([]); 1_000])),
        (Reader::Json, json!({ "a": "x".repeat(MIB) })),
        (Reader::Usages, usage),
        (Reader::Usages, containers),
    ] {
        let (api, _directory, _serving) = api(row.to_string()).await;
        ALLOCATED.reset_peak_usage();
        let before = ALLOCATED.current_usage();
        let said = reader
            .read(&api)
            .await
            .map_err(|failure| failure.to_string());
        let took = ALLOCATED.peak_usage().saturating_sub(before);
        println!("{reader:?}: {} MiB, {said:?}", took / MIB);
        // It was read to the end, or to a limit.
        assert!(
            said.as_ref()
                .err()
                .is_none_or(|why| why.contains("which is the limit"))
        );
        assert!(took < MOST, "{reader:?}: {} MiB, {said:?}", took / MIB);
    }
}
