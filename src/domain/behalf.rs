//! In whose name a system is asked to act, where it is asked in the names of people.

use super::id::{Person, RunId, StepId};

/// Who confirmed a step, or asked for it where nothing is confirmed; proven, not claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behalf {
    /// The person.
    pub person: Person,
    /// The run.
    pub run: RunId,
    /// The step of that run.
    pub step: StepId,
}
