//! Finds the commit that is built, for `tributary_build_info`.
//!
//! It comes from `TRIBUTARY_REVISION`, which builds of images set, from `revision.txt`, into which `git archive` writes
//! the commit (`.gitattributes`), or from git. A debug build does not run git, because it would be compiled again after
//! each commit.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script everything in variables"
)]

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=TRIBUTARY_REVISION");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=revision.txt");
    let revision = given().or_else(archived).or_else(checked_out);
    let revision = revision.unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=TRIBUTARY_REVISION={revision}");
}

fn given() -> Option<String> {
    let revision = env::var("TRIBUTARY_REVISION").ok()?;
    is_commit(&revision).then_some(revision)
}

fn archived() -> Option<String> {
    let text = std::fs::read_to_string("revision.txt").ok()?;
    let revision = text.trim();
    is_commit(revision).then(|| revision.to_owned())
}

fn checked_out() -> Option<String> {
    if env::var("PROFILE").as_deref() != Ok("release") {
        return None;
    }
    // Sources inside the repository of another project have no commit of their own.
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    if Path::new(&git(&["rev-parse", "--show-toplevel"])?) != top {
        return None;
    }
    // Every commit and checkout writes the log.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--path-format=absolute", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Whether it is the name of a commit, and not, for example, an unexpanded `$Format$`.
fn is_commit(text: &str) -> bool {
    text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
