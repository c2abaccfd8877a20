//! The shipped playbooks about Kubernetes, what delivers to it, the ingress and the partners behind it, played to their
//! ends on the lab's servers without a screen: the fault is made, the playbook that is offered is gone through gate by
//! gate, and the servers say what became of it, and of those who had nothing to do with it. Where a controller does not
//! run in the lab (Argo CD, cert-manager, Cluster API) the test writes what it would: simulated.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod cluster;
mod delivery;
#[path = "../support/engine.rs"]
mod engine;
#[path = "../lab_support/headless.rs"]
mod headless;
mod ingress;
#[path = "../lab_support/mod.rs"]
mod lab_support;
mod stage;
#[path = "../support/mod.rs"]
mod support;
