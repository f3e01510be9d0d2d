//! Splits a selector into tokens.

/// A token of a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The end of the text.
    End,
    /// A key or value.
    Identifier,
    /// `in`, which may also be a value.
    In,
    /// `notin`, which may also be a value.
    NotIn,
    Open,
    Close,
    Comma,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Above,
    Below,
}

/// Symbols. If one is a prefix of another, the longer one is first.
const SYMBOLS: [(&str, Token); 9] = [
    ("!=", Token::NotEquals),
    ("==", Token::DoubleEquals),
    ("!", Token::Not),
    ("=", Token::Equals),
    (">", Token::Above),
    ("<", Token::Below),
    ("(", Token::Open),
    (")", Token::Close),
    (",", Token::Comma),
];

/// Takes tokens from the front of `text`.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// The next token and its text. After the end every token is [`Token::End`].
    pub(super) fn next(&mut self) -> (Token, &'a str) {
        let rest = self.text.trim_start_matches(is_space);
        if let Some((token, symbol, rest)) = symbol(rest) {
            self.text = rest;
            return (token, symbol);
        }
        let end = rest
            .find(|character| is_space(character) || symbol_starts_with(character))
            .unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.text = rest;
        let token = match word {
            "" => Token::End,
            "in" => Token::In,
            "notin" => Token::NotIn,
            _ => Token::Identifier,
        };
        (token, word)
    }
}

fn symbol(text: &str) -> Option<(Token, &'static str, &str)> {
    SYMBOLS.iter().find_map(|(symbol, token)| {
        let rest = text.strip_prefix(symbol)?;
        Some((*token, *symbol, rest))
    })
}

fn symbol_starts_with(character: char) -> bool {
    matches!(character, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}
