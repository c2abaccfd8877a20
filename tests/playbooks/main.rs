//! The playbooks that ship: each is run to its end on the simulated estate with the trouble that it is for, a step that
//! fails never leads on but where its playbook says so, and none of them can go against policy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod by_itself;
mod cases;
mod driver;
mod failing;
mod governed;
mod library;
mod offers;
mod paths;
mod runs;
