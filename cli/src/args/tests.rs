use super::*;

fn parsed(words: &[&str]) -> Result<Args, clap::Error> {
    let words = ["kubectl-tributary"].iter().chain(words);
    parse(words.map(OsString::from))
}

#[test]
fn the_command_fits_together() {
    command().debug_assert();
}

#[test]
fn flags_may_stand_before_and_after_the_command() {
    for words in [
        ["-n", "shop", "completion", "bash"],
        ["completion", "bash", "-n", "shop"],
    ] {
        assert_eq!(
            parsed(&words).unwrap().common.namespace.as_deref(),
            Some("shop")
        );
    }
}

#[test]
fn the_flags_of_a_kubeconfig_have_the_defaults() {
    let words = ["--kubeconfig", "a/b", "--no-color", "status"];
    assert_eq!(parsed(&words).unwrap().common, Common::of("a/b"));
}

#[test]
fn one_namespace_and_all_exclude_each_other() {
    assert!(parsed(&["completion", "bash", "-n", "shop", "-A"]).is_err());
}

#[test]
fn a_timeout_is_a_span_of_time() {
    assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
    assert!(duration("0s").is_err());
    assert!(duration("-1s").is_err());
    assert!(duration("soon").is_err());
}

#[test]
fn a_size_is_a_number_of_bytes() {
    assert_eq!(size("64Mi"), Ok(64 << 20));
    assert_eq!(size("1000"), Ok(1_000));
    for wrong in ["0", "-1", "100m", "1.5", "much"] {
        assert!(size(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn help_is_that_of_a_plugin_of_kubectl() {
    let help = parsed(&["--help"]).unwrap_err().to_string();
    assert!(
        help.contains("Usage: kubectl tributary [OPTIONS] <COMMAND>"),
        "{help}"
    );
}
