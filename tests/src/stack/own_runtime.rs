//! A runtime for one component, so that the component can be killed.
//!
//! A kernel closes all connections of a process that is killed. If the tasks of a component are aborted, some of its
//! connections live on in tasks of libraries, and its peers notice nothing for seconds. If its runtime ends, they are
//! closed, too.

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime with one thread. When it is dropped, its tasks end, and nothing waits for them.
#[derive(Debug)]
pub(super) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    pub(super) fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self(Some(runtime.expect("a runtime")))
    }

    pub(super) fn handle(&self) -> &Handle {
        self.0.as_ref().expect("a runtime that runs").handle()
    }

    /// Runs this there.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.handle().spawn(work).await.expect("no panic")
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
