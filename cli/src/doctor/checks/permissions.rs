//! What the accounts of the components may do.

use std::collections::BTreeMap;

use super::{
    super::{
        facts::{Denied, Facts, Role},
        finding::Finding,
    },
    Checked, NotMade,
};
use crate::catalogue::{Code, EVERYWHERE};

/// Whether each account may do what its component needs.
pub(super) fn permissions(facts: &Facts) -> Checked {
    if facts.deployments.as_ref()?.is_empty() {
        let why = "no Deployment says which accounts the components have";
        return Err(NotMade::Nothing(why.to_owned()));
    }
    let denied = facts.denied.as_ref()?;
    let mut accounts: BTreeMap<(Role, &str), Vec<&Denied>> = BTreeMap::new();
    for one in denied {
        accounts
            .entry((one.role, &one.account))
            .or_default()
            .push(one);
    }
    let finding = |((role, account), denied): ((Role, &str), Vec<&Denied>)| {
        let code = match role {
            Role::Frontend => Code::FrontendPermission,
            Role::Scraper => Code::ScraperPermission,
            Role::KubeletReader => Code::KubeletReaderPermission,
        };
        let (namespace, name) = account.split_once(':').unwrap_or_default();
        let mut finding = Finding::new(code, format!("ServiceAccount {namespace}/{name}"))
            .with("account", account)
            .with("namespace", namespace);
        if let Some(first) = denied.first() {
            let need = &first.need;
            // With a namespace, kubectl would also say yes because of a RoleBinding there.
            let place = match &*need.namespace {
                "" => EVERYWHERE,
                namespace => namespace,
            };
            finding = finding
                .with("verb", need.verb)
                .with("resource", need.qualified())
                .with("resource_namespace", place);
        }
        for one in denied {
            finding = finding.seen(format!("may not {}", one.need));
        }
        finding
    };
    Ok(accounts.into_iter().map(finding).collect())
}
