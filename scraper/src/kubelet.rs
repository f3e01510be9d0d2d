//! Asking kubelets: a request or a few, one page, one reading.
//!
//! [`Client`] is what all of them have in common, [`Kubelet`] what is kept of
//! one between scrapes: its connection, the layout of its last page, and which
//! endpoints it has.

mod body;
mod certificate;
mod client;
mod connection;
mod credentials;
mod decimal;
pub mod decode;
mod endpoints;
pub mod exposition;
mod failure;
mod interim;
mod metrics;
mod pages;

use std::sync::Arc;

use tokio::time::Instant;
use tributary_model::{Endpoint, Timestamp};

pub(crate) use self::metrics::TokenMetrics;
use self::{
    client::Ask,
    connection::Connection,
    decode::{Decoded, Layout},
    endpoints::{Answer, Endpoints},
    failure::Because,
};
pub use self::{
    client::{Client, Limits},
    credentials::Security,
    failure::{Reason, ScrapeError},
    pages::{DEFAULT_PAGE, PAGE_LIMITS, PageCounters},
};
use crate::nodes::{Target, path_of};

/// One kubelet, scraped again and again, never twice at once.
#[derive(Debug)]
pub struct Kubelet {
    client: Arc<Client>,
    connection: Option<Connection>,
    layout: Layout,
    endpoints: Endpoints,
}

impl Kubelet {
    /// A kubelet that was not asked yet.
    pub fn new(client: Arc<Client>) -> Self {
        Self {
            client,
            connection: None,
            layout: Layout::default(),
            endpoints: Endpoints::default(),
        }
    }

    /// Asks it, and reads what it says. `asked_at` is now, by our clock.
    ///
    /// If the node does not say where its numbers are, they are looked for.
    /// May be dropped at any time, which costs the connection.
    ///
    /// # Errors
    ///
    /// There is no page, or nothing on it can be used.
    pub async fn scrape(
        &mut self,
        target: &Target,
        asked_at: Timestamp,
    ) -> Result<Decoded, ScrapeError> {
        let mut decoded = match target.named() {
            Some(endpoint) => {
                let mut ask = Ask::new(endpoint, target.path.clone());
                let asked = self.ask(target, &mut ask, asked_at).await;
                asked.map_err(|error| error.of(endpoint, Because::Named))
            }
            None if !self.client.falls_back() => {
                let mut ask = Ask::new(Endpoint::Resource, target.path.clone());
                self.ask(target, &mut ask, asked_at).await
            }
            None => self.find(target, asked_at).await,
        }?;
        decoded.reading.remarks.node_cpu_millis = target.cpu_millis;
        Ok(decoded)
    }

    /// Asks the endpoint that it has, or finds it, all within the time of one request.
    async fn find(&mut self, target: &Target, asked_at: Timestamp) -> Result<Decoded, ScrapeError> {
        let (mut endpoint, mut round) = self.endpoints.begin(Instant::now());
        let mut ask = Ask::new(endpoint, path_of(endpoint));
        loop {
            let asked = self.ask(target, &mut ask, asked_at).await;
            let answer = asked
                .as_ref()
                .map_or_else(ScrapeError::answer, |_| Answer::Numbers);
            match self.endpoints.next(&mut round, endpoint, answer) {
                Some(next) => {
                    endpoint = next;
                    ask.instead(next, path_of(next));
                }
                None => return asked.map_err(|error| error.of(endpoint, Because::Found)),
            }
        }
    }

    async fn ask(
        &mut self,
        target: &Target,
        ask: &mut Ask,
        asked_at: Timestamp,
    ) -> Result<Decoded, ScrapeError> {
        let page = self.client.fetch(target, ask, &mut self.connection).await?;
        let pages = &self.client.pages;
        let (layout, node) = (&mut self.layout, &target.node);
        let decoded = {
            let _turn = pages.turn(&page).await;
            match ask.endpoint {
                Endpoint::StatsSummary => layout.decode_summary(&page.bytes, node, asked_at),
                _ => layout.decode(&page.bytes, node, asked_at),
            }
        };
        pages.give_back(page);
        let mut decoded = decoded?;
        decoded.reading.remarks.endpoint = ask.endpoint;
        Ok(decoded)
    }
}
