//! What an incident amounts to. Times are those of the records; in a drill they are the scenario's.

use crate::domain::estate::Environment;
use crate::domain::id::IncidentId;
use crate::domain::incident::{IncidentState, Severity};
use crate::domain::mode::Mode;
use crate::domain::risk::Risk;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// The report on one incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Report {
    /// Version of this form.
    pub schema: u32,
    /// Which incident.
    pub incident: IncidentId,
    /// What it is about.
    pub title: String,
    /// How it ended, one line; absent while it is open.
    pub summary: Option<String>,
    /// Severity at the end.
    pub severity: Severity,
    /// The worst severity that it had.
    pub worst_severity: Severity,
    /// Where it stands.
    pub state: IncidentState,
    /// In which mode it was run; `drill` is an exercise on a simulated estate.
    pub mode: Mode,
    /// Class of the estate.
    pub environment: Environment,
    /// When what happened.
    pub moments: Moments,
    /// How long it took, from the moments.
    pub intervals: Vec<Interval>,
    /// Who held which role, in the order in which they took them.
    pub people: Vec<Held>,
    /// Tenants that were hurt, longest first.
    pub tenants: Vec<Hurt>,
    /// Plants that were hurt, longest first.
    pub plants: Vec<Hurt>,
    /// What was found wrong, in its order.
    pub findings: Vec<Found>,
    /// Playbooks that were run.
    pub runs: Vec<Ran>,
    /// What was decided, with what was known then.
    pub decisions: Vec<Decision>,
    /// What stakeholders were told, or were to be told.
    pub comms: Vec<Comms>,
    /// Updates that they were promised, and whether these came.
    pub promises: Vec<Promise>,
    /// Measures that were set.
    pub measures: Vec<Measure>,
    /// Each breaking of the glass.
    pub glass: Vec<Glass>,
    /// Notes.
    pub notes: Vec<Said>,
    /// Where it went otherwise than a playbook or policy has it.
    pub deviations: Vec<Said>,
    /// What went well.
    pub went_well: Vec<String>,
    /// What is missing, and who has taken it on.
    pub gaps: Vec<Gap>,
    /// Everything, oldest first.
    pub timeline: Vec<Said>,
    /// The score, where it was an exercise.
    pub exercise: Option<Exercise>,
    /// From which records it was made, and what vouches for them.
    pub proof: Option<Proof>,
}

/// The score of an exercise, point by point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Exercise {
    /// Id of the scenario.
    pub scenario: String,
    /// Its name.
    pub name: String,
    /// Seed of its estate.
    pub seed: String,
    /// Points.
    pub score: u32,
    /// Points at most.
    pub of: u32,
    /// One line: what it comes to.
    pub headline: String,
    /// What the crew should learn.
    pub objectives: Vec<String>,
    /// What gave points, then what cost some.
    pub points: Vec<Point>,
    /// How long the crew took, a line each.
    pub times: Vec<String>,
    /// What only misled.
    pub decoys: Vec<String>,
    /// Questions for afterwards.
    pub hotwash: Vec<String>,
}

/// Something that gave or cost points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Point {
    /// `10/10`, or `-5`.
    pub points: String,
    /// What.
    pub what: String,
    /// Why, with the record.
    pub why: String,
}

/// When what happened; absent where the records do not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Moments {
    /// Since when the first of its findings held, as far as was observed.
    pub began: Option<Timestamp>,
    /// When the first of its findings was raised.
    pub detected: Option<Timestamp>,
    /// When a person first said to have seen one, or declared it.
    pub acknowledged: Option<Timestamp>,
    /// When it was declared.
    pub declared: Option<Timestamp>,
    /// When stakeholders were first told.
    pub told: Option<Timestamp>,
    /// When the first action was seen to have worked.
    pub mitigated: Option<Timestamp>,
    /// When the last of its findings had cleared.
    pub recovered: Option<Timestamp>,
    /// When the business accepted the recovery.
    pub accepted: Option<Timestamp>,
    /// When it was closed.
    pub closed: Option<Timestamp>,
}

/// How long something took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Interval {
    /// What: `to detect`.
    pub what: String,
    /// From which moment to which.
    pub between: String,
    /// Seconds; absent where it has not come to that, or is not known.
    pub seconds: Option<i64>,
    /// Why there is no number, when that is so.
    pub why: Option<String>,
}

/// A person with a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Held {
    /// Role.
    pub role: String,
    /// Who.
    pub person: String,
    /// From when on.
    pub since: Timestamp,
    /// Record that says so.
    pub seq: u64,
}

/// A tenant or a plant that was hurt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Hurt {
    /// Which.
    pub name: String,
    /// Seconds in which at least one finding hurt it, up to the end of the records.
    pub seconds: i64,
    /// Whether it still is.
    pub ongoing: bool,
    /// By which findings.
    pub findings: Vec<String>,
}

/// A finding from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Found {
    /// Id.
    pub id: String,
    /// What was wrong, as it was said when it was raised.
    pub what: String,
    /// Health word.
    pub severity: String,
    /// Since when it held.
    pub since: Timestamp,
    /// When it was raised.
    pub raised: Timestamp,
    /// When it cleared; absent while it lasts.
    pub cleared: Option<Timestamp>,
    /// Who said to have seen it, and when.
    pub seen: Option<(String, Timestamp)>,
    /// Whether the incident was declared for it.
    pub declared_for: bool,
    /// Tenants that it hurt.
    pub tenants: Vec<String>,
    /// Plants that it hurt.
    pub plants: Vec<String>,
    /// Record that raised it.
    pub seq: u64,
}

/// One run of a playbook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Ran {
    /// Name: `RUN-1`.
    pub run: String,
    /// Playbook.
    pub playbook: String,
    /// Its version.
    pub version: u64,
    /// Digest of the playbook as it was.
    pub digest: String,
    /// Parameters.
    pub params: BTreeMap<String, String>,
    /// Who started it.
    pub by: String,
    /// When.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How: a word of the run's states; `open` while it has not ended.
    pub state: String,
    /// What it promises.
    pub objectives: Objectives,
    /// Its steps, in the order in which they were come to.
    pub actions: Vec<Action>,
}

/// What a playbook promises.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Objectives {
    /// Seconds in which the service is there again.
    pub rto_s: Option<i64>,
    /// Seconds of bookings that may be lost.
    pub rpo_s: Option<i64>,
}

/// One step of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Action {
    /// Step.
    pub step: String,
    /// Verb, where it has one.
    pub verb: Option<String>,
    /// At what.
    pub target: Option<String>,
    /// Risk as assessed.
    pub risk: Option<Risk>,
    /// Why it was that risk.
    pub reasons: Vec<String>,
    /// Digest of what was confirmed.
    pub digest: Option<String>,
    /// Who confirmed it.
    pub confirmed_by: Option<String>,
    /// Who approved it.
    pub approved_by: Vec<String>,
    /// When it was started.
    pub started: Option<Timestamp>,
    /// When its outcome came.
    pub ended: Option<Timestamp>,
    /// What became of it: `done`, `failed`, `unknown`, `skipped`, `refused`, `cancelled`; absent while it is open.
    pub outcome: Option<String>,
    /// One line on that.
    pub detail: Option<String>,
    /// Whether its effect was seen; absent where nothing was to be seen, or was not looked for yet.
    pub verified: Option<bool>,
    /// The records that tell of it, the first and the last.
    pub records: Option<(u64, u64)>,
    /// To which moment it restores data, where it does.
    pub restores_to: Option<Timestamp>,
}

/// Something that a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// What.
    pub what: String,
    /// Why, as the person said.
    pub reason: Option<String>,
    /// The findings that were up at that moment.
    pub known: Vec<String>,
    /// Record.
    pub seq: u64,
}

/// Something that stakeholders were told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Comms {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Whom, and what, as the record says.
    pub what: String,
    /// Whom.
    pub to: Vec<String>,
    /// By what: `email`, `a person`.
    pub channel: Option<String>,
    /// `sent`, `failed`, or `unknown` where nobody knows whether it arrived.
    pub delivery: String,
    /// What the channel said, or why it failed.
    pub detail: Option<String>,
    /// Name of the message, where it was one.
    pub message: Option<String>,
    /// When it promises the next word.
    pub next: Option<Timestamp>,
    /// Record.
    pub seq: u64,
}

/// An update that stakeholders were promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Promise {
    /// Whom.
    pub audience: String,
    /// The message that promised it.
    pub message: Option<String>,
    /// When it was promised.
    pub made: Timestamp,
    /// For when.
    pub promised: Timestamp,
    /// When the next word came.
    pub kept: Option<Timestamp>,
    /// `kept`, `late`, `missed`, or `open` where the incident ended first.
    pub outcome: String,
    /// Seconds by which it was late, where it was.
    pub late_s: Option<i64>,
}

/// A measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Measure {
    /// Id.
    pub id: String,
    /// What it is.
    pub what: String,
    /// Who set it.
    pub by: String,
    /// When.
    pub set: Timestamp,
    /// When it was lifted.
    pub lifted: Option<Timestamp>,
    /// Who answers for it, and until when.
    pub owner: Option<(String, String)>,
}

/// A breaking of the glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Glass {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub broken: Timestamp,
    /// When it was mended.
    pub mended: Option<Timestamp>,
    /// What the review found, and who made it.
    pub review: Option<(String, String)>,
}

/// One line with its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Said {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// Kind of the record.
    pub kind: String,
    /// What.
    pub text: String,
    /// Record.
    pub seq: u64,
}

/// Something that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Gap {
    /// What.
    pub what: String,
    /// Who has taken it on, where the records say so.
    pub owner: Option<String>,
    /// Until when.
    pub due: Option<String>,
}

/// From which records a report was made, and what vouches for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Proof {
    /// Name of the log.
    pub origin: String,
    /// The first record that the report quotes.
    pub first: u64,
    /// The last record that the report quotes.
    pub last: u64,
    /// Number of records under the checkpoint.
    pub size: u64,
    /// Root over them, base64.
    pub root: String,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// What the verification of the whole log said when the report was made.
    pub verdict: String,
    /// The key that it was verified with.
    pub key: String,
}
