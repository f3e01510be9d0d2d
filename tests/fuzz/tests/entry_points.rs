//! Every target has a binary for libFuzzer.

use tributary_fuzz::TARGETS;

#[test]
fn every_target_has_an_entry_point_of_its_name() {
    let manifest = include_str!("../libfuzzer/Cargo.toml");
    for (target, _) in TARGETS {
        assert!(
            manifest.contains(&format!("name = \"fuzz-{target}\"")),
            "{target}"
        );
    }
    assert_eq!(manifest.matches("[[example]]").count(), TARGETS.len());
}
