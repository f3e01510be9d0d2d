//! Flags in values: what the binaries refuse, the chart refuses before a pod starts in vain.

use anyhow::Context as _;
use clap::Parser as _;
use tokio::runtime::Runtime;
use tributary_apiserver::args::Args as FrontendArgs;
use tributary_scraper::{args::Args as ScraperArgs, config::Config};

use crate::site::{CHART, helm};

/// Who refuses the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The arguments of the frontend.
    Frontend,
    /// The arguments of the scraper, or what they mean together.
    Scraper,
    /// The frontend, when it reads what they mean together: its own tests have that.
    Start,
}

/// Flags, who refuses them, and what the chart says.
const REFUSED: &[(&str, By, &str)] = &[
    (
        "--metric-resolution=5",
        By::Scraper,
        "args: --metric-resolution=5: should be a duration such as 15s or 1m30s",
    ),
    (
        "--metric-resolution,-15s",
        By::Scraper,
        "args: --metric-resolution=-15s: should be a duration such as 15s or 1m30s",
    ),
    (
        "--metric-resolution=999ms",
        By::Scraper,
        "args: --metric-resolution=999ms: should be 1s to 1h",
    ),
    (
        "--metric-resolution=1h1s",
        By::Scraper,
        "args: --metric-resolution=1h1s: should be 1s to 1h",
    ),
    (
        "--metric-resolution=10s",
        By::Scraper,
        "args: --metric-resolution=10s: --kubelet-request-timeout, by default 10s, should be at most nine tenths of \
         --metric-resolution",
    ),
    (
        "--metric-resolution=1m,--kubelet-request-timeout=55s",
        By::Scraper,
        "should be at most nine tenths of --metric-resolution",
    ),
    (
        "--kubelet-request-timeout=0",
        By::Scraper,
        "args: --kubelet-request-timeout=0: should be at least 1ns",
    ),
    (
        "--fast-resolution=61s,--metric-resolution=1m",
        By::Scraper,
        "args: --fast-resolution=61s: should be at most --metric-resolution, or 0s",
    ),
    (
        "--kubelet-max-page-size=4MB",
        By::Scraper,
        "args: --kubelet-max-page-size=4MB: should be an amount of memory such as 65536, 64Ki or 4Mi",
    ),
    (
        "--kubelet-max-page-size=65Mi",
        By::Scraper,
        "args: --kubelet-max-page-size=65Mi: should be 64Ki to 64Mi",
    ),
    (
        "--kubelet-port=0",
        By::Scraper,
        "args: --kubelet-port=0: should be 1 to 65535",
    ),
    (
        "--replication-factor=0",
        By::Scraper,
        "args: --replication-factor=0: should be at least 1",
    ),
    (
        "--kubelet-insecure-tls=yes",
        By::Scraper,
        "args: --kubelet-insecure-tls=yes: should be true or false",
    ),
    (
        "--kubelet-insecure-tls,--kubelet-certificate-authority=/ca",
        By::Scraper,
        "args: cannot use both --kubelet-certificate-authority and --kubelet-insecure-tls",
    ),
    (
        "--kubelet-client-key=/key",
        By::Scraper,
        "args: --kubelet-client-key needs --kubelet-client-certificate",
    ),
    (
        "--log-format=xml",
        By::Scraper,
        "args: --log-format=xml: should be text or json",
    ),
    (
        "-v=loud",
        By::Scraper,
        "args: --v=loud: should be a whole number",
    ),
    (
        "-l=pool=a=b",
        By::Scraper,
        "args: --node-selector=pool=a=b: should be labels of nodes as in kubectl -l",
    ),
    (
        "--node-selector=pool in a",
        By::Scraper,
        "args: --node-selector=pool in a: should be labels of nodes as in kubectl -l",
    ),
    (
        "--readiness-coverage=101",
        By::Frontend,
        "args: --readiness-coverage=101: should be 0 to 100",
    ),
    (
        "--min-window=61s",
        By::Frontend,
        "args: --min-window=61s: should be 1s to 1m",
    ),
    (
        "--bus-recheck-interval=0s",
        By::Frontend,
        "args: --bus-recheck-interval=0s: should be at least 1s",
    ),
    (
        "--max-sample-age=0s",
        By::Frontend,
        "args: --max-sample-age=0s: should be at least 1ns",
    ),
    (
        "--review-outage-ttl=-1s",
        By::Frontend,
        "args: --review-outage-ttl=-1s: should be a duration such as 15s or 1m30s",
    ),
    (
        "--client-ca-file=",
        By::Frontend,
        "args: --client-ca-file=: should be the path of a file",
    ),
    (
        "--bus-require-token",
        By::Frontend,
        "args: --bus-require-token needs --bus-client-ca-file",
    ),
    (
        "--bus-client-ca-file=/ca,--bus-require-token=true",
        By::Frontend,
        "args: --bus-require-token=true: takes no value",
    ),
    (
        "--bus-allowed-uids=7,root",
        By::Frontend,
        "args: --bus-allowed-uids=7,root: should be a whole number",
    ),
    (
        "--bus-allow=scraper",
        By::Frontend,
        "args: --bus-allow=scraper: should be PUBLISHER=SELECTOR, with labels of nodes as in kubectl -l",
    ),
    (
        "--bus-allow=uid:1000=pool==a==b",
        By::Frontend,
        "args: --bus-allow=uid:1000=pool==a==b: should be PUBLISHER=SELECTOR",
    ),
    (
        "--max-requests-inflight=-1",
        By::Start,
        "args: --max-requests-inflight=-1: should be at least 0",
    ),
    (
        "--goaway-chance=0.5",
        By::Start,
        "args: --goaway-chance=0.5: should be 0 to 0.02",
    ),
    (
        "--tls-auto-validity=2h",
        By::Start,
        "args: --tls-auto-validity should be at least twelve times --tls-auto-overlap, by default 1h",
    ),
];

/// The flags one by one, as in `args`. A comma within a value is escaped for Helm.
fn words(flags: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in flags.split(',') {
        match words.last_mut() {
            Some(last) if !part.starts_with('-') => last.extend([",", part]),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

fn values(flags: &str) -> String {
    let words = words(flags).into_iter();
    let words = words.map(|word| word.replace(',', "\\,"));
    format!("args={{{}}}", words.collect::<Vec<_>>().join(","))
}

/// What the binary says against the flags.
fn complaint(by: By, flags: &str) -> anyhow::Result<String> {
    let flags = words(flags);
    let line = |own: &[&str]| {
        let own = own.iter().map(ToString::to_string);
        own.chain(flags.iter().cloned()).collect::<Vec<_>>()
    };
    let own = ["scraper", "--source-name=s", "--frontend=unix:///run/bus"];
    match by {
        By::Frontend => match FrontendArgs::try_parse_from(line(&["frontend"])) {
            Ok(_) => anyhow::bail!("accepted"),
            Err(error) => Ok(error.to_string()),
        },
        By::Scraper => match ScraperArgs::try_parse_from(line(&own)) {
            Ok(args) => match Config::try_from(args) {
                Ok(_) => anyhow::bail!("accepted"),
                Err(error) => Ok(error.to_string()),
            },
            Err(error) => Ok(error.to_string()),
        },
        By::Start => Ok(String::new()),
    }
}

#[test]
fn what_the_binaries_refuse_is_refused_by_the_chart() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    for (flags, by, sentence) in REFUSED {
        let said = complaint(*by, flags).with_context(|| (*flags).to_owned())?;
        let values = values(flags);
        let outcome = runtime.block_on(helm(None, &["template", "t", CHART, "--set", &values]))?;
        assert!(!outcome.ok, "{flags} renders, and then: {said}");
        let stderr = outcome.stderr;
        assert!(stderr.contains(sentence), "{flags}: {stderr}");
    }
    Ok(())
}

/// Flags that are right, and lines that are rendered.
const TAKEN: &[(&str, &str)] = &[
    ("--metric-resolution=1m30s", "- --metric-resolution=1m30s"),
    ("--metric-resolution=1h", "- --metric-resolution=1h"),
    (
        "--metric-resolution=1.5s,--kubelet-request-timeout=1s",
        "- --metric-resolution=1.5s",
    ),
    (
        "--metric-resolution=10s,--kubelet-request-timeout=9s",
        "- --kubelet-request-timeout=9s",
    ),
    ("--fast-resolution=0", "- --fast-resolution=0"),
    (
        "--kubelet-max-page-size=65536",
        "- --kubelet-max-page-size=65536",
    ),
    ("--readiness-served=0", "- --readiness-served=0"),
    ("--request-timeout=0", "- --request-timeout=0"),
    ("--goaway-chance=0.02", "- --goaway-chance=0.02"),
    ("--bus-allowed-uids=1,2", "- --bus-allowed-uids=1,2"),
    ("--bus-allow=uid:1000=", "- --bus-allow=uid:1000="),
    (
        "--node-selector=pool in (a,b),--bus-allow=uid:1000=pool in (a,b),--bus-allow=other=c!=d,e",
        "- --bus-allow=uid:1000=pool in (a,b)",
    ),
    (
        "--bus-allow=uid:1000=pool=a,--bus-allow=uid:1000=pool!=a",
        "- --bus-allow=uid:1000=pool!=a",
    ),
    (
        "--tls-curve-preferences=29,23",
        "- --tls-curve-preferences=29,23",
    ),
    (
        "--kubelet-insecure-tls=false,--kubelet-certificate-authority=/ca",
        "- --kubelet-insecure-tls=false",
    ),
    (
        "--node-selector=a in (b,,c),!d, example.com/e_f != g.h ,n>-1,i notin(),j,k=",
        "- --node-selector=a in (b,,c),!d, example.com/e_f != g.h ,n>-1,i notin(),j,k=",
    ),
    // Two names of one flag: the last wins.
    (
        "--log-format=json,--logging-format=text",
        "- --log-format=text",
    ),
    ("--v=2,-v=4", "- --v=4"),
];

#[test]
fn what_the_binaries_take_renders_and_is_taken() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    for (flags, line) in TAKEN {
        let values = values(flags);
        let arguments = ["template", "t", CHART, "-s", "templates/frontend.yaml"];
        let arguments = [&arguments[..], &["--set", &values]].concat();
        let outcome = runtime.block_on(helm(None, &arguments))?;
        assert!(outcome.ok, "{flags}: {}", outcome.stderr);
        let lines: Vec<&str> = outcome.stdout.lines().map(str::trim).collect();
        assert!(lines.contains(line), "{flags}: {}", outcome.stdout);
        // First those of the frontend, then those of the scraper.
        let rendered = lines.iter().filter_map(|line| line.strip_prefix("- --"));
        let rendered: Vec<String> = rendered.map(|flag| format!("--{flag}")).collect();
        let scraper = rendered
            .iter()
            .position(|flag| flag.starts_with("--admin-address="));
        let (frontend, scraper) = rendered.split_at(scraper.context("a scraper")?);
        let frontend = [&["frontend".to_owned()], frontend].concat();
        FrontendArgs::try_parse_from(&frontend).with_context(|| frontend.join(" "))?;
        let own = ["scraper".to_owned(), "--source-name=pod".to_owned()];
        let scraper = [&own, scraper].concat();
        let args = ScraperArgs::try_parse_from(&scraper).with_context(|| scraper.join(" "))?;
        Config::try_from(args).with_context(|| scraper.join(" "))?;
    }
    Ok(())
}
