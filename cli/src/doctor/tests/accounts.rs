//! What accounts may not do, and how that is asked again.

use super::{
    super::facts::{self, Denied, Role},
    report,
};
use crate::catalogue::Code;

#[test]
fn accounts_without_permissions_are_found() {
    let denied = |role, account: &str, resource, namespace: &str| Denied {
        role,
        account: account.to_owned(),
        need: facts::Need {
            verb: "get",
            resource,
            namespace: namespace.to_owned(),
            ..facts::Need::default()
        },
    };
    let report = report(|facts| {
        facts.denied = Ok(vec![
            denied(Role::KubeletReader, "sys:reader", "nodes/metrics", ""),
            denied(Role::Scraper, "sys:scraper", "events", "default"),
            denied(Role::Frontend, "sys:frontend", "nodes", ""),
        ]);
    });
    let found = report.findings.iter();
    let found: Vec<_> = found
        .map(|finding| (finding.code, finding.commands().swap_remove(0)))
        .collect();
    let command = |of: &str| format!("kubectl auth can-i get {of}");
    let user = "--as=system:serviceaccount:sys";
    let expected = [
        (
            Code::FrontendPermission,
            format!("nodes -A {user}:frontend"),
        ),
        (
            Code::ScraperPermission,
            format!("events -n default {user}:scraper"),
        ),
        (
            Code::KubeletReaderPermission,
            format!("nodes --subresource=metrics -A {user}:reader"),
        ),
    ];
    assert_eq!(found, expected.map(|(code, of)| (code, command(&of))));
    assert_eq!(report.findings[2].evidence, ["may not get nodes/metrics"]);
}
