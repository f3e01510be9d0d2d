//! Documents that are generated from the code: the flags of the binaries, for readers and for the Helm chart, and the
//! troubles that `doctor` knows.

use std::{any::TypeId, path::PathBuf, time::Duration};

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use serde_json::Value;
use tributary_apiserver::args::Args as FrontendArgs;
use tributary_scraper::args::{Args as ScraperArgs, ByteSize, GoDuration};

/// What the values of the chart may be.
const SCHEMA: &str = include_str!("../../deploy/helm/tributary/values.schema.json");

/// A file of the repository and its expected content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The path from the root of the repository.
    pub path: &'static str,
    /// The content.
    pub text: String,
}

/// All documents.
pub fn all() -> Vec<Document> {
    let (frontend, scraper) = (FrontendArgs::command(), ScraperArgs::command());
    vec![
        Document {
            path: "docs/flags-apiserver.md",
            text: manual(&frontend),
        },
        Document {
            path: "docs/flags-scraper.md",
            text: manual(&scraper),
        },
        Document {
            path: "docs/flags-cli.md",
            text: commands(&tributary_cli::args::command()),
        },
        Document {
            path: tributary_cli::catalogue::PAGE,
            text: tributary_cli::catalogue::page(),
        },
        Document {
            path: "deploy/helm/tributary/files/flags.yaml",
            text: kinds(&[("frontend", &frontend), ("scraper", &scraper)]),
        },
        Document {
            path: "deploy/helm/tributary/files/keys.yaml",
            text: keys(SCHEMA),
        },
    ]
}

/// The flags of every command, and then each command with its own flags.
fn commands(command: &Command) -> String {
    let title = command.get_bin_name().unwrap_or_default();
    let mut text = format!(
        "# Flags of {title}\n\nWritten from the code by `cargo run -p tributary-e2e --bin documents`; `--help` says the same.\n\n\
         ## Every command\n"
    );
    text.extend(flags(command).map(entry));
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    for command in shown {
        text.push_str(&section(command.get_name(), command));
        // Those that have nothing of their own are in the text of the command.
        let more = command.get_subcommands();
        for more in more.filter(|more| flags(more).next().is_some()) {
            let name = format!("{} {}", command.get_name(), more.get_name());
            text.push_str(&section(&name, more));
        }
    }
    text
}

/// A command with its flags.
fn section(name: &str, command: &Command) -> String {
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let mut text = format!("\n## {name}\n\n{about}\n");
    text.extend(flags(command).map(entry));
    text
}

/// Flags in the order of `--help`, with its headings.
fn manual(command: &Command) -> String {
    let mut text = format!(
        "# Flags of {}\n\nWritten from the code by `cargo run -p tributary-e2e --bin documents`; `--help` says the same.\n",
        command.get_name()
    );
    let mut heading = None;
    let mut sections: Vec<(&str, Vec<&Arg>)> = Vec::new();
    for arg in flags(command) {
        let of = arg.get_help_heading().unwrap_or("Others");
        if heading != Some(of) && !sections.iter().any(|(name, _)| *name == of) {
            sections.push((of, Vec::new()));
        }
        heading = Some(of);
        if let Some((_, args)) = sections.iter_mut().find(|(name, _)| *name == of) {
            args.push(arg);
        }
    }
    for (name, args) in sections {
        text.extend(["\n## ", name, "\n"]);
        text.extend(args.into_iter().map(entry));
    }
    text
}

fn entry(arg: &Arg) -> String {
    let mut text = format!("\n### `--{}`\n\n", arg.get_long().unwrap_or_default());
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    for line in help.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let mut facts = Vec::new();
    if arg.get_action().takes_values() {
        let names = arg.get_value_names().unwrap_or_default();
        let names = names.iter().map(clap::builder::Str::as_str);
        facts.push(format!("Value: `{}`", names.collect::<Vec<_>>().join(" ")));
    }
    let defaults = arg.get_default_values().iter();
    let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && !defaults.iter().all(|value| value.is_empty()) {
        facts.push(format!("default: `{}`", defaults.join(",")));
    }
    if let Some(name) = arg.get_env() {
        facts.push(format!("or `${}`", name.to_string_lossy()));
    }
    if let Some(short) = arg.get_short() {
        facts.push(format!("short: `-{short}`"));
    }
    if matches!(arg.get_action(), ArgAction::Append) {
        facts.push("may be repeated".to_owned());
    }
    if !facts.is_empty() {
        text.extend(["\n", &facts.join("; "), ".\n"]);
    }
    text
}

/// The names of all values of the chart, which says what a misspelled one should be.
fn keys(schema: &str) -> String {
    let schema: Value = serde_json::from_str(schema).expect("the schema is JSON");
    let mut text = "# Written by `cargo run -p tributary-e2e --bin documents`.\n".to_owned();
    add_keys(&schema, 0, &mut text);
    text
}

fn add_keys(schema: &Value, depth: usize, text: &mut String) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut properties: Vec<_> = properties.into_iter().flatten().collect();
    properties.sort_by_key(|(name, _)| *name);
    for (name, below) in properties {
        let is_open = below.get("additionalProperties") == Some(&Value::Bool(true));
        let has_names = below.get("properties").is_some() && !is_open;
        let value = if has_names { "" } else { " true" };
        text.extend([&"  ".repeat(depth), name, ":", value, "\n"]);
        if has_names {
            add_keys(below, depth + 1, text);
        }
    }
}

/// What the chart needs to pass flags to the right component, to let the last of several values win, and to refuse
/// values of another type.
fn kinds(components: &[(&str, &Command)]) -> String {
    let mut text = "# Written by `cargo run -p tributary-e2e --bin documents`.\n\
                    # none: a switch; optional: a switch that may have a value; one, many: values. Then their type.\n"
        .to_owned();
    for (component, command) in components {
        text.extend([*component, ":\n"]);
        let mut lines: Vec<String> = Vec::new();
        for arg in flags(command) {
            let kind = [kind(arg), &value_type(arg)].join(" ");
            let kind = kind.trim_end();
            let aliases = arg.get_all_aliases().unwrap_or_default();
            let shorts = arg.get_short().filter(|short| *short != 'l');
            let names = arg.get_long().into_iter().chain(aliases);
            let names = names
                .map(str::to_owned)
                .chain(shorts.map(|short| short.to_string()));
            lines.extend(names.map(|name| format!("  {name}: {kind}\n")));
        }
        lines.sort();
        lines.dedup();
        text.extend(lines);
    }
    text
}

fn kind(arg: &Arg) -> &'static str {
    let least = arg.get_num_args().map_or(1, |range| range.min_values());
    match arg.get_action() {
        ArgAction::Append | ArgAction::Set if least == 0 => "optional",
        ArgAction::Append => "many",
        ArgAction::Set => "one",
        _ => "none",
    }
}

/// What a value of the flag may be, if the flag does not take every text.
fn value_type(arg: &Arg) -> String {
    let parser = arg.get_value_parser();
    if !arg.get_action().takes_values() {
        return String::new();
    }
    if let Some(values) = parser.possible_values() {
        let values = values.map(|value| value.get_name().to_owned());
        return values.collect::<Vec<_>>().join("|");
    }
    let is_one_of = |types: &[TypeId]| types.iter().any(|it| parser.type_id() == *it);
    let integers = [
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<i32>(),
        TypeId::of::<i64>(),
    ];
    let name = if is_one_of(&[TypeId::of::<GoDuration>(), TypeId::of::<Duration>()]) {
        "duration"
    } else if is_one_of(&integers) {
        "integer"
    } else if is_one_of(&[TypeId::of::<f64>()]) {
        "number"
    } else if is_one_of(&[TypeId::of::<ByteSize>()]) {
        "size"
    } else if is_one_of(&[TypeId::of::<PathBuf>()]) {
        "file"
    } else {
        ""
    };
    name.to_owned()
}

fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    let ours = |arg: &&Arg| arg.get_long().is_some() && !arg.is_hide_set();
    command.get_arguments().filter(ours)
}
