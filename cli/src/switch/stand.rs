//! `switch status`: where each version leads, who answers, and what `switch back` would restore.

use serde::Serialize;

use super::{
    find,
    object::{Kept, Object, Version, leads_to},
    owner::{Owner, owners},
    watch::{ANSWER_WITHIN, Answered, Expected, ask},
};
use crate::{
    kube_api::{Failure, KubeApi},
    printed::{Outcome, Paint, Table},
};

/// How `metrics.k8s.io` stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Whether each version that exists is answered by the server to which it leads.
    pub outcome: Outcome,
    /// The Service of Tributary, if it is known.
    pub tributary: Option<String>,
    /// The versions.
    pub versions: Vec<Stand>,
}

/// How a version stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stand {
    /// The name of its `APIService`.
    pub name: String,
    /// Where it leads; `None` if it does not exist.
    pub leads_to: Option<String>,
    /// `tributary`, `another server`, or why there is no answer.
    pub answered_by: String,
    /// How many nodes the answer has.
    pub nodes: Option<usize>,
    /// What `switch back` restores: where it led, or `none`. `None` if nothing is kept.
    pub before: Option<String>,
    /// What else writes it.
    pub owners: Vec<Owner>,
    #[serde(skip)]
    is_right: bool,
}

impl Standing {
    /// Reads and asks.
    ///
    /// # Errors
    ///
    /// An `APIService` cannot be read.
    pub async fn read(api: &KubeApi) -> Result<Self, Failure> {
        let api = &api.at_once();
        let tributary = find::backend(api, None).await.ok();
        let tributary = tributary.map(|backend| backend.service.to_string());
        let mut versions = Vec::new();
        for version in [Version::V1beta1, Version::V1] {
            let object = find::object(api, &version.path()).await;
            let object = object.map_err(|failure| failure.with_status())?;
            versions.push(Stand::of(api, version, object, tributary.as_deref()).await);
        }
        let all_right = versions.iter().all(|version| version.is_right);
        let serves = versions.iter().any(|version| version.leads_to.is_some());
        let outcome = if all_right && serves {
            Outcome::Healthy
        } else {
            Outcome::Findings
        };
        Ok(Self {
            outcome,
            tributary,
            versions,
        })
    }
}

impl Stand {
    async fn of(
        api: &KubeApi,
        version: Version,
        object: Option<Object>,
        tributary: Option<&str>,
    ) -> Self {
        let mut stand = Self {
            name: version.object(),
            leads_to: None,
            answered_by: String::new(),
            nodes: None,
            before: None,
            owners: Vec::new(),
            is_right: true,
        };
        let Some(object) = object else { return stand };
        let target = object.leads_to();
        let leads_to_tributary = tributary.map(|tributary| tributary == target);
        let quick = api.within(ANSWER_WITHIN);
        let from_tributary = match ask(&quick, version, Expected::default(), false).await {
            Answered::Tributary { nodes } => {
                stand.nodes = Some(nodes);
                "tributary".clone_into(&mut stand.answered_by);
                Some(true)
            }
            Answered::Other { nodes } => {
                stand.nodes = Some(nodes);
                "another server".clone_into(&mut stand.answered_by);
                Some(false)
            }
            Answered::Unknown(why) | Answered::Failed(why) => {
                stand.answered_by = why;
                None
            }
        };
        // Where Tributary is may not be known.
        let expected = leads_to_tributary.or(from_tributary);
        stand.is_right = from_tributary.is_some() && from_tributary == expected;
        stand.leads_to = Some(target);
        stand.before = object.kept().map(|kept| match kept {
            Kept::Nothing => "none".to_owned(),
            Kept::Spec(spec) => leads_to(&spec),
        });
        stand.owners = owners(&object, &api.commands);
        stand
    }
}

/// As text.
#[must_use]
pub fn text(standing: &Standing, paint: Paint) -> String {
    let mut table = Table::new(&["APISERVICE", "LEADS TO", "ANSWERED BY", "NODES", "BEFORE"]);
    for stand in &standing.versions {
        let none = || "does not exist".to_owned();
        let nodes = stand.nodes.map(|nodes| nodes.to_string());
        let cells = [
            stand.name.clone(),
            stand.leads_to.clone().unwrap_or_else(none),
            stand.answered_by.clone(),
            nodes.unwrap_or_default(),
            stand.before.clone().unwrap_or_default(),
        ];
        table.row(cells);
    }
    let mut text = table.text(paint);
    for owner in standing.versions.iter().flat_map(|stand| &stand.owners) {
        let Owner {
            object,
            who,
            evidence,
            ..
        } = owner;
        let line = format!("{object} belongs to {who} ({evidence})");
        text.push_str(&paint.warn(&line));
        text.push('\n');
    }
    text
}
