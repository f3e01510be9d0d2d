//! The manifests of docs/GITOPS.md. Argo CD and Flux are not run; what is inside their manifests is.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::site::{CHART, ROOT, helm};

fn document() -> anyhow::Result<String> {
    Ok(fs::read_to_string(Path::new(ROOT).join("docs/GITOPS.md"))?)
}

/// What is below a key that stands alone in its line.
fn below(text: &str, key: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| line.trim() != key);
    let above = indent(lines.next()?);
    let block: Vec<&str> = lines.take_while(|line| indent(line) > above).collect();
    let depth = block.iter().map(|line| indent(line)).min()?;
    let block = block.iter().filter_map(|line| line.get(depth..));
    Some(block.collect::<Vec<&str>>().join("\n"))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// What the chart renders with the values in a file.
fn rendered(values: &[&str]) -> anyhow::Result<String> {
    let place = ["template", "tributary", CHART, "-n", "tributary-system"];
    let outcome = Runtime::new()?.block_on(helm(None, &[&place[..], values].concat()))?;
    anyhow::ensure!(outcome.ok, "{}", outcome.stderr);
    Ok(outcome.stdout)
}

#[test]
fn the_values_of_both_tools_are_taken_and_rendered_the_same_twice() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("values.yaml");
    let file = path.display().to_string();
    for key in ["valuesObject:", "values:"] {
        let values = below(&document()?, key).with_context(|| format!("no {key}"))?;
        assert!(values.contains("profile: ha"), "{values}");
        fs::write(&path, values)?;
        let first = rendered(&["-f", &file])?;
        assert!(first.contains("image: \"registry.example.com/tributary:TAG\""));
        assert_eq!(first, rendered(&["-f", &file])?);
    }
    Ok(())
}

#[test]
fn a_project_of_argo_cd_is_given_the_kinds_that_there_are() -> anyhow::Result<()> {
    let listed = below(&document()?, "clusterResourceWhitelist:").context("no list")?;
    let kind = |line: &str| {
        Some(
            line.split_once("kind: ")?
                .1
                .trim_end_matches(" }")
                .to_owned(),
        )
    };
    let listed: BTreeSet<String> = listed.lines().filter_map(kind).collect();

    let (mut kinds, mut namespaces) = (BTreeSet::new(), BTreeSet::new());
    // By CreateNamespace.
    kinds.insert("Namespace".to_owned());
    for object in rendered(&["--set", "profile=ha"])?.split("\n---") {
        let field = |name: &str| object.lines().find_map(|line| line.strip_prefix(name));
        let Some(kind) = field("kind: ") else {
            continue;
        };
        match field("  namespace: ") {
            Some(namespace) => namespaces.insert(namespace.to_owned()),
            None => kinds.insert(kind.to_owned()),
        };
    }
    assert_eq!(listed, kinds);
    let namespaces: Vec<String> = namespaces.into_iter().collect();
    assert_eq!(namespaces, ["default", "kube-system", "tributary-system"]);
    Ok(())
}

#[test]
fn blocks_end_where_their_indentation_does() {
    let text = "a:\n  values:\n    one:\n      two: 3\n    four: 5\n  six: 7\n";
    assert_eq!(below(text, "values:").unwrap(), "one:\n  two: 3\nfour: 5");
    assert_eq!(below(text, "none:"), None);
}
