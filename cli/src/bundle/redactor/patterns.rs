//! The shapes of secrets in text.

use regex::Regex;

/// What a private key has.
pub(super) const KEY: &str = "PRIVATE KEY";

/// Private keys.
const KEYS: [&str; 2] = [
    // A private key, also one whose end was cut off.
    r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
    // The rest of one whose beginning was cut off.
    r"(?:[^\n]*\n){0,100}[^\n]*-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----",
];

/// Secrets that are known by their shape alone.
const WHOLE: [&str; 4] = [
    // JSON in base64: a JSON web token, or a part of one.
    r"eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]+){0,2}",
    // Tokens of clouds and of hosts of code.
    r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{35}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|k8s-aws-v1\.[\w-]+|sha256~[\w-]{40,}|xox[abprs]-[\w-]{10,})",
    // A hash of a password.
    r"\$(?:2[abxy]|5|6|apr1|argon2id?|y)\$[^\s\x22']{8,}",
    // A signed address.
    r"\bsig=[A-Za-z0-9%+/=_-]{16,}",
];

/// Long base64 of PEM.
const ENCODED: &str = r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]{16,}";

/// What precedes a secret, and the secret.
const AFTER: [&str; 2] = [
    // The value of a header, which may have blanks.
    r"(?i)(\b(?:proxy-authorization|authorization|set-cookie|cookie|x-[a-z-]*(?:auth|key|secret|token)[a-z-]*)\b\\?[\x22']?\s*[:=]\s*\\?[\x22'\[({]*)[^\s\x22'\\<][^\r\n\x22'\\]*",
    // A token with which a node joins a cluster.
    r"((?:^|[^\w.-]))[a-z0-9]{6}\.[a-z0-9]{16}\b",
];

/// The user and the password in a URL.
const USERINFO: &str = r"(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/@\x22'?#<]+@";

/// The scheme of an `Authorization` header, and what follows it.
const SCHEME: &str = r"(?i)(\b(?:basic|bearer|digest|negotiate)\s+)([a-z0-9+/=_.~-]{5,})";

/// Words that follow the name of a scheme in sentences.
pub(super) const PROSE: [&str; 9] = [
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

/// A name of a secret, or of what is around one.
const NAME: &str = r"[\w.-]*(?:access[_.-]?key|api[_.-]?key|authorization|bearer|client[_.-]?key|cookie|credential|encryption[_.-]?key|key[_.-]?data|key[_.-]?pem|passphrase|passwd|password|private[_.-]?key|pwd|secret|signature|signing[_.-]?key|ssh[_.-]?key|token)[\w.-]*";

/// A value: quoted (also within quotes), a list, an object, a block of YAML, or a word.
const VALUE: &str = r#"(?:<removed>|\\"(?:[^"\\]|\\\\.)*\\"|"(?:[^"\\]|\\.)*"|'[^'\n]*'|\\?["'][^\n]*|\[[^\]\n]*\]?|\{[^}\n]*\}?|[|>][-+]?[ \t]*(?:\n[ \t]+[^\n]*)+|[^\s|>"'][^\s"]*)"#;

/// The compiled patterns.
#[derive(Debug)]
pub(super) struct Patterns {
    /// Removed as a whole, before all others, which would match parts of them. They are slow, and not needed for texts
    /// without [`KEY`].
    pub(super) keys: Vec<Regex>,
    /// Removed as a whole.
    pub(super) whole: Vec<Regex>,
    /// Removed if it has a private key.
    pub(super) encoded: Regex,
    /// Removed except for the first group.
    pub(super) after: Vec<Regex>,
    /// As [`Patterns::after`], with an `@` after it.
    pub(super) userinfo: Regex,
    /// Removed except for the first group, unless the second one is a word of a sentence.
    pub(super) scheme: Regex,
    /// Removed except for the first group, if the second one is the name of a secret. The third one is its value.
    pub(super) named: Vec<Regex>,
}

impl Patterns {
    pub(super) fn new() -> Result<Self, regex::Error> {
        let all = |patterns: &[&str]| {
            let compiled = patterns.iter().map(|pattern| Regex::new(pattern));
            compiled.collect::<Result<Vec<_>, _>>()
        };
        let separator = r#"\\?["']?\s*(?::=|=>|[:=])\s*"#;
        let named = [
            // A line of YAML, whose value may have blanks.
            format!(r"(?im)^([ \t]*(?:- )?({NAME}):[ \t]+)([^\s|>\x22'][^\n]*)$"),
            // `a: token: x` is the value of the last name. It may be within `Some(..)`.
            format!(
                r"(?i)((?:^|[^\w.-])(?:{NAME}{separator})*({NAME}){separator}(?:\w+\()*)({VALUE})"
            ),
            // A flag with a value of its own.
            format!(r"(?i)((?:^|[\s\x22'])(--?{NAME})\s+)([^\s-]\S*)"),
        ];
        Ok(Self {
            keys: all(&KEYS)?,
            whole: all(&WHOLE)?,
            encoded: Regex::new(ENCODED)?,
            after: all(&AFTER)?,
            userinfo: Regex::new(USERINFO)?,
            scheme: Regex::new(SCHEME)?,
            named: all(&named.each_ref().map(String::as_str))?,
        })
    }
}
