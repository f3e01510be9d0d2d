//! Lease objects, as any client that may write them can make them.
//!
//! - There are at most as many members as objects, and we are one of them.
//! - No member ranks behind more members than there are.

use std::time::Duration;

use tributary_scraper::fuzzing::Group;

/// Reads lines of JSON, each a Lease in the form of the Kubernetes API.
pub fn check(data: &[u8]) {
    let mut group = Group::new("me", Duration::from_secs(15));
    for line in data.split(|byte| *byte == b'\n').take(64) {
        group.put(line);
        let others = group.others();
        assert!(others <= 64);
        assert!(group.rank("n1") <= others);
        group.wait(Duration::from_secs(1));
    }
}
