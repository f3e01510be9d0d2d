//! Paths of the API. Names in them are chosen by others, and may have any letters where Kubernetes does not look.

use std::fmt::Write as _;

/// A path below `root` with these names. Whatever letters a name has, it is one part of the path.
pub(crate) fn path(root: &str, names: &[&str]) -> String {
    let mut path = root.to_owned();
    for name in names {
        path.push('/');
        path.push_str(&part(name));
    }
    path
}

/// A name as one part of a path, also of a file. Names of Kubernetes stay as they are; `_` is none of those.
fn part(name: &str) -> String {
    // The empty name, and those that lead to other directories.
    if name.bytes().all(|byte| byte == b'.') {
        return "_".to_owned();
    }
    encoded(name)
}

/// A value of a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path_whatever_its_letters() {
        assert_eq!(
            path("/api/v1", &["namespaces", "shop", "pods", "web-1.a_b"]),
            "/api/v1/namespaces/shop/pods/web-1.a_b"
        );
        for (name, part) in [
            ("a/b", "a%2Fb"),
            ("a?b=c#d", "a%3Fb%3Dc%23d"),
            ("a b%", "a%20b%25"),
            ("é\u{202e}\n", "%C3%A9%E2%80%AE%0A"),
            ("", "_"),
            (".", "_"),
            ("..", "_"),
            ("../x", "..%2Fx"),
        ] {
            let path = path("/root", &[name, "scale"]);
            assert_eq!(path, format!("/root/{part}/scale"));
            path.parse::<http::Uri>().unwrap();
        }
    }
}
