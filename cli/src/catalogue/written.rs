//! What is written about troubles: the page, and commands with values.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Code, Level, Trouble};
use crate::commands::Commands;

/// The page about all of them.
pub const PAGE: &str = "docs/troubles/README.md";

impl Code {
    /// The trouble with this code, or with this name.
    #[must_use]
    pub fn find(word: &str) -> Option<Self> {
        let is = |code: &&Self| {
            let Trouble { code, name, .. } = code.trouble();
            code.eq_ignore_ascii_case(word) || name.eq_ignore_ascii_case(word)
        };
        Self::ALL.iter().find(is).copied()
    }

    /// Where it is described.
    #[must_use]
    pub fn link(self) -> String {
        format!("{PAGE}#{}", self.trouble().code.to_lowercase())
    }

    /// The command that shows its section.
    #[must_use]
    pub fn explain(self, cluster: &Commands) -> String {
        let Trouble { code, .. } = self.trouble();
        cluster.command(&format!("kubectl tributary explain trouble {code}"))
    }

    /// The same as the section, in the fields of a finding.
    #[must_use]
    pub fn document(self, cluster: &Commands) -> Value {
        let Trouble {
            code,
            name,
            level,
            title,
            matters,
            remedy,
            commands,
        } = self.trouble();
        let commands = commands.iter();
        let commands = commands.map(|command| cluster.command(&filled(command, &[])));
        json!({
            "code": code, "name": name, "level": level, "title": title, "matters": matters, "remedy": remedy,
            "commands": commands.collect::<Vec<_>>(), "link": self.link(),
        })
    }

    /// The section about it. Its commands are for this cluster, with names in capitals for what is to be filled in.
    #[must_use]
    pub fn section(self, cluster: &Commands) -> String {
        let Trouble {
            code,
            name,
            title,
            matters,
            remedy,
            commands,
            ..
        } = self.trouble();
        let mut text =
            format!("## {code}\n\n**{name}**: {title}.\n\n{matters}\n\n{remedy}\n\n```sh\n");
        for command in *commands {
            text.push_str(&cluster.command(&filled(command, &[])));
            text.push('\n');
        }
        text + "```\n"
    }
}

/// The whole page.
#[must_use]
pub fn page() -> String {
    let mut text = "# Troubles\n\nWritten from `cli/src/catalogue.rs` by `cargo run -p tributary-e2e --bin documents`.\n\n\
        `kubectl tributary doctor` looks for these troubles and prints the code of each that it finds. Codes never change their meaning.\n\
        [How each is made in tests](MADE.md).\n\n\
        | code | trouble | level |\n|---|---|---|\n"
        .to_owned();
    for code in Code::ALL {
        let Trouble {
            code, title, level, ..
        } = code.trouble();
        let level = match level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let anchor = code.to_lowercase();
        writeln!(text, "| [{code}](#{anchor}) | {title} | {level} |").ok();
    }
    for code in Code::ALL {
        text.push('\n');
        text.push_str(&code.section(&Commands::default()));
    }
    text
}

/// The value of a name after an option, as in `{-n namespace}`, for all namespaces and what is in none: no namespace can
/// have this name.
pub const EVERYWHERE: &str = "*";

/// A command with values for the names in braces; a name without a value is written in capitals. Two braces are one. A
/// value with a character that a shell may obey is not filled in. In `{-n name}` the option stays before the value, and
/// [`EVERYWHERE`] makes it `-A`.
fn filled(command: &str, values: &[(&str, String)]) -> String {
    fill(command, values).0
}

/// The same if each name has a value: a command that is to be edited first cannot be copied.
#[must_use]
pub fn whole(command: &str, values: &[(&str, String)]) -> Option<String> {
    let (text, is_whole) = fill(command, values);
    is_whole.then_some(text)
}

fn fill(command: &str, values: &[(&str, String)]) -> (String, bool) {
    let (mut text, mut rest, mut is_whole) = (String::new(), command, true);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            text.extend(from.chars().take(1));
            rest = after;
            continue;
        }
        let Some((name, after)) = from.strip_prefix('{').and_then(|from| from.split_once('}'))
        else {
            break;
        };
        rest = after;
        let (option, name) = name
            .split_once(' ')
            .map_or((None, name), |(option, name)| (Some(option), name));
        let value = values.iter().find(|(known, _)| *known == name);
        let value = value.map(|(_, value)| value);
        if let Some(option) = option {
            if value.is_some_and(|value| value == EVERYWHERE) {
                text.push_str("-A");
                continue;
            }
            text.push_str(option);
            text.push(' ');
        }
        let value = value.filter(|value| is_plain(value));
        is_whole &= value.is_some();
        text.push_str(&value.map_or_else(|| name.to_uppercase(), String::clone));
    }
    (text + rest, is_whole)
}

fn is_plain(value: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._:/-[]".contains(letter);
    !value.is_empty() && !value.starts_with('-') && value.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_every_trouble_is_described() {
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.trouble().code).collect();
        assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
        for code in Code::ALL {
            let Trouble {
                code,
                title,
                matters,
                remedy,
                commands,
                ..
            } = code.trouble();
            let number = code
                .strip_prefix("TRB")
                .and_then(|number| number.parse::<u16>().ok());
            assert!(number.is_some() && code.len() == 6, "{code}");
            assert!(!title.ends_with('.') && matters.ends_with('.'), "{code}");
            assert!(remedy.ends_with('.') && !commands.is_empty(), "{code}");
        }
    }

    #[test]
    fn values_are_filled_in_and_what_a_shell_obeys_is_not() {
        let command = "kubectl get node {node} -o jsonpath='{{.status}}'";
        let of = |value: &str| filled(command, &[("node", value.to_owned())]);
        assert_eq!(of("n-1"), "kubectl get node n-1 -o jsonpath='{.status}'");
        for evil in ["n; rm -rf", "$(x)", "-A", ""] {
            assert_eq!(of(evil), "kubectl get node NODE -o jsonpath='{.status}'");
            assert_eq!(whole(command, &[("node", evil.to_owned())]), None);
        }
        let node = [("node", "n-1".to_owned())];
        assert_eq!(whole(command, &node), Some(of("n-1")));
        assert_eq!(whole(command, &[]), None);
    }

    #[test]
    fn what_a_check_has_to_fill_in_is_in_braces() {
        // A word in capitals that is none of a shell or a format.
        let is_placeholder =
            |word: &str| word.len() > 2 && word.chars().all(|letter| letter.is_ascii_uppercase());
        for code in Code::ALL {
            for command in code.trouble().commands {
                let mut words = command.split(|letter: char| !letter.is_ascii_alphanumeric());
                assert!(!words.any(is_placeholder), "{command}");
            }
        }
    }

    /// GitHub's anchor for a heading.
    fn anchor(heading: &str) -> String {
        let kept = |letter: char| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ => letter.is_alphanumeric().then_some(letter),
        };
        heading.to_lowercase().chars().filter_map(kept).collect()
    }

    #[test]
    fn what_is_written_elsewhere_is_named_by_file_and_section() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
        let mut named = 0;
        for code in Code::ALL {
            let Trouble {
                matters, remedy, ..
            } = code.trouble();
            let words = matters.split_whitespace().chain(remedy.split_whitespace());
            for word in words {
                let word = word.trim_matches(|letter: char| "(),.:;".contains(letter));
                if !word.contains(".md") {
                    continue;
                }
                named += 1;
                let (path, section) = word.split_once('#').expect(word);
                let text = std::fs::read_to_string(format!("{root}{path}")).expect(word);
                let titles = text.lines().filter_map(|line| line.strip_prefix('#'));
                let titles = titles.map(|title| title.trim_start_matches('#').trim());
                let found = titles.map(anchor).any(|title| title == section);
                assert!(found, "{word}");
            }
        }
        assert!(named >= 8, "{named}");
    }

    #[test]
    fn an_option_stays_before_its_value_and_is_another_for_all_namespaces() {
        let of = |value: &str| filled("can-i {-n place} --x", &[("place", value.to_owned())]);
        assert_eq!(of("sys"), "can-i -n sys --x");
        assert_eq!(of(EVERYWHERE), "can-i -A --x");
        assert_eq!(of("-A"), "can-i -n PLACE --x");
        assert_eq!(filled("can-i {-n place}", &[]), "can-i -n PLACE");
        let without_option = filled("get {place}", &[("place", EVERYWHERE.to_owned())]);
        assert_eq!(without_option, "get PLACE");
    }

    #[test]
    fn for_programs_a_trouble_has_the_fields_of_a_finding() {
        let document = Code::NoRoute.document(&Commands::default());
        let finding = json!(crate::doctor::Finding::new(Code::NoRoute, "x"));
        let fields = [
            "code", "name", "level", "title", "matters", "remedy", "link",
        ];
        for field in fields {
            assert_eq!(document[field], finding[field], "{field}");
            assert!(document[field].is_string(), "{field}");
        }
        assert_eq!(document["code"], "TRB007");
        assert_eq!(document["level"], "error");
        let command = "kubectl get apiservice APISERVICE -o jsonpath='{.status.conditions}'";
        assert_eq!(document["commands"][0], command);
    }

    #[test]
    fn a_trouble_is_found_by_code_and_by_name() {
        assert_eq!(Code::find("trb007"), Some(Code::NoRoute));
        assert_eq!(Code::find("noroute"), Some(Code::NoRoute));
        assert_eq!(Code::find("TRB"), None);
        assert_eq!(Code::NoRoute.link(), "docs/troubles/README.md#trb007");
    }
}
