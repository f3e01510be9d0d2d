//! Imports inside both components point one way, too. Each component has floors of rooms, which are its top-level
//! modules. A room uses only rooms on lower floors.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::imports::{Import, imports, modules};

/// A room, and the rooms that it may use. Those are earlier in the list.
type Room = (&'static str, &'static [&'static str]);

/// The frontend, from the lowest floor up. `docs/ARCHITECTURE.md` has the drawing.
const APISERVER: &[Room] = &[
    ("args", &[]),
    ("k8s", &[]),
    ("scrapers", &[]),
    ("store", &[]),
    ("catalog", &["store"]),
    ("requests", &["k8s"]),
    ("certificates", &["args"]),
    ("auth", &["args", "k8s", "requests"]),
    (
        "api",
        &["auth", "catalog", "k8s", "requests", "scrapers", "store"],
    ),
    ("bus", &["args", "auth", "catalog", "scrapers", "store"]),
    ("config", &["args", "bus", "certificates", "requests"]),
    (
        "probes",
        &[
            "args",
            "auth",
            "catalog",
            "certificates",
            "requests",
            "scrapers",
            "store",
        ],
    ),
    ("wiring", &["args", "auth", "catalog", "config", "store"]),
];

/// The scraper, from the lowest floor up.
const SCRAPER: &[Room] = &[
    ("args", &[]),
    ("assignment", &[]),
    ("events", &[]),
    ("nodes", &[]),
    ("kubelet", &["args", "nodes"]),
    ("bus", &["assignment"]),
    (
        "scrape",
        &["assignment", "bus", "events", "kubelet", "nodes"],
    ),
    ("config", &["args", "assignment", "bus", "kubelet", "nodes"]),
    ("wiring", &["config"]),
    ("fuzzing", &["assignment"]),
];

/// The forbidden imports of a crate, and the unused entries of its table.
fn faults(source: &Path, rooms: &[Room]) -> Vec<String> {
    let mut faults = Vec::new();
    for module in modules(source) {
        if let Some(name) = module.first()
            && rooms.iter().all(|(room, _)| room != name)
        {
            faults.push(format!("`{name}` is a room without a floor"));
        }
    }
    let mut used = BTreeSet::new();
    for Import { file, by, of, .. } in imports(source) {
        let (Some(by), Some(of)) = (by.first(), of.first()) else {
            continue;
        };
        let mut tables = rooms.iter().filter(|(room, _)| room == by);
        if by == of || tables.any(|(_, allowed)| allowed.contains(&of.as_str())) {
            used.insert((by.clone(), of.clone()));
        } else {
            faults.push(format!("{file}: `{by}` must not use `{of}`"));
        }
    }
    for (at, (room, allowed)) in rooms.iter().enumerate() {
        for other in *allowed {
            if rooms.iter().take(at).all(|(below, _)| below != other) {
                faults.push(format!("the table: `{other}` is not below `{room}`"));
            } else if !used.contains(&((*room).to_owned(), (*other).to_owned())) {
                faults.push(format!("the table: `{room}` does not use `{other}`"));
            }
        }
    }
    faults.sort_unstable();
    faults.dedup();
    faults
}

/// Modules of one parent that use each other in a circle. A module and its own submodules may do that.
fn circles(source: &Path) -> Vec<String> {
    let mut uses: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for Import { by, of, test, .. } in imports(source) {
        let common = by.iter().zip(&of).take_while(|(a, b)| a == b).count();
        if let (false, Some(a), Some(b)) = (test, by.get(common), of.get(common)) {
            let parent = by.iter().take(common).cloned().collect::<Vec<_>>();
            let from = (parent.join("::"), a.clone());
            uses.entry(from).or_default().insert(b.clone());
        }
    }
    let reach = |from: &(String, String)| {
        let (parent, name) = from;
        let mut seen = BTreeSet::new();
        let mut next = vec![name.clone()];
        while let Some(module) = next.pop() {
            for used in uses.get(&(parent.clone(), module)).into_iter().flatten() {
                if seen.insert(used.clone()) {
                    next.push(used.clone());
                }
            }
        }
        seen
    };
    let all = uses.keys().filter(|from| reach(from).contains(&from.1));
    all.map(|(parent, name)| format!("{parent}::{name}"))
        .collect()
}

fn source(component: &str) -> std::path::PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join(component).join("src")
}

#[test]
fn rooms_use_only_rooms_on_lower_floors() {
    assert_eq!(faults(&source("apiserver"), APISERVER), [""; 0]);
    assert_eq!(faults(&source("scraper"), SCRAPER), [""; 0]);
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    assert_eq!(circles(&source("apiserver")), [""; 0]);
    assert_eq!(circles(&source("scraper")), [""; 0]);
}

/// Writes files below a new directory.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

#[test]
fn a_forbidden_import_is_found_however_it_is_written() {
    let rooms: &[Room] = &[("low", &[]), ("high", &["low"])];
    let lib = ("lib.rs", "mod high;\nmod low;\nuse crate::high::Top;\n");
    for text in [
        "use crate::high::Top;",
        "use crate::{\n    // A comment.\n    high::{self, Top},\n};",
        "use super::super::high;",
        "use super::super::{high::Top, low::a};",
        "pub(crate) use crate::high as other;",
        "fn f() { crate::high::g(\"}\"); }",
        "mod tests {\n    use super::super::super::high::Top;\n}",
        "mod tests {\n    use crate::high::Top;\n}",
    ] {
        let high = ("high.rs", "use crate::low;");
        let directory = tree(&[lib, high, ("low/deep.rs", text)]);
        let found = faults(directory.path(), rooms);
        assert_eq!(found, ["low/deep.rs: `low` must not use `high`"], "{text}");
    }
    for text in [
        "// use crate::high::Top;",
        "/// See [`crate::high`].\nfn f() -> &'static str { \"crate::high\" }",
        "use super::high;",
        "mod tests {\n    use super::super::high::Top;\n}",
        "use high::Top;",
    ] {
        let high = ("high.rs", "use crate::low;");
        let directory = tree(&[lib, high, ("low/deep.rs", text)]);
        assert_eq!(faults(directory.path(), rooms), [""; 0], "{text}");
    }
}

#[test]
fn a_table_that_is_no_order_is_found() {
    let directory = tree(&[("a.rs", "use crate::b;"), ("b.rs", ""), ("c.rs", "")]);
    let rooms: &[Room] = &[("a", &["b"]), ("b", &["a"])];
    let found = faults(directory.path(), rooms);
    assert_eq!(
        found,
        [
            "`c` is a room without a floor",
            "the table: `b` does not use `a`",
            "the table: `b` is not below `a`",
        ]
    );
}

#[test]
fn circles_are_found_between_modules_of_one_parent() {
    let directory = tree(&[
        ("a.rs", "mod one;\nmod two;\nuse self::one::One;"),
        ("a/one.rs", "use super::{Parent, two::Two};"),
        ("a/two.rs", "use crate::a::one::One;"),
    ]);
    assert_eq!(circles(directory.path()), ["a::one", "a::two"]);
}
