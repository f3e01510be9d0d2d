//! Dependencies point one way.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Who may use whom, normal dependencies only. A new arrow is a decision, so it
/// is made here.
const ARROWS: &[(&str, &[&str])] = &[
    ("tributary-model", &[]),
    ("tributary-runtime", &[]),
    ("tributary-sim", &[]),
    ("tributary-proto", &["tributary-model"]),
    (
        "tributary-scraper",
        &["tributary-model", "tributary-proto", "tributary-runtime"],
    ),
    (
        "tributary-apiserver",
        &["tributary-model", "tributary-proto", "tributary-runtime"],
    ),
    (
        "tributary-bench",
        &[
            "tributary-apiserver",
            "tributary-controlplane",
            "tributary-model",
            "tributary-runtime",
            "tributary-sim",
        ],
    ),
    (
        "tributary-controlplane",
        &[
            "tributary-apiserver",
            "tributary-runtime",
            "tributary-scraper",
            "tributary-sim",
        ],
    ),
    (
        "tributary-demo",
        &[
            "tributary-apiserver",
            "tributary-runtime",
            "tributary-scraper",
            "tributary-sim",
        ],
    ),
    (
        "tributary-e2e",
        &[
            "tributary-apiserver",
            "tributary-model",
            "tributary-proto",
            "tributary-runtime",
            "tributary-scraper",
            "tributary-sim",
        ],
    ),
    (
        "tributary-faults",
        &[
            "tributary-e2e",
            "tributary-proto",
            "tributary-runtime",
            "tributary-sim",
        ],
    ),
    (
        "tributary-fuzz",
        &[
            "tributary-apiserver",
            "tributary-model",
            "tributary-proto",
            "tributary-runtime",
            "tributary-scraper",
        ],
    ),
];

/// Crates that must not get in: one TLS stack, one crypto provider.
const BANNED: &[&str] = &["ring", "openssl-sys", "native-tls"];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--locked")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn arrows_between_crates_are_those_that_were_decided() {
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let dependencies = package["dependencies"].as_array().unwrap();
        let mut ours: Vec<&str> = dependencies
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|name| name.starts_with("tributary-"))
            .collect();
        ours.sort_unstable();
        found.insert(package["name"].as_str().unwrap(), ours);
    }
    let decided: BTreeMap<&str, Vec<&str>> = ARROWS
        .iter()
        .map(|(name, ours)| (*name, ours.to_vec()))
        .collect();
    assert_eq!(found, decided);
}

#[test]
fn there_is_one_tls_stack() {
    // `cargo metadata` also lists what no feature asks for; the tree does not.
    let tree = cargo(&["tree", "--workspace", "--prefix=none", "--format={p}"]);
    let names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let found: Vec<&&str> = BANNED.iter().filter(|name| names.contains(name)).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(names.contains(&"aws-lc-rs"), "{} packages", names.len());
}
