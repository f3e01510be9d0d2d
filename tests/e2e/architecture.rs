//! Functions, types and modules that docs/ARCHITECTURE.md and the decisions name exist, in the files where they say.

use std::collections::BTreeSet;

use crate::{
    definitions::{Definition, definitions},
    references::{assert_none, documents},
    repository::{code, has_end, prose, read},
};

/// Words that look like names in Rust and are not ours.
const FOREIGN: &[&str] = &[
    // Of HTTP and of the Kubernetes API, and the names of a setting and of a variable of others.
    "Accept",
    "MALLOC_CONF",
    "continue",
    "read_timeout",
    "resourceVersion",
    // A field of a log line, and the value of a label.
    "behind_ms",
    "clock_set",
];

/// A text about one thing: a paragraph, an item of a list, or a row of a table.
struct Block {
    /// Where it begins.
    place: String,
    text: String,
    /// The place of the column with the functions, if it is a row of a table with files and functions.
    function_column: Option<usize>,
}

/// The blocks of a document.
fn blocks(path: &str) -> Vec<Block> {
    let text = read(path);
    let mut found: Vec<Block> = Vec::new();
    let mut function_column = None;
    let mut last = 0;
    for (number, line) in prose(&text) {
        let begin = line.trim_start();
        let is_row = begin.starts_with('|');
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells.contains(&"function") {
            function_column = cells.iter().position(|cell| *cell == "function");
        } else if !is_row {
            function_column = None;
        }
        let is_item = begin.starts_with("- ")
            || begin
                .split_once(". ")
                .is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        let goes_on = number == last + 1 && !is_row && !is_item && !begin.is_empty();
        match found.last_mut() {
            Some(block) if goes_on && !block.text.is_empty() => {
                block.text.push(' ');
                block.text.push_str(begin);
            }
            _ => found.push(Block {
                place: format!("{path}:{number}"),
                text: begin.to_owned(),
                function_column,
            }),
        }
        last = number;
    }
    found
}

/// Whether a text between backticks is a name or a path in Rust. Another test looks at metrics.
fn is_name(text: &str) -> bool {
    if text.starts_with("tributary_") || text.starts_with("apiserver_") {
        return false;
    }
    let is_part = |part: &str| {
        let mut letters = part.chars();
        letters
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    !text.is_empty() && text.split("::").all(is_part)
}

/// Each name in a block, with the files in one of which the block says that it is. There are none if it does not say.
fn names(block: &Block) -> Vec<(String, Vec<String>)> {
    if let Some(column) = block.function_column {
        let cells: Vec<&str> = block.text.split('|').collect();
        let of_cell = |at: usize| cells.get(at).map(|cell| in_text(cell)).unwrap_or_default();
        let files: Vec<String> = code(&block.text)
            .filter(|code| has_end(code, "rs"))
            .map(str::to_owned)
            .collect();
        let mut found = Vec::new();
        for at in 0..cells.len() {
            for (name, mut of) in of_cell(at) {
                if at == column && of.is_empty() {
                    of.clone_from(&files);
                }
                found.push((name, of));
            }
        }
        return found;
    }
    in_text(&block.text)
}

/// The names in a text. "`a`, `b` in `x.rs`" says where both are.
fn in_text(text: &str) -> Vec<(String, Vec<String>)> {
    let parts: Vec<&str> = text.split('`').collect();
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    // How many of the last names stand directly in front of this part.
    let mut near = 0;
    for (at, part) in parts.iter().enumerate() {
        if at % 2 == 0 {
            if !matches!(*part, ", " | " and " | " or " | " → " | " in ") {
                near = 0;
            }
            continue;
        }
        let before = parts[at - 1];
        if has_end(part, "rs") {
            if before == " in " {
                let begin = found.len() - near;
                for (_, files) in &mut found[begin..] {
                    files.push((*part).to_owned());
                }
            }
            near = 0;
            continue;
        }
        if before == " in " {
            near = 0;
        }
        for name in part.split(" → ").filter(|name| is_name(name)) {
            found.push((name.to_owned(), Vec::new()));
            near += 1;
        }
    }
    found
}

/// Whether a name in a document may mean a definition: `Type::member`, `module::item`, or the last name alone.
fn may_mean(path: &[&str], definition: &Definition) -> bool {
    let Some((name, outer)) = path.split_last() else {
        return false;
    };
    if definition.name != *name {
        return false;
    }
    let is_type = |name: &&str| name.starts_with(|letter: char| letter.is_ascii_uppercase());
    let (of, modules) = match outer.split_last() {
        Some((of, modules)) if is_type(of) => (Some(*of), modules),
        _ => (None, outer),
    };
    if !outer.is_empty() && definition.of.as_deref() != of {
        return false;
    }
    let mut parts = definition.module.windows(modules.len().max(1));
    modules.is_empty() || parts.any(|part| part == modules)
}

/// The names in a document that no definition has.
fn missing(
    path: &str,
    all: &[Definition],
    is_checked: impl Fn(&str) -> bool,
) -> (usize, Vec<String>) {
    let crates: BTreeSet<&str> = all
        .iter()
        .filter_map(|it| Some(&**it.module.first()?))
        .collect();
    let (mut named, mut bad) = (0, Vec::new());
    for block in blocks(path) {
        for (name, files) in names(&block) {
            if FOREIGN.contains(&&*name) || crates.contains(&*name) || !is_checked(&name) {
                continue;
            }
            named += 1;
            let parts: Vec<&str> = name.split("::").collect();
            let mut meant = all.iter().filter(|it| may_mean(&parts, it)).peekable();
            if meant.peek().is_none() {
                bad.push(format!("{}: no {name}", block.place));
            } else if !files.is_empty()
                && !meant.any(|it| files.iter().any(|file| is_file(file, it)))
            {
                bad.push(format!(
                    "{}: no {name} in {}",
                    block.place,
                    files.join(", ")
                ));
            }
        }
    }
    (named, bad)
}

/// Documents of a crate may name a file without its directory.
fn is_file(file: &str, definition: &Definition) -> bool {
    definition.file == file || definition.file.ends_with(&format!("/{file}"))
}

#[test]
fn functions_types_and_modules_that_the_architecture_names_exist() {
    let mut all = definitions();
    all.retain(|it| it.module != ["tests"]);
    let (named, bad) = missing("docs/ARCHITECTURE.md", &all, |_| true);
    assert!(named > 200, "{named} names");
    assert_none(&bad);
}

/// Words of prose may stand between backticks there, so only what is a name for certain is looked at.
#[test]
fn functions_and_types_that_decisions_name_exist() {
    let all = definitions();
    let is_certain = |name: &str| name.contains("::") || name.contains('_');
    let (mut named, mut bad) = (0, Vec::new());
    for path in documents() {
        let is_decision = path.starts_with("docs/decisions/");
        // It describes what was before.
        if !is_decision || read(&path).contains("\nSuperseded by ") {
            continue;
        }
        let (count, found) = missing(&path, &all, is_certain);
        named += count;
        bad.extend(found);
    }
    assert!(named > 10, "{named} names");
    assert_none(&bad);
}

#[test]
fn a_name_is_looked_for_where_the_text_says_that_it_is() {
    let definition = |file: &str, module: &[&str], of: Option<&str>, name: &str| Definition {
        file: file.to_owned(),
        module: module.iter().map(ToString::to_string).collect(),
        of: of.map(str::to_owned),
        name: name.to_owned(),
    };
    let all = [
        definition("a/src/store.rs", &["a", "store"], None, "Store"),
        definition("a/src/store.rs", &["a", "store"], Some("Store"), "take"),
        definition(
            "a/src/api/layers.rs",
            &["a", "api", "layers"],
            None,
            "finish",
        ),
    ];
    let meant = |name: &str| {
        let parts: Vec<&str> = name.split("::").collect();
        all.iter().any(|it| may_mean(&parts, it))
    };
    for name in [
        "Store",
        "Store::take",
        "store::Store",
        "a::Store",
        "layers::finish",
        "api::layers::finish",
        "take",
    ] {
        assert!(meant(name), "{name}");
    }
    for name in [
        "Stor",
        "Store::put",
        "Hub::take",
        "auth::Store",
        "auth::finish",
        "store::take",
    ] {
        assert!(!meant(name), "{name}");
    }
    let text = "So `a` ends. `b`, `C::d` → `e` in `x.rs`, and `f` in `g`; `--h`, `i j`, `y.rs`";
    let found = in_text(text);
    let found: Vec<String> = found
        .iter()
        .map(|(name, files)| format!("{name} {}", files.join(" ")))
        .collect();
    assert_eq!(found, ["a ", "b x.rs", "C::d x.rs", "e x.rs", "f ", "g "]);
}
