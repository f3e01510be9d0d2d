//! Flags that fit together.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use rustls::ServerConfig;
use tributary_runtime::{
    exit::Misconfigured,
    selector::{BadSelector, Selector},
    serve::Address,
    tls::{ClientCertificates, PairFiles, ServingCertificate, TLS12_AND_13, TLS13, server_config},
};

use crate::{
    args::{Args, BusArgs, ServingArgs},
    bus::Certificates,
};

/// What the flags mean. Exists only if they fit together.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) api_address: Address,
    pub(crate) api_tls: Arc<ServerConfig>,
    pub(crate) certificate: Arc<ServingCertificate>,
    pub(crate) bus: Vec<BusDoor>,
    /// The certificates of publishers, if they are wanted.
    pub(crate) publishers: Option<Certificates>,
    pub(crate) node_selector: Option<Selector>,
}

/// Where samples are taken, and how.
#[derive(Debug)]
pub(crate) struct BusDoor {
    pub(crate) address: Address,
    /// Without TLS: a Unix socket, or `--bus-insecure`.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// What publishers have to show.
    pub(crate) proof: Proof,
}

/// What publishers have to show at a door.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Nothing.
    None,
    /// That they are our user, root, or one of these.
    Uids(BTreeSet<u32>),
    /// A certificate, a token, or both.
    Shown {
        certificate: Option<Certificates>,
        token: bool,
    },
}

impl TryFrom<&Args> for Config {
    type Error = Misconfigured;

    fn try_from(args: &Args) -> Result<Self, Misconfigured> {
        let certificate = certificate(&args.serving)?;
        let api_tls = server_config(
            Arc::clone(&certificate),
            // Their chains are checked by the layer `auth`, as CAs change.
            ClientCertificates::Unverified,
            TLS12_AND_13,
            &[b"h2", b"http/1.1"],
        )?;
        let publishers = publishers(&args.bus)?;
        Ok(Self {
            api_address: Address::Tcp(SocketAddr::new(
                args.serving.bind_address,
                args.serving.secure_port,
            )),
            api_tls,
            bus: bus(&args.bus, &certificate, publishers.as_ref())?,
            publishers,
            certificate,
            node_selector: selector(&args.samples.node_selector)?,
        })
    }
}

fn certificate(args: &ServingArgs) -> Result<Arc<ServingCertificate>, Misconfigured> {
    match (&args.tls_cert_file, &args.tls_private_key_file) {
        (Some(certificate), Some(key)) => Ok(ServingCertificate::from_files(PairFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        })?),
        _ => ServingCertificate::self_signed(["localhost".to_owned()], [args.bind_address]),
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

fn bus(
    args: &BusArgs,
    certificate: &Arc<ServingCertificate>,
    publishers: Option<&Certificates>,
) -> Result<Vec<BusDoor>, Misconfigured> {
    let tls = server_config(
        Arc::clone(certificate),
        // Their chains are checked at the door, and again while they publish.
        match publishers {
            None => ClientCertificates::None,
            Some(_) => ClientCertificates::Unverified,
        },
        TLS13,
        &[b"h2"],
    )?;
    let door = |address: &Address| {
        let (tls, proof) = match address {
            Address::Unix(_) => (
                None,
                Proof::Uids(args.bus_allowed_uids.iter().copied().collect()),
            ),
            Address::Tcp(_) if args.bus_insecure => (None, Proof::None),
            Address::Tcp(_) => {
                let proof = Proof::Shown {
                    certificate: publishers.cloned(),
                    token: publishers.is_none() || args.bus_require_token,
                };
                (Some(Arc::clone(&tls)), proof)
            }
        };
        BusDoor {
            address: address.clone(),
            tls,
            proof,
        }
    };
    Ok(args.bus_address.iter().map(door).collect())
}

fn selector(text: &str) -> Result<Option<Selector>, Misconfigured> {
    match text.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|error: BadSelector| Misconfigured::new(format!("--node-selector: {error}"))),
    }
}
