//! A scenario from a real incident: its findings become causes on the simulated estate, its acts become expectations with
//! the times that were needed then. No name, text or number of the real estate gets into it but times and rules.

use super::scenario::known::PLAYBOOKS;
use super::scenario::time::Lasting;
use crate::domain::id::IncidentId;
use crate::journal::fold::Fold;
use crate::journal::{Kind, Record};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Simulated tenants that stand in for real ones, in the order in which these come.
const STAND_INS: [&str; 6] = ["t017", "t003", "t044", "t090", "t051", "t002"];
/// How long before its declaration a finding still belongs to an incident.
const BEFORE: SignedDuration = SignedDuration::from_mins(30);
/// Second of the scenario at which the first finding comes up.
const FIRST_S: i64 = 60;
/// Speed of the scenario.
const SPEED: i64 = 4;
/// Most injects.
const MOST: usize = 40;
/// For how long the course of a signal is followed.
const FOLLOWED: SignedDuration = SignedDuration::from_hours(2);
/// Changes of strength that are taken over of one finding.
const CHANGES: usize = 6;
/// Least time between two of them.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// A finding that came up.
#[derive(Clone, Debug)]
struct Raised {
    at: Timestamp,
    id: String,
    rule: String,
    tenant: Option<String>,
}

/// How a signal behind a finding went, as the consoles showed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The finding that it is evidence of.
    pub finding: String,
    /// Name of the signal.
    pub signal: String,
    /// What is usual for it, where that was learnt.
    pub usual: Option<f64>,
    /// Its values, oldest first.
    pub points: Vec<(Timestamp, f64)>,
}

/// What is gathered of an incident.
#[derive(Clone, Debug)]
pub struct Gathered {
    incident: IncidentId,
    courses: Vec<Course>,
    cleared: BTreeMap<String, Timestamp>,
    acted: Option<Timestamp>,
    raised: Vec<Raised>,
    declared: Option<Timestamp>,
    closed: Option<Timestamp>,
    told: Option<Timestamp>,
    runs: BTreeMap<String, (String, Timestamp, Option<Timestamp>)>,
    last: Option<Timestamp>,
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Gathered {
    /// Nothing yet of an incident.
    pub fn new(incident: IncidentId) -> Self {
        let (raised, runs) = (Vec::new(), BTreeMap::new());
        let (courses, cleared) = (Vec::new(), BTreeMap::new());
        Self {
            incident,
            courses,
            cleared,
            acted: None,
            raised,
            declared: None,
            closed: None,
            told: None,
            runs,
            last: None,
        }
    }

    /// Which incident.
    pub const fn incident(&self) -> &IncidentId {
        &self.incident
    }

    /// The time in which signals went as the trouble had it: from the first finding until somebody acted, at most so long.
    pub fn untouched(&self) -> Option<(Timestamp, Timestamp)> {
        let declared = self.declared?;
        let first = self.raised.iter().map(|r| r.at).filter(|at| *at >= declared - BEFORE).min()?;
        let end = self.acted.or(self.closed).or(self.last).unwrap_or(declared);
        Some((first, end.min(first + FOLLOWED).max(first)))
    }

    /// Takes over how the signals went in that time.
    pub fn follow(&mut self, courses: Vec<Course>) {
        self.courses = courses;
    }
}

impl Fold for Gathered {
    fn apply(&mut self, record: &Record) {
        let (body, ours) = (&record.body, record.incident.as_ref() == Some(&self.incident));
        if record.kind == Kind::FindingRaised && self.closed.is_none() && (ours || self.declared.is_none()) {
            let tenant = body.pointer("/tenants/0").and_then(Value::as_str).map(str::to_owned);
            let (id, rule) = (text(body, "finding").to_owned(), text(body, "rule").to_owned());
            self.raised.push(Raised { at: record.time, id, rule, tenant });
        }
        if record.kind == Kind::FindingCleared {
            self.cleared.entry(text(body, "finding").to_owned()).or_insert(record.time);
        }
        if record.kind == Kind::FindingCleared && self.declared.is_none() {
            self.raised.retain(|r| r.id != text(body, "finding"));
        }
        if !ours {
            return;
        }
        self.last = Some(record.time);
        match record.kind {
            Kind::IncidentDeclared => self.declared = Some(record.time),
            Kind::IncidentClosed => self.closed = Some(record.time),
            Kind::StepStarted => self.acted = self.acted.or(Some(record.time)),
            Kind::CommsSent => self.told = self.told.or(Some(record.time)),
            Kind::RunStarted => {
                let run = (text(body, "playbook").to_owned(), record.time, None);
                self.runs.insert(text(body, "run").to_owned(), run);
            }
            Kind::RunFinished if text(body, "state") == "finished" => {
                if let Some((.., ended)) = self.runs.get_mut(text(body, "run")) {
                    *ended = Some(record.time);
                }
            }
            _ => {}
        }
    }
}

/// What causes such a finding on the simulated estate; `None` where nothing there does.
fn cause(rule: &str, tenant: &str) -> Option<String> {
    let of = |fault: &str, more: &str| Some(format!("{{fault: {fault}, tenant: {tenant}{more}}}"));
    match rule {
        "lock-chain" | "long-transaction" => of("lock-chain", ""),
        "queue-age" | "queue-zombies" => of("hung-workers", ""),
        "queue-failed" | "modules-pending" => of("spoiled-data", ""),
        "http-errors" | "synthetic" => of("broken-release", ", share: 0.3"),
        "http-slow" | "node-pressure" => of("demand", ", factor: 8"),
        "http-refused" => of("access", ", cause: identity"),
        "certificate" | "certificate-renewal" => of("certificate", ", days: 2"),
        "connections" | "pool-wait" => of("connection-storm", ", connections: 80"),
        "crash-loop" | "restarts" | "workload-unavailable" => of("crash-loop", ", pods: 20"),
        "cron-late" => of("stuck-cron", ", late_s: 900"),
        "delivery" => of("drift", ", tag: r130"),
        "integration" => of("endpoint-down", ", channel: root.wms, down: true"),
        "router-disabled" => of("misroute", ""),
        "replication-lag" => of("write-storm", ", pace: 0.5"),
        "replication-broken" => Some("{fault: replica-broken, instance: pg-a}".into()),
        "backup" | "archiving" | "recovery-point" => {
            Some("{fault: backups-fail, instance: pg-a, why: the repository is full}".into())
        }
        "volume-full" => Some("{fault: volume-fills, instance: pg-a, bytes_per_s: 500000000}".into()),
        "redis-memory" | "redis-evictions" => Some("{fault: redis-fills, redis: redis-s, bytes_per_s: 2000000}".into()),
        "node-not-ready" => Some("{fault: node-down, node: node-2, down: true}".into()),
        "source-unknown" => Some("{fault: telemetry-gap, source: pg-b-r, seconds: 300}".into()),
        _ => None,
    }
}

/// How the strength of a cause follows the recorded values of a signal.
#[derive(Clone, Copy)]
enum By {
    /// The value itself.
    Value,
    /// The value against what is usual, or against its peak where that is not known.
    Multiple,
    /// How fast the value grows, a second.
    Growth,
}

/// The signal that tells how strong the cause of such a finding is, and how.
fn strength(rule: &str) -> Option<(&'static str, By)> {
    Some(match rule {
        "http-errors" | "synthetic" => ("http.share_5xx", By::Value),
        "http-slow" | "node-pressure" => ("http.p95", By::Multiple),
        "connections" | "pool-wait" => ("connections.share", By::Value),
        "replication-lag" => ("replication.lag", By::Growth),
        "queue-age" => ("queue.oldest", By::Growth),
        "certificate" => ("certificate.days", By::Value),
        "cron-late" => ("cron.lateness", By::Value),
        _ => return None,
    })
}

/// The cause of such a finding at a strength, rounded so that no number of the real estate is in it.
fn cause_of(rule: &str, tenant: &str, strength: f64) -> Option<String> {
    let of = |fault: &str, more: String| Some(format!("{{fault: {fault}, tenant: {tenant}, {more}}}"));
    match rule {
        "http-errors" | "synthetic" => of("broken-release", format!("share: {:.2}", strength.clamp(0.0, 1.0))),
        "http-slow" | "node-pressure" => of("demand", format!("factor: {:.0}", strength.clamp(1.0, 30.0))),
        "connections" | "pool-wait" => {
            of("connection-storm", format!("connections: {:.0}", (strength.clamp(0.0, 1.0) * 10.0).round() * 10.0))
        }
        "replication-lag" => of("write-storm", format!("pace: {:.1}", strength.clamp(0.0, 1.0))),
        // As old as time passes: nothing is done at all.
        "queue-age" if strength > 0.9 => cause(rule, tenant),
        "queue-age" => of("slow-workers", format!("speed: {:.1}", (1.0 - strength).clamp(0.1, 1.0))),
        "certificate" => of("certificate", format!("days: {:.0}", strength.clamp(-30.0, 90.0))),
        "cron-late" => {
            of("stuck-cron", format!("late_s: {:.0}", (strength.clamp(60.0, 86_400.0) / 60.0).round() * 60.0))
        }
        _ => None,
    }
}

/// When a cause changed its strength, and what it is from then on: the first is the finding's own.
fn changes(rule: &str, tenant: &str, raised: Timestamp, course: &Course, by: By) -> Vec<(Timestamp, String)> {
    let peak = course.points.iter().map(|(_, v)| *v).fold(0.0_f64, f64::max);
    let mut strengths: Vec<(Timestamp, f64)> = Vec::new();
    match by {
        By::Value => strengths.clone_from(&course.points),
        By::Multiple => {
            let whole = course.usual.filter(|u| *u > 0.0).unwrap_or(peak / 8.0).max(f64::EPSILON);
            strengths.extend(course.points.iter().map(|(at, v)| (*at, v / whole)));
        }
        By::Growth => {
            let mut from = course.points.first().copied();
            for (at, value) in &course.points {
                let Some((since, before)) = from.filter(|(since, _)| at.duration_since(*since) >= APART) else {
                    continue;
                };
                strengths.push((since, ((value - before) / at.duration_since(since).as_secs_f64()).max(0.0)));
                from = Some((*at, *value));
            }
        }
    }
    let mut kept: Vec<(Timestamp, f64, String)> = Vec::new();
    for (at, strength) in strengths.into_iter().filter(|(_, s)| s.is_finite()) {
        let Some(effect) = cause_of(rule, tenant, strength) else { continue };
        let differs = match kept.last() {
            None => true,
            Some((last, before, said)) => {
                let much = (strength - before).abs() > 0.25 * before.abs().max(strength.abs());
                *said != effect && much && at.duration_since(*last) >= APART
            }
        };
        if differs && kept.len() < CHANGES {
            kept.push((at.max(raised), strength, effect));
        }
    }
    kept.into_iter().map(|(at, _, effect)| (at, effect)).collect()
}

/// When the trouble of such a finding is over, a condition.
fn over(rule: &str, tenant: &str) -> Option<String> {
    let condition = match rule {
        "lock-chain" => "[\"lock.blocked\"] == 0.0",
        "queue-age" | "queue-zombies" | "crash-loop" | "integration" => "[\"queue.oldest\"] < 60.0",
        "http-errors" | "queue-failed" => "[\"http.share_5xx\"] < 0.01",
        "http-slow" | "connections" | "pool-wait" => "[\"http.p95\"] < 1.5",
        "http-refused" => "[\"http.share_4xx\"] < 0.05",
        "replication-lag" | "replication-broken" => "[\"replication.lag\"] < 5.0",
        _ => return None,
    };
    Some(format!("signals.{tenant}{condition}"))
}

/// A word as an id.
fn slug(word: &str) -> String {
    let kept = word.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    kept.take(40).collect()
}

impl Gathered {
    /// The cause of a finding where its strength was not recorded.
    fn cause(&self, one: &Raised, tenant: &str) -> Option<String> {
        if one.rule == "source-unknown" {
            let lasted = self.cleared.get(&one.id).map_or(300, |at| at.duration_since(one.at).as_secs());
            return Some(format!("{{fault: telemetry-gap, source: pg-b-r, seconds: {}}}", lasted.clamp(30, 3600)));
        }
        cause(&one.rule, tenant)
    }

    /// The text of the scenario.
    ///
    /// # Errors
    /// Why none can be made, one sentence.
    pub fn scenario(&self) -> Result<String, String> {
        let declared = self.declared.ok_or_else(|| format!("the journal declares no incident {}", self.incident))?;
        let mut raised: Vec<&Raised> = self.raised.iter().filter(|r| r.at >= declared - BEFORE).collect();
        raised.sort_by_key(|r| r.at);
        let first = raised.first().map_or(declared, |r| r.at).min(declared);
        let last = self.closed.or(self.last).unwrap_or(declared);
        let second = |at: Timestamp| at.duration_since(first).as_secs().max(0) + FIRST_S;
        // Half as long again as it took then, and time to close.
        let minutes = (second(last) * 3 / 2 / 60 / SPEED + 5).clamp(5, 24 * 60);
        let most = minutes * 60 * SPEED;
        let mut stand_ins = BTreeMap::new();
        let mut stand_in = |tenant: Option<&String>| {
            let next = stand_ins.len() % STAND_INS.len();
            let known = tenant.map(|t| *stand_ins.entry(t.clone()).or_insert(next));
            STAND_INS.get(known.unwrap_or(0)).copied().unwrap_or("t017")
        };
        let (mut injects, mut end, mut seen) = (String::new(), BTreeSet::new(), BTreeSet::new());
        for one in &raised {
            let tenant = stand_in(one.tenant.as_ref());
            let id = format!("{}-{tenant}", slug(&one.rule));
            if seen.len() >= MOST || second(one.at) >= most || !seen.insert(id.clone()) {
                continue;
            }
            let recorded = strength(&one.rule).and_then(|(signal, by)| {
                let course = self.courses.iter().find(|c| c.finding == one.id && c.signal == signal)?;
                Some(changes(&one.rule, tenant, one.at, course, by))
            });
            let over = over(&one.rule, tenant);
            let mut effects = recorded.unwrap_or_default();
            if effects.is_empty() {
                effects.extend(self.cause(one, tenant).map(|effect| (one.at, effect)));
            }
            for (n, (at, effect)) in effects.iter().enumerate().filter(|(_, (at, _))| second(*at) < most) {
                let at = Lasting(second(*at));
                // What is mended does not break again because it did then.
                let unless = over.as_ref().filter(|_| n > 0).map(|o| format!(", unless: '{o}'")).unwrap_or_default();
                let id = if n == 0 { id.clone() } else { format!("{id}-{}", n + 1) };
                let _ =
                    writeln!(injects, "  - {{id: {id}, at: T+{at}{unless}, channel: telemetry, effects: [{effect}]}}");
            }
            if effects.is_empty() {
                let at = Lasting(second(one.at));
                let _ = writeln!(
                    injects,
                    "  - {{id: {id}, at: T+{at}, channel: alert, from: monitoring, text: the rule {} found something on {tenant}}}",
                    slug(&one.rule)
                );
            } else {
                end.extend(over);
            }
        }
        if injects.is_empty() {
            return Err(format!(
                "no finding was raised for {}: there is nothing to make an exercise of",
                self.incident
            ));
        }
        let mut expected = String::new();
        let mut expect = |id: &str, what: &str, at: Timestamp, score: u32, record: &str| {
            // What was done then, with half of the time on top.
            let by = Lasting((second(at) * 3 / 2).clamp(60, most));
            let _ = writeln!(expected, "  - {{id: {id}, what: {what}, by: {by}, score: {score}, match: {record}}}");
        };
        expect("declared", "an incident is declared", declared, 20, "{kind: incident.declared}");
        if let Some(at) = self.told {
            expect("told", "stakeholders are told", at, 10, "{kind: comms.sent}");
        }
        let mut known = BTreeSet::new();
        for (playbook, began, ended) in self.runs.values().filter(|(p, ..)| PLAYBOOKS.contains_key(p)) {
            if !known.insert(playbook) {
                continue;
            }
            let record = format!("{{kind: run.started, body: {{playbook: {playbook}}}}}");
            expect(&format!("{playbook}-started"), &format!("{playbook} is started"), *began, 15, &record);
            if let Some(at) = ended {
                let record = format!("{{kind: run.finished, playbook: {playbook}, body: {{state: finished}}}}");
                expect(&format!("{playbook}-finished"), &format!("{playbook} is brought to its end"), *at, 25, &record);
            }
        }
        if let Some(at) = self.closed {
            expect("closed", "the incident is closed", at, 10, "{kind: incident.closed}");
        }
        let day = declared.strftime("%H:%M:%S");
        let end = end.into_iter().collect::<Vec<_>>().join(" && ");
        let end_when = if end.is_empty() { String::new() } else { format!("endWhen: 'elapsed_s > 300.0 && {end}'\n") };
        Ok(format!(
            "# Made from an incident: its findings are causes here, what was done then is expected, with half of the time on
# top. Tenants, people, texts and numbers of the real estate are not in it.
exercise:
  id: from-{id}
  name: As it was then
  objectives:
    - do it at least as well as then
  seed: 1
  minutes: {minutes}
  clock: {{start: 2026-11-20T{day}Z, speed: {SPEED}}}
  roles: [commander, operator]
baseline:
  size: {{tenants: 24}}
injects:
{injects}expectations:
{expected}{end_when}hotwash:
  - What was done otherwise than then, and was it better?
",
            id = slug(self.incident.as_str()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::Actor;
    use crate::domain::estate::Environment;
    use crate::domain::mode::Mode;
    use serde_json::json;

    fn gathered(records: &[(i64, Kind, bool, Value)]) -> Gathered {
        let mut gathered = Gathered::new(IncidentId::new("INC-7"));
        let start: Timestamp = "2026-03-02T11:00:00Z".parse().unwrap();
        for (seq, (second, kind, ours, body)) in records.iter().enumerate() {
            let actor = Actor { user: "Petra Huber".into(), uid: 0, via: "t".into(), host: "h".into(), console: None };
            gathered.apply(&Record {
                v: 1,
                seq: seq as u64,
                time: start + SignedDuration::from_secs(*second),
                kind: *kind,
                incident: ours.then(|| IncidentId::new("INC-7")),
                actor,
                mode: Mode::Live,
                environment: Environment::Production,
                body: body.clone(),
            });
        }
        gathered
    }

    #[test]
    fn an_incident_becomes_a_lint_clean_scenario_without_names() {
        let finding = |rule: &str| json!({"finding": format!("{rule}/huber-gmbh"), "rule": rule, "what": "secret words", "tenants": ["huber-gmbh"]});
        let gathered = gathered(&[
            (0, Kind::FindingRaised, false, finding("queue-age")),
            (30, Kind::FindingRaised, false, finding("our-own-rule")),
            (90, Kind::IncidentDeclared, true, json!({"title": "Huber stands still", "severity": "SEV1"})),
            (100, Kind::RunStarted, true, json!({"run": "RUN-1", "playbook": "queue-backlog"})),
            (110, Kind::RunStarted, true, json!({"run": "RUN-2", "playbook": "huber-special"})),
            (400, Kind::RunFinished, true, json!({"run": "RUN-1", "state": "finished"})),
            (500, Kind::IncidentClosed, true, json!({"summary": "Huber is well"})),
        ]);
        let text = gathered.scenario().unwrap();
        let scenario = crate::drill::parse("made", &text).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        assert!(!text.to_lowercase().contains("huber") && !text.contains("secret"), "{text}");
        assert_eq!(scenario.injects.len(), 2);
        assert_eq!(scenario.injects[0].effects[0].word(), "hung-workers");
        let ids: Vec<&str> = scenario.expectations.iter().map(|e| e.id.as_str()).collect();
        assert_eq!(ids, ["declared", "queue-backlog-started", "queue-backlog-finished", "closed"]);
        assert_eq!(scenario.expectations[0].by.0, 225, "half of the time on top");
        assert_eq!(scenario.end_when.as_deref(), Some("elapsed_s > 300.0 && signals.t017[\"queue.oldest\"] < 60.0"));
    }

    #[test]
    fn causes_follow_the_recorded_run_of_their_signals_until_somebody_acted() {
        let finding = |rule: &str| json!({"finding": format!("{rule}/huber"), "rule": rule, "tenants": ["huber-gmbh"]});
        let mut gathered = gathered(&[
            (0, Kind::FindingRaised, false, finding("http-errors")),
            (10, Kind::FindingRaised, false, finding("queue-age")),
            (90, Kind::IncidentDeclared, true, json!({})),
            (600, Kind::StepStarted, true, json!({"run": "RUN-1", "step": "roll-back"})),
            (700, Kind::IncidentClosed, true, json!({})),
        ]);
        let start: Timestamp = "2026-03-02T11:00:00Z".parse().unwrap();
        let at = |s: i64| start + SignedDuration::from_secs(s);
        assert_eq!(gathered.untouched(), Some((at(0), at(600))));
        let course = |id: &str, signal: &str, points: &[(i64, f64)]| Course {
            finding: format!("{id}/huber"),
            signal: signal.into(),
            usual: None,
            points: points.iter().map(|(s, v)| (at(*s), *v)).collect(),
        };
        gathered.follow(vec![
            course("http-errors", "http.share_5xx", &[(0, 0.1), (15, 0.3), (120, 0.4123), (200, 0.41), (400, 0.9)]),
            // It ages by half a second each second: some work is done.
            course("queue-age", "queue.oldest", &[(10, 100.0), (70, 130.0), (130, 160.0), (190, 220.0)]),
        ]);
        let text = gathered.scenario().unwrap();
        let scenario = crate::drill::parse("made", &text).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        assert!(!text.to_lowercase().contains("huber") && !text.contains("0.4123"), "{text}");
        let of = |id: &str| {
            let inject = scenario.injects.iter().find(|i| i.id == id).unwrap_or_else(|| panic!("{id}\n{text}"));
            let effect = serde_json::to_value(&inject.effects[0]).unwrap();
            (inject.at.unwrap().0, inject.unless.clone(), effect)
        };
        let (first, unless, effect) = of("http-errors-t017");
        assert_eq!((first, unless, &effect["share"]), (60, None, &json!(0.1)));
        let (second, unless, effect) = of("http-errors-t017-2");
        assert_eq!((second, &effect["share"]), (180, &json!(0.41)), "a change within a minute is none");
        assert_eq!(unless.as_deref(), Some("signals.t017[\"http.share_5xx\"] < 0.01"), "what is mended stays mended");
        assert_eq!(of("http-errors-t017-3").2["share"], 0.9);
        assert_eq!(
            (of("queue-age-t017").2["fault"].as_str(), &of("queue-age-t017").2["speed"]),
            (Some("slow-workers"), &json!(0.5))
        );
        assert_eq!(of("queue-age-t017-2").2["fault"], "hung-workers", "later nothing is done at all");
    }

    #[test]
    fn what_is_no_incident_makes_no_scenario() {
        assert!(gathered(&[]).scenario().unwrap_err().contains("declares no incident INC-7"));
        let only = gathered(&[(0, Kind::IncidentDeclared, true, json!({}))]);
        assert!(only.scenario().unwrap_err().contains("no finding was raised"));
    }

    #[test]
    fn every_cause_is_a_fault_that_the_lint_knows() {
        for rule in [
            "lock-chain",
            "queue-age",
            "queue-failed",
            "http-errors",
            "http-slow",
            "http-refused",
            "certificate",
            "connections",
            "crash-loop",
            "cron-late",
            "delivery",
            "integration",
            "router-disabled",
            "replication-lag",
            "replication-broken",
            "backup",
            "redis-memory",
            "node-not-ready",
            "source-unknown",
        ] {
            let finding = json!({"finding": rule, "rule": rule, "tenants": ["x"]});
            let records = [(0, Kind::FindingRaised, false, finding), (9, Kind::IncidentDeclared, true, json!({}))];
            let text = gathered(&records).scenario().unwrap();
            assert!(text.contains("effects: ["), "{rule}");
            crate::drill::parse("made", &text).unwrap_or_else(|e| panic!("{rule}: {e:?}\n{text}"));
        }
    }
}
