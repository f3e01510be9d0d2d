//! Kubelets for a scraper: pages, credentials, faults.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use tokio::time::timeout;
use tributary_sim::{
    Ca, Cluster, Fault, KubeletAuth, NodeSpec, PodSpec, Serves, SimClock, TokenSpec, Usage,
};

use crate::https::{Answer, Https};

const PATH: &str = "/metrics/resource";
const NODE: &str = "node-00001";
const GZIP: (&str, &str) = ("accept-encoding", "gzip");

/// One node and one pod that has used a quarter of a core since `started`.
async fn cluster(auth: KubeletAuth) -> Cluster {
    let start = Timestamp::from_second(1_000_000).unwrap();
    let cluster = Cluster::builder()
        .nodes(1)
        .pods_per_node(0)
        .clock(SimClock::manual(start))
        .housekeeping(Duration::ZERO)
        .kubelet_auth(auth)
        .start()
        .await
        .unwrap();
    let usage = Usage::steady(250, 64 << 20);
    cluster.add_pod(PodSpec::new("shop", "web-0", NODE).container("nginx", usage));
    cluster.clock().advance(Duration::from_secs(40));
    cluster
}

async fn read(cluster: &Cluster, headers: &[(&str, &str)]) -> std::io::Result<Answer> {
    read_at(cluster, PATH, headers).await
}

async fn read_at(
    cluster: &Cluster,
    path: &str,
    headers: &[(&str, &str)],
) -> std::io::Result<Answer> {
    let client = Https::new(cluster.pki().ca(Ca::Cluster), None);
    client
        .get(cluster.kubelet_address(NODE).unwrap(), path, headers)
        .await
}

/// The lines of the page about the test's container.
fn lines(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.contains("container=\"nginx\""))
        .collect()
}

#[tokio::test]
async fn a_page_says_what_the_formula_says() {
    let cluster = cluster(KubeletAuth::Open).await;
    let answer = read(&cluster, &[]).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    );
    let labels = "{container=\"nginx\",namespace=\"shop\",pod=\"web-0\"}";
    assert_eq!(
        lines(answer.text()),
        [
            format!("container_cpu_usage_seconds_total{labels} 10 1000040000"),
            format!("container_memory_working_set_bytes{labels} 6.7108864e+07 1000040000"),
            format!("container_start_time_seconds{labels} 1e+06"),
            format!("container_swap_limit_bytes{labels} 0 1000040000"),
            format!("container_swap_usage_bytes{labels} 0 1000040000"),
        ]
    );
    let (from, to) = (
        Timestamp::from_second(1_000_010),
        Timestamp::from_second(1_000_030),
    );
    let expected =
        cluster.expected_cpu_nanocores("shop", "web-0", "nginx", from.unwrap(), to.unwrap());
    assert_eq!(expected, Some(250_000_000));
    cluster.stop().await;
}

#[tokio::test]
async fn a_page_is_compressed_when_asked() {
    let cluster = cluster(KubeletAuth::Open).await;
    let plain = read(&cluster, &[]).await.unwrap();
    let answer = read(&cluster, &[GZIP]).await.unwrap();
    assert_eq!(answer.headers["content-encoding"], "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&answer.body[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, plain.text());
    let stats = cluster.kubelet_stats(NODE).unwrap();
    assert_eq!((stats.requests, stats.connections), (2, 2));
    assert_eq!(stats.last_headers["accept-encoding"], "gzip");
    cluster.stop().await;
}

#[tokio::test]
async fn a_restarted_container_counts_from_zero_and_its_pod_and_node_go_on() {
    let cluster = cluster(KubeletAuth::Open).await;
    let node = |text: &str| {
        text.lines()
            .find(|l| l.starts_with("node_cpu"))
            .unwrap()
            .to_owned()
    };
    let before = node(&cluster.kubelet_page(NODE).unwrap());
    cluster.restart_container("shop", "web-0", "nginx").unwrap();
    assert_eq!(node(&cluster.kubelet_page(NODE).unwrap()), before);
    cluster.clock().advance(Duration::from_secs(4));
    let page = cluster.kubelet_page(NODE).unwrap();
    assert!(lines(&page)[0].ends_with(" 1 1000044000"), "{page}");
    assert!(lines(&page)[2].ends_with(" 1.00004e+06"), "{page}");
    let pod = "pod_cpu_usage_seconds_total{namespace=\"shop\",pod=\"web-0\"} 11 1000044000";
    assert!(page.lines().any(|line| line == pod), "{page}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_kubelet_with_a_token_refuses_others() {
    let cluster = cluster(KubeletAuth::Token("secret".to_owned())).await;
    assert_eq!(
        read(&cluster, &[]).await.unwrap().status,
        StatusCode::UNAUTHORIZED
    );
    let wrong = [("authorization", "Bearer guess")];
    assert_eq!(
        read(&cluster, &wrong).await.unwrap().status,
        StatusCode::UNAUTHORIZED
    );
    let right = [("authorization", "Bearer secret")];
    assert_eq!(read(&cluster, &right).await.unwrap().status, StatusCode::OK);
    cluster.stop().await;
}

#[tokio::test]
async fn a_kubelet_that_delegates_knows_certificates_and_tokens() {
    let cluster = cluster(KubeletAuth::Delegated).await;
    let status = async |client: Https, token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let headers = if token.is_empty() {
            &[][..]
        } else {
            &headers[..]
        };
        client
            .get(cluster.kubelet_address(NODE).unwrap(), PATH, headers)
            .await
            .unwrap()
            .status
    };
    let ca = cluster.pki().ca(Ca::Cluster);
    let scraper = cluster
        .pki()
        .client(Ca::Cluster, tributary_sim::SCRAPER_USER, &[])
        .unwrap();
    let jane = cluster.pki().client(Ca::Cluster, "jane", &["dev"]).unwrap();
    let account = "system:serviceaccount:kube-system:scraper";
    let token = cluster.mint(TokenSpec::new(account).lifetime(Duration::from_mins(1)));

    let anonymous = Https::new(ca, None);
    assert_eq!(
        status(anonymous.clone(), "").await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(status(anonymous.clone(), &token).await, StatusCode::OK);
    assert_eq!(
        status(Https::new(ca, Some(&scraper)), "").await,
        StatusCode::OK
    );
    assert_eq!(
        status(Https::new(ca, Some(&jane)), "").await,
        StatusCode::FORBIDDEN
    );
    cluster.allow("dev", "get", "", "nodes/metrics");
    assert_eq!(
        status(Https::new(ca, Some(&jane)), "").await,
        StatusCode::OK
    );
    cluster.clock().advance(Duration::from_mins(1));
    assert_eq!(status(anonymous, &token).await, StatusCode::UNAUTHORIZED);
    cluster.stop().await;
}

#[tokio::test]
async fn every_fault_of_the_answer_shows_and_ends_with_the_fault() {
    let cluster = cluster(KubeletAuth::Open).await;
    let status = async |fault| {
        cluster.set_fault(NODE, fault).await.unwrap();
        read(&cluster, &[]).await.unwrap()
    };
    assert_eq!(
        status(Fault::Status(503)).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let answer = status(Fault::Redirect("https://elsewhere/".to_owned())).await;
    assert_eq!(answer.headers["location"], "https://elsewhere/");
    assert!(
        status(Fault::Html)
            .await
            .text()
            .starts_with("<!DOCTYPE html>")
    );
    assert!(std::str::from_utf8(&status(Fault::Garbage).await.body).is_err());
    assert_eq!(status(Fault::HugeBody(300_000)).await.body.len(), 300_000);
    assert_eq!(
        status(Fault::GzipBomb).await.headers["content-encoding"],
        "gzip"
    );
    let answer = status(Fault::ClockOff(-7_000)).await;
    assert!(
        lines(answer.text())[0].ends_with(" 8.25 1000033000"),
        "{answer:?}"
    );
    let pages = ["one\n", "two\n"].map(Bytes::from);
    assert_eq!(
        status(Fault::ReplayPages(pages.to_vec())).await.text(),
        "one\n"
    );
    assert_eq!(read(&cluster, &[]).await.unwrap().text(), "two\n");
    assert_eq!(read(&cluster, &[]).await.unwrap().text(), "two\n");
    cluster.set_fault(NODE, Fault::CutShort(100)).await.unwrap();
    read(&cluster, &[]).await.unwrap_err();
    read(&cluster, &[GZIP]).await.unwrap_err();
    assert_eq!(status(Fault::None).await.status, StatusCode::OK);
    cluster.stop().await;
}

#[tokio::test]
async fn every_fault_of_the_connection_shows_and_ends_with_the_fault() {
    let cluster = cluster(KubeletAuth::Open).await;
    cluster.set_fault(NODE, Fault::Refuse).await.unwrap();
    let error = read(&cluster, &[]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    cluster
        .set_fault(NODE, Fault::WrongCertificate)
        .await
        .unwrap();
    let error = read(&cluster, &[]).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    cluster.set_fault(NODE, Fault::Hang).await.unwrap();
    timeout(Duration::from_millis(50), read(&cluster, &[]))
        .await
        .unwrap_err();
    cluster.set_fault(NODE, Fault::None).await.unwrap();
    assert_eq!(read(&cluster, &[]).await.unwrap().status, StatusCode::OK);
    cluster.stop().await;
}

#[tokio::test]
async fn a_node_that_joins_has_a_kubelet_where_its_annotation_says() {
    let cluster = cluster(KubeletAuth::Open).await;
    let node = NodeSpec::new("late").annotation("metrics.k8s.io/resource-metrics-path", "/other");
    cluster.add_node(node).await.unwrap();
    let address = cluster.kubelet_address("late").unwrap();
    assert_eq!(address.port(), cluster.kubelet_port());
    let client = Https::new(cluster.pki().ca(Ca::Cluster), None);
    let status = async |path| {
        client
            .get(address, path, &[])
            .await
            .map(|answer| answer.status.as_u16())
    };
    assert_eq!(status("/other").await.unwrap(), 200);
    assert_eq!(status(PATH).await.unwrap(), 404);
    cluster.remove_node("late").unwrap();
    assert!(cluster.kubelet_address("late").is_none());
    assert_eq!(cluster.nodes(), [NODE]);
    cluster.stop().await;
}

#[tokio::test]
async fn older_kubelets_have_one_page_and_404_elsewhere() {
    let cluster = cluster(KubeletAuth::Open).await;
    cluster.clock().advance(Duration::from_millis(700));
    let paths = [
        PATH,
        "/metrics/resource/v1alpha1",
        "/stats/summary?only_cpu_and_memory=true",
    ];
    for (serves, found) in [
        (Serves::Resource, Some(0)),
        (Serves::ResourceV1alpha1, Some(1)),
        (Serves::StatsSummary, Some(2)),
        (Serves::Nothing, None),
    ] {
        cluster.set_serves(NODE, serves).unwrap();
        for (index, path) in paths.iter().enumerate() {
            let answer = read_at(&cluster, path, &[]).await.unwrap();
            let there = answer.status == StatusCode::OK;
            assert_eq!(there, found == Some(index), "{serves:?} {path}");
        }
    }
    cluster.set_serves(NODE, Serves::ResourceV1alpha1).unwrap();
    let answer = read_at(&cluster, paths[1], &[]).await.unwrap();
    let labels = "{container=\"nginx\",namespace=\"shop\",pod=\"web-0\"}";
    assert_eq!(
        lines(answer.text()),
        [
            format!("container_cpu_usage_seconds_total{labels} 10.175 1000040700"),
            format!("container_memory_working_set_bytes{labels} 6.7108864e+07 1000040700"),
        ]
    );
    cluster.set_serves(NODE, Serves::StatsSummary).unwrap();
    let answer = read_at(&cluster, paths[2], &[]).await.unwrap();
    assert_eq!(answer.headers["content-type"], "application/json");
    let page: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    // The time is 40.7 s after the start, by a clock of whole seconds.
    let time = "1970-01-12T13:47:20Z";
    assert_eq!(
        page["pods"],
        serde_json::json!([{
            "podRef": { "name": "web-0", "namespace": "shop", "uid": "" },
            "containers": [{
                "name": "nginx",
                "startTime": "1970-01-12T13:46:40Z",
                "cpu": { "time": time, "usageCoreNanoSeconds": 10_175_000_000_u64 },
                "memory": { "time": time, "workingSetBytes": 67_108_864 },
                "swap": { "time": time, "swapUsageBytes": 0 },
            }],
        }])
    );
    assert_eq!(page["node"]["nodeName"], NODE);
    cluster.stop().await;
}

#[tokio::test]
async fn a_summary_needs_a_permission_of_its_own() {
    const READER: &str = "system:serviceaccount:tributary:reader";
    let cluster = cluster(KubeletAuth::Delegated).await;
    cluster.restrict(READER);
    cluster.allow(READER, "get", "", "nodes/metrics");
    let token = cluster.mint(TokenSpec::new(READER));
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let status = async |path| read_at(&cluster, path, &headers).await.unwrap().status;
    // As in a kubelet, this is checked before the kubelet finds out whether the page exists.
    assert_eq!(status(PATH).await, StatusCode::OK);
    assert_eq!(status("/stats/summary").await, StatusCode::FORBIDDEN);
    cluster.allow(READER, "get", "", "nodes/stats");
    assert_eq!(status("/stats/summary").await, StatusCode::NOT_FOUND);
    cluster.stop().await;
}
