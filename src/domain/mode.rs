//! What this process may touch. The tokens make the rule a matter of types: an observer of a real system is
//! built from [`MayObserve`], a verb on a real system from [`MayAct`], and a drill or a replay can get neither.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The mode, on every screen and in every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Real systems; verbs may run.
    Live,
    /// Real systems; no verb can be built.
    ReadOnly,
    /// The simulated estate; no live adapter can be built.
    Drill,
    /// A past incident; nothing can be built.
    Replay,
}

/// Proof that observers of real systems may be built.
#[derive(Clone, Copy, Debug)]
pub struct MayObserve(());

/// Proof that verbs on real systems may be built.
#[derive(Clone, Copy, Debug)]
pub struct MayAct(());

impl Mode {
    /// The proof for observers, in the live and the read-only mode.
    pub const fn may_observe(self) -> Option<MayObserve> {
        match self {
            Self::Live | Self::ReadOnly => Some(MayObserve(())),
            Self::Drill | Self::Replay => None,
        }
    }

    /// The proof for verbs, in the live mode only.
    pub const fn may_act(self) -> Option<MayAct> {
        match self {
            Self::Live => Some(MayAct(())),
            Self::ReadOnly | Self::Drill | Self::Replay => None,
        }
    }

    /// The word used in records and output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::ReadOnly => "read-only",
            Self::Drill => "drill",
            Self::Replay => "replay",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_can_build_nothing_live_and_read_only_can_not_act() {
        assert!(Mode::Drill.may_observe().is_none() && Mode::Drill.may_act().is_none());
        assert!(Mode::Replay.may_observe().is_none() && Mode::Replay.may_act().is_none());
        assert!(Mode::ReadOnly.may_observe().is_some() && Mode::ReadOnly.may_act().is_none());
        assert!(Mode::Live.may_act().is_some());
    }
}
