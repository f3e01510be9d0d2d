//! Names of objects. One that Kubernetes never gives is refused here: as a part of a path it would be another path, or none.

/// The longest name of an object.
const LONGEST: usize = 253;

/// The longest name of a namespace.
const LONGEST_NAMESPACE: usize = 63;

const NAMESPACE: &str = "a namespace has 1 to 63 lowercase letters, digits and -";
const OBJECT: &str = "a name has 1 to 253 lowercase letters, digits, - and .";
const BOTH: &str = "NAME or NAMESPACE/NAME, a name of 1 to 253 and a namespace of 1 to 63 lowercase letters, digits and -, a name also with .";

/// A namespace.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    named(text, is_namespace(text), NAMESPACE)
}

/// An object that is in no namespace.
pub(super) fn object(text: &str) -> Result<String, String> {
    named(text, is_object(text), OBJECT)
}

/// An object, perhaps with its namespace.
pub(super) fn in_namespace(text: &str) -> Result<String, String> {
    let is_both = match text.split_once('/') {
        Some((namespace, name)) => is_namespace(namespace) && is_object(name),
        None => is_object(text),
    };
    named(text, is_both, BOTH)
}

fn named(text: &str, is_name: bool, rule: &str) -> Result<String, String> {
    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| rule.to_owned())
}

fn is_namespace(text: &str) -> bool {
    text.len() <= LONGEST_NAMESPACE && is_part(text)
}

fn is_object(text: &str) -> bool {
    text.len() <= LONGEST && text.split('.').all(is_part)
}

fn is_part(text: &str) -> bool {
    let is_inside = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().next_back()];
    ends.into_iter().all(|end| end.is_some_and(is_inside))
        && text
            .bytes()
            .all(|letter| is_inside(letter) || letter == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubernetes_gives() {
        for name in ["a", "kube-system", "0", &"a".repeat(63)] {
            assert_eq!(namespace(name), Ok(name.to_owned()));
        }
        for wrong in [
            "",
            "-a",
            "a-",
            "A",
            "a.b",
            "a/b",
            "a b",
            "é",
            &"a".repeat(64),
        ] {
            assert_eq!(namespace(wrong), Err(NAMESPACE.to_owned()), "{wrong}");
        }
        for name in ["ip-10-0-0-1.eu.compute.internal", "n", &"a".repeat(253)] {
            assert_eq!(object(name), Ok(name.to_owned()));
        }
        for wrong in [
            "",
            ".",
            "..",
            "a..b",
            "a/b",
            "a%2Fb",
            "a\n",
            &"a".repeat(254),
        ] {
            assert_eq!(object(wrong), Err(OBJECT.to_owned()), "{wrong}");
        }
        for name in ["web", "shop/web", "shop/web.v1"] {
            assert_eq!(in_namespace(name), Ok(name.to_owned()));
        }
        for wrong in ["", "/", "shop/", "/web", "a/b/c", "a.b/c", "Shop/web"] {
            assert_eq!(in_namespace(wrong), Err(BOTH.to_owned()), "{wrong}");
        }
    }
}
