//! The flags about the API. Names, defaults and messages are those of
//! metrics-server (docs/parity.md#flags-about-requests, docs/parity.md#serving)
//! where nothing else is said.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args};
use tributary_runtime::{duration::GoDuration, tls::NamedPair};

/// Flags about the API.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "API serving")]
pub struct ServingArgs {
    /// The address on which the API, its probes and `/metrics` are served. An
    /// unspecified address means all of IPv4 and IPv6.
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub bind_address: IpAddr,

    /// The port for HTTPS.
    ///
    /// 0 uses any free port. A port below 1024 needs a capability that a hardened
    /// pod does not have.
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    pub secure_port: u16,

    /// Share the port with other processes that set `SO_REUSEPORT`.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub permit_port_sharing: bool,

    /// The serving certificate with its chain, in PEM. It is read again when it
    /// changes.
    ///
    /// Without it the process creates a self-signed certificate for the bind
    /// address and `localhost`; clients must then skip verification.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,

    /// The key of `--tls-cert-file`, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,

    /// The directory in which a self-signed certificate is kept, as `apiserver.crt`
    /// and `apiserver.key`, and used again.
    ///
    /// Without it the process creates one in memory at every start. Ignored with
    /// `--tls-cert-file` and with `--tls-auto`.
    #[arg(long, value_name = "DIRECTORY")]
    pub cert_dir: Option<PathBuf>,

    /// A certificate and key for certain host names: `CERT,KEY` for the names in
    /// the certificate, or `CERT,KEY:NAME,NAME`, where a name may begin with `*.`.
    /// May be given several times.
    #[arg(long, value_name = "CERT,KEY[:NAMES]")]
    pub tls_sni_cert_key: Vec<NamedPair>,

    /// The minimum TLS version: `VersionTLS12`, the default, or `VersionTLS13`.
    #[arg(
        long,
        value_name = "VERSION",
        default_value = "",
        hide_default_value = true
    )]
    pub tls_min_version: String,

    /// The cipher suites of TLS 1.2, by their names in Go. By default all secure
    /// ones. Those of TLS 1.3 are always enabled.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub tls_cipher_suites: Vec<String>,

    /// The groups for key exchange, by number: 29 (X25519), 23 (P-256), 24 (P-384),
    /// 4588 and 4587 (the first two with ML-KEM-768).
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub tls_curve_preferences: Vec<u16>,

    /// Serve HTTP/1.1 only.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub disable_http2_serving: bool,

    /// The maximum number of requests in flight on one HTTP/2 connection. 0 means
    /// 100.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub http2_max_streams_per_connection: u32,

    /// The maximum number of requests in flight. 0 means no limit.
    ///
    /// Further requests get 429 and may be repeated after a second; so do those of a
    /// user that already has a quarter of this number in flight. Probes, `/metrics`
    /// and the group `system:masters` are exempt. Mutating requests count, too; they
    /// are always refused.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 400,
        allow_negative_numbers = true
    )]
    pub max_requests_inflight: i64,

    /// How long a request may take, from its headers to the last byte of the
    /// answer. 0 means no limit.
    ///
    /// After that the answer is 504. If the answer has begun, the connection ends
    /// (in HTTP/2 the stream).
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        allow_hyphen_values = true
    )]
    pub request_timeout: GoDuration,

    /// The probability that a request over HTTP/2 is the last on its connection, at
    /// most 0.02. This spreads connections over frontends. 0.001 is one in a
    /// thousand.
    #[arg(
        long,
        value_name = "CHANCE",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub goaway_chance: f64,

    /// How long to keep serving after SIGTERM. `/readyz` fails immediately.
    ///
    /// kube-apiserver and other clients learn from the endpoints that a pod ends,
    /// and kube-proxy follows some seconds later. A server that closes at once, as
    /// metrics-server does by default, refuses connections in every rolling update.
    /// Together with `--shutdown-grace-period` the default stays within the 30 s
    /// that a pod has. A second signal ends the delay.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        allow_hyphen_values = true
    )]
    pub shutdown_delay_duration: GoDuration,

    /// After that delay, answer new requests with 429 and `Connection: close` as
    /// long as others are in flight, instead of refusing connections.
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub shutdown_send_retry_after: bool,

    /// How long requests in flight may take after `--shutdown-delay-duration`.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = GoDuration::read_positive)]
    pub shutdown_grace_period: Duration,
}
