//! A client like the aggregator: HTTP/1.1 over a TLS connection that stays open, the certificate of a front proxy, and
//! the user in headers.

use std::{net::SocketAddr, path::Path};

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use memchr::memmem::find_iter;
use rustls::ALL_VERSIONS;
use tributary_runtime::tls::{certificates, private_key};
use tributary_testkit::{https, trust};

use crate::cluster::CLIENT;

/// A text that every item contains once.
const ITEM: &[u8] = b"\"window\":";

/// The address of a server, and its TLS. Any certificate is accepted, because metrics-server makes its own.
#[derive(Clone)]
pub(crate) struct HttpClient(https::Client);

/// An answer, of which only the length and the number of items are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) bytes: usize,
    pub(crate) items: usize,
}

impl HttpClient {
    /// A client for `address`, with the certificate of the front proxy in `dir`.
    ///
    /// # Errors
    ///
    /// The certificate cannot be read.
    pub(crate) fn new(address: SocketAddr, dir: &Path) -> anyhow::Result<Self> {
        let tls = trust::any_server(ALL_VERSIONS)?.with_client_auth_cert(
            certificates(&dir.join("front-proxy-client.crt"))?,
            private_key(&dir.join("front-proxy-client.key"))?,
        )?;
        let client = https::Client::new(address, tls)
            .header("x-remote-user", CLIENT)
            .header("x-remote-group", "system:serviceaccounts")
            .header("x-remote-group", "system:authenticated");
        Ok(Self(client))
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// There is no server.
    pub(crate) async fn open(&self) -> anyhow::Result<Session> {
        Ok(Session(self.0.connect().await?))
    }
}

/// A connection.
pub(crate) struct Session(https::Session);

impl Session {
    /// Sends a request and reads the whole answer. Items are counted in JSON only.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    pub(crate) async fn get(&mut self, path: &str, accept: &str) -> anyhow::Result<Answer> {
        let response = self.0.begin(path, &[("accept", accept)]).await?;
        let status = response.status();
        let mut body = response.into_body();
        let (mut bytes, mut items) = (0, 0);
        // A piece may end within the text that is counted. These are the bytes before and after such an end. Neither
        // side is long enough for a whole text.
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
