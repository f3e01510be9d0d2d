use proptest::prelude::*;

use super::*;

/// The labels of the first line of `page`, as text.
fn labels(page: &str) -> Result<Vec<(String, String)>, BadLabels> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let line = Exposition::new(page.as_bytes()).next().unwrap();
    let labels = line.series().unwrap().labels;
    labels
        .iter()
        .map(|label| label.map(|(name, value)| (text(name), text(&value.unescaped()))))
        .collect()
}

/// Name, value and time of every line.
fn samples(page: &str) -> Vec<(u32, &str, &str, Option<&str>)> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    Exposition::new(page.as_bytes())
        .map(|line| {
            let sample = line.series().unwrap().sample().unwrap();
            let at = sample.at.map(text);
            (line.number, text(line.name), text(sample.value), at)
        })
        .collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn comments_and_blank_lines_are_passed_over_and_counted() {
    let page = "# HELP a b\n\n  \t\n# TYPE a nonsense\na 1\n# UNIT x\nb 2 3\n# EOF\nc 4";
    assert_eq!(
        samples(page),
        [
            (5, "a", "1", None),
            (7, "b", "2", Some("3")),
            (9, "c", "4", None)
        ]
    );
}

#[test]
fn blanks_are_tolerated_wherever_they_are() {
    let page = "  a   1\t \tNaN  \r\nb\t{ x = \"y\" , } -5 \r\n\r\n";
    assert_eq!(
        samples(page),
        [(1, "a", "1", Some("NaN")), (2, "b", "-5", None)]
    );
    assert_eq!(labels("b { x = \"y\" , z=\"\" , } 5"), {
        Ok(vec![pair("x", "y"), pair("z", "")])
    });
}

#[test]
fn labels_have_exact_names_and_undone_escapes() {
    assert_eq!(
        labels(r#"m{my_pod="trap",pod="p}\"\\\n\x",a=""} 1"#),
        Ok(vec![
            pair("my_pod", "trap"),
            pair("pod", "p}\"\\\n\\x"),
            pair("a", "")
        ])
    );
    assert_eq!(labels("m{} 1"), Ok(vec![]));
    assert_eq!(labels("m 1"), Ok(vec![]));
}

#[test]
fn a_label_value_is_compared_with_its_escapes_undone() {
    let line = Exposition::new(br#"m{a="x\"y",b="x"} 1"#).next().unwrap();
    let labels = line.series().unwrap().labels;
    let values: Vec<_> = labels.iter().map(|label| label.unwrap().1).collect();
    assert!(values[0].is("x\"y") && !values[0].is(r#"x\"y"#));
    assert!(values[1].is("x") && !values[1].is("xy"));
}

#[test]
fn bad_labels_are_no_labels() {
    for inside in [
        "a",
        "a=",
        "a=b",
        "a=\"b",
        "=\"b\"",
        "a=\"b\"c=\"d\"",
        ",",
        "1a=\"b\"",
        "a=\"b\\\"",
        "a b=\"c\"",
    ] {
        assert_eq!(
            labels(&format!("m{{{inside}}} 1")),
            Err(BadLabels),
            "{inside}"
        );
    }
}

#[test]
fn a_line_that_is_none_is_known_by_its_number() {
    for text in [
        "<html>",
        "404 page not found",
        "Internal Server Error",
        "a",
        "a 1 2 3",
        "a{b=\"c\"",
        "a{b} 1",
        "a{b=\"c\"} 1 # {d=\"e\"} 1",
        "a 0x10",
        "a 1_000",
        "{\"kind\":\"Status\"}",
        "\u{0}\u{1}",
    ] {
        let page = format!("\n{text}\n");
        let line = Exposition::new(page.as_bytes()).next().unwrap();
        assert_eq!(line.check(), Err(Malformed { line: 2 }), "{text}");
    }
    for text in [
        "a 1",
        "a NaN 5",
        "a{} +Inf",
        "a{b=\"c\"} 1e5",
        "{\"a.b\",c=\"d\"} 1",
    ] {
        let line = Exposition::new(text.as_bytes()).next().unwrap();
        assert_eq!(line.check(), Ok(()), "{text}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(page in any::<Vec<u8>>()) {
        read_all(&page);
    }

    #[test]
    fn no_text_of_its_own_alphabet_makes_it_panic(page in "[a{}=\",\\\\n \t\r\n0-9.#e+-]{0,200}") {
        read_all(page.as_bytes());
    }
}

fn read_all(page: &[u8]) {
    for line in Exposition::new(page) {
        let checked = line.check();
        let Ok(series) = line.series() else {
            assert!(checked.is_err());
            continue;
        };
        for (_, value) in series.labels.iter().flatten() {
            assert!(value.unescaped().len() <= page.len());
        }
    }
}
