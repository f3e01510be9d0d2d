//! The owner of every task.
//!
//! A process has one [`Tasks`] with a name for every task. It ends when the first task ends, whether that returned,
//! failed or panicked, because a process that has lost a part must not look alive. The other tasks are asked to stop
//! and get a grace period.

use std::{collections::HashMap, future::Future, time::Duration};

use tokio::{
    task::{Id, JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

/// Tasks with names that end together.
#[derive(Debug)]
pub struct Tasks {
    stop: CancellationToken,
    running: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
}

/// A task ended although the process was not stopping.
#[derive(Debug, thiserror::Error)]
#[error("task `{name}` ended: {reason}")]
pub struct Ended {
    name: &'static str,
    reason: String,
}

impl Tasks {
    /// An empty set. Cancelling `stop` ends all tasks that are added.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            running: JoinSet::new(),
            names: HashMap::new(),
        }
    }

    /// The token that asks tasks to end.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task. It must end soon after [`Tasks::stop`] is cancelled, and
    /// not before.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let span = info_span!("task", name);
        let handle = self.running.spawn(task.instrument(span));
        self.names.insert(handle.id(), name);
    }

    /// Runs until `stop` is cancelled or a task ends, then ends the others.
    ///
    /// # Errors
    ///
    /// A task ended by itself.
    pub async fn run(mut self, grace: Duration) -> Result<(), Ended> {
        let stop = self.stop.clone();
        let outcome = tokio::select! {
            // `stop` is checked first. A task that ends because of it may be ready at the same time, and is no failure.
            biased;
            () = stop.cancelled() => Ok(()),
            Some(ended) = self.running.join_next_with_id() => Err(self.explain(ended)),
        };
        self.stop.cancel();
        if timeout(grace, self.drain()).await.is_err() {
            let left: Vec<&str> = self.names.values().copied().collect();
            warn!(?left, ?grace, "tasks did not end within the grace period");
        }
        outcome
    }

    async fn drain(&mut self) {
        while let Some(ended) = self.running.join_next_with_id().await {
            let id = match &ended {
                Ok((id, _)) => *id,
                Err(error) => error.id(),
            };
            let failure = match ended {
                Ok((_, Ok(()))) => None,
                Ok((_, Err(error))) => Some(format!("{error:#}")),
                Err(error) => Some(error.to_string()),
            };
            let name = self.names.remove(&id).unwrap_or_default();
            if let Some(error) = failure {
                warn!(name, error, "a task failed while stopping");
            }
        }
    }

    fn explain(&mut self, ended: Result<(Id, anyhow::Result<()>), JoinError>) -> Ended {
        let (id, reason) = match ended {
            Ok((id, Ok(()))) => (id, "returned early".to_owned()),
            Ok((id, Err(error))) => (id, format!("{error:#}")),
            Err(error) => (error.id(), error.to_string()),
        };
        let name = self.names.remove(&id).unwrap_or_default();
        Ended { name, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn one_task_ending_stops_the_others() {
        let mut tasks = Tasks::new(CancellationToken::new());
        let stop = tasks.stop();
        tasks.spawn("patient", async move {
            stop.cancelled().await;
            Ok(())
        });
        tasks.spawn("broken", async { anyhow::bail!("disk on fire") });
        let ended = tasks.run(GRACE).await.unwrap_err();
        assert_eq!(ended.to_string(), "task `broken` ended: disk on fire");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_the_process_too() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("clumsy", async { panic!("tripped") });
        let ended = tasks.run(GRACE).await.unwrap_err().to_string();
        assert!(ended.starts_with("task `clumsy` ended: task"), "{ended}");
    }

    #[tokio::test(start_paused = true)]
    async fn being_asked_to_stop_is_no_failure() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("quick", {
            let stop = stop.clone();
            async move {
                stop.cancelled().await;
                Ok(())
            }
        });
        stop.cancel();
        // Both are ready now. Without `biased` this would sometimes fail.
        tokio::task::yield_now().await;
        assert!(tasks.run(GRACE).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stubborn_task_is_left_behind_after_the_grace_period() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("stubborn", std::future::pending());
        stop.cancel();
        let before = tokio::time::Instant::now();
        assert!(tasks.run(GRACE).await.is_ok());
        assert_eq!(before.elapsed(), GRACE);
    }
}
