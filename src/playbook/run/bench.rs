//! A small engine for the tests of the machine: it keeps open questions, answers them as told, holds the records that
//! are on disk, and watches every effect for a broken rule. It shares no code with the machine.

use super::*;
use crate::domain::estate::Environment;
use crate::domain::id::{Digest, Person, StepId};
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::{Operation, Request, Target};
use crate::domain::risk::{Assessment, Confirmation, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::playbook::expr::{Evaluation, Verdict};
use crate::playbook::plan::Plan;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const PLAYBOOK: &str = r"
schemaVersion: 1
id: bench
name: Bench
version: 3
owner: platform
description: for tests
parameters:
  tenant: {type: tenant, required: true}
steps:
- {id: look, name: Look, why: To see., type: check, run: {adapter: pg, verb: tree}}
- id: cancel
  name: Cancel
  why: To free.
  type: action
  risk: medium
  preconditions: [{check: 'signals.lock.blocked > 0'}, {check: 'signals.replication.lag < 30'}]
  run: {adapter: pg, verb: cancel}
  verify:
  - {check: 'signals.lock.blocked == 0', within: 30s, hold: 5s}
  - {check: 'result.status == 503', within: 30s, run: {adapter: http, verb: probe}}
- id: terminate
  name: Terminate
  why: To free for good.
  type: action
  risk: high
  reversible: false
  if: signals.lock.blocked > 0
  preconditions: [{check: 'signals.lock.blocked > 0'}]
  run: {adapter: pg, verb: terminate}
  verify: [{check: 'signals.lock.blocked == 0', within: 10s}]
- {id: choose, name: Choose, why: Because., type: decision, choices: [{key: a, label: On, then: continue}, {key: b, label: Skip one, then: 'step:last'}, {key: c, label: End, then: abort}]}
- {id: work, name: Work, why: By hand., type: manual}
- {id: last, name: Last, why: To be sure., type: wait_for, verify: [{check: 'signals.lock.blocked == 0', within: 20s, hold: 3s}]}
";

pub(in crate::playbook) fn plan(text: &str) -> Arc<Plan> {
    Arc::new(Plan::new(serde_saphyr::from_str(text).unwrap(), Digest::from_bytes(&[7; 32])))
}

/// The plan of [`PLAYBOOK`], parsed once: parsing CEL is what takes time.
fn shared() -> Arc<Plan> {
    static PLAN: std::sync::OnceLock<Arc<Plan>> = std::sync::OnceLock::new();
    Arc::clone(PLAN.get_or_init(|| plan(PLAYBOOK)))
}

pub(in crate::playbook) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
}

pub(super) fn evaluation(verdict: Verdict, observed_at: Option<Timestamp>) -> Evaluation {
    Evaluation { text: "e".into(), verdict, detail: "lock.blocked = 1".into(), observed_at }
}

pub(super) fn failure() -> Failure {
    Failure::new(FailureKind::Timeout, "no answer\u{1b}[31m within 10 s")
}

/// What the bench remembers of one step to judge the effects by.
#[derive(Debug, Default)]
struct Watched {
    intended: Option<(u64, Value)>,
    confirmed: Option<(u64, Value)>,
    approvals: Vec<(u64, Value)>,
    /// Number of the newest question when the confirmation was on disk.
    confirmed_at: u64,
    /// When the newest evaluation that was asked for after the confirmation said that all preconditions are true.
    last_check: Option<Timestamp>,
    started: Option<u64>,
    /// Executed, and no outcome is asked to be recorded yet.
    executing: bool,
    open_start: bool,
    unknown: bool,
    outcome_at: Option<Timestamp>,
    verifying: BTreeMap<usize, (Option<Timestamp>, Option<Timestamp>)>,
}

#[derive(Debug)]
pub(super) struct Bench {
    pub(super) run: Run,
    pub(super) now: Timestamp,
    /// Questions that are open, oldest first.
    pub(super) open: Vec<Effect>,
    /// Records on disk.
    pub(super) records: Vec<(u64, Timestamp, &'static str, Value)>,
    pub(super) kinds: Vec<String>,
    pub(super) finished: Option<RunState>,
    pub(super) executions: BTreeMap<String, usize>,
    watched: BTreeMap<String, Watched>,
    asked: u64,
    questions: BTreeMap<Ticket, u64>,
    /// The newest question about each group of expressions; answers to older ones count for nothing.
    newest: BTreeMap<String, Ticket>,
    stopped: bool,
    /// A stop was taken and is not on disk yet.
    stopping: bool,
    /// How the record of an execution's outcome has to begin.
    owed: Option<(&'static str, &'static str)>,
    /// What assessments ask for: risk of the step by id.
    pub(super) approvals: u8,
    /// Whether they ask for a login of whoever confirms.
    pub(super) login: bool,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::of(shared())
    }

    pub(super) fn of(plan: Arc<Plan>) -> Self {
        let start = Start {
            run: "RUN-1".into(),
            params: [("tenant".to_owned(), json!("t017"))].into(),
            tenant: Some("t017".into()),
            incident: Some("INC-1".into()),
            by: Person::from("mara"),
            targets: Vec::new(),
            parent: None,
            secrets: BTreeMap::new(),
        };
        Self {
            run: Run::new(plan, start),
            now: at(0),
            open: Vec::new(),
            records: Vec::new(),
            kinds: Vec::new(),
            finished: None,
            executions: BTreeMap::new(),
            watched: BTreeMap::new(),
            asked: 0,
            questions: BTreeMap::new(),
            newest: BTreeMap::new(),
            stopped: false,
            stopping: false,
            owed: None,
            approvals: 1,
            login: false,
        }
    }

    pub(super) fn wait(&mut self, ms: i64) {
        self.now = self.now.checked_add(SignedDuration::from_millis(ms)).unwrap();
    }

    pub(super) fn apply(&mut self, input: Input) -> Result<(), Refusal> {
        let before = self.run.clone();
        let stopping = self.stopping;
        match &input {
            Input::Stop { .. } => self.stopping = true,
            Input::Resume { .. } => self.stopping = false,
            _ => {}
        }
        match self.run.apply(input, self.now) {
            Ok(effects) => {
                for effect in effects {
                    self.judge(&effect);
                    self.open.push(effect);
                }
                Ok(())
            }
            Err(refusal) => {
                self.stopping = stopping;
                assert!(same(&before, &self.run), "a refusal changes nothing");
                assert!(!refusal.0.is_empty());
                Err(refusal)
            }
        }
    }

    pub(super) fn rendering(&self, step: &StepId) -> Rendering {
        let looks = step.as_str() == "look";
        let high = step.as_str() == "terminate";
        let phrase = Confirmation::Typed { phrase: "t017".into() };
        let (risk, confirmation) = match (looks, high) {
            (true, _) => (Risk::Low, None),
            (_, true) => (Risk::High, Some(phrase)),
            _ => (Risk::Medium, Some(Confirmation::Keypress)),
        };
        Rendering {
            request: Request {
                verb: format!("pg.{step}"),
                target: Target {
                    source: "pg-a".into(),
                    identity: "7412".into(),
                    environment: Environment::Production,
                    object: format!("backend of {step}"),
                    tenants: vec!["t017".into()],
                    count: 1,
                },
                operation: Operation::Simulated { statement: "x".into() },
                server_checks: vec![],
                hurts: "one".into(),
                undo: "none".into(),
                by_hand: "psql".into(),
            },
            digest: Digest::from_bytes(&[u8::try_from(step.as_str().len()).unwrap(); 32]),
            assessment: Assessment {
                risk,
                reasons: vec![],
                confirmation,
                login: self.login && !looks,
                approvals: if high { self.approvals } else { 0 },
                terms: None,
                needs_incident: high,
                denials: vec![],
            },
            idempotent: !high,
            reversible: if high { Reversible::No } else { Reversible::Yes },
            read_only: looks,
            bound: Vec::new(),
            shown: None,
        }
    }

    /// Answers the open question at a place; `variant` chooses how.
    pub(super) fn answer(&mut self, index: usize, variant: u8) {
        if self.open.is_empty() {
            return;
        }
        let effect = self.open.remove(index % self.open.len());
        let result = match effect {
            Effect::Render { ticket, .. } if variant == 3 => {
                self.apply(Input::RenderFailed { ticket, why: "the signal is gone".into() })
            }
            Effect::Render { ticket, step } => {
                let mut rendering = self.rendering(&step);
                match variant {
                    4 => rendering.assessment.denials.push("no".into()),
                    5 => rendering.digest = Digest::from_bytes(&[99; 32]),
                    6 => rendering.read_only = !rendering.read_only,
                    7 => rendering.assessment.confirmation = None,
                    _ => {}
                }
                self.apply(Input::Rendered { ticket, rendering: Box::new(rendering) })
            }
            Effect::Evaluate { ticket, step, what, .. } => self.evaluate(ticket, &step, what, variant),
            Effect::Append { mark, .. } if variant == 3 => {
                self.apply(Input::NotDurable { mark, why: "the disk is full".into() })
            }
            Effect::Append { mark, kind, body } => {
                let seq = u64::try_from(self.records.len()).unwrap() + 1;
                self.on_disk(seq, kind, &body);
                self.records.push((seq, self.now, kind, body));
                self.kinds.push(kind.to_owned());
                self.apply(Input::Durable { mark, seq })
            }
            Effect::Execute { ticket, step, .. } => {
                let proof = self.run.start_proof(&step);
                if let Some(proof) = proof {
                    assert_eq!(
                        proof.digest,
                        &self.run.view(self.now).steps[self.place(&step)].rendering.unwrap().digest
                    );
                    assert!(proof.intended < proof.started);
                    assert_eq!(proof.confirmed.map(|c| c.generation), Some(proof.generation), "the gate would refuse");
                }
                let outcome = Self::outcome(variant);
                self.owed = Some(match &outcome {
                    Outcome::Done { .. } => ("step.finished", "done"),
                    Outcome::Failed { .. } => ("step.finished", "failed"),
                    Outcome::Unknown { .. } => ("step.unknown", ""),
                });
                self.watched.entry(step.to_string()).or_default().outcome_at = Some(self.now);
                self.apply(Input::Executed { ticket, outcome })
            }
            Effect::Look { ticket, .. } => {
                let outcome = Self::outcome(variant);
                self.apply(Input::Looked { ticket, outcome })
            }
            Effect::Reconcile { ticket, step, .. } => {
                let seen = "seen".to_owned();
                let found = match variant {
                    0..=3 => Reconciled::TookEffect { seen },
                    4 | 5 => Reconciled::NoEffect { seen },
                    _ => Reconciled::Undecided { why: "can not tell".into() },
                };
                if matches!(found, Reconciled::TookEffect { .. }) {
                    let watched = self.watched.entry(step.to_string()).or_default();
                    watched.outcome_at = Some(self.now);
                }
                self.apply(Input::Reconciled { ticket, found })
            }
            Effect::DryRun { .. } | Effect::Children { .. } | Effect::Escalate { .. } => Ok(()),
            Effect::Finish { state } => {
                self.finished = Some(state);
                Ok(())
            }
        };
        assert!(result.is_ok(), "an answer is never refused");
    }

    fn place(&self, step: &StepId) -> usize {
        self.run.plan().index(step).unwrap()
    }

    fn outcome(variant: u8) -> Outcome {
        match variant {
            3 | 4 => Outcome::Failed { why: failure() },
            5 | 6 => Outcome::Unknown { why: failure() },
            _ => Outcome::Done {
                result: json!({"status": 503, "share": 0.5, "text": "a\u{1b}b"}),
                summary: "ok\u{7}".into(),
            },
        }
    }

    fn evaluate(&mut self, ticket: Ticket, step: &StepId, what: Subject, variant: u8) -> Result<(), Refusal> {
        let spec = self.run.step(step).unwrap();
        let wanted = match what {
            Subject::Condition | Subject::Verify(_) => 1,
            Subject::Ways => spec.branches.len(),
            Subject::Contraindications => self.run.plan().playbook().contraindications.len(),
            Subject::Preconditions => spec.preconditions.len(),
        };
        let verdict = match variant {
            3 | 4 => Verdict::False,
            5 => Verdict::Unknown("stale".into()),
            _ => Verdict::True,
        };
        // A look carries no signal; of signals, some are as old as two seconds.
        let looks = matches!(what, Subject::Verify(i) if spec.verify[i].run.is_some());
        let age = SignedDuration::from_millis(if variant == 1 { 2000 } else { 100 });
        let observed = (!looks).then(|| self.now.checked_sub(age).unwrap());
        let given = if variant == 6 { wanted.saturating_sub(1) } else { wanted };
        let results = vec![evaluation(verdict.clone(), observed); given];
        let good = verdict == Verdict::True && given == wanted;
        let question = self.questions.get(&ticket).copied().unwrap_or(0);
        let counts = self.newest.get(&format!("{step} {what:?}")) == Some(&ticket);
        let (now, watched) = (self.now, self.watched.entry(step.to_string()).or_default());
        match what {
            Subject::Preconditions if counts && question > watched.confirmed_at => {
                watched.last_check = good.then_some(now);
            }
            Subject::Verify(i) if counts => {
                let row = watched.verifying.entry(i).or_default();
                let fresh = observed.is_none_or(|o| watched.outcome_at.is_none_or(|t| o > t));
                if good && fresh {
                    row.0.get_or_insert(now);
                    row.1 = Some(observed.unwrap_or(now));
                } else {
                    *row = (None, None);
                }
            }
            _ => {}
        }
        self.apply(Input::Evaluated { ticket, results })
    }

    /// Takes a record as it reaches the disk.
    fn on_disk(&mut self, seq: u64, kind: &str, body: &Value) {
        assert_journal_takes(body);
        let step = body.get("step").and_then(Value::as_str).unwrap_or_default().to_owned();
        let asked = self.asked;
        let watched = self.watched.entry(step).or_default();
        match kind {
            "run.stopped" => self.stopped = true,
            "run.resumed" => (self.stopped, self.stopping) = (false, false),
            "step.intended" => {
                *watched =
                    Watched { intended: Some((seq, body.clone())), unknown: watched.unknown, ..Watched::default() };
            }
            "step.confirmed" => {
                watched.confirmed = Some((seq, body.clone()));
                watched.approvals.clear();
                watched.last_check = None;
                watched.confirmed_at = asked;
            }
            "approval.granted" => watched.approvals.push((seq, body.clone())),
            "step.started" => {
                watched.started = Some(seq);
                watched.open_start = body["type"] == "action";
            }
            "step.finished" => watched.open_start = false,
            "step.unknown" => {
                watched.open_start = false;
                watched.unknown = true;
            }
            "step.reconciled" => watched.unknown = body["found"] == "undecided",
            _ => {}
        }
    }

    /// The rules, on each effect.
    fn judge(&mut self, effect: &Effect) {
        self.asked += 1;
        match effect {
            Effect::Evaluate { ticket, step, what, .. } => {
                self.questions.insert(*ticket, self.asked);
                self.newest.insert(format!("{step} {what:?}"), *ticket);
            }
            Effect::Append { kind, body, .. } => self.judge_record(kind, body),
            Effect::Execute { step, .. } => {
                assert!(!self.stopped && !self.stopping, "nothing starts while the run is stopped");
                let watched = self.watched.get_mut(step.as_str()).expect("an execution without any record");
                let (intended, intent) = watched.intended.as_ref().expect("no durable intent");
                let (confirmed, confirmation) = watched.confirmed.as_ref().expect("no durable confirmation");
                let started = watched.started.expect("no durable start");
                assert!(intended < confirmed && *confirmed < started, "order of the records");
                assert_eq!(intent["digest"], confirmation["digest"], "what was confirmed is what runs");
                let needed = intent["assessment"]["approvals"].as_u64().unwrap();
                let glass = watched.approvals.iter().any(|(_, a)| a["glass"] == true);
                assert!(glass || watched.approvals.len() as u64 >= needed, "approvals missing");
                assert!(
                    watched
                        .approvals
                        .iter()
                        .all(|(seq, a)| seq > confirmed && *seq < started && a["digest"] == intent["digest"])
                );
                let checked_at = watched.last_check.expect("preconditions not true after the confirmation");
                assert!(self.now.duration_since(checked_at) <= SignedDuration::from_secs(5), "preconditions stale");
                assert!(watched.open_start, "the start was used before");
                assert!(!watched.executing, "executed twice");
                watched.executing = true;
                watched.started = None;
                watched.confirmed = None;
                watched.verifying.clear();
                *self.executions.entry(step.to_string()).or_default() += 1;
            }
            Effect::Render { .. }
            | Effect::Look { .. }
            | Effect::Reconcile { .. }
            | Effect::DryRun { .. }
            | Effect::Children { .. } => {
                assert!(!self.stopped, "nothing is asked while the run is stopped");
            }
            Effect::Finish { .. } | Effect::Escalate { .. } => {}
        }
    }

    fn judge_record(&mut self, kind: &'static str, body: &Value) {
        let step = body.get("step").and_then(Value::as_str).unwrap_or_default().to_owned();
        let busy = self.watched.iter().find(|(_, w)| w.executing).map(|(id, _)| id.clone());
        if let Some(busy) = busy {
            assert!(
                busy == step && matches!(kind, "step.finished" | "step.unknown"),
                "after the execution of {busy} its outcome is written first, not {kind} of {step}"
            );
            self.watched.get_mut(&busy).unwrap().executing = false;
            let said = body.get("ended").and_then(Value::as_str).unwrap_or_default();
            assert_eq!(self.owed.take(), Some((kind, said)), "the record says what happened");
        }
        let spec = self.run.plan().playbook().step(&StepId::from(step.as_str())).cloned();
        let watched = self.watched.entry(step).or_default();
        match kind {
            "step.intended" => {
                assert!(!watched.open_start, "a start without an outcome is not run again");
                assert!(!watched.unknown, "an unknown outcome is settled before anything is run again");
            }
            "step.verified" => {
                for (i, verify) in spec.unwrap().verify.iter().enumerate() {
                    let (from, to) = watched.verifying.get(&i).copied().unwrap_or_default();
                    let (from, to) = (from.expect("never seen true"), to.unwrap());
                    let row = to.duration_since(from);
                    let hold = SignedDuration::try_from(verify.hold()).unwrap();
                    assert!(hold.is_zero() || row >= hold, "held {row} of {hold}");
                }
            }
            "step.started" if spec.as_ref().is_some_and(|s| !s.verify.is_empty() && s.run.is_none()) => {
                watched.verifying.clear();
                watched.outcome_at = None;
            }
            _ => {}
        }
    }

    /// Kills the engine: what is not on disk is gone.
    pub(super) fn restart(&mut self) {
        for watched in self.watched.values_mut() {
            watched.executing = false;
            watched.verifying.clear();
        }
        self.owed = None;
        self.stopping = false;
        self.open.clear();
        self.questions.clear();
        let past: Vec<Past<'_>> =
            self.records.iter().map(|(seq, at, kind, body)| Past { seq: *seq, at: *at, kind, body }).collect();
        if past.is_empty() {
            self.run = Run::new(Arc::clone(self.run.plan()), self.run.start().clone());
            self.apply(Input::Begin).unwrap();
            return;
        }
        let before = self.run.generation();
        self.run = Run::replay(Arc::clone(self.run.plan()), &past).unwrap();
        assert!(self.run.generation() > before || before > 900, "{before} {}", self.run.generation());
        self.stopped = self.run.is_open();
        if !self.run.is_open() {
            self.finished = Some(self.run.state());
        }
    }

    /// Answers everything well until nothing is open.
    pub(super) fn settle(&mut self) {
        for _ in 0..50 {
            if self.open.is_empty() {
                return;
            }
            self.answer(0, 0);
        }
        panic!("the run asks for ever: {:?}", self.open);
    }

    pub(super) fn state(&self, step: &str) -> StepState {
        self.run.step_state(&StepId::from(step)).unwrap()
    }

    pub(super) fn confirm(&mut self, step: &str, typed: Option<&str>) -> Result<(), Refusal> {
        let step = StepId::from(step);
        let digest = self.rendering(&step).digest;
        let generation = self.run.generation();
        let typed = typed.map(str::to_owned);
        self.apply(Input::Confirm { step, generation, digest, typed, login: None, by: "mara".into() })
    }

    pub(super) fn decide(&mut self, step: &str, choice: &str, reason: &str) -> Result<(), Refusal> {
        let generation = self.run.generation();
        let (choice, reason) = (choice.to_owned(), reason.to_owned());
        self.apply(Input::Decide { step: step.into(), generation, choice, reason, by: "mara".into() })
    }

    pub(super) fn simulate_approval(&mut self, step: &str) -> Result<(), Refusal> {
        let step = StepId::from(step);
        let digest = self.rendering(&step).digest;
        self.apply(Input::Approved { step, digest, approval: ApprovalGiven::Simulated { person: "ines".into() } })
    }
}

/// Whether two states of one run are equal.
pub(super) fn same(a: &Run, b: &Run) -> bool {
    a.phase == b.phase
        && a.generation == b.generation
        && a.current == b.current
        && a.steps == b.steps
        && a.stop == b.stop
}

/// What the journal refuses: numbers that are not integers below 2^53, control characters, keys that are not ASCII.
fn assert_journal_takes(value: &Value) {
    match value {
        Value::Number(n) => assert!(n.as_u64().is_some_and(|n| n < 1 << 53), "{n}"),
        Value::String(s) => assert!(!s.chars().any(crate::domain::text::is_hostile), "{s:?}"),
        Value::Array(items) => items.iter().for_each(assert_journal_takes),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            assert!(name.is_ascii(), "{name}");
            assert_journal_takes(value);
        }),
        Value::Null | Value::Bool(_) => {}
    }
}
