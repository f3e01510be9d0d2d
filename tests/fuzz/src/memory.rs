//! How much memory a piece of work takes at most.

use peak_alloc::PeakAlloc;

/// Counts what is allocated. Installed here, so that every program with a target has it.
#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Runs `work` and returns what it returns, and the most bytes that were
/// allocated at one time meanwhile, beyond those before.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    ALLOCATED.reset_peak_usage();
    let before = ALLOCATED.current_usage();
    let out = work();
    (out, ALLOCATED.peak_usage().saturating_sub(before))
}
