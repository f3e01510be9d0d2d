//! Commands to copy. Each names the kubeconfig and the context that this command was started with: without them a copied
//! command would run in another cluster.

use std::path::Path;

use crate::args::Common;

/// The kubeconfig and the context of the caller, for commands to copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    kubeconfig: Option<String>,
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
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Self {
            kubeconfig: common.kubeconfig.as_deref().map(text),
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
        let flag = |name: &str, value: &String| format!("{name}={}", quoted(value));
        let file = self.kubeconfig.as_ref();
        let context = self.context.as_ref();
        let file = file.map(|file| flag("--kubeconfig", file));
        let context = context.map(|context| flag(program.context, context));
        file.into_iter().chain(context).collect()
    }
}

/// A value as one word of a shell.
fn quoted(value: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._:/-@%+=,".contains(letter);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
pub(crate) mod tests;
