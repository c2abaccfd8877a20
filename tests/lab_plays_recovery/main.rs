//! The shipped playbooks about people and about what is restored, played to their ends on the lab's servers without a
//! screen: who takes data out, the gate before a release, work on paper, and a database that goes back to a moment, is
//! built anew, or has no room left. What a person or a controller outside would do the test does; Argo CD is simulated.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../support/engine.rs"]
mod engine;
#[path = "../lab_support/headless.rs"]
mod headless;
#[path = "../lab_support/mod.rs"]
mod lab_support;
mod people;
mod restore;
#[path = "../lab_plays_cluster/stage.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod volume;
