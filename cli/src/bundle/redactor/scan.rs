//! Looks through a text once, from its begin to its end, for names of secrets and for words that are secrets. After a value
//! that is removed it goes on behind it; else behind the name, so that a name within a value is found, too.

use std::ops::Range;

use super::{
    lines::after_prefix,
    names::{is_header, is_login, is_secret, is_title, is_value},
    reader::{Reader, is_blank, is_quote},
    shapes,
    values::{self, Name, Separator},
};

/// How many lines there may be between the name and the value of an object.
const NEAR: usize = 8;

/// From how many letters and digits on a word is a secret if it follows the name of one.
const AFTER_NAME: usize = 20;

/// The schemes of an `Authorization` header.
const SCHEMES: [&str; 4] = ["basic", "bearer", "digest", "negotiate"];

/// How short the word after a scheme may be.
const CREDENTIALS: usize = 5;

/// Words that follow the name of a scheme in sentences.
const PROSE: [&str; 9] = [
    "auth",
    "authentication",
    "authenticator",
    "authorization",
    "credential",
    "credentials",
    "token",
    "token.",
    "tokens",
];

/// Flags whose value is a user and a password, as curl takes them.
const USERS: [&str; 4] = ["-u", "-U", "--user", "--proxy-user"];

/// Where secrets are.
pub(super) fn secrets(reader: &Reader<'_>, length: usize) -> Vec<Range<usize>> {
    let mut scan = Scan {
        reader,
        found: Vec::new(),
        line: Line::default(),
        before: 0..0,
        run: Run::default(),
        title: None,
        value: None,
    };
    let mut at = scan.begin_line(0);
    while let Some(byte) = reader.byte(at).filter(|_| at < length) {
        at = match byte {
            b'\n' => scan.begin_line(at + 1),
            b'$' => scan.find(shapes::hash(reader, at)).unwrap_or(at + 1),
            b'[' | b'{' | b'}' => scan.bracket(at, byte),
            b':' if reader.has(at, "://") => scan.address(at + 3),
            _ if is_part(byte) => scan.word(at),
            _ => at + 1,
        };
    }
    scan.found
}

/// Whether it is a part of a name.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') || !byte.is_ascii()
}

/// The line that is looked at.
#[derive(Default)]
struct Line {
    number: usize,
    /// Where its text begins, after what logs write in front of it.
    begin: usize,
    /// Where its first word begins, after the indentation and the dash of an item.
    first: usize,
}

/// What is between two blanks or quotes: looked through once, however many names are in it.
#[derive(Default)]
struct Run {
    begin: usize,
    end: usize,
    /// The last `@` in it.
    at: Option<usize>,
    /// The last one before the address of a database: `@tcp(`, `@/`.
    at_database: Option<usize>,
}

struct Scan<'r, 'a> {
    reader: &'r Reader<'a>,
    found: Vec<Range<usize>>,
    line: Line,
    /// The word before.
    before: Range<usize>,
    run: Run,
    /// The line of the last field that names a secret, until its object ends.
    title: Option<usize>,
    /// Where the last value begins of which the name may follow, and its line.
    value: Option<(usize, usize)>,
}

impl Scan<'_, '_> {
    /// Adds what is found, and returns its end.
    fn find(&mut self, found: Option<Range<usize>>) -> Option<usize> {
        let end = found.as_ref()?.end;
        self.found.extend(found);
        Some(end)
    }

    fn begin_line(&mut self, at: usize) -> usize {
        let begin = after_prefix(self.reader, at);
        let mut first = self.reader.run(begin, is_blank);
        let is_item = self.reader.has(first, "- ");
        if is_item {
            first = self.reader.run(first + 1, is_blank);
        }
        if is_item || matches!(self.reader.byte(first), None | Some(b'\n')) {
            self.end_object();
        }
        self.line = Line {
            number: self.line.number + 1,
            begin,
            first,
        };
        begin
    }

    fn end_object(&mut self) {
        (self.title, self.value) = (None, None);
    }

    fn bracket(&mut self, at: usize, byte: u8) -> usize {
        if byte != b'[' {
            self.end_object();
        }
        let bytes = shapes::bytes(self.reader, at).filter(|_| byte != b'}');
        self.find(bytes).unwrap_or(at + 1)
    }

    /// The user and the password of a URL, whose authority begins here. Characters that should be escaped may be there as they
    /// are, and the last `@` counts.
    fn address(&mut self, begin: usize) -> usize {
        let reader = self.reader;
        let end = reader.run(begin, |byte| {
            !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'"' | b'\'' | b'<')
        });
        let authority = reader.part(begin, end);
        if let Some(last) = authority.rfind('@').filter(|last| *last > 0) {
            let found = self.find(Some(begin..begin + last));
            return found.unwrap_or(begin);
        }
        // Also `/`, except after what may be a host and a port.
        let password = authority
            .split_once(':')
            .map_or("", |(_, password)| password);
        let is_port = password.bytes().all(|byte| byte.is_ascii_digit());
        if is_port || authority.starts_with('[') || reader.byte(end) != Some(b'/') {
            return begin;
        }
        let at = self.run_from(begin).at.filter(|at| *at > end);
        self.find(at.map(|at| begin..at)).unwrap_or(begin)
    }

    fn run_from(&mut self, begin: usize) -> &Run {
        if self.run.begin <= begin && begin < self.run.end {
            return &self.run;
        }
        let is_end = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<');
        let end = self.reader.run(begin, |byte| !is_end(byte));
        let text = self.reader.part(begin, end);
        let is_database = |rest: &str| {
            let host = rest.trim_start_matches(|letter: char| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit()
            });
            rest.starts_with('/') || host.starts_with('(')
        };
        let (mut at, mut at_database) = (None, None);
        // The part after each `@`, the last one first.
        let mut last = text.len();
        for (found, _) in text.rmatch_indices('@') {
            let rest = text.get(found + 1..last).unwrap_or_default();
            at = at.or(Some(begin + found));
            if at_database.is_none() && is_database(rest) {
                at_database = Some(begin + found);
            }
            last = found;
        }
        self.run = Run {
            begin,
            end,
            at,
            at_database,
        };
        &self.run
    }

    fn word(&mut self, begin: usize) -> usize {
        let end = self.reader.run(begin, is_part);
        let next = self.database(begin, end);
        let next = next.or_else(|| self.credentials(begin, end));
        let next = next.or_else(|| {
            let shape = shapes::secret(self.reader, begin, end);
            self.find(shape)
        });
        let next = next.or_else(|| self.named(begin, end));
        let next = next.or_else(|| self.user(begin, end));
        self.before = begin..end;
        next.unwrap_or(end)
    }

    /// What drivers of databases take: user:password@tcp(host)/name.
    fn database(&mut self, begin: usize, end: usize) -> Option<usize> {
        let reader = self.reader;
        let is_sign = |byte: u8| is_quote(byte) || b"=\\(,;".contains(&byte);
        let before = reader.before(begin);
        let is_begin = before.is_none_or(|byte| byte.is_ascii_whitespace() || is_sign(byte));
        if !is_begin || reader.byte(end) != Some(b':') || reader.has(end, "://") {
            return None;
        }
        let at = self.run_from(end).at_database.filter(|at| *at > end)?;
        self.find(Some(begin..at))
    }

    /// What follows the scheme of an `Authorization` header.
    fn credentials(&mut self, begin: usize, end: usize) -> Option<usize> {
        let reader = self.reader;
        let word = reader.part(begin, end);
        let value = reader.run(end, is_blank);
        if value == end
            || !SCHEMES
                .iter()
                .any(|scheme| word.eq_ignore_ascii_case(scheme))
        {
            return None;
        }
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_.~-".contains(&byte);
        let value_end = reader.run(value, is_letter);
        let credentials = reader.part(value, value_end);
        let is_prose = PROSE
            .iter()
            .any(|prose| credentials.eq_ignore_ascii_case(prose));
        // `digest sha256:0123`
        let is_prose = is_prose || reader.byte(value_end) == Some(b':');
        let is_long = credentials.len() >= CREDENTIALS;
        self.find((is_long && !is_prose).then_some(value..value_end))
    }

    /// The value after the name of a secret.
    fn named(&mut self, begin: usize, end: usize) -> Option<usize> {
        let reader = self.reader;
        let text = reader.part(begin, end);
        let is_header = is_header(text);
        let is_signature = text == "sig" && matches!(reader.before(begin), Some(b'?' | b'&'));
        let is_secret = is_header || is_signature || is_secret(text) || self.is_key(begin, text);
        let name = Name {
            begin,
            end,
            indent: self.line.first.saturating_sub(self.line.begin),
            is_first: begin == self.line.first,
            is_header,
        };
        let Some(separator) = values::separator(reader, name) else {
            let value = is_secret.then(|| self.after_blank(name, text)).flatten();
            return self.find(value);
        };
        // `failed auth: no such user`
        let is_login = is_login(text) && (separator.is_quoted || !separator.is_colon);
        if !is_secret && !is_login {
            return self.of_object(text, name, separator);
        }
        // `failed to read /run/token: no such file`, and what a module of that name says.
        let module = begin.checked_sub(2);
        let is_path = reader.before(begin) == Some(b'/')
            || module.is_some_and(|module| reader.has(module, "::"));
        if separator.is_colon && is_path && !separator.is_quoted {
            return None;
        }
        let value = values::value(reader, name, separator);
        if value.is_none() && reader.byte(separator.value) == Some(b'{') {
            // The fields of the object follow.
            let next = separator.value + 1;
            self.end_object();
            self.title = Some(self.line.number);
            return Some(next);
        }
        self.find(value)
    }

    /// Whether it is the last word of `API key`.
    fn is_key(&self, begin: usize, text: &str) -> bool {
        let Range { start, end } = self.before;
        (text.eq_ignore_ascii_case("key") || text.eq_ignore_ascii_case("keys"))
            && end + 1 == begin
            && self.reader.byte(end) == Some(b' ')
            && is_secret(self.reader.part(start, begin + text.len()))
    }

    /// A value without a sign before it: that of a flag, or a long word after the name.
    fn after_blank(&self, name: Name, text: &str) -> Option<Range<usize>> {
        let reader = self.reader;
        if !text.starts_with('-') {
            let begin = reader.run(name.end, is_blank);
            let end = reader.run(begin, |byte| byte.is_ascii_alphanumeric());
            let word = reader.part(begin, end);
            let is_long = word.len() >= AFTER_NAME && word.bytes().any(|it| it.is_ascii_digit());
            let next = reader.byte(end);
            let is_whole = next.is_none_or(|byte| !is_part(byte) && !matches!(byte, b'/' | b':'));
            return (begin > name.end && is_long && is_whole).then_some(begin..end);
        }
        let quote = reader.run(name.end, |byte| is_quote(byte) || byte == b'\\');
        let is_item = quote > name.end;
        let begin = reader.run(quote, |byte| is_blank(byte) || (is_item && byte == b','));
        if begin == quote {
            return None;
        }
        let value = values::quoted(reader, begin).unwrap_or_else(|| {
            begin..reader.run(begin, |byte| !byte.is_ascii_whitespace() && byte != b'"')
        });
        let word = reader.part(value.start, value.end);
        // What begins with one dash may be a value.
        let is_flag = word.starts_with("--") || (word.starts_with('-') && word.len() <= 2);
        (!word.is_empty() && !is_flag && word != super::REMOVED).then_some(value)
    }

    /// Remembers fields of objects: one has the name of a secret, and another one its value, in either order.
    fn of_object(&mut self, text: &str, name: Name, separator: Separator) -> Option<usize> {
        let reader = self.reader;
        let number = self.line.number;
        if is_value(text) {
            let is_secret = self.title.is_some_and(|title| number - title <= NEAR);
            self.value = Some((separator.value, number)).filter(|_| !is_secret);
            let value = is_secret.then(|| values::value(reader, name, separator));
            return self.find(value.flatten());
        }
        if !is_title(text) {
            return None;
        }
        let quoted = values::quoted(reader, separator.value);
        let title = quoted.unwrap_or_else(|| separator.value..reader.run(separator.value, is_part));
        self.title = is_secret(reader.part(title.start, title.end)).then_some(number);
        self.title?;
        let (begin, line) = self.value.take()?;
        let value = earlier(reader, begin, name.begin).filter(|_| number - line <= NEAR);
        self.found.extend(value);
        None
    }

    /// The user and the password after a flag of curl.
    fn user(&mut self, begin: usize, end: usize) -> Option<usize> {
        let reader = self.reader;
        let text = reader.part(begin, end);
        let before = reader.before(begin);
        if !before.is_none_or(|byte| byte.is_ascii_whitespace() || is_quote(byte)) {
            return None;
        }
        let mut at = if USERS.contains(&text) {
            let sign = reader.run(end, |byte| is_blank(byte) || byte == b'=');
            Some(sign).filter(|sign| *sign > end)?
        } else if text.starts_with("-u") || text.starts_with("-U") {
            begin + 2
        } else {
            return None;
        };
        at = reader.run(at, |byte| is_quote(byte) || byte == b'\\');
        let is_in = |byte: u8| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'');
        let user = reader.run(at, |byte| is_in(byte) && !b":\\<=".contains(&byte));
        let password = reader.run(user + 1, is_in);
        let is_user = user > at && reader.byte(user) == Some(b':') && password > user + 1;
        let is_flag = reader.byte(at) == Some(b'-');
        self.find((is_user && !is_flag).then_some(at..password))
    }
}

/// A value that precedes its name, of which it has nothing.
fn earlier(reader: &Reader<'_>, begin: usize, name: usize) -> Option<Range<usize>> {
    let text = reader.part(begin, name);
    let inner = Reader::new(text);
    let value = values::quoted(&inner, 0)
        .unwrap_or_else(|| 0..inner.run(0, |byte| !matches!(byte, b'\n' | b',' | b'}' | b'"')));
    let kept = text.get(value.clone()).unwrap_or_default().trim_end();
    (!kept.is_empty() && kept != super::REMOVED)
        .then_some(begin + value.start..begin + value.start + kept.len())
}
