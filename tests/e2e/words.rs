//! Documents, help, names, logs and metrics follow docs/GLOSSARY.md: they have no word from its column "do not use".
//!
//! Text between backticks and blocks of code in documents may have any word, because our names are checked where they
//! are defined. Decisions describe their time and are not checked.

use crate::{
    references::{documents, sources},
    repository::{code, has_end, places, prose, read, without_code},
    tokens::{Token, tokens, words_of},
};

/// The documents that operators read. The help of both binaries is in the pages about flags, which another test compares
/// with the binaries.
fn pages() -> Vec<String> {
    let is_page = |path: &String| {
        let is_page = path.starts_with("docs/") && !path.starts_with("docs/decisions/");
        // The glossary has the words that are not used.
        let is_other = ["README.md", "deploy/README.md"].contains(&path.as_str());
        is_other || (is_page && path != "docs/GLOSSARY.md")
    };
    documents().into_iter().filter(is_page).collect()
}

/// The words in the third column of every table of the glossary.
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

/// Whether a text contains a word, or several in a row, as whole words.
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
    let pages = pages();
    for path in ["docs/VALUES.md", "docs/troubles/README.md", "README.md"] {
        assert!(pages.iter().any(|page| page == path), "{path}");
    }
    for path in pages {
        let text = read(&path);
        for (number, line) in prose(&text) {
            let line = without_code(line).to_lowercase();
            for word in words.iter().filter(|word| has(&line, word)) {
                found.push(format!("{path}:{number}: {word}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Names of other crates: collectors of `prometheus_client`.
const FOREIGN: [&str; 3] = ["Collector", "collector", "register_collector"];

/// The word in a name that the glossary replaces.
fn replaced<'a>(name: &str, words: &'a [String]) -> Option<&'a String> {
    let parts = words_of(name);
    let is_ours = !FOREIGN.contains(&name);
    words.iter().find(|word| is_ours && has(&parts, word))
}

/// Every Rust source, as (path, text).
fn rust() -> impl Iterator<Item = (String, String)> {
    let sources = sources().into_iter().filter(|path| has_end(path, "rs"));
    sources.map(|path| {
        let text = read(&path);
        (path, text)
    })
}

#[test]
fn names_in_code_have_no_word_that_the_glossary_replaces() {
    let words = not_to_use();
    let (mut found, mut names) = (Vec::new(), 0);
    for (path, text) in rust() {
        for (line, token) in tokens(&text) {
            let Token::Name(name) = token else { continue };
            names += 1;
            let word = replaced(name, &words);
            found.extend(word.map(|word| format!("{path}:{line}: {name}: {word}")));
        }
        let file = path
            .rsplit('/')
            .next()
            .and_then(|name| name.strip_suffix(".rs"));
        let word = file.and_then(|name| replaced(name, &words));
        found.extend(word.map(|word| format!("{path}: {word}")));
    }
    assert!(names > 100_000, "{names} names");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The directories of the product's sources.
const PRODUCT: [&str; 7] = [
    "apiserver/src/",
    "cli/src/",
    "scraper/src/",
    "crates/kubeconfig/src/",
    "crates/runtime/src/",
    "crates/model/src/",
    "proto/src/",
];

/// A source without its test module.
fn without_tests(text: &str) -> &str {
    let end = text.find("#[cfg(test)]\nmod ");
    end.map_or(text, |end| text.split_at(end).0)
}

#[test]
fn logs_and_errors_have_no_word_that_the_glossary_replaces() {
    let words = not_to_use();
    let is_product = |path: &str| {
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        !is_test && PRODUCT.iter().any(|product| path.starts_with(product))
    };
    let (mut found, mut texts) = (Vec::new(), 0);
    for (path, text) in rust().filter(|(path, _)| is_product(path)) {
        for (line, token) in tokens(without_tests(&text)) {
            let Token::Text(text) = token else { continue };
            texts += 1;
            let text = text.to_lowercase().replace(['_', '-'], " ");
            for word in words.iter().filter(|word| has(&text, word)) {
                found.push(format!("{path}:{line}: {word}: {text}"));
            }
        }
    }
    assert!(texts > 2_000, "{texts} texts");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn metrics_labels_and_log_fields_have_no_word_that_the_glossary_replaces() {
    let words = not_to_use();
    let (mut found, mut names) = (Vec::new(), 0);
    for path in ["docs/METRICS.md", "docs/LOGGING.md"] {
        let text = read(path);
        let rows = prose(&text).filter(|(_, line)| line.starts_with("| `"));
        for (number, row) in rows {
            for name in code(row) {
                names += 1;
                let name = name.replace(['_', '-'], " ");
                for word in words.iter().filter(|word| has(&name, word)) {
                    found.push(format!("{path}:{number}: {name}: {word}"));
                }
            }
        }
    }
    assert!(names > 200, "{names} names");
    assert!(found.is_empty(), "{}", found.join("\n"));
}
