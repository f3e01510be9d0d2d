//! `explain`: one node, pod, autoscaler or trouble, and why it is as it is.

pub mod hpa;
mod node;
mod pod;
mod reading;
mod unfed;

use std::fmt::Write as _;

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value, json};

pub use self::{hpa::hpa, node::node, pod::pod};
use crate::{
    catalogue::Code,
    kube_api::{Failure, KubeApi},
    printed::{Outcome, Paint, harmless},
};

/// The width of the column of titles.
const TITLES: usize = 12;

/// What is said of one thing. Serialized, it has the lines for people, by their titles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What it is, and how it stands.
    pub title: String,
    /// Whether it has metrics.
    pub outcome: Outcome,
    facts: Vec<(&'static str, Vec<String>)>,
    /// The same for programs.
    details: Map<String, Value>,
}

/// Why something has no metrics, in the words of who says it.
#[derive(Clone, Debug, Serialize)]
struct Why<'a> {
    /// `metrics.k8s.io`, or `fleet.tributary.dev`.
    from: &'static str,
    /// In a word, if there is one.
    reason: &'a str,
    message: &'a str,
    /// The code of the trouble that `doctor` finds, if it is one.
    trouble: Option<&'static str>,
}

impl Explained {
    fn new(title: impl Into<String>, outcome: Outcome) -> Self {
        Self {
            title: title.into(),
            outcome,
            facts: Vec::new(),
            details: Map::new(),
        }
    }

    /// One more line, after those with the same title. Empty ones say nothing.
    fn line(&mut self, title: &'static str, line: impl Into<String>) {
        let line = line.into();
        if line.is_empty() {
            return;
        }
        match self.facts.iter_mut().find(|(known, _)| *known == title) {
            Some((_, lines)) => lines.push(line),
            None => self.facts.push((title, vec![line])),
        }
    }

    /// A field for programs.
    fn detail(&mut self, name: &str, value: impl Serialize) {
        self.details.insert(name.to_owned(), json!(value));
    }

    /// One more item of a list for programs.
    fn item(&mut self, list: &str, value: impl Serialize) {
        let items = self.details.entry(list).or_insert_with(|| json!([]));
        if let Some(items) = items.as_array_mut() {
            items.push(json!(value));
        }
    }

    /// One more reason.
    fn why(&mut self, why: &Why<'_>) {
        let text = [why.reason, why.message].join(": ");
        self.line("why", text.trim_matches([':', ' ']));
        self.item("why", why);
    }

    /// The command that says what to do.
    fn remedy(&mut self, code: Code, api: &KubeApi) {
        let (name, explain) = (code.trouble().name, code.explain(&api.commands));
        self.line("what to do", format!("{name}: {explain}"));
    }

    /// What could not be read. An API that is gone fails every request alike, which is said once.
    fn unread(&mut self, title: &'static str, failure: &Failure) {
        let text = failure.to_string();
        let is_gone = matches!(failure, Failure::Unreachable(_) | Failure::Foreign(_));
        let title_or_why = if is_gone { "why" } else { title };
        if !(is_gone && self.lines("why").contains(&text)) {
            self.line(title_or_why, &text);
        }
        self.item("unread", json!({ "what": title, "message": text }));
    }

    /// For programs: each fact in a field of its own, with names and values as the API has them.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut document = self.details.clone();
        document.insert("title".to_owned(), json!(self.title));
        document.insert("outcome".to_owned(), json!(self.outcome));
        for list in ["why", "unread"] {
            document.entry(list).or_insert_with(|| json!([]));
        }
        Value::Object(document)
    }

    /// The lines with a title.
    #[must_use]
    pub fn lines(&self, title: &str) -> &[String] {
        let found = self.facts.iter().find(|(known, _)| *known == title);
        found.map_or(&[], |(_, lines)| lines)
    }

    /// For people.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let title = harmless(&self.title);
        let title = match self.outcome {
            Outcome::Healthy => paint.good(&title),
            Outcome::Unknown => paint.warn(&title),
            Outcome::Findings => paint.bad(&title),
        };
        let mut text = format!("{title}\n");
        for (title, lines) in &self.facts {
            for (index, line) in lines.iter().enumerate() {
                let title = if index == 0 { title } else { "" };
                let title = paint.faint(&format!("{title:<TITLES$}"));
                writeln!(text, "  {title}{}", harmless(line)).ok();
            }
        }
        text
    }
}

impl Serialize for Explained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("title", &self.title)?;
        fields.serialize_entry("outcome", &self.outcome)?;
        for (title, lines) in &self.facts {
            fields.serialize_entry(title, lines)?;
        }
        fields.end()
    }
}

/// The API and the name for `NAME` or `NAMESPACE/NAME`. `named` is the namespace of the flag.
///
/// # Errors
///
/// Both name a namespace, and not the same one.
pub fn in_namespace<'a>(
    mut api: KubeApi,
    name: &'a str,
    named: Option<&str>,
) -> anyhow::Result<(KubeApi, &'a str)> {
    let Some((namespace, name)) = name.split_once('/') else {
        return Ok((api, name));
    };
    if let Some(named) = named.filter(|named| *named != namespace) {
        anyhow::bail!("{namespace}/{name} is not in the namespace {named} (--namespace)");
    }
    namespace.clone_into(&mut api.namespace);
    Ok((api, name))
}

/// A trouble of the catalogue, by its code or its name.
///
/// # Errors
///
/// There is none.
pub fn trouble(word: &str) -> anyhow::Result<Code> {
    let code = Code::find(word);
    code.ok_or_else(|| anyhow::anyhow!("no trouble {word:?}: codes are TRB001 and so on"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube_api::fake::Fake;

    #[tokio::test]
    async fn a_name_may_have_its_namespace() {
        let of = |name: &'static str, named: Option<&str>| {
            let (api, name) = in_namespace(Fake::default().api(), name, named)?;
            anyhow::Ok((api.namespace, name))
        };
        let is = |namespace: &str, name| (namespace.to_owned(), name);
        assert_eq!(of("web", None).unwrap(), is("default", "web"));
        assert_eq!(of("shop/web", None).unwrap(), is("shop", "web"));
        assert_eq!(of("shop/web", Some("shop")).unwrap(), is("shop", "web"));
        let error = of("shop/web", Some("infra")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "shop/web is not in the namespace infra (--namespace)"
        );
    }

    #[test]
    fn lines_with_one_title_stay_together_and_none_is_lost() {
        let mut explained = Explained::new("pod", Outcome::Findings);
        explained.line("why", "one");
        explained.line("node", "n-0");
        explained.line("why", "two");
        assert_eq!(explained.lines("why"), ["one", "two"]);
        let lines = json!({ "title": "pod", "outcome": "findings", "why": ["one", "two"], "node": ["n-0"] });
        assert_eq!(json!(explained), lines);
    }
}
