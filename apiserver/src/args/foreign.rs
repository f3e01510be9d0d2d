//! The flags of metrics-server that a frontend does not have.

use tributary_runtime::args::foreign::{self, Flag, Treatment};

const KUBELETS: Treatment =
    Treatment::Refused("belongs to tributary-scraper, which scrapes kubelets");

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
        Treatment::Ignored("the address is that of the Service"),
    ),
    Flag(
        "external-hostname",
        Treatment::Ignored("answers contain no addresses of this server"),
    ),
    Flag(
        "livez-grace-period",
        Treatment::Ignored("/livez passes from the start"),
    ),
    Flag(
        "max-mutating-requests-inflight",
        Treatment::Ignored("nothing can be changed; see --max-requests-inflight"),
    ),
    Flag(
        "min-request-timeout",
        Treatment::Ignored("watches, of fleet.tributary.dev, last up to 30 minutes"),
    ),
    Flag(
        "shutdown-watch-termination-grace-period",
        Treatment::Ignored("watches end when the process stops"),
    ),
    Flag(
        "storage-initialization-timeout",
        Treatment::Ignored("there is no storage"),
    ),
    Flag(
        "permit-address-sharing",
        Treatment::IgnoredSwitch("the address is always shared (SO_REUSEADDR)"),
    ),
    Flag(
        "cors-allowed-origins",
        Treatment::Refused("browsers are not served; use a proxy in front"),
    ),
    Flag(
        "strict-transport-security-directives",
        Treatment::Refused("browsers are not served; use a proxy in front"),
    ),
];

foreign::as_args!(FLAGS);
