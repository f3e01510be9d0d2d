//! Every target has a binary for libFuzzer, which calls it.

use std::{fs, path::Path};

use tributary_fuzz::TARGETS;

#[test]
fn every_target_has_an_entry_point_of_its_name_that_calls_it() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer");
    let manifest = fs::read_to_string(directory.join("Cargo.toml")).unwrap();
    for (target, _) in TARGETS {
        let example = format!("name = \"fuzz-{target}\"\npath = \"src/{target}.rs\"\n");
        assert!(manifest.contains(&example), "{target}");
        let source = fs::read_to_string(directory.join(format!("src/{target}.rs"))).unwrap();
        let call = format!(
            "libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::{target}::check(data));"
        );
        let code = source.lines().filter(|line| !line.starts_with("//"));
        let code: Vec<&str> = code.filter(|line| !line.is_empty()).collect();
        assert_eq!(code, ["#![no_main]", call.as_str()], "{target}");
    }
    assert_eq!(manifest.matches("[[example]]").count(), TARGETS.len());
}
