//! Forms of arguments that kubectl takes, too.

use std::ffi::OsString;

use clap::{Arg, Command};

/// The flag that a word is, without a value: `--name` or `-n`.
pub(crate) fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let is = |arg: &&Arg| {
        let long = arg.get_long().map(|name| format!("--{name}"));
        let short = arg.get_short().map(|name| format!("-{name}"));
        [long, short].into_iter().flatten().any(|name| name == word)
    };
    command.get_arguments().find(is)
}

/// `explain pod/NAME` as `explain pod NAME`.
pub(super) fn in_two_words(command: &Command, mut words: Vec<OsString>) -> Vec<OsString> {
    let takes_value =
        |word: &str| flag(command, word).is_some_and(|flag| flag.get_action().takes_values());
    // Words that are neither flags nor their values, as places. The first word is the program.
    let mut places = Vec::new();
    let mut is_value = false;
    for (place, word) in words.iter().enumerate().skip(1) {
        let word = word.to_str().unwrap_or_default();
        let is_flag = word.starts_with('-') && !is_value;
        if !is_flag && !is_value {
            places.push(place);
        }
        is_value = is_flag && takes_value(word);
    }
    let [explain, what, ..] = *places else {
        return words;
    };
    let is_explain = words.get(explain).is_some_and(|word| word == "explain");
    let kinds = command.find_subcommand("explain").filter(|_| is_explain);
    let word = words.get(what).and_then(|word| word.to_str());
    let Some((kind, name)) = word.and_then(|word| word.split_once('/')) else {
        return words;
    };
    if kinds.is_some_and(|kinds| kinds.find_subcommand(kind).is_some()) {
        let both = [kind, name].map(OsString::from);
        words.splice(what..=what, both);
    }
    words
}
