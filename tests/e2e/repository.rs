//! The files of the repository, for tests of what documents and comments say.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Directories without text of ours, in addition to hidden ones.
const SKIPPED: [&str; 4] = ["target", "bin", "golden", "corpus"];

/// Whether a directory has text of ours.
fn is_ours(name: &str) -> bool {
    let is_hidden = name.starts_with('.') && name != ".ci";
    !is_hidden && !SKIPPED.contains(&name)
}

pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Whether a file is called `something.end`.
pub(crate) fn has_end(path: &str, end: &str) -> bool {
    Path::new(path).extension().is_some_and(|of| of == end)
}

/// Every place of `part` in `text`, as the text before it and the text after it.
pub(crate) fn places<'a>(text: &'a str, part: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let around = move |(at, _): (usize, &str)| {
        let (before, rest) = text.split_at(at);
        Some((before, rest.strip_prefix(part)?))
    };
    text.match_indices(part).filter_map(around)
}

/// All files as paths from the root, sorted.
pub(crate) fn files() -> Vec<String> {
    let mut found = Vec::new();
    collect(root(), &mut found);
    let mut found: Vec<String> = found
        .iter()
        .map(|path| path.strip_prefix(root()).unwrap())
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            if is_ours(&name) {
                collect(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

/// The lines of a Markdown document with their numbers, without blocks of code.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            return None;
        }
        (!inside).then_some((number + 1, line))
    })
}

/// The texts between backticks in a line.
pub(crate) fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A line without the texts between backticks.
pub(crate) fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The comment in a line of source, if it has one. A string that looks like a comment counts as one.
pub(crate) fn comment<'a>(path: &str, line: &'a str) -> Option<&'a str> {
    let mark = if is_rust_like(path) { "//" } else { "#" };
    let line = line.trim_start();
    let at = if line.starts_with(mark) {
        Some(0)
    } else {
        line.find(&format!(" {mark} ")).map(|at| at + 1)
    };
    at.and_then(|at| line.get(at..))
}

fn is_rust_like(path: &str) -> bool {
    has_end(path, "rs") || has_end(path, "proto")
}

/// The words of a text that consist of these characters, without dots at the end.
pub(crate) fn words(text: &str, may: impl Fn(char) -> bool) -> Vec<&str> {
    text.split(|letter| !may(letter))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn comments_and_code_are_found() {
    assert_eq!(comment("a.rs", "  /// Why: x.rs"), Some("/// Why: x.rs"));
    assert_eq!(comment("a.rs", "let x = 1; // why"), Some("// why"));
    assert_eq!(comment("a.rs", "let x = 1;"), None);
    assert_eq!(comment("a.yaml", "x: 1 # why"), Some("# why"));
    assert_eq!(code("a `b` c `d`").collect::<Vec<_>>(), ["b", "d"]);
    assert_eq!(without_code("a `b` c `d` e"), "a ` c ` e");
    let text = "a\n```sh\nb\n```\nc";
    assert_eq!(prose(text).collect::<Vec<_>>(), [(1, "a"), (5, "c")]);
}
