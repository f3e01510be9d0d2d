//! Every dependency is used, and has an allowed licence and source.
//!
//! This checks what cargo-machete and cargo-deny check, without compiling them for minutes. The licences are those of
//! `deny.toml`, so cargo-deny reads the same list.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{
    layers::cargo,
    tokens::{Token, tokens},
};

/// Crates that are used elsewhere: by the build script of the schema, and in the code that it generates.
const ELSEWHERE: &[(&str, &str)] = &[
    ("tributary-proto", "protox"),
    ("tributary-proto", "tonic-prost"),
    ("tributary-proto", "tonic-prost-build"),
];

#[test]
fn every_dependency_is_used() {
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let mut unused = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let names = names_below(manifest.parent().unwrap());
        for dependency in package["dependencies"].as_array().unwrap() {
            let of = dependency["name"].as_str().unwrap();
            let called = dependency["rename"].as_str().unwrap_or(of);
            let is_used = names.contains(&called.replace('-', "_"));
            if !is_used && !ELSEWHERE.contains(&(name, of)) {
                unused.push(format!("{name}: {of}"));
            }
        }
    }
    assert_eq!(unused, [""; 0]);
}

/// The names in all sources of a package: the files below its directory, without those of other packages.
fn names_below(package: &Path) -> BTreeSet<String> {
    let (mut names, mut next) = (BTreeSet::new(), vec![package.to_owned()]);
    while let Some(directory) = next.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.join("Cargo.toml").exists() && !path.ends_with("target") {
                    next.push(path);
                }
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                for (_, token) in tokens(&text) {
                    if let Token::Name(name) = token {
                        names.insert(name.to_owned());
                    }
                }
            }
        }
    }
    names
}

#[test]
fn licences_and_sources_are_those_that_were_chosen() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let rules = fs::read_to_string(root.join("deny.toml")).unwrap();
    let chosen = quoted_after(&rules, "\nallow = [");
    let exceptions = quoted_after(&rules, "\nexceptions = [");
    assert!(chosen.contains(&"MIT"), "{chosen:?}");
    let tree = cargo(&[
        "tree",
        "--workspace",
        "--all-features",
        "--prefix=none",
        "--format={p}|{l}|",
    ]);
    let mut packages = 0;
    for line in tree.lines().filter(|line| !line.starts_with("tributary-")) {
        let mut parts = line.split('|');
        let (package, licence) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        if package.is_empty() {
            continue;
        }
        // A package of the registry has a name and a version. Others also have a path or an address.
        let others = package.matches('(').count() - package.matches("(proc-macro)").count();
        assert_eq!(others, 0, "not from the registry: {package}");
        let name = package.split(' ').next().unwrap();
        let mut allowed = chosen.clone();
        if exceptions.contains(&name) {
            allowed.extend(&exceptions);
        }
        assert!(is_allowed(licence, &allowed), "{package}: {licence}");
        packages += 1;
    }
    assert!(packages > 100, "{packages}");
}

/// The quoted texts between `start` and the next closing bracket.
fn quoted_after<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    let (_, list) = text.split_once(start).unwrap();
    let (list, _) = list.split_once("]\n").unwrap();
    list.split('"').skip(1).step_by(2).collect()
}

/// Whether the licences in `chosen` are enough for an SPDX expression. `/` means `OR`, as in old manifests.
fn is_allowed(expression: &str, chosen: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ");
    any_of(&expression, chosen)
}

fn any_of(expression: &str, chosen: &[&str]) -> bool {
    split(expression, " OR ").any(|part| all_of(part, chosen))
}

fn all_of(expression: &str, chosen: &[&str]) -> bool {
    split(expression, " AND ").all(|part| {
        let part = part.trim();
        let inner = part
            .strip_prefix('(')
            .and_then(|part| part.strip_suffix(')'));
        inner.map_or_else(|| chosen.contains(&part), |inner| any_of(inner, chosen))
    })
}

/// The parts of an expression between `operator`, outside of parentheses.
fn split<'a>(expression: &'a str, operator: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = Some(expression);
    std::iter::from_fn(move || {
        let text = rest?;
        let is_outside = |at: usize| {
            let before = text.get(..at).unwrap();
            before.matches('(').count() == before.matches(')').count()
        };
        let found = text.match_indices(operator).map(|(at, _)| at);
        let Some(at) = found.filter(|at| is_outside(*at)).min() else {
            rest = None;
            return Some(text);
        };
        let (part, after) = text.split_at(at);
        rest = after.get(operator.len()..);
        Some(part)
    })
}

#[test]
fn an_expression_of_licences_is_read_as_spdx_has_it() {
    let chosen = ["MIT", "ISC", "Apache-2.0"];
    for (expression, allowed) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("ISC AND (GPL-3.0 OR MIT)", true),
        ("(MIT OR ISC) AND GPL-3.0", false),
        ("GPL-3.0 OR MIT AND ISC", true),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &chosen), allowed, "{expression}");
    }
}
