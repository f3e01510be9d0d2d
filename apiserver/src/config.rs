//! Flags that fit together.

mod serving;

use std::{collections::BTreeSet, sync::Arc};

use rustls::ServerConfig;
use tributary_runtime::{
    exit::Misconfigured,
    selector::{BadSelector, Selector},
    serve::Address,
    tls::{ClientCertificates, ServingCertificate, TLS13, server_config},
};

pub(crate) use self::serving::Serving;
use crate::{
    args::{Args, BusArgs},
    bus::Certificates,
    certificates::Settings,
};

/// What the flags mean. Exists only if they fit together.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) serving: Serving,
    /// The certificate that frontends keep themselves, if they do.
    pub(crate) kept: Option<Settings>,
    pub(crate) bus: Vec<BusListener>,
    /// The certificates of publishers, if they are wanted.
    pub(crate) publishers: Option<Certificates>,
    pub(crate) node_selector: Option<Selector>,
}

/// Where samples are taken, and how.
#[derive(Debug)]
pub(crate) struct BusListener {
    pub(crate) address: Address,
    /// Without TLS: a Unix socket, or `--bus-insecure`.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// What publishers have to show.
    pub(crate) proof: Proof,
}

/// What publishers have to show to a listener.
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
        let mut serving = args.serving.clone();
        if args.tls_auto.tls_auto.is_some() {
            // As with files: nothing is kept there, and values of metrics-server's
            // chart name one.
            serving.cert_dir = None;
        }
        let serving = Serving::try_from(&serving)?;
        let publishers = publishers(&args.bus)?;
        Ok(Self {
            bus: bus(&args.bus, &serving.certificate, publishers.as_ref())?,
            publishers,
            kept: Settings::read(&args.tls_auto)?,
            node_selector: selector(&args.samples.node_selector)?,
            serving,
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

fn bus(
    args: &BusArgs,
    certificate: &Arc<ServingCertificate>,
    publishers: Option<&Certificates>,
) -> Result<Vec<BusListener>, Misconfigured> {
    let tls = server_config(
        Arc::clone(certificate),
        // Their chains are checked when they connect, and again while they publish.
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
                let proof = Proof::Shown {
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

fn selector(text: &str) -> Result<Option<Selector>, Misconfigured> {
    match text.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|error: BadSelector| Misconfigured::new(format!("--node-selector: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn where_frontends_keep_the_certificate_themselves_none_is_kept_in_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let kept = format!("--cert-dir={}", dir.path().display());
        for (flag, files) in [("--tls-auto=ns/t", 0), ("--secure-port=443", 2)] {
            let args = Args::try_parse_from(["tributary-apiserver", &kept, flag]).unwrap();
            Config::try_from(&args).unwrap();
            assert_eq!(dir.path().read_dir().unwrap().count(), files, "{flag}");
        }
    }
}
