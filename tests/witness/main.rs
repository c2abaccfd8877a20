//! Witnesses and the monitor against programs that are not ours: Go's `github.com/transparency-dev/witness`, which signs
//! with Ed25519 and with ML-DSA-44 (`filippo.io/mldsa`), over real HTTP on the loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod doctor;
mod engine;
mod follow;
#[path = "../journal_support/mod.rs"]
mod journal_support;
mod monitor;
mod rotation;
mod support;
