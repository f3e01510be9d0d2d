//! Scrapers find frontends by the `EndpointSlice`s of their Service.

use tributary_e2e::{ask::Client, patience::eventually, stack::Stack};
use tributary_sim::ApiFault;

use super::{all_served, scraped_again, steady};

const SCRAPERS: usize = 2;

async fn has_streams(front: &Client, count: u64) {
    eventually(|| async {
        let metrics = front.ok("/metrics").await?;
        match metrics.metric("tributary_bus_streams") {
            Some(streams) if streams == count => Ok(()),
            streams => Err(format!("{streams:?} streams")),
        }
    })
    .await;
}

/// The number of streams that each scraper has ever begun.
async fn begun(stack: &Stack) -> Vec<u64> {
    let mut begun = Vec::new();
    for index in 0..SCRAPERS {
        let hello = r#"tributary_bus_messages_sent_total{kind="hello"}"#;
        begun.push(stack.of_scraper(index, hello).await);
    }
    begun
}

#[tokio::test(flavor = "multi_thread")]
async fn frontends_come_and_go_and_streams_to_others_go_on() {
    let mut stack = Stack::leased(steady(4, 2), SCRAPERS, 1).await;
    let first = stack.front(0);
    all_served(&stack, &first).await;
    has_streams(&first, 2).await;
    assert_eq!(begun(&stack).await, [1, 1]);

    let joined = stack.join_frontend().await;
    let second = stack.front(joined);
    all_served(&stack, &second).await;
    has_streams(&second, 2).await;

    // Scrapers keep all frontends while the API cannot be reached.
    stack.cluster.set_api_fault(ApiFault::Refuse).await;
    scraped_again(&stack, "node-00001", 2).await;
    has_streams(&first, 2).await;
    has_streams(&second, 2).await;
    stack.cluster.set_api_fault(ApiFault::None).await;

    stack.withdraw_frontend(joined);
    has_streams(&second, 0).await;
    scraped_again(&stack, "node-00001", 1).await;
    has_streams(&first, 2).await;
    assert_eq!(begun(&stack).await, [2, 2]);
    stack.stop().await;
}
