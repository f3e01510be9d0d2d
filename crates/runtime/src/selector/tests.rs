use proptest::prelude::*;

use super::*;

/// The value of a label of a test object.
fn label(key: &str) -> Option<&'static str> {
    match key {
        "app" => Some("web"),
        "tier" => Some("front"),
        "empty" => Some(""),
        "n" => Some("10"),
        "in" => Some("in"),
        _ => None,
    }
}

#[test]
fn every_operator_selects_what_it_says() {
    for (selector, selects) in [
        ("", true),
        ("   ", true),
        ("app", true),
        ("missing", false),
        ("!missing", true),
        ("! app", false),
        ("app=web", true),
        ("app==web", true),
        ("app = web , tier = front", true),
        ("app=web,tier=back", false),
        ("app!=web", false),
        ("app!=dns", true),
        ("missing!=x", true),
        ("missing=", false),
        ("empty=", true),
        ("empty", true),
        ("empty=,app=web", true),
        ("app in (web,dns)", true),
        ("app in(dns)", false),
        ("app notin (dns,mail)", true),
        ("app notin (web)", false),
        ("missing notin (web)", true),
        ("empty in ()", true),
        ("empty in (,a)", true),
        ("empty in (a,)", true),
        ("empty in (a,,b)", true),
        ("app in (a,,web)", true),
        ("in=in", true),
        ("in in (in,notin)", true),
        ("n>9", true),
        ("n>10", false),
        ("n<11", true),
        ("n<-1", false),
        ("app>1", false),
        ("missing<1", false),
    ] {
        let parsed: Selector = selector.parse().unwrap();
        assert_eq!(parsed.matches(label), selects, "{selector}");
    }
}

#[test]
fn mistakes_are_reported_in_upstreams_words() {
    for (selector, message) in [
        (
            "!!!",
            "unable to parse requirement: found '!', expected: identifier",
        ),
        (
            "!",
            "unable to parse requirement: found '', expected: identifier",
        ),
        (
            ",",
            "found ',', expected: !, identifier, or 'end of string'",
        ),
        (
            "=a",
            "found '=', expected: !, identifier, or 'end of string'",
        ),
        ("a,", "found '', expected: identifier after ','"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        (
            "a b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        (
            "a)",
            "unable to parse requirement: found ')', expected: in, notin, =, ==, !=, gt, lt",
        ),
        (
            "a==)",
            "unable to parse requirement: found ')', expected: identifier",
        ),
    ] {
        let error = selector.parse::<Selector>().unwrap_err();
        assert_eq!(error.to_string(), message, "{selector}");
    }
}

#[test]
fn mistakes_in_values_are_reported_in_upstreams_words() {
    for (selector, message) in [
        (
            "a in b",
            "unable to parse requirement: found 'b' expected: '('",
        ),
        (
            "a in (",
            "unable to parse requirement: found '', expected: ',', ')' or identifier",
        ),
        (
            "a in (b",
            "unable to parse requirement: found '', expected: ',' or ')'",
        ),
        (
            "a in (b c)",
            "unable to parse requirement: found 'c', expected: ',' or ')'",
        ),
        (
            "a in (b,=",
            "unable to parse requirement: found '=', expected: ',', or identifier",
        ),
        (
            "a>b",
            "unable to parse requirement: values[0]: Invalid value: \"b\": \
             for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            "/a",
            "unable to parse requirement: <nil>: Invalid value: \"/a\": \
             prefix part must be non-empty",
        ),
    ] {
        let error = selector.parse::<Selector>().unwrap_err();
        assert_eq!(error.to_string(), message, "{selector}");
    }
}

#[test]
fn keys_and_values_are_checked() {
    let name = "name part must consist of alphanumeric characters, '-', '_' or '.', and must \
        start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
        '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    assert_eq!(
        "-a=b".parse::<Selector>().unwrap_err().to_string(),
        format!("unable to parse requirement: <nil>: Invalid value: \"-a\": {name}")
    );
    let error = "a=.b".parse::<Selector>().unwrap_err().to_string();
    assert!(
        error.starts_with(
            "unable to parse requirement: values[0][a]: Invalid value: \".b\": a valid label must"
        ),
        "{error}"
    );
    let long = format!("a in (b,{})", "c".repeat(64));
    let error = long.parse::<Selector>().unwrap_err().to_string();
    assert!(
        error.contains("values[1][a]: Invalid value: \"ccc"),
        "{error}"
    );
    assert!(error.ends_with("must be no more than 63 bytes"), "{error}");
    for wrong in ["a/b/c", "A.b/c", "a..b/c", "a/", "é"] {
        wrong.parse::<Selector>().unwrap_err();
    }
    for right in ["example.com/name=v", "a.b-c/D_e.f", "9=9"] {
        right.parse::<Selector>().unwrap();
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        drop(text.parse::<Selector>());
    }

    #[test]
    fn no_heap_of_tokens_makes_the_parser_panic(text in "[ab!=<>(), ]{0,12}(in|notin)?[ab!=<>(), ]{0,12}") {
        drop(text.parse::<Selector>());
    }

    #[test]
    fn an_equality_selects_its_own_label(key in "[a-z]([-a-z]{0,8}[a-z])?", value in "[a-z0-9]{0,9}") {
        let selector: Selector = format!("{key}={value}").parse().unwrap();
        prop_assert!(selector.matches(|asked| (asked == key).then_some(value.as_str())));
    }
}
