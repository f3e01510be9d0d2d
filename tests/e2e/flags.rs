//! Every flag of metrics-server v0.9.0, as in docs/parity.md#flags.

use tributary_apiserver::args::Args as FrontendArgs;
use tributary_scraper::args::Args as ScraperArgs;

/// Flags, each with a value that metrics-server accepts. `F` and `S` mark the components that accept it, `-` marks
/// none.
const FLAGS: &str = "
    FS kubeconfig=/k | -S metric-resolution=15s | FS version
    -S kubelet-insecure-tls | -S kubelet-use-node-status-port | -S kubelet-port=10250
    -S kubelet-preferred-address-types=InternalIP | -S kubelet-certificate-authority=/ca
    -S kubelet-client-key=/k | -S kubelet-client-certificate=/c | -S kubelet-request-timeout=10s
    FS node-selector=a=b | -S deprecated-kubelet-completely-insecure
    F- advertise-address=10.0.0.1 | -- cors-allowed-origins=^//x$ | -- emulated-version=1.36
    FS emulation-forward-compatible=true | F- external-hostname=h | -- feature-gates=A=true
    F- goaway-chance=0.01 | F- livez-grace-period=1s | F- max-mutating-requests-inflight=200
    F- max-requests-inflight=400 | -- min-compatibility-version=1.36 | F- min-request-timeout=1800
    F- request-timeout=1m0s | FS runtime-config-emulation-forward-compatible=true
    F- shutdown-delay-duration=0s | F- shutdown-send-retry-after=true
    F- shutdown-watch-termination-grace-period=0s | F- storage-initialization-timeout=1m0s
    -- strict-transport-security-directives=preload
    F- bind-address=0.0.0.0 | F- secure-port=10250 | F- cert-dir=/tmp | F- tls-cert-file=/c --tls-private-key-file=/k
    F- tls-private-key-file=/k --tls-cert-file=/c | F- tls-sni-cert-key=/c,/k:a.test | F- tls-min-version=VersionTLS12
    F- tls-cipher-suites=TLS_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    F- tls-curve-preferences=29,23 | F- disable-http2-serving | F- http2-max-streams-per-connection=100
    F- permit-address-sharing | F- permit-port-sharing
    F- authentication-kubeconfig=/k | F- authentication-skip-lookup=false
    F- authentication-token-webhook-cache-ttl=10s | F- authentication-tolerate-lookup-failure=true
    F- client-ca-file=/ca | F- requestheader-client-ca-file=/ca | F- requestheader-allowed-names=a,b
    F- requestheader-username-headers=x-remote-user | F- requestheader-group-headers=x-remote-group
    F- requestheader-extra-headers-prefix=x-remote-extra- | F- requestheader-uid-headers=x-remote-uid
    F- authorization-kubeconfig=/k | F- authorization-always-allow-paths=/livez,/readyz
    F- authorization-webhook-cache-authorized-ttl=10s | F- authorization-webhook-cache-unauthorized-ttl=10s
    -- audit-policy-file=/p | -- audit-log-path=- | -- audit-log-format=json | -- audit-log-mode=blocking
    -- audit-log-version=audit.k8s.io/v1 | -- audit-log-maxage=366 | -- audit-log-maxbackup=100
    -- audit-log-maxsize=100 | -- audit-log-compress | -- audit-log-batch-buffer-size=10000
    -- audit-log-batch-max-size=1 | -- audit-log-batch-max-wait=0s | -- audit-log-batch-throttle-enable
    -- audit-log-batch-throttle-qps=0 | -- audit-log-batch-throttle-burst=0 | -- audit-log-truncate-enabled
    -- audit-log-truncate-max-batch-size=1 | -- audit-log-truncate-max-event-size=1
    -- audit-webhook-config-file=/w | -- audit-webhook-mode=batch | -- audit-webhook-initial-backoff=10s
    -- audit-webhook-version=audit.k8s.io/v1 | -- audit-webhook-batch-buffer-size=1
    -- audit-webhook-batch-max-size=1 | -- audit-webhook-batch-max-wait=30s
    -- audit-webhook-batch-throttle-enable | -- audit-webhook-batch-throttle-qps=10
    -- audit-webhook-batch-throttle-burst=15 | -- audit-webhook-truncate-enabled
    -- audit-webhook-truncate-max-batch-size=1 | -- audit-webhook-truncate-max-event-size=1
    FS profiling=false | FS contention-profiling=false | -- debug-socket-path=/s
    FS enable-priority-and-fairness=true
    FS log-flush-frequency=5s | FS logging-format=json | -- log-json-split-stream
    -- log-text-split-stream | -- log-json-info-buffer-size=0 | -- log-text-info-buffer-size=0
    FS v=4 | -- vmodule=a=4
";

/// A line of the table: the components that accept the flag, and its text.
fn flags() -> Vec<(&'static str, Vec<String>)> {
    let cells = FLAGS.lines().flat_map(|line| line.split('|'));
    let cells = cells.map(str::trim).filter(|cell| !cell.is_empty());
    let flag = |cell: &'static str| {
        let (takers, words) = cell.split_once(' ').unwrap();
        let words = format!("--{words}");
        (takers, words.split(' ').map(str::to_owned).collect())
    };
    cells.map(flag).collect()
}

/// Empty if the flag is accepted. Otherwise the first line of the error.
fn said<A: clap::Parser>(own: &[&str], flag: &[String]) -> String {
    let own = own.iter().map(ToString::to_string);
    match A::try_parse_from(own.chain(flag.iter().cloned())) {
        Ok(_) => String::new(),
        Err(error) if error.kind() == clap::error::ErrorKind::DisplayVersion => String::new(),
        Err(error) => error.to_string().lines().next().unwrap().to_owned(),
    }
}

#[test]
fn every_flag_of_metrics_server_is_taken_or_refused_with_a_reason() {
    let flags = flags();
    assert_eq!(flags.len(), 103);
    for (takers, flag) in flags {
        let name = flag[0].split('=').next().unwrap();
        for (component, said) in [
            ('F', said::<FrontendArgs>(&["frontend"], &flag)),
            (
                'S',
                said::<ScraperArgs>(&["scraper", "--source-name=s"], &flag),
            ),
        ] {
            if takers.contains(component) {
                assert_eq!(said, "", "{component} {name}");
            } else {
                let rejected = flag.iter().any(|flag| {
                    let name = flag.split('=').next().unwrap();
                    said.starts_with(&format!("error: {name}: "))
                });
                assert!(rejected, "{component} {name}: {said}");
            }
        }
    }
}

#[test]
fn a_flag_of_the_other_half_says_so() {
    let one = |flag: &str| vec![flag.to_owned()];
    assert_eq!(
        said::<FrontendArgs>(&["frontend"], &one("--kubelet-insecure-tls")),
        "error: --kubelet-insecure-tls: belongs to tributary-scraper, which scrapes kubelets"
    );
    assert_eq!(
        said::<ScraperArgs>(&["scraper", "--source-name=s"], &one("--secure-port=10250")),
        "error: --secure-port: belongs to tributary-apiserver, which serves the API"
    );
}
