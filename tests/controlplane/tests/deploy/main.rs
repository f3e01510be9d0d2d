//! The chart, the manifests, the image, the alerts and the dashboard, tried. `tests/deploy/run` makes what these need.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed step is a failed test, and figures are printed"
)]

mod auto;
mod certificates;
mod changes;
mod components;
mod conditional;
mod container;
mod credentials;
mod families;
mod flags;
mod gitops;
mod groups;
mod installed;
mod leases;
mod manifests;
mod migration;
mod moved;
mod node_events;
mod older;
mod permissions;
mod played;
mod pods;
mod polling;
mod refused;
mod removal;
mod rendered;
mod secrets;
mod site;
mod upgrade;
mod values;
mod volumes;
