//! Documents and help keep to docs/GLOSSARY.md: no word that it says not to use.
//!
//! Names in code, metrics and log fields are not read yet: what stands between
//! backticks, or in a block of code, may have any word. Decisions tell of what was
//! thought at their time and are not read either.

use crate::repository::{places, prose, read, without_code};

/// What operators read. The help of both binaries is in the pages about flags, which
/// a test of its own compares with the binaries.
const READ: [&str; 16] = [
    "README.md",
    "deploy/README.md",
    "docs/ARCHITECTURE.md",
    "docs/BENCHMARKS.md",
    "docs/FLEET.md",
    "docs/INSTALLING.md",
    "docs/LOGGING.md",
    "docs/METRICS.md",
    "docs/MIGRATING.md",
    "docs/PERFORMANCE.md",
    "docs/REACTION.md",
    "docs/RUNBOOK.md",
    "docs/SECURITY.md",
    "docs/flags-apiserver.md",
    "docs/flags-scraper.md",
    "docs/parity.md",
];

/// The third column of every table of the glossary.
fn not_to_use() -> Vec<String> {
    let text = read("docs/GLOSSARY.md");
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.split('|').nth(3));
    let words = cells.flat_map(|cell| cell.split(','));
    let words = words.map(|word| word.trim().to_lowercase());
    words
        .filter(|word| !word.is_empty() && word != "do not use")
        .collect()
}

/// Whether a text has a word, or several in a row, whole.
fn has(text: &str, wanted: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    places(text, wanted).any(|(before, after)| {
        let (before, after) = (before.chars().next_back(), after.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn whole_words_are_found() {
    assert!(has("nobody is told.", "told"));
    assert!(has("told", "told"));
    assert!(!has("untold", "told"));
    assert!(!has("told-you", "told"));
    assert!(has("it is under way now", "under way"));
}

#[test]
fn the_glossary_names_words_not_to_use() {
    let words = not_to_use();
    for word in [
        "halves",
        "under way",
        "told",
        "but for",
        "folder",
        "verdicts",
    ] {
        assert!(
            words.iter().any(|known| known == word),
            "{word} in {words:?}"
        );
    }
    assert!(words.len() > 30, "{words:?}");
}

#[test]
fn documents_and_help_have_no_word_that_the_glossary_replaces() {
    let words = not_to_use();
    let mut found = Vec::new();
    for path in READ {
        let text = read(path);
        for (number, line) in prose(&text) {
            let line = without_code(line).to_lowercase();
            for word in words.iter().filter(|word| has(&line, word)) {
                found.push(format!("{path}:{number}: {word}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
