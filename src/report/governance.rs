//! Trends over all incidents, made from the records alone: how often, how long, who approved, what is still to be
//! reviewed or done. What no record tells of is said to be not known.

use super::collect::{field, list, text};
use super::releases::{Course, Fate, Released};
use super::spare::{Fit, Spare, Spares};
use crate::domain::id::PlaybookId;
use crate::domain::incident::Severity;
use crate::domain::mode::Mode;
use crate::domain::text::sanitize;
use crate::journal::fold::Fold;
use crate::journal::{Kind, Record};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Version of the form.
const SCHEMA: u32 = 1;
/// The verb that restores a backup beside what runs.
const RESTORE: &str = "backup.restore_aside";
/// The playbook that takes a release back.
const ROLLBACK: &str = "release-rollback";
/// A playbook that nobody has reviewed for so many days is stale.
const STALE_DAYS: i64 = 180;
/// A restore test is due after so many days.
const RESTORE_DAYS: i64 = 30;

/// What a period amounts to.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Governance {
    /// Version of this form: 1.
    pub schema: u32,
    /// First moment that counts.
    pub since: Timestamp,
    /// The newest record's moment.
    pub until: Timestamp,
    /// Records that were counted.
    pub records: u64,
    /// One entry a month (UTC), oldest first.
    pub months: Vec<Month>,
    /// The whole period, in the same terms.
    pub all: Month,
    /// Tenants that findings of harm named, longest first.
    pub tenants: Vec<Level>,
    /// Releases that harmed their tenant, were taken back or never came into service, newest first.
    pub failed_releases: Vec<Released>,
    /// Currency of the costs of what is not used; absent without prices.
    pub currency: Option<String>,
    /// What tenants have reserved and used, what costs most first.
    pub capacity: Vec<Spare>,
    /// Incidents that are still open.
    pub open: Vec<String>,
    /// Breakings of the glass that nobody has reviewed.
    pub unreviewed_glass: Vec<Waived>,
    /// Measures that are in force beyond their end, or have none.
    pub overdue_measures: Vec<Due>,
    /// Changes of the roster and of the policy: access as it was reviewed.
    pub roster_changes: Vec<Timestamp>,
    /// Restores into an isolated place that were seen to work, newest first.
    pub restore_tests: Vec<Tested>,
    /// Exercises with their scores, newest first, as their own journals tell.
    pub exercises_held: Vec<Exercised>,
    /// Playbooks without a review for half a year, or without any.
    pub stale_playbooks: Vec<Stale>,
    /// What can not be told from these records, a sentence each.
    pub not_known: Vec<String>,
    /// What should be seen to first, a sentence each.
    pub attention: Vec<String>,
}

/// Counts and medians of a month, or of all of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Month {
    /// `2026-11`; `all` for the period.
    pub name: String,
    /// Incidents declared on the real estate.
    pub incidents: u64,
    /// The same by severity.
    pub by_severity: BTreeMap<String, u64>,
    /// Exercises: incidents declared in a drill.
    pub exercises: u64,
    /// Median seconds from the beginning of what was wrong to its finding.
    pub to_detect_s: Option<i64>,
    /// Median seconds from the finding to the declaration.
    pub to_declare_s: Option<i64>,
    /// Median seconds from the declaration to the business's acceptance of the recovery.
    pub to_recover_s: Option<i64>,
    /// Requests for a second person.
    pub approvals_asked: u64,
    /// Of these granted, denied and run out.
    pub approvals_granted: u64,
    /// Denied.
    pub approvals_denied: u64,
    /// Run out.
    pub approvals_expired: u64,
    /// Median seconds from the request to the grant.
    pub to_approve_s: Option<i64>,
    /// Steps that were started.
    pub steps: u64,
    /// Steps whose outcome was not known at first.
    pub steps_unknown: u64,
    /// Steps whose effect was not seen.
    pub steps_unverified: u64,
    /// Breakings of the glass.
    pub glass: u64,
    /// Releases that came to a tenant, but for those that took one back.
    pub deployments: u64,
    /// Of these, how many came into service and harmed nobody within an hour.
    pub deployments_succeeded: u64,
    /// How many harmed their tenant within an hour, were taken back or never came into service.
    pub deployments_failed: u64,
    /// How many were taken back, by whatever means.
    pub taken_back: u64,
    /// Runs that took a release back.
    pub rollbacks: u64,
    /// Restores beside the running cluster that ended well.
    pub restore_tests: u64,
    /// Messages to stakeholders.
    pub comms: u64,
    /// Consoles that were turned away.
    pub refused_consoles: u64,
}

/// How long a tenant was harmed.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Level {
    /// Which.
    pub tenant: String,
    /// Seconds in which at least one finding of harm named it.
    pub harmed_s: i64,
    /// One minus its share of the period in which an engine watched.
    pub available: f64,
    /// How many such findings.
    pub findings: u64,
}

/// A breaking of the glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Waived {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Record.
    pub seq: u64,
}

/// A measure that should have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Due {
    /// Its name.
    pub measure: String,
    /// What it is.
    pub what: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Until when it was to last.
    pub until: Option<String>,
}

/// A restore that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Tested {
    /// When.
    pub at: Timestamp,
    /// Of which backup.
    pub target: String,
    /// In which run.
    pub run: String,
    /// Record.
    pub seq: u64,
}

/// A playbook that nobody has looked at for long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Stale {
    /// Which.
    pub playbook: PlaybookId,
    /// Who answers for it.
    pub owner: String,
    /// When it was last reviewed.
    pub reviewed: Option<Date>,
}

/// A tally with what medians are made of.
#[derive(Debug, Default)]
struct Tally {
    month: Month,
    detect: Vec<i64>,
    declare: Vec<i64>,
    recover: Vec<i64>,
    approve: Vec<i64>,
}

impl Tally {
    fn named(name: &str) -> Self {
        Self { month: Month { name: name.to_owned(), ..Month::default() }, ..Self::default() }
    }

    fn done(self) -> Month {
        let median = |mut all: Vec<i64>| {
            all.sort_unstable();
            all.get(all.len() / 2).copied()
        };
        Month {
            to_detect_s: median(self.detect),
            to_declare_s: median(self.declare),
            to_recover_s: median(self.recover),
            to_approve_s: median(self.approve),
            ..self.month
        }
    }
}

/// A finding of harm that is up, or a tenant's harm so far.
#[derive(Debug, Default)]
struct Harm {
    up: BTreeSet<String>,
    since: Option<Timestamp>,
    seconds: i64,
    findings: u64,
}

impl Harm {
    fn end(&mut self, at: Timestamp) {
        if let Some(since) = self.since.take() {
            self.seconds += at.duration_since(since).as_secs().max(0);
        }
    }
}

/// An incident that was declared.
#[derive(Debug)]
struct Declared {
    at: Timestamp,
    closed: bool,
    recovered: bool,
}

/// An exercise that was held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Exercised {
    /// When it began, on the wall.
    pub at: Timestamp,
    /// Id of the scenario.
    pub scenario: String,
    /// Points.
    pub score: u32,
    /// Points at most.
    pub of: u32,
    /// Whether it was played to its end.
    pub ended: bool,
}

/// A measure that is in force.
#[derive(Debug)]
struct InForce {
    what: String,
    owner: Option<String>,
    until: Option<String>,
}

/// Reads records, all of a log from its first on, and counts those since a moment.
#[derive(Debug)]
pub struct Trends {
    since: Timestamp,
    records: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    all: Tally,
    months: BTreeMap<String, Tally>,
    raised: BTreeMap<String, Timestamp>,
    harm: BTreeMap<String, Harm>,
    incidents: BTreeMap<String, Declared>,
    asked: BTreeMap<String, Timestamp>,
    glass: Vec<Waived>,
    measures: BTreeMap<String, InForce>,
    roster: Vec<Timestamp>,
    /// Steps of restores that were sent and not yet seen to work, by run and step.
    restoring: BTreeMap<(String, String), String>,
    tested: Vec<Tested>,
    held: Vec<Exercised>,
    releases: Course,
    spare: Spares,
}

impl Trends {
    /// Counts from this moment on.
    pub fn new(since: Timestamp) -> Self {
        Self {
            since,
            records: 0,
            first: None,
            last: None,
            all: Tally::named("all"),
            months: BTreeMap::new(),
            raised: BTreeMap::new(),
            harm: BTreeMap::new(),
            incidents: BTreeMap::new(),
            asked: BTreeMap::new(),
            glass: Vec::new(),
            measures: BTreeMap::new(),
            roster: Vec::new(),
            restoring: BTreeMap::new(),
            tested: Vec::new(),
            held: Vec::new(),
            releases: Course::default(),
            spare: Spares::default(),
        }
    }

    /// Counts in the month of a record and in all, when it is of the period.
    fn count(&mut self, at: Timestamp, mut with: impl FnMut(&mut Tally)) {
        if at < self.since {
            return;
        }
        with(&mut self.all);
        let name = at.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string();
        with(self.months.entry(name.clone()).or_insert_with(|| Tally::named(&name)));
    }

    fn finding(&mut self, record: &Record) {
        let body = &record.body;
        let Some(id) = text(body, "finding") else { return };
        if record.kind == Kind::FindingCleared {
            self.raised.remove(&id);
            for harm in self.harm.values_mut() {
                if harm.up.remove(&id) && harm.up.is_empty() {
                    harm.end(record.time);
                }
            }
            return;
        }
        self.raised.insert(id.clone(), record.time);
        let is_live = record.mode != Mode::Drill;
        if let Some(began) = field::<Timestamp>(body, "since").filter(|_| is_live) {
            let took = record.time.duration_since(began).as_secs().max(0);
            self.count(record.time, |t| t.detect.push(took));
        }
        if is_live && list(body, "classes").iter().any(|c| c == "IMPACT") {
            for tenant in list(body, "tenants") {
                self.releases.harmed(&tenant.as_str().into(), record.time);
                let harm = self.harm.entry(tenant).or_default();
                harm.since.get_or_insert(record.time.max(self.since));
                if harm.up.insert(id.clone()) && record.time >= self.since {
                    harm.findings += 1;
                }
            }
        }
    }

    fn incident(&mut self, record: &Record) {
        let Some(id) = record.incident.as_ref().map(ToString::to_string) else { return };
        let body = &record.body;
        match record.kind {
            Kind::IncidentDeclared => {
                self.incidents.insert(id, Declared { at: record.time, closed: false, recovered: false });
                if record.mode == Mode::Drill {
                    return self.count(record.time, |t| t.month.exercises += 1);
                }
                let severity = field(body, "severity").unwrap_or(Severity::Sev2).to_string();
                let raised = list(body, "findings").iter().filter_map(|f| self.raised.get(f)).min().copied();
                let took = raised.map(|raised| record.time.duration_since(raised).as_secs().max(0));
                self.count(record.time, |t| {
                    t.month.incidents += 1;
                    *t.month.by_severity.entry(severity.clone()).or_default() += 1;
                    t.declare.extend(took);
                });
            }
            Kind::IncidentClosed | Kind::RecoveryAccepted => {
                let Some(incident) = self.incidents.get_mut(&id) else { return };
                incident.closed |= record.kind == Kind::IncidentClosed;
                if record.kind == Kind::RecoveryAccepted && !std::mem::replace(&mut incident.recovered, true) {
                    let took = record.time.duration_since(incident.at).as_secs().max(0);
                    if record.mode != Mode::Drill {
                        self.count(record.time, |t| t.recover.push(took));
                    }
                }
            }
            _ => {}
        }
    }

    fn approval(&mut self, record: &Record) {
        let id = text(&record.body, "request").or_else(|| text(&record.body, "id")).unwrap_or_default();
        match record.kind {
            Kind::ApprovalRequested => {
                self.asked.insert(id, record.time);
                self.count(record.time, |t| t.month.approvals_asked += 1);
            }
            Kind::ApprovalGranted => {
                let took = self.asked.get(&id).map(|asked| record.time.duration_since(*asked).as_secs().max(0));
                self.count(record.time, |t| {
                    t.month.approvals_granted += 1;
                    t.approve.extend(took);
                });
            }
            Kind::ApprovalDenied => self.count(record.time, |t| t.month.approvals_denied += 1),
            _ => self.count(record.time, |t| t.month.approvals_expired += 1),
        }
    }

    fn measure(&mut self, record: &Record) {
        let body = &record.body;
        let Some(id) = text(body, "measure") else { return };
        match record.kind {
            Kind::MeasureSet => {
                let what = text(body, "what").unwrap_or_default();
                self.measures.insert(id, InForce { what, owner: None, until: None });
            }
            Kind::MeasureAssigned => {
                if let Some(measure) = self.measures.get_mut(&id) {
                    (measure.owner, measure.until) = (text(body, "owner"), text(body, "until"));
                }
            }
            _ => drop(self.measures.remove(&id)),
        }
    }

    fn step(&mut self, record: &Record) {
        let body = &record.body;
        let key = (text(body, "run").unwrap_or_default(), text(body, "step").unwrap_or_default());
        match record.kind {
            Kind::StepIntended => {
                let request = body.get("request");
                let verb = request.and_then(|r| text(r, "verb")).unwrap_or_default();
                if verb == RESTORE {
                    let target = request.and_then(|r| text(r, "target")).unwrap_or_default();
                    self.restoring.insert(key, target);
                }
            }
            Kind::StepStarted => self.count(record.time, |t| t.month.steps += 1),
            Kind::StepUnknown => self.count(record.time, |t| t.month.steps_unknown += 1),
            Kind::StepVerificationFailed => self.count(record.time, |t| t.month.steps_unverified += 1),
            Kind::StepVerified => {
                if let Some(target) = self.restoring.remove(&key).filter(|_| record.mode != Mode::Drill) {
                    self.tested.push(Tested { at: record.time, target, run: key.0, seq: record.seq });
                    self.count(record.time, |t| t.month.restore_tests += 1);
                }
            }
            _ => {}
        }
    }

    /// Counts the releases of the period, and answers those that failed, newest first.
    fn released(&mut self, until: Timestamp) -> Vec<Released> {
        let all = std::mem::take(&mut self.releases).end(until);
        for release in all.iter().filter(|r| !r.is_return) {
            self.count(release.at, |t| {
                let month = &mut t.month;
                month.deployments += 1;
                match release.fate {
                    Fate::Succeeded => month.deployments_succeeded += 1,
                    Fate::Open => {}
                    Fate::Harmed | Fate::TakenBack | Fate::NeverInService => month.deployments_failed += 1,
                }
                month.taken_back += u64::from(release.fate == Fate::TakenBack);
            });
        }
        let has_failed =
            |r: &Released| r.at >= self.since && !r.is_return && !matches!(r.fate, Fate::Succeeded | Fate::Open);
        all.into_iter().rev().filter(has_failed).collect()
    }

    /// Counts an exercise that has a journal of its own.
    pub fn hold(&mut self, exercise: Exercised) {
        if exercise.at >= self.since {
            self.count(exercise.at, |t| t.month.exercises += 1);
            self.held.push(exercise);
        }
    }

    /// The report, with the playbooks as they are now: id, owner and last review.
    pub fn report(mut self, playbooks: &[Stale]) -> Governance {
        let until = self.last.unwrap_or(self.since);
        let from = self.first.map_or(self.since, |first| first.max(self.since));
        let period = until.duration_since(from).as_secs().max(1);
        let failed_releases = self.released(until);
        let (currency, capacity) = std::mem::take(&mut self.spare).end();
        let mut tenants: Vec<Level> = std::mem::take(&mut self.harm)
            .into_iter()
            .map(|(tenant, mut harm)| {
                harm.end(until);
                #[allow(clippy::cast_precision_loss, reason = "seconds of years are far below 2^52")]
                let share = harm.seconds as f64 / period as f64;
                Level { tenant, harmed_s: harm.seconds, available: (1.0 - share).max(0.0), findings: harm.findings }
            })
            .filter(|level| level.harmed_s > 0)
            .collect();
        tenants.sort_by(|a, b| b.harmed_s.cmp(&a.harmed_s).then_with(|| a.tenant.cmp(&b.tenant)));
        let open = self.incidents.iter().filter(|(_, i)| !i.closed).map(|(id, _)| id.clone()).collect();
        let overdue = |m: &InForce| {
            let end = m.until.as_ref().and_then(|u| u.parse::<Timestamp>().ok());
            end.is_none_or(|end| end < until)
        };
        let overdue_measures = self
            .measures
            .iter()
            .filter(|(_, m)| overdue(m))
            .map(|(id, m)| Due {
                measure: id.clone(),
                what: m.what.clone(),
                owner: m.owner.clone(),
                until: m.until.clone(),
            })
            .collect();
        let today = until.to_zoned(TimeZone::UTC).date();
        let is_stale = |p: &&Stale| p.reviewed.is_none_or(|day| days(day, today) > STALE_DAYS);
        self.tested.reverse();
        self.held.sort_by_key(|e| std::cmp::Reverse(e.at));
        let mut report = Governance {
            schema: SCHEMA,
            since: self.since,
            until,
            records: self.records,
            months: self.months.into_values().map(Tally::done).collect(),
            all: self.all.done(),
            tenants,
            failed_releases,
            not_known: not_known(currency.is_some(), &capacity),
            currency,
            capacity,
            open,
            unreviewed_glass: self.glass,
            overdue_measures,
            roster_changes: self.roster,
            restore_tests: self.tested,
            exercises_held: self.held,
            stale_playbooks: playbooks.iter().filter(is_stale).cloned().collect(),
            attention: Vec::new(),
        };
        report.attention = attention(&report);
        report
    }
}

/// What these records can not tell.
fn not_known(is_priced: bool, capacity: &[Spare]) -> Vec<String> {
    let mut all = vec!["releases that came and went while no engine ran"];
    if capacity.is_empty() {
        all.push(
            "what is idle or too large: no record tells of capacity (a Prometheus with kube-state-metrics and the \
             kubelet's metrics gives it)",
        );
    } else if !is_priced {
        all.push("what unused capacity costs: no prices are configured (`[cost]`)");
    }
    all.push("harm while no engine ran: availability counts what findings said");
    all.into_iter().map(str::to_owned).collect()
}

/// Days from one date to another.
fn days(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_hours() / 24
}

/// What should be seen to first.
fn attention(report: &Governance) -> Vec<String> {
    let counted = [
        (report.unreviewed_glass.len(), "breakings of the glass that nobody has reviewed"),
        (report.overdue_measures.len(), "measures in force beyond their end, or without one"),
        (report.open.len(), "incidents still open"),
        (report.stale_playbooks.len(), "playbooks without a review for half a year"),
        (report.capacity.iter().filter(|c| c.fit == Fit::Idle).count(), "tenants whose capacity is idle"),
    ];
    let some = counted.iter().filter(|(count, _)| *count > 0);
    let mut all: Vec<String> = some.map(|(count, what)| format!("{what}: {count}")).collect();
    match report.restore_tests.first() {
        None => all.push("no restore test is recorded".to_owned()),
        Some(last) => {
            let ago = report.until.duration_since(last.at).as_hours() / 24;
            if ago > RESTORE_DAYS {
                all.push(format!("the last restore test is {ago} days old"));
            }
        }
    }
    if report.all.exercises == 0 {
        all.push("no exercise is recorded in this journal".to_owned());
    }
    all
}

impl Fold for Trends {
    fn apply(&mut self, record: &Record) {
        self.first.get_or_insert(record.time);
        self.last = Some(self.last.map_or(record.time, |last| last.max(record.time)));
        if record.time >= self.since {
            self.records += 1;
        }
        match record.kind {
            Kind::FindingRaised | Kind::FindingCleared => self.finding(record),
            Kind::IncidentDeclared | Kind::IncidentClosed | Kind::RecoveryAccepted => self.incident(record),
            Kind::ApprovalRequested | Kind::ApprovalGranted | Kind::ApprovalDenied | Kind::ApprovalExpired => {
                self.approval(record);
            }
            Kind::MeasureSet | Kind::MeasureAssigned | Kind::MeasureLifted => self.measure(record),
            Kind::RunStarted if text(&record.body, "playbook").as_deref() == Some(ROLLBACK) => {
                self.count(record.time, |t| t.month.rollbacks += 1);
            }
            Kind::ReleaseSeen if record.mode != Mode::Drill => self.releases.seen(record),
            Kind::CapacitySeen if record.mode != Mode::Drill && record.time >= self.since => self.spare.seen(record),
            Kind::CommsSent => self.count(record.time, |t| t.month.comms += 1),
            Kind::ConsoleRefused => self.count(record.time, |t| t.month.refused_consoles += 1),
            Kind::RosterChanged if record.time >= self.since => self.roster.push(record.time),
            Kind::GlassBroken => {
                self.glass.push(Waived {
                    at: record.time,
                    by: sanitize(&record.actor.user),
                    reason: text(&record.body, "reason").unwrap_or_default(),
                    seq: record.seq,
                });
                self.count(record.time, |t| t.month.glass += 1);
            }
            // A review looks at all that was waived until then.
            Kind::GlassReviewed => self.glass.clear(),
            _ => self.step(record),
        }
    }
}
