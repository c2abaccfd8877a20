use super::*;
use crate::domain::actor::Actor;
use crate::domain::estate::Environment;
use crate::domain::mode::Mode;
use crate::journal::{Kind, Record};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const SCENARIO: &str = "\
exercise: {id: x, name: X, objectives: [o], seed: 1, minutes: 10, clock: {start: 2026-11-20T02:00:00Z, speed: 1}, roles: [commander]}
injects:
- id: hang
  at: T+60s
  channel: telemetry
  effects: [{fault: hung-workers, tenant: t003}]
  expectations:
  - {id: seen, what: seen, by: 60s, score: 10, match: {kind: finding.acknowledged}}
  - {id: done, what: done, by: 60s, score: 11, match: {kind: step.finished, playbook: queue-backlog, step: restart-workers}}
- {id: never, when: elapsed_s > 500.0, channel: call, text: Hello., expectations: [{id: answered, what: a, by: 10s, score: 7, match: {kind: note.added}}]}
expectations:
- {id: calm, what: calm, by: 5m, score: 10, when: elapsed_s > 400.0}
- {id: spoken, what: it was well spoken, by: 5m, score: 10, kind: manual}
mistakes:
- {id: page, what: no page, cost: 4, match: {kind: run.started, body: {playbook: maintenance-mode}}}
";

struct Log {
    ledger: Ledger,
    seq: u64,
}

impl Log {
    fn new() -> Self {
        let scenario = crate::drill::parse("x", SCENARIO).unwrap_or_else(|e| panic!("{e:?}"));
        let card = serde_json::to_value(Card::new(&scenario, 1)).unwrap();
        let mut log = Self { ledger: Ledger::default(), seq: 0 };
        log.tell(0, Kind::ExerciseStarted, card);
        log
    }

    fn tell(&mut self, second: i64, kind: Kind, body: Value) -> u64 {
        let start: Timestamp = "2026-11-20T02:00:00Z".parse().unwrap();
        let actor = Actor { user: "mara".into(), uid: 0, via: "test".into(), host: "h".into(), console: None };
        let (time, seq) = (start + SignedDuration::from_secs(second), self.seq);
        let environment = Environment::Production;
        self.ledger.apply(&Record {
            v: 1,
            seq,
            time,
            kind,
            incident: None,
            actor,
            mode: Mode::Drill,
            environment,
            body,
        });
        self.seq += 1;
        seq
    }

    fn score(&self) -> Score {
        self.ledger.score().unwrap()
    }

    fn line(&self, id: &str) -> Line {
        self.score().expectations.into_iter().find(|l| l.id == id).unwrap()
    }
}

#[test]
fn no_exercise_no_score() {
    assert_eq!(Ledger::default().score(), None);
}

#[test]
fn points_follow_from_records_and_their_times() {
    let mut log = Log::new();
    assert_eq!((log.line("seen").state, log.line("answered").state), (Met::NotAsked, Met::NotAsked));
    log.tell(60, Kind::InjectFired, json!({"inject": "hang", "faults": 1, "at_s": 60}));
    assert_eq!((log.line("seen").state, log.line("seen").due_s), (Met::Open, Some(120)));
    let seq = log.tell(110, Kind::FindingAcknowledged, json!({"finding": "queue-age/t003/root"}));
    assert_eq!((log.line("seen").state, log.line("seen").points, log.line("seen").seq), (Met::Met, 10, Some(seq)));
    log.tell(120, Kind::RunStarted, json!({"run": "RUN-1", "playbook": "queue-backlog"}));
    log.tell(125, Kind::StepFinished, json!({"run": "RUN-1", "step": "inspect", "ended": "done"}));
    assert_eq!(log.line("done").state, Met::Missed, "its time is over");
    log.tell(130, Kind::StepFinished, json!({"run": "RUN-1", "step": "restart-workers", "ended": "done"}));
    assert_eq!((log.line("done").state, log.line("done").points), (Met::Late, 5), "half of eleven");
    log.tell(300, Kind::RunStarted, json!({"run": "RUN-2", "playbook": "maintenance-mode"}));
    log.tell(310, Kind::RunStarted, json!({"run": "RUN-3", "playbook": "maintenance-mode"}));
    log.tell(320, Kind::HintGiven, json!({"hint": "hang-1", "cost": 3, "text": "look"}));
    log.tell(400, Kind::ExerciseObserved, json!({"id": "calm", "at_s": 290}));
    log.tell(410, Kind::ExerciseEnded, json!({"reached": true, "at_s": 410}));
    let score = log.score();
    assert_eq!((score.mistakes.len(), score.hints.len()), (1, 1), "a mistake costs once");
    assert_eq!(
        (score.score, score.of),
        (10 + 5 + 10 - 4 - 3, 31),
        "what never came and what nobody judged count for nothing"
    );
    assert_eq!(score.expectations.iter().find(|l| l.id == "answered").unwrap().state, Met::NotAsked);
    let took = |what: &str| score.times.iter().find(|t| t.what == what).unwrap().seconds;
    assert_eq!((took("to acknowledge"), took("to recover"), took("to declare")), (Some(50), Some(350), None));
    let lines = score.lines().join("\n");
    for said in
        ["18 of 31 points", "met T+1m50s, record", "late, T+2m10s instead of T+2m00s", "-4  mistake", "-3  hint"]
    {
        assert!(lines.contains(said), "{said} in\n{lines}");
    }
}

#[test]
fn the_facilitator_judges_with_a_reason_and_never_beyond_the_worth() {
    let mut log = Log::new();
    assert_eq!((log.line("spoken").state, log.score().of), (Met::NotJudged, 10));
    log.tell(60, Kind::ScoreOverridden, json!({"what": "spoken", "score": 8, "reason": "calm and clear"}));
    let line = log.line("spoken");
    assert_eq!((line.state, line.points, line.reason.as_deref()), (Met::Met, 8, Some("calm and clear")));
    log.tell(61, Kind::ScoreOverridden, json!({"what": "spoken", "score": 80, "reason": "more than there is"}));
    assert_eq!(log.line("spoken").points, 10);
    log.tell(62, Kind::ScoreOverridden, json!({"what": "calm", "score": 0, "reason": "it was luck alone"}));
    assert_eq!(log.line("calm").state, Met::Missed);
}

#[test]
fn a_wrong_target_a_broken_glass_and_a_hasty_closure_cost() {
    let mut log = Log::new();
    let intended = |tenant: &str| json!({"run": "RUN-1", "step": "s", "assessment": {"risk": "medium"}, "request": {"target": {"tenants": [tenant]}}});
    log.tell(10, Kind::StepIntended, intended("t003"));
    log.tell(11, Kind::StepStarted, json!({"run": "RUN-1", "step": "s"}));
    assert_eq!(log.score().mistakes, []);
    log.tell(12, Kind::StepIntended, intended("t044"));
    log.tell(13, Kind::StepStarted, json!({"run": "RUN-1", "step": "s"}));
    log.tell(14, Kind::GlassBroken, json!({"reason": "hurry"}));
    log.tell(15, Kind::FindingRaised, json!({"finding": "a/b"}));
    log.tell(16, Kind::IncidentDeclared, json!({"findings": ["a/b"]}));
    log.tell(17, Kind::IncidentClosed, json!({"summary": "s"}));
    let ids: Vec<String> = log.score().mistakes.into_iter().map(|m| m.id).collect();
    assert_eq!(ids, ["wrong-target", "bypass", "unvalidated-closure"]);
    assert_eq!(log.score().score, 0, "never below zero");
}
