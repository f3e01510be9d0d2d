//! What runs the attackers.

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

/// Tasks that attack until this is dropped. They have threads of their own: on those of the probes, of the observer, and of
/// the simulated kubelets, they would slow down these instead of the fleet.
#[derive(Debug)]
pub(super) struct Attack {
    tasks: JoinSet<()>,
    runtime: Option<Runtime>,
}

impl Attack {
    /// One without tasks.
    ///
    /// # Errors
    ///
    /// There are no threads.
    pub(super) fn new() -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("attack")
            .enable_all()
            .build()?;
        Ok(Self {
            tasks: JoinSet::new(),
            runtime: Some(runtime),
        })
    }

    /// Adds a task.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            self.tasks.spawn_on(task, runtime.handle());
        }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        // The tasks end with it. It cannot be waited for here.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
