//! What a request costs of whose sender nothing is known: from the bytes on a TLS
//! connection to the last byte of the answer, in a whole frontend.
//!
//! Each is the dearest of its kind that the limits allow; HPACK makes most of them
//! a few hundred bytes on the wire. The dearest of all stands in
//! docs/decisions/0021-before-authentication.md.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to say"
)]

use std::{cell::RefCell, net::SocketAddr, sync::Arc};

use clap::Parser as _;
use divan::Bencher;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;
use tributary_apiserver::{Frontend, args::Args};
use tributary_runtime::{clock::Clock, serve::Address, tls};
use tributary_sim::{Ca, Pki};

fn main() {
    divan::main();
}

/// The least that anybody can ask, to compare with.
#[divan::bench]
fn probe(bencher: Bencher<'_, '_>) {
    measure(bencher, &Head::get("/livez"), b"200");
}

/// As many header fields as there may be.
#[divan::bench]
fn fields(bencher: Bencher<'_, '_>) {
    let head = Head::get("/livez").repeated("a", "b", FIELDS);
    measure(bencher, &head, b"200");
}

/// Clauses of `Accept` in all of the head, of a request that is refused, so that
/// they are read.
#[divan::bench]
fn accept(bencher: Bencher<'_, '_>) {
    let clauses = vec!["a"; 2_020].join(",");
    let head = refused("/").repeated("accept", &clauses, LONG_FIELDS);
    measure(bencher, &head, b"500");
}

/// The same of `Accept-Encoding`.
#[divan::bench]
fn accept_encoding(bencher: Bencher<'_, '_>) {
    let clauses = vec!["a"; 2_015].join(",");
    let head = Head::get("/livez").repeated("accept-encoding", &clauses, LONG_FIELDS);
    measure(bencher, &head, b"200");
}

/// A head that is four times too long, which is when the connection would end.
#[divan::bench]
fn too_long(bencher: Bencher<'_, '_>) {
    let value = "a".repeat(4_040);
    let head = Head::get("/livez").repeated("a", &value, 4 * LONG_FIELDS);
    measure(bencher, &head, b"431");
}

/// The most fields that are decoded before they are found to be too many.
#[divan::bench]
fn too_many(bencher: Bencher<'_, '_>) {
    let head = Head::get("/livez").repeated("a", "b", 15_000);
    measure(bencher, &head, b"431");
}

/// Parameters of a query, as many as fit in one.
#[divan::bench]
fn parameters(bencher: Bencher<'_, '_>) {
    let path = format!("/livez?{}verbose", "exclude&".repeat(8_000));
    measure(bencher, &Head::get(&path), b"200");
}

/// A path as long as one may be, in an answer that quotes it.
#[divan::bench]
fn path(bencher: Bencher<'_, '_>) {
    let path = "/a".repeat(1_024);
    measure(bencher, &refused(&path), b"500");
}

/// Of `a: b`.
const FIELDS: usize = 1_095;
/// Of those that fill the table of HPACK, of 4,096 bytes.
const LONG_FIELDS: usize = 31;

/// A request that is refused before anybody is asked about it.
fn refused(path: &str) -> Head {
    Head::get(path).repeated("impersonate-group", "admins", 1)
}

/// The head of a request in HPACK (RFC 7541), in which a field that is repeated is
/// put into the table once, and then one byte.
struct Head {
    /// What puts it there, if anything is repeated.
    learn: Vec<u8>,
    /// The request.
    block: Vec<u8>,
}

impl Head {
    fn get(path: &str) -> Self {
        // `:method: GET` and `:scheme: https`; `:authority` and `:path` as they are,
        // without the table.
        let mut block = vec![0x82, 0x87, 0x01];
        text(&mut block, "localhost");
        block.push(0x04);
        text(&mut block, path);
        Self {
            learn: block.clone(),
            block,
        }
    }

    fn repeated(mut self, name: &str, value: &str, times: usize) -> Self {
        self.learn.push(0x40);
        text(&mut self.learn, name);
        text(&mut self.learn, value);
        // The newest of the table, whose own entries follow 61 that all have.
        self.block.extend(std::iter::repeat_n(0x80 + 62, times));
        self
    }
}

/// A string without Huffman's code: its length in a prefix of seven bits.
fn text(block: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()) {
        Ok(length) if length < 127 => block.push(length),
        _ => {
            block.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap() | 0x80);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
    }
    block.extend_from_slice(text.as_bytes());
}

/// A frontend without a Kubernetes API, and a connection to it, all in one thread,
/// so that what is counted is all that happens.
struct Scene {
    runtime: Runtime,
    stream: TlsStream<TcpStream>,
    /// Of the next stream.
    next: u32,
    _running: JoinSet<anyhow::Result<()>>,
    _dir: TempDir,
}

fn measure(bencher: Bencher<'_, '_>, head: &Head, status: &[u8]) {
    let mut scene = Scene::new();
    scene.ask(&head.learn);
    let answer = scene.ask(&head.block);
    // In HPACK it is plain, or one of those that are in the table for all.
    let known: &[u8] = match status {
        b"200" => &[0x88],
        b"500" => &[0x8e],
        other => other,
    };
    let found = answer.windows(known.len()).any(|bytes| bytes == known);
    assert!(
        found,
        "no {} in {answer:?}",
        String::from_utf8_lossy(status)
    );
    let scene = RefCell::new(scene);
    bencher.bench_local(|| measured(|| scene.borrow_mut().ask(&head.block)));
}

/// What `tests/instructions` counts, and nothing else.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    work()
}

impl Scene {
    fn new() -> Self {
        tls::install_provider();
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new().unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let mut running = JoinSet::new();
        let stream = runtime.block_on(async {
            let frontend =
                Frontend::start(args(&dir, &pki), Clock::system(), CancellationToken::new());
            let frontend = frontend.await.unwrap();
            let address = frontend.api_address().clone();
            running.spawn(frontend.run());
            connect(&address, &pki).await
        });
        Self {
            runtime,
            stream,
            next: 1,
            _running: running,
            _dir: dir,
        }
    }

    /// The frame with the head of the answer to the request in `block`.
    fn ask(&mut self, block: &[u8]) -> Vec<u8> {
        let (stream, id) = (&mut self.stream, self.next);
        self.next += 2;
        self.runtime.block_on(async {
            let mut frames = Vec::new();
            let mut rest = block.chunks(16 << 10).peekable();
            let (mut kind, end_stream) = (HEADERS, 0x1);
            while let Some(piece) = rest.next() {
                let end_headers = if rest.peek().is_none() { 0x4 } else { 0 };
                let flags = end_headers | if kind == HEADERS { end_stream } else { 0 };
                frames.extend(frame(kind, flags, id, piece));
                kind = CONTINUATION;
            }
            stream.write_all(&frames).await.unwrap();
            stream.flush().await.unwrap();
            let mut answer = Vec::new();
            loop {
                let mut head = [0; 9];
                stream.read_exact(&mut head).await.unwrap();
                let [a, b, c, kind, flags, of @ ..] = head;
                let mut payload =
                    vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
                stream.read_exact(&mut payload).await.unwrap();
                let is_ours = u32::from_be_bytes(of) == id;
                if is_ours && kind == HEADERS {
                    answer = payload;
                }
                if is_ours && (kind == RESET || flags & end_stream != 0) {
                    return answer;
                }
            }
        })
    }
}

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

async fn connect(address: &Address, pki: &Pki) -> TlsStream<TcpStream> {
    let Address::Tcp(address) = address else {
        unreachable!("the API is served over TCP")
    };
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(pki.ca(Ca::Bus).as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], address.port())));
    let stream = stream.await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let mut stream = connecting.await.unwrap();
    let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    hello.extend(frame(SETTINGS, 0, 0, &[]));
    // Room for all the answers there will ever be.
    hello.extend(frame(WINDOW, 0, 0, &0x7000_0000_u32.to_be_bytes()));
    stream.write_all(&hello).await.unwrap();
    stream
}

fn args(dir: &TempDir, pki: &Pki) -> Args {
    let kubeconfig = dir.path().join("kubeconfig");
    // Nobody listens there.
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
        clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n\
        users: [{name: u, user: {}}]\n\
        contexts: [{name: c, context: {cluster: c, user: u}}]\n";
    std::fs::write(&kubeconfig, text).unwrap();
    let ca = dir.path().join("ca.crt");
    std::fs::write(&ca, pki.ca(Ca::Cluster)).unwrap();
    let pair = pki.server(Ca::Bus, &["localhost".to_owned()]).unwrap();
    let (certificate, key) = pair.write(dir.path(), "serving").unwrap();
    Args::try_parse_from([
        "tributary-apiserver".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        "--secure-port=0".to_owned(),
        format!("--tls-cert-file={}", certificate.display()),
        format!("--tls-private-key-file={}", key.display()),
        format!("--bus-address=unix://{}/bus.sock", dir.path().display()),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--client-ca-file={}", ca.display()),
        "--authentication-skip-lookup".to_owned(),
    ])
    .unwrap()
}
