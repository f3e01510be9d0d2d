//! What a check found.

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::{
    catalogue::{Code, Level, whole},
    commands::Commands,
};

/// One trouble of the catalogue, found in this cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which one.
    pub code: Code,
    /// What exactly is wrong here.
    pub what: String,
    /// What was seen that shows it.
    pub evidence: Vec<String>,
    /// For the names in the commands of the catalogue.
    values: Vec<(&'static str, String)>,
    /// The cluster for which the commands are.
    cluster: Commands,
}

impl Finding {
    /// A finding without evidence yet.
    #[must_use]
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self {
            code,
            what: what.into(),
            evidence: Vec::new(),
            values: Vec::new(),
            cluster: Commands::default(),
        }
    }

    /// The same, with something that was seen. Empty texts show nothing.
    #[must_use]
    pub fn seen(mut self, evidence: impl Into<String>) -> Self {
        let evidence = evidence.into();
        if !evidence.is_empty() {
            self.evidence.push(evidence);
        }
        self
    }

    /// The same, with a value for a name in the commands. An empty one is none.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    /// The same, with commands for the cluster of the caller.
    #[must_use]
    pub fn on(mut self, cluster: &Commands) -> Self {
        self.cluster = cluster.clone();
        self
    }

    /// How bad it is.
    #[must_use]
    pub fn level(&self) -> Level {
        self.code.trouble().level
    }

    /// The commands to copy: those of which everything is known.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let commands = self.code.trouble().commands.iter();
        let commands = commands.filter_map(|command| whole(command, &self.values));
        commands.map(|it| self.cluster.command(&it)).collect()
    }

    /// The command that shows what the catalogue says.
    #[must_use]
    pub fn explain(&self) -> String {
        self.code.explain(&self.cluster)
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let trouble = self.code.trouble();
        let mut fields = serializer.serialize_struct("Finding", 11)?;
        fields.serialize_field("code", trouble.code)?;
        fields.serialize_field("name", trouble.name)?;
        fields.serialize_field("level", &trouble.level)?;
        fields.serialize_field("title", trouble.title)?;
        fields.serialize_field("what", &self.what)?;
        fields.serialize_field("evidence", &self.evidence)?;
        fields.serialize_field("matters", trouble.matters)?;
        fields.serialize_field("remedy", trouble.remedy)?;
        fields.serialize_field("commands", &self.commands())?;
        fields.serialize_field("link", &self.code.link())?;
        fields.serialize_field("explain", &self.explain())?;
        fields.end()
    }
}
