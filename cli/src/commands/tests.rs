//! Every command that is printed to be copied names the cluster of the caller.

use std::{fs, path::Path, process::Command};

use super::*;
use crate::{catalogue::Code, doctor::Finding, explain};

/// A caller who named a kubeconfig and a context that a shell would not take as they are.
pub(crate) fn named() -> Commands {
    let mut common = Common::of("/tmp/a b/kube'config");
    common.context = Some("prod".to_owned());
    Commands::of(&common)
}

/// What each command of kubectl then has.
pub(crate) const FLAGS: &str = r"--kubeconfig='/tmp/a b/kube'\''config' --context=prod";

#[test]
fn each_program_gets_the_flags_in_its_own_place() {
    let commands = named();
    let helm = FLAGS.replace("--context", "--kube-context");
    for (line, expected) in [
        ("kubectl get pods", format!("kubectl {FLAGS} get pods")),
        (
            "kubectl tributary switch to",
            format!("kubectl tributary {FLAGS} switch to"),
        ),
        ("kubectl tributary", format!("kubectl tributary {FLAGS}")),
        ("helm upgrade x y", format!("helm {helm} upgrade x y")),
        ("flux suspend x", format!("flux {FLAGS} suspend x")),
        (
            "time kubectl get --raw /x | grep kubectl",
            format!("time kubectl {FLAGS} get --raw /x | grep kubectl"),
        ),
        (
            "kubectl get a && kubectl  get b",
            format!("kubectl {FLAGS} get a && kubectl {FLAGS}  get b"),
        ),
        ("curl -k https://x", "curl -k https://x".to_owned()),
    ] {
        assert_eq!(commands.command(line), expected);
        assert_eq!(Commands::default().command(line), line);
    }
}

#[test]
fn values_are_one_word_of_a_shell() {
    for (value, expected) in [
        ("/home/me/.kube/config", "/home/me/.kube/config"),
        ("arn:aws:eks:eu:1:cluster/a", "arn:aws:eks:eu:1:cluster/a"),
        ("", "''"),
        ("a b", "'a b'"),
        ("$(x)", "'$(x)'"),
        ("~/x", "'~/x'"),
        ("it's", r"'it'\''s'"),
    ] {
        assert_eq!(quoted(value.as_bytes()), expected);
    }
}

#[test]
fn a_name_that_a_terminal_does_not_show_as_it_is_can_be_pasted() {
    for (value, expected) in [
        (&b"a\nb"[..], r"$'a\012b'"),
        (b"it's\\\t", r"$'it\'s\\\011'"),
        (b"\xff/k", r"$'\377/k'"),
        ("a\u{202e}7".as_bytes(), r"$'a\342\200\2567'"),
        ("Grüße 語".as_bytes(), "'Grüße 語'"),
    ] {
        let word = quoted(value);
        assert_eq!(word, expected);
        // The shell that reads it gets the same bytes.
        let echo = format!("printf %s {word}");
        let read = Command::new("bash").args(["-c", &echo]).output().unwrap();
        assert_eq!(read.stdout, value, "{word}");
    }
}

#[cfg(unix)]
#[test]
fn a_path_that_is_no_text_stays_the_same_path() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};
    let path = OsString::from_vec(b"/tmp/\xff\n".to_vec());
    let commands = Commands::of(&Common::of(path));
    let expected = r"kubectl --kubeconfig=$'/tmp/\377\012' get pods";
    assert_eq!(commands.command("kubectl get pods"), expected);
}

/// The commands of a trouble with a value for each name.
fn commands_of(code: Code) -> Vec<String> {
    let names = [
        "account",
        "address",
        "apiservice",
        "container",
        "csr",
        "endpoint",
        "hpa",
        "lease",
        "namespace",
        "node",
        "owner",
        "pod",
        "port",
        "resource",
        "resource_namespace",
        "scraper",
        "service",
        "target",
        "verb",
    ];
    let finding = Finding::new(code, "").on(&named());
    let finding = names
        .into_iter()
        .fold(finding, |it, name| it.with(name, "x"));
    finding.commands()
}

#[test]
fn every_command_of_the_catalogue_names_the_cluster_and_has_no_comment() {
    let mut seen = 0;
    for code in Code::ALL {
        let written = code.trouble().commands;
        let commands = commands_of(*code);
        assert_eq!(commands.len(), written.len(), "{commands:?}");
        let document = code.document(&named());
        let section = code.section(&named());
        for (index, command) in commands.iter().enumerate() {
            assert!(!command.contains('#'), "{command}");
            let of_document = document["commands"][index].as_str().unwrap();
            for command in [command.as_str(), of_document] {
                for program in ["kubectl", "helm"] {
                    let programs = command.split(' ').filter(|word| *word == program).count();
                    seen += programs;
                    let flags = command.matches("--kubeconfig=").count();
                    assert!(programs == 0 || flags == programs, "{command}");
                }
            }
            assert!(section.contains(of_document), "{section}");
        }
    }
    assert!(seen > 100, "{seen}");
    assert_eq!(explain::trouble("TRB003").unwrap(), Code::AnotherServer);
}

/// Sentences that name kubectl and are no commands.
const SENTENCES: [&str; 7] = [
    "kubectl tributary doctor` looks",
    "kubectl top",
    "kubectl caches",
    "kubectl uses",
    "kubectl and autoscalers",
    "kubectl tributary ui wrote",
    "kubectl tributary {}, made",
];

/// Where commands are written: in the catalogue, and as arguments of [`Commands::command`].
const BEGINNINGS: [&str; 5] = [
    "command(\"",
    "command(&format!(\"",
    "whole(\"",
    "run \"",
    "run \"time ",
];

/// The files with code, without tests.
fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") && !path.ends_with("page") {
            sources(&path, found);
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        // All commands of owners go through one call, and have a test of their own.
        let left_out = ["tests.rs", "fake.rs", "healthy.rs", "owner.rs"];
        let is_code = path.extension().is_some_and(|it| it == "rs");
        if !is_code || left_out.contains(&name) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = code.lines().map(str::trim);
        let lines = lines.filter(|line| !line.starts_with("//"));
        // Literals that go on in the next line, and arguments that begin there.
        let joined = lines.collect::<Vec<_>>().join(" ");
        let joined = joined.replace("\\ ", "").replace("( ", "(");
        found.push(joined);
    }
}

#[test]
fn no_command_is_printed_in_another_way() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut seen = 0;
    for text in &files {
        for program in ["kubectl ", "helm "] {
            for (at, _) in text.match_indices(program) {
                let (before, from) = text.split_at(at);
                let is_command = BEGINNINGS.iter().any(|it| before.ends_with(*it));
                let is_sentence = SENTENCES.iter().any(|it| from.starts_with(*it))
                    || before.ends_with(".bin_name(\"");
                seen += usize::from(is_command);
                let shown: String = from.chars().take(80).collect();
                assert!(is_command || is_sentence, "{shown}");
            }
        }
    }
    assert!(seen > 60, "{seen}");
}
