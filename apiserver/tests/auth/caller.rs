//! A client with or without a certificate.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    SignatureScheme, client::ResolvesClientCert, crypto::aws_lc_rs::sign::any_supported_type,
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::task::JoinSet;
use tributary_sim::{Ca, Credential, Pki};
use tributary_testkit::{
    https::{Client, Session},
    trust,
};

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// Who calls, and what it sends with every request.
#[derive(Clone)]
pub(crate) struct Caller {
    identity: Option<Arc<CertifiedKey>>,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
    headers: Vec<(String, String)>,
}

impl Caller {
    /// Somebody without a certificate.
    pub(crate) fn stranger() -> Self {
        Self {
            identity: None,
            versions: rustls::ALL_VERSIONS,
            headers: Vec::new(),
        }
    }

    /// Somebody with a certificate of `ca`.
    pub(crate) fn with(pki: &Pki, ca: Ca, name: &str) -> Self {
        let credential = pki.client(ca, name, &[]).unwrap();
        Self::showing(&credential, &credential)
    }

    /// Somebody who shows one certificate and signs with the key of another.
    pub(crate) fn showing(shown: &Credential, owner: &Credential) -> Self {
        Self::of(&shown.certificate, &owner.key)
    }

    /// Somebody with this certificate and this key.
    pub(crate) fn of(certificate: &str, key: &str) -> Self {
        let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let key = CertifiedKey::new(vec![chain], any_supported_type(&key).unwrap());
        Self {
            identity: Some(Arc::new(key)),
            ..Self::stranger()
        }
    }

    /// The same, with TLS 1.2.
    pub(crate) fn tls12(mut self) -> Self {
        static OLD: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
        self.versions = OLD;
        self
    }

    /// The same, with a header more.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, with a token.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Connects.
    pub(crate) async fn connect(&self, address: SocketAddr) -> anyhow::Result<Connection> {
        Ok(Connection(
            self.client(address, b"http/1.1")?.connect().await?,
        ))
    }

    /// A client for one of the protocols.
    fn client(&self, address: SocketAddr, protocol: &[u8]) -> anyhow::Result<Client> {
        let config = trust::any_server(self.versions)?;
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some(key) => config.with_client_cert_resolver(Arc::new(Always(Arc::clone(key)))),
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        let mut client = Client::new(address, config);
        for (name, value) in &self.headers {
            client = client.header(name, value);
        }
        Ok(client)
    }

    /// What a GET of `path` in HTTP/2 is answered with, in a word.
    pub(crate) async fn get_http2(&self, address: SocketAddr, path: &str) -> u16 {
        let client = self.client(address, b"h2").expect("a client");
        let stream = client.secured().await.expect("a session");
        let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(stream))
            .await
            .expect("a connection");
        let mut task = JoinSet::new();
        task.spawn(async move { drop(connection.await) });
        let mut request = Request::get(format!("https://localhost{path}"));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        answer.status().as_u16()
    }

    /// GETs `path` on a connection of its own.
    pub(crate) async fn get(&self, address: SocketAddr, path: &str) -> Answer {
        let mut line = self.connect(address).await.expect("a connection");
        line.get(path).await.expect("an answer")
    }
}

/// A connection that stays.
pub(crate) struct Connection(Session);

impl Connection {
    /// GETs `path`.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        Ok(self.whole(path).await?.1)
    }

    /// GETs `path`, for an answer with its headers.
    pub(crate) async fn whole(&mut self, path: &str) -> anyhow::Result<(HeaderMap, Answer)> {
        let answer = self.0.get(path).await?;
        let content_type = answer.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.map_or("", |value| value.to_str().unwrap());
        let short = Answer {
            status: answer.status.as_u16(),
            content_type: content_type.to_owned(),
            body: answer.text(),
        };
        Ok((answer.headers, short))
    }
}

/// Shows its certificate whatever the server hints at.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
