//! Which names are those of secrets: of fields, variables, flags and headers.

/// Words that make a name that of a secret, in lower case, without what separates words.
const SECRET: [&str; 20] = [
    "accesskey",
    "apikey",
    "authorization",
    "bearer",
    "clientkey",
    "cookie",
    "credential",
    "encryptionkey",
    "keydata",
    "keypem",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "secret",
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
const AROUND: [&str; 32] = [
    "account",
    "age",
    "audience",
    "audiences",
    "cache",
    "count",
    "dir",
    "directory",
    "expiration",
    "expires",
    "expiry",
    "file",
    "files",
    "interval",
    "kind",
    "limit",
    "mount",
    "mounts",
    "name",
    "names",
    "namespace",
    "path",
    "paths",
    "ref",
    "requests",
    "reviews",
    "seconds",
    "size",
    "timeout",
    "total",
    "ttl",
    "type",
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
