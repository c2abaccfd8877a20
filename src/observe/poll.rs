//! What a polled source implements.

use crate::domain::facts::Facts;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, SourceSpec};
use std::time::Duration;

/// A source that is asked once an interval.
pub trait Poll: Send + 'static {
    /// What it is.
    fn spec(&self) -> SourceSpec;
    /// Time allowed for one poll.
    fn timeout(&self) -> Duration;
    /// Asks once. Dropping the future is safe at any time.
    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>>;
}
