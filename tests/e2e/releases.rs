//! What a release is made for and of: the script, the documents, the workflow and the rules for dependencies name the
//! same platforms; bases and actions are pinned; nothing comes from or goes to a host that is not known.

use std::collections::BTreeSet;

use crate::repository::read;

const WORKFLOW: &str = ".github/workflows/release.yaml";
const DOCKERFILE: &str = "deploy/image/Dockerfile";

/// Everything that makes a release.
const MAKERS: [&str; 8] = [
    DOCKERFILE,
    WORKFLOW,
    "deploy/image/build",
    "deploy/release/assemble.py",
    "deploy/release/build",
    "deploy/release/libraries",
    "deploy/release/platforms",
    "deploy/release/sbom.py",
];

/// Registries of images, and what names forms of documents.
const HOSTS: [&str; 6] = [
    "docker.io",
    "example.org",
    "gcr.io",
    "ghcr.io",
    "in-toto.io",
    "slsa.dev",
];

/// A line of the table of platforms.
struct Platform {
    name: String,
    target: String,
    triplet: String,
    debian: String,
}

fn platforms() -> Vec<Platform> {
    let table = read("deploy/release/platforms");
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let platform = |row: &str| {
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells.len(), 6, "{row}");
        Platform {
            name: cells[0].to_owned(),
            target: cells[2].to_owned(),
            triplet: cells[3].to_owned(),
            debian: cells[4].to_owned(),
        }
    };
    rows.map(platform).collect()
}

/// Whether a name ends with `mark` and this many hexadecimal digits.
fn is_pinned(name: &str, mark: &str, digits: usize) -> bool {
    let digest = name.rsplit_once(mark).map(|(_, digest)| digest);
    digest.is_some_and(|it| it.len() == digits && it.bytes().all(|it| it.is_ascii_hexdigit()))
}

/// The word after `key` in each line that begins with it.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let values = text.lines().filter_map(|line| {
        let line = line.trim_start().trim_start_matches("- ");
        line.strip_prefix(key)?.split_whitespace().next()
    });
    values.collect()
}

#[test]
fn documents_workflow_and_rules_have_the_platforms_of_a_release() {
    let platforms = platforms();
    let names: Vec<&str> = platforms.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["amd64", "arm64", "arm", "ppc64le", "s390x"]);

    let page = read("docs/RELEASING.md");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `linux/"))
        .collect();
    assert_eq!(rows.len(), platforms.len());
    let installing = read("docs/INSTALLING.md");
    assert!(installing.contains("amd64, arm64, arm, ppc64le and s390x"));
    let workflow = read(WORKFLOW);
    let rules = read("deny.toml");
    for (platform, row) in platforms.iter().zip(rows) {
        let Platform {
            name,
            target,
            triplet,
            debian,
        } = platform;
        let begin = format!("| `linux/{name}");
        assert!(row.starts_with(&begin), "{name}: {row}");
        assert!(row.contains(&format!("| `{target}` |")), "{name}: {row}");
        assert!(rules.contains(&format!("triple = \"{target}\"")), "{name}");
        // The workflow runs on amd64 and has its compiler.
        if name != "amd64" {
            for package in [
                format!("gcc-{triplet} "),
                format!("libc6-dev-{debian}-cross"),
            ] {
                let is_installed = workflow.contains(&package);
                assert!(is_installed, "{WORKFLOW} does not install {package}");
            }
        }
    }
}

#[test]
fn bases_and_actions_are_pinned() {
    let bases = read(DOCKERFILE);
    let bases = values(&bases, "FROM ");
    assert_eq!(bases.len(), 2);
    let workflow = read(WORKFLOW);
    let containers = values(&workflow, "container: ");
    assert_eq!(containers.len(), 1);
    for base in bases.into_iter().chain(containers) {
        assert!(is_pinned(base, "@sha256:", 64), "{base}");
    }
    let actions = values(&workflow, "uses: ");
    assert_eq!(actions.len(), 3);
    for action in actions {
        assert!(is_pinned(action, "@", 40), "{action}");
    }
    assert!(!is_pinned("actions/checkout@v5", "@", 40));
    assert!(!is_pinned("docker.io/library/rust:1.95", "@sha256:", 64));
}

#[test]
fn a_release_uses_no_host_that_is_not_known() {
    let mut used = BTreeSet::new();
    for path in MAKERS {
        let text = read(path);
        let of_addresses = text.split("://").skip(1);
        let of_images = values(&text, "FROM ").into_iter();
        let of_images = of_images.chain(values(&text, "container: "));
        for after in of_addresses.chain(of_images) {
            let is_part = |letter: char| letter.is_ascii_alphanumeric() || ".-".contains(letter);
            let end = after.find(|letter| !is_part(letter)).unwrap_or(after.len());
            let (host, _) = after.split_at(end);
            // A placeholder, or what only the workflow knows.
            if host.contains('.') {
                used.insert(host.to_owned());
            }
        }
    }
    assert_eq!(used.iter().collect::<Vec<_>>(), HOSTS);
}
