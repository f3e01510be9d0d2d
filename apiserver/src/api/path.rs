//! What a path asks for.
//!
//! As the libraries of Kubernetes' servers read it: decoded, without the slashes
//! around it, and split. Authorization reads the same [`segments`].

use percent_encoding::percent_decode_str;

use super::kinds::{GROUP, Version};

/// What is below a version.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Which resources there are.
    Resources,
    /// All nodes.
    Nodes,
    /// One of this name.
    Node(String),
    /// The pods of a namespace, or of all. An empty name is none, as upstream.
    Pods(Option<String>),
    /// One in this namespace, of this name.
    Pod(String, String),
}

/// The segments of a path: of `/`, one that is empty.
pub(crate) fn segments(path: &str) -> Vec<String> {
    let path = decoded(path);
    let segments = path.trim_matches('/').split('/');
    segments.map(str::to_owned).collect()
}

/// The text of a path. What is not UTF-8 is no name that anything has.
pub(crate) fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

impl Asked {
    /// What `path` asks of `version`; nothing if there is no such thing.
    pub(super) fn by(path: &str, version: Version) -> Option<Self> {
        let segments = segments(path);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["apis", GROUP, asked, rest @ ..] = segments.as_slice() else {
            return None;
        };
        if *asked != version.name() {
            return None;
        }
        Some(match rest {
            [] => Self::Resources,
            ["nodes"] => Self::Nodes,
            ["nodes", name] => Self::Node((*name).to_owned()),
            ["pods"] | ["namespaces", "", "pods"] => Self::Pods(None),
            ["namespaces", namespace, "pods"] => Self::Pods(Some((*namespace).to_owned())),
            ["namespaces", namespace, "pods", name] => {
                Self::Pod((*namespace).to_owned(), (*name).to_owned())
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(below: &str) -> Option<Asked> {
        let path = format!("/apis/metrics.k8s.io/v1beta1{below}");
        Asked::by(&path, Version::V1Beta1)
    }

    fn pod(namespace: &str, name: &str) -> Asked {
        Asked::Pod(namespace.to_owned(), name.to_owned())
    }

    /// As go-restful 3.13 routes them for k8s.io/apiserver.
    #[test]
    fn paths_are_read_as_upstream_reads_them() {
        let node = |name: &str| Some(Asked::Node(name.to_owned()));
        let all_of = |namespace: &str| Some(Asked::Pods(Some(namespace.to_owned())));
        for (below, what) in [
            ("", Some(Asked::Resources)),
            ("/", Some(Asked::Resources)),
            ("//", Some(Asked::Resources)),
            ("/nodes", Some(Asked::Nodes)),
            ("/nodes///", Some(Asked::Nodes)),
            ("/nodes/n1", node("n1")),
            ("/nodes/n1//", node("n1")),
            ("/nodes/..", node("..")),
            ("/nodes//n1", None),
            ("/nodes/n1/status", None),
            ("/nodes/../nodes", None),
            ("//nodes", None),
            ("/pods", Some(Asked::Pods(None))),
            ("/pods/x", None),
            ("/namespaces", None),
            ("/namespaces/pods", None),
            ("/namespaces/a", None),
            ("/namespaces/a/status", None),
            ("/namespaces/a/pods", all_of("a")),
            ("/namespaces/a/pods//", all_of("a")),
            ("/namespaces/status/pods", all_of("status")),
            ("/namespaces//pods", Some(Asked::Pods(None))),
            ("/namespaces//pods/", Some(Asked::Pods(None))),
            ("/namespaces///pods", None),
            ("/namespaces/a//pods", None),
            ("/namespaces/a/pods/x", Some(pod("a", "x"))),
            ("/namespaces//pods/x", Some(pod("", "x"))),
            ("/namespaces/a/pods//x", None),
            ("/namespaces/a/pods/x/log", None),
            ("/watch/nodes", None),
            ("/nodes;a=b", None),
        ] {
            assert_eq!(asked(below), what, "{below}");
        }
    }

    #[test]
    fn escapes_are_decoded_once_before_the_path_is_split() {
        let node = |name: &str| Some(Asked::Node(name.to_owned()));
        for (below, what) in [
            ("/node%73", Some(Asked::Nodes)),
            ("/nodes/n%31", node("n1")),
            ("/nodes%2Fn1", node("n1")),
            ("/namespaces/a%2Fpods%2Fx", Some(pod("a", "x"))),
            ("/namespaces/a%2Fpods%2Fx/pods/", None),
            ("/namespaces/%2Fpods", Some(Asked::Pods(None))),
            ("/node%2573", None),
            ("/nodes/n%2531", node("n%31")),
            ("/nodes/%ff", node("\u{fffd}")),
        ] {
            assert_eq!(asked(below), what, "{below}");
        }
    }

    #[test]
    fn a_version_answers_for_itself() {
        let path = "/%61pis/metrics.k8s.io/v1/nodes";
        assert_eq!(Asked::by(path, Version::V1), Some(Asked::Nodes));
        assert_eq!(Asked::by(path, Version::V1Beta1), None);
    }
}
