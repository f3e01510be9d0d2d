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
fn names_that_kubernetes_never_gives_are_refused() {
    for words in [
        ["explain", "pod", ""],
        ["explain", "pod", "a/b/c"],
        ["explain", "hpa", "shop/"],
        ["explain", "node", "a/b"],
        ["status", "-n", ""],
        ["status", "-n", "a/b"],
    ] {
        let error = parsed(&words).unwrap_err();
        assert!(error.use_stderr(), "{error}");
        let text = error.to_string();
        let value = words[2];
        assert!(
            text.contains(&format!("invalid value '{value}' for ")),
            "{text}"
        );
    }
    assert!(parsed(&["explain", "pod/a/b/c"]).is_err());
}

#[test]
fn what_is_wrong_is_a_sentence_and_says_how_long_a_name_may_be() {
    let long = "a".repeat(300);
    for (words, expected) in [
        (
            &["explain", "node", &long][..],
            format!(
                "invalid value '{long}' for '<NAME>': a name has 1 to 253 lowercase letters, digits, - and ."
            ),
        ),
        (
            &["status", "--nothing"],
            "unexpected argument '--nothing' found".to_owned(),
        ),
    ] {
        let error = parsed(words).unwrap_err();
        assert_eq!(in_a_sentence(&error), expected);
    }
    for kind in ["pod", "hpa"] {
        let error = in_a_sentence(&parsed(&["explain", kind, &long]).unwrap_err());
        assert!(error.contains("a name of 1 to 253"), "{error}");
    }
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

/// What is explained, with the namespace of the flag.
fn explained(words: &[&str]) -> (String, Option<String>) {
    let args = parsed(words).unwrap();
    let Action::Explain { what } = args.action else {
        panic!("{:?}", args.action);
    };
    let what = match what {
        What::Node { name } => format!("node {name}"),
        What::Pod { name } => format!("pod {name}"),
        What::Hpa { name } => format!("hpa {name}"),
        What::Trouble { code } => format!("trouble {code}"),
    };
    (what, args.common.namespace)
}

#[test]
fn what_is_explained_may_be_named_as_kubectl_names_it() {
    for (words, expected) in [
        (&["explain", "pod", "web"][..], "pod web"),
        (&["explain", "pod/web"], "pod web"),
        (&["explain", "pod", "shop/web"], "pod shop/web"),
        (&["explain", "pod/shop/web"], "pod shop/web"),
        (&["explain", "pods/web"], "pod web"),
        (&["explain", "po", "web"], "pod web"),
        (&["explain", "node/n-0"], "node n-0"),
        (&["explain", "no/n-0"], "node n-0"),
        (&["explain", "hpa/web"], "hpa web"),
        (&["explain", "trouble/TRB007"], "trouble TRB007"),
        (
            &["--kubeconfig", "pod/file", "explain", "pod/web"],
            "pod web",
        ),
        (
            &["explain", "--kubeconfig", "pod/file", "pod/web"],
            "pod web",
        ),
        (
            &["explain", "--kubeconfig=pod/file", "pod", "node/x"],
            "pod node/x",
        ),
    ] {
        assert_eq!(explained(words), (expected.to_owned(), None), "{words:?}");
    }
    let named = ["explain", "-n", "explain", "pod/web", "-o", "json"];
    let expected = ("pod web".to_owned(), Some("explain".to_owned()));
    assert_eq!(explained(&named), expected);
    for wrong in [
        &["explain", "job/web"][..],
        &["explain", "web"],
        &["explain"],
    ] {
        assert!(parsed(wrong).is_err(), "{wrong:?}");
    }
}
