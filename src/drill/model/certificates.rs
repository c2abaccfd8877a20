//! The certificate of one tenant's host.

/// Seconds of a day.
pub const DAY_S: i64 = 86_400;

/// When a certificate ends, as a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Tick of its end.
    pub not_after: i64,
}

impl Certificate {
    /// One that lasts so many days from a tick.
    pub const fn lasting(days: i64, from: i64) -> Self {
        Self { not_after: from + days * DAY_S }
    }
}
