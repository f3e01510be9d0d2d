//! `kubectl tributary` against both components.

use tributary_cli::{
    args::{Common, Output},
    doctor::{Facts, Report},
    kube_api::KubeApi,
    printed::{Outcome, Paint},
    status::{self, Overview, Style},
};
use tributary_e2e::{patience::eventually, stack::Stack};
use tributary_sim::{Fault, NodeSpec};
use tributary_testkit::checks::OF_FLEET;

use super::steady;

const NODE: &str = "node-of-test";

/// The API for an administrator.
async fn api(stack: &Stack) -> KubeApi {
    KubeApi::connect(&Common::of(&stack.cluster.paths().kubeconfig))
        .await
        .unwrap()
}

/// The names of the troubles that `doctor` finds.
async fn found(api: &KubeApi) -> (Outcome, Vec<&'static str>) {
    let epoch = "1970-01-01T00:00:00Z".parse().unwrap();
    let facts = Facts::read(api, None, epoch);
    let report = Report::of(&Box::pin(facts).await);
    let names = report.findings.iter();
    let names = names.map(|finding| finding.code.trouble().name).collect();
    (report.outcome, names)
}

async fn until(api: &KubeApi, outcome: Outcome, names: &[&'static str]) {
    eventually(|| async {
        match found(api).await {
            now if now == (outcome, names.to_vec()) => Ok(()),
            now => Err(format!("{now:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_the_fleet_and_finds_the_node_that_fails() {
    // Samples of the other nodes must not expire on a slow machine.
    let stack = Stack::patient(steady(3, 1), 2, 1).await;
    let api = api(&stack).await;
    until(&api, Outcome::Healthy, &[]).await;
    let overview = Overview::read(&api).await;
    assert_eq!(
        (overview.outcome, overview.nodes.total),
        (Outcome::Healthy, 3),
        "{overview:?}"
    );
    let style = Style {
        output: Output::Text,
        paint: Paint::PLAIN,
        terminal: false,
    };
    let mut screen = Vec::new();
    status::once(&api, style, &mut screen).await.unwrap();
    let screen = String::from_utf8(screen).unwrap();
    for shown in [
        "3 of 3 nodes with metrics",
        "scraper-0",
        "scraper-1",
        "FRESHNESS",
    ] {
        assert!(screen.contains(shown), "{screen}");
    }

    // The node fails from its first scrape on.
    stack.cluster.add_node(NodeSpec::new(NODE)).await.unwrap();
    let fault = Fault::Status(500);
    stack.cluster.set_fault(NODE, fault).await.unwrap();
    until(&api, Outcome::Findings, &["KubeletAnswer"]).await;
    let overview = Overview::read(&api).await;
    let [group] = &*overview.without_metrics else {
        panic!("{:?}", overview.without_metrics);
    };
    assert_eq!(
        (&*group.remedy, &*group.nodes),
        ("KubeletAnswer", &[NODE.to_owned()][..])
    );
    stack.cluster.set_fault(NODE, Fault::None).await.unwrap();
    until(&api, Outcome::Healthy, &[]).await;
    stack.stop().await;
}

/// The nodes that no scraper owns.
async fn without_owner(api: &KubeApi) -> usize {
    let (_, nodes) = Overview::with_nodes(api).await;
    let nodes = nodes.unwrap_or_default().into_iter();
    nodes
        .filter(|node| node.status.scrapers.owners.is_empty())
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_scraper_is_found_without_a_gap_and_one_that_stops_in_order_is_not() {
    let mut stack = Stack::leased(steady(12, 1), 3, 1).await;
    let api = api(&stack).await;
    until(&api, Outcome::Healthy, &[]).await;
    stack.end_scraper(2).await;
    let (_, names) = found(&api).await;
    assert!(!names.contains(&"ScraperLost"), "{names:?}");
    until(&api, Outcome::Healthy, &[]).await;

    stack.kill_scraper(1).await;
    eventually(|| async {
        let (_, names) = found(&api).await;
        let is_found = names.contains(&"ScraperLost");
        is_found.then_some(()).ok_or_else(|| format!("{names:?}"))
    })
    .await;
    // Until its Lease has expired for the other scraper, and after that.
    let mut taken_over = false;
    while !taken_over {
        taken_over = without_owner(&api).await == 0;
        let (_, names) = found(&api).await;
        assert!(names.contains(&"ScraperLost"), "{names:?}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapers_and_frontends_that_are_gone_are_found_while_samples_last() {
    let mut stack = Stack::patient(steady(6, 1), 2, 1).await;
    let api = api(&stack).await;
    until(&api, Outcome::Healthy, &[]).await;

    // Shards are fixed: the other scraper rescues the nodes of this one, and owns none of them.
    stack.kill_scraper(0).await;
    until(&api, Outcome::Findings, &["ScraperLost"]).await;

    stack.kill_scraper(1).await;
    until(&api, Outcome::Findings, &["NoScraperConnected"]).await;
    let overview = Overview::read(&api).await;
    let nodes = (overview.nodes.with_metrics, overview.nodes.total);
    assert_eq!((overview.outcome, nodes), (Outcome::Findings, (6, 6)));
    assert_eq!(overview.wrong.len(), 1, "{:?}", overview.wrong);

    // The groups stay registered, so this is not taken for an installation without APIServices.
    stack.cluster.set_frontends(Vec::new());
    let facts = Facts::read(&api, None, "1970-01-01T00:00:00Z".parse().unwrap());
    let report = Report::of(&Box::pin(facts).await);
    let [finding] = &*report.findings else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.code.trouble().name, "ServiceWithoutEndpoints");
    let commands = finding.commands();
    assert_eq!(commands.len(), 3, "{commands:?}");
    let kubeconfig = stack.cluster.paths().kubeconfig.display().to_string();
    let pods = format!("kubectl --kubeconfig={kubeconfig} -n kube-system get pods --show-labels");
    assert_eq!(commands[1], pods);
    let unknown: Vec<&str> = report.unknown.iter().map(|it| it.check).collect();
    assert_eq!(unknown, OF_FLEET);
    let overview = Overview::read(&api).await;
    assert_eq!(overview.outcome, Outcome::Findings);
    assert_eq!(
        overview.unread,
        ["failed to read nodes, scrapers, frontends: service unavailable"]
    );
    stack.stop().await;
}
