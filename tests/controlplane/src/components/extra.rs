//! Components beside those that every rig has.

use std::{net::SocketAddr, path::Path, time::Duration};

use kube::Client;
use tributary_sim::Cluster;

use super::{
    AUDIENCE, Accepts, Component, Components, LOOPBACK, MAX_SAMPLE_AGE, NAMESPACE, Pace, SCRAPER,
    scraper_flags, start_frontend, start_scraper, tcp,
};
use crate::objects::token;

const EACH_SECOND: Pace = Pace {
    resolution: Duration::from_secs(1),
    fast: None,
};

impl Components {
    /// Starts a scraper that has no nodes, and shows this token to the frontend.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn idle_scraper(
        &self,
        cluster: &Cluster,
        name: &str,
        token: &str,
    ) -> anyhow::Result<IdleScraper> {
        let mut flags = scraper_flags(cluster, &self.kubeconfig, self.bus, (name, token))?;
        flags.push(format!("--group={name}"));
        flags.push("--node-selector=nobody/has=this".to_owned());
        let pace = Pace {
            resolution: Duration::from_secs(10),
            fast: None,
        };
        let (component, admin) = start_scraper(flags, pace).await?;
        Ok(IdleScraper { admin, component })
    }

    /// Starts another frontend, with a scraper of its own that scrapes only the nodes that `selector` selects.
    ///
    /// # Errors
    ///
    /// One does not start.
    pub async fn narrow(
        &self,
        client: &Client,
        cluster: &Cluster,
        selector: &str,
    ) -> anyhow::Result<Narrow> {
        self.extra(client, cluster, Some(selector), MAX_SAMPLE_AGE)
            .await
    }

    /// The same, with samples of up to an age; without a selector there is no scraper.
    ///
    /// # Errors
    ///
    /// One does not start.
    pub async fn extra(
        &self,
        client: &Client,
        cluster: &Cluster,
        selector: Option<&str>,
        max_sample_age: &str,
    ) -> anyhow::Result<Narrow> {
        let pace = EACH_SECOND;
        let kubeconfig = &self.frontend_kubeconfig;
        let accepts = Accepts {
            bus: LOOPBACK,
            max_sample_age,
        };
        let (frontend, api, bus) = start_frontend(cluster, kubeconfig, pace, accepts).await?;
        let bus = tcp(&bus)?;
        let mut scraper = None;
        if let Some(selector) = selector {
            let shown = token(client, (NAMESPACE, SCRAPER), &[AUDIENCE]).await?;
            let mut flags = scraper_flags(cluster, &self.kubeconfig, bus, ("narrow", &shown))?;
            flags.push("--group=narrow".to_owned());
            flags.push(format!("--node-selector={selector}"));
            scraper = Some(start_scraper(flags, pace).await?.0);
        }
        Ok(Narrow {
            api,
            frontend,
            scraper,
        })
    }

    /// Starts a frontend to which publishers of a test connect at a Unix socket, and which accepts samples of up to an age.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn behind_socket(
        &self,
        cluster: &Cluster,
        socket: &Path,
        max_sample_age: &str,
    ) -> anyhow::Result<Narrow> {
        let accepts = Accepts {
            bus: &format!("unix://{}", socket.display()),
            max_sample_age,
        };
        let kubeconfig = &self.frontend_kubeconfig;
        let (frontend, api, _) = start_frontend(cluster, kubeconfig, EACH_SECOND, accepts).await?;
        Ok(Narrow {
            api,
            frontend,
            scraper: None,
        })
    }
}

/// A frontend that serves some nodes, and its scraper.
#[derive(Debug)]
pub struct Narrow {
    /// Where it serves.
    pub api: SocketAddr,
    frontend: Component,
    scraper: Option<Component>,
}

impl Narrow {
    /// Ends both.
    ///
    /// # Errors
    ///
    /// One had ended by itself.
    pub async fn stop(self) -> anyhow::Result<()> {
        if let Some(scraper) = self.scraper {
            scraper.end().await?;
        }
        self.frontend.end().await
    }
}

/// A scraper without nodes.
#[derive(Debug)]
pub struct IdleScraper {
    /// Where its metrics are.
    pub admin: SocketAddr,
    component: Component,
}

impl IdleScraper {
    /// Ends it.
    ///
    /// # Errors
    ///
    /// It had ended by itself.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.component.end().await
    }
}
