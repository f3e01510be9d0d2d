//! Kubelets without `/metrics/resource`.

use tributary_model::{CoreNanos, CpuPoint, Endpoint};

use super::*;

const SUMMARY: &str =
    r#"{"node":{"cpu":{"time":"1970-01-01T00:00:05Z","usageCoreNanoSeconds":7}}}"#;
const V1ALPHA1: &str = "node_cpu_usage_seconds_total 7e-09 5000\n";

fn refusal(status: &str) -> Answer {
    Answer::Whole(format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\nsad\n").into_bytes())
}

/// What the requests were for, on which connections.
fn asked(server: &Server) -> Vec<(String, usize)> {
    let requests = server.requests();
    let path = |head: &str| head.split(' ').nth(1).unwrap().to_owned();
    let requests = requests.iter();
    requests
        .map(|request| (path(&request.head), request.connection))
        .collect()
}

const PATHS: [&str; 3] = [
    "/metrics/resource",
    "/metrics/resource/v1alpha1",
    "/stats/summary?only_cpu_and_memory=true",
];

#[track_caller]
fn is_from(scraped: Result<Decoded, ScrapeError>, endpoint: Endpoint) {
    let reading = scraped.unwrap().reading;
    let cpu = CpuPoint {
        total: CoreNanos(7),
        at: Timestamp::from_millis(5_000),
    };
    assert_eq!(reading.point.cpu, Some(cpu));
    assert_eq!(reading.remarks.endpoint, endpoint);
}

#[tokio::test]
async fn a_kubelet_that_lacks_one_is_asked_for_the_next_on_the_same_connection() {
    let server = Server::tls(&["127.0.0.1"], |request| match request {
        1 => refusal("404 Not Found"),
        2 => refusal("501 Not Implemented"),
        _ => Answer::Whole(ok(SUMMARY.as_bytes(), "")),
    })
    .await;
    let mut kubelet = kubelet(&server);
    for _ in 0..2 {
        let scraped = kubelet.scrape(&target(&server), ASKED_AT).await;
        is_from(scraped, Endpoint::StatsSummary);
    }
    let [first, second, third] = PATHS.map(|path| (path.to_owned(), 1));
    assert_eq!(asked(&server), [first, second, third.clone(), third]);
}

#[tokio::test]
async fn pages_of_kubernetes_1_14_are_read() {
    let server = Server::tls(&["127.0.0.1"], |request| match request {
        1 => refusal("404 Not Found"),
        _ => Answer::Whole(ok(V1ALPHA1.as_bytes(), "")),
    })
    .await;
    is_from(ask(&server).await, Endpoint::ResourceV1alpha1);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_kubelet_that_has_none_says_which_were_tried() {
    let server = Server::tls(&["127.0.0.1"], |_| refusal("404 Not Found")).await;
    let mut kubelet = kubelet(&server);
    for requests in [3, 4] {
        let error = kubelet.scrape(&target(&server), ASKED_AT).await;
        let error = error.unwrap_err();
        assert_eq!(error.reason(), Reason::Status);
        assert_eq!(
            error.to_string(),
            "request failed, status: \"404 Not Found\"; the kubelet has none of \
             /metrics/resource, /metrics/resource/v1alpha1 and /stats/summary"
        );
        // Once in a minute all are tried.
        assert_eq!(server.requests().len(), requests);
    }
}

#[tokio::test]
async fn a_fallback_that_is_forbidden_says_what_is_missing() {
    let server = Server::tls(&["127.0.0.1"], |request| match request {
        1 | 2 => refusal("404 Not Found"),
        _ => refusal("403 Forbidden"),
    })
    .await;
    let mut kubelet = kubelet(&server);
    for _ in 0..2 {
        let error = kubelet.scrape(&target(&server), ASKED_AT).await;
        let error = error.unwrap_err();
        assert_eq!(error.reason(), Reason::Auth);
        assert_eq!(
            error.to_string(),
            "request failed, status: \"403 Forbidden\"; the kubelet needs the verb get on \
             nodes/stats to be allowed (in the Helm chart kubeletReader.stats=true); asked for \
             /stats/summary, since the kubelet has no /metrics/resource"
        );
    }
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn what_is_no_answer_to_the_first_is_no_reason_to_ask_for_others() {
    for status in ["401 Unauthorized", "403 Forbidden", "410 Gone", "503 Busy"] {
        let server = Server::tls(&["127.0.0.1"], move |_| refusal(status)).await;
        ask(&server).await.unwrap_err();
        assert_eq!(asked(&server), [(PATHS[0].to_owned(), 1)], "{status}");
    }
}

#[tokio::test]
async fn a_path_that_the_node_names_is_the_only_one() {
    for (path, endpoint) in [
        (PATHS[1], Endpoint::ResourceV1alpha1),
        (PATHS[2], Endpoint::StatsSummary),
    ] {
        let page = match endpoint {
            Endpoint::StatsSummary => SUMMARY,
            _ => V1ALPHA1,
        };
        let server = Server::tls(&["127.0.0.1"], move |request| match request {
            1 => Answer::Whole(ok(page.as_bytes(), "")),
            _ => refusal("404 Not Found"),
        })
        .await;
        let mut kubelet = kubelet(&server);
        let named = Target {
            path: PathAndQuery::from_static(path),
            ..target(&server)
        };
        is_from(kubelet.scrape(&named, ASKED_AT).await, endpoint);
        let error = kubelet.scrape(&named, ASKED_AT).await.unwrap_err();
        let name = endpoint.path();
        assert_eq!(
            error.to_string(),
            format!(
                "request failed, status: \"404 Not Found\"; asked for {name}, which the node names"
            )
        );
        let once = (path.to_owned(), 1);
        assert_eq!(asked(&server), [once.clone(), once]);
    }
}

#[tokio::test]
async fn without_the_flag_only_the_first_is_asked() {
    let server = Server::tls(&["127.0.0.1"], |_| refusal("404 Not Found")).await;
    let only_first = Limits {
        fallback: false,
        ..limits(PATIENT)
    };
    let client = Client::new(&Security::default(), &cluster(&server), only_first).unwrap();
    let mut kubelet = Kubelet::new(Arc::clone(&client));
    let error = kubelet.scrape(&target(&server), ASKED_AT).await;
    let said = error.unwrap_err().to_string();
    assert_eq!(said, "request failed, status: \"404 Not Found\"");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_requests_of_a_scrape_have_the_time_of_one() {
    let absent = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let server = Server::plain(|request| match request {
        1 => Answer::After(Duration::from_secs(6), absent.to_vec()),
        2 => Answer::After(Duration::from_secs(3), absent.to_vec()),
        _ => Answer::Hang,
    })
    .await;
    let security = Security {
        completely_insecure: true,
        ..Security::default()
    };
    let limit = Duration::from_secs(10);
    let client = Client::new(&security, &cluster(&server), limits(limit)).unwrap();
    let began = tokio::time::Instant::now();
    let mut kubelet = Kubelet::new(client);
    let error = kubelet.scrape(&target(&server), ASKED_AT).await;
    let error = error.unwrap_err();
    let took = began.elapsed();
    assert_eq!(error.reason(), Reason::Timeout);
    assert_eq!(
        error.to_string(),
        "timeout during waiting for an answer: --kubelet-request-timeout is 10s; \
         asked for /stats/summary, since the kubelet has no /metrics/resource"
    );
    assert!(
        (limit..limit + Duration::from_secs(1)).contains(&took),
        "{took:?}"
    );
    assert_eq!(server.requests().len(), 3);
}
