//! What the flags say about the bus.

use std::{collections::BTreeSet, sync::Arc};

use rustls::ServerConfig;
use tributary_runtime::{
    exit::Misconfigured,
    serve::Address,
    tls::{ClientCertificates, ServingCertificate, TLS13, server_config},
};

use super::Certificates;
use crate::args::BusArgs;

/// How samples are received.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listeners: Vec<BusListener>,
    /// The certificates of publishers, if they are wanted.
    pub(crate) publishers: Option<Certificates>,
}

/// Where samples are received, and how.
#[derive(Debug)]
pub(crate) struct BusListener {
    pub(crate) address: Address,
    /// Without TLS: a Unix socket, or `--bus-insecure`.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// What publishers have to prove.
    pub(crate) proof: Proof,
}

/// What publishers have to prove to a listener.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Nothing.
    None,
    /// Their process belongs to the user of the frontend, to root, or to one of these users.
    Uids(BTreeSet<u32>),
    /// A certificate, a token, or both.
    Presented {
        certificate: Option<Certificates>,
        token: bool,
    },
}

impl Config {
    /// What `args` mean. Frontends show `certificate` to publishers.
    ///
    /// # Errors
    ///
    /// A file cannot be used.
    pub(crate) fn read(
        args: &BusArgs,
        certificate: &Arc<ServingCertificate>,
    ) -> Result<Self, Misconfigured> {
        let publishers = publishers(args)?;
        let listeners = listeners(args, certificate, publishers.as_ref())?;
        Ok(Self {
            listeners,
            publishers,
        })
    }
}

fn publishers(args: &BusArgs) -> Result<Option<Certificates>, Misconfigured> {
    let Some(file) = &args.bus_client_ca_file else {
        return Ok(None);
    };
    Certificates::new(file.clone(), args.bus_allowed_names.clone())
        .map(Some)
        .map_err(|error| Misconfigured::new(format!("--bus-client-ca-file: {error}")))
}

fn listeners(
    args: &BusArgs,
    certificate: &Arc<ServingCertificate>,
    publishers: Option<&Certificates>,
) -> Result<Vec<BusListener>, Misconfigured> {
    let tls = server_config(
        Arc::clone(certificate),
        // Their chains are verified when they connect, and again while they publish.
        match publishers {
            None => ClientCertificates::None,
            Some(_) => ClientCertificates::Unverified,
        },
        TLS13,
        &[b"h2"],
    )?;
    let listener = |address: &Address| {
        let (tls, proof) = match address {
            Address::Unix(_) => (
                None,
                Proof::Uids(args.bus_allowed_uids.iter().copied().collect()),
            ),
            Address::Tcp(_) if args.bus_insecure => (None, Proof::None),
            Address::Tcp(_) => {
                let proof = Proof::Presented {
                    certificate: publishers.cloned(),
                    token: publishers.is_none() || args.bus_require_token,
                };
                (Some(Arc::clone(&tls)), proof)
            }
        };
        BusListener {
            address: address.clone(),
            tls,
            proof,
        }
    };
    Ok(args.bus_address.iter().map(listener).collect())
}
