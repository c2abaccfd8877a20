//! The proof that policy allowed one rendered request: what executing a verb consumes.

use crate::domain::id::Digest;
use crate::domain::request::Request;
use std::time::Duration;

/// One request that policy has allowed, bound to its digest. Only `policy` makes one, and executing
/// consumes it.
#[derive(Debug)]
pub struct Authorized {
    request: Request,
    digest: Digest,
    timeout: Duration,
}

impl Authorized {
    /// For tests of adapters: a permit that no policy has looked at.
    #[cfg(test)]
    pub const fn for_test(request: Request, digest: Digest, timeout: Duration) -> Self {
        Self { request, digest, timeout }
    }

    /// What may be sent, exactly.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// What was confirmed and approved.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How long it may take; after that its outcome is unknown.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}
