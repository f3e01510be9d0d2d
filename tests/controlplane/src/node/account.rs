//! What the kernel gave a container's program, noted beside what its kubelet says of it.

use std::{cell::RefCell, fs, ops::RangeInclusive, path::PathBuf, time::Duration};

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use tributary_runtime::clock::Clock;

use super::cgroup;
use crate::patience::while_ok;

/// How long a timestamp of the API lasts: it has whole seconds.
const SECOND: Duration = Duration::from_secs(1);

/// How far windows are moved through that second.
const STEP: Duration = Duration::from_millis(100);

/// The account of one program of one thread.
#[derive(Debug)]
pub struct Account {
    stat: PathBuf,
    clock: Clock,
    notes: RefCell<Vec<Note>>,
}

#[derive(Clone, Copy, Debug)]
struct Note {
    at: Timestamp,
    /// Since the program began.
    spent: Duration,
}

impl Account {
    /// Of the program in a container of a node of this process that was told these arguments.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn of(arguments: &[&str]) -> anyhow::Result<Self> {
        let words = ["/load"].iter().chain(arguments);
        let command_line: String = words.flat_map(|word| [*word, "\0"]).collect();
        for entry in fs::read_dir("/proc")?.flatten() {
            let read = |name| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
            if read("cmdline") == command_line && cgroup::is_ours(&read("cgroup")) {
                return Ok(Self {
                    stat: entry.path().join("schedstat"),
                    clock: Clock::system(),
                    notes: RefCell::default(),
                });
            }
        }
        anyhow::bail!("no program of a container was told {arguments:?}")
    }

    /// Notes what was spent until the program ends.
    pub async fn keep(&self) -> anyhow::Error {
        while_ok(|| self.note()).await
    }

    fn note(&self) -> anyhow::Result<()> {
        let text = fs::read_to_string(&self.stat).context("the program has ended")?;
        let first = text.split_whitespace().next().context("no time spent")?;
        let note = Note {
            at: self.clock.now(),
            spent: Duration::from_nanos(first.parse()?),
        };
        self.notes.borrow_mut().push(note);
        Ok(())
    }

    /// The least and the most cores that it had in windows of this length that ended within the second that began at
    /// `end`.
    ///
    /// # Errors
    ///
    /// Not all of these windows were noted.
    pub fn cores(&self, end: Timestamp, window: Duration) -> anyhow::Result<RangeInclusive<f64>> {
        let ends = std::iter::successors(Some(Duration::ZERO), |after| Some(*after + STEP));
        let cores = ends.take_while(|after| *after <= SECOND).map(|after| {
            let end = end.checked_add(SignedDuration::try_from(after)?)?;
            let begin = end.checked_sub(SignedDuration::try_from(window)?)?;
            let spent = self.spent(end)? - self.spent(begin)?;
            Ok(spent / window.as_secs_f64())
        });
        let cores = cores.collect::<anyhow::Result<Vec<_>>>()?;
        let least = cores.iter().copied().fold(f64::INFINITY, f64::min);
        Ok(least..=cores.into_iter().fold(0.0, f64::max))
    }

    /// Seconds that were spent until then, as if evenly between two notes.
    fn spent(&self, at: Timestamp) -> anyhow::Result<f64> {
        let notes = self.notes.borrow();
        let after = notes.partition_point(|note| note.at < at);
        let before = after.checked_sub(1).and_then(|index| notes.get(index));
        let (before, after) = before.zip(notes.get(after)).context("not noted")?;
        let part = at.duration_since(before.at).as_secs_f64()
            / after.at.duration_since(before.at).as_secs_f64();
        let (low, high) = (before.spent.as_secs_f64(), after.spent.as_secs_f64());
        Ok(low + (high - low) * part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Spends half of each second until 10, nothing until 20.
    fn account() -> Account {
        let notes = (0..=20).map(|at| Note {
            at: second(at),
            spent: Duration::from_millis(500) * u32::try_from(at.min(10)).unwrap(),
        });
        Account {
            stat: PathBuf::new(),
            clock: Clock::system(),
            notes: RefCell::new(notes.collect()),
        }
    }

    #[test]
    fn tells_the_cores_of_windows_that_end_in_a_second() {
        let within = |end, window| {
            let cores = account().cores(second(end), window).unwrap();
            let thousandths = |cores: &f64| (cores * 1_000.0).round();
            (thousandths(cores.start()), thousandths(cores.end()))
        };
        assert_eq!(within(9, Duration::from_secs(5)), (500.0, 500.0));
        // Of 10 seconds, 1 to 2 after the last it ran in.
        assert_eq!(within(11, Duration::from_secs(10)), (400.0, 450.0));
        assert_eq!(within(15, Duration::from_secs(4)), (0.0, 0.0));
    }

    #[test]
    fn tells_nothing_of_what_was_not_noted() {
        account()
            .cores(second(4), Duration::from_secs(5))
            .unwrap_err();
        account()
            .cores(second(20), Duration::from_secs(5))
            .unwrap_err();
    }
}
