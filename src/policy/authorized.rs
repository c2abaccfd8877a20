//! The permit that executing a verb consumes. Its fields are private and only [`super::gate::authorize`] makes one,
//! so that a request which did not pass the gate can not be sent at all.

use crate::domain::behalf::Behalf;
use crate::domain::id::{Digest, Person, RunId, StepId};
use crate::domain::request::Request;
use crate::domain::secret::{Secrets, wipe};
use std::fmt;
use std::time::Duration;

/// Proof that policy let exactly this request run, once. It can be neither cloned nor built elsewhere.
#[derive(PartialEq, Eq)]
#[must_use = "a permit that is dropped leaves a `step.started` without an outcome"]
pub struct Authorized {
    request: Sent,
    digest: Digest,
    timeout: Duration,
    run: RunId,
    step: StepId,
    person: Option<Person>,
}

/// A request on its way out; one that holds secrets is overwritten when it is dropped.
#[derive(PartialEq, Eq)]
struct Sent {
    request: Request,
    secret: bool,
}

impl Drop for Sent {
    fn drop(&mut self) {
        if self.secret {
            wipe(&mut self.request.operation);
        }
    }
}

impl fmt::Debug for Authorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("digest", &self.digest)
            .field("run", &self.run)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

impl Authorized {
    pub(super) const fn new(request: Request, digest: Digest, timeout: Duration, run: RunId, step: StepId) -> Self {
        Self { request: Sent { request, secret: false }, digest, timeout, run, step, person: None }
    }

    /// The same in the name of whoever confirmed it.
    pub(super) fn by(self, person: Option<&Person>) -> Self {
        Self { person: person.cloned(), ..self }
    }

    /// The same with the secrets of the run in their places, and nothing else changed. What was confirmed and approved
    /// holds the words that stand for them.
    ///
    /// # Errors
    /// One sentence: a secret is not there, or would not stay secret where it stands.
    pub fn filled(self, secrets: &Secrets) -> Result<Self, String> {
        match secrets.fill(&self.request.request)? {
            None => Ok(self),
            Some(request) => Ok(Self { request: Sent { request, secret: true }, ..self }),
        }
    }

    /// The permit for one of several requests that passed the gate together. Each time, the whole passes it again.
    pub fn part(self, part: usize) -> Option<Self> {
        let request = self.request.request.part(part)?.clone();
        let secret = self.request.secret;
        Some(Self { request: Sent { request, secret }, ..self })
    }

    /// What to send.
    pub const fn request(&self) -> &Request {
        &self.request.request
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

    /// In whose name it is sent to a system that is asked in the names of people; `None` where nobody has proven to be
    /// somebody of the roster.
    pub fn behalf(&self) -> Option<Behalf> {
        let person = self.person.clone()?;
        Some(Behalf { person, run: self.run.clone(), step: self.step.clone() })
    }

    /// A permit for the tests of verbs.
    #[cfg(test)]
    pub fn for_test(request: Request, digest: Digest, timeout: Duration) -> Self {
        Self::new(request, digest, timeout, RunId::from("RUN-test"), StepId::from("test"))
    }
}
