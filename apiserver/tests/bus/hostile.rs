//! Publishers that were admitted and do what they should not.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tributary_proto::v1::{self, PublishRequest, publish_request::Message};
use tributary_runtime::clock::Clock;

use tributary_testkit::patience::eventually;

use super::{
    publisher::{Publisher, dial_socket, hello, reading, roster},
    stage::Stage,
};

async fn publisher(stage: &Stage) -> Publisher {
    let mut publisher = dial_socket(&stage.socket).await.unwrap();
    publisher.greet().await;
    publisher
}

/// What the stream ends with after these.
async fn ends(stage: &Stage, messages: Vec<Message>) -> (Code, String) {
    let mut publisher = dial_socket(&stage.socket).await.unwrap();
    for message in messages {
        publisher.say(message).await;
    }
    publisher.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_says_nothing_is_sent_away() {
    let stage = Stage::start(&[]).await;
    let start = Instant::now();
    let mut silent = dial_socket(&stage.socket).await.unwrap();
    let ended = silent.end().await;
    assert_eq!(ended, (Code::DeadlineExceeded, "no Hello".to_owned()));
    assert!(start.elapsed() >= Duration::from_secs(9));
    assert_eq!(stage.refused("hello").await, 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_rule_ends_the_stream_with_the_rule() {
    let stage = Stage::start(&[]).await;
    let with = |change: fn(&mut v1::Hello)| {
        let mut hello = hello();
        change(&mut hello);
        vec![Message::Hello(hello)]
    };
    let resolution = "a resolution that is not from 1s to 3600s";
    for (messages, code, text) in [
        (
            with(|it| it.resolution_ms = 0),
            Code::InvalidArgument,
            resolution,
        ),
        (
            with(|it| it.resolution_ms = 999),
            Code::InvalidArgument,
            resolution,
        ),
        (
            with(|it| it.resolution_ms = u64::MAX),
            Code::InvalidArgument,
            resolution,
        ),
        (
            with(|it| it.protocol = 0),
            Code::FailedPrecondition,
            "protocol 0 is too old, 1 to 1 are accepted",
        ),
        (
            with(|it| it.source.clear()),
            Code::InvalidArgument,
            "a source without a name",
        ),
        (
            vec![roster("n1", "web")],
            Code::InvalidArgument,
            "the first message is no Hello",
        ),
        (
            vec![Message::Hello(hello()), Message::Hello(hello())],
            Code::InvalidArgument,
            "a second Hello",
        ),
    ] {
        assert_eq!(ends(&stage, messages).await, (code, text.to_owned()));
    }
    assert_eq!(stage.refused("protocol").await, 7);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_could_be_taken_for_something_else_end_the_stream() {
    let stage = Stage::start(&[]).await;
    for (what, name) in [
        ("source", "x\n2026-11-28T22:00:00Z  WARN forged".to_owned()),
        ("instance", "\u{1b}[2J".to_owned()),
        ("group", "g".repeat(254)),
    ] {
        let mut hello = hello();
        match what {
            "source" => hello.source = name,
            "instance" => hello.instance = name,
            _ => hello.group = name,
        }
        let ended = ends(&stage, vec![Message::Hello(hello)]).await;
        let text =
            format!("{what} is no name: up to 253 visible characters of ASCII without blanks are");
        assert_eq!(ended, (Code::InvalidArgument, text));
    }
    assert_eq!(stage.refused("protocol").await, 3);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_sends_too_fast_is_throttled_and_hurts_no_other() {
    let stage = Stage::start(&[]).await;
    let fast = publisher(&stage).await;
    let mut slow = publisher(&stage).await;
    let enough = CancellationToken::new();
    // 65,536 pass at once, then 4,096 a second.
    let sending = enough.run_until_cancelled(async {
        loop {
            fast.say(Message::Released(v1::Released::default())).await;
        }
    });
    let living = async {
        let (mut answers, mut longest) = (0_u32, Duration::ZERO);
        while !enough.is_cancelled() {
            let asked = Instant::now();
            slow.say(reading("node-00001", 1_000)).await;
            slow.hear().await.unwrap();
            longest = longest.max(asked.elapsed());
            answers += 1;
        }
        (answers, longest)
    };
    let watching = async {
        let _enough = enough.clone().drop_guard();
        eventually(|| async {
            match stage.metric("tributary_bus_throttled_total").await {
                waits @ 0..100 => Err(waits),
                waits => Ok(waits),
            }
        })
        .await
    };
    let (_, (answers, longest), waits) = tokio::join!(sending, living, watching);
    assert!(
        longest < Duration::from_secs(5),
        "{longest:?} for an answer"
    );
    eprintln!("{waits} waits; beside them {answers} answers, the slowest in {longest:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_one_publisher_have_a_limit() {
    let stage = Stage::start(&[]).await;
    let mut stored = Vec::new();
    for _ in 0..128 {
        stored.push(publisher(&stage).await);
    }
    let status = dial_socket(&stage.socket).await.err().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let text = "more than 128 streams of one publisher";
    assert_eq!(status.message(), text);
    // Somebody else, over TLS, gets through.
    let token = stage.good();
    let mut other = super::publisher::dial(&stage, &token).await.unwrap();
    other.greet().await;
    stored.pop();
    eventually(|| async { dial_socket(&stage.socket).await.map(drop) }).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_in_the_future_do_not_outlast_an_honest_publisher() {
    let stage = Stage::start(&[]).await;
    let liar = publisher(&stage).await;
    let honest = publisher(&stage).await;
    let now = Clock::system().now_millis();
    let node = "node-00001";
    liar.say(roster(node, "web")).await;
    // A kubelet's time a year from now, asked for a year from now.
    liar.say(reading(node, now + 31_536_000_000)).await;
    let outcome = |outcome: &str| format!("tributary_bus_readings_total{{outcome=\"{outcome}\"}}");
    eventually(|| async {
        match stage.metric(&outcome("first")).await {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    honest.say(roster(node, "web")).await;
    // What was asked for more than 10 s later starts over.
    let lied_at = Instant::now();
    eventually(|| async {
        honest
            .say(reading(node, Clock::system().now_millis()))
            .await;
        match stage.metric(&outcome("clock_set")).await {
            0 => Err("still believed"),
            _ => Ok(()),
        }
    })
    .await;
    let believed = lied_at.elapsed();
    assert!(believed < Duration::from_secs(15), "{believed:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_version_says_is_skipped() {
    let stage = Stage::start(&[]).await;
    let mut publisher = publisher(&stage).await;
    let unknown = PublishRequest { message: None };
    publisher.send.send(unknown).await.unwrap();
    publisher.say(reading("node-00001", 1_000)).await;
    assert!(publisher.hear().await.unwrap().is_some());
    assert_eq!(
        stage.metric("tributary_bus_unknown_messages_total").await,
        1
    );
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_goes_on_to_break_rules_waits_and_its_open_streams_go_on() {
    let stage = Stage::start(&[]).await;
    let mut open = publisher(&stage).await;
    for _ in 0..16 {
        let (code, _) = ends(&stage, vec![reading("node-00001", 1_000)]).await;
        assert_eq!(code, Code::InvalidArgument);
    }
    let late = dial_socket(&stage.socket).await.map(|_| ()).unwrap_err();
    assert_eq!(late.code(), Code::ResourceExhausted);
    let begins = "the last streams of this publisher broke the rules of the bus";
    assert!(late.message().starts_with(begins), "{late}");
    assert_eq!(stage.refused("faults").await, 1);
    // Asked for the roster, as ever.
    open.say(reading("node-00001", 1_000)).await;
    let answer = open.hear().await.unwrap();
    assert!(answer.is_some(), "{answer:?}");
    stage.stop().await;
}
