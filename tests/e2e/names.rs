//! Flags and metrics in documents and comments exist.

use std::collections::BTreeSet;

use crate::{
    references::{assert_none, comments, lines},
    repository::{code, read, words},
};

/// Flags of other programs and of our tests that documents and comments name.
const FOREIGN_FLAGS: &[&str] = &[
    // kube-apiserver, kube-controller-manager, kubelet, minikube, k3s.
    "--enable-aggregator-routing",
    "--extra-config",
    "--disable",
    "--housekeeping-interval",
    "--proxy-client-cert-file",
    // kubectl, helm, openssl, cargo, chrt.
    "--as",
    "--apps",
    "--bench",
    "--bin",
    "--dry-run",
    "--field-selector",
    "--for",
    "--features",
    "--field-selector",
    "--for",
    "--force",
    "--force-conflicts",
    "--idle",
    "--list",
    "--max-log-requests",
    "--previous",
    "--profile",
    "--raw",
    "--release",
    "--reuse-values",
    "--server-side",
    "--set",
    "--subresource",
    "--take-ownership",
    "--wait",
    "--warnings-as-errors",
    // Our own flags that are not in the pages about flags: those for tests and the demo, and those of every binary.
    "--api-gone",
    "--bus",
    "--dir",
    "--fixed-shards",
    "--frontends",
    "--ground",
    "--help",
    "--minutes",
    "--nodes",
    "--only",
    "--pods-per-node",
    "--restart-after",
    "--scrapers",
    "--steps",
    "--version",
    "--what",
];

/// Documents that name flags of test programs, or old flags.
const OTHER_FLAGS: [&str; 3] = ["CHANGELOG.md", "docs/BENCHMARKS.md", "tests/"];

/// The flags of the binaries, and the refused flags of metrics-server. Another test compares the files with the
/// binaries.
fn flags() -> BTreeSet<String> {
    let of_chart = read("deploy/helm/tributary/files/flags.yaml");
    let taken = of_chart
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    let mut found: BTreeSet<String> = taken.map(|(name, _)| format!("--{name}")).collect();
    for path in ["crates/runtime", "apiserver", "scraper"] {
        let known = read(&format!("{path}/src/args/foreign.rs"));
        let names = known.split("Flag(").skip(1);
        let names = names.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'));
        found.extend(names.map(|(name, _)| format!("--{name}")));
    }
    let page = read("docs/flags-cli.md");
    let of_command = page.lines().filter_map(|line| line.strip_prefix("### `"));
    let of_command = of_command.filter_map(|line| line.split_once('`'));
    found.extend(of_command.map(|(name, _)| name.to_owned()));
    assert!(found.contains("--audit-policy-file"));
    assert!(found.contains("--no-color"));
    found
}

#[test]
fn flags_that_documents_and_comments_name_exist() {
    let flags = flags();
    let is_known = |word: &str| {
        let begins = word.ends_with('-') && flags.iter().any(|flag| flag.starts_with(word));
        begins || flags.contains(word) || FOREIGN_FLAGS.contains(&word)
    };
    let products = [
        "apiserver/src",
        "scraper/src",
        "crates/runtime/src",
        "proto",
    ];
    let of_documents = lines()
        .into_iter()
        .filter(|(path, ..)| !OTHER_FLAGS.iter().any(|other| path.starts_with(other)))
        .flat_map(|(path, number, line)| {
            let place = format!("{path}:{number}");
            let code: Vec<_> = code(&line).map(str::to_owned).collect();
            code.into_iter().map(move |code| (place.clone(), code))
        });
    let of_comments = comments()
        .into_iter()
        .filter(|(place, _)| products.iter().any(|product| place.starts_with(product)));
    let mut bad = Vec::new();
    let mut named = 0;
    for (place, text) in of_documents.chain(of_comments) {
        let may = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        for word in words(&text, may) {
            let name = word.strip_prefix("--").unwrap_or_default();
            if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) {
                continue;
            }
            named += 1;
            if !is_known(word) {
                bad.push(format!("{place}: no flag {word}"));
            }
        }
    }
    assert!(named > 300, "{named} flags");
    assert_none(&bad);
}

/// The families in docs/METRICS.md. Another test compares them with the metrics of the binaries.
fn families() -> BTreeSet<String> {
    let text = read("docs/METRICS.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
        .filter(|name| name.starts_with("tributary_"))
        .collect()
}

#[test]
fn metrics_that_documents_and_comments_name_exist() {
    let families = families();
    assert!(families.len() > 60);
    let crates = [
        "apiserver",
        "cli",
        "scraper",
        "runtime",
        "kubeconfig",
        "model",
        "proto",
        "sim",
        "demo",
        "e2e",
    ];
    let more = [
        "bench",
        "controlplane",
        "faults",
        "fuzz",
        "hostile",
        "version",
    ];
    let is_crate = |word: &str| {
        let name = word.strip_prefix("tributary_").unwrap_or_default();
        crates.contains(&name) || more.contains(&name)
    };
    let is_known = |word: &str| {
        let begins = word.ends_with('_') && families.iter().any(|name| name.starts_with(word));
        let series = ["_bucket", "_sum", "_count"];
        let of_series = series.iter().filter_map(|end| word.strip_suffix(end));
        begins
            || families.contains(word)
            || of_series.into_iter().any(|name| families.contains(name))
    };
    let prose = lines()
        .into_iter()
        .filter(|(path, ..)| path != "CHANGELOG.md");
    let prose = prose.map(|(path, number, line)| (format!("{path}:{number}"), line));
    let mut bad = Vec::new();
    for (place, text) in prose.chain(comments()) {
        let may = |letter: char| letter.is_ascii_lowercase() || letter == '_';
        for word in words(&text, may) {
            let is_name = word.starts_with("tributary_") && word.len() > "tributary_".len();
            if is_name && !is_crate(word) && !is_known(word) {
                bad.push(format!("{place}: no metric {word}"));
            }
        }
    }
    assert_none(&bad);
}
