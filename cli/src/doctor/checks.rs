//! The checks: functions of the facts. One that lacks what it looks at says why it cannot be made.

mod certificates;
mod components;
mod leases;
mod nodes;
mod permissions;
mod registration;

pub(super) use self::components::frontend_is_stuck;
pub use self::registration::code_of;
use super::{
    facts::{Facts, Read, Scalers, Unread},
    finding::Finding,
};
use crate::{
    api_services::FLEET,
    catalogue::Code,
    kube_api::Failure,
    printed::{count, some_of},
};

/// Why a check was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotMade {
    /// What it looks at cannot be read, so there may be a trouble.
    Unknown(String),
    /// The cluster has nothing of what it looks at.
    Nothing(String),
}

impl From<Failure> for NotMade {
    fn from(failure: Failure) -> Self {
        Self::Unknown(failure.to_string())
    }
}

impl From<&Failure> for NotMade {
    fn from(failure: &Failure) -> Self {
        Self::Unknown(failure.to_string())
    }
}

/// What a check came to.
pub type Checked = Result<Vec<Finding>, NotMade>;

/// A check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What it looks at.
    pub name: &'static str,
    /// Looks.
    pub run: fn(&Facts) -> Checked,
}

/// A check with this name.
const fn check(name: &'static str, run: fn(&Facts) -> Checked) -> Check {
    Check { name, run }
}

/// All of them.
pub const CHECKS: &[Check] = &[
    check("aggregation layer", registration::aggregation),
    check("APIServices", registration::services),
    check("who answers", registration::another_server),
    check("pods", components::pods),
    check("Deployments", components::deployments),
    check("connected scrapers", components::connected),
    check("lost scrapers", leases::lost),
    check("Leases", leases::renewed),
    check("version of Kubernetes", components::kubernetes),
    check("versions of components", components::versions),
    check("permissions", permissions::permissions),
    check("nodes", nodes::nodes),
    check("age of metrics", nodes::ages),
    check("certificate requests", certificates::requests),
    check("CAs", certificates::authorities),
    check("certificates", certificates::certificates),
    check("autoscalers", autoscalers),
];

/// What the fleet says.
///
/// # Errors
///
/// It cannot be read, or there is none: then it is known whether there should be one only if the `APIService`s are.
fn fleet<'a, T>(facts: &Facts, read: &'a Read<T>) -> Result<&'a T, NotMade> {
    let failure = match read {
        Ok(read) => return Ok(read),
        Err(failure) => failure,
    };
    if !matches!(failure, Failure::NotFound(_)) {
        return Err(failure.into());
    }
    let registrations = facts.registrations.as_ref()?;
    if registrations.iter().any(|service| service.name == FLEET) {
        return Err(failure.into());
    }
    Err(match facts.own_service() {
        Some((namespace, name)) => NotMade::Unknown(format!(
            "{FLEET} is not registered, although there is {namespace}/{name}"
        )),
        None => NotMade::Nothing(format!("{FLEET} is not registered")),
    })
}

/// How many names a finding has.
pub(super) const NAMED: usize = 5;

/// The first names, and how many more.
fn named(names: impl IntoIterator<Item: AsRef<str>>) -> String {
    some_of(names, NAMED)
}

/// Autoscalers whose pods lack requests.
fn autoscalers(facts: &Facts) -> Checked {
    let Scalers { lacking, unread } = facts.scalers.clone()?;
    if let (true, [first, ..]) = (lacking.is_empty(), &*unread) {
        let Unread {
            namespace,
            autoscaler,
            why,
        } = first;
        let all = count(unread.len(), "autoscaler");
        return Err(NotMade::Unknown(format!(
            "{all} cannot be read: {namespace}/{autoscaler}: {why}"
        )));
    }
    let finding = |one: super::facts::Lacking| {
        let (namespace, hpa) = (&one.namespace, &one.autoscaler);
        let what = format!(
            "{namespace}/{hpa} needs requests for {}, and container {} of {} has none",
            one.resource, one.container, one.target
        );
        Finding::new(Code::HpaWithoutRequests, what)
            .seen(format!(
                "pods: {}",
                named(one.pods.iter().map(String::as_str))
            ))
            .with("namespace", namespace)
            .with("hpa", hpa)
            .with("target", &one.target)
            .with("container", &one.container)
            .with("resource", &one.resource)
    };
    Ok(lacking.into_iter().map(finding).collect())
}
