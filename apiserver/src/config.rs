//! Flags that fit together.

use std::{net::SocketAddr, sync::Arc};

use rustls::ServerConfig;
use tributary_runtime::{
    exit::Misconfigured,
    selector::{BadSelector, Selector},
    serve::Address,
    tls::{
        ClientCa, ClientCertificates, PairFiles, ServerTls, ServingCertificate, TLS12_AND_13,
        TLS13, server_config,
    },
};

use crate::args::{Args, BusArgs, ServingArgs};

/// What the flags mean. Exists only if they fit together.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) api_address: Address,
    pub(crate) api_tls: Arc<ServerConfig>,
    pub(crate) certificate: Arc<ServingCertificate>,
    pub(crate) bus: Vec<BusDoor>,
    /// The CA of publishers, if they show certificates.
    pub(crate) bus_clients: Option<ClientCa>,
    pub(crate) node_selector: Option<Selector>,
}

/// Where samples are taken, and how.
#[derive(Debug)]
pub(crate) struct BusDoor {
    pub(crate) address: Address,
    /// Without TLS: a Unix socket, or `--bus-insecure`.
    pub(crate) tls: Option<ServerTls>,
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
        let bus_clients = bus_clients(&args.bus, &certificate)?;
        Ok(Self {
            api_address: Address::Tcp(SocketAddr::new(
                args.serving.bind_address,
                args.serving.secure_port,
            )),
            api_tls,
            bus: bus(&args.bus, bus_clients.as_ref())?,
            bus_clients,
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

fn bus_clients(
    args: &BusArgs,
    certificate: &Arc<ServingCertificate>,
) -> Result<Option<ClientCa>, Misconfigured> {
    let Some(file) = &args.bus_client_ca_file else {
        return Ok(None);
    };
    let certificate = Arc::clone(certificate);
    let clients = ClientCa::new(file.clone(), move |publishers| {
        server_config(
            Arc::clone(&certificate),
            ClientCertificates::Required(Arc::new(publishers)),
            TLS13,
            &[b"h2"],
        )
    });
    let named = |error| Misconfigured::new(format!("--bus-client-ca-file: {error}"));
    clients.map(Some).map_err(named)
}

fn bus(args: &BusArgs, clients: Option<&ClientCa>) -> Result<Vec<BusDoor>, Misconfigured> {
    let tls = clients.map(ClientCa::tls);
    let listen = |address: &Address| match (address, &tls) {
        (Address::Tcp(_), Some(tls)) => Ok(BusDoor {
            address: address.clone(),
            tls: Some(tls.clone()),
        }),
        (Address::Unix(_), _) => Ok(BusDoor {
            address: address.clone(),
            tls: None,
        }),
        (Address::Tcp(_), None) if args.bus_insecure => Ok(BusDoor {
            address: address.clone(),
            tls: None,
        }),
        (Address::Tcp(_), None) => Err(Misconfigured::new(format!(
            "--bus-address {address} needs --bus-client-ca-file, or --bus-insecure for tests"
        ))),
    };
    args.bus_address.iter().map(listen).collect()
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
