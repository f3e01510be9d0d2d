//! Dependencies point one way.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::repository::read;

/// The allowed dependencies between crates, without those of tests. A new one is a decision that is made here.
const ARROWS: &[(&str, &[&str])] = &[
    ("tributary-cli", &["tributary-kubeconfig"]),
    // Commands and daemons must say what is wrong with a kubeconfig without its secrets.
    ("tributary-kubeconfig", &[]),
    ("tributary-model", &[]),
    ("tributary-runtime", &["tributary-kubeconfig"]),
    ("tributary-testkit", &[]),
    ("tributary-sim", &["tributary-testkit"]),
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
            "tributary-testkit",
        ],
    ),
    (
        "tributary-controlplane",
        &[
            "tributary-apiserver",
            "tributary-cli",
            "tributary-runtime",
            "tributary-scraper",
            "tributary-sim",
            "tributary-testkit",
        ],
    ),
    (
        "tributary-demo",
        &[
            "tributary-apiserver",
            "tributary-runtime",
            "tributary-scraper",
            "tributary-sim",
            "tributary-testkit",
        ],
    ),
    (
        "tributary-e2e",
        &[
            "tributary-apiserver",
            "tributary-cli",
            "tributary-model",
            "tributary-proto",
            "tributary-runtime",
            "tributary-scraper",
            "tributary-sim",
            "tributary-testkit",
        ],
    ),
    (
        "tributary-faults",
        &[
            "tributary-e2e",
            "tributary-proto",
            "tributary-runtime",
            "tributary-sim",
            "tributary-testkit",
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
    ("tributary-libfuzzer", &["tributary-fuzz"]),
];

/// Forbidden crates: there is one TLS stack and one crypto provider.
const BANNED: &[&str] = &["ring", "openssl-sys", "native-tls"];

pub(crate) fn cargo(arguments: &[&str]) -> String {
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
fn scripts_optimize_the_crates_of_which_scrapers_and_frontends_consist() {
    let mut wanted = vec!["tributary-scraper", "tributary-apiserver"];
    let mut next = 0;
    while let Some(name) = wanted.get(next).copied() {
        let arrows = ARROWS.iter().filter(|(from, _)| *from == name);
        let more: Vec<&str> = arrows.flat_map(|(_, to)| *to).copied().collect();
        for name in more {
            if !wanted.contains(&name) {
                wanted.push(name);
            }
        }
        next += 1;
    }
    wanted.sort_unstable();
    let script = read("tests/optimized.sh");
    let line = script
        .lines()
        .find_map(|line| line.strip_prefix("ours=(tributary-{"));
    let names = line.and_then(|line| line.strip_suffix("})")).unwrap();
    let mut found: Vec<String> = names
        .split(',')
        .map(|name| format!("tributary-{name}"))
        .collect();
    found.sort_unstable();
    assert_eq!(found, wanted);
}

#[test]
fn there_is_one_tls_stack() {
    // `cargo metadata` also lists packages that no feature needs. `cargo tree` does not.
    let tree = cargo(&["tree", "--workspace", "--prefix=none", "--format={p}"]);
    let names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let found: Vec<&&str> = BANNED.iter().filter(|name| names.contains(name)).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(names.contains(&"aws-lc-rs"), "{} packages", names.len());
}

/// Functions that decode answers of the Kubernetes API, or JSON in general, and fail on `null`.
const READERS: &[&str] = &[
    "kube::Api",
    "Api<",
    "Api::<",
    "Api::all",
    "Api::namespaced",
    "Api::default_namespaced",
    "client.request(",
    "client.request::<",
    "client.request_events",
    "client.request_status",
    "watcher::watcher",
    "serde_json::from_",
];

/// Files that read other JSON: our own documents, a kubeconfig, and pages of kubelets.
const OTHERS: &[&str] = &[
    "apiserver/src/k8s/json.rs",
    "apiserver/src/k8s/openapi.rs",
    "apiserver/src/k8s/yaml.rs",
    "scraper/src/kubelet/credentials/sources.rs",
    "scraper/src/kubelet/decode/summary.rs",
];

#[test]
fn what_the_kubernetes_api_says_is_read_by_one_reader() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut others, mut by_the_reader) = (Vec::new(), 0);
    for directory in ["apiserver/src", "scraper/src", "crates/runtime/src"] {
        for path in sources(&root.join(directory)) {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            by_the_reader += text.matches("from_json").count();
            let has = READERS.iter().filter(|reader| text.contains(**reader));
            let has: Vec<&&str> = has.collect();
            if !has.is_empty() && !OTHERS.contains(&&*name) {
                others.push(format!("{name}: {has:?}"));
            }
        }
    }
    assert!(others.is_empty(), "read it by from_json: {others:#?}");
    assert!(by_the_reader > 10, "{by_the_reader}");
}

/// The source files in a directory, without those of tests.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.file_stem().is_some_and(|name| name != "tests"));
    paths
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
