//! Connections to frontends: TLS, or a Unix socket.
//!
//! Our own connector, so that exactly this happens: TLS 1.3 against one CA and
//! one name, and no proxy from the environment.

use std::{io, sync::Arc, time::Duration};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use super::{
    credentials::{Access, Unusable},
    frontend_address::FrontendAddress,
};

/// How long a connection may take to stand, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A peer that does not answer a ping for this long is gone. Pings go out as
/// often: a dead connection must be noticed within a scrape or so.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error(transparent)]
    Credentials(#[from] Unusable),
    #[error("--bus-ca-file is needed for TLS")]
    NoCa,
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

/// Connects to `frontend_address`.
pub(super) async fn dial(
    frontend_address: &FrontendAddress,
    access: &Access,
) -> Result<Channel, DialError> {
    let endpoint = Endpoint::from_static("http://bus.tributary.dev")
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    let tls = match frontend_address {
        FrontendAddress::Tcp {
            tls: Some(name), ..
        } => Some(tls(name, access)?),
        _ => None,
    };
    let frontend_address = frontend_address.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let (frontend_address, tls) = (frontend_address.clone(), tls.clone());
        async move { connect(frontend_address, tls).await.map(TokioIo::new) }
    });
    Ok(endpoint.connect_with_connector(connector).await?)
}

async fn connect(
    frontend_address: FrontendAddress,
    tls: Option<(TlsConnector, ServerName<'static>)>,
) -> io::Result<Box<dyn Stream>> {
    match frontend_address {
        FrontendAddress::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        FrontendAddress::Tcp { host, port, .. } => {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            match tls {
                None => Ok(Box::new(stream)),
                Some((tls, name)) => Ok(Box::new(tls.connect(name, stream).await?)),
            }
        }
    }
}

fn tls(name: &str, access: &Access) -> Result<(TlsConnector, ServerName<'static>), DialError> {
    let config = access.tls.as_ref().ok_or(DialError::NoCa)?;
    let server =
        ServerName::try_from(name.to_owned()).map_err(|_| DialError::Name(name.to_owned()))?;
    Ok((TlsConnector::from(Arc::clone(config)), server))
}
