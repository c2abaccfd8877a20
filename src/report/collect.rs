//! From records to a report: a fold that remembers what an incident needs, and forgets the rest of the log.

use super::model::{Action, Comms, Decision, Found, Glass, Held, Hurt, Measure, Objectives, Ran, Report, Said};
use super::{moments, review};
use crate::domain::id::IncidentId;
use crate::domain::incident::{IncidentState, Severity};
use crate::domain::text::sanitize;
use crate::journal::fold::Fold;
use crate::journal::{Kind, Record, describe};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Version of the report's form.
const SCHEMA: u32 = 1;

/// Time between two records beyond which the journal was silent, in seconds: an engine writes a heartbeat each five
/// minutes.
const SILENCE: i64 = 6 * 60;

/// Reads records, all of a log from its first on, and makes the report on one incident of them.
#[derive(Debug)]
pub struct Collector {
    id: IncidentId,
    report: Option<Report>,
    /// Findings that are up, whether they belong to the incident or not.
    up: BTreeMap<String, Found>,
    declared_for: BTreeSet<String>,
    /// From which record to which nothing was written while it was open.
    silences: Vec<(Timestamp, Timestamp)>,
    last: Option<Timestamp>,
}

pub(super) fn text(body: &Value, key: &str) -> Option<String> {
    match body.get(key)? {
        Value::String(text) if !text.is_empty() => Some(sanitize(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(members) => members.get("object").and_then(Value::as_str).map(sanitize),
        _ => None,
    }
}

pub(super) fn field<T: DeserializeOwned>(body: &Value, key: &str) -> Option<T> {
    serde_json::from_value(body.get(key)?.clone()).ok()
}

pub(super) fn list(body: &Value, key: &str) -> Vec<String> {
    let items = body.get(key).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(sanitize).collect()
}

impl Fold for Collector {
    fn apply(&mut self, record: &Record) {
        self.listen(record);
        match record.kind {
            Kind::FindingRaised => self.raised(record),
            Kind::FindingCleared => self.cleared(record),
            Kind::FindingAcknowledged => self.acknowledged(record),
            Kind::IncidentDeclared if record.incident.as_ref() == Some(&self.id) => self.declared(record),
            _ => {}
        }
        // The glass is of no incident where none was open when it was broken.
        let is_ours = record.incident.as_ref() == Some(&self.id);
        if let Some(report) = self.report.as_mut() {
            let is_open = report.moments.closed.is_none();
            if is_ours {
                report.timeline.push(said(record));
                take(report, record, &self.up);
            }
            if is_ours || is_open {
                glass(report, record);
            }
        }
        self.last = Some(record.time);
    }
}

impl Collector {
    /// For one incident.
    pub fn new(id: IncidentId) -> Self {
        Self { id, report: None, up: BTreeMap::new(), declared_for: BTreeSet::new(), silences: Vec::new(), last: None }
    }

    /// The report; `None` when the records do not declare the incident.
    pub fn report(self) -> Option<Report> {
        let Self { report, up, silences, last, .. } = self;
        let mut report = report?;
        let end = report.moments.closed.or(last).unwrap_or_default();
        for lasting in up.into_values() {
            if let Some(known) = report.findings.iter_mut().find(|f| f.id == lasting.id && f.seq == lasting.seq) {
                *known = lasting;
            }
        }
        report.findings.sort_by_key(|f| (f.raised, f.seq));
        (report.tenants, report.plants) =
            (hurt(&report.findings, end, |f| &f.tenants), hurt(&report.findings, end, |f| &f.plants));
        moments::complete(&mut report);
        report.promises = super::promises::of(&report, end);
        review::complete(&mut report, &silences);
        Some(report)
    }

    /// Notices silence, while the incident is open.
    fn listen(&mut self, record: &Record) {
        let open = self.report.as_ref().is_some_and(|r| r.moments.closed.is_none());
        if let Some(before) = self.last.filter(|_| open)
            && record.time.duration_since(before).as_secs() > SILENCE
        {
            self.silences.push((before, record.time));
        }
    }

    fn raised(&mut self, record: &Record) {
        let body = &record.body;
        let Some(id) = text(body, "finding") else { return };
        let is_ours = record.incident.as_ref() == Some(&self.id);
        let found = Found {
            what: text(body, "what").unwrap_or_else(|| id.clone()),
            severity: text(body, "severity").unwrap_or_else(|| "unknown".into()),
            since: field(body, "since").unwrap_or(record.time),
            raised: record.time,
            cleared: None,
            seen: None,
            declared_for: self.declared_for.contains(&id),
            tenants: list(body, "tenants"),
            plants: list(body, "plants"),
            seq: record.seq,
            id: id.clone(),
        };
        if is_ours && let Some(report) = self.report.as_mut() {
            report.findings.push(found.clone());
        }
        self.up.insert(id, found);
    }

    fn cleared(&mut self, record: &Record) {
        let Some(mut found) = text(&record.body, "finding").and_then(|id| self.up.remove(&id)) else { return };
        found.cleared = Some(record.time);
        if let Some(known) = self.known(&found) {
            *known = found;
        }
    }

    fn acknowledged(&mut self, record: &Record) {
        let Some(found) = text(&record.body, "finding").and_then(|id| self.up.get_mut(&id)) else { return };
        found.seen.get_or_insert_with(|| (sanitize(&record.actor.user), record.time));
        let found = found.clone();
        if let Some(known) = self.known(&found) {
            *known = found;
        }
    }

    fn known(&mut self, found: &Found) -> Option<&mut Found> {
        self.report.as_mut()?.findings.iter_mut().find(|f| f.id == found.id && f.seq == found.seq)
    }

    fn declared(&mut self, record: &Record) {
        let body = &record.body;
        self.declared_for = list(body, "findings").into_iter().collect();
        let mut findings = Vec::new();
        for (id, found) in &mut self.up {
            if self.declared_for.contains(id) {
                found.declared_for = true;
                findings.push(found.clone());
            }
        }
        let severity = field(body, "severity").unwrap_or(Severity::Sev2);
        let who = sanitize(&record.actor.user);
        let commander = Held { role: "commander".into(), person: who, since: record.time, seq: record.seq };
        let mut report = Report {
            schema: SCHEMA,
            incident: self.id.clone(),
            title: text(body, "title").unwrap_or_default(),
            summary: None,
            severity,
            worst_severity: severity,
            state: IncidentState::Investigating,
            mode: record.mode,
            environment: record.environment,
            moments: super::model::Moments::default(),
            intervals: Vec::new(),
            people: vec![commander],
            tenants: Vec::new(),
            plants: Vec::new(),
            findings,
            runs: Vec::new(),
            decisions: Vec::new(),
            comms: Vec::new(),
            promises: Vec::new(),
            measures: Vec::new(),
            glass: Vec::new(),
            notes: Vec::new(),
            deviations: Vec::new(),
            went_well: Vec::new(),
            gaps: Vec::new(),
            timeline: Vec::new(),
            exercise: None,
            proof: None,
        };
        report.moments.declared = Some(record.time);
        self.report = Some(report);
    }
}

fn said(record: &Record) -> Said {
    Said {
        at: record.time,
        who: sanitize(&record.actor.user),
        kind: record.kind.word().to_owned(),
        text: describe(record),
        seq: record.seq,
    }
}

/// Something that stakeholders were told, or were to be told.
fn comms(record: &Record, who: String) -> Comms {
    let body = &record.body;
    let delivery = match record.kind {
        Kind::CommsFailed => "failed",
        Kind::CommsUnknown => "unknown",
        _ => "sent",
    };
    let to = list(body, "to");
    Comms {
        at: record.time,
        by: text(body, "by").unwrap_or(who),
        what: describe(record),
        to: if to.is_empty() { text(body, "to").into_iter().collect() } else { to },
        channel: text(body, "channel"),
        delivery: delivery.to_owned(),
        detail: text(body, "detail"),
        message: text(body, "message"),
        next: field(body, "next"),
        seq: record.seq,
    }
}

/// What a record of the incident says.
fn take(report: &mut Report, record: &Record, up: &BTreeMap<String, Found>) {
    let (body, who) = (&record.body, sanitize(&record.actor.user));
    match record.kind {
        Kind::IncidentUpdated => {
            report.severity = field(body, "severity").unwrap_or(report.severity);
            // 1 is the worst and the least.
            report.worst_severity = report.worst_severity.min(report.severity);
            report.state = field(body, "state").unwrap_or(report.state);
        }
        Kind::IncidentClosed => {
            report.state = IncidentState::Closed;
            report.moments.closed = Some(record.time);
            report.summary = text(body, "summary");
        }
        Kind::RoleAssigned => {
            if let (Some(role), Some(person)) = (text(body, "role"), text(body, "person")) {
                report.people.push(Held { role, person, since: record.time, seq: record.seq });
            }
        }
        Kind::RecoveryAccepted => report.moments.accepted = Some(record.time),
        Kind::NoteAdded => report.notes.push(said(record)),
        Kind::CommsSent | Kind::CommsFailed | Kind::CommsUnknown => report.comms.push(comms(record, who)),
        Kind::DecisionMade => report.decisions.push(Decision {
            at: record.time,
            who,
            what: describe(record),
            reason: text(body, "reason"),
            known: up.values().map(|f| f.what.clone()).collect(),
            seq: record.seq,
        }),
        Kind::MeasureSet => report.measures.push(Measure {
            id: text(body, "measure").unwrap_or_default(),
            what: text(body, "what").unwrap_or_default(),
            by: who,
            set: record.time,
            lifted: None,
            owner: None,
        }),
        Kind::MeasureLifted => {
            if let Some(measure) = measure(report, body) {
                measure.lifted = Some(record.time);
            }
        }
        Kind::MeasureAssigned => {
            let owner = text(body, "owner").zip(text(body, "until"));
            if let Some(measure) = measure(report, body) {
                measure.owner = owner;
            }
        }
        Kind::RunStarted => report.runs.push(Ran {
            run: text(body, "run").unwrap_or_default(),
            playbook: text(body, "playbook").unwrap_or_default(),
            version: field(body, "playbook_version").unwrap_or_default(),
            digest: text(body, "playbook_digest").unwrap_or_default(),
            params: field(body, "params").unwrap_or_default(),
            by: text(body, "by").unwrap_or(who),
            started: record.time,
            ended: None,
            state: "open".into(),
            objectives: Objectives {
                rto_s: seconds(body, "/objectives/rto_s"),
                rpo_s: seconds(body, "/objectives/rpo_s"),
            },
            actions: Vec::new(),
        }),
        Kind::RunFinished => {
            if let Some(run) = run(report, body) {
                run.ended = Some(record.time);
                run.state = text(body, "state").unwrap_or_else(|| "finished".into());
            }
        }
        _ => step(report, record),
    }
}

fn seconds(body: &Value, pointer: &str) -> Option<i64> {
    body.pointer(pointer).and_then(Value::as_i64)
}

fn measure<'a>(report: &'a mut Report, body: &Value) -> Option<&'a mut Measure> {
    let id = text(body, "measure")?;
    report.measures.iter_mut().rev().find(|m| m.id == id && m.lifted.is_none())
}

fn run<'a>(report: &'a mut Report, body: &Value) -> Option<&'a mut Ran> {
    let id = text(body, "run")?;
    report.runs.iter_mut().rev().find(|r| r.run == id)
}

/// What a record of a step says.
fn step(report: &mut Report, record: &Record) {
    let body = &record.body;
    let Some(name) = text(body, "step") else { return };
    let who = sanitize(&record.actor.user);
    let Some(run) = run(report, body) else { return };
    if !run.actions.iter().any(|a| a.step == name) {
        run.actions.push(Action { step: name.clone(), ..Action::default() });
    }
    let Some(action) = run.actions.iter_mut().find(|a| a.step == name) else { return };
    action.records = Some((action.records.map_or(record.seq, |(first, _)| first), record.seq));
    let end = |action: &mut Action, outcome: &str, detail: Option<String>| {
        action.ended = Some(record.time);
        action.outcome = Some(outcome.to_owned());
        action.detail = detail;
    };
    let why = || text(body, "why").or_else(|| text(body, "summary"));
    match record.kind {
        Kind::StepIntended => {
            action.digest = text(body, "digest");
            if let Some(request) = body.get("request") {
                action.verb = text(request, "verb");
                action.target = text(request, "target");
                action.restores_to = super::moments::restored_to(request);
            }
            if let Some(assessment) = body.get("assessment") {
                action.risk = field(assessment, "risk");
                action.reasons = list(assessment, "reasons");
            }
            (action.confirmed_by, action.approved_by) = (None, Vec::new());
        }
        Kind::StepConfirmed => action.confirmed_by = text(body, "by").or(Some(who)),
        Kind::ApprovalGranted => action.approved_by.push(text(body, "person").unwrap_or(who)),
        Kind::StepStarted => {
            action.started = Some(record.time);
            action.risk = action.risk.or_else(|| field(body, "risk"));
            action.target = action.target.take().or_else(|| text(body, "target"));
        }
        Kind::StepFinished => {
            let ended = text(body, "ended").unwrap_or_else(|| "done".into());
            end(action, &ended, text(body, "summary").or_else(|| text(body, "why")));
        }
        Kind::StepUnknown => end(action, "unknown", why()),
        Kind::StepReconciled => {
            let outcome = match text(body, "found").as_deref() {
                Some("took-effect") => "done",
                Some("no-effect") => "failed",
                _ => "unknown",
            };
            end(action, outcome, text(body, "seen").or_else(why));
        }
        Kind::StepVerified => action.verified = Some(true),
        Kind::StepVerificationFailed => {
            action.verified = Some(false);
            action.detail = why().or(action.detail.take());
        }
        Kind::StepSkipped => end(action, "skipped", why()),
        Kind::StepRefused => end(action, "refused", why()),
        Kind::StepCancelled => end(action, "cancelled", why()),
        Kind::StepRolledBack => end(action, "rolled back", why()),
        _ => {}
    }
    if record.kind == Kind::StepVerified && report.moments.mitigated.is_none() && is_acting(report, &name) {
        report.moments.mitigated = Some(record.time);
    }
}

/// Whether a step has changed something: it was intended.
fn is_acting(report: &Report, step: &str) -> bool {
    report.runs.iter().flat_map(|r| &r.actions).any(|a| a.step == step && a.digest.is_some() && a.verb.is_some())
}

fn glass(report: &mut Report, record: &Record) {
    let body = &record.body;
    match record.kind {
        Kind::GlassBroken => report.glass.push(Glass {
            by: sanitize(&record.actor.user),
            reason: text(body, "reason").unwrap_or_default(),
            broken: record.time,
            mended: None,
            review: None,
        }),
        Kind::GlassRestored => {
            if let Some(glass) = report.glass.last_mut() {
                glass.mended.get_or_insert(record.time);
            }
        }
        Kind::GlassReviewed => {
            if let Some(glass) = report.glass.last_mut() {
                let found = text(body, "text").unwrap_or_default();
                glass.review = Some((found, sanitize(&record.actor.user)));
            }
        }
        _ => {}
    }
}

/// How long each of these was hurt: intervals that overlap count once.
fn hurt<'a>(findings: &'a [Found], end: Timestamp, of: impl Fn(&'a Found) -> &'a Vec<String>) -> Vec<Hurt> {
    let mut all: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
    for found in findings {
        for name in of(found) {
            all.entry(name).or_default().push(found);
        }
    }
    let one = |(name, mut by): (&str, Vec<&Found>)| {
        by.sort_by_key(|f| f.since);
        let mut seconds = 0;
        let mut covered = Timestamp::MIN;
        for found in &by {
            let (from, to) = (found.since.max(covered), found.cleared.unwrap_or(end));
            if to > from {
                seconds += to.duration_since(from).as_secs();
                covered = to;
            }
        }
        let names: BTreeSet<&str> = by.iter().map(|f| f.id.as_str()).collect();
        let findings = names.into_iter().map(str::to_owned).collect();
        Hurt { name: name.to_owned(), seconds, ongoing: by.iter().any(|f| f.cleared.is_none()), findings }
    };
    let mut hurt: Vec<Hurt> = all.into_iter().map(one).collect();
    hurt.sort_by(|a, b| b.seconds.cmp(&a.seconds).then_with(|| a.name.cmp(&b.name)));
    hurt
}
