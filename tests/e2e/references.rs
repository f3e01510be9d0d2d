//! Files, sections and decisions that documents and comments name exist. So renaming a file fails a test.

use std::collections::BTreeSet;

use crate::repository::{code, comment, files, has_end, prose, read, root, words};

/// Directories of the repository with which a path may begin.
const TOP: [&str; 9] = [
    "apiserver/",
    "cli/",
    "crates/",
    "deploy/",
    "docs/",
    "proto/",
    "scraper/",
    "tests/",
    ".ci/",
];

/// Endings of names of our files.
const ENDS: [&str; 7] = [".rs", ".md", ".yaml", ".proto", ".toml", ".sh", ".tpl"];

/// Names that look like our files and are files of other projects, or are written by programs.
const FOREIGN_FILES: [&str; 7] = [
    // Files of metrics-server and of Kubernetes.
    "decode.go",
    "values.yaml",
    "your-metrics-server-values.yaml",
    // Files that are written where a program runs.
    "mod.rs",
    "foo.rs",
    "Cargo.toml",
    "kustomization.yaml",
];

pub(crate) fn documents() -> Vec<String> {
    let is_document = |path: &String| has_end(path, "md");
    files().into_iter().filter(is_document).collect()
}

/// Our source files with comments, without generated ones.
pub(crate) fn sources() -> Vec<String> {
    let ends = ["rs", "proto", "yaml", "toml", "tpl"];
    let mut found = files();
    found.retain(|path| ends.iter().any(|end| has_end(path, end)));
    found
}

/// Every comment, as (place, text).
pub(crate) fn comments() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in sources() {
        let text = read(&path);
        for (number, line) in text.lines().enumerate() {
            if let Some(comment) = comment(&path, line) {
                found.push((format!("{path}:{}", number + 1), comment.to_owned()));
            }
        }
    }
    found
}

/// Every line of prose of every document, as (path, line number, text).
pub(crate) fn lines() -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    for path in documents() {
        let text = read(&path);
        found.extend(prose(&text).map(|(number, line)| (path.clone(), number, line.to_owned())));
    }
    found
}

/// GitHub's anchor for a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let text = text.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ if letter.is_alphanumeric() => Some(letter),
        _ => None,
    });
    text.collect()
}

fn anchors(path: &str) -> BTreeSet<String> {
    let text = read(path);
    let headings = prose(&text).filter(|(_, line)| line.starts_with('#'));
    headings.map(|(_, line)| anchor(line)).collect()
}

/// What is wrong with a reference to `target`, a path from the root, which may have an anchor. `None` if it is right.
fn wrong(target: &str) -> Option<String> {
    let (path, section) = match target.split_once('#') {
        Some((path, section)) => (path, Some(section)),
        None => (target, None),
    };
    if !root().join(path).exists() {
        return Some(format!("{path} does not exist"));
    }
    let section = section?;
    (!anchors(path).contains(section)).then(|| format!("{path} has no section {section}"))
}

/// The path from the root for `target` in the file `from`.
fn resolve(from: &str, target: &str) -> String {
    let (target, section) = match target.split_once('#') {
        Some((target, section)) => (target, format!("#{section}")),
        None => (target, String::new()),
    };
    if target.is_empty() {
        return format!("{from}{section}");
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    format!("{}{section}", parts.join("/"))
}

/// The targets of links in a line.
fn links(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for rest in line.split("](").skip(1) {
        let target = rest.split(')').next().unwrap_or_default();
        if !target.contains("://") {
            found.push(target);
        }
    }
    found
}

/// Whether one of our files has this name, or a path that ends with it.
fn is_file(all: &BTreeSet<String>, name: &str) -> bool {
    let end = format!("/{name}");
    all.contains(name) || all.iter().any(|path| path.ends_with(&end))
}

pub(crate) fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn headings_become_anchors_and_targets_become_paths() {
    assert_eq!(
        anchor("### A scraper: its pod, its token"),
        "a-scraper-its-pod-its-token"
    );
    assert_eq!(resolve("docs/a.md", "../README.md#x"), "README.md#x");
    assert_eq!(resolve("docs/decisions/1.md", "../a.md"), "docs/a.md");
    assert_eq!(resolve("docs/a.md", "#x"), "docs/a.md#x");
    assert!(wrong("docs/nothing.md").is_some());
    assert!(wrong("README.md#nothing").is_some());
    assert_eq!(wrong("README.md#limits"), None);
}

#[test]
fn links_of_documents_lead_somewhere() {
    let mut bad = Vec::new();
    let mut followed = 0;
    for (path, number, line) in lines() {
        for target in links(&line) {
            followed += 1;
            let wrong = wrong(&resolve(&path, target));
            bad.extend(wrong.map(|wrong| format!("{path}:{number}: {wrong}")));
        }
    }
    assert!(followed > 150, "{followed} links");
    assert_none(&bad);
}

#[test]
fn files_that_documents_name_exist() {
    let all: BTreeSet<String> = files().into_iter().collect();
    let mut bad = Vec::new();
    let mut followed = 0;
    let superseded: Vec<String> = documents()
        .into_iter()
        .filter(|path| read(path).contains("\nSuperseded by "))
        .collect();
    for (path, number, line) in lines() {
        // These documents describe the past.
        if path == "CHANGELOG.md" || superseded.contains(&path) {
            continue;
        }
        for name in code(&line) {
            let is_name = |letter: char| letter.is_ascii_alphanumeric() || "./-_".contains(letter);
            let is_path = name.chars().all(is_name) && !name.starts_with('/');
            let ends = ENDS.iter().any(|end| name.ends_with(end));
            let begins = TOP
                .iter()
                .any(|top| name.starts_with(top) && name.len() > top.len());
            if !is_path || !(ends || begins) || FOREIGN_FILES.contains(&name) {
                continue;
            }
            followed += 1;
            let there = if ends {
                is_file(&all, name)
            } else {
                root().join(name).exists()
            };
            if !there {
                bad.push(format!("{path}:{number}: {name} does not exist"));
            }
        }
    }
    assert!(followed > 200, "{followed} files");
    assert_none(&bad);
}

#[test]
fn files_and_sections_that_comments_name_exist() {
    let mut bad = Vec::new();
    let mut followed = 0;
    for (place, text) in comments() {
        let is_path = |letter: char| letter.is_ascii_alphanumeric() || "./-_#".contains(letter);
        for word in words(&text, is_path) {
            if !TOP
                .iter()
                .any(|top| word.starts_with(top) && word.len() > top.len())
            {
                continue;
            }
            followed += 1;
            // The path may start at the root, at the crate of the file, or at the directory of the file.
            let package = place.split("/src/").next().unwrap_or_default();
            let beside = place.rsplit_once('/').map_or("", |(beside, _)| beside);
            let of_package = [package, beside]
                .iter()
                .any(|from| root().join(from).join(word).exists());
            if let Some(wrong) = wrong(word).filter(|_| !of_package) {
                bad.push(format!("{place}: {wrong}"));
            }
        }
    }
    assert!(followed > 100, "{followed} files");
    assert_none(&bad);
}

#[test]
fn decisions_that_are_named_exist_and_have_that_number() {
    let pages: BTreeSet<String> = files()
        .into_iter()
        .filter_map(|path| {
            path.strip_prefix("docs/decisions/")?
                .get(..4)
                .map(str::to_owned)
        })
        .collect();
    assert!(pages.contains("0011"));
    let mut bad = Vec::new();
    let mut named = 0;
    let prose = lines().into_iter();
    let prose = prose.map(|(path, number, line)| (format!("{path}:{number}"), line));
    for (place, text) in prose.chain(comments()) {
        for rest in text.split("ecision ").skip(1) {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let Ok(number) = digits.parse::<u16>() else {
                continue;
            };
            named += 1;
            let page = format!("{number:04}");
            let link = rest.strip_prefix(&format!("{digits}]("));
            let target = link.and_then(|link| link.split(')').next());
            let leads_there = target.is_none_or(|target| target.contains(&format!("{page}-")));
            if !pages.contains(&page) || !leads_there {
                bad.push(format!("{place}: decision {number}, {target:?}"));
            }
        }
    }
    assert!(named > 30, "{named} decisions");
    assert_none(&bad);
}
