//! What kubelets see of a scraper is of no use anywhere else.

use std::collections::BTreeSet;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tributary_controlplane::{
    components::{KUBELET_READER, NAMESPACE},
    kubectl::Kubectl,
    objects::{namespace, service_account},
    patience::eventually,
    rig::{Rig, share},
};

/// The tokens that kubelets were shown last.
async fn shown(rig: &Rig) -> anyhow::Result<BTreeSet<String>> {
    eventually("every kubelet was asked", || async {
        let nodes = rig.cluster.nodes().into_iter();
        let shown = nodes.map(|node| {
            let headers = rig.cluster.kubelet_stats(&node)?.last_headers;
            let header = headers.get(http::header::AUTHORIZATION);
            let header = header.context("no authorization")?.to_str()?;
            let token = header.strip_prefix("Bearer ").context("a bearer token")?;
            Ok(token.to_owned())
        });
        shown.collect::<anyhow::Result<BTreeSet<_>>>()
    })
    .await
}

/// A kubectl with a token.
pub(crate) fn kubectl(rig: &Rig, name: &str, token: &str) -> anyhow::Result<Kubectl> {
    rig.kubectl_as(&rig.plane.kubeconfig_of(name, token)?)
}

/// The lines of `kubectl auth can-i --list`.
pub(crate) async fn may(kubectl: &Kubectl, namespace: &str) -> anyhow::Result<BTreeSet<String>> {
    let list = ["auth", "can-i", "--list", "--no-headers", "-n", namespace];
    let list = kubectl.ok(&list).await?;
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(list.lines().map(words).collect())
}

#[test]
fn what_a_kubelet_sees_reads_measurements_and_does_nothing_else() -> anyhow::Result<()> {
    share(|rig| async move {
        let tokens = shown(&rig).await?;
        let other = "credentials";
        namespace(&rig.client, other).await?;
        let unauthorized = service_account(&rig.client, other, "nobody").await?;
        let unauthorized = kubectl(&rig, "nobody", &unauthorized)?;
        for token in &tokens {
            let seen = kubectl(&rig, "seen-by-kubelets", token)?;
            let who = [
                "auth",
                "whoami",
                "-o",
                "jsonpath={.status.userInfo.username}",
            ];
            assert_eq!(
                seen.ok(&who).await?,
                format!("system:serviceaccount:{NAMESPACE}:{KUBELET_READER}")
            );
            // What every account may, and one thing more.
            for place in [NAMESPACE, other] {
                let (all, more) = (may(&unauthorized, place).await?, may(&seen, place).await?);
                assert!(all.len() > 3 && all.is_subset(&more), "{all:?}, {more:?}");
                let more: Vec<_> = more.difference(&all).map(String::as_str).collect();
                assert_eq!(more, ["nodes/metrics [] [] [get]"], "in {place}");
            }
            is_refused(&seen).await?;
            assert_eq!(lifetime(token)?, 600);
        }
        Ok(())
    })
}

/// What the account of scrapers or frontends could have done.
async fn is_refused(seen: &Kubectl) -> anyhow::Result<()> {
    let reader = format!("serviceaccount/{KUBELET_READER}");
    let attempts: [&[&str]; 7] = [
        &["get", "nodes"],
        &["get", "pods", "-A"],
        &["get", "leases"],
        &["delete", "lease", "tributary-scraper-0"],
        &["create", "token", KUBELET_READER],
        &["get", "secrets"],
        &["delete", &reader],
    ];
    for attempt in attempts {
        let outcome = seen.run(&[attempt, &["-n", NAMESPACE]].concat()).await?;
        let refused = !outcome.ok && outcome.stderr.to_lowercase().contains("forbidden");
        assert!(refused, "{attempt:?}: {outcome:?}");
    }
    Ok(())
}

/// For how many seconds a token is good, from its claims.
fn lifetime(token: &str) -> anyhow::Result<i64> {
    let claims = token.split('.').nth(1).context("claims")?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    let second = |name: &str| claims.get(name).and_then(Value::as_i64).context("a date");
    Ok(second("exp")? - second("iat")?)
}
