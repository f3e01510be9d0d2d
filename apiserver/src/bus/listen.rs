//! The sockets of the bus.

use std::{
    collections::BTreeSet, fs::Permissions, os::unix::fs::PermissionsExt as _, path::Path,
    time::Duration,
};

use anyhow::Context as _;
use tracing::{info, warn};
use tributary_runtime::{
    serve::{Address, FirstLook, Limits, Listener, Listening, Server, own_uid},
    tasks::Tasks,
};

use super::{
    Bus, BusListener, Proof,
    admission::{Admission, AdmissionRules, Requirement},
    revocation::{check, checks},
};
use crate::auth::Publishing;

/// Streams of one connection: a scraper has one.
const STREAMS_OF_CONNECTION: u32 = 4;

/// How many bytes a stream may send before they are read: a message has at most 4 MiB.
const RECEIVE: u32 = 256 << 10;

/// How long a connection may be without a stream.
const IDLE: Duration = Duration::from_secs(10);

impl Bus {
    /// Listens at every address and returns the addresses.
    ///
    /// # Errors
    ///
    /// A socket cannot be opened.
    pub(crate) async fn listen(
        &self,
        tasks: &mut Tasks,
        listeners: &[BusListener],
        publishing: &Publishing,
        rules: &AdmissionRules,
    ) -> anyhow::Result<Vec<Address>> {
        let (checks, streams) = checks();
        let stop = tasks.stop();
        tasks.spawn("revocations", async move {
            check(streams, stop).await;
            Ok(())
        });
        let mut addresses = Vec::new();
        for listener in listeners {
            let listening = bind(listener).await;
            let listening =
                listening.with_context(|| format!("--bus-address {}", listener.address))?;
            let admission = Admission {
                requirement: requirement(&listener.proof, publishing),
                rules: rules.clone(),
            };
            info!(address = %listening.address, "accepting samples");
            let server = Server {
                listener: listening.listener,
                tls: listener.tls.clone(),
                first_look: FirstLook::default(),
                limits: Limits {
                    streams: STREAMS_OF_CONNECTION,
                    idle: IDLE,
                    receive: RECEIVE,
                    ..Limits::default()
                },
                metrics: self.metrics.serve.clone(),
            };
            let router = self.clone().into_router(admission, checks.clone());
            let stop = tasks.stop();
            tasks.spawn("bus", async move { Ok(server.run(router, stop).await?) });
            addresses.push(listening.address);
        }
        Ok(addresses)
    }
}

fn requirement(proof: &Proof, publishing: &Publishing) -> Requirement {
    match proof {
        Proof::None => Requirement::Nothing,
        Proof::Uids(others) => {
            // Root can become any user.
            let own = [own_uid(), 0];
            Requirement::Uids(own.into_iter().chain(others.iter().copied()).collect())
        }
        Proof::Presented { certificate, token } => Requirement::Proof {
            certificate: certificate.clone(),
            token: token.then(|| publishing.clone()),
        },
    }
}

async fn bind(listener: &BusListener) -> anyhow::Result<Listening> {
    let listening = Listener::bind(&listener.address).await?;
    match (&listener.address, &listener.proof) {
        (Address::Unix(path), Proof::Uids(others)) => protect(path, others)?,
        (Address::Tcp(_), Proof::None) => {
            warn!(address = %listening.address, "--bus-insecure: any client that reaches this address may publish");
        }
        _ => {}
    }
    Ok(listening)
}

/// Sets the permissions of the socket. Until then only the check of the peer's user ID refuses others.
fn protect(path: &Path, others: &BTreeSet<u32>) -> anyhow::Result<()> {
    let mode = if others.is_empty() { 0o600 } else { 0o660 };
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    let directory = path.parent().map(std::fs::metadata).transpose()?;
    let mode = directory.map_or(0, |directory| directory.permissions().mode());
    let (writable, sticky) = (mode & 0o002 != 0, mode & 0o1000 != 0);
    if writable && !sticky {
        warn!(
            path = %path.display(),
            "the directory of the socket is writable for all users, who could replace the socket"
        );
    }
    Ok(())
}
