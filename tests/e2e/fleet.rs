//! The API group `fleet.tributary.dev`, over TLS and with both components.

use serde_json::Value;
use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};

use super::{all_served, steady};

const BASE: &str = "/apis/fleet.tributary.dev/v1alpha1";
const NODE_COUNT: usize = 6;

async fn items(front: &Client, resource: &str) -> Result<Vec<Value>, String> {
    let answer = front.ok(&format!("{BASE}/{resource}")).await?;
    Ok(answer.json()["items"].as_array().unwrap().clone())
}

/// The items without the times of scrapes and samples, which change.
fn without_times(mut items: Vec<Value>) -> Vec<Value> {
    for item in &mut items {
        let status = item["status"].as_object_mut().unwrap();
        for field in ["sample", "kubelet", "lastFailure", "oldestSample"] {
            status.remove(field);
        }
    }
    items
}

/// The nodes and scrapers that both frontends list, once they agree.
async fn agreed(fronts: &[Client; 2]) -> (Vec<Value>, Vec<Value>) {
    let reported = |node: &Value| {
        let status = &node["status"];
        status["state"] == "served" && status["owner"].is_string() && status["standby"].is_string()
    };
    eventually(|| async {
        let nodes = without_times(items(&fronts[0], "nodescrapes").await?);
        let scrapers = without_times(items(&fronts[0], "scrapers").await?);
        if nodes.len() != NODE_COUNT || !nodes.iter().all(reported) || scrapers.len() != 2 {
            return Err(format!("{nodes:?} {scrapers:?}"));
        }
        let others = [
            without_times(items(&fronts[1], "nodescrapes").await?),
            without_times(items(&fronts[1], "scrapers").await?),
        ];
        if others == [nodes.clone(), scrapers.clone()] {
            Ok((nodes, scrapers))
        } else {
            Err(format!("{others:?}"))
        }
    })
    .await
}

/// Checks that a scraper reports its name and roles: owner of `owned` nodes, and standby of the others.
fn assert_scraper(scraper: &Value, owned: usize) {
    let status = &scraper["status"];
    assert_eq!(status["version"], "0.1.0");
    assert_eq!(status["resolution"], "2s");
    assert_eq!(status["streams"], 1);
    assert_eq!(status["nodes"]["owned"], owned, "{scraper}");
    assert_eq!(status["nodes"]["standby"], NODE_COUNT - owned, "{scraper}");
}

async fn assert_describes_itself(front: &Client) {
    let own = items(front, "metricsfrontends").await.unwrap();
    assert_eq!(own.len(), 1, "{own:?}");
    let status = &own[0]["status"];
    assert_eq!(status["coverage"]["served"], NODE_COUNT);
    assert_eq!(status["streams"], 2);
    assert!(status["certificateExpires"].is_string(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frontend_says_the_same_of_nodes_and_scrapers() {
    let mut stack = Stack::leased(steady(NODE_COUNT, 1), 2, 2).await;
    let fronts = [stack.front(0), stack.front(1)];
    for front in &fronts {
        all_served(&stack, front).await;
    }
    let (nodes, scrapers) = agreed(&fronts).await;
    for scraper in &scrapers {
        let name = &scraper["metadata"]["name"];
        let owner = |node: &&Value| node["status"]["owner"] == *name;
        assert_scraper(scraper, nodes.iter().filter(owner).count());
    }
    for front in &fronts {
        assert_describes_itself(front).await;
    }

    // A watch continues a list. This one ends after a second.
    let watch = format!("{BASE}/nodescrapes?watch=true&timeoutSeconds=1");
    let events = fronts[0].ok(&watch).await.unwrap();
    let events = String::from_utf8(events.body.to_vec()).unwrap();
    let added = events
        .lines()
        .filter(|line| line.contains(r#""type":"ADDED""#));
    assert_eq!(added.count(), NODE_COUNT);

    // A scraper that has ended is in no list.
    stack.end_scraper(1).await;
    for front in &fronts {
        eventually(|| async {
            let scrapers = items(front, "scrapers").await?;
            match &*scrapers {
                [one] if one["status"]["nodes"]["owned"] == NODE_COUNT => Ok(()),
                _ => Err(format!("{scrapers:?}")),
            }
        })
        .await;
    }
    let stranger = stack.stranger(0).get(&format!("{BASE}/nodescrapes")).await;
    assert_eq!(stranger.unwrap().status, 403);
    stack.stop().await;
}
