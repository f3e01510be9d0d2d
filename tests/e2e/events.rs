//! Events on nodes.

use serde_json::Value;
use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_sim::Fault;

use super::{all_served, steady};

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
const NODE: &str = "node-00001";

/// The Events with this reason.
async fn events(admin: &Client, reason: &str) -> Vec<Value> {
    let list = admin.ok(EVENTS).await.unwrap().json();
    let all = list["items"].as_array().unwrap().iter();
    all.filter(|event| event["reason"] == reason)
        .cloned()
        .collect()
}

/// The one Event with this reason, once it is there.
async fn event(admin: &Client, reason: &'static str) -> Value {
    eventually(|| async move {
        let mut found = events(admin, reason).await;
        let last = found.pop().ok_or_else(|| format!("no {reason}"))?;
        if found.is_empty() {
            Ok(last)
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_no_scraper_can_scrape_has_an_event_and_another_when_it_is_back() {
    let stack = Stack::start(steady(3, 1), 2, 1).await;
    all_served(&stack, &stack.front(0)).await;
    let admin = stack.admin();
    assert_eq!(events(&admin, "NodeNotScraped").await.len(), 0);
    let fault = Fault::Status(500);
    stack.cluster.set_fault(NODE, fault).await.unwrap();
    let lost = event(&admin, "NodeNotScraped").await;
    assert_eq!(lost["type"], "Warning");
    assert_eq!(lost["regarding"]["kind"], "Node");
    assert_eq!(lost["regarding"]["name"], NODE);
    let node = admin.ok(&format!("/api/v1/nodes/{NODE}")).await.unwrap();
    assert_eq!(lost["regarding"]["uid"], node.json()["metadata"]["uid"]);
    assert_eq!(lost["reportingController"], "tributary.dev/scraper");
    let text = lost["note"].as_str().unwrap();
    assert!(
        text.contains("(status)") && !text.contains("127.0.0.1"),
        "{text}"
    );
    assert_eq!(events(&admin, "NodeScraped").await.len(), 0);
    stack.cluster.set_fault(NODE, Fault::None).await.unwrap();
    let back = event(&admin, "NodeScraped").await;
    assert_eq!(
        (&back["type"], &back["regarding"]),
        (&"Normal".into(), &lost["regarding"])
    );
    assert_eq!(events(&admin, "NodeNotScraped").await.len(), 1);
    stack.stop().await;
}
