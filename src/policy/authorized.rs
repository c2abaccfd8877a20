//! The permit that executing a verb consumes. Its fields are private and only [`super::gate::authorize`] makes one,
//! so that a request which did not pass the gate can not be sent at all.

use crate::domain::id::{Digest, RunId, StepId};
use crate::domain::request::Request;
use std::time::Duration;

/// Proof that policy let exactly this request run, once. It can be neither cloned nor built elsewhere.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is dropped leaves a `step.started` without an outcome"]
pub struct Authorized {
    request: Request,
    digest: Digest,
    timeout: Duration,
    run: RunId,
    step: StepId,
}

impl Authorized {
    pub(super) const fn new(request: Request, digest: Digest, timeout: Duration, run: RunId, step: StepId) -> Self {
        Self { request, digest, timeout, run, step }
    }

    /// The permit for one of several requests that passed the gate together. Each time, the whole passes it again.
    pub fn part(self, part: usize) -> Option<Self> {
        let request = self.request.part(part)?.clone();
        Some(Self { request, ..self })
    }

    /// What to send.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The digest that was confirmed.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How long the execution may take before its outcome is unknown.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The run it belongs to.
    pub const fn run(&self) -> &RunId {
        &self.run
    }

    /// The step of that run.
    pub const fn step(&self) -> &StepId {
        &self.step
    }

    /// A permit for the tests of verbs.
    #[cfg(test)]
    pub fn for_test(request: Request, digest: Digest, timeout: Duration) -> Self {
        Self::new(request, digest, timeout, RunId::from("RUN-test"), StepId::from("test"))
    }
}
