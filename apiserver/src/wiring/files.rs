//! Files that are read again when they change.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tributary_runtime::{metrics::Expirations, reload, tasks::Tasks};

use crate::config::Config;

/// Tells until when the certificates are good that are in force.
pub(crate) fn register(registry: &mut Registry, config: &Config) {
    let serving = Arc::clone(&config.serving.certificate);
    let publishers = config.bus.publishers.clone();
    Expirations::default()
        .with("serving", move || serving.expires())
        .with("bus-client-ca", move || publishers.as_ref()?.expire())
        .register(registry);
}

/// Takes over certificates and CAs that change; `auth` follows those of callers.
pub(crate) fn follow(tasks: &mut Tasks, config: Config) {
    let stop = tasks.stop();
    tasks.spawn("certificate", async move {
        config.serving.certificate.follow_files(stop).await;
        Ok(())
    });
    if let Some(publishers) = config.bus.publishers {
        let stop = tasks.stop();
        tasks.spawn("bus-client-ca", async move {
            reload::follow("CA of publishers", stop, || publishers.look()).await;
            Ok(())
        });
    }
}
