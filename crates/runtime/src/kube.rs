//! Clients of the Kubernetes API, and watches that keep a set of objects.
//!
//! Every wait has a limit: a connection may fail silently, and an API server may accept a request
//! and never answer it (docs/decisions/0024-the-kubernetes-api-may-be-silent.md).

mod activity;
mod answer;
mod decoded;
mod left_out;
mod limits;
mod null;
mod objects;
mod watch;

use std::path::Path;

use ::kube::{Client, Config};

pub use self::{
    activity::Watches,
    answer::MOST as LONGEST_ANSWER,
    decoded::{Decode, Event, Page, Stale, Watched, follow, keep, keep_decoded},
    left_out::LeftOut,
    limits::Limits,
    null::from_json,
    objects::{Answered, Objects, failure, version},
    watch::Change,
};
use crate::{args::KubeArgs, exit::Misconfigured};

/// Reads the configuration that the flags name, or the in-cluster one.
///
/// # Errors
///
/// The file cannot be read or is incomplete. Without a file: the process does not run in a pod of a
/// cluster.
pub async fn config(args: &KubeArgs) -> Result<Config, Misconfigured> {
    match &args.kubeconfig {
        Some(path) => config_from("--kubeconfig", path).await,
        None => Config::incluster().map_err(|error| {
            Misconfigured::new(format!(
                "no --kubeconfig given and the in-cluster configuration cannot be loaded: {error}"
            ))
        }),
    }
}

/// Reads the configuration in the kubeconfig file that `flag` names.
///
/// # Errors
///
/// The file cannot be read or is incomplete.
pub async fn config_from(flag: &str, path: &Path) -> Result<Config, Misconfigured> {
    let config = tributary_kubeconfig::config(&[path.to_owned()], None).await;
    config.map_err(|error| Misconfigured::new(format!("{flag} {error}")))
}

/// A client for `config` with the default limits.
///
/// # Errors
///
/// Certificates or keys in the configuration cannot be used.
pub fn client(config: Config) -> Result<Client, Misconfigured> {
    Limits::default().client(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let args = KubeArgs {
            kubeconfig: Some("/nonexistent/kubeconfig".into()),
            limits: Limits::default(),
        };
        let error = config(&args).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "--kubeconfig /nonexistent/kubeconfig: No such file or directory (os error 2)"
        );
    }

    #[tokio::test]
    async fn what_a_broken_kubeconfig_contains_is_not_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kubeconfig");
        std::fs::write(&path, "users:\n- name: u\n  user: { token: [s3cr3t] }\n").unwrap();
        let error = config_from("--kubeconfig", &path).await.unwrap_err();
        let error = format!("{error} {error:?}");
        let place = format!(
            "--kubeconfig {}: not a kubeconfig at line 3",
            path.display()
        );
        assert!(error.starts_with(&place), "{error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
}
