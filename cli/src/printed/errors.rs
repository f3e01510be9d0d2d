//! Errors for programs. With `-o json` a command that ends before its document writes one with the reason instead, where
//! its document would be.

use std::{
    ffi::OsString,
    io::{self, Write as _},
};

use serde::Serialize;

use super::{Outcome, json};
use crate::args::OUTPUT;

/// Where documents for programs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Documents {
    /// None are wanted.
    Nowhere,
    /// To the output.
    Output,
    /// To the output of errors: an archive goes to the other one.
    Errors,
}

#[derive(Serialize)]
struct Failed<'a> {
    outcome: Outcome,
    error: &'a str,
}

impl Documents {
    /// By the words of the command line, which need not fit together.
    pub(crate) fn of(words: &[OsString]) -> Self {
        let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
        let value = |flag: &str, short: &str| {
            let of_word = |(at, word): (usize, &&str)| {
                let long = word.strip_prefix(flag);
                let short = word.strip_prefix(short).filter(|_| !short.is_empty());
                match long.or(short)? {
                    "" => words.get(at + 1).map(|next| (*next).to_owned()),
                    given => Some(given.trim_start_matches('=').to_owned()),
                }
            };
            let before = words.iter().take_while(|word| **word != "--");
            before.enumerate().find_map(of_word)
        };
        if value("--output", "-o").is_none_or(|form| form != "json") {
            return Self::Nowhere;
        }
        let is_bundle = words.contains(&"bundle");
        if is_bundle && value("--file", "").is_some_and(|file| file == OUTPUT) {
            return Self::Errors;
        }
        Self::Output
    }

    /// Writes why there is no other document.
    pub(crate) fn write_error(self, error: &str) {
        let outcome = Outcome::Unknown;
        let document = json(&Failed { outcome, error });
        // Nothing is left to say when the output is closed.
        drop(match self {
            Self::Nowhere => Ok(()),
            Self::Output => io::stdout().write_all(document.as_bytes()),
            Self::Errors => io::stderr().write_all(document.as_bytes()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_documents_go_is_known_although_the_words_may_be_wrong() {
        for (words, expected) in [
            ("status", Documents::Nowhere),
            ("status -o text", Documents::Nowhere),
            ("status -o", Documents::Nowhere),
            ("status -- -o json", Documents::Nowhere),
            ("status -o json", Documents::Output),
            ("-ojson status --wrong", Documents::Output),
            ("status -o=json", Documents::Output),
            ("status --output json", Documents::Output),
            ("nothing --output=json", Documents::Output),
            ("bundle --file x -o json", Documents::Output),
            ("bundle --file - -o json", Documents::Errors),
            ("bundle -o json --file=-", Documents::Errors),
            ("bundle --file -", Documents::Nowhere),
        ] {
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            assert_eq!(Documents::of(&words), expected, "{words:?}");
        }
    }
}
