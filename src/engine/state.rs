//! Incident state as a fold over the journal's records: the only store there is. A restarted engine gets it
//! back by applying the records again, in order.

use super::accounts::Releases;
use super::api::{Elevation, Glass, Measure};
use super::escalations::Calls;
use super::evidence::Shelf;
use super::requests::Requests;
use crate::comms::Book;
use crate::domain::finding::Acknowledged;
use crate::domain::id::{FindingId, IncidentId, Person, RunId, StepId};
use crate::domain::incident::{Incident, IncidentState, Role, Severity, TimelineEntry};
use crate::domain::run::RunState;
use crate::journal::fold::{Fold, Keep};
use crate::journal::{Kind, Record};
use crate::playbook::run::Parent;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Records kept as lines for the journal screen.
const TAIL: usize = 200;
/// Lines kept at least of one incident's timeline; all of them stay in the journal.
const TIMELINE: usize = 500;
/// Closed incidents kept for the screens.
const CLOSED: usize = 20;

/// Everything that the records say about incidents, measures and the glass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    incidents: BTreeMap<u64, Incident>,
    measures: BTreeMap<String, Measure>,
    glass: Option<Glass>,
    acknowledged: BTreeMap<FindingId, Acknowledged>,
    raised: BTreeMap<FindingId, String>,
    tail: VecDeque<TimelineEntry>,
    runs: Vec<(RunId, Vec<Record>)>,
    /// The runs that belong to steps of runs that have not finished.
    children: Vec<Child>,
    last_incident: u64,
    last_run: u64,
    size: u64,
    /// Number of records that were applied: the same as the size, unless some were left out.
    applied: u64,
    /// Number of records that the newest snapshot named by a record stands for.
    snapshot: u64,
    evidence: Shelf,
    requests: Requests,
    comms: Book,
    calls: Calls,
    releases: Releases,
}

/// A run that belongs to a step of another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Child {
    parent: Parent,
    run: RunId,
    state: RunState,
}

impl Keep for State {
    const FORMAT: u64 = 7;
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn field<T: DeserializeOwned>(body: &Value, key: &str) -> Option<T> {
    body.get(key).and_then(|v| serde_json::from_value(v.clone()).ok())
}

fn number(name: &str) -> u64 {
    name.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

impl Fold for State {
    /// Takes in one record. A body that is not understood changes nothing but the tail and the timeline.
    fn apply(&mut self, record: &Record) {
        let who = record.actor.user.clone();
        let body = &record.body;
        self.size = record.seq.saturating_add(1);
        self.applied = self.applied.saturating_add(1);
        match record.kind {
            Kind::IncidentDeclared => self.declare(record),
            Kind::IncidentUpdated => {
                if let Some(incident) = self.incident_of(record) {
                    incident.severity = field(body, "severity").unwrap_or(incident.severity);
                    incident.state = field(body, "state").unwrap_or(incident.state);
                }
            }
            Kind::IncidentClosed => {
                if let Some(incident) = self.incident_of(record) {
                    incident.state = IncidentState::Closed;
                    incident.closed_at = Some(record.time);
                }
            }
            Kind::RoleAssigned => {
                if let (Some(role), Some(person)) = (field::<Role>(body, "role"), field::<Person>(body, "person"))
                    && let Some(incident) = self.incident_of(record)
                {
                    incident.roles.insert(role, person);
                }
            }
            Kind::FindingRaised => {
                self.raised.insert(FindingId::new(text(body, "finding")), text(body, "what").to_owned());
            }
            Kind::FindingCleared => {
                let finding = FindingId::new(text(body, "finding"));
                self.raised.remove(&finding);
                self.acknowledged.remove(&finding);
            }
            Kind::FindingAcknowledged => {
                let seen = Acknowledged { by: Person::new(who.clone()), at: record.time };
                self.acknowledged.insert(FindingId::new(text(body, "finding")), seen);
            }
            Kind::MeasureSet => {
                let id = text(body, "measure").to_owned();
                let measure = Measure {
                    id: id.clone(),
                    what: text(body, "what").to_owned(),
                    by: who.clone(),
                    since: record.time,
                    incident: record.incident.clone(),
                    lift: text(body, "lift").to_owned(),
                    owner: None,
                    asked: field(body, "asked"),
                    acknowledged: None,
                };
                self.measures.insert(id, measure);
            }
            Kind::MeasureLifted => {
                self.measures.remove(text(body, "measure"));
            }
            Kind::MeasureAcknowledged => {
                if let Some(measure) = self.measures.get_mut(text(body, "measure")) {
                    measure.acknowledged = field(body, "person").map(|person| (person, record.time));
                }
            }
            Kind::MeasureAssigned => {
                if let (Some(owner), Some(until)) = (field(body, "owner"), field(body, "until"))
                    && let Some(measure) = self.measures.get_mut(text(body, "measure"))
                {
                    measure.owner = Some((owner, until));
                }
            }
            Kind::GlassBroken => {
                self.glass = Some(Glass {
                    by: Person::new(who.clone()),
                    reason: text(body, "reason").to_owned(),
                    since: record.time,
                    until: field(body, "until").unwrap_or(record.time),
                    review_due: false,
                });
            }
            Kind::GlassRestored => {
                if let Some(glass) = &mut self.glass {
                    glass.review_due = true;
                }
            }
            Kind::GlassReviewed => self.glass = None,
            Kind::RecoveryAccepted => {
                let person = field::<Person>(body, "person");
                if let Some(incident) = self.incident_of(record) {
                    incident.recovery_accepted = person;
                }
            }
            Kind::JournalSnapshot => self.snapshot = field(body, "size").unwrap_or(self.snapshot),
            Kind::EvidenceCaptured | Kind::Redaction => self.evidence.apply(record),
            _ => {}
        }
        self.requests.apply(record);
        self.comms.apply(record);
        self.calls.apply(record);
        self.releases.apply(record);
        self.keep_run(record);
        self.tell(record, who);
    }
}

impl State {
    /// The releases that the records tell of.
    pub(super) const fn releases(&self) -> &Releases {
        &self.releases
    }

    fn declare(&mut self, record: &Record) {
        let Some(id) = record.incident.clone() else { return };
        let number = number(id.as_str());
        self.last_incident = self.last_incident.max(number);
        let incident = Incident {
            id,
            title: text(&record.body, "title").to_owned(),
            severity: field(&record.body, "severity").unwrap_or(Severity::Sev2),
            state: IncidentState::Investigating,
            declared_at: record.time,
            closed_at: None,
            roles: BTreeMap::from([(Role::Commander, Person::new(record.actor.user.clone()))]),
            findings: field(&record.body, "findings").unwrap_or_default(),
            timeline: Vec::new(),
            recovery_accepted: None,
        };
        self.incidents.insert(number, incident);
        let closed: Vec<u64> =
            self.incidents.iter().filter(|(_, i)| i.state == IncidentState::Closed).map(|(n, _)| *n).collect();
        for old in closed.iter().take(closed.len().saturating_sub(CLOSED)) {
            self.incidents.remove(old);
        }
    }

    /// Keeps the records of runs, from which the engine rebuilds those that were open.
    fn keep_run(&mut self, record: &Record) {
        let Some(run) = record.body.get("run").and_then(Value::as_str) else { return };
        let id = RunId::new(run);
        self.last_run = self.last_run.max(number(run));
        match self.runs.iter_mut().find(|(known, _)| *known == id) {
            Some((_, records)) => records.push(record.clone()),
            None => self.runs.push((id.clone(), vec![record.clone()])),
        }
        match record.kind {
            Kind::RunStarted => {
                if let Some(parent) = field(&record.body, "parent") {
                    self.children.push(Child { parent, run: id, state: RunState::Stopped });
                }
            }
            Kind::RunFinished => {
                self.runs.retain(|(known, _)| *known != id);
                self.children.retain(|c| c.parent.run != id);
                if let Some(child) = self.children.iter_mut().find(|c| c.run == id) {
                    child.state = match text(&record.body, "state") {
                        "finished" => RunState::Finished,
                        "rolled-back" => RunState::RolledBack,
                        _ => RunState::Failed,
                    };
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self, record: &Record, who: String) {
        let entry = TimelineEntry {
            incident: record.incident.clone(),
            seq: record.seq,
            at: record.time,
            kind: record.kind.word().to_owned(),
            who,
            text: crate::journal::describe(record),
        };
        if let Some(incident) = self.incident_of(record) {
            incident.timeline.push(entry.clone());
            // Not at every record, which would move all lines each time.
            if incident.timeline.len() >= 2 * TIMELINE {
                incident.timeline.drain(..TIMELINE);
            }
        }
        self.tail.push_back(entry);
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
    }

    fn incident_of(&mut self, record: &Record) -> Option<&mut Incident> {
        let id = record.incident.as_ref()?;
        self.incidents.get_mut(&number(id.as_str()))
    }

    /// An incident by its name.
    pub fn incident(&self, id: &IncidentId) -> Option<&Incident> {
        self.incidents.get(&number(id.as_str())).filter(|i| &i.id == id)
    }

    /// The open incident by its name, or why there is none.
    pub fn open_incident(&self, id: &IncidentId) -> Result<&Incident, String> {
        match self.incident(id) {
            None => Err(format!("there is no incident {id}")),
            Some(incident) if incident.state == IncidentState::Closed => Err(format!("{id} is closed")),
            Some(incident) => Ok(incident),
        }
    }

    /// Open incidents by severity and age, then closed ones, newest first.
    pub fn incidents(&self) -> Vec<Incident> {
        let mut all: Vec<Incident> = self.incidents.values().cloned().collect();
        all.sort_by_key(|i| {
            let closed = i.state == IncidentState::Closed;
            let newest_first = i.closed_at.map(|t| t.as_second().saturating_neg());
            (closed, newest_first, i.severity, i.declared_at)
        });
        all
    }

    /// Measures in force.
    pub fn measures(&self) -> Vec<Measure> {
        self.measures.values().cloned().collect()
    }

    /// The broken glass, or the one that waits for its review.
    pub const fn glass(&self) -> Option<&Glass> {
        self.glass.as_ref()
    }

    /// The glass while it is broken and not past its end.
    pub fn broken_glass(&self, now: Timestamp) -> Option<&Glass> {
        self.glass.as_ref().filter(|g| !g.review_due && now < g.until)
    }

    /// Who has seen a finding.
    pub fn acknowledged(&self, finding: &FindingId) -> Option<&Acknowledged> {
        self.acknowledged.get(finding)
    }

    /// Findings that the journal says are up, with what it said of them.
    pub fn raised(&self) -> impl Iterator<Item = (&FindingId, &str)> {
        self.raised.iter().map(|(id, what)| (id, what.as_str()))
    }

    /// Whether the journal says that a finding is up.
    pub fn is_raised(&self, finding: &FindingId) -> bool {
        self.raised.contains_key(finding)
    }

    /// The last run that names its parent like this, and how it ended; `Stopped` where it has not.
    pub fn child_of(&self, parent: &Parent) -> Option<(RunId, RunState)> {
        self.children.iter().rfind(|c| c.parent == *parent).map(|c| (c.run.clone(), c.state))
    }

    /// The steps of a run for which somebody was called.
    pub fn called<'a>(&'a self, run: &'a RunId) -> impl Iterator<Item = &'a StepId> {
        self.children.iter().filter(move |c| c.parent.calls && c.parent.run == *run).map(|c| &c.parent.step)
    }

    /// Records of the runs that have not finished.
    pub fn open_runs(&self) -> &[(RunId, Vec<Record>)] {
        &self.runs
    }

    /// The newest records as lines, oldest first.
    pub fn tail(&self) -> Arc<Vec<TimelineEntry>> {
        Arc::new(self.tail.iter().cloned().collect())
    }

    /// The evidence that records name.
    pub(super) const fn evidence(&self) -> &Shelf {
        &self.evidence
    }

    /// What was told to whom.
    pub const fn comms(&self) -> &Book {
        &self.comms
    }

    /// Who was called for steps of open runs.
    pub const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// When the newest record was written.
    pub(super) fn last_at(&self) -> Option<Timestamp> {
        self.tail.back().map(|entry| entry.at)
    }

    /// Requests for signatures.
    pub(super) const fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Roles that people have for a time; an end that has passed counts for nothing.
    pub fn elevations(&self) -> &[Elevation] {
        self.requests.elevations()
    }

    /// The policy that the records have put in force.
    pub const fn pinned_policy(&self) -> Option<&super::requests::PinnedPolicy> {
        self.requests.policy()
    }

    /// sha256 of the first policy that the records have pinned.
    pub const fn first_policy(&self) -> Option<&crate::domain::id::Digest> {
        self.requests.first_policy()
    }

    /// When the freeze of changes ends by itself.
    pub(super) const fn freeze_until(&self) -> Option<Timestamp> {
        self.requests.freeze_until()
    }

    /// Number of records applied.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Records since the newest snapshot.
    pub const fn since_snapshot(&self) -> u64 {
        self.size.saturating_sub(self.snapshot)
    }

    /// Whether it is what exactly this many records amount to, with none left out.
    pub const fn is_whole(&self, size: u64) -> bool {
        self.size == size && self.applied == size
    }

    /// The name of the next incident.
    pub fn next_incident(&self) -> IncidentId {
        IncidentId::new(format!("INC-{}", self.last_incident.saturating_add(1)))
    }

    /// The name of the next run.
    pub fn next_run(&self) -> RunId {
        RunId::new(format!("RUN-{}", self.last_run.saturating_add(1)))
    }
}
