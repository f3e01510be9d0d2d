//! The plug-in of k9s: the file has the form that k9s documents, and each command is one that `kubectl tributary` takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
};

use clap::Parser as _;
use serde_json::Value;
use tributary_cli::args::Args;

use crate::repository::read;

const PLUGINS: &str = "deploy/k9s/plugins.yaml";

/// The keys of a plug-in in k9s' schema (internal/config/json/schemas/plugins.json), and those that it must have.
const KEYS: [&str; 10] = [
    "shortCut",
    "override",
    "description",
    "confirm",
    "dangerous",
    "scopes",
    "command",
    "background",
    "overwriteOutput",
    "args",
];
const NEEDED: [&str; 4] = ["shortCut", "description", "scopes", "command"];

/// Letters that k9s uses with Shift in its views of nodes, pods, autoscalers and other resources: A, N, O and S sort,
/// and some views have C, F, J, K, L, P, R, U and V.
const TAKEN: &str = "ACFJKLNOPRSUV";

/// What k9s puts in for its variables.
const VARIABLES: [(&str, &str); 3] = [
    ("$NAMESPACE", "shop"),
    ("$CONTEXT", "arn:aws:eks:eu-west-1:1:cluster/prod one"),
    ("$NAME", "web-0"),
];

fn plugins() -> BTreeMap<String, Value> {
    let file: Value = serde_saphyr::from_str(&read(PLUGINS)).unwrap();
    let file = file.as_object().unwrap();
    assert_eq!(file.keys().collect::<Vec<_>>(), ["plugins"]);
    let plugins = file["plugins"].as_object().unwrap().clone();
    plugins.into_iter().collect()
}

fn texts(plugin: &Value, key: &str) -> Vec<String> {
    let texts = plugin[key].as_array().unwrap().iter();
    texts.map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// Runs the command of a plug-in as k9s does, with a kubectl that prints its arguments, and returns these.
fn arguments(plugin: &Value) -> Vec<String> {
    let programs = tempfile::tempdir().unwrap();
    for (name, script) in [
        ("kubectl", "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"),
        ("less", "#!/bin/sh\nexec cat\n"),
    ] {
        let path = programs.path().join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let put_in = |argument: String| {
        let variables = VARIABLES.iter();
        variables.fold(argument, |text, (name, value)| text.replace(name, value))
    };
    let command = plugin["command"].as_str().unwrap();
    let program = match command {
        "sh" => "/bin/sh".into(),
        name => programs.path().join(name),
    };
    let path = format!("{}:/usr/bin:/bin", programs.path().display());
    let output = Command::new(program)
        .args(texts(plugin, "args").into_iter().map(put_in))
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_plug_in_has_the_form_that_k9s_documents() {
    let plugins = plugins();
    let mut used = BTreeSet::new();
    for (name, plugin) in &plugins {
        let keys: Vec<&String> = plugin.as_object().unwrap().keys().collect();
        let unknown = keys.iter().find(|key| !KEYS.contains(&key.as_str()));
        assert_eq!(unknown, None, "{name}");
        let missing = NEEDED.iter().find(|key| plugin[**key].is_null());
        assert_eq!(missing, None, "{name}");
        assert_eq!(plugin["background"], false, "{name}");
        let key = plugin["shortCut"].as_str().unwrap();
        let letter = key.strip_prefix("Shift-").unwrap();
        assert!(
            letter.len() == 1 && !TAKEN.contains(letter),
            "{name}: {key}"
        );
        for scope in texts(plugin, "scopes") {
            assert!(used.insert((scope, key.to_owned())), "{name}: {key} twice");
        }
    }
    for view in ["nodes", "pods", "hpa"] {
        let keys = used.iter().filter(|(scope, _)| scope == view).count();
        assert_eq!(keys, 3, "explain, doctor and status in {view}");
    }
}

#[test]
fn kubectl_tributary_takes_each_command_of_the_plug_in() {
    let context = VARIABLES[1].1;
    let mut commands = Vec::new();
    for (name, plugin) in plugins() {
        let given = arguments(&plugin);
        let (first, rest) = given.split_first().unwrap();
        assert_eq!(first, "tributary", "{name}");
        let program = ["kubectl-tributary".to_owned()];
        let args = Args::try_parse_from(program.iter().chain(rest));
        let args = args.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(args.common.context.as_deref(), Some(context), "{name}");
        commands.push(rest[..rest.len() - 2].join(" "));
    }
    commands.sort();
    assert_eq!(
        commands,
        [
            "doctor",
            "explain hpa web-0 -n shop",
            "explain node web-0",
            "explain pod web-0 -n shop",
            "status --watch",
        ]
    );
}
