//! Which kubeconfig is used.

use kube::Config;
use tributary_kubeconfig::{names, usual_files};

use crate::args::Common;

/// A configuration, and where it is from, for people.
pub(super) struct Configured {
    pub(super) config: Config,
    pub(super) from: String,
}

impl Configured {
    /// That which the flags name. Without any, and without a kubeconfig: that of the account of the pod.
    pub(super) async fn of(common: &Common) -> anyhow::Result<Self> {
        let context = common.context.as_deref();
        let files = match &common.kubeconfig {
            Some(file) => vec![file.clone()],
            None => usual_files(),
        };
        let is_named = common.kubeconfig.is_some() || context.is_some();
        if !is_named
            && !files.iter().any(|file| file.exists())
            && let Ok(config) = Config::incluster()
        {
            let from = "the account of the pod".to_owned();
            return Ok(Self { config, from });
        }
        let config = tributary_kubeconfig::config(&files, context).await;
        let config = config.map_err(|unusable| anyhow::anyhow!("kubeconfig {unusable}"))?;
        let from = format!("kubeconfig {}", names(&files));
        Ok(Self { config, from })
    }
}
