//! The flags of metrics-server that a frontend does not have.

use tributary_runtime::args::foreign::{self, Flag, Verdict};

const KUBELETS: Verdict = Verdict::Refused("belongs to tributary-scraper, which scrapes kubelets");

const FLAGS: [Flag; 20] = [
    Flag("metric-resolution", KUBELETS),
    Flag("kubelet-insecure-tls", KUBELETS),
    Flag("kubelet-use-node-status-port", KUBELETS),
    Flag("kubelet-port", KUBELETS),
    Flag("kubelet-preferred-address-types", KUBELETS),
    Flag("kubelet-certificate-authority", KUBELETS),
    Flag("kubelet-client-key", KUBELETS),
    Flag("kubelet-client-certificate", KUBELETS),
    Flag("kubelet-request-timeout", KUBELETS),
    Flag("deprecated-kubelet-completely-insecure", KUBELETS),
    Flag(
        "advertise-address",
        Verdict::Ignored("the address is that of the Service"),
    ),
    Flag(
        "external-hostname",
        Verdict::Ignored("answers contain no addresses of this server"),
    ),
    Flag(
        "livez-grace-period",
        Verdict::Ignored("/livez passes from the start"),
    ),
    Flag(
        "max-mutating-requests-inflight",
        Verdict::Ignored("nothing can be changed; see --max-requests-inflight"),
    ),
    Flag(
        "min-request-timeout",
        Verdict::Ignored("it is about watches, and there are none"),
    ),
    Flag(
        "shutdown-watch-termination-grace-period",
        Verdict::Ignored("it is about watches, and there are none"),
    ),
    Flag(
        "storage-initialization-timeout",
        Verdict::Ignored("there is no storage"),
    ),
    Flag(
        "permit-address-sharing",
        Verdict::IgnoredSwitch("the address is always shared (SO_REUSEADDR)"),
    ),
    Flag(
        "cors-allowed-origins",
        Verdict::Refused("browsers are not served; use a proxy in front"),
    ),
    Flag(
        "strict-transport-security-directives",
        Verdict::Refused("browsers are not served; use a proxy in front"),
    ),
];

foreign::as_args!(FLAGS);
