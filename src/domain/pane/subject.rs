//! Rows of the panes whose subjects are known by their signals alone: platform, recovery, delivery, business, security.

use super::Pane;
use crate::domain::health::Health;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::signal::{Subject, Unit};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Signals of a subject that a row carries; the others are asked for when it is opened.
pub const SHOWN: usize = 3;

impl Pane {
    /// Those whose rows are subjects with their signals.
    pub const GENERAL: [Self; 5] = [Self::Platform, Self::Recovery, Self::Delivery, Self::Business, Self::Security];

    /// Its name on the screen.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Tenants => "Tenants",
            Self::Database => "Database",
            Self::Queue => "Queue",
            Self::Ingress => "Ingress",
            Self::Platform => "Platform",
            Self::Recovery => "Recovery",
            Self::Delivery => "Delivery",
            Self::Business => "Business",
            Self::Security => "Security",
        }
    }
}

/// One subject with the worst of its signals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SubjectRow {
    /// What it is about.
    pub subject: Subject,
    /// Its kind in a word: `node`, `backup`.
    pub kind: SmolStr,
    /// Its name, with that of the source where it needs one.
    pub name: SmolStr,
    /// The tenant that it belongs to, where it belongs to one.
    pub tenant: Option<TenantId>,
    /// Who owns it, where that is declared.
    pub owner: Option<SmolStr>,
    /// Worst of its signals; unknown when a source of theirs is silent.
    pub health: Health,
    /// The one thing most worth saying; empty when all is well.
    pub why: String,
    /// Its signals, worst first, at most three.
    pub signals: Vec<SignalValue>,
    /// How many more it has.
    pub more: u32,
    /// The newest values of the first of them, oldest first, while it is not well; ten seconds apart.
    pub trend: Vec<f32>,
    /// Age in seconds of the oldest observation that this row rests on.
    pub age_s: Option<f64>,
}

/// The newest value of a signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SignalValue {
    /// Name in the table of signals.
    pub signal: SmolStr,
    /// Value in `unit`; absent when its source could not tell it.
    pub value: Option<f64>,
    /// Unit.
    pub unit: Unit,
    /// Its grade; unknown when its source is silent.
    pub health: Health,
    /// The source that says so.
    pub source: SourceId,
    /// It warns from here on.
    pub warn: Option<f64>,
    /// It is critical from here on.
    pub critical: Option<f64>,
}

/// All that is known of one subject, for the sheet about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SubjectView {
    /// What it is about.
    pub subject: Subject,
    /// Its signals, worst first.
    pub signals: Vec<SignalView>,
}

/// One signal with its past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SignalView {
    /// The newest value.
    pub now: SignalValue,
    /// When it was observed.
    pub observed_at: Timestamp,
    /// What it is, one line.
    pub what: String,
    /// View, column, command or metric that it comes from.
    pub origin: String,
    /// Values, oldest first, evenly spaced; absent where nothing was observed.
    pub series: Vec<Option<f32>>,
    /// Seconds between two of them.
    pub step_s: u32,
    /// What its past foretells, one line.
    pub forecast: Option<String>,
    /// What is usual for it at this hour; absent where nobody learns it.
    #[serde(default)]
    pub usual: Option<UsualView>,
}

/// What is usual for a signal at this hour of the week, or in an occasion that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UsualView {
    /// The middle of the hours that were seen; absent while too few were.
    pub median: Option<f64>,
    /// Where most of them begin.
    pub low: Option<f64>,
    /// Where most of them end.
    pub high: Option<f64>,
    /// The same in words, or why it is not known.
    pub words: String,
}
