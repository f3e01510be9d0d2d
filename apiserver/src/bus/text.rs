//! Strings of publishers that people read: names and messages, in logs, in responses and on
//! terminals.

use tributary_model::MAX_NAME;

/// An invalid name of a source, an instance or a group: it could be mistaken for something else
/// where it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is no name: up to {MAX_NAME} visible characters of ASCII without blanks are")]
pub(super) struct BadName {
    pub(super) what: &'static str,
}

/// `name`, checked. It may be empty.
///
/// # Errors
///
/// It is too long, or has invisible characters.
pub(super) fn plain_name(what: &'static str, name: String) -> Result<String, BadName> {
    let plain = name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_graphic());
    if plain {
        Ok(name)
    } else {
        Err(BadName { what })
    }
}

/// Whether `name` can be that of a Node object: a DNS subdomain.
pub(super) fn is_node_name(name: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        let end = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'-');
        bytes.iter().all(inner) && end(bytes.first()) && end(bytes.last())
    };
    name.len() <= MAX_NAME && name.split('.').all(label)
}

/// `text` on one line, without characters that change how a terminal shows the rest: control
/// characters, line separators and marks of direction become blanks.
pub(super) fn printable(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if odd(c) { ' ' } else { c }).collect()
}

/// Whether a publisher in the pod `pod` may call itself `source`: by the name of the pod, by its
/// host name (which Kubernetes cuts to 63 characters), or by a name that begins with the pod's and
/// `/`, for several in one pod.
pub(super) fn is_source_of(source: &str, pod: &str) -> bool {
    const HOST_NAME: usize = 63;
    let host = pod.get(..HOST_NAME).unwrap_or(pod);
    let rest = source.strip_prefix(pod);
    source == host.trim_end_matches(['-', '.'])
        || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_visible_and_on_one_line() {
        for good in ["", "scraper-1", "My_Laptop.local", "pod/container", "a=b"] {
            assert_eq!(plain_name("source", good.to_owned()).unwrap(), good);
        }
        for bad in [
            "a b",
            "a\nb",
            "a\u{1b}[2J",
            "a\u{7f}",
            "\u{e4}",
            "\u{202e}x",
        ] {
            assert!(plain_name("source", bad.to_owned()).is_err(), "{bad:?}");
        }
        let long = plain_name("group", "s".repeat(254)).unwrap_err();
        assert_eq!(
            long.to_string(),
            "group is no name: up to 253 visible characters of ASCII without blanks are"
        );
    }

    #[test]
    fn a_node_has_the_name_of_an_object() {
        for good in ["n", "node-1", "ip-10-0-0-1.ec2.internal", "1"] {
            assert!(is_node_name(good), "{good}");
        }
        for bad in ["", "-n", "n-", "N", "a..b", ".a", "a b", "a_b", "a\n"] {
            assert!(!is_node_name(bad), "{bad:?}");
        }
        assert!(is_node_name("a.".repeat(126).trim_end_matches('.')));
        assert!(!is_node_name(&"a".repeat(254)));
    }

    #[test]
    fn a_sentence_cannot_change_the_lines_around_it() {
        let forged = "dial: \u{1b}]0;owned\u{7}\r\nWARN \u{9b}2J\u{2028}\u{202e}x";
        assert_eq!(printable(forged), "dial:  ]0;owned   WARN  2J  x");
        let honest = "x509: \u{201e}n3\u{201c} \u{fc}ber TLS";
        assert_eq!(printable(honest), honest);
    }

    #[test]
    fn a_source_is_called_after_its_pod() {
        assert!(is_source_of("scraper-1", "scraper-1"));
        assert!(is_source_of("scraper-1/windows", "scraper-1"));
        assert!(!is_source_of("scraper-10", "scraper-1"));
        assert!(!is_source_of("scraper", "scraper-1"));
        assert!(!is_source_of("scraper-2", "scraper-1"));
        let pod = format!("{}-x-y", "p".repeat(62));
        assert!(is_source_of(&pod, &pod));
        assert!(is_source_of(&"p".repeat(62), &pod));
        assert!(!is_source_of(&"p".repeat(61), &pod));
    }
}
