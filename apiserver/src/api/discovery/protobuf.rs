//! Discovery documents as protobuf messages (`meta/v1` of k8s.io/apimachinery).

use super::super::{
    kinds::{GROUP, Resource, Version},
    protobuf::{message, number, text},
};

/// An `APIGroupList` of the one group, served at `address`.
pub(super) fn groups(address: &str) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, 1, |out| {
        group_fields(out);
        message(out, 4, |out| {
            text(out, 1, "0.0.0.0/0");
            text(out, 2, address);
        });
    });
    out
}

/// An `APIGroup`.
pub(super) fn group() -> Vec<u8> {
    let mut out = Vec::new();
    group_fields(&mut out);
    out
}

fn group_fields(out: &mut Vec<u8>) {
    let version = |out: &mut Vec<u8>, version: Version| {
        text(out, 1, version.api_version());
        text(out, 2, version.name());
    };
    text(out, 1, GROUP);
    for each in Version::ALL {
        message(out, 2, |out| version(out, each));
    }
    let [preferred, ..] = Version::ALL;
    message(out, 3, |out| version(out, preferred));
}

/// An `APIResourceList` of `version`.
pub(super) fn resources(version: &str) -> Vec<u8> {
    let mut out = Vec::new();
    text(&mut out, 1, version);
    for (resource, namespaced) in [(Resource::Nodes, 0), (Resource::Pods, 1)] {
        message(&mut out, 2, |out| {
            text(out, 1, resource.plural());
            number(out, 2, namespaced);
            text(out, 3, resource.kind());
            message(out, 4, |out| {
                text(out, 1, "get");
                text(out, 1, "list");
            });
            // singularName, group, version, storageVersionHash
            for field in [6, 8, 9, 10] {
                text(out, field, "");
            }
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand from generated.proto: required fields are written though empty.
    #[test]
    fn a_resource_has_all_its_required_fields() {
        let expected = b"\x0a\x11metrics.k8s.io/v1\
            \x12\x2b\x0a\x05nodes\x10\x00\x1a\x0bNodeMetrics\x22\x0b\x0a\x03get\x0a\x04list\
            \x32\x00\x42\x00\x4a\x00\x52\x00\
            \x12\x29\x0a\x04pods\x10\x01\x1a\x0aPodMetrics\x22\x0b\x0a\x03get\x0a\x04list\
            \x32\x00\x42\x00\x4a\x00\x52\x00";
        assert_eq!(resources("metrics.k8s.io/v1"), expected);
    }
}
