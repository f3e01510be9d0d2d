use http::uri::PathAndQuery;
use kube::Config;
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use tributary_testkit::{logs::Lines, patience::eventually};

use super::*;
use crate::{
    assignment::ownership::Peer,
    bus::hub::Hub,
    kubelet::{DEFAULT_PAGE, Limits, PageCounters, Security},
};

const RESOLUTION: Duration = Duration::from_secs(15);

const TIMEOUT: Duration = Duration::from_secs(10);

/// A scraper called "me" that asks over plain HTTP, and what it is told.
struct Stage {
    targets: watch::Sender<Targets>,
    view: watch::Sender<Option<View>>,
    reports: mpsc::Sender<Report>,
    metrics: ScrapeMetrics,
    _scrapes: JoinSet<Result<(), JoinError>>,
}

fn stage() -> Stage {
    let security = Security {
        completely_insecure: true,
        ..Security::default()
    };
    let limits = Limits {
        time: TIMEOUT,
        page: DEFAULT_PAGE,
        fallback: true,
    };
    let base = Config::new("https://cluster.test".parse().unwrap());
    let metrics = ScrapeMetrics::register(&mut Registry::default(), PageCounters::default());
    let scraping = Scraping {
        client: Client::new(&security, &base, limits).unwrap(),
        hub: Hub::default(),
        replicas: 1,
        resolution: RESOLUTION,
        fast_resolution: Some(Duration::from_secs(5)),
        clock: Clock::system(),
        metrics: metrics.clone(),
        assignment: AssignmentMetrics::default(),
        events: None,
    };
    let (targets, targets_input) = watch::channel(Targets::default());
    let (view, view_input) = watch::channel(None);
    let (reports, received) = mpsc::channel(4);
    let inputs = Inputs {
        targets: targets_input,
        view: view_input,
        reports: received,
    };
    let mut scrapes = JoinSet::new();
    scrapes.spawn(scrape(scraping, inputs, CancellationToken::new()));
    Stage {
        targets,
        view,
        reports,
        metrics,
        _scrapes: scrapes,
    }
}

fn target(node: &str, kubelet: &TcpListener) -> Target {
    Target {
        node: node.into(),
        uid: "".into(),
        host: Ok("127.0.0.1".into()),
        port: kubelet.local_addr().unwrap().port(),
        path: PathAndQuery::from_static("/metrics/resource"),
        ready: true,
        cpu_millis: None,
    }
}

/// The next request to a kubelet, which does not answer it, and when it came.
async fn asked(kubelet: &TcpListener) -> (TcpStream, Instant) {
    let (mut stream, _) = kubelet.accept().await.unwrap();
    stream.read_u8().await.unwrap();
    (stream, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_and_comes_back_is_not_asked_while_its_scrape_lasts() {
    let kubelet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = stage();
    let there = || Targets::of([target("n1", &kubelet)]);
    let alone = View::new("me".into(), Vec::new());
    stage.view.send_replace(Some(alone));
    stage.targets.send_replace(there());
    let (_first, began) = asked(&kubelet).await;
    for _ in 0..3 {
        sleep(Duration::from_secs(1)).await;
        stage.targets.send_replace(Targets::of([]));
        sleep(Duration::from_secs(1)).await;
        stage.targets.send_replace(there());
    }
    let (_second, again) = asked(&kubelet).await;
    let apart = again - began;
    assert!(apart >= TIMEOUT, "asked again after {apart:?}");
    assert!(apart < TIMEOUT * 2, "asked again after {apart:?}");
    assert_eq!(stage.metrics.in_flight.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn nodes_of_others_that_do_not_answer_leave_room_for_ours() {
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer {
        name: "other".into(),
        established: true,
    };
    let view = View::new("me".into(), vec![peer]);
    let ranked = |rank: usize| {
        let names = (0..).map(|n| format!("node-{n}"));
        let view = view.clone();
        names.filter(move |name| view.rank(name) == rank)
    };
    let own = ranked(0).next().unwrap();
    let theirs: Vec<String> = ranked(1).take(400).collect();
    let stage = stage();
    stage.view.send_replace(Some(view.clone()));
    let all = theirs.iter().map(|node| target(node, &dead));
    let all = all.chain([target(&own, &ours)]);
    stage.targets.send_replace(Targets::of(all));
    let (first, began) = asked(&ours).await;
    drop(first);
    // As after a part of the network is gone.
    stage.reports.send(Report::Overdue(theirs)).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(stage.metrics.in_flight.get(), 250);
    let (_second, again) = asked(&ours).await;
    assert!(again - began <= RESOLUTION, "{:?}", again - began);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_wanted_fresh_is_asked_every_five_seconds() {
    let kubelet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = stage();
    stage
        .view
        .send_replace(Some(View::new("me".into(), Vec::new())));
    stage
        .targets
        .send_replace(Targets::of([target("n1", &kubelet)]));
    let mut times = Vec::new();
    for n in 0..12 {
        if n == 2 {
            let wanted = Wanted {
                nodes: vec!["n1".to_owned(), "elsewhere".to_owned()],
                lasts: Duration::from_secs(30),
            };
            stage.reports.send(Report::Wanted(wanted)).await.unwrap();
        }
        // It closes the connection, so the scrape is over.
        let (stream, at) = asked(&kubelet).await;
        drop(stream);
        times.push(at);
    }
    let apart: Vec<u64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_millis().try_into().unwrap())
        .collect();
    let fast = apart.iter().filter(|it| **it <= 5_050).count();
    // 30 s of five each, and the first of them wherever the message came.
    assert!((5..=7).contains(&fast), "{apart:?}");
    let slow = apart.iter().filter(|it| **it >= 12_000).count();
    assert!(slow >= 3, "{apart:?}");
    assert_eq!(stage.metrics.fast.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_scrape_has_a_span_and_a_last_line_at_debug() {
    let (lines, _guard) = Lines::collect(tracing::Level::DEBUG);
    let kubelet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target("n1", &kubelet);
    drop(kubelet);
    let stage = stage();
    stage.targets.send_replace(Targets::of([target]));
    stage
        .view
        .send_replace(Some(View::new("me".into(), Vec::new())));
    let line = "DEBUG scrape{node=n1}: tributary_scraper::scrape::outcome: scrape ended \
        outcome=\"dial\" took_ms=";
    eventually(|| {
        let text = lines.text();
        let has_ended = text.contains(line);
        std::future::ready(if has_ended { Ok(()) } else { Err(text) })
    })
    .await;
}

/// Answers the next request to a kubelet with a page.
async fn answer(kubelet: &TcpListener, page: &str) {
    answer_with(kubelet, || page.to_owned()).await;
}

/// Answers the next request to a kubelet with a page that is made then. Returns when that was.
async fn answer_with(kubelet: &TcpListener, page: impl FnOnce() -> String) -> Instant {
    let (mut stream, _) = kubelet.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let (at, page) = (Instant::now(), page());
    let length = page.len();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    let answer = [head, page].concat();
    stream.write_all(answer.as_bytes()).await.unwrap();
    at
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_wanted_fresh_is_asked_when_its_kubelet_has_something_new() {
    let kubelet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = stage();
    let target = target("n1", &kubelet);
    stage.targets.send_replace(Targets::of([target]));
    stage
        .view
        .send_replace(Some(View::new("me".into(), Vec::new())));
    let started = Instant::now();
    let mut times = Vec::new();
    for n in 0..60 {
        if n == 2 {
            let wanted = Wanted {
                nodes: vec!["n1".to_owned()],
                lasts: Duration::from_mins(20),
            };
            stage.reports.send(Report::Wanted(wanted)).await.unwrap();
        }
        // It measures every 20 s.
        let page = || {
            let at = 1_000_000 + started.elapsed().as_secs() / 20 * 20_000;
            format!(
                "node_cpu_usage_seconds_total 1 {at}\nnode_memory_working_set_bytes 1 {at}\n\
                 container_cpu_usage_seconds_total{{container=\"c\",namespace=\"n\",pod=\"p\"}} 1 {at}\n"
            )
        };
        times.push(answer_with(&kubelet, page).await);
    }
    let apart = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs());
    let apart: Vec<u64> = apart.collect();
    // At first every five seconds; then after at most twelve, and when there is something new.
    assert!(apart[3..9].iter().all(|it| *it <= 5), "{apart:?}");
    assert!(apart.iter().all(|it| *it <= 15), "{apart:?}");
    let long = apart[30..].iter().filter(|it| **it >= 6);
    assert!(long.count() >= 15, "{apart:?}");
    let freshness = &stage.metrics.freshness;
    assert!(freshness.postponed.get() >= 15);
    let kubelets = ["periodic", "every-request", "unknown"].map(|it| freshness.kubelets(it));
    assert_eq!(kubelets, [1, 0, 0]);
    // And none that is not scraped.
    stage.targets.send_replace(Targets::of([]));
    eventually(|| {
        let left = freshness.kubelets("periodic");
        std::future::ready(if left == 0 { Ok(()) } else { Err(left) })
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_of_whose_page_parts_are_refused_is_named_once_when_that_begins() {
    const NODE: &str =
        "node_cpu_usage_seconds_total 1 1000\nnode_memory_working_set_bytes 1 1000\n";
    const FIRST: &str =
        "container_cpu_usage_seconds_total{container=\"c\",namespace=\"n\",pod=\"p\"} 1 1000\n";
    const SECOND: &str =
        "container_cpu_usage_seconds_total{container=\"c\",namespace=\"n\",pod=\"p\"} 2 1000\n";
    let (lines, _guard) = Lines::collect(tracing::Level::INFO);
    let kubelet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = stage();
    stage
        .targets
        .send_replace(Targets::of([target("n1", &kubelet)]));
    stage
        .view
        .send_replace(Some(View::new("me".into(), Vec::new())));
    let (good, bad) = ([NODE, FIRST].concat(), [NODE, FIRST, SECOND].concat());
    for page in [&bad, &bad, &good, &bad] {
        answer(&kubelet, page).await;
    }
    let line = " WARN tributary_scraper::scrape::outcome: parts of the page refused node=n1 kinds=\"duplicate\"\n";
    eventually(|| {
        let text = lines.text();
        let named = text.matches(line).count();
        std::future::ready(if named == 2 { Ok(()) } else { Err(text) })
    })
    .await;
}
