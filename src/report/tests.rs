use super::*;
use crate::domain::actor::Actor;
use crate::domain::estate::Environment;
use crate::domain::id::IncidentId;
use crate::domain::mode::Mode;
use crate::journal::fold::Fold as _;
use crate::journal::{Kind, Record};
use jiff::Timestamp;
use serde_json::{Value, json};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_763_600_400 + second).unwrap()
}

/// A log of records, numbered as they come.
#[derive(Default)]
struct Log(Vec<Record>);

impl Log {
    fn add(&mut self, second: i64, kind: Kind, incident: Option<&str>, who: &str, body: Value) {
        self.0.push(Record {
            v: 1,
            seq: u64::try_from(self.0.len()).unwrap(),
            time: at(second),
            kind,
            incident: incident.map(IncidentId::from),
            actor: Actor { user: who.into(), uid: 1, via: "console".into(), host: "b1".into(), console: None },
            mode: Mode::Live,
            environment: Environment::Production,
            body,
        });
    }

    fn finding(&mut self, second: i64, id: &str, incident: Option<&str>, tenants: &[&str]) {
        let body = json!({
            "finding": id, "what": format!("{id} is wrong"), "severity": "critical", "since": at(second - 10),
            "tenants": tenants, "plants": ["Ulm"],
        });
        self.add(second, Kind::FindingRaised, incident, "quarterdeck", body);
    }

    fn step(&mut self, second: i64, kind: Kind, step: &str, more: &Value) {
        let mut body = json!({ "run": "RUN-1", "step": step });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.add(second, kind, Some("INC-1"), "mara", body);
    }

    fn report(&self) -> Report {
        let mut collector = Collector::new(IncidentId::from("INC-1"));
        for record in &self.0 {
            collector.apply(record);
        }
        collector.report().unwrap()
    }
}

/// A night in which everything was done as it should be.
fn night() -> Log {
    let mut log = Log::default();
    log.finding(0, "certificate/t9", None, &["t9"]);
    log.finding(20, "lock/t1", None, &["t1", "t2"]);
    log.add(30, Kind::FindingAcknowledged, None, "mara", json!({ "finding": "lock/t1" }));
    let declared = json!({ "title": "orders <stand> | still", "severity": "SEV2", "findings": ["lock/t1"] });
    log.add(60, Kind::IncidentDeclared, Some("INC-1"), "mara", declared);
    log.add(61, Kind::IncidentUpdated, Some("INC-1"), "mara", json!({ "severity": "SEV1" }));
    log.add(62, Kind::RoleAssigned, Some("INC-1"), "mara", json!({ "role": "operator", "person": "jon" }));
    log.add(90, Kind::CommsSent, Some("INC-1"), "ines", json!({ "to": "plants", "text": "we are at it" }));
    let run = json!({ "run": "RUN-1", "playbook": "schema-lock", "playbook_version": 3, "playbook_digest": "ab", "by": "mara", "params": { "tenant": "t1" } });
    log.add(100, Kind::RunStarted, Some("INC-1"), "mara", run);
    let intended = json!({
        "digest": "d1", "request": { "verb": "postgres.terminate_backend", "target": { "object": "backend 7" } },
        "assessment": { "risk": "high", "reasons": ["at least high"] },
    });
    log.step(101, Kind::StepIntended, "terminate", &intended);
    log.step(110, Kind::StepConfirmed, "terminate", &json!({ "by": "mara" }));
    log.step(120, Kind::ApprovalGranted, "terminate", &json!({ "person": "ines" }));
    log.step(121, Kind::StepStarted, "terminate", &json!({}));
    log.step(122, Kind::StepFinished, "terminate", &json!({ "ended": "done", "summary": "told to end" }));
    log.step(130, Kind::StepVerified, "terminate", &json!({}));
    log.add(131, Kind::RunFinished, Some("INC-1"), "mara", json!({ "run": "RUN-1", "state": "finished" }));
    log.add(140, Kind::FindingCleared, Some("INC-1"), "quarterdeck", json!({ "finding": "lock/t1" }));
    log.add(150, Kind::RecoveryAccepted, Some("INC-1"), "olga", json!({ "person": "olga" }));
    log.add(160, Kind::IncidentClosed, Some("INC-1"), "mara", json!({ "summary": "the deploy was taken back" }));
    log
}

#[test]
fn a_night_that_went_well_has_its_times_and_no_gaps() {
    let report = night().report();
    let taken: Vec<_> = report.intervals.iter().map(|i| (i.what.as_str(), i.seconds)).collect();
    assert_eq!(
        taken,
        [
            ("to detect", Some(10)),
            ("to acknowledge", Some(10)),
            ("to declare", Some(40)),
            ("to tell", Some(30)),
            ("to mitigate", Some(120)),
            ("to recover", Some(130)),
            ("to accept", Some(10)),
            ("to close", Some(100)),
            ("RTO reached", Some(130)),
            ("RPO reached", Some(0)),
        ]
    );
    assert!(report.intervals[8].between.ends_with("; no playbook that was run promises any"), "{:?}", report.intervals);
    assert_eq!(report.gaps, []);
    assert_eq!(report.deviations, []);
    assert_eq!(report.went_well.len(), 4, "{:?}", report.went_well);
    // What was up beside it is no part of it.
    assert_eq!(report.findings.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["lock/t1"]);
    assert_eq!(
        report.tenants.iter().map(|t| (t.name.as_str(), t.seconds)).collect::<Vec<_>>(),
        [("t1", 130), ("t2", 130)]
    );
    assert_eq!((report.severity.to_string(), report.worst_severity.to_string()), ("SEV1".into(), "SEV1".into()));
    let action = &report.runs[0].actions[0];
    assert_eq!((action.confirmed_by.as_deref(), &action.approved_by[..]), (Some("mara"), &["ines".to_owned()][..]));
    assert_eq!((action.outcome.as_deref(), action.verified, action.records), (Some("done"), Some(true), Some((8, 13))));
}

#[test]
fn what_was_restored_says_which_bookings_were_given_up_and_against_which_promise() {
    let restored = |operation: Value| {
        let mut log = Log::default();
        log.finding(600, "lock/t1", None, &["t1"]);
        let declared = json!({ "title": "t", "severity": "SEV1", "findings": ["lock/t1"] });
        log.add(660, Kind::IncidentDeclared, Some("INC-1"), "mara", declared);
        let run = json!({ "run": "RUN-1", "playbook": "pitr", "playbook_version": 1, "playbook_digest": "ab",
                          "objectives": { "rto_s": 60, "rpo_s": 300 } });
        log.add(700, Kind::RunStarted, Some("INC-1"), "mara", run);
        let request = json!({ "verb": "backup.restore_aside", "target": { "object": "x" }, "operation": operation });
        log.step(701, Kind::StepIntended, "restore", &json!({ "digest": "d", "request": request }));
        log.step(702, Kind::StepFinished, "restore", &json!({ "ended": "done", "summary": "s" }));
        log.add(900, Kind::FindingCleared, Some("INC-1"), "quarterdeck", json!({ "finding": "lock/t1" }));
        let all = log.report().intervals;
        let of = |what: &str| all.iter().find(|i| i.what == what).unwrap().clone();
        (of("RTO reached"), of("RPO reached"))
    };
    let moment = at(350).strftime("%Y-%m-%d %H:%M:%S%.6f+00").to_string();
    let (rto, rpo) =
        restored(json!({ "kind": "command", "argv": ["pgbackrest", format!("--target={moment}"), "--x"] }));
    assert_eq!((rto.seconds, rpo.seconds), (Some(310), Some(240)), "from the moment until it began at second 590");
    assert!(rto.between.ends_with("; 1 min promised by pitr: MISSED"), "{rto:?}");
    assert!(rpo.between.ends_with("; 5 min promised by pitr: kept"), "{rpo:?}");
    let yaml =
        json!({ "kind": "http", "body": format!("{{\"recoveryTarget\": {{\"targetTime\": \"{}\"}}}}", at(350)) });
    assert_eq!(restored(yaml).1.seconds, Some(240));
    let (_, whole) = restored(json!({ "kind": "command", "argv": ["pgbackrest", "restore"] }));
    assert_eq!((whole.seconds, whole.why.unwrap().contains("the records name no moment")), (None, true));
}

#[test]
fn promised_updates_are_kept_late_missed_or_open_and_what_did_not_arrive_is_a_gap() {
    let mut log = Log::default();
    log.finding(0, "lock/t1", None, &["t1"]);
    let declared = json!({ "title": "t", "severity": "SEV1", "findings": ["lock/t1"] });
    log.add(10, Kind::IncidentDeclared, Some("INC-1"), "mara", declared);
    let word = |message: &str, to: &str, next: Option<i64>| {
        let next = next.map(at);
        json!({ "message": message, "audience": to, "to": [to], "channel": "email", "text": "s", "by": "ines", "next": next })
    };
    log.add(20, Kind::CommsFailed, Some("INC-1"), "quarterdeck", word("MSG-1", "customer", Some(100)));
    log.add(30, Kind::CommsSent, Some("INC-1"), "quarterdeck", word("MSG-1", "customer", Some(100)));
    log.add(31, Kind::CommsSent, Some("INC-1"), "quarterdeck", word("MSG-1", "customer", Some(100)));
    log.add(40, Kind::CommsUnknown, Some("INC-1"), "quarterdeck", word("MSG-2", "executives", Some(50)));
    log.add(41, Kind::CommsSent, Some("INC-1"), "quarterdeck", word("MSG-3", "warehouse", Some(60)));
    // A step of a playbook keeps the promise under another name of the audience, but too late.
    log.add(90, Kind::CommsSent, Some("INC-1"), "mara", json!({ "to": ["plant managers"], "channel": "a person" }));
    log.add(99, Kind::CommsSent, Some("INC-1"), "quarterdeck", word("MSG-4", "customer", Some(150)));
    log.add(160, Kind::CommsSent, Some("INC-1"), "quarterdeck", word("MSG-5", "procurement", Some(9_000)));
    log.add(200, Kind::IncidentClosed, Some("INC-1"), "mara", json!({ "summary": "over" }));
    let report = log.report();
    let seen: Vec<_> = report.promises.iter().map(|p| (p.audience.as_str(), p.outcome.as_str(), p.late_s)).collect();
    assert_eq!(
        seen,
        [
            ("customer", "kept", None),
            ("warehouse", "late", Some(30)),
            ("customer", "missed", Some(50)),
            ("procurement", "open", None),
        ]
    );
    let gaps: Vec<&str> = report.gaps.iter().map(|g| g.what.as_str()).collect();
    for part in [
        "the update promised to warehouse for",
        "the update promised to customer for",
        "whether MSG-2 reached executives is not known",
    ] {
        assert!(gaps.iter().any(|g| g.contains(part)), "{part}: {gaps:?}");
    }
    assert!(!gaps.iter().any(|g| g.contains("MSG-1") || g.contains("told nothing")), "{gaps:?}");
    assert_eq!(
        report.intervals.iter().find(|i| i.what == "to tell").unwrap().seconds,
        Some(20),
        "a failure tells nobody"
    );
    assert_eq!(report.comms[1].by, "ines");
    for text in [markdown(&report).unwrap(), html(&report).unwrap()] {
        for part in ["late", "missed", "NOT told customer by email", "UNKNOWN whether executives was told"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}

#[test]
fn what_is_missing_is_a_gap_and_what_went_otherwise_is_said() {
    let mut log = Log::default();
    log.finding(0, "lock/t1", None, &["t1"]);
    let declared = json!({ "title": "t", "severity": "SEV2", "findings": ["lock/t1"] });
    log.add(10, Kind::IncidentDeclared, Some("INC-1"), "mara", declared);
    log.add(11, Kind::GlassBroken, Some("INC-1"), "mara", json!({ "reason": "nobody answers" }));
    log.add(12, Kind::MeasureSet, Some("INC-1"), "mara", json!({ "measure": "maintenance/t1", "what": "page" }));
    log.add(13, Kind::RunStarted, Some("INC-1"), "mara", json!({ "run": "RUN-1", "playbook": "p" }));
    let intended = json!({ "digest": "d", "request": { "verb": "a.b", "target": { "object": "x" } } });
    log.step(14, Kind::StepIntended, "one", &intended);
    log.step(15, Kind::StepStarted, "one", &json!({}));
    log.step(16, Kind::StepUnknown, "one", &json!({ "why": "no answer" }));
    log.step(17, Kind::StepSkipped, "two", &json!({ "why": "not needed: it is false" }));
    log.step(18, Kind::StepSkipped, "three", &json!({ "why": "passed over" }));
    log.add(900, Kind::NoteAdded, Some("INC-1"), "mara", json!({ "text": "still here" }));
    let report = log.report();
    let gaps: Vec<&str> = report.gaps.iter().map(|g| g.what.as_str()).collect();
    for part in [
        "told nothing",
        "seen lock/t1",
        "still up",
        "RUN-1 one had its effect",
        "not ended",
        "not reviewed",
        "nothing at all",
        "maintenance/t1",
    ] {
        assert!(gaps.iter().any(|g| g.contains(part)), "{part}: {gaps:?}");
    }
    assert_eq!(gaps.len(), 8, "{gaps:?}");
    let kinds: Vec<&str> = report.deviations.iter().map(|d| d.kind.as_str()).collect();
    assert_eq!(kinds, ["glass.broken", "step.unknown", "step.skipped"]);
    assert_eq!(report.went_well, ["a person had seen it 10 s after it was detected"]);
    assert_eq!(report.moments.recovered, None);
    let why = report.intervals.iter().find(|i| i.what == "to recover").unwrap().why.clone().unwrap();
    assert!(why.contains("still up: lock/t1"), "{why}");
}

#[test]
fn times_that_overlap_count_once() {
    let mut log = Log::default();
    log.add(0, Kind::IncidentDeclared, Some("INC-1"), "mara", json!({ "title": "t", "findings": [] }));
    log.finding(10, "a/t1", Some("INC-1"), &["t1"]);
    log.finding(20, "b/t1", Some("INC-1"), &["t1"]);
    log.add(30, Kind::FindingCleared, Some("INC-1"), "quarterdeck", json!({ "finding": "a/t1" }));
    log.add(50, Kind::FindingCleared, Some("INC-1"), "quarterdeck", json!({ "finding": "b/t1" }));
    log.finding(110, "a/t1", Some("INC-1"), &["t1"]);
    log.add(120, Kind::FindingCleared, Some("INC-1"), "quarterdeck", json!({ "finding": "a/t1" }));
    let report = log.report();
    // 0 to 50 and 100 to 120: a finding holds ten seconds before it is raised.
    assert_eq!(report.tenants[0].seconds, 70);
    assert_eq!(report.tenants[0].findings, ["a/t1", "b/t1"]);
    assert_eq!(report.moments.recovered, Some(at(120)));
}

#[test]
fn text_stays_text_in_both_forms() {
    let report = night().report();
    let markdown = markdown(&report).unwrap();
    assert!(markdown.starts_with("# INC-1: orders \\<stand\\> \\| still\n"), "{markdown}");
    assert!(markdown.contains("| to recover | 2 min 10 s |"), "{markdown}");
    assert!(!markdown.contains("exercise"), "{markdown}");
    let html = html(&report).unwrap();
    assert!(html.contains("<h1>INC-1: orders &lt;stand&gt; | still</h1>"), "{html}");
    assert!(html.contains("<svg") && html.trim_end().ends_with("</html>") && !html.contains("<script"), "{html}");
    assert!(!html.contains("http:") && !html.contains("https:"), "it needs nothing from elsewhere");
}

#[test]
fn equal_records_give_equal_reports_and_another_incident_none() {
    let log = night();
    assert_eq!(html(&log.report()), html(&log.report()));
    let mut other = Collector::new(IncidentId::from("INC-2"));
    log.0.iter().for_each(|r| other.apply(r));
    assert_eq!(other.report(), None);
}

const DAY: i64 = 86_400;

/// A quarter with one incident, one exercise, one restore test, a waiver and a request for a second person.
fn quarter() -> Log {
    let mut log = Log::default();
    log.add(0, Kind::JournalOpened, None, "mara", json!({}));
    let harm = json!({
        "finding": "http-errors/t017", "what": "errors", "severity": "critical", "since": at(10 * DAY - 60),
        "classes": ["IMPACT"], "tenants": ["t017"], "plants": [],
    });
    log.add(10 * DAY, Kind::FindingRaised, None, "quarterdeck", harm);
    let declared = json!({ "title": "x", "severity": "SEV1", "findings": ["http-errors/t017"] });
    log.add(10 * DAY + 30, Kind::IncidentDeclared, Some("INC-1"), "mara", declared);
    log.add(10 * DAY + 40, Kind::ApprovalRequested, Some("INC-1"), "mara", json!({ "request": "REQ-1" }));
    log.add(
        10 * DAY + 100,
        Kind::ApprovalGranted,
        Some("INC-1"),
        "mara",
        json!({ "request": "REQ-1", "person": "jo" }),
    );
    log.add(10 * DAY + 200, Kind::GlassBroken, Some("INC-1"), "mara", json!({ "reason": "nobody answers" }));
    log.add(
        10 * DAY + 3600,
        Kind::FindingCleared,
        Some("INC-1"),
        "quarterdeck",
        json!({ "finding": "http-errors/t017" }),
    );
    log.add(10 * DAY + 4000, Kind::RecoveryAccepted, Some("INC-1"), "owner", json!({}));
    log.add(10 * DAY + 5000, Kind::IncidentClosed, Some("INC-1"), "mara", json!({ "summary": "over" }));
    let restore = json!({ "request": { "verb": "backup.restore_aside", "target": { "object": "backup-a" } } });
    log.step(40 * DAY, Kind::StepIntended, "restore", &restore);
    log.step(40 * DAY + 1, Kind::StepStarted, "restore", &json!({}));
    log.step(40 * DAY + 900, Kind::StepVerified, "restore", &json!({}));
    log.add(60 * DAY, Kind::IncidentDeclared, Some("INC-2"), "mara", json!({ "title": "drill", "severity": "SEV1" }));
    log.0.last_mut().unwrap().mode = Mode::Drill;
    log.add(90 * DAY, Kind::JournalHeartbeat, None, "quarterdeck", json!({}));
    log
}

fn trends(log: &Log, since: i64) -> Governance {
    let mut trends = Trends::new(at(since));
    for record in &log.0 {
        trends.apply(record);
    }
    let playbook = |id: &str, reviewed: Option<&str>| Stale {
        playbook: id.into(),
        owner: "operations".into(),
        reviewed: reviewed.map(|day| day.parse().unwrap()),
    };
    trends.report(&[playbook("new", Some("2026-01-01")), playbook("old", Some("2025-05-01")), playbook("never", None)])
}

#[test]
fn a_quarter_is_counted_by_month_with_what_is_still_to_be_done() {
    let report = trends(&quarter(), 0);
    assert_eq!(report.months.len(), 3, "{:?}", report.months);
    let all = &report.all;
    assert_eq!((all.incidents, all.exercises, all.by_severity.get("SEV1")), (1, 1, Some(&1)));
    assert_eq!(
        (all.to_detect_s, all.to_declare_s, all.to_recover_s, all.to_approve_s),
        (Some(60), Some(30), Some(3970), Some(60))
    );
    assert_eq!((all.approvals_asked, all.approvals_granted, all.steps, all.glass, all.restore_tests), (1, 1, 1, 1, 1));
    assert_eq!(report.tenants.len(), 1);
    assert_eq!(
        (report.tenants[0].tenant.as_str(), report.tenants[0].harmed_s, report.tenants[0].findings),
        ("t017", 3600, 1)
    );
    assert!((report.tenants[0].available - (1.0 - 3600.0 / (90.0 * 86_400.0))).abs() < 1e-9);
    assert_eq!((report.open.as_slice(), report.unreviewed_glass.len()), (["INC-2".to_owned()].as_slice(), 1));
    assert_eq!(report.restore_tests[0].target, "backup-a");
    let stale: Vec<_> = report.stale_playbooks.iter().map(|s| s.playbook.as_str()).collect();
    assert_eq!(stale, ["old", "never"]);
    let said = report.attention.join("\n");
    for words in ["nobody has reviewed: 1", "still open: 1", "half a year: 2", "restore test is 49 days old"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let text = governance_markdown(&report).unwrap();
    assert!(
        text.contains("| all | 1 (SEV1 1) | 1 | 1 min 00 s | 30 s | 1 h 06 min | 1 (1, 0, 0) | 1 min 00 s |"),
        "{text}"
    );
    let page = governance_html(&report).unwrap();
    assert!(page.contains("<svg") && page.contains("99.954 %") && !page.contains("<script"), "{page}");
}

#[test]
fn only_the_period_counts_but_what_is_left_over_from_before_is_told() {
    let report = trends(&quarter(), 20 * DAY);
    assert_eq!((report.all.incidents, report.all.exercises, report.all.to_approve_s), (0, 1, None));
    assert!(report.tenants.is_empty() && report.all.glass == 0);
    assert_eq!(report.unreviewed_glass.len(), 1, "it is still not reviewed");
    let mut reviewed = quarter();
    reviewed.add(91 * DAY, Kind::GlassReviewed, None, "jo", json!({ "text": "right" }));
    assert!(trends(&reviewed, 0).unreviewed_glass.is_empty());
    // A harm that lasts counts up to the newest record.
    let mut lasting = Log::default();
    let harm = json!({ "finding": "f", "what": "w", "severity": "critical", "since": at(0), "classes": ["IMPACT"], "tenants": ["t1"] });
    lasting.add(0, Kind::FindingRaised, None, "quarterdeck", harm);
    lasting.add(500, Kind::JournalHeartbeat, None, "quarterdeck", json!({}));
    assert_eq!(trends(&lasting, 100).tenants[0].harmed_s, 400);
}

#[test]
fn exercises_with_a_journal_of_their_own_are_counted_with_their_scores() {
    let exercise = |second: i64, score| Exercised {
        at: at(second),
        scenario: "schema-lock".into(),
        score,
        of: 100,
        ended: score > 50,
    };
    let mut trends = Trends::new(at(0));
    trends.apply(&quarter().0[0]);
    for one in [exercise(-40 * DAY, 10), exercise(3 * DAY, 40), exercise(5 * DAY, 90)] {
        trends.hold(one);
    }
    let report = trends.report(&[]);
    assert_eq!((report.all.exercises, report.exercises_held.len()), (2, 2), "what was before does not count");
    assert!(!report.attention.iter().any(|a| a.contains("no exercise")), "{:?}", report.attention);
    let text = governance_markdown(&report).unwrap();
    let (last, first) =
        (text.find("schema-lock: 90 of 100 points").unwrap(), text.find("40 of 100 points, not played").unwrap());
    assert!(last < first, "newest first: {text}");
    assert!(governance_html(&report).unwrap().contains("schema-lock: 90 of 100 points</li>"));
}

/// A record of one release.
fn release(log: &mut Log, second: i64, tenant: &str, image: &str, in_service: bool) {
    let one = json!({ "tenant": tenant, "image": image, "since": at(second - 5), "in_service": in_service });
    log.add(second, Kind::ReleaseSeen, None, "quarterdeck", json!({ "what": "w", "releases": [one] }));
}

#[test]
fn releases_are_counted_by_what_became_of_them() {
    let mut log = Log::default();
    let harm = |log: &mut Log, second, tenant: &str| {
        let body = json!({ "finding": "http-errors/x", "what": "errors", "severity": "critical", "since": at(second),
            "classes": ["IMPACT"], "tenants": [tenant], "plants": [] });
        log.add(second, Kind::FindingRaised, None, "quarterdeck", body);
        log.add(second + 60, Kind::FindingCleared, None, "quarterdeck", json!({ "finding": "http-errors/x" }));
    };
    for tenant in ["good", "harmed", "back", "stuck", "late", "young"] {
        release(&mut log, 0, tenant, "r1", true);
    }
    // One that went well: harm long after it is not laid to it.
    release(&mut log, DAY, "good", "r2", false);
    release(&mut log, DAY + 60, "good", "r2", true);
    harm(&mut log, DAY + 2 * 3600, "good");
    release(&mut log, DAY, "harmed", "r2", true);
    harm(&mut log, DAY + 600, "harmed");
    // Taken back, and tried again with what was mended.
    release(&mut log, 40 * DAY, "back", "r2", true);
    release(&mut log, 40 * DAY + 600, "back", "r1", true);
    release(&mut log, 41 * DAY, "back", "r3", true);
    // Never ready, and replaced by the next.
    release(&mut log, DAY, "stuck", "r2", false);
    release(&mut log, DAY + 900, "stuck", "r3", true);
    // A drill's releases are none.
    release(&mut log, 2 * DAY, "late", "r2", true);
    log.0.last_mut().unwrap().mode = Mode::Drill;
    log.add(50 * DAY, Kind::JournalHeartbeat, None, "quarterdeck", json!({}));
    release(&mut log, 50 * DAY, "young", "r2", true);

    let report = trends(&log, 0);
    let count = |m: &governance::Month| (m.deployments, m.deployments_succeeded, m.deployments_failed, m.taken_back);
    assert_eq!(count(&report.all), (7, 3, 3, 1));
    let said = |r: &Released| (r.tenant.to_string(), r.image.clone(), r.fate);
    let failed: Vec<_> = report.failed_releases.iter().map(said).collect();
    assert_eq!(
        failed,
        [
            ("back".into(), "r2".into(), Fate::TakenBack),
            ("stuck".into(), "r2".into(), Fate::NeverInService),
            ("harmed".into(), "r2".into(), Fate::Harmed),
        ]
    );
    assert_eq!(count(&trends(&log, 30 * DAY).all), (3, 1, 1, 1), "what the period began with counts for nothing");
    let text = governance_markdown(&report).unwrap();
    assert!(text.contains("back: r2, was r1: taken back (record "), "{text}");
    assert!(governance_html(&report).unwrap().contains("stuck: r2, was r1: never in service"));
}

#[test]
fn what_is_reserved_and_never_used_is_told_with_its_cost() {
    let day = |log: &mut Log, second, price: Value, tenants: Value| {
        let body = json!({ "day": "2026-11-20", "what": "w", "price": price, "tenants": tenants });
        log.add(second, Kind::CapacitySeen, None, "quarterdeck", body);
    };
    let of = |tenant: &str, cpu: u64, busiest: u64, memory: u64, memory_busiest: u64| {
        json!({ "tenant": tenant, "minutes": 1440, "cpu_m": cpu, "cpu_busiest_m": busiest,
                "memory_mib": memory, "memory_busiest_mib": memory_busiest })
    };
    let price = json!({ "currency": "EUR", "core_hour": 30_000, "gib_hour": 4_000 });
    let mut log = Log::default();
    let tenants = json!([
        of("idle", 4000, 40, 8192, 1024),
        of("large", 2000, 500, 4096, 4000),
        of("fits", 2000, 1800, 4096, 4000)
    ]);
    day(&mut log, DAY, price.clone(), tenants);
    day(&mut log, 2 * DAY, price, json!([of("idle", 4000, 100, 8192, 1024)]));
    let report = trends(&log, 0);
    let said = |c: &Spare| (c.tenant.to_string(), c.fit, c.cost.map(|cost| (cost * 100.0).round()));
    // Two days: (3.96 + 3.9) cores at 0.03 and twice 7 GiB at 0.004, for 24 hours each.
    let idle = (24.0 * (3.96 + 3.9) * 0.03 + 48.0 * 7.0 * 0.004) * 100.0;
    assert_eq!(
        report.capacity.iter().map(said).collect::<Vec<_>>(),
        [
            ("idle".into(), Fit::Idle, Some(f64::round(idle))),
            ("large".into(), Fit::Oversized, Some(109.0)),
            ("fits".into(), Fit::Fits, Some(15.0)),
        ]
    );
    assert!((report.capacity[0].hours - 48.0).abs() < 1e-9 && (report.capacity[0].cores_busiest - 0.1).abs() < 1e-9);
    assert!(report.attention.contains(&"tenants whose capacity is idle: 1".to_owned()), "{:?}", report.attention);
    let text = governance_markdown(&report).unwrap();
    assert!(text.contains("| idle | 48 | 4.0 | 0.1 | 8.0 | 1.0 | idle | 7.0 EUR |"), "{text}");
    assert!(governance_html(&report).unwrap().contains("oversized"));
    // Without prices there is no cost, and without records it is said why.
    let mut bare = Log::default();
    day(&mut bare, DAY, Value::Null, json!([of("idle", 4000, 40, 8192, 1024)]));
    let report = trends(&bare, 0);
    assert_eq!((report.capacity[0].cost, report.currency.as_deref()), (None, None));
    assert!(report.not_known.iter().any(|n| n.contains("`[cost]`")), "{:?}", report.not_known);
    assert!(governance_markdown(&report).unwrap().contains("| idle | – |"));
    assert!(trends(&Log::default(), 0).not_known.iter().any(|n| n.contains("kube-state-metrics")));
}
