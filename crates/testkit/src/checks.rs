//! The checks of `kubectl tributary doctor`, as its tests expect them.

/// Those that read the fleet, in their order. None can be made while no frontend answers.
pub const OF_FLEET: [&str; 6] = [
    "connected scrapers",
    "lost scrapers",
    "versions of components",
    "nodes",
    "age of metrics",
    "certificates",
];
