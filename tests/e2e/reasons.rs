//! The table of docs/RUNBOOK.md has exactly the texts of the API's 404 answers.

use crate::{
    repository::{code, read},
    tokens::{Token, tokens},
};

/// A text of the code: the parts before, between and after its placeholders.
struct Pattern(Vec<String>);

impl Pattern {
    fn new(literal: &str) -> Self {
        let mut parts = literal.split('{');
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.map(|part| part.split_once('}').unwrap().1.to_owned());
        Self(std::iter::once(first).chain(rest).collect())
    }

    /// Whether it has words besides placeholders.
    fn has_words(&self) -> bool {
        self.0.iter().any(|part| part.contains(char::is_alphabetic))
    }

    fn fits(&self, said: &str) -> bool {
        let [first, between @ ..] = &self.0[..] else {
            return false;
        };
        let Some(mut rest) = said.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some((last, between)) = between.split_last() else {
            return rest.is_empty();
        };
        for part in between {
            let Some((_, after)) = rest.split_once(part.as_str()) else {
                return false;
            };
            rest = after;
        }
        rest.ends_with(last.as_str())
    }
}

/// The texts in an item of a source. The item ends with a brace at the beginning of a line.
fn texts(path: &str, begins: &str) -> Vec<String> {
    let source = read(path);
    let (_, rest) = source.split_once(begins).unwrap();
    let (item, _) = rest.split_once("\n}").unwrap();
    let literals = tokens(item)
        .into_iter()
        .filter_map(|(_, token)| match token {
            Token::Text(text) => Some(text.trim_matches('"').to_owned()),
            Token::Name(_) | Token::Sign(_) => None,
        });
    literals
        .filter(|text| Pattern::new(text).has_words())
        .collect()
}

/// Every text of a 404 of `metrics.k8s.io`.
fn in_code() -> Vec<String> {
    const OUTCOME: &str = "apiserver/src/store/outcome.rs";
    const STATUS: &str = "apiserver/src/api/status.rs";
    let items = [
        ("crates/model/src/usage.rs", "pub enum NoUsage {"),
        (OUTCOME, "pub enum NoMetrics {"),
        (STATUS, "fn reason("),
        (STATUS, "fn of_its_node("),
    ];
    let mut found: Vec<String> = items
        .into_iter()
        .flat_map(|(path, begins)| texts(path, begins))
        .collect();
    let refusals = texts(STATUS, "pub(crate) enum Refusal {").into_iter();
    found.extend(refusals.filter(|text| text.contains("not find") || text.contains("not found")));
    let outcome = read(OUTCOME);
    let (_, failure) = outcome.split_once("as told by a scraper.\n").unwrap();
    let (_, failure) = failure.split_once("#[error(\"").unwrap();
    found.push(failure.split('"').next().unwrap().to_owned());
    found
}

/// The rows of the table: the texts, and whether waiting is enough.
fn rows() -> Vec<(Vec<String>, String)> {
    let runbook = read("docs/RUNBOOK.md");
    let (_, table) = runbook.split_once("\n## What a 404 says\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells = line.trim().trim_matches('|').split(" | ");
        let cells: Vec<&str> = cells.map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{line}");
        let said = code(cells[0]).map(str::to_owned).collect();
        (said, cells[4].to_owned())
    };
    lines.map(row).collect()
}

#[test]
fn texts_are_compared_without_what_is_filled_in() {
    let fits = |literal: &str, said: &str| Pattern::new(literal).fits(said);
    assert!(fits("restarted", "restarted"));
    assert!(!fits("restarted", "restarted twice"));
    assert!(fits(
        "failed {}s ago by {by}: {message}",
        "failed Ns ago by X: Y"
    ));
    assert!(!fits("failed {}s ago by {by}: {message}", "failed Ns ago"));
    assert!(fits("{} {:?} not found", "node \"NAME\" not found"));
    assert!(!Pattern::new("{0}: {1}").has_words());
}

#[test]
fn the_runbook_has_every_text_of_a_404() {
    let (in_code, rows) = (in_code(), rows());
    assert!(in_code.len() > 20, "{in_code:?}");
    let said: Vec<&String> = rows.iter().flat_map(|(said, _)| said).collect();
    for text in &in_code {
        let pattern = Pattern::new(text);
        assert!(
            said.iter().any(|said| pattern.fits(said)),
            "docs/RUNBOOK.md has no row for {text:?}"
        );
    }
    for said in said {
        assert!(
            in_code.iter().any(|text| Pattern::new(text).fits(said)),
            "the code does not say {said:?}"
        );
    }
    for (said, waiting) in rows {
        let answers = ["yes", "no"];
        assert!(
            answers.iter().any(|answer| waiting.starts_with(answer)),
            "{said:?}: is waiting enough? {waiting:?}"
        );
    }
}
