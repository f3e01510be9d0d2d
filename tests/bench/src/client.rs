//! A client as the aggregator is one: HTTP/1.1 over a kept TLS connection, a
//! front proxy's certificate, the user in headers.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use memchr::memmem::find_iter;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::TlsConnector;
use tributary_runtime::tls::{certificates, private_key};

use crate::cluster::CLIENT;

/// What every item has once.
const ITEM: &[u8] = b"\"window\":";

/// How a server is reached.
#[derive(Clone)]
pub(crate) struct HttpClient {
    address: SocketAddr,
    tls: TlsConnector,
}

/// An answer, of which only its length and the number of its items are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) bytes: usize,
    pub(crate) items: usize,
}

impl HttpClient {
    /// To `address`, with the certificate of the front proxy in `dir`.
    ///
    /// # Errors
    ///
    /// The certificate cannot be read.
    pub(crate) fn new(address: SocketAddr, dir: &Path) -> anyhow::Result<Self> {
        let config = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_client_auth_cert(
                certificates(&dir.join("front-proxy-client.crt"))?,
                private_key(&dir.join("front-proxy-client.key"))?,
            )?;
        Ok(Self {
            address,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// Nobody listens.
    pub(crate) async fn open(&self) -> anyhow::Result<Session> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let stream = self.tls.connect(name, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        // What goes wrong is told by the request.
        tasks.spawn(async move { drop(connection.await) });
        Ok(Session {
            sender,
            host: self.address.to_string(),
            _connection: tasks,
        })
    }
}

/// A connection.
pub(crate) struct Session {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
    _connection: JoinSet<()>,
}

impl Session {
    /// Asks, and reads the answer to its end. Items are counted in JSON only.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    pub(crate) async fn get(&mut self, path: &str, accept: &str) -> anyhow::Result<Answer> {
        let request = Request::get(path)
            .header(header::HOST, &self.host)
            .header(header::ACCEPT, accept)
            .header("x-remote-user", CLIENT)
            .header("x-remote-group", "system:serviceaccounts")
            .header("x-remote-group", "system:authenticated")
            .body(Empty::new())?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        let (mut bytes, mut items) = (0, 0);
        // A piece may end within what is looked for: these are the bytes
        // before and after such an end, too few for a whole one on either side.
        let mut seam = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.context("read an answer")?.into_data() {
                let short = ITEM.len() - 1;
                seam.extend(data.iter().take(short));
                items += find_iter(&seam, ITEM).count() + find_iter(&data, ITEM).count();
                let keep = data.len().saturating_sub(short);
                seam.clear();
                seam.extend(data.iter().skip(keep));
                bytes += data.len();
            }
        }
        Ok(Answer {
            status,
            bytes,
            items,
        })
    }
}

/// Trusts any server: metrics-server makes a certificate of its own.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = aws_lc_rs::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
