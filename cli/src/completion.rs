//! Completion: scripts for shells, and the answers that kubectl asks a plugin for.

use std::io::{self, Write};

use clap::{Arg, Command};
use clap_complete::{generate, shells};

use crate::args::{Shell, command, flag};

/// Of the program by its own name.
const NAME: &str = "kubectl-tributary";

/// What kubectl runs to complete `kubectl tributary`.
const KUBECTL: &str = "#!/bin/sh\nexec kubectl-tributary __complete \"$@\"\n";

/// How kubectl shall take the suggestions: no names of files.
const NO_FILES: &str = ":4";

/// Writes the script for a shell.
///
/// # Errors
///
/// `out` takes no more.
pub fn script(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    let mut command = command();
    let mut text = Vec::new();
    match shell {
        Shell::Kubectl => text.extend_from_slice(KUBECTL.as_bytes()),
        Shell::Bash => generate(shells::Bash, &mut command, NAME, &mut text),
        Shell::Zsh => generate(shells::Zsh, &mut command, NAME, &mut text),
        Shell::Fish => generate(shells::Fish, &mut command, NAME, &mut text),
    }
    out.write_all(&text)
}

/// Writes what the last of `words` may become: commands, flags, or values of a flag, one in a line.
///
/// # Errors
///
/// `out` takes no more.
pub fn suggest(words: &[String], out: &mut impl Write) -> io::Result<()> {
    for suggestion in suggestions(words) {
        writeln!(out, "{suggestion}")?;
    }
    writeln!(out, "{NO_FILES}")
}

fn suggestions(words: &[String]) -> Vec<String> {
    let mut root = command();
    root.build();
    let (last, before) = words
        .split_last()
        .map_or(("", &[][..]), |(last, before)| (last, before));
    let mut at = &root;
    for word in before {
        at = at.find_subcommand(word).unwrap_or(at);
    }
    // Shells put the part up to the sign before what is suggested.
    let (given, last) = last
        .split_once('=')
        .filter(|(given, _)| given.starts_with('-'))
        .map_or(
            (before.last().map(String::as_str), last),
            |(given, last)| (Some(given), last),
        );
    let flag = given.and_then(|word| flag(at, word));
    let mut found: Vec<String> = match flag {
        Some(flag) if flag.get_action().takes_values() => values(flag),
        _ if last.starts_with('-') => flags(at),
        _ if at.has_subcommands() => commands(at),
        _ => at.get_positionals().flat_map(values).collect(),
    };
    found.retain(|suggestion| suggestion.starts_with(last));
    found
}

fn flags(command: &Command) -> Vec<String> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let names = shown.flat_map(|arg| {
        let long = arg.get_long().map(|name| format!("--{name}"));
        let short = arg.get_short().map(|name| format!("-{name}"));
        long.into_iter().chain(short)
    });
    names.collect()
}

fn commands(command: &Command) -> Vec<String> {
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    shown.map(|it| it.get_name().to_owned()).collect()
}

fn values(arg: &Arg) -> Vec<String> {
    let values = arg.get_possible_values().into_iter();
    values.map(|value| value.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Vec<String> {
        suggestions(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn commands_flags_and_values_are_suggested() {
        assert_eq!(of(&["comp"]), ["compare", "completion"]);
        assert_eq!(of(&["switch", "st"]), ["status"]);
        assert_eq!(of(&["completion", "b"]), ["bash"]);
        assert_eq!(of(&["completion", "--con"]), ["--context"]);
        assert_eq!(of(&["completion", "--output", ""]), ["text", "json"]);
        assert_eq!(of(&["completion", "-o", "j"]), ["json"]);
        assert_eq!(of(&["explain", "node", "n-0", "-o", ""]), ["text", "json"]);
        assert_eq!(of(&["doctor", "-o"]), ["-o"]);
        assert_eq!(of(&["doctor", "--output="]), ["text", "json"]);
        assert_eq!(of(&["doctor", "-o=j"]), ["json"]);
        assert_eq!(of(&["-o", "json", "st"]), ["status"]);
        assert_eq!(of(&["doctor", "--context=a=b"]), [""; 0]);
        assert!(!of(&[""]).contains(&"__complete".to_owned()));
    }

    #[test]
    fn kubectl_is_asked_not_to_suggest_files() {
        let mut out = Vec::new();
        suggest(&["compl".to_owned()], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "completion\n:4\n");
    }

    #[test]
    fn every_shell_has_a_script() {
        for (shell, word) in [
            (Shell::Kubectl, "__complete"),
            (Shell::Bash, "complete -F"),
            (Shell::Zsh, "#compdef kubectl-tributary"),
            (Shell::Fish, "complete -c kubectl-tributary"),
        ] {
            let mut out = Vec::new();
            script(shell, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(word), "{shell:?}: {text}");
        }
    }
}
