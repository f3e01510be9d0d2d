//! Splits Rust sources into tokens, for tests of names and texts.

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// An identifier or a keyword.
    Name(&'a str),
    /// A string literal, with its quotes.
    Text(&'a str),
    /// A sign, such as a brace. [`tokens`] omits it.
    Sign(char),
}

/// The names and string literals of a source, each with its line number. Comments, characters and lifetimes are
/// omitted.
pub(crate) fn tokens(source: &str) -> Vec<(usize, Token<'_>)> {
    let mut found = all_tokens(source);
    found.retain(|(_, token)| !matches!(token, Token::Sign(_)));
    found
}

/// The names, string literals and signs of a source, each with its line number.
pub(crate) fn all_tokens(source: &str) -> Vec<(usize, Token<'_>)> {
    let (mut found, mut rest, mut line) = (Vec::new(), source, 1);
    while let Some(first) = rest.chars().next() {
        let string = string(rest);
        let length = match string.or_else(|| skipped(rest)) {
            Some(length) => length,
            None if is_part(first) => rest.find(|it| !is_part(it)).unwrap_or(rest.len()),
            None => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if string.is_some() {
            found.push((line, Token::Text(token)));
        } else if is_part(first) && !first.is_ascii_digit() {
            found.push((line, Token::Name(token)));
        } else if token.len() == first.len_utf8() && first.is_ascii_punctuation() {
            found.push((line, Token::Sign(first)));
        }
        line += token.matches('\n').count();
        rest = after;
    }
    found
}

fn is_part(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The length of the string literal at the beginning of `text`, if there is one.
fn string(text: &str) -> Option<usize> {
    let plain = text.trim_start_matches(['b', 'c']);
    if text.len() - plain.len() > 1 {
        return None;
    }
    if let Some(raw) = plain.strip_prefix('r') {
        let inside = raw.trim_start_matches('#');
        let marks = "#".repeat(raw.len() - inside.len());
        let inside = inside.strip_prefix('"')?;
        let (_, after) = inside.split_once(&format!("\"{marks}"))?;
        return Some(text.len() - after.len());
    }
    let mut letters = plain.strip_prefix('"')?.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '"' => return Some(text.len() - letters.as_str().len()),
            _ => {}
        }
    }
    None
}

/// The length of the comment, character or lifetime at the beginning of `text`, if there is one.
fn skipped(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let mut letters = text.strip_prefix('\'')?.chars();
    if letters.next()? == '\\' {
        letters.next()?;
        return Some(text.len() - letters.as_str().split_once('\'')?.1.len());
    }
    let is_character = letters.next() == Some('\'');
    Some(if is_character {
        text.len() - letters.as_str().len()
    } else {
        1
    })
}

/// The words of a name in lower case. `someName`, `SomeName` and `some_name` have the same words.
pub(crate) fn words_of(name: &str) -> String {
    let mut words = String::new();
    let mut is_after_lower = false;
    for letter in name.chars() {
        if letter == '_' || letter == '-' || (letter.is_uppercase() && is_after_lower) {
            words.push(' ');
        }
        if letter != '_' && letter != '-' {
            words.extend(letter.to_lowercase());
        }
        is_after_lower = letter.is_lowercase() || letter.is_ascii_digit();
    }
    words
}

#[test]
fn names_and_strings_are_found() {
    let source = "fn a<'b>() { // no\n let x = ('\\'', 'y', \"z \\\" w\", 1u8);\n r#\"q\"s\"# }";
    let expected = [
        (1, Token::Name("fn")),
        (1, Token::Name("a")),
        (1, Token::Name("b")),
        (2, Token::Name("let")),
        (2, Token::Name("x")),
        (2, Token::Text("\"z \\\" w\"")),
        (3, Token::Text("r#\"q\"s\"#")),
    ];
    assert_eq!(tokens(source), expected);
    assert_eq!(
        tokens("bar b\"c\""),
        [(1, Token::Name("bar")), (1, Token::Text("b\"c\"")),]
    );
}

#[test]
fn names_have_words() {
    for name in [
        "under_way",
        "UnderWay",
        "UNDER_WAY",
        "underWay",
        "under-way",
    ] {
        assert_eq!(words_of(name), "under way", "{name}");
    }
    assert_eq!(words_of("held2"), "held2");
}
