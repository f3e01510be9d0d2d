//! Documents agree with the code.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn documents_that_follow_from_the_code_are_current() {
    for document in tributary_e2e::documents::all() {
        let text = fs::read_to_string(root().join(document.path)).unwrap_or_default();
        assert!(
            text == document.text,
            "{} is not current: cargo run -p tributary-e2e --bin documents",
            document.path
        );
    }
}

/// Words with an underscore in queries that are neither metrics nor labels.
const WORDS: [&str; 4] = [
    "histogram_quantile",
    "group_left",
    "last_over_time",
    "__rate_interval",
];

/// Of kube-apiserver, which has it (`what_the_alert_on_api_services_reads_is_there` in tests/controlplane), and of
/// kube-state-metrics, where these are stable.
const OF_OTHERS: [&str; 3] = [
    "aggregator_unavailable_apiservice",
    "kube_deployment_spec_replicas",
    "kube_deployment_status_replicas_available",
];

/// The families in the tables of docs/METRICS.md, with the series of histograms.
fn families() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/METRICS.md")).unwrap();
    let (ours, _) = text.split_once("## Coming from metrics-server").unwrap();
    let rows = ours.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.flat_map(|row| {
        let (name, rest) = row.split_once('`').unwrap();
        let ends: &[&str] = if rest.contains("histogram") {
            &["_bucket", "_sum", "_count"]
        } else {
            &[""]
        };
        ends.iter().map(move |end| format!("{name}{end}"))
    })
    .collect()
}

/// The metrics in a query: its words with an underscore that are not labels.
fn metrics(query: &str) -> BTreeSet<String> {
    let query = without(query, "{", "}");
    let query = without(&without(&query, "by (", ")"), "on (", ")");
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = query.split(|letter| !word(letter));
    let words = words.filter(|word| word.contains('_') && !WORDS.contains(word));
    words.map(str::to_owned).collect()
}

/// A text without the parts between two marks, and without the marks.
fn without(text: &str, from: &str, to: &str) -> String {
    let mut parts = text.split(from);
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once(to).unwrap().1);
    rest.fold(first, |kept, part| format!("{kept} {part}"))
}

/// Every text under a key, at any depth.
fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    match value {
        Value::Array(items) => items.iter().flat_map(|item| texts(item, key)).collect(),
        Value::Object(fields) => {
            let own = fields.get(key).and_then(Value::as_str);
            let below = fields.values().flat_map(|field| texts(field, key));
            own.into_iter().chain(below).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn words_of_a_query_that_are_metrics_are_found() {
    let query = "histogram_quantile(0.9, sum by (le, request_kind) (rate(a_bucket{b_c=\"d_e\"}[5m]) and on (instance) (f_g or h_i)))";
    let found: Vec<String> = metrics(query).into_iter().collect();
    assert_eq!(found, ["a_bucket", "f_g", "h_i"]);
}

#[test]
fn dashboard_and_alerts_ask_only_for_metrics_that_exist() {
    let mut families = families();
    families.extend(OF_OTHERS.map(str::to_owned));
    let files = root().join("deploy/helm/tributary/files");
    let dashboard = fs::read_to_string(files.join("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let queries = texts(&dashboard, "expr");
    assert!(queries.len() > 30, "{} queries", queries.len());
    // An expression ends at the next field of its alert.
    let alerts = fs::read_to_string(files.join("alerts.yaml")).unwrap();
    let alerts = alerts.split("expr:").skip(1);
    let alerts = alerts.filter_map(|rule| Some(rule.split_once("for:")?.0));
    for query in queries.into_iter().chain(alerts) {
        let unknown: Vec<String> = metrics(query).difference(&families).cloned().collect();
        assert!(unknown.is_empty(), "{unknown:?} in {query}");
    }
}

#[test]
fn every_alert_has_a_section_in_the_runbook_and_a_test() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (alerts, runbook) = (
        read("deploy/helm/tributary/files/alerts.yaml"),
        read("docs/RUNBOOK.md"),
    );
    let tests = read("tests/deploy/alerts.yaml");
    let names = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<&str> = names.collect();
    assert_eq!(names.len(), alerts.matches("expr:").count());
    assert!(names.len() >= 17, "{names:?}");
    for name in names {
        let link = format!("runbook_url: docs/RUNBOOK.md#{}", name.to_lowercase());
        assert!(alerts.contains(&link), "{link}");
        assert!(
            runbook.contains(&format!("\n### {name}\n")),
            "no section {name}"
        );
        assert!(
            tests.contains(&format!("{name} fires")),
            "no test of {name}"
        );
    }
}

/// Mebibytes that these KiB for each of so many things are.
fn mebibytes(count: f64, kibibytes: f64) -> f64 {
    count * kibibytes / 1024.0
}

#[test]
fn the_table_of_sizes_agrees_with_its_formulas_and_with_what_the_chart_requests() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let text = read("docs/INSTALLING.md");
    let (_, sizing) = text.split_once("\n## Sizing\n").unwrap();
    for formula in [
        "| frontend | 21 MiB, and 0.34 KiB for each container",
        "| scraper | 18 MiB, 10.5 KiB for each node that it owns, and 0.28 KiB for each container",
    ] {
        assert!(sizing.contains(formula), "{formula}");
    }
    let number = |cell: &str| {
        let digits: String = cell.chars().filter(char::is_ascii_digit).collect();
        digits.parse::<f64>()
    };
    let mut rows = 0;
    for line in sizing.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [nodes, containers, frontend, scraper, request, limit] = cells[..] else {
            continue;
        };
        let Ok(nodes) = number(nodes) else { continue };
        rows += 1;
        let containers = number(containers).unwrap();
        let (frontend, scraper) = (number(frontend).unwrap(), number(scraper).unwrap());
        let formula = 21.0 + mebibytes(containers, 0.34);
        assert!((frontend - formula).abs() <= 0.5, "{line}: {formula}");
        let formula = 18.0 + mebibytes(nodes, 10.5) + mebibytes(containers, 0.28);
        assert!((scraper - formula).abs() <= 0.5, "{line}: {formula}");
        let (_, request) = request.split_once(", ").unwrap();
        let largest = frontend.max(scraper);
        assert!(number(request).unwrap() > largest, "{line}");
        assert!(number(limit).unwrap() >= 4.0 * largest, "{line}");
        if nodes <= 1_000.0 {
            assert_eq!(request, "64Mi", "{line}");
        }
    }
    assert_eq!(rows, 5);
    let values = read("deploy/helm/tributary/values.yaml");
    assert!(values.contains("  requests:\n    cpu: 50m\n    memory: 64Mi\n"));
}

/// The names of all functions below a directory.
fn functions(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            functions(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1);
            let names = names.filter_map(|rest| rest.split_once('('));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn the_tests_that_the_security_model_names_exist() {
    let mut there = BTreeSet::new();
    functions(root(), &mut there);
    let text = fs::read_to_string(root().join("docs/SECURITY.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| {
        let letter = |letter: char| letter.is_ascii_lowercase() || letter == '_';
        text.matches('_').count() > 3 && text.chars().all(letter)
    };
    let named: BTreeSet<&str> = quoted.filter(is_name).collect();
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !there.contains(**name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
