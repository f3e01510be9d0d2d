//! `kubectl tributary doctor`: each trouble is made for real, and exactly its code is found.

mod aggregation;
mod between;
mod codes;
mod dropped;
mod frontends;
mod made;
mod nodes;
mod played;
mod publisher;
mod registered;

use std::path::Path;

use tributary_cli::{
    args::Common,
    doctor::{Facts, Report},
    kube_api::KubeApi,
};
use tributary_controlplane::{patience::eventually, rig::Rig};

/// The API as the owner of a kubeconfig sees it.
pub(crate) async fn api(kubeconfig: &Path) -> anyhow::Result<KubeApi> {
    KubeApi::connect(&Common::of(kubeconfig)).await
}

/// What `doctor` finds in a rig.
struct Doctor(KubeApi);

impl Doctor {
    async fn of(rig: &Rig) -> anyhow::Result<Self> {
        Self::at(&rig.plane.kubeconfig()).await
    }

    async fn at(kubeconfig: &Path) -> anyhow::Result<Self> {
        Ok(Self(api(kubeconfig).await?))
    }

    async fn report(&self) -> anyhow::Result<Report> {
        let facts = Facts::read(&self.0, None, "1970-01-01T00:00:00Z".parse()?);
        Ok(Report::of(&Box::pin(facts).await))
    }

    /// Waits until it finds these troubles, by name, and no others, and could make every check but `unknown`.
    async fn finds_without(&self, names: &[&str], unknown: &[&str]) -> anyhow::Result<Report> {
        eventually(&format!("{names:?} is found"), || async {
            let report = self.report().await?;
            let found = report.findings.iter();
            let found: Vec<&str> = found.map(|finding| finding.code.trouble().name).collect();
            let not_made: Vec<&str> = report.unknown.iter().map(|it| it.check).collect();
            anyhow::ensure!(
                found == names && not_made == unknown,
                "{found:?}, and not {:?}: {:?}",
                report.unknown,
                report.findings
            );
            Ok(report)
        })
        .await
    }

    /// Waits until it finds these troubles, by name, and no others, and could make every check.
    async fn finds(&self, names: &[&str]) -> anyhow::Result<Report> {
        self.finds_without(names, &[]).await
    }
}
