//! Nodes with pods that an autoscaler reads are scraped more often.

use std::time::Duration;

use tokio::time::Instant;
use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_model::MIN_WINDOW;

use super::{PODS, all_served, groups::sample, steady};

/// The number of nodes that the scrapers scrape at the fast resolution.
async fn fast_nodes(stack: &Stack, scrapers: &[usize]) -> u64 {
    let mut all = 0;
    for scraper in scrapers {
        all += stack
            .of_scraper(*scraper, "tributary_scrape_fast_nodes")
            .await;
    }
    all
}

fn requests(stack: &Stack, node: &str) -> u64 {
    stack.cluster.kubelet_stats(node).unwrap().requests
}

/// A pod and its node.
async fn pod_of(front: &Client, node: &str) -> String {
    let path = format!("{PODS}?fieldSelector=spec.nodeName%3D{node}");
    let pods = front.ok(&path).await.unwrap().items();
    let meta = &pods[0]["metadata"];
    let (namespace, name) = (meta["namespace"].as_str(), meta["name"].as_str());
    let base = PODS.trim_end_matches("/pods");
    format!(
        "{base}/namespaces/{}/pods/{}",
        namespace.unwrap(),
        name.unwrap()
    )
}

/// Over which time the usage of each of these pods is measured, by a list of all.
async fn windows(front: &Client, pods: [&str; 2]) -> Result<[Duration; 2], String> {
    let all = front.ok(PODS).await?.items();
    let window = |path: &str| {
        let name = path.rsplit('/').next();
        let mut pods = all.iter();
        let pod = pods.find(|pod| pod["metadata"]["name"].as_str() == name);
        sample(pod.unwrap()).1
    };
    Ok(pods.map(window))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_of_a_pod_that_is_asked_for_again_and_again_is_asked_more_often() {
    let mut stack = Stack::fast(steady(6, 2), 2, 1).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    let pod = pod_of(&front, "node-00003").await;
    let other = pod_of(&front, "node-00004").await;
    assert_eq!(fast_nodes(&stack, &[0, 1]).await, 0);
    // A single query is a person's.
    front.ok(&pod).await.unwrap();
    // Lists of all pods do not count, whatever their number.
    for _ in 0..5 {
        front.ok(PODS).await.unwrap();
    }
    let before = requests(&stack, "node-00003");
    eventually(|| async {
        front.ok(&pod).await?;
        match fast_nodes(&stack, &[0, 1]).await {
            1 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    let since = (
        requests(&stack, "node-00003"),
        requests(&stack, "node-00004"),
    );
    eventually(|| async {
        let asked = (
            requests(&stack, "node-00003"),
            requests(&stack, "node-00004"),
        );
        let (fast, slow) = (asked.0 - since.0, asked.1 - since.1);
        if slow < 2 {
            return Err(format!("{fast} and {slow}"));
        }
        // The expected ratio is ten to one. Two of the slow scrapes are a second or more than ten apart.
        assert!(fast >= 8, "{fast} to {slow}, {before} before");
        Ok(())
    })
    .await;
    // Its usage is over three shortest windows and a few requests more at most; that of others is
    // over a resolution.
    let windows = eventually(|| async {
        let windows = windows(&front, [&pod, &other]).await?;
        if windows[0] < MIN_WINDOW * 3 {
            return Err(format!("{windows:?}"));
        }
        Ok(windows)
    })
    .await;
    assert!(windows[0] <= MIN_WINDOW * 4, "{windows:?}");
    assert!(windows[1] >= Duration::from_secs(7), "{windows:?}");
    // The next owner learns it within seconds.
    let of_first = stack.of_scraper(0, "tributary_scrape_fast_nodes").await;
    let owner = usize::from(of_first != 1);
    stack.kill_scraper(owner).await;
    eventually(|| async {
        front.ok(&pod).await?;
        match fast_nodes(&stack, &[1 - owner]).await {
            1 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    stack.stop().await;
}

/// Asks for a pod until the scraper has postponed so many scrapes.
async fn postponed(stack: &Stack, pod: &str, count: u64) {
    let front = stack.front(0);
    eventually(|| async {
        front.ok(pod).await?;
        let name = "tributary_scrape_fast_postponed_total";
        let postponed = stack.of_scraper(0, name).await;
        if postponed < count {
            return Err(postponed.to_string());
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_that_measures_all_at_once_is_asked_when_it_has_something_new() {
    let stack = Stack::fast_and_periodic(steady(2, 4), Duration::from_secs(5)).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    let pod = pod_of(&front, "node-00001").await;
    eventually(|| async {
        front.ok(&pod).await?;
        match fast_nodes(&stack, &[0]).await {
            1 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    postponed(&stack, &pod, 1).await;
    let (asked, since) = (requests(&stack, "node-00001"), Instant::now());
    postponed(&stack, &pod, 6).await;
    // It is asked twice in five seconds, or three times, and not each second.
    let asked = requests(&stack, "node-00001") - asked;
    let seconds = since.elapsed().as_secs();
    assert!(asked <= seconds * 3 / 5 + 3, "{asked} in {seconds} s");
    eventually(|| async {
        let path = "/apis/fleet.tributary.dev/v1alpha1/nodescrapes/node-00001";
        let node = front.ok(path).await?.json();
        let kubelet = &node["status"]["kubelet"];
        if kubelet["freshness"] == "periodic" {
            return Ok(());
        }
        Err(node.to_string())
    })
    .await;
    let name = "tributary_scrape_kubelets{freshness=\"periodic\"}";
    let metrics = stack.scraper_admin(0, "/metrics").await;
    assert!(
        metrics.metric(name) >= Some(1),
        "{:?}",
        metrics.metric(name)
    );
    stack.stop().await;
}
