//! Which kubeconfig is used.

use std::time::Duration;

use kube::{Client, Config};
use tokio::{task::spawn_blocking, time::timeout};
use tributary_kubeconfig::{names, plug_in, text, usual_files};

use crate::args::Common;

/// How long credentials may take. A plug-in may wait for a person who signs in.
pub(super) const CREDENTIALS_WITHIN: Duration = Duration::from_mins(1);

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

/// A client. kube runs the credential plug-in while it makes one, and waits for it without a limit. One that is given up
/// ends with this process or by itself.
pub(super) async fn client(config: Config, from: &str, within: Duration) -> anyhow::Result<Client> {
    let plug_in = plug_in(&config);
    let making = spawn_blocking(move || Client::try_from(config));
    let Ok(made) = timeout(within, making).await else {
        let Some(plug_in) = plug_in else {
            anyhow::bail!("{from}: the files with credentials were not read in {within:?}");
        };
        anyhow::bail!(
            "{from}: the credential plug-in {plug_in} has given no credentials in {within:?}: run it by itself to see what it \
             waits for, sign in if it asks for that, and try again; or name another context with --context"
        );
    };
    // The errors of kube may quote credentials.
    made?.map_err(|error| anyhow::anyhow!("{from}: {}", text(&error)))
}
