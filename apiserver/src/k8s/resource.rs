//! The names of resources, and which of them are served.

#[cfg(test)]
pub(crate) mod examples;

use std::sync::Arc;

/// A version of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Its name.
    pub(crate) name: &'static str,
    /// The API version of an object: group and version.
    pub(crate) api_version: &'static str,
}

/// The names and properties of a kind.
#[derive(Debug)]
pub(crate) struct Resource {
    /// Its group.
    pub(crate) group: &'static str,
    /// Its name in paths.
    pub(crate) plural: &'static str,
    /// The singular name in commands. Empty if it would hide another resource.
    pub(crate) singular: &'static str,
    /// Its short names in commands.
    pub(crate) short: &'static [&'static str],
    /// The kind of an object.
    pub(crate) kind: &'static str,
    /// Whether objects are in namespaces. Tenants read objects in namespaces.
    pub(crate) namespaced: bool,
    /// Whether it is served in protobuf, besides JSON and YAML.
    pub(crate) protobuf: bool,
    /// Whether it can be watched. Then its lists have a version.
    pub(crate) watched: bool,
    /// The fields for selection, besides name and namespace.
    pub(crate) fields: &'static [&'static str],
    /// The word for one object in messages.
    pub(crate) about: &'static str,
    /// The kind in the error for a missing object, and the group, if the error has one.
    pub(crate) missing: (&'static str, &'static str),
    /// The byte that marks its tokens, so that they continue lists of no other resource.
    pub(crate) mark: u8,
    /// The schemas in a version, by name: those of an object, of a list, and of their parts.
    pub(crate) schemas: fn(Version) -> serde_json::Map<String, serde_json::Value>,
    /// The prefix of the names of its schemas, before the version.
    pub(crate) package: &'static str,
}

impl Resource {
    /// The verbs that it supports.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        if self.watched {
            &["get", "list", "watch"]
        } else {
            &["get", "list"]
        }
    }

    /// Its name in upstream's errors: with the group.
    pub(crate) fn qualified(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }
}

/// Every served resource, once for each of its versions. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Resources(Arc<[(Version, &'static Resource)]>);

impl FromIterator<(Version, &'static Resource)> for Resources {
    fn from_iter<I: IntoIterator<Item = (Version, &'static Resource)>>(resources: I) -> Self {
        Self(resources.into_iter().collect())
    }
}

impl Resources {
    /// All resources with their versions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Version, &'static Resource)> {
        self.0.iter().copied()
    }

    /// The resource with these names in paths, in any version.
    pub(crate) fn find(&self, group: &str, plural: &str) -> Option<&'static Resource> {
        let mut resources = self.iter().map(|(_, resource)| resource);
        resources.find(|resource| resource.group == group && resource.plural == plural)
    }

    /// The resource with these names in paths, in this version.
    pub(crate) fn find_in(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<(Version, &'static Resource)> {
        self.iter().find(|(known, resource)| {
            resource.group == group && known.name == version && resource.plural == plural
        })
    }
}
