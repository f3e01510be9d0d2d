//! Every frontend knows the owner and the standby of each node, and its last failure.

use serde_json::Value;
use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_sim::Fault;

use super::{NODES, all_served, steady};

const NODE_COUNT: usize = 6;
const BAD: &str = "node-00002";

/// The entries of a frontend for the nodes that `query` selects.
async fn debug(front: &Client, query: &str) -> Result<Vec<Value>, String> {
    let answer = front.ok(&format!("/debug/nodes{query}")).await?;
    Ok(answer.json()["nodes"].as_array().unwrap().clone())
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// Waits until a frontend has an owner and a standby for every node, and returns them.
async fn assignments(front: &Client, scrapers: usize) -> Vec<(String, String, String)> {
    eventually(|| async {
        let nodes = debug(front, "").await?;
        let assigned = nodes.iter().map(|node| {
            let (owners, standby) = (&node["owners"], &node["standby"]);
            let count = |list: &Value| list.as_array().map(Vec::len);
            let standbys = scrapers.min(2) - 1;
            if (count(owners), count(standby)) != (Some(1), Some(standbys))
                || text(node, "state") != "served"
            {
                return Err(format!("{node}"));
            }
            let name = |list: &Value| list[0].as_str().unwrap_or_default().to_owned();
            Ok((text(node, "node").to_owned(), name(owners), name(standby)))
        });
        let assigned: Vec<_> = assigned.collect::<Result<_, String>>()?;
        if assigned.len() == NODE_COUNT {
            Ok(assigned)
        } else {
            Err(format!("{} nodes", assigned.len()))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_frontends_know_who_scrapes_what() {
    let mut stack = Stack::leased(steady(NODE_COUNT, 1), 2, 2).await;
    let fronts = [stack.front(0), stack.front(1)];
    for front in &fronts {
        all_served(&stack, front).await;
    }
    let assigned = assignments(&fronts[0], 2).await;
    assert_eq!(assignments(&fronts[1], 2).await, assigned);
    for (node, owner, standby) in &assigned {
        assert_ne!(owner, standby, "{node}");
    }
    println!("{assigned:?}");

    // The remaining scraper owns all nodes, and no scraper stands by.
    stack.end_scraper(1).await;
    for front in &fronts {
        let assigned = assignments(front, 1).await;
        assert!(
            assigned.iter().all(|(_, owner, _)| owner == "scraper-0"),
            "{assigned:?}"
        );
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_fails_is_reported_with_the_reason_and_the_scraper() {
    let stack = Stack::leased(steady(NODE_COUNT, 1), 1, 1).await;
    let front = stack.front(0);
    all_served(&stack, &front).await;
    stack
        .cluster
        .set_fault(BAD, Fault::Status(500))
        .await
        .unwrap();
    let node = eventually(|| async {
        let mut failing = debug(&front, "?state=failing").await?;
        failing.pop().ok_or_else(|| "no node fails".to_owned())
    })
    .await;
    assert_eq!(text(&node, "node"), BAD);
    let failure = &node["lastFailure"];
    assert_eq!(
        (text(failure, "reason"), text(failure, "by")),
        ("status", "scraper-0")
    );
    assert!(text(failure, "message").contains("500"), "{node}");
    assert!(failure["ageSeconds"].as_f64().unwrap() < 10.0, "{node}");
    let refusal = front
        .get(&format!("{NODES}/{BAD}"))
        .await
        .unwrap()
        .message();
    assert!(
        refusal.ends_with("(node node-00002: owned by scraper-0)"),
        "{refusal}"
    );
    println!("{refusal}");

    // The failure has ended, and is remembered.
    stack.cluster.set_fault(BAD, Fault::None).await.unwrap();
    all_served(&stack, &front).await;
    let node = debug(&front, &format!("?node={BAD}"))
        .await
        .unwrap()
        .remove(0);
    assert!(["served", "late"].contains(&text(&node, "state")), "{node}");
    assert_eq!(text(&node["lastFailure"], "reason"), "status");

    // Only callers with the permission may read it.
    let stranger = stack.stranger(0).get("/debug/nodes").await.unwrap();
    assert_eq!(stranger.status, 403);
    stack.stop().await;
}
