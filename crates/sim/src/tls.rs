//! TLS configurations and HTTP connections of all servers of the simulation.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoClientAuth, ServerConfig, WebPkiClientVerifier};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

use crate::Error;
use crate::pki::Credential;

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The streams of one HTTP/2 connection: kube-apiserver's default.
const STREAMS: u32 = 250;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A server with HTTP/2 and HTTP/1.1. With `client_ca` it requests a client certificate and does not require it.
pub(crate) fn server_config(
    credential: &Credential,
    client_ca: Option<CertificateDer<'static>>,
) -> Result<Arc<ServerConfig>, Error> {
    let verifier = match client_ca {
        None => Arc::new(NoClientAuth),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca)?;
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                .allow_unauthenticated()
                .build()?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![credential.der.clone()], credential.key_der())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The tasks of hyper's HTTP/2 streams and pooled connections. They end when this is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async {
            task.await;
        });
    }
}

/// Serves one connection in the negotiated protocol, until the client closes it or it fails.
pub(crate) async fn serve<S>(stream: TlsStream<TcpStream>, service: S)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = io::Error> + Send + 'static,
    S::Future: Send + 'static,
{
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    let ended = if h2 {
        http2::Builder::new(Tasks::default())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .serve_connection(io, service)
            .await
    } else {
        http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(io, service)
            .await
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}
