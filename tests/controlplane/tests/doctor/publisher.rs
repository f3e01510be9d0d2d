//! A publisher of a test, at the Unix socket of a frontend. It owns all nodes, and does one thing as no scraper of this
//! version does.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    net::UnixStream,
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tributary_proto::v1::{
    self, PublishRequest, publish_request::Message, sample_bus_client::SampleBusClient, share::Role,
};
use tributary_runtime::clock::Clock;

/// What it does as no scraper does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It says that it is of this version.
    Version(&'static str),
    /// It sends the first samples of a node and no more.
    Silent(&'static str),
    /// It sends a roster of a node with one container more than a node may have.
    Large(&'static str),
}

impl Fault {
    fn version(self) -> &'static str {
        match self {
            Self::Version(version) => version,
            Self::Silent(_) | Self::Large(_) => env!("CARGO_PKG_VERSION"),
        }
    }

    /// Whether it sends samples of this node in this round.
    fn sends(self, node: &str, round: u64) -> bool {
        match self {
            Self::Version(_) => true,
            Self::Silent(silent) => node != silent || round < FIRST,
            Self::Large(large) => node != large,
        }
    }

    fn containers(self, node: &str) -> usize {
        match self {
            Self::Large(large) if node == large => tributary_model::Roster::MAX_CONTAINERS + 1,
            _ => 1,
        }
    }
}

/// Samples of a silent node.
const FIRST: u64 = 5;

/// Between two samples of a node.
const RESOLUTION: Duration = Duration::from_secs(1);

/// The rosters of this publisher.
const ROSTER: u64 = 7;

/// Publishes until it is dropped. An end by itself is an error.
pub(super) fn start(
    socket: &Path,
    nodes: Vec<String>,
    fault: Fault,
) -> JoinSet<anyhow::Result<()>> {
    let mut running = JoinSet::new();
    running.spawn(publish(socket.to_owned(), nodes, fault));
    running
}

async fn publish(socket: PathBuf, nodes: Vec<String>, fault: Fault) -> anyhow::Result<()> {
    let (send, requests) = mpsc::channel(16);
    let say = async |message: Message| {
        let message = Some(message);
        let request = PublishRequest { message };
        send.send(request).await.context("the stream has ended")
    };
    say(hello(fault)).await?;
    let mut bus = SampleBusClient::new(channel(socket).await?);
    let answers = bus.publish(ReceiverStream::new(requests)).await?;
    let mut answers = answers.into_inner();
    say(Message::Share(v1::Share {
        role: Role::Owner.into(),
        nodes: nodes.clone(),
    }))
    .await?;
    for node in &nodes {
        say(roster(node, fault.containers(node))).await?;
    }
    say(Message::Synced(v1::Synced {})).await?;
    let mut ticks = interval(RESOLUTION);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round = 0;
    loop {
        tokio::select! {
            answer = answers.message() => {
                answer?.context("the frontend has ended the stream")?;
            }
            _ = ticks.tick() => {
                for node in nodes.iter().filter(|node| fault.sends(node, round)) {
                    say(reading(node)?).await?;
                }
                round += 1;
            }
        }
    }
}

async fn channel(socket: PathBuf) -> anyhow::Result<Channel> {
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://bus.test");
    Ok(endpoint.connect_with_connector(connector).await?)
}

fn hello(fault: Fault) -> Message {
    let resolution = u64::try_from(RESOLUTION.as_millis()).unwrap_or_default();
    Message::Hello(v1::Hello {
        source: "played".to_owned(),
        resolution_ms: resolution,
        protocol: 1,
        now_ms: Clock::system().now_millis(),
        version: fault.version().to_owned(),
        ..v1::Hello::default()
    })
}

/// A pod with this many containers.
fn roster(node: &str, containers: usize) -> Message {
    Message::Roster(v1::Roster {
        node: node.to_owned(),
        id: ROSTER,
        pods: vec![v1::roster::Pod {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            containers: (0..containers).map(|number| format!("c{number}")).collect(),
        }],
    })
}

/// A second of CPU for each second.
fn reading(node: &str) -> anyhow::Result<Message> {
    let now_ms = Clock::system().now_millis();
    let nanos = u64::try_from(now_ms)? * 1_000_000;
    Ok(Message::Reading(v1::Reading {
        node: node.to_owned(),
        roster: ROSTER,
        asked_at_ms: now_ms,
        base_ms: now_ms,
        point: Some(v1::NodePoint {
            cpu_nanos: Some(nanos),
            working_set_bytes: Some(1 << 20),
            ..v1::NodePoint::default()
        }),
        cpu_nanos_plus_one: vec![nanos + 1],
        cpu_at_ms: vec![0],
        working_set_bytes_plus_one: vec![(1 << 20) + 1],
        ..v1::Reading::default()
    }))
}
