use clap::Parser as _;

use super::*;

fn config(args: &[&str]) -> Result<Config, BadConfig> {
    let start = [
        "tributary-scraper",
        "--source-name=s",
        "--frontend=unix:///run/bus",
    ];
    Args::try_parse_from(start.iter().chain(args))
        .unwrap()
        .try_into()
}

#[track_caller]
fn is_refused(args: &[&str], message: &str) {
    assert_eq!(config(args).unwrap_err().to_string(), message);
}

#[test]
fn kubelet_flags_that_do_not_fit_are_refused_as_by_metrics_server() {
    let (ca, key, cert) = (
        "--kubelet-certificate-authority=a",
        "--kubelet-client-key=k",
        "--kubelet-client-certificate=c",
    );
    let (no_verify, plain) = (
        "--kubelet-insecure-tls",
        "--deprecated-kubelet-completely-insecure",
    );
    let faults: [(&[&str], &str); _] = [
        (
            &[ca, no_verify, key, plain],
            "cannot use both --kubelet-certificate-authority and --kubelet-insecure-tls",
        ),
        (
            &[key, plain],
            "need both --kubelet-client-key and --kubelet-client-certificate",
        ),
        (
            &[cert],
            "need both --kubelet-client-key and --kubelet-client-certificate",
        ),
        (
            &[key, cert, plain, no_verify],
            "cannot use both --kubelet-client-key and --deprecated-kubelet-completely-insecure",
        ),
        (
            &[no_verify, plain, "--kubelet-request-timeout=0"],
            "cannot use both --kubelet-insecure-tls and --deprecated-kubelet-completely-insecure",
        ),
        (
            &[ca, plain],
            "cannot use both --kubelet-certificate-authority and --deprecated-kubelet-completely-insecure",
        ),
        (
            &["--kubelet-verify-node-name", no_verify],
            "cannot use both --kubelet-verify-node-name and --kubelet-insecure-tls",
        ),
        (
            &["--kubelet-verify-node-name=true", plain],
            "cannot use both --kubelet-verify-node-name and --deprecated-kubelet-completely-insecure",
        ),
        (
            &["--kubelet-token-service-account=reader", plain],
            "cannot use both --kubelet-token-service-account and --deprecated-kubelet-completely-insecure",
        ),
    ];
    for (args, message) in faults {
        is_refused(args, message);
    }
}

#[test]
fn times_that_do_not_fit_are_refused_as_by_metrics_server() {
    let faults: [(&[&str], &str); _] = [
        (
            &["--kubelet-request-timeout=0", "--metric-resolution=1s"],
            "kubelet-request-timeout should be positive",
        ),
        (
            &["--kubelet-request-timeout=-5s"],
            "kubelet-request-timeout should be positive",
        ),
        (
            &["--metric-resolution=999ms", "--kubelet-request-timeout=20s"],
            "metric-resolution should be a time duration at least 1s, but value 999ms provided",
        ),
        (
            &["--metric-resolution=1h0m1s"],
            "metric-resolution should be a time duration at most 1h0m0s, which is what frontends \
             take, but value 1h0m1s provided",
        ),
        (
            &["--fast-resolution=999ms"],
            "fast-resolution should be 0s, or a time duration at least 1s and at most \
             metric-resolution, but value 999ms provided",
        ),
        (
            &["--fast-resolution=61s"],
            "fast-resolution should be 0s, or a time duration at least 1s and at most \
             metric-resolution, but value 1m1s provided",
        ),
        (
            &["--metric-resolution=11s"],
            "metric-resolution should be larger than kubelet-request-timeout, \
             but metric-resolution value 11s kubelet-request-timeout value 10s provided; \
             kubelet-request-timeout may be at most nine tenths of metric-resolution",
        ),
    ];
    for (args, message) in faults {
        is_refused(args, message);
    }
    let config = config(&["--metric-resolution=10s", "--kubelet-request-timeout=9s"]).unwrap();
    assert_eq!(config.resolution, Duration::from_secs(10));
    assert_eq!(config.request_timeout, Duration::from_secs(9));
    assert!(self::config(&["--metric-resolution=1h"]).is_ok());
}

#[test]
fn nodes_that_autoscalers_read_are_scraped_every_5_s_unless_that_is_slower() {
    let timeout = "--kubelet-request-timeout=900ms";
    let flags: [(&[&str], Option<u64>); 6] = [
        (&[], Some(5)),
        (&["--fast-resolution=0s"], None),
        (&["--fast-resolution=1s"], Some(1)),
        (&["--fast-resolution=1m"], Some(60)),
        (&["--metric-resolution=5s", timeout], Some(5)),
        (&["--metric-resolution=4s", timeout], None),
    ];
    for (flags, fast) in flags {
        let config = config(flags).unwrap();
        assert_eq!(
            config.fast_resolution,
            fast.map(Duration::from_secs),
            "{flags:?}"
        );
    }
}

#[test]
fn the_page_limit_of_a_kubelet_has_a_minimum_and_a_maximum() {
    for (given, bytes) in [
        ("64Ki", 65_536),
        ("64Mi", 67_108_864),
        ("1000000", 1_000_000),
    ] {
        let config = config(&[&format!("--kubelet-max-page-size={given}")]).unwrap();
        assert_eq!(config.limits().page, bytes);
    }
    assert_eq!(config(&[]).unwrap().limits().page, 4_194_304);
    for (given, shown) in [
        ("0", "0"),
        ("65535", "65535"),
        ("65Mi", "65Mi"),
        ("67108865", "67108865"),
    ] {
        is_refused(
            &[&format!("--kubelet-max-page-size={given}")],
            &format!("kubelet-max-page-size should be 64Ki to 64Mi, but value {shown} provided"),
        );
    }
}

#[test]
fn what_the_flags_say_is_what_is_done() {
    let config = config(&[
        "--kubelet-preferred-address-types=ProviderIP,,InternalIP",
        "--kubelet-port=1",
        "--kubelet-use-node-status-port",
        "--kubelet-client-key=k",
        "--kubelet-client-certificate=c",
        "--node-selector= a=b ",
        "--shard-index=1",
        "--shard-count=2",
        "--frontend=https://f:1",
        "--bus-ca-file=ca",
    ])
    .unwrap();
    assert_eq!(*config.rules.address_types, ["ProviderIP", "InternalIP"]);
    assert!(config.rules.use_status_port);
    assert_eq!(config.rules.port, 1);
    assert_eq!(config.node_selector, "a=b");
    assert_eq!(config.sharding, Sharding::Fixed(Shard::new(1, 2).unwrap()));
    assert_eq!(config.replicas, 1);
    assert_eq!(config.frontends.len(), 2);
    let pair = PairFiles {
        certificate: "c".into(),
        key: "k".into(),
    };
    assert_eq!(config.security.pair, Some(pair));
}

#[test]
fn the_bus_is_never_without_protection_by_accident() {
    let faults: [(&[&str], &str); _] = [
        (
            &["--frontend=http://f:1"],
            "--frontend http://f:1 is without TLS and needs --bus-insecure",
        ),
        (
            &["--frontend=https://f:1", "--bus-insecure"],
            "--frontend https://f:1 needs --bus-ca-file to verify its certificate",
        ),
        (
            &["--frontend=dns:///f:1"],
            "--frontend dns:///f:1 needs --bus-ca-file to verify its certificate",
        ),
        (
            &["--frontend=k8s:///n/f:1"],
            "--frontend k8s:///n/f:1 needs --bus-ca-file to verify its certificate",
        ),
        (
            &["--bus-client-key=k"],
            "need both --bus-client-key and --bus-client-certificate",
        ),
        (
            &["--frontend=f"],
            "--frontend f should be https://HOST:PORT, dns:///NAME:PORT, k8s:///NAMESPACE/SERVICE:PORT, \
             unix:///PATH or http://HOST:PORT",
        ),
    ];
    for (args, message) in faults {
        is_refused(args, message);
    }
    assert!(config(&["--frontend=http://f:1", "--bus-insecure"]).is_ok());
    let bare = Args::try_parse_from(["tributary-scraper", "--source-name=s"]).unwrap();
    let error = Config::try_from(bare).unwrap_err();
    assert_eq!(
        error.to_string(),
        "need at least one --frontend to publish to"
    );
}

#[test]
fn a_share_must_be_there_and_names_must_be_names() {
    is_refused(
        &["--shard-index=2", "--shard-count=2"],
        "--shard-index 2 is not below --shard-count 2",
    );
    is_refused(
        &["--group="],
        "--group should be 1 to 253 visible characters of ASCII without blanks, but value \"\" provided",
    );
    is_refused(
        &["--shard-count=1", "--shard-index=0", "--group=a b"],
        "--group should be 1 to 253 visible characters of ASCII without blanks, but value \"a b\" \
         provided",
    );
    is_refused(
        &["--shard-index=0"],
        "need both --shard-index and --shard-count",
    );
    is_refused(
        &["--shard-count=2"],
        "--shard-count needs --shard-index, since --source-name s does not end in a number",
    );
    is_refused(
        &["--replication-factor=0"],
        "--replication-factor should be at least 1",
    );
    is_refused(
        &["--group=Pool_A"],
        "--group should be letters, digits, `-` and `.` as in the name of a pod, for a lease, \
         but value `Pool_A` provided",
    );
}

#[test]
fn types_of_addresses_that_no_node_can_have_are_refused() {
    is_refused(
        &["--kubelet-preferred-address-types="],
        "--kubelet-preferred-address-types should be at least one type, as no node has an address \
         otherwise",
    );
    is_refused(
        &["--kubelet-preferred-address-types=Hostname,internalIp"],
        "--kubelet-preferred-address-types: \"internalIp\" is written InternalIP",
    );
}

#[test]
fn members_find_each_other_by_leases_unless_shards_are_fixed() {
    let namespace = None;
    assert_eq!(
        config(&[]).unwrap().sharding,
        Sharding::Leases { namespace }
    );
    let namespace = Some("tributary".to_owned());
    let config = config(&["--lease-namespace=tributary"]).unwrap();
    assert_eq!(config.sharding, Sharding::Leases { namespace });
}
