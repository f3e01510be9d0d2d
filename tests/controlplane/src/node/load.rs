//! `load MILLICORES MEBIBYTES`: what runs in the containers of a real node. Without arguments it only waits, so it is
//! the pause program too; `load end` ends at once, as an init container does; `load /FILE` burns what the file says at each moment.
//!
//! It is compiled by itself into a static program, so it uses nothing but the standard library.

use std::{env, fs, hint::black_box, io, thread, time::Duration};

/// Between two looks at what was spent.
const TURN: Duration = Duration::from_millis(20);

/// This many times its share of a turn is the most that it spends in one. It makes up for turns in which it was kept from
/// running, but without a burst: what a kubelet reports is as exact as its timestamps times this.
const CATCH_UP: u32 = 2;

/// So often a loop does nothing before it looks again: some microseconds.
const SPIN: u32 = 20_000;

#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "no runtime, and nothing to test with a clock of its own"
)]
fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == "end") {
        return Ok(());
    }
    let level = Level::of(arguments.next())?;
    let mebibytes: usize = match arguments.next() {
        Some(text) => text.parse().map_err(io::Error::other)?,
        None => 0,
    };
    // Written to, so that it is there.
    let stored = vec![1_u8; mebibytes << 20];
    let mut millicores = level.millicores(0);
    let (mut looked, mut due) = (std::time::Instant::now(), spent()?);
    loop {
        if level.is_nothing() {
            thread::park();
        } else {
            thread::sleep(TURN);
        }
        let share = |time: Duration| time * millicores / 1_000;
        let now = std::time::Instant::now();
        due += share(now.duration_since(looked));
        looked = now;
        let most = spent()? + share(TURN) * CATCH_UP;
        while spent()? < due.min(most) {
            (0..SPIN).for_each(|turn| {
                black_box(turn);
            });
        }
        let wanted = level.millicores(millicores);
        if wanted != millicores {
            // What it could not burn before is not made up for by what it burns now.
            due = spent()?;
            millicores = wanted;
        }
        black_box(&stored);
    }
}

/// What is burnt.
enum Level {
    Always(u32),
    /// What this file says.
    File(String),
}

impl Level {
    fn of(argument: Option<String>) -> io::Result<Self> {
        match argument {
            None => Ok(Self::Always(0)),
            Some(path) if path.starts_with('/') => Ok(Self::File(path)),
            Some(text) => text.parse().map(Self::Always).map_err(io::Error::other),
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Always(0))
    }

    /// In milli-cores: as before, if the file does not say it.
    fn millicores(&self, before: u32) -> u32 {
        match self {
            Self::Always(millicores) => *millicores,
            Self::File(path) => {
                let text = fs::read_to_string(path).unwrap_or_default();
                text.trim().parse().unwrap_or(before)
            }
        }
    }
}

/// The time that this program had a CPU, by the kernel's own account: what a kubelet reports comes from there too.
fn spent() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let first = text.split_whitespace().next().unwrap_or_default();
    let nanos = first.parse().map_err(io::Error::other)?;
    Ok(Duration::from_nanos(nanos))
}
