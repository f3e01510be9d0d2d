//! Builds requirements from tokens, with the error texts of upstream's parser.

use super::{
    Requirement, Test,
    lexer::{Lexer, Token},
    validation,
};

/// Why a label selector is not valid, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSelector(pub(super) String);

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, BadSelector> {
    let mut parser = Parser(Lexer::new(text));
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            (Token::Identifier | Token::Not, _) => {}
            (Token::End, _) => return Ok(requirements),
            (_, found) => {
                return Err(expected(
                    found,
                    ", expected: !, identifier, or 'end of string'",
                ));
            }
        }
        requirements.push(
            parser
                .requirement()
                .map_err(|error| BadSelector(format!("unable to parse requirement: {error}")))?,
        );
        match parser.take() {
            (Token::End, _) => return Ok(requirements),
            (Token::Comma, _) => match parser.peek() {
                (Token::Identifier | Token::Not, _) => {}
                (_, found) => return Err(expected(found, ", expected: identifier after ','")),
            },
            (_, found) => return Err(expected(found, ", expected: ',' or 'end of string'")),
        }
    }
}

fn expected(found: &str, what: &str) -> BadSelector {
    BadSelector(format!("found '{found}'{what}"))
}

struct Parser<'a>(Lexer<'a>);

impl<'a> Parser<'a> {
    /// The next token where a value is possible. There `in` and `notin` are values.
    fn take(&mut self) -> (Token, &'a str) {
        match self.0.next() {
            (Token::In | Token::NotIn, word) => (Token::Identifier, word),
            other => other,
        }
    }

    fn peek(&self) -> (Token, &'a str) {
        Self(self.0.clone()).take()
    }

    fn requirement(&mut self) -> Result<Requirement, BadSelector> {
        let (first, mut key) = self.take();
        let negated = first == Token::Not;
        if negated {
            let (token, word) = self.take();
            if token != Token::Identifier {
                return Err(expected(word, ", expected: identifier"));
            }
            key = word;
        }
        validation::key(key).map_err(|error| invalid("<nil>", key, &error))?;
        let key = key.to_owned();
        let ends = matches!(self.peek().0, Token::End | Token::Comma);
        if ends || negated {
            let test = if negated { Test::Missing } else { Test::Exists };
            return Ok(Requirement { key, test });
        }
        let test = self.test(&key)?;
        Ok(Requirement { key, test })
    }

    /// Operator and values.
    fn test(&mut self, key: &str) -> Result<Test, BadSelector> {
        match self.0.next() {
            (Token::In, _) => Ok(Test::In(self.values(key)?)),
            (Token::NotIn, _) => Ok(Test::NotIn(self.values(key)?)),
            (Token::Equals | Token::DoubleEquals, _) => Ok(Test::In(vec![self.value(key)?])),
            (Token::NotEquals, _) => Ok(Test::NotIn(vec![self.value(key)?])),
            (Token::Above, _) => Ok(Test::Above(self.limit()?)),
            (Token::Below, _) => Ok(Test::Below(self.limit()?)),
            (_, found) => Err(expected(found, &format!(", expected: {OPERATORS}"))),
        }
    }

    fn exact(&mut self) -> Result<&'a str, BadSelector> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok("");
        }
        match self.take() {
            (Token::Identifier, value) => Ok(value),
            (_, found) => Err(expected(found, ", expected: identifier")),
        }
    }

    fn value(&mut self, key: &str) -> Result<String, BadSelector> {
        let value = self.exact()?;
        check(0, key, value)?;
        Ok(value.to_owned())
    }

    fn limit(&mut self) -> Result<i64, BadSelector> {
        let value = self.exact()?;
        value.parse().map_err(|_| {
            let why = "for 'Gt', 'Lt' operators, the value must be an integer";
            invalid("values[0]", value, why)
        })
    }

    /// `(a,b)`, where values may be empty.
    fn values(&mut self, key: &str) -> Result<Vec<String>, BadSelector> {
        match self.take() {
            (Token::Open, _) => {}
            (_, found) => return Err(expected(found, " expected: '('")),
        }
        let mut values = match self.peek() {
            (Token::Identifier | Token::Comma, _) => self.list()?,
            (Token::Close, _) => vec![""],
            (_, found) => return Err(expected(found, ", expected: ',', ')' or identifier")),
        };
        match self.take() {
            (Token::Close, _) => {}
            (_, found) => return Err(expected(found, ", expected: ')'")),
        }
        values.sort_unstable();
        values.dedup();
        for (at, value) in values.iter().enumerate() {
            check(at, key, value)?;
        }
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// Values up to the parenthesis. Empty values are read as upstream does: `(,a)`, `(a,)` and `(a,,b)` also have the
    /// empty value.
    fn list(&mut self) -> Result<Vec<&'a str>, BadSelector> {
        let mut values = Vec::new();
        loop {
            match self.take() {
                (Token::Identifier, value) => {
                    values.push(value);
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, found) => return Err(expected(found, ", expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.push("");
                    }
                    match self.peek().0 {
                        Token::Close => {
                            values.push("");
                            return Ok(values);
                        }
                        Token::Comma => {
                            self.take();
                            values.push("");
                        }
                        _ => {}
                    }
                }
                (_, found) => return Err(expected(found, ", expected: ',', or identifier")),
            }
        }
    }
}

fn check(at: usize, key: &str, value: &str) -> Result<(), BadSelector> {
    validation::value(value)
        .map_err(|error| invalid(&format!("values[{at}][{key}]"), value, &error))
}

/// Prints like field.Invalid.
fn invalid(field: &str, value: &str, why: &str) -> BadSelector {
    BadSelector(format!("{field}: Invalid value: {value:?}: {why}"))
}
