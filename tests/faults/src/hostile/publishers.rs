//! Admitted publishers that send what no scraper sends.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use http::{Method, Request, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use rustls_pki_types::ServerName;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;
use tributary_e2e::ask::showing;
use tributary_proto::v1::{self, PublishRequest, publish_request::Message};
use tributary_sim::Ca;

use super::{Attack, ROUNDS};
use crate::fleet::Fleet;

/// What they do.
pub(super) const WHAT: &str = "32 streams to each frontend: a million empty pods; names of others' nodes; garbage; \
     control characters; readings without end";

/// What the fleet counts of it.
pub(super) const COUNTED: &[&str] = &[
    "tributary_bus_refused_total{reason=\"malformed\"}",
    "tributary_bus_refused_total{reason=\"faults\"}",
    "tributary_bus_refused_total{reason=\"unknown-node\"}",
    "tributary_bus_throttled_total",
];

const STREAMS: usize = 32;

/// Opens streams, and opens each again when it ends.
pub(super) async fn start(fleet: &Fleet) -> anyhow::Result<Attack> {
    let mut attack = Attack::new()?;
    let now_ms = fleet.clock.now_millis();
    let worst = worst(now_ms);
    for frontend in &fleet.frontends {
        for number in 0..STREAMS {
            let name = format!("evil-{number}");
            let pair = fleet.cluster.pki().client(Ca::Bus, &name, &[])?;
            let tls = showing(&fleet.cluster, pair, "h2");
            let stream = Stream {
                hello: hello(number, name, now_ms),
                again: worst.get(number % worst.len()).cloned().unwrap_or_default(),
            };
            attack.spawn(publish_again_and_again(frontend.bus(), tls, stream));
        }
    }
    Ok(attack)
}

/// The bytes of a stream, framed for gRPC: a `Hello`, and one message that is repeated.
#[derive(Clone, Debug)]
struct Stream {
    hello: Bytes,
    again: Bytes,
}

/// A `Hello`. Every eighth has a source name that would forge a log line.
fn hello(number: usize, name: String, now_ms: i64) -> Bytes {
    let source = if number % 8 == 7 {
        "x\nFORGED LINE \u{1b}[31m".to_owned()
    } else {
        name
    };
    message(Message::Hello(v1::Hello {
        source,
        resolution_ms: 10_000,
        protocol: 1,
        now_ms,
        ..v1::Hello::default()
    }))
}

/// A roster of a million empty pods, one with long names, garbage, and a reading without a roster.
fn worst(now_ms: i64) -> [Bytes; 4] {
    let unknown_node = v1::Roster {
        node: "nobody".to_owned(),
        id: 1,
        ..v1::Roster::default()
    };
    let mut bytes = unknown_node.encode_to_vec();
    bytes.extend([0x1a, 0x00].repeat(1_000_000)); // pods without a name or a container
    let mut roster = BytesMut::new();
    roster.put_u8(0x12); // the field `roster` of a request
    prost::encoding::encode_varint(u64::try_from(bytes.len()).unwrap_or(0), &mut roster);
    roster.extend_from_slice(&bytes);
    [
        frame(&roster),
        message(Message::Roster(v1::Roster {
            node: "nobody".to_owned(),
            id: 2,
            pods: (0..5_000).map(pod).collect(),
        })),
        frame(&[0xff; 4096]),
        message(Message::Reading(v1::Reading {
            node: "nobody".to_owned(),
            roster: 9,
            asked_at_ms: now_ms,
            base_ms: now_ms,
            cpu_nanos_plus_one: vec![1; 20_000],
            cpu_at_ms: vec![1; 20_000],
            ..v1::Reading::default()
        })),
    ]
}

fn pod(number: u32) -> v1::roster::Pod {
    v1::roster::Pod {
        namespace: "evil".to_owned(),
        name: format!("{number:05}-{}", "p".repeat(200)),
        containers: vec!["main".to_owned()],
    }
}

fn message(message: Message) -> Bytes {
    let message = Some(message);
    frame(&PublishRequest { message }.encode_to_vec())
}

/// Frames a message for gRPC.
fn frame(bytes: &[u8]) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(bytes);
    framed.freeze()
}

async fn publish_again_and_again(
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    sent: Stream,
) {
    for _ in 0..ROUNDS {
        // The next stream follows, whatever the result is.
        timeout(Duration::from_mins(1), publish(address, &tls, &sent))
            .await
            .ok();
        sleep(Duration::from_millis(500)).await;
    }
}

async fn publish(
    address: SocketAddr,
    tls: &Arc<rustls::ClientConfig>,
    sent: &Stream,
) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await?;
    let connector = TlsConnector::from(Arc::clone(tls));
    let stream = connector
        .connect(ServerName::try_from("localhost")?, stream)
        .await?;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move { drop(connection.await) });
    let first = stream::iter([sent.hello.clone()]);
    let bytes = first.chain(stream::repeat(sent.again.clone()));
    let body = StreamBody::new(bytes.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes))));
    let request = Request::builder()
        .method(Method::POST)
        .uri("https://localhost/tributary.bus.v1.SampleBus/Publish")
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(body)?;
    let mut answer = sender.send_request(request).await?;
    while let Some(frame) = answer.body_mut().frame().await {
        drop(frame?);
    }
    Ok(())
}
