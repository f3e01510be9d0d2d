//! Commands to copy. Each names the kubeconfig and the context that this command was started with: without them a copied
//! command would run in another cluster.

use std::{ffi::OsString, fmt::Write as _};

use crate::{args::Common, printed::harmless};

/// The kubeconfig and the context of the caller, for commands to copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    kubeconfig: Option<OsString>,
    context: Option<String>,
}

/// A program that reads kubeconfig files.
struct Program {
    name: &'static str,
    /// Its flag for the context. That for the file is the same everywhere.
    context: &'static str,
}

const PROGRAMS: [Program; 3] = [
    Program {
        name: KUBECTL,
        context: "--context",
    },
    Program {
        name: "helm",
        context: "--kube-context",
    },
    Program {
        name: "flux",
        context: "--context",
    },
];

const KUBECTL: &str = "kubectl";

/// kubectl accepts no flag before the name of a plug-in.
const PLUGIN: &str = "tributary";

/// The words after which a shell expects a program.
const BEFORE_PROGRAM: [&str; 5] = ["time", "|", "&&", "||", ";"];

impl Commands {
    /// Those of a caller with these flags.
    #[must_use]
    pub fn of(common: &Common) -> Self {
        Self {
            kubeconfig: common.kubeconfig.clone().map(Into::into),
            context: common.context.clone(),
        }
    }

    /// A command line for a shell, with the flags that name the cluster of the caller.
    #[must_use]
    pub fn command(&self, line: &str) -> String {
        let mut words: Vec<String> = Vec::new();
        let mut is_program = true;
        let mut rest = line.split(' ').peekable();
        while let Some(word) = rest.next() {
            words.push(word.to_owned());
            let known = PROGRAMS.iter().find(|it| it.name == word);
            if let Some(program) = known.filter(|_| is_program) {
                if program.name == KUBECTL {
                    words.extend(rest.next_if_eq(&PLUGIN).map(str::to_owned));
                }
                words.extend(self.flags(program));
            }
            is_program = BEFORE_PROGRAM.contains(&word);
        }
        words.join(" ")
    }

    fn flags(&self, program: &Program) -> Vec<String> {
        let flag = |name: &str, value: &[u8]| format!("{name}={}", quoted(value));
        let file = self.kubeconfig.as_ref();
        let file = file.map(|file| file.as_encoded_bytes());
        let context = self.context.as_ref().map(String::as_bytes);
        let file = file.map(|file| flag("--kubeconfig", file));
        let context = context.map(|context| flag(program.context, context));
        file.into_iter().chain(context).collect()
    }
}

/// A value as one word of a shell. What a terminal does not show as it is, and what is no UTF-8, is written as numbers, which
/// bash, zsh and ksh read: a line break in a name does not break the command.
fn quoted(value: &[u8]) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._:/-@%+=,".contains(letter);
    match str::from_utf8(value) {
        Ok(text) if !text.is_empty() && text.chars().all(is_plain) => text.to_owned(),
        Ok(text) if harmless(text) == text => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let mut quoted = "$'".to_owned();
            for byte in value {
                match byte {
                    b'\'' | b'\\' => quoted.extend(['\\', char::from(*byte)]),
                    b' '..=b'~' => quoted.push(char::from(*byte)),
                    _ => drop(write!(quoted, "\\{byte:03o}")),
                }
            }
            quoted + "'"
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
