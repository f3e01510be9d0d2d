use tokio::time::Instant;

use super::*;
use crate::bus::mailbox::{reading, reading_of};

fn outbox(hub: &Hub) -> Outbox {
    let closing = CancellationToken::new();
    Outbox::new(
        hub.clone(),
        Hello::default(),
        BusMetrics::default(),
        closing,
    )
}

/// The next messages, in short.
async fn next(outbox: &mut Outbox, count: usize) -> Vec<String> {
    let mut said = Vec::new();
    for _ in 0..count {
        said.push(match outbox.next().await.unwrap().message.unwrap() {
            Message::Hello(_) => "hello".to_owned(),
            Message::Roster(roster) => format!("roster {}", roster.node),
            Message::Reading(reading) => {
                format!("reading {} {}", reading.node, reading.asked_at_ms)
            }
            Message::ScrapeFailure(failure) => format!("failure {}", failure.node),
            Message::Released(released) => format!("released {}", released.node),
            Message::Synced(_) => "synced".to_owned(),
            Message::Share(share) => format!("share {} {:?}", share.role, share.nodes),
        });
    }
    said
}

#[tokio::test]
async fn a_new_frontend_gets_the_roster_once_and_two_readings() {
    let hub = Hub::default();
    hub.publish(reading("n1", 1, 10));
    hub.publish(reading("n1", 2, 20));
    let mut outbox = outbox(&hub);
    assert_eq!(
        next(&mut outbox, 5).await,
        [
            "hello",
            "roster n1",
            "reading n1 1",
            "reading n1 2",
            "synced"
        ]
    );
    hub.publish(reading("n1", 3, 30));
    assert_eq!(next(&mut outbox, 1).await, ["reading n1 3"]);
}

#[tokio::test]
async fn live_readings_overtake_the_replay() {
    let hub = Hub::default();
    hub.publish(reading("n1", 1, 10));
    let mut outbox = outbox(&hub);
    hub.publish(reading("n2", 2, 20));
    assert_eq!(
        next(&mut outbox, 6).await,
        [
            "hello",
            "roster n2",
            "reading n2 2",
            "roster n1",
            "reading n1 1",
            "synced"
        ]
    );
}

#[tokio::test]
async fn a_roster_that_is_wanted_is_sent_again_with_the_newest_reading() {
    let hub = Hub::default();
    hub.publish(reading("n1", 1, 10));
    let mut outbox = outbox(&hub);
    next(&mut outbox, 4).await;
    outbox.place.mailbox.leave_roster_wanted(&"n1".into());
    assert_eq!(next(&mut outbox, 2).await, ["roster n1", "reading n1 1"]);
}

#[tokio::test]
async fn failures_and_releases_are_sent() {
    let hub = Hub::default();
    let mut outbox = outbox(&hub);
    next(&mut outbox, 2).await;
    let failure = ScrapeFailure {
        node: "n1".to_owned(),
        ..Default::default()
    };
    hub.fail(&"n1".into(), failure);
    assert_eq!(next(&mut outbox, 1).await, ["failure n1"]);
    hub.publish(reading("n1", 1, 10));
    hub.release(&"n1".into());
    assert_eq!(
        next(&mut outbox, 3).await,
        ["roster n1", "reading n1 1", "released n1"]
    );
}

#[tokio::test]
async fn what_is_there_is_sent_before_the_end() {
    let hub = Hub::default();
    let mut outbox = outbox(&hub);
    next(&mut outbox, 2).await;
    hub.publish(reading("n1", 1, 10));
    hub.release(&"n1".into());
    outbox.closing.cancel();
    assert_eq!(
        next(&mut outbox, 3).await,
        ["roster n1", "reading n1 1", "released n1"]
    );
    assert_eq!(outbox.next().await, None);
}

#[tokio::test]
async fn roles_are_sent_first_and_when_they_change() {
    let hub = Hub::default();
    hub.publish(reading("n1", 1, 10));
    hub.publish_roles(vec![
        ("n1".into(), NodeRole::Owner),
        ("n2".into(), NodeRole::Standby),
        ("n3".into(), NodeRole::None),
    ]);
    let mut outbox = outbox(&hub);
    assert_eq!(
        next(&mut outbox, 6).await,
        [
            "hello",
            "share 1 [\"n1\"]",
            "share 2 [\"n2\"]",
            "roster n1",
            "reading n1 1",
            "synced"
        ]
    );
    // The same again is no news.
    hub.publish_roles(vec![
        ("n1".into(), NodeRole::Owner),
        ("n2".into(), NodeRole::Rescuer),
    ]);
    assert_eq!(next(&mut outbox, 1).await, ["share 4 [\"n2\"]"]);
    hub.publish_roles(vec![("n1".into(), NodeRole::None)]);
    assert_eq!(next(&mut outbox, 1).await, ["share 0 [\"n1\"]"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_news_after_a_pause_waits_for_others_and_the_end_for_nothing() {
    let hub = Hub::default();
    let mut outbox = outbox(&hub);
    next(&mut outbox, 2).await;
    let begun = Instant::now();
    let news = async {
        hub.publish(reading("n1", 1, 10));
        sleep(Duration::from_millis(40)).await;
        hub.publish(reading("n2", 2, 20));
    };
    let (said, ()) = tokio::join!(next(&mut outbox, 4), news);
    assert_eq!(
        said,
        ["roster n1", "reading n1 1", "roster n2", "reading n2 2"]
    );
    assert_eq!(begun.elapsed(), Duration::from_millis(50));

    let closing = outbox.closing.clone();
    let end = async {
        hub.publish(reading("n3", 3, 30));
        sleep(Duration::from_millis(10)).await;
        closing.cancel();
    };
    let (said, ()) = tokio::join!(next(&mut outbox, 2), end);
    assert_eq!(said, ["roster n3", "reading n3 3"]);
    assert_eq!(outbox.next().await, None);
    assert_eq!(begun.elapsed(), Duration::from_millis(60));
}

#[tokio::test]
async fn many_nodes_are_sent_in_several_messages() {
    let hub = Hub::default();
    let nodes = (0..5_000).map(|n| (format!("n{n}").into(), NodeRole::Owner));
    hub.publish_roles(nodes.collect());
    let mut outbox = outbox(&hub);
    let mut sizes = Vec::new();
    for _ in 0..3 {
        if let Some(Message::Share(share)) = outbox.next().await.unwrap().message {
            sizes.push(share.nodes.len());
        }
    }
    assert_eq!(sizes, [4_096, 904]);
}

#[tokio::test]
async fn a_roster_with_the_same_content_is_not_sent_again_and_another_is() {
    let hub = Hub::default();
    let mut outbox = outbox(&hub);
    next(&mut outbox, 2).await;
    let mut ids = Vec::new();
    for (sample, pod) in [(1, "web"), (2, "web"), (3, "other"), (4, "web")] {
        // Each time made again, so that it is content that is compared.
        hub.publish(reading_of("n1", pod, sample));
        while !outbox.place.mailbox.is_empty() || !outbox.ready.is_empty() {
            match outbox.next().await.unwrap().message.unwrap() {
                Message::Roster(roster) => ids.push(("roster", roster.id)),
                Message::Reading(reading) => ids.push(("reading", reading.roster)),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(
        ids,
        [
            ("roster", 1),
            ("reading", 1),
            ("reading", 1),
            ("roster", 2),
            ("reading", 2),
            ("roster", 3),
            ("reading", 3)
        ]
    );
}

#[tokio::test]
async fn a_node_whose_message_is_too_long_fails_alone() {
    let hub = Hub::default();
    let mut outbox = outbox(&hub);
    // The roster of `large` is 135 bytes; what there is of `n1`, and of `large` with
    // a usual name, is less than 50.
    outbox.longest = 80;
    next(&mut outbox, 2).await;
    let long = "l".repeat(100);
    hub.publish(reading_of("large", &long, 1));
    hub.publish(reading("n1", 1, 10));
    assert_eq!(
        next(&mut outbox, 3).await,
        ["failure large", "roster n1", "reading n1 1"]
    );
    // Again and again, and nobody else is affected.
    hub.publish(reading("n1", 2, 20));
    hub.publish(reading_of("large", &long, 2));
    assert_eq!(next(&mut outbox, 1).await, ["reading n1 2"]);
    let failure = outbox.next().await.unwrap().message.unwrap();
    let Message::ScrapeFailure(failure) = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(failure.node, "large");
    assert_eq!(failure.reason(), Reason::TooLarge);
    assert_eq!(
        failure.message,
        "1 containers in 1 pods make a message of 135 bytes on the bus, allowed are 80"
    );
    assert_eq!(outbox.metrics.oversized_total("roster"), 2);
    // When it is as others are, it is served.
    hub.publish(reading_of("large", "web", 3));
    assert_eq!(
        next(&mut outbox, 2).await,
        ["roster large", "reading large 3"]
    );
}
