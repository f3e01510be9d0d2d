//! Asking kubelets: one request, one page, one reading.
//!
//! [`Client`] is what all of them have in common, [`Kubelet`] what is kept of
//! one between scrapes: its connection and the layout of its last page.

mod body;
mod certificate;
mod client;
mod connection;
mod credentials;
mod decimal;
pub mod decode;
pub mod exposition;
mod failure;
mod pages;

use std::sync::Arc;

use tributary_model::Timestamp;

pub use self::{
    client::{Client, Limits},
    credentials::Security,
    failure::{Reason, ScrapeError},
    pages::{DEFAULT_PAGE, PAGE_LIMITS, PageCounters},
};
use self::{
    connection::Connection,
    decode::{Decoded, Layout},
};
use crate::nodes::Target;

/// One kubelet, scraped again and again, never twice at once.
#[derive(Debug)]
pub struct Kubelet {
    client: Arc<Client>,
    connection: Option<Connection>,
    layout: Layout,
}

impl Kubelet {
    /// A kubelet that was not asked yet.
    pub fn new(client: Arc<Client>) -> Self {
        Self {
            client,
            connection: None,
            layout: Layout::default(),
        }
    }

    /// Asks it, and reads what it says. `asked_at` is now, by our clock.
    ///
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
        let page = self.client.fetch(target, &mut self.connection).await?;
        let pages = &self.client.pages;
        let decoded = {
            let _turn = pages.turn(&page).await;
            self.layout.decode(&page.bytes, &target.node, asked_at)
        };
        pages.give_back(page);
        let mut decoded = decoded?;
        decoded.reading.remarks.node_cpu_millis = target.cpu_millis;
        Ok(decoded)
    }
}
