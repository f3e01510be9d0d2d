//! The flags of metrics-server that a scraper does not have.

use tributary_runtime::args::foreign::{self, Flag, Verdict};

/// Whatever of them was given, if it is harmless; else the command line is
/// refused.
#[derive(Clone, Debug, Default)]
pub struct Foreign {
    /// Those without effect.
    pub without_effect: Vec<&'static str>,
}

const API: Verdict = Verdict::Refused("belongs to tributary-apiserver, which serves the API");

const FLAGS: [Flag; 46] = [
    Flag("advertise-address", API),
    Flag("authentication-kubeconfig", API),
    Flag("authentication-skip-lookup", API),
    Flag("authentication-token-webhook-cache-ttl", API),
    Flag("authentication-tolerate-lookup-failure", API),
    Flag("authorization-always-allow-paths", API),
    Flag("authorization-kubeconfig", API),
    Flag("authorization-webhook-cache-authorized-ttl", API),
    Flag("authorization-webhook-cache-unauthorized-ttl", API),
    Flag("bind-address", API),
    Flag("cert-dir", API),
    Flag("client-ca-file", API),
    Flag("cors-allowed-origins", API),
    Flag("disable-http2-serving", API),
    Flag("external-hostname", API),
    Flag("goaway-chance", API),
    Flag("http2-max-streams-per-connection", API),
    Flag("livez-grace-period", API),
    Flag("max-mutating-requests-inflight", API),
    Flag("max-requests-inflight", API),
    Flag("min-request-timeout", API),
    Flag("permit-address-sharing", API),
    Flag("permit-port-sharing", API),
    Flag("request-timeout", API),
    Flag("requestheader-allowed-names", API),
    Flag("requestheader-client-ca-file", API),
    Flag("requestheader-extra-headers-prefix", API),
    Flag("requestheader-group-headers", API),
    Flag("requestheader-uid-headers", API),
    Flag("requestheader-username-headers", API),
    Flag("secure-port", API),
    Flag("shutdown-delay-duration", API),
    Flag("shutdown-send-retry-after", API),
    Flag("shutdown-watch-termination-grace-period", API),
    Flag("storage-initialization-timeout", API),
    Flag("strict-transport-security-directives", API),
    Flag("tls-cert-file", API),
    Flag("tls-cipher-suites", API),
    Flag("tls-curve-preferences", API),
    Flag("tls-min-version", API),
    Flag("tls-private-key-file", API),
    Flag("tls-sni-cert-key", API),
    Flag("readiness-coverage", API),
    Flag("max-sample-age", API),
    Flag("bus-address", API),
    Flag("bus-client-ca-file", API),
];

foreign::as_args!(Foreign, FLAGS);
