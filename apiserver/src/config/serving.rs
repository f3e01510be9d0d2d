//! The flags about the API that fit together. The messages are those of
//! metrics-server (docs/parity.md#flags-about-requests).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tributary_runtime::{
    duration::GoDuration,
    exit::Misconfigured,
    serve::{self, Address, FirstLook, Listening, ServeMetrics, Server, Sharing},
    tls::{ClientCertificates, PairFiles, Policy, ServingCertificate},
};

use crate::{
    args::ServingArgs,
    requests::{limits::Settings, shutdown::Pace},
};

/// How the API is served.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) address: Address,
    pub(crate) sharing: Sharing,
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) certificate: Arc<ServingCertificate>,
    pub(crate) connections: serve::Limits,
    pub(crate) requests: Settings,
    pub(crate) shutdown: Pace,
}

impl Serving {
    /// The server, its counters registered.
    pub(crate) fn server(
        &self,
        listening: Listening,
        first_look: FirstLook,
        registry: &mut Registry,
    ) -> Server {
        let metrics = ServeMetrics::register("api", registry);
        registry.register(
            "apiserver_tls_handshake_errors",
            "TLS handshakes of API clients that failed",
            metrics.handshake_errors.clone(),
        );
        Server {
            listener: listening.listener,
            tls: Some(Arc::clone(&self.tls)),
            first_look,
            limits: self.connections,
            metrics,
        }
    }
}

/// What `--goaway-chance` may be at most.
const MOST_GOAWAYS: f64 = 0.02;

impl TryFrom<&ServingArgs> for Serving {
    type Error = Misconfigured;

    fn try_from(args: &ServingArgs) -> Result<Self, Misconfigured> {
        let certificate = certificate(args)?;
        let policy = Policy::new(
            &args.tls_min_version,
            &args.tls_cipher_suites,
            &args.tls_curve_preferences,
        )?;
        let protocols: &[&[u8]] = if args.disable_http2_serving {
            &[b"http/1.1"]
        } else {
            &[b"h2", b"http/1.1"]
        };
        // Their chains are checked by the layer `auth`, as CAs change.
        let clients = ClientCertificates::Unverified;
        let tls = policy.server_config(Arc::clone(&certificate), clients, protocols)?;
        let shutdown = Pace {
            delay: span("--shutdown-delay-duration", args.shutdown_delay_duration)?,
            send_retry_after: args.shutdown_send_retry_after,
            grace: args.shutdown_grace_period,
        };
        Ok(Self {
            address: Address::Tcp(SocketAddr::new(args.bind_address, args.secure_port)),
            sharing: if args.permit_port_sharing {
                Sharing::Processes
            } else {
                Sharing::Exclusive
            },
            tls,
            certificate,
            connections: connections(args),
            requests: requests(args)?,
            shutdown,
        })
    }
}

fn certificate(args: &ServingArgs) -> Result<Arc<ServingCertificate>, Misconfigured> {
    let local = || (["localhost".to_owned()], [args.bind_address]);
    let own = match (&args.tls_cert_file, &args.tls_private_key_file) {
        (Some(certificate), Some(key)) => ServingCertificate::from_files(PairFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        })
        .map_err(|error| {
            Misconfigured::new(format!("--tls-cert-file, --tls-private-key-file: {error}"))
        })?,
        _ => match (&args.cert_dir, local()) {
            (Some(dir), (names, addresses)) => ServingCertificate::kept_in(dir, names, addresses)?,
            (None, (names, addresses)) => ServingCertificate::self_signed(names, addresses)?,
        },
    };
    if args.tls_sni_cert_key.is_empty() {
        return Ok(own);
    }
    own.with_named(args.tls_sni_cert_key.clone())
        .map_err(|error| Misconfigured::new(format!("--tls-sni-cert-key: {error}")))
}

fn connections(args: &ServingArgs) -> serve::Limits {
    let defaults = serve::Limits::default();
    serve::Limits {
        drain: args.shutdown_grace_period,
        http2: !args.disable_http2_serving,
        streams: match args.http2_max_streams_per_connection {
            0 => defaults.streams,
            streams => streams,
        },
        ..defaults
    }
}

fn requests(args: &ServingArgs) -> Result<Settings, Misconfigured> {
    let in_flight = usize::try_from(args.max_requests_inflight)
        .map_err(|_| Misconfigured::new("--max-requests-inflight can not be negative value"))?;
    let timeout = span("--request-timeout", args.request_timeout)?;
    if !(0.0..=MOST_GOAWAYS).contains(&args.goaway_chance) {
        return Err(Misconfigured::new(
            "--goaway-chance can not be less than 0 or greater than 0.02",
        ));
    }
    Ok(Settings {
        in_flight: (in_flight > 0).then_some(in_flight),
        timeout: (!timeout.is_zero()).then_some(timeout),
        goaway_chance: args.goaway_chance,
    })
}

fn span(flag: &str, span: GoDuration) -> Result<Duration, Misconfigured> {
    let bad = || Misconfigured::new(format!("{flag} can not be negative value"));
    span.positive().ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    fn read(flags: &[&str]) -> Result<Serving, String> {
        let flags = ["tributary-apiserver"].iter().chain(flags);
        let args = Args::try_parse_from(flags).map_err(|error| error.to_string())?;
        Serving::try_from(&args.serving).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_metrics_server_except_the_end() {
        let serving = read(&[]).unwrap();
        let Settings {
            in_flight,
            timeout,
            goaway_chance,
        } = serving.requests;
        assert_eq!(in_flight, Some(400));
        assert_eq!(timeout, Some(Duration::from_mins(1)));
        assert!(goaway_chance <= 0.0);
        assert_eq!(serving.connections.streams, 100);
        assert!(serving.connections.http2);
        let Pace {
            delay,
            send_retry_after,
            grace,
        } = serving.shutdown;
        assert!(!send_retry_after);
        // Both, and what else takes time at the end, are less than the 30 s of a pod.
        let ten = Duration::from_secs(10);
        assert_eq!((delay, grace), (ten, ten));
    }

    #[test]
    fn zero_stands_for_no_bound() {
        let serving = read(&["--max-requests-inflight=0", "--request-timeout=0"]).unwrap();
        let limits = (serving.requests.in_flight, serving.requests.timeout);
        assert_eq!(limits, (None, None));
    }

    #[test]
    fn what_cannot_be_is_refused_as_in_metrics_server() {
        for (flag, sentence) in [
            (
                "--max-requests-inflight=-1",
                "--max-requests-inflight can not be negative value",
            ),
            (
                "--request-timeout=-1s",
                "--request-timeout can not be negative value",
            ),
            (
                "--shutdown-delay-duration=-1s",
                "--shutdown-delay-duration can not be negative value",
            ),
            (
                "--goaway-chance=0.03",
                "--goaway-chance can not be less than 0 or greater than 0.02",
            ),
            (
                "--goaway-chance=-1",
                "--goaway-chance can not be less than 0 or greater than 0.02",
            ),
            ("--tls-min-version=foo", "unknown tls version \"foo\""),
            (
                "--tls-cipher-suites=foo",
                "Cipher suite foo not supported or doesn't exist",
            ),
            (
                "--tls-sni-cert-key=/a,/b",
                "--tls-sni-cert-key: /a: No such file or directory (os error 2)",
            ),
        ] {
            assert_eq!(read(&[flag]).unwrap_err(), sentence);
        }
    }
}
