//! Discovery documents as protobuf messages (`meta/v1` of k8s.io/apimachinery).

use super::super::kinds::Group;
use crate::k8s::{
    protobuf::{message, number, text},
    resource::Version,
};

/// An `APIGroupList` of `groups`, served at `address`.
pub(super) fn groups(groups: &[Group], address: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for group in groups {
        message(&mut out, 1, |out| {
            group_fields(out, group);
            message(out, 4, |out| {
                text(out, 1, "0.0.0.0/0");
                text(out, 2, address);
            });
        });
    }
    out
}

/// An `APIGroup`.
pub(super) fn group(group: &Group) -> Vec<u8> {
    let mut out = Vec::new();
    group_fields(&mut out, group);
    out
}

fn group_fields(out: &mut Vec<u8>, group: &Group) {
    let version = |out: &mut Vec<u8>, version: &Version| {
        text(out, 1, version.api_version);
        text(out, 2, version.name);
    };
    text(out, 1, group.name);
    for each in group.versions {
        message(out, 2, |out| version(out, each));
    }
    if let Some(preferred) = group.versions.first() {
        message(out, 3, |out| version(out, preferred));
    }
}

/// An `APIResourceList` of a version of `group`.
pub(super) fn resources(group: &Group, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    text(&mut out, 1, version.api_version);
    for resource in group.resources() {
        message(&mut out, 2, |out| {
            text(out, 1, resource.plural);
            number(out, 2, i64::from(resource.namespaced));
            text(out, 3, resource.kind);
            message(out, 4, |out| {
                for verb in resource.verbs() {
                    text(out, 1, verb);
                }
            });
            for name in resource.short {
                text(out, 5, name);
            }
            text(out, 6, resource.singular);
            // group, version, storageVersionHash
            for field in [8, 9, 10] {
                text(out, field, "");
            }
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{super::super::objects::METRICS, *};

    /// The bytes were written by hand from generated.proto. Required fields are written even if they are empty.
    #[test]
    fn a_resource_has_all_its_required_fields() {
        let expected = b"\x0a\x11metrics.k8s.io/v1\
            \x12\x2b\x0a\x05nodes\x10\x00\x1a\x0bNodeMetrics\x22\x0b\x0a\x03get\x0a\x04list\
            \x32\x00\x42\x00\x4a\x00\x52\x00\
            \x12\x29\x0a\x04pods\x10\x01\x1a\x0aPodMetrics\x22\x0b\x0a\x03get\x0a\x04list\
            \x32\x00\x42\x00\x4a\x00\x52\x00";
        let group = Group::find(METRICS).unwrap();
        assert_eq!(resources(group, group.version("v1").unwrap()), expected);
    }
}
