//! Proof that policy allowed one rendered request.

use crate::domain::id::Digest;
use crate::domain::request::Request;
use std::time::Duration;

/// One authorized request.
#[derive(Debug)]
pub struct Authorized {
    request: Request,
    digest: Digest,
    timeout: Duration,
}

impl Authorized {
    /// Makes one without a policy, for tests of verbs.
    #[cfg(test)]
    pub fn for_test(request: Request, digest: Digest, timeout: Duration) -> Self {
        Self { request, digest, timeout }
    }

    /// The request.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Its digest.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Time allowed.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}
