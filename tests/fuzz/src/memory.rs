//! Measures the peak memory of a function.

use peak_alloc::PeakAlloc;

/// Counts allocations. It is installed here, so that every program with a target has it.
#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Runs `work`. Returns its result, and the most bytes that were allocated at one time, in addition to those before.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    ALLOCATED.reset_peak_usage();
    let before = ALLOCATED.current_usage();
    let out = work();
    (out, ALLOCATED.peak_usage().saturating_sub(before))
}
