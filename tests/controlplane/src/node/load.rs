//! `load MILLICORES MEBIBYTES`: what runs in the containers of a real node. Without arguments it only waits, so it is
//! the pause program too; `load end` ends at once, as an init container does.
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
    let mut number = || arguments.next().map_or(Ok(0), |text| text.parse::<u32>());
    let millicores = number().map_err(io::Error::other)?;
    let mebibytes = usize::try_from(number().map_err(io::Error::other)?).unwrap_or(0);
    // Written to, so that it is there.
    let stored = vec![1_u8; mebibytes << 20];
    let start = std::time::Instant::now();
    loop {
        if millicores == 0 {
            thread::park();
        } else {
            thread::sleep(TURN);
        }
        let share = |time: Duration| time * millicores / 1_000;
        let most = spent()? + share(TURN) * CATCH_UP;
        while spent()? < share(start.elapsed()).min(most) {
            (0..SPIN).for_each(|turn| {
                black_box(turn);
            });
        }
        black_box(&stored);
    }
}

/// The time that this program had a CPU, by the kernel's own account: what a kubelet reports comes from there too.
fn spent() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let first = text.split_whitespace().next().unwrap_or_default();
    let nanos = first.parse().map_err(io::Error::other)?;
    Ok(Duration::from_nanos(nanos))
}
