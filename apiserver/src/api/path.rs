//! Reads the resource and object from a path.
//!
//! Authorization reads the same [`segments`].

use tributary_model::PodKey;

use super::kinds::{Group, Registered};
use crate::k8s::{path::segments, resource::Version};

/// A path below a version.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The list of resources.
    Resources,
    /// The objects of a kind, in a namespace or all. An empty namespace means all, as upstream.
    List(&'static Registered, Option<String>),
    /// The object with this namespace and name. The namespace is empty if the kind has none.
    One(&'static Registered, PodKey),
}

impl Asked {
    /// Reads `path` for a version of a group. `None` if there is no such resource.
    pub(super) fn by(path: &str, group: &'static Group, version: Version) -> Option<Self> {
        let segments = segments(path);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["apis", of_group, of_version, rest @ ..] = segments.as_slice() else {
            return None;
        };
        if *of_group != group.name || *of_version != version.name {
            return None;
        }
        let (namespace, plural, name) = match rest {
            [] => return Some(Self::Resources),
            ["namespaces", namespace, plural] => (Some(*namespace), plural, None),
            ["namespaces", namespace, plural, name] => (Some(*namespace), plural, Some(*name)),
            [plural] => (None, plural, None),
            [plural, name] => (None, plural, Some(*name)),
            _ => return None,
        };
        let kind = group.kind(plural)?;
        match (kind.resource.namespaced, namespace, name) {
            (true, Some(namespace), Some(name)) => {
                Some(Self::One(kind, PodKey::new(namespace, name)))
            }
            (true, namespace, None) => {
                let namespace = namespace.filter(|namespace| !namespace.is_empty());
                Some(Self::List(kind, namespace.map(str::to_owned)))
            }
            (false, None, Some(name)) => Some(Self::One(kind, PodKey::new("", name))),
            (false, None, None) => Some(Self::List(kind, None)),
            (true, None, Some(_)) | (false, Some(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, group: &str, version: &str) -> Option<Asked> {
        let group = Group::find(group).unwrap();
        Asked::by(path, group, group.version(version).unwrap())
    }

    fn asked(below: &str) -> Option<Asked> {
        let path = format!("/apis/metrics.k8s.io/v1beta1{below}");
        of(&path, "metrics.k8s.io", "v1beta1")
    }

    fn kind(plural: &str) -> &'static Registered {
        Group::find("metrics.k8s.io").unwrap().kind(plural).unwrap()
    }

    fn nodes() -> Asked {
        Asked::List(kind("nodes"), None)
    }

    fn node(name: &str) -> Asked {
        Asked::One(kind("nodes"), PodKey::new("", name))
    }

    fn pods(namespace: Option<&str>) -> Asked {
        Asked::List(kind("pods"), namespace.map(str::to_owned))
    }

    fn pod(namespace: &str, name: &str) -> Asked {
        Asked::One(kind("pods"), PodKey::new(namespace, name))
    }

    /// The cases follow the routes of go-restful 3.13 for k8s.io/apiserver.
    #[test]
    fn paths_are_read_as_upstream_reads_them() {
        for (below, what) in [
            ("", Some(Asked::Resources)),
            ("/", Some(Asked::Resources)),
            ("//", Some(Asked::Resources)),
            ("/nodes", Some(nodes())),
            ("/nodes///", Some(nodes())),
            ("/nodes/n1", Some(node("n1"))),
            ("/nodes/n1//", Some(node("n1"))),
            ("/nodes/..", Some(node(".."))),
            ("/nodes//n1", None),
            ("/nodes/n1/status", None),
            ("/nodes/../nodes", None),
            ("//nodes", None),
            ("/pods", Some(pods(None))),
            ("/pods/x", None),
            ("/namespaces", None),
            ("/namespaces/pods", None),
            ("/namespaces/a", None),
            ("/namespaces/a/status", None),
            ("/namespaces/a/pods", Some(pods(Some("a")))),
            ("/namespaces/a/pods//", Some(pods(Some("a")))),
            ("/namespaces/status/pods", Some(pods(Some("status")))),
            ("/namespaces//pods", Some(pods(None))),
            ("/namespaces//pods/", Some(pods(None))),
            ("/namespaces///pods", None),
            ("/namespaces/a//pods", None),
            ("/namespaces/a/pods/x", Some(pod("a", "x"))),
            ("/namespaces//pods/x", Some(pod("", "x"))),
            ("/namespaces/a/pods//x", None),
            ("/namespaces/a/pods/x/log", None),
            ("/namespaces/a/nodes", None),
            ("/namespaces/a/nodes/n1", None),
            ("/namespaces//nodes", None),
            ("/watch/nodes", None),
            ("/nodes;a=b", None),
        ] {
            assert_eq!(asked(below), what, "{below}");
        }
    }

    #[test]
    fn escapes_are_decoded_once_before_the_path_is_split() {
        for (below, what) in [
            ("/node%73", Some(nodes())),
            ("/nodes/n%31", Some(node("n1"))),
            ("/nodes%2Fn1", Some(node("n1"))),
            ("/namespaces/a%2Fpods%2Fx", Some(pod("a", "x"))),
            ("/namespaces/a%2Fpods%2Fx/pods/", None),
            ("/namespaces/%2Fpods", Some(pods(None))),
            ("/node%2573", None),
            ("/nodes/n%2531", Some(node("n%31"))),
            ("/nodes/%ff", Some(node("\u{fffd}"))),
        ] {
            assert_eq!(asked(below), what, "{below}");
        }
    }

    #[test]
    fn a_version_answers_for_itself() {
        let path = "/%61pis/metrics.k8s.io/v1/nodes";
        assert_eq!(of(path, "metrics.k8s.io", "v1"), Some(nodes()));
        assert_eq!(of(path, "metrics.k8s.io", "v1beta1"), None);
    }
}
