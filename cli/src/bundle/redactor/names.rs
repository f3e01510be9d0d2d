//! Which names are those of secrets: of fields, variables, flags and headers.

/// Words that make a name that of a secret, in lower case, without what separates words.
const SECRET: [&str; 28] = [
    "accesskey",
    "accountkey",
    "apikey",
    "authorization",
    "bearer",
    "clientkey",
    "connectionstring",
    "cookie",
    "credential",
    "encryptionkey",
    "jwt",
    "keydata",
    "keypem",
    "masterkey",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwort",
    "privatekey",
    "privkey",
    "pwd",
    "secret",
    "sharedkey",
    "signature",
    "signingkey",
    "sshkey",
    "token",
];

/// The same as the ends of last words.
const SHORT: [&str; 3] = ["creds", "pass", "pw"];

/// Words that end so and are others.
const NOT_SHORT: [&str; 3] = ["bypass", "compass", "trespass"];

/// Last words of names whose value is not the secret itself: where it is, how long it is valid, how much of it there is.
const AROUND: [&str; 51] = [
    "account",
    "age",
    "audience",
    "audiences",
    "cache",
    "class",
    "config",
    "controller",
    "count",
    "dir",
    "directory",
    "endpoint",
    "error",
    "errors",
    "expiration",
    "expires",
    "expiry",
    "file",
    "files",
    "host",
    "interval",
    "issuer",
    "kind",
    "kubeconfig",
    "limit",
    "method",
    "mode",
    "mount",
    "mounts",
    "name",
    "names",
    "namespace",
    "path",
    "paths",
    "policy",
    "port",
    "provider",
    "ref",
    "requests",
    "reviews",
    "seconds",
    "size",
    "status",
    "timeout",
    "total",
    "ttl",
    "type",
    "uri",
    "url",
    "version",
    "webhook",
];

/// Whether what has this name is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let joined: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    let has = SECRET.iter().any(|word| joined.contains(word));
    let last = last_word(name);
    let is_short = SHORT.iter().any(|word| last.ends_with(word)) && !NOT_SHORT.contains(&&*last);
    (has || is_short) && !AROUND.contains(&&*last)
}

/// Whether what has this name may be a user and a password, as registries keep them.
pub(super) fn is_login(name: &str) -> bool {
    last_word(name).ends_with("auth")
}

/// Whether it is the name of a header whose value is a secret. A value of a header may have blanks.
pub(super) fn is_header(name: &str) -> bool {
    const HEADERS: [&str; 4] = [
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
    ];
    let name = name.to_ascii_lowercase();
    let words = ["auth", "key", "secret", "token"];
    let is_ours = name.starts_with("x-") && words.iter().any(|word| name.contains(word));
    is_ours || HEADERS.contains(&name.as_str())
}

/// Whether a field of this name says what another field of the same object is: `{"name": "DB_PASSWORD", "value": ..}`.
pub(super) fn is_title(name: &str) -> bool {
    const TITLES: [&str; 12] = [
        "env",
        "field",
        "header",
        "k",
        "key",
        "label",
        "name",
        "option",
        "param",
        "parameter",
        "setting",
        "variable",
    ];
    TITLES.iter().any(|title| name.eq_ignore_ascii_case(title))
}

/// Whether a field of this name is what the other one names.
pub(super) fn is_value(name: &str) -> bool {
    const VALUES: [&str; 9] = [
        "content", "contents", "data", "default", "literal", "text", "v", "val", "values",
    ];
    let is_long = name.to_ascii_lowercase().ends_with("value");
    is_long || VALUES.iter().any(|value| name.eq_ignore_ascii_case(value))
}

/// The last word of a name, in lower case: `tokenFile`, `token-file` and `TOKEN_FILE` end in `file`.
fn last_word(name: &str) -> String {
    let mut parts = name.rsplit(|letter: char| !letter.is_ascii_alphanumeric());
    let last = parts.find(|word| !word.is_empty()).unwrap_or_default();
    let is_mixed = last.contains(|letter: char| letter.is_ascii_lowercase());
    let begins = last.rfind(|letter: char| letter.is_ascii_uppercase());
    let begins = begins.filter(|_| is_mixed);
    let word = begins.and_then(|begins| last.get(begins..));
    word.unwrap_or(last).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_however_they_are_written() {
        for name in [
            "token",
            "BUS_TOKEN",
            "clientSecret",
            "--bearer-token",
            "DB_PASSWORD",
            "db.passwd",
            "apiKey",
            "API-KEY",
            "client-key-data",
            "AWS_SECRET_ACCESS_KEY",
            "AccessKeyId",
            "Proxy-Authorization",
            "Set-Cookie",
            "tokens",
            "X-Amz-Signature",
            "DB_PASS",
            "pass",
            "dbPass",
            "mysqlpass",
            "root-pw",
            "registryCreds",
        ] {
            assert!(is_secret(name), "{name}");
        }
    }

    #[test]
    fn names_of_what_is_around_a_secret_are_not() {
        for name in [
            "secretName",
            "--bus-token-file",
            "TOKEN_FILE",
            "tokenExpirationSeconds",
            "token-audience",
            "serviceAccountName",
            "key",
            "tls.key.path",
            "certificate",
            "tokenreviews-total",
            "bypass",
            "passed",
            "passThrough",
            "pass_count",
            "spawned",
            "",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
