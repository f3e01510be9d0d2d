//! Connections to frontends: TLS, or a Unix socket.
//!
//! Our own connector, so that exactly this happens: TLS 1.3 against one CA and
//! one name, no proxy from the environment, and credentials read at every dial,
//! so that a new certificate needs no restart.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tributary_runtime::tls::{self, PairFiles};

use super::doors::Door;

/// How long a connection may take to stand, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A peer that does not answer a ping for this long is gone. Pings go out as
/// often: a dead connection must be noticed within a scrape or so.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How a scraper proves itself and whom it believes. Files are read at every
/// dial.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    /// The CA of the frontends' certificates.
    pub(crate) ca: Option<PathBuf>,
    /// The certificate to show.
    pub(crate) pair: Option<PairFiles>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error(transparent)]
    Credentials(#[from] tls::BadFile),
    #[error("--bus-ca-file is needed for TLS")]
    NoCa,
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    #[error("{0:?} cannot be the name in a certificate")]
    Name(String),
    #[error("{}", innermost(.0))]
    Connect(#[from] tonic::transport::Error),
}

/// tonic says "transport error" and hides what happened one level down.
fn innermost(error: &tonic::transport::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects to `door`.
pub(crate) async fn dial(door: &Door, credentials: &Credentials) -> Result<Channel, DialError> {
    let endpoint = Endpoint::from_static("http://bus.tributary.dev")
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    let tls = match door {
        Door::Tcp {
            tls: Some(name), ..
        } => Some(tls(name, credentials)?),
        _ => None,
    };
    let door = door.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let (door, tls) = (door.clone(), tls.clone());
        async move { connect(door, tls).await.map(TokioIo::new) }
    });
    Ok(endpoint.connect_with_connector(connector).await?)
}

async fn connect(
    door: Door,
    tls: Option<(TlsConnector, ServerName<'static>)>,
) -> io::Result<Box<dyn Stream>> {
    match door {
        Door::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Door::Tcp { host, port, .. } => {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            match tls {
                None => Ok(Box::new(stream)),
                Some((tls, name)) => Ok(Box::new(tls.connect(name, stream).await?)),
            }
        }
    }
}

fn tls(
    name: &str,
    credentials: &Credentials,
) -> Result<(TlsConnector, ServerName<'static>), DialError> {
    let ca = credentials.ca.as_ref().ok_or(DialError::NoCa)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(tls::TLS13)?
        .with_root_certificates(tls::roots(ca)?);
    let mut config = match &credentials.pair {
        None => builder.with_no_client_auth(),
        Some(pair) => builder.with_client_auth_cert(
            tls::certificates(&pair.certificate)?,
            tls::private_key(&pair.key)?,
        )?,
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server =
        ServerName::try_from(name.to_owned()).map_err(|_| DialError::Name(name.to_owned()))?;
    Ok((TlsConnector::from(Arc::new(config)), server))
}
