//! One node, and one publisher, is what a fault takes: the others are served.

use std::time::Duration;

use tonic::Code;
use tributary_proto::v1::{
    self, node_refused::Reason, publish_request::Message, publish_response::Message as Answer,
};
use tributary_runtime::clock::Clock;
use tributary_sim::{Cluster, NodeSpec};
use tributary_testkit::patience::eventually;

use super::{
    publisher::{Publisher, dial, dial_socket, reading, roster},
    stage::Stage,
};

/// A publisher beside the one that is tested, with a node of its own.
///
/// Its samples are ten seconds apart: closer ones make no pair.
struct Neighbour {
    publisher: Publisher,
    at: i64,
}

const NODE: &str = "node-00002";

impl Neighbour {
    /// One whose node is served.
    async fn arrives(stage: &Stage) -> Self {
        let mut publisher = dial(stage, &stage.good()).await.unwrap();
        publisher.greet().await;
        let at = Clock::system().now_millis() - 100_000;
        publisher.say(roster(NODE, "web")).await;
        publisher.say(reading(NODE, at)).await;
        let mut neighbour = Self { publisher, at };
        neighbour.is_served(stage).await;
        neighbour
    }

    /// Its next sample is served.
    async fn is_served(&mut self, stage: &Stage) {
        self.at += 10_000;
        self.publisher.say(reading(NODE, self.at)).await;
        let time = jiff::Timestamp::from_second(self.at / 1_000).unwrap();
        let time = time.to_string();
        eventually(|| async {
            let (status, body) = node(stage, NODE).await;
            if status == 200 && body.contains(&time) {
                Ok(())
            } else {
                Err((time.clone(), body))
            }
        })
        .await;
    }
}

async fn node(stage: &Stage, name: &str) -> (u16, String) {
    let path = format!("/apis/metrics.k8s.io/v1beta1/nodes/{name}");
    let answer = stage.get(&path).await;
    (answer.status, answer.body)
}

async fn publisher(stage: &Stage) -> Publisher {
    let mut publisher = dial_socket(&stage.socket).await.unwrap();
    publisher.greet().await;
    publisher
}

/// What is answered next, except reports of overdue nodes.
async fn answer(publisher: &mut Publisher) -> Answer {
    loop {
        match publisher.hear().await.unwrap().unwrap() {
            Answer::Overdue(_) => {}
            answer => return answer,
        }
    }
}

/// The refusal of a node that comes next.
async fn refusal(publisher: &mut Publisher) -> (String, Reason, String) {
    match answer(publisher).await {
        Answer::NodeRefused(refused) => {
            let reason = refused.reason();
            (refused.node, reason, refused.message)
        }
        other => panic!("{other:?}"),
    }
}

/// A roster of one pod with this many containers.
fn crowd(node: &str, containers: usize) -> Message {
    Message::Roster(v1::Roster {
        node: node.to_owned(),
        id: 8,
        pods: vec![v1::roster::Pod {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            containers: (0..containers).map(|row| format!("c{row}")).collect(),
        }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_needs_a_permit() {
    let stage = Stage::start(&[]).await;
    let mut neighbour = Neighbour::arrives(&stage).await;
    assert_eq!(stage.metric("tributary_bus_decode_permits_total").await, 0);
    let publisher = publisher(&stage).await;
    // 10,000 names of five bytes or more.
    publisher.say(crowd("node-00001", 10_000)).await;
    eventually(|| async {
        match stage.metric("tributary_bus_decode_permits_total").await {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    neighbour.is_served(&stage).await;
    stage.stop().await;
}

/// Waits until a node exists for the frontend, and a name does not.
async fn nodes_are_listed(stage: &Stage) {
    eventually(|| async {
        match stage.get("/debug/nodes").await.body {
            body if body.contains(NODE) => Ok(()),
            body => Err(body),
        }
    })
    .await;
}

/// What becomes of a node, of which a message is refused, and of the others.
async fn one_node_is_refused(bad: Message, why: (Reason, &str), counter: &str) {
    let stage = Stage::start(&[]).await;
    let mut neighbour = Neighbour::arrives(&stage).await;
    let mut publisher = publisher(&stage).await;
    publisher.say(bad).await;
    let (node_, reason, message) = refusal(&mut publisher).await;
    assert_eq!((&*node_, reason, &*message), ("node-00001", why.0, why.1));
    assert_eq!(stage.refused(counter).await, 1);
    // A reading does not bring about that the roster is sent again.
    publisher.say(reading("node-00001", 1_000)).await;
    eventually(|| async {
        match stage.refused(counter).await {
            2 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    // People find the reason.
    let (status, body) = node(&stage, "node-00001").await;
    let text = format!("by publisher: refused by the frontend: {message}");
    assert_eq!(status, 404);
    assert!(body.contains(&text.replace('"', "\\\"")), "{body}");
    let details = stage.get("/debug/nodes?node=node-00001").await.body;
    assert!(details.contains("\"reason\":\"refused\""), "{details}");
    // Other nodes of the same stream, and of another publisher, are served.
    publisher.say(roster(NODE, "web")).await;
    let at = neighbour.at + 500;
    publisher.say(reading(NODE, at)).await;
    neighbour.is_served(&stage).await;
    // And so is this one when it is well.
    let now = Clock::system().now_millis();
    publisher.say(roster("node-00001", "web")).await;
    publisher.say(reading("node-00001", now - 20_000)).await;
    publisher.say(reading("node-00001", now)).await;
    eventually(|| async {
        match node(&stage, "node-00001").await {
            (200, _) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_too_many_containers_is_refused_alone() {
    let text = "20001 containers in a roster, allowed are 20000";
    let bad = crowd("node-00001", 20_001);
    one_node_is_refused(bad, (Reason::Containers, text), "containers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_roster_is_small_on_the_wire_and_large_in_memory_is_refused_alone() {
    let bad = Message::Roster(v1::Roster {
        node: "node-00001".to_owned(),
        id: 8,
        pods: vec![v1::roster::Pod::default(); 2_000_000],
    });
    let text = "2000000 pods in a roster, allowed are 20000";
    one_node_is_refused(bad, (Reason::Containers, text), "containers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_long_name_in_its_roster_is_refused_alone() {
    let text = format!(
        "node node-00001: pod name of 254 bytes in a roster is no DNS subdomain: `{}`",
        "p".repeat(80)
    );
    let bad = roster("node-00001", &"p".repeat(254));
    one_node_is_refused(bad, (Reason::Invalid, &text), "roster").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_of_too_many_entries_is_refused_alone() {
    let text = "2000000 entries in a column, allowed are 20000";
    let bad = Message::Reading(v1::Reading {
        node: "node-00001".to_owned(),
        cpu_nanos_plus_one: vec![1; 2_000_000],
        ..v1::Reading::default()
    });
    one_node_is_refused(bad, (Reason::Containers, text), "containers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_does_not_fit_its_roster_is_refused_and_the_next_is_taken() {
    let stage = Stage::start(&[]).await;
    let mut publisher = publisher(&stage).await;
    publisher.say(roster(NODE, "web")).await;
    let Message::Reading(mut odd) = reading(NODE, 1_000) else {
        panic!("no reading");
    };
    odd.cpu_nanos_plus_one = vec![1, 2];
    publisher.say(Message::Reading(odd)).await;
    let text = "node node-00002: column cpu_nanos_plus_one has 2 entries, the roster has 1";
    let refused = (NODE.to_owned(), Reason::Invalid, text.to_owned());
    assert_eq!(refusal(&mut publisher).await, refused);
    publisher.say(reading(NODE, 1_000)).await;
    eventually(|| async {
        match stage
            .metric("tributary_bus_readings_total{outcome=\"first\"}")
            .await
        {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(stage.refused("reading").await, 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_very_many_containers_leave_room_for_the_others() {
    let cluster = Cluster::builder().nodes(53).start().await.unwrap();
    let stage = Stage::beside(cluster, &[]).await;
    let mut neighbour = Neighbour::arrives(&stage).await;
    let mut greedy = publisher(&stage).await;
    for number in 3..=53 {
        greedy
            .say(crowd(&format!("node-{number:05}"), 20_000))
            .await;
    }
    let text = "more than 1000000 containers of one publisher on nodes with more than 1024";
    let refused = ("node-00053".to_owned(), Reason::Publisher, text.to_owned());
    assert_eq!(refusal(&mut greedy).await, refused);
    // An ordinary node of the same publisher, and the other publisher.
    let now = Clock::system().now_millis();
    greedy.say(roster("node-00001", "web")).await;
    greedy.say(reading("node-00001", now - 20_000)).await;
    greedy.say(reading("node-00001", now)).await;
    eventually(|| async {
        match node(&stage, "node-00001").await {
            (200, _) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    neighbour.is_served(&stage).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_do_not_exist_are_not_kept() {
    let stage = Stage::start(&[]).await;
    nodes_are_listed(&stage).await;
    let mut neighbour = Neighbour::arrives(&stage).await;
    let liar = publisher(&stage).await;
    // More than there may be on a stream.
    for number in 0..=20_000 {
        liar.say(roster(&format!("no-{number}"), "web")).await;
    }
    liar.say(reading("no-1", 1_000)).await;
    for odd in ["", "-", "NODE", "a\nb", &"n".repeat(254)] {
        liar.say(roster(odd, "web")).await;
    }
    eventually(|| async {
        match stage.refused("roster").await {
            5 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(stage.refused("unknown-node").await, 20_002);
    assert_eq!(stage.metric("tributary_bus_rosters_total").await, 1);
    neighbour.is_served(&stage).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_new_is_asked_for_as_soon_as_it_is_known() {
    let stage = Stage::start(&[]).await;
    nodes_are_listed(&stage).await;
    let mut publisher = publisher(&stage).await;
    publisher.say(roster("node-00003", "web")).await;
    publisher.say(reading("node-00003", 1_000)).await;
    eventually(|| async {
        match stage.refused("unknown-node").await {
            2 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let node = NodeSpec::new("node-00003");
    stage.cluster.add_node(node).await.unwrap();
    // A stream is quiet until then, or says the next reading.
    let answer = loop {
        let next = tokio::time::timeout(Duration::from_secs(1), answer(&mut publisher)).await;
        if let Ok(answer) = next {
            break answer;
        }
        publisher.say(reading("node-00003", 2_000)).await;
    };
    let wanted = Answer::NeedRoster(v1::NeedRoster {
        node: "node-00003".to_owned(),
    });
    assert_eq!(answer, wanted);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_ends_that_stream_alone() {
    let stage = Stage::start(&[]).await;
    let mut neighbour = Neighbour::arrives(&stage).await;
    // No scraper sends a message as long as that, whatever a kubelet says.
    let mut long = publisher(&stage).await;
    long.say(Message::ScrapeFailure(v1::ScrapeFailure {
        message: "x".repeat(5 << 20),
        ..v1::ScrapeFailure::default()
    }))
    .await;
    let (code, text) = long.end().await;
    assert_eq!(code, Code::OutOfRange, "{text}");
    assert!(text.ends_with("allowed are 4194304"), "{text}");
    assert_eq!(stage.refused("message").await, 1);
    neighbour.is_served(&stage).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_publishers_write_is_shown_on_one_line() {
    let stage = Stage::start(&[]).await;
    let publisher = publisher(&stage).await;
    let now = Clock::system().now_millis();
    publisher
        .say(Message::ScrapeFailure(v1::ScrapeFailure {
            node: "node-00001".to_owned(),
            asked_at_ms: now,
            reason: 2,
            message: "dial: \u{1b}]0;owned\u{7} \u{1b}[2J\nall is well".to_owned(),
        }))
        .await;
    let body = eventually(|| async {
        match node(&stage, "node-00001").await.1 {
            body if body.contains("dial: ") => Ok(body),
            body => Err(body),
        }
    })
    .await;
    assert!(body.contains("dial:  ]0;owned   [2J all is well"), "{body}");
    stage.stop().await;
}
