//! Kubeconfigs and certificates that the simulated cluster does not write itself.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tributary_runtime::tls::PairFiles;
use tributary_sim::{Ca, Cluster, Credential, FRONTEND_NAME, Paths};

const SCRAPER: &str = "system:serviceaccount:kube-system:tributary-scraper";
const FRONTEND: &str = "system:serviceaccount:kube-system:tributary-apiserver";

/// The files with credentials.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// The files that the cluster wrote.
    pub(crate) paths: Paths,
    /// An administrator's certificate, as in the kubeconfig.
    pub(crate) admin: PairFiles,
    /// The kubeconfig of all scrapers, with a token of their ServiceAccount.
    pub(crate) scraper_kubeconfig: PathBuf,
    /// The kubeconfig of all frontends, with a token of their ServiceAccount.
    pub(crate) frontend_kubeconfig: PathBuf,
}

impl Credentials {
    /// Writes the files into the cluster's directory.
    ///
    /// # Errors
    ///
    /// A file cannot be made or written.
    pub(crate) fn write(cluster: &Cluster) -> anyhow::Result<Self> {
        let paths = cluster.paths().clone();
        let admin = cluster
            .pki()
            .client(Ca::Cluster, "kubernetes-admin", &["system:masters"])?;
        Ok(Self {
            admin: pair(&admin, &paths.dir, "admin")?,
            scraper_kubeconfig: kubeconfig(cluster, SCRAPER, "scraper.kubeconfig")?,
            frontend_kubeconfig: kubeconfig(cluster, FRONTEND, "frontend.kubeconfig")?,
            paths,
        })
    }

    /// The serving certificate of the frontend at `ip`.
    ///
    /// # Errors
    ///
    /// It cannot be made or written.
    pub(crate) fn serving(
        &self,
        cluster: &Cluster,
        name: &str,
        ip: IpAddr,
    ) -> anyhow::Result<PairFiles> {
        let names = [FRONTEND_NAME.to_owned(), ip.to_string()];
        let credential = cluster.pki().server(Ca::Bus, &names)?;
        pair(&credential, &self.paths.dir, name)
    }

    /// The certificate that a scraper shows to frontends.
    ///
    /// # Errors
    ///
    /// It cannot be made or written.
    pub(crate) fn publishing(&self, cluster: &Cluster, name: &str) -> anyhow::Result<PairFiles> {
        let credential = cluster.pki().client(Ca::Bus, name, &[])?;
        pair(&credential, &self.paths.dir, name)
    }
}

fn pair(credential: &Credential, dir: &Path, stem: &str) -> anyhow::Result<PairFiles> {
    let (certificate, key) = credential.write(dir, stem)?;
    Ok(PairFiles { certificate, key })
}

fn kubeconfig(cluster: &Cluster, user: &str, file: &str) -> anyhow::Result<PathBuf> {
    let path = cluster.paths().dir.join(file);
    let text = cluster.kubeconfig_for_token(&cluster.token(user));
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}
