//! The shapes of secrets in text.

use regex::Regex;

use super::encoded::Encoded;

/// What a private key has.
pub(super) const KEY: &str = "PRIVATE KEY";

/// Private keys.
const KEYS: [&str; 2] = [
    // A private key, also one whose end was cut off.
    r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
    // The rest of one whose beginning was cut off.
    r"(?:[^\n]*\n){0,100}[^\n]*-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----",
];

/// A JSON web token: JSON in base64, and more.
const TOKEN: &str = r"\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]+){1,2}";

/// Secrets that are known by their shape alone.
const WHOLE: [&str; 4] = [
    // JSON in base64: a part of a token.
    r"eyJ[A-Za-z0-9_-]{6,}",
    // Tokens of clouds and of hosts of code.
    r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{35}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|k8s-aws-v1\.[\w-]+|sha256~[\w-]{40,}|xox[abprs]-[\w-]{10,})",
    // A hash of a password.
    r"\$(?:2[abxy]|5|6|apr1|argon2id?|y)\$[^\s\x22']{8,}",
    // A signed address.
    r"\bsig=[A-Za-z0-9%+/=_-]{16,}",
];

/// What precedes a secret, and the secret.
const AFTER: [&str; 3] = [
    // The value of a header, which may have blanks.
    r"(?i)(\b(?:proxy-authorization|authorization|set-cookie|cookie|x-[a-z-]*(?:auth|key|secret|token)[a-z-]*)\b\\?[\x22']?\s*[:=]\s*\\?[\x22'\[({]*)[^\s\x22'\\<][^\r\n\x22'\\]*",
    // A token with which a node joins a cluster.
    r"((?:^|[^\w.-]))[a-z0-9]{6}\.[a-z0-9]{16}\b",
    // A user and a password as curl takes them.
    r"((?:^|[\s\x22'])(?:-[uU][\s=]*|--(?:proxy-)?user[\s=]+)\\?[\x22']?)[^\s:\x22'\\<=-][^\s:\x22']*:[^\s\x22']+",
];

/// What precedes a user and a password, both, and what follows them.
const USERINFO: [&str; 3] = [
    // In a URL. Characters that should be escaped may be there as they are, and the last `@` counts.
    r"(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/\x22'<]+(@)",
    // Also `/`, except after what may be a host and a port.
    r"(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/:@\x22'<]*:(?:[^\s@\x22'<0-9/]|[0-9]+[^\s@\x22'<0-9/])[^\s\x22'<]*(@)",
    // In what drivers of databases take: user:password@tcp(host)/name.
    r"(?i)((?:^|[\s\x22'=\\(,;]))[\w.%+-]+:[^\s\x22'<]*(@(?:[a-z0-9]*\(|/))",
];

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
const NAME: &str = r"[\w.-]*(?:access[_.-]?key|api[_.-]?key|authorization|bearer|client[_.-]?key|cookie|cred|encryption[_.-]?key|key[_.-]?data|key[_.-]?pem|pass|private[_.-]?key|pwd|pw|secret|signature|signing[_.-]?key|ssh[_.-]?key|token)[\w.-]*";

/// A value: quoted (also within quotes), a list, an object, a block of YAML, or a word.
const VALUE: &str = r#"(?:<removed>|\\"(?:[^"\\]|\\\\.)*\\"|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\\?["'][^\n]*|\[[^\]\n]*\]?|\{[^}\n]*\}?|[|>][-+]?[ \t]*(?:\n[ \t]+[^\n]*)+|[^\s|>"'][^\s"]*)"#;

/// The compiled patterns.
#[derive(Debug)]
pub(super) struct Patterns {
    /// Colours of terminals, which may be between a name and its value. They are not written.
    pub(super) colours: Regex,
    /// Removed as a whole, before all others, which would match parts of them. They are slow, and not needed for texts
    /// without [`KEY`].
    pub(super) keys: Vec<Regex>,
    /// Removed as a whole.
    pub(super) whole: Vec<Regex>,
    /// Removed as a whole, before base64, of which it has parts.
    pub(super) token: Regex,
    /// Base64.
    pub(super) encoded: Encoded,
    /// Removed except for the first group.
    pub(super) after: Vec<Regex>,
    /// Removed except for the first and the second group.
    pub(super) userinfo: Vec<Regex>,
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
            // A flag with a value of its own. What begins with a dash may be another flag: one letter, or two dashes.
            format!(r"(?i)((?:^|[\s\x22'])(--?{NAME})\s+)([^\s-]\S*|-[^\s-]\S+)"),
        ];
        Ok(Self {
            colours: Regex::new(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")?,
            keys: all(&KEYS)?,
            whole: all(&WHOLE)?,
            token: Regex::new(TOKEN)?,
            encoded: Encoded::new()?,
            after: all(&AFTER)?,
            userinfo: all(&USERINFO)?,
            scheme: Regex::new(SCHEME)?,
            named: all(&named.each_ref().map(String::as_str))?,
        })
    }
}
