//! The names of resources, and which of them are served.

#[cfg(test)]
pub(crate) mod examples;

use std::sync::Arc;

/// A version of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Its name.
    pub(crate) name: &'static str,
    /// The API version of an object: with the group.
    pub(crate) api_version: &'static str,
}

/// The names of a kind, and what it can do.
#[derive(Debug)]
pub(crate) struct Resource {
    /// The group that it is of.
    pub(crate) group: &'static str,
    /// Its name in paths.
    pub(crate) plural: &'static str,
    /// What one is called in commands; empty if that would hide another resource.
    pub(crate) singular: &'static str,
    /// Further names of it in commands.
    pub(crate) short: &'static [&'static str],
    /// The kind of an object.
    pub(crate) kind: &'static str,
    /// Whether objects are in namespaces. What those hold is for tenants.
    pub(crate) namespaced: bool,
    /// Whether it is served in protobuf beside JSON and YAML.
    pub(crate) protobuf: bool,
    /// Whether it can be watched. Lists then have a version.
    pub(crate) watched: bool,
    /// By which fields objects can be selected, beside name and namespace.
    pub(crate) fields: &'static [&'static str],
    /// One of what it is about, in words.
    pub(crate) about: &'static str,
    /// The kind in the error for a missing object, and the group, if the error has one.
    pub(crate) missing: (&'static str, &'static str),
    /// A byte of its tokens, which continue lists of no other resource.
    pub(crate) mark: u8,
    /// The schemas in a version, by name: of an object, a list, and their parts.
    pub(crate) schemas: fn(Version) -> serde_json::Map<String, serde_json::Value>,
    /// What the names of these two begin with, before the version.
    pub(crate) package: &'static str,
}

impl Resource {
    /// What can be done with it.
    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        if self.watched {
            &["get", "list", "watch"]
        } else {
            &["get", "list"]
        }
    }

    /// As upstream names it in refusals: with the group.
    pub(crate) fn qualified(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }
}

/// Every resource that is served, once for each of its versions. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Resources(Arc<[(Version, &'static Resource)]>);

impl FromIterator<(Version, &'static Resource)> for Resources {
    fn from_iter<I: IntoIterator<Item = (Version, &'static Resource)>>(resources: I) -> Self {
        Self(resources.into_iter().collect())
    }
}

impl Resources {
    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Version, &'static Resource)> {
        self.0.iter().copied()
    }

    /// The resource of these names in paths, in any version.
    pub(crate) fn find(&self, group: &str, plural: &str) -> Option<&'static Resource> {
        let mut resources = self.iter().map(|(_, resource)| resource);
        resources.find(|resource| resource.group == group && resource.plural == plural)
    }

    /// The resource of these names in paths, in this version.
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
