//! Files that are read again when they change.

use tributary_runtime::{reload, tasks::Tasks};

use crate::config::Config;

/// Takes over certificates and CAs that change; `auth` follows those of callers.
pub(crate) fn follow(tasks: &mut Tasks, config: Config) {
    let stop = tasks.stop();
    tasks.spawn("certificate", async move {
        config.serving.certificate.follow_files(stop).await;
        Ok(())
    });
    if let Some(publishers) = config.publishers {
        let stop = tasks.stop();
        tasks.spawn("bus-client-ca", async move {
            reload::follow("CA of publishers", stop, || publishers.look()).await;
            Ok(())
        });
    }
}
