//! The flags about the API. Names, defaults and messages are those of
//! metrics-server (PARITY 1.4, 1.5) where nothing else is said.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args};
use tributary_runtime::{duration::GoDuration, tls::NamedPair};

/// Flags about the API.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "API serving")]
pub struct ServingArgs {
    /// The address on which to serve the API, its probes and `/metrics`; one that
    /// is unspecified stands for all of IPv4 and IPv6.
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub bind_address: IpAddr,

    /// The port on which to serve HTTPS.
    ///
    /// 0 takes any that is free. A port below 1024 needs a capability that a
    /// hardened pod does not have.
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    pub secure_port: u16,

    /// Share the port with other processes that ask for it too (`SO_REUSEPORT`).
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub permit_port_sharing: bool,

    /// The serving certificate, with its chain, in PEM; read again when it
    /// changes.
    ///
    /// Without it a self-signed one is made for the bind address and
    /// `localhost`: whoever calls has to skip verification.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,

    /// The key of `--tls-cert-file`, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,

    /// Where a self-signed certificate is kept, as `apiserver.crt` and
    /// `apiserver.key`, and used again.
    ///
    /// Without it one is made at every start, in memory.
    #[arg(long, value_name = "FOLDER")]
    pub cert_dir: Option<PathBuf>,

    /// A certificate and its key for callers that ask for certain names:
    /// `CERT,KEY` for the names in the certificate, or `CERT,KEY:NAME,NAME`,
    /// where a name may begin with `*.`. May be given several times.
    #[arg(long, value_name = "CERT,KEY[:NAMES]")]
    pub tls_sni_cert_key: Vec<NamedPair>,

    /// The oldest TLS version: `VersionTLS12`, the default, or `VersionTLS13`.
    #[arg(
        long,
        value_name = "VERSION",
        default_value = "",
        hide_default_value = true
    )]
    pub tls_min_version: String,

    /// The cipher suites of TLS 1.2, by their names in Go; all that are safe by
    /// default. Those of TLS 1.3 are always offered.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub tls_cipher_suites: Vec<String>,

    /// The groups for key exchange by number: 29 (X25519), 23 (P-256), 24
    /// (P-384), 4588 and 4587 (these two with ML-KEM-768).
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub tls_curve_preferences: Vec<u16>,

    /// Serve HTTP/1.1 only.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub disable_http2_serving: bool,

    /// How many requests of one HTTP/2 connection are answered at a time; 0
    /// stands for 100.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub http2_max_streams_per_connection: u32,

    /// How many requests are answered at a time, 0 for any number.
    ///
    /// More get 429 and come again a second later, and so do those of a user that
    /// has a quarter of them under way. Probes, `/metrics` and the group
    /// `system:masters` always get an answer. Requests that would change something
    /// count too: there is nothing to change.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 400,
        allow_negative_numbers = true
    )]
    pub max_requests_inflight: i64,

    /// How long an answer may take, from the head of the request to its last
    /// byte; 0 for any time.
    ///
    /// Past it the answer is 504, or the connection (in HTTP/2 the stream) ends if
    /// the answer has begun.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        allow_hyphen_values = true
    )]
    pub request_timeout: GoDuration,

    /// How likely a request over HTTP/2 is to be the last on its connection, at
    /// most 0.02: so that connections spread over frontends anew. 0.001 is one in
    /// a thousand.
    #[arg(
        long,
        value_name = "CHANCE",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub goaway_chance: f64,

    /// How long to go on as before after a signal to stop, but for `/readyz`,
    /// which fails at once.
    ///
    /// kube-apiserver and other callers hear of the end of a pod by its endpoints,
    /// and kube-proxy follows some seconds later: who closes at once, as
    /// metrics-server does by default, refuses connections in every rolling
    /// update. With the grace period below, the default stays within the 30 s that
    /// a pod has. A second signal cuts it short.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        allow_hyphen_values = true
    )]
    pub shutdown_delay_duration: GoDuration,

    /// After that delay, answer new requests with 429 and `Connection: close` for
    /// as long as others are under way, instead of refusing connections.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub shutdown_send_retry_after: bool,

    /// How long requests under way may go on after `--shutdown-delay-duration`.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub shutdown_grace_period: Duration,
}
