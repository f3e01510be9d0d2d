//! A publisher that says what a test wants.

use std::{path::Path, sync::Arc};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    net::{TcpStream, UnixStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tributary_proto::v1::{
    self, PublishRequest, PublishResponse, publish_request::Message,
    publish_response::Message as Answer, sample_bus_client::SampleBusClient,
};
use tributary_runtime::clock::Clock;
use tributary_sim::{Ca, Credential};

use super::stage::{PATIENCE, Stage};

/// What a publisher shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proof {
    token: Option<String>,
    pair: Option<Arc<Credential>>,
}

impl Proof {
    pub(crate) fn token(token: &str) -> Self {
        let token = Some(token.to_owned());
        Self { token, pair: None }
    }

    pub(crate) fn certificate(pair: Credential) -> Self {
        Self {
            token: None,
            pair: Some(Arc::new(pair)),
        }
    }

    pub(crate) fn and_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }
}

/// A stream that the frontend has admitted.
pub(crate) struct Publisher {
    pub(crate) send: mpsc::Sender<PublishRequest>,
    receive: Streaming<PublishResponse>,
}

/// Opens a stream over TLS.
pub(crate) async fn dial(stage: &Stage, proof: &Proof) -> Result<Publisher, Status> {
    dial_with_window(stage, proof, None).await
}

/// The same, with room for this many bytes of responses.
pub(crate) async fn dial_with_window(
    stage: &Stage,
    proof: &Proof,
    window: Option<u32>,
) -> Result<Publisher, Status> {
    let mut roots = RootCertStore::empty();
    let ca = stage.cluster.pki().ca(Ca::Bus);
    let ca = CertificateDer::from_pem_slice(ca.as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match &proof.pair {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![chain], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (config, bus) = (Arc::new(config), stage.bus);
    let connector = tower::service_fn(move |_: Uri| {
        let tls = TlsConnector::from(Arc::clone(&config));
        async move {
            let stream = TcpStream::connect(bus).await?;
            let name = ServerName::try_from("localhost").unwrap();
            tls.connect(name, stream).await.map(TokioIo::new)
        }
    });
    let endpoint = Endpoint::from_static("http://bus.test").initial_stream_window_size(window);
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    open(channel, proof).await
}

/// Opens a stream over the Unix socket.
pub(crate) async fn dial_socket(path: &Path) -> Result<Publisher, Status> {
    let path = path.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://bus.test");
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    open(channel, &Proof::default()).await
}

async fn open(channel: Channel, proof: &Proof) -> Result<Publisher, Status> {
    let (send, requests) = mpsc::channel(16);
    let mut request = Request::new(ReceiverStream::new(requests));
    if let Some(token) = &proof.token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let mut bus = SampleBusClient::new(channel).max_encoding_message_size(64 << 20);
    let receive = bus.publish(request).await?.into_inner();
    Ok(Publisher { send, receive })
}

/// A `Hello` as it should be.
pub(crate) fn hello() -> v1::Hello {
    v1::Hello {
        source: "publisher".to_owned(),
        resolution_ms: 60_000,
        protocol: 1,
        now_ms: Clock::system().now_millis(),
        version: "0.1.0".to_owned(),
        ..v1::Hello::default()
    }
}

/// A roster of one pod.
pub(crate) fn roster(node: &str, pod: &str) -> Message {
    Message::Roster(v1::Roster {
        node: node.to_owned(),
        id: 7,
        pods: vec![v1::roster::Pod {
            namespace: "shop".to_owned(),
            name: pod.to_owned(),
            containers: vec!["main".to_owned()],
        }],
    })
}

/// A reading for that roster: a core for a second at every second.
pub(crate) fn reading(node: &str, at_ms: i64) -> Message {
    let nanos = u64::try_from(at_ms).unwrap() * 1_000_000;
    Message::Reading(v1::Reading {
        node: node.to_owned(),
        roster: 7,
        asked_at_ms: at_ms,
        base_ms: at_ms,
        point: Some(v1::NodePoint {
            cpu_nanos: Some(nanos),
            working_set_bytes: Some(1 << 20),
            ..v1::NodePoint::default()
        }),
        cpu_nanos_plus_one: vec![nanos + 1],
        cpu_at_ms: vec![0],
        working_set_bytes_plus_one: vec![(1 << 20) + 1],
        ..v1::Reading::default()
    })
}

impl Publisher {
    /// Sends a message; that the stream has ended is heard, not said.
    pub(crate) async fn say(&self, message: Message) {
        let message = Some(message);
        self.send.send(PublishRequest { message }).await.ok();
    }

    /// Introduces itself, and expects to be welcome.
    pub(crate) async fn greet(&mut self) {
        self.say(Message::Hello(hello())).await;
        match self.hear().await.unwrap() {
            Some(Answer::Welcome(_)) => {}
            other => panic!("{other:?}"),
        }
    }

    /// The next answer; `None` at the end.
    pub(crate) async fn hear(&mut self) -> Result<Option<Answer>, Status> {
        let answer = timeout(PATIENCE, self.receive.message());
        let answer = answer.await.expect("an answer in time")?;
        Ok(answer.and_then(|answer| answer.message))
    }

    /// What the stream ends with, whatever comes before.
    pub(crate) async fn end(&mut self) -> (Code, String) {
        loop {
            match self.hear().await {
                Ok(Some(_)) => {}
                Ok(None) => return (Code::Ok, String::new()),
                Err(status) => return (status.code(), status.message().to_owned()),
            }
        }
    }
}
