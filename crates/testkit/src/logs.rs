//! Log lines, for tests of what is logged.

use std::{
    io,
    sync::{Arc, LazyLock},
};

use parking_lot::Mutex;
use tracing::{
    Dispatch, Level,
    subscriber::{DefaultGuard, NoSubscriber},
};

/// A second subscriber, which collects nothing and is never dropped. With only one subscriber, tracing asks the thread
/// that first reaches a line whether the line is collected, and caches the answer for all threads. The thread of
/// another test may be first, and it collects nothing. With two or more subscribers, tracing asks all of them.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

/// The logged lines. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Collects the lines of this thread, of `level` and above and without dates, until the guard is
    /// dropped.
    pub fn collect(level: Level) -> (Self, DefaultGuard) {
        LazyLock::force(&SECOND);
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// All lines.
    pub fn text(&self) -> String {
        let lines = self.0.lock();
        String::from_utf8_lossy(&lines).into_owned()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock();
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn say() {
        tracing::info!("said");
    }

    #[test]
    fn a_line_that_another_thread_came_to_first_is_collected() {
        let (lines, _guard) = Lines::collect(Level::INFO);
        thread::spawn(say).join().unwrap();
        assert_eq!(lines.text(), "");
        say();
        assert_eq!(lines.text(), " INFO tributary_testkit::logs::tests: said\n");
    }
}
