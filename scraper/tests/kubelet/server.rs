//! A server in place of a kubelet that answers with prepared bytes, right or
//! wrong, which no HTTP library would send.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;
use tributary_runtime::tls::PairFiles;

/// What is answered to one request.
pub(crate) enum Answer {
    /// These bytes; the connection stays open.
    Whole(Vec<u8>),
    /// The same after so long.
    After(Duration, Vec<u8>),
    /// These bytes, then the end of the connection.
    ThenClose(Vec<u8>),
    /// These bytes, then nothing.
    ThenHang(Vec<u8>),
    /// Nothing.
    Hang,
    /// These bytes, then chunks as long as they are taken.
    Endless(Vec<u8>),
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// On which connection, counted from 1.
    pub(crate) connection: usize,
    pub(crate) head: String,
    pub(crate) protocol: Option<String>,
    pub(crate) with_certificate: bool,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    /// The CA of its certificate and of clients.
    pub(crate) ca: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    closed: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

type Script = dyn Fn(usize) -> Answer + Send + Sync;

impl Server {
    /// Speaks TLS with a certificate for `names`. `script` is given the number
    /// of the request, counted from 1.
    pub(crate) async fn tls(
        names: &[&str],
        script: impl Fn(usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some((names, &[])), Arc::new(script)).await
    }

    /// The same with these common names.
    pub(crate) async fn named(
        names: &[&str],
        common: &[&str],
        script: impl Fn(usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some((names, common)), Arc::new(script)).await
    }

    /// Speaks plain HTTP.
    pub(crate) async fn plain(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(None, Arc::new(script)).await
    }

    async fn start(names: Option<(&[&str], &[&str])>, script: Arc<Script>) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        let acceptor = names.map(|(names, common)| acceptor(names, common, &issuer, &ca));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::default();
        let (closing, closed) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(
            listener,
            acceptor,
            Talk {
                script,
                asked: Arc::clone(&asked),
                closing,
            },
        ));
        Self {
            port,
            ca,
            issuer,
            dir: tempfile::tempdir().unwrap(),
            asked,
            closed,
            _tasks: tasks,
        }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// Waits until this many connections were closed from here.
    pub(crate) async fn closed(&self, count: usize) {
        let mut closed = self.closed.clone();
        closed.wait_for(|closed| *closed >= count).await.unwrap();
    }

    /// A client certificate in files.
    pub(crate) fn client_pair(&self) -> PairFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["client.test".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |name: &str, text: String| -> PathBuf {
            let path = self.dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        PairFiles {
            certificate: file("tls.crt", certificate.pem()),
            key: file("tls.key", key.serialize_pem()),
        }
    }
}

fn acceptor(
    names: &[&str],
    common: &[&str],
    issuer: &Issuer<'static, KeyPair>,
    ca: &CertificateDer<'static>,
) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut certificate = CertificateParams::new(names).unwrap();
    certificate.distinguished_name = DistinguishedName::new();
    for (at, name) in common.iter().enumerate() {
        // Only one name of a kind can be had; the second is written as another
        // whose identifier is the same.
        let kind = match at {
            0 => DnType::CommonName,
            _ => DnType::CustomDnType(vec![2, 5, 4, 3]),
        };
        certificate.distinguished_name.push(kind, *name);
    }
    let certificate = certificate.signed_by(&key, issuer).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    // As a kubelet does.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config).into()
}

#[derive(Clone)]
struct Talk {
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<Asked>>>,
    closing: watch::Sender<usize>,
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, talk: Talk) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    while let Ok((stream, _)) = listener.accept().await {
        number += 1;
        stream.set_nodelay(true).unwrap();
        connections.spawn(serve(stream, acceptor.clone(), number, talk.clone()));
    }
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, connection: usize, talk: Talk) {
    let asked = Asked {
        connection,
        head: String::new(),
        protocol: None,
        with_certificate: false,
    };
    let Some(acceptor) = acceptor else {
        drop(talk.run(stream, asked).await);
        return;
    };
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let session = stream.get_ref().1;
    let asked = Asked {
        protocol: session
            .alpn_protocol()
            .map(|name| String::from_utf8(name.to_vec()).unwrap()),
        with_certificate: session.peer_certificates().is_some(),
        ..asked
    };
    drop(talk.run(stream, asked).await);
}

impl Talk {
    async fn run(
        self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        asked: Asked,
    ) -> io::Result<()> {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            let head = String::from_utf8(head).unwrap();
            let number = {
                let mut all = self.asked.lock();
                all.push(Asked {
                    head,
                    ..asked.clone()
                });
                all.len()
            };
            match (self.script)(number) {
                Answer::Whole(bytes) => write(&mut stream, &bytes).await?,
                Answer::After(wait, bytes) => {
                    sleep(wait).await;
                    write(&mut stream, &bytes).await?;
                }
                Answer::ThenClose(bytes) => {
                    write(&mut stream, &bytes).await?;
                    stream.shutdown().await?;
                    drop(stream);
                    self.closing.send_modify(|closed| *closed += 1);
                    return Ok(());
                }
                Answer::ThenHang(bytes) => {
                    write(&mut stream, &bytes).await?;
                    return std::future::pending().await;
                }
                Answer::Hang => return std::future::pending().await,
                Answer::Endless(head) => {
                    write(&mut stream, &head).await?;
                    let chunk = [b"4000\r\n", [b'#'; 0x4000].as_slice(), b"\r\n"].concat();
                    loop {
                        write(&mut stream, &chunk).await?;
                    }
                }
            }
        }
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
