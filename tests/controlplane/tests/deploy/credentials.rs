//! Whose token kubelets see, and what scrapers may do with their own.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use tributary_controlplane::patience::eventually;

use crate::site::{NAMESPACE, Site, on_site};

/// The users whose tokens kubelets were shown last.
pub(crate) async fn seen_by_kubelets(site: &Site) -> anyhow::Result<BTreeSet<String>> {
    let mut users = BTreeSet::new();
    for node in site.cluster.nodes() {
        let headers = site.cluster.kubelet_stats(&node)?.last_headers;
        let header = headers.get(http::header::AUTHORIZATION);
        let token = header.context("no authorization")?.to_str()?;
        let token = token.strip_prefix("Bearer ").context("a bearer token")?;
        let user = site.plane.kubeconfig_of("seen-by-kubelets", token)?;
        let user = user.display().to_string();
        let path = "jsonpath={.status.userInfo.username}";
        let who = ["--kubeconfig", &user, "auth", "whoami", "-o", path];
        users.insert(site.kubectl.ok(&who).await?);
    }
    Ok(users)
}

/// What an account may do that matters: to kubelets, with tokens, and to what was of use with the token of a scraper.
async fn may(site: &Site, account: &str) -> anyhow::Result<Vec<&'static str>> {
    let user = format!("--as=system:serviceaccount:{NAMESPACE}:{account}");
    let mut may = Vec::new();
    for what in [
        "get nodes --subresource=metrics",
        "create serviceaccounts --subresource=token",
        "create serviceaccounts/tributary-kubelet-reader --subresource=token",
        "create leases",
        "list pods",
        "list nodes",
        "create subjectaccessreviews",
    ] {
        let words: Vec<&str> = what.split(' ').collect();
        let start = ["auth", "can-i", "-n", NAMESPACE, &user];
        let answer = site.kubectl.run(&[&start[..], &words].concat()).await?;
        let is_said = ["yes", "no"].contains(&answer.stdout.trim());
        anyhow::ensure!(is_said, "{what}: {answer:?}");
        if answer.ok {
            may.push(what);
        }
    }
    Ok(may)
}

const READER: &str = "tributary-kubelet-reader";

async fn only_the_reader_is_seen(site: &Site) -> anyhow::Result<()> {
    let reader = format!("system:serviceaccount:{NAMESPACE}:{READER}");
    let seen = seen_by_kubelets(site).await?;
    assert_eq!(seen, BTreeSet::from([reader]));
    assert_eq!(
        may(site, READER).await?,
        ["get nodes --subresource=metrics"]
    );
    Ok(())
}

#[test]
fn frontends_without_certificates_of_their_own_write_nothing() -> anyhow::Result<()> {
    on_site(async |site| {
        let any = Before::installed(&site, "tributary").await?;
        site.install(&["--set", "profile=ha,tls.type=helm"]).await?;
        site.available().await?;
        let everywhere = [
            "nodes [] [] [list watch]",
            "pods [] [] [list watch]",
            // Questions. Nothing is stored.
            "subjectaccessreviews.authorization.k8s.io [] [] [create]",
            "tokenreviews.authentication.k8s.io [] [] [create]",
        ];
        let read = "configmaps [] [extension-apiserver-authentication] [get list watch]";
        for (place, more) in [
            (NAMESPACE, &[][..]),
            ("default", &[][..]),
            ("kube-system", &[read][..]),
        ] {
            let granted = any.granted(&site, place).await?;
            assert_eq!(granted, owned(&[&everywhere, more]), "in {place}");
        }
        Ok(())
    })
}

/// What an account may do while there is nothing of the chart, in each namespace that is looked at. What the chart gives
/// to groups, in which every account is, is not in it.
struct Before {
    account: &'static str,
    lists: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Before {
    async fn installed(site: &Site, account: &'static str) -> anyhow::Result<Self> {
        let mut lists = BTreeMap::new();
        for place in [NAMESPACE, "default", "kube-system"] {
            lists.insert(place, listed(site, account, place).await?);
        }
        Ok(Self { account, lists })
    }

    /// What the chart has given to the account in a namespace.
    async fn granted(&self, site: &Site, place: &str) -> anyhow::Result<BTreeSet<String>> {
        let before = self.lists.get(place).context("a list from before")?;
        let now = listed(site, self.account, place).await?;
        let is_more = before.len() > 3 && before.is_subset(&now);
        assert!(is_more, "{before:?}, {now:?}");
        Ok(now.difference(before).cloned().collect())
    }
}

/// The lines of `kubectl auth can-i --list` for an account, also for one that does not exist yet.
async fn listed(site: &Site, account: &str, place: &str) -> anyhow::Result<BTreeSet<String>> {
    let user = format!("--as=system:serviceaccount:{NAMESPACE}:{account}");
    let list = ["auth", "can-i", "--list", "--no-headers"];
    let list = [&list[..], &["-n", place, &user]].concat();
    let list = site.kubectl.ok(&list).await?;
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(list.lines().map(words).collect())
}

fn owned(lines: &[&[&str]]) -> BTreeSet<String> {
    lines
        .iter()
        .copied()
        .flatten()
        .map(ToString::to_string)
        .collect()
}

const OF_THE_READER: &str = "create serviceaccounts/tributary-kubelet-reader --subresource=token";

#[test]
fn kubelets_see_a_token_of_their_own_in_one_pod_with_both_components() -> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&[]).await?;
        site.available().await?;
        site.top().await?;
        only_the_reader_is_seen(&site).await?;
        let both = may(&site, "tributary").await?;
        let wanted = [
            OF_THE_READER,
            "list pods",
            "list nodes",
            "create subjectaccessreviews",
        ];
        assert_eq!(both, wanted);
        Ok(())
    })
}

#[test]
fn kubelets_see_a_token_of_their_own_where_the_components_are_apart() -> anyhow::Result<()> {
    on_site(async |site| {
        let any = Before::installed(&site, "tributary-scraper").await?;
        site.install(&["--set", "profile=ha"]).await?;
        site.available().await?;
        site.top().await?;
        only_the_reader_is_seen(&site).await?;
        let scraper = may(&site, "tributary-scraper").await?;
        assert_eq!(scraper, [OF_THE_READER, "create leases", "list nodes"]);
        // And nothing else.
        let everywhere = [
            "nodes [] [] [list watch]",
            "samplestreams.bus.tributary.dev [] [] [create]",
        ];
        let own = [
            "endpointslices.discovery.k8s.io [] [] [list watch]",
            "leases.coordination.k8s.io [] [] [list watch create patch delete]",
            "serviceaccounts/token [] [tributary-kubelet-reader] [create]",
        ];
        let events = ["events.events.k8s.io [] [] [create patch]"];
        for (place, more) in [
            (NAMESPACE, &own[..]),
            ("default", &events[..]),
            ("kube-system", &[][..]),
        ] {
            let granted = any.granted(&site, place).await?;
            assert_eq!(granted, owned(&[&everywhere, more]), "in {place}");
        }

        // Who makes the account again makes its tokens worthless: others are requested, of the new one.
        let before = site.log_of("scraper").len();
        let delete = ["delete", "serviceaccount", READER, "-n", NAMESPACE];
        site.kubectl.ok(&delete).await?;
        let create = ["create", "serviceaccount", READER, "-n", NAMESPACE];
        site.kubectl.ok(&create).await?;
        // These kubelets take everything, so nothing is said, and nothing is missing.
        site.top().await?;
        assert!(!site.log_of("scraper").split_at(before).1.contains("WARN"));
        Ok(())
    })
}

#[test]
fn without_the_account_scrapes_fail_with_a_sentence_and_go_on_once_it_is_there()
-> anyhow::Result<()> {
    on_site(async |site| {
        let absent = "kubeletReader.serviceAccount.create=false";
        site.install(&["--set", absent]).await?;
        let says = "unable to request a token for ServiceAccount \
                    tributary-system/tributary-kubelet-reader: serviceaccounts \
                    \"tributary-kubelet-reader\" not found";
        eventually("it says what it lacks", || async {
            let log = site.log_of("scraper");
            let failed = log
                .lines()
                .any(|line| line.contains("scrape failed") && line.contains(says));
            anyhow::ensure!(failed, "{says} is not in the log");
            Ok(())
        })
        .await?;
        let create = ["create", "serviceaccount", READER, "-n", NAMESPACE];
        site.kubectl.ok(&create).await?;
        site.available().await?;
        println!("{}", site.top().await?);
        only_the_reader_is_seen(&site).await
    })
}
