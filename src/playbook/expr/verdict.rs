//! What an expression says at one moment.

use jiff::Timestamp;

/// True, false, or not known and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Something that it refers to is missing, stale or not a number; one sentence.
    Unknown(String),
}

impl Verdict {
    /// The same as `Option`: `None` is unknown.
    pub const fn holds(&self) -> Option<bool> {
        match self {
            Self::True => Some(true),
            Self::False => Some(false),
            Self::Unknown(_) => None,
        }
    }
}

/// One expression as it was evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Sentence or expression, for people.
    pub text: String,
    /// What it says.
    pub verdict: Verdict,
    /// The values that it saw: `lock.blocked = 41 (2 s old)`.
    pub detail: String,
    /// When the oldest signal that it refers to was observed; `None` when it refers to no signal.
    pub observed_at: Option<Timestamp>,
}
