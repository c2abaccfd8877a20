//! Every interruption at every record boundary of runs that go through every type of step, through rings and through
//! taking back: what is on disk is replayed, people go on, and the simulated server must have had every effect once.

use super::bench::{at, evaluation, plan};
use super::*;
use crate::domain::estate::Environment;
use crate::domain::id::{Digest, StepId};
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::{Operation, Request, Target};
use crate::domain::risk::{Assessment, Confirmation, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::playbook::expr::Verdict;
use crate::playbook::plan::Plan;
use crate::playbook::schema::Class;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

const HEAD: &str = "schemaVersion: 1\nname: N\nversion: 1\nowner: o\ndescription: d\n";

const EVERYTHING: &str = "id: everything
exitCriteria: ['signals.lock.blocked == 0']
steps:
- {id: look, name: L, why: W, type: check, run: {adapter: pg, verb: tree}}
- {id: sure, name: S, why: W, type: assert, verify: [{check: signals.lock.blocked > 0}]}
- {id: await, name: A, why: W, type: wait_for, verify: [{check: signals.lock.blocked > 0, hold: 2s}]}
- id: act
  name: A
  why: W
  type: action
  risk: medium
  preconditions: [{check: signals.lock.blocked > 0}]
  bind: [outputs.look.pid]
  run: {adapter: pg, verb: cancel, dryRun: true, maskOutputs: [token]}
  verify: [{check: 'result.status == 1', run: {adapter: pg, verb: tree}}]
  retry: {maxAttempts: 3, backoff: 3s, on: [failure]}
  evidence: [{capture: before, source: {adapter: pg, verb: tree}}, {capture: after, source: {adapter: pg, verb: tree}}]
  comms: {template: t, audience: [ops], block: true}
- {id: gate, name: G, why: W, type: approval, approval: {quorum: 2}}
- {id: work, name: W, why: W, type: manual, escalate: {after: 5m, to: dba}}
- {id: choose, name: C, why: W, type: decision, choices: [{key: a, label: A, then: continue}, {key: b, label: B, then: abort}]}
- {id: fork, name: F, why: W, type: branch, branches: [{if: 'params.x', then: abort}, {if: 'params.y', then: 'step:both'}]}
- {id: passed, name: P, why: W, type: manual}
- {id: both, name: B, why: W, type: parallel, looks: [{id: a, run: {adapter: pg, verb: tree}}, {id: b-c, run: {adapter: pg, verb: tree}}]}
- {id: each, name: E, why: W, type: foreach, risk: medium, foreach: {items: outputs.look.list, maxConcurrency: 2}, run: {adapter: pg, verb: cancel, args: {a: '{{ item.id }}'}}, verify: [{check: signals.lock.blocked > 0}]}
- {id: values, name: V, why: W, type: input, inputs: {n: {type: integer, required: true}}}
- {id: tell, name: T, why: W, type: notify, comms: {template: t, audience: [ops]}}
- {id: page, name: P, why: W, type: escalate, escalate: {to: dba}, run: {adapter: comms, verb: page}}
- {id: keep, name: K, why: W, type: evidence, run: {adapter: pg, verb: tree}}
- {id: other, name: O, why: W, type: sub_playbook, playbook: another}
- {id: sides, name: S, why: W, type: parallel, runs: [{id: a, playbook: another}, {id: b, playbook: third}]}
- {id: pause, name: P, why: W, type: sleep, duration: 5s}
";

const RINGS: &str = "id: rings
targets: {selector: 'true', maxConcurrency: 2, maxErrors: 1}
steps:
- {id: see, name: S, why: W, type: check, run: {adapter: pg, verb: tree, args: {t: '{{ tenant.id }}'}}}
- id: act
  name: A
  why: W
  type: action
  risk: high
  reversible: false
  approval: {quorum: 1}
  preconditions: [{check: signals.lock.blocked > 0}]
  run: {adapter: pg, verb: kill, args: {t: '{{ tenant.id }}'}}
  verify: [{check: 'result.ok', run: {adapter: pg, verb: tree, args: {t: '{{ tenant.id }}'}}}]
";

const BACK: &str = "id: back
steps:
- {id: one, name: O, why: W, type: action, risk: medium, run: {adapter: pg, verb: on}, rollback: {run: {adapter: pg, verb: off}, verify: [{check: signals.lock.blocked > 0}]}}
- {id: two, name: T, why: W, type: action, risk: medium, run: {adapter: pg, verb: on}, rollback: {run: {adapter: pg, verb: off}}}
- {id: three, name: T, why: W, type: action, risk: medium, run: {adapter: pg, verb: break}, onFailure: rollback}
";

/// The server and the people, who outlive every engine.
#[derive(Clone, Debug, Default)]
struct World {
    /// How often each request had its effect, by step and target.
    effects: BTreeMap<String, u32>,
    /// How often each was sent.
    sent: BTreeMap<String, u32>,
    /// Requests that the server refuses, so often.
    refusals: BTreeMap<String, u32>,
    /// What looking for an effect answers where it can not tell.
    blind: bool,
    /// How often was asked for each run that belongs to a step, and which of them have failed.
    children: BTreeMap<String, u32>,
    failed: BTreeSet<String>,
}

impl World {
    /// The run that is a step or a branch of one: it goes on at the first question and has ended at the second.
    fn child(&mut self, parent: &Parent) -> (crate::domain::id::RunId, RunState) {
        let branch = parent.branch.as_ref().map_or_else(|| "it".to_owned(), ToString::to_string);
        let name = format!("RUN-{branch}-{}", parent.started);
        let asked = self.children.entry(name.clone()).or_default();
        *asked += 1;
        if *asked == 1 {
            return (name.as_str().into(), RunState::Waiting);
        }
        let key = format!("{} {branch}", parent.step);
        if *asked == 2
            && let Some(left) = self.refusals.get_mut(&key).filter(|left| **left > 0)
        {
            *left -= 1;
            self.failed.insert(name.clone());
        }
        if self.failed.contains(&name) {
            return (name.as_str().into(), RunState::Failed);
        }
        if *asked == 2 {
            *self.effects.entry(key).or_default() += 1;
        }
        (name.as_str().into(), RunState::Finished)
    }
}

struct Engine {
    run: Run,
    now: Timestamp,
    disk: Vec<(u64, Timestamp, &'static str, Value)>,
    queue: VecDeque<Effect>,
    finished: bool,
}

/// Where an engine is killed: after so many records, before what they let happen or after it.
#[derive(Clone, Copy, Debug)]
struct Kill {
    records: usize,
    after_effects: bool,
}

impl Engine {
    fn begin(plan: &Arc<Plan>, targets: usize) -> Self {
        let start = Start {
            run: "RUN-1".into(),
            params: [("x".to_owned(), json!(false)), ("y".to_owned(), json!(true))].into(),
            tenant: None,
            incident: None,
            by: "mara".into(),
            targets: (0..targets).map(|i| format!("t{i:03}").as_str().into()).collect(),
            parent: None,
            secrets: BTreeMap::new(),
        };
        let mut run = Run::new(plan.clone(), start);
        let queue = run.apply(Input::Begin, at(0)).unwrap().into();
        Self { run, now: at(0), disk: Vec::new(), queue, finished: false }
    }

    fn restart(self, plan: &Arc<Plan>, targets: usize) -> Self {
        if self.disk.is_empty() {
            return Self::begin(plan, targets);
        }
        let past: Vec<Past<'_>> =
            self.disk.iter().map(|(seq, at, kind, body)| Past { seq: *seq, at: *at, kind, body }).collect();
        let run = Run::replay(plan.clone(), &past).unwrap();
        let again = Run::replay(plan.clone(), &past).unwrap();
        assert!(super::bench::same(&run, &again), "equal records give equal runs");
        let finished = !run.is_open();
        Self { run, now: self.now, disk: self.disk, queue: VecDeque::new(), finished }
    }

    fn feed(&mut self, input: Input) {
        match self.run.apply(input, self.now) {
            Ok(effects) => self.queue.extend(effects),
            Err(refusal) => panic!("{refusal}: {}", self.run.view(self.now).now),
        }
    }

    /// Goes on until the run has ended; `false` when it was killed.
    fn go(&mut self, world: &mut World, kill: Option<Kill>) -> bool {
        for _ in 0..4000 {
            if self.finished {
                return true;
            }
            let Some(effect) = self.queue.pop_front() else {
                self.people();
                continue;
            };
            if matches!(effect, Effect::Append { .. })
                && kill.is_some_and(|k| k.after_effects && self.disk.len() >= k.records)
            {
                return false;
            }
            let appended = matches!(effect, Effect::Append { .. });
            let answer = self.answer(effect, world);
            if appended && kill.is_some_and(|k| !k.after_effects && self.disk.len() >= k.records) {
                return false;
            }
            if let Some(input) = answer {
                self.feed(input);
            }
        }
        panic!("it never ends: {} {:?}", self.run.view(self.now).now, self.disk.last());
    }

    fn rendering(&self, step: &StepId) -> Rendering {
        let spec = self.run.step(step).unwrap();
        let one = |label: &str| Request {
            verb: format!("pg.{step}"),
            target: Target {
                source: "pg".into(),
                identity: "1".into(),
                environment: Environment::Production,
                object: label.into(),
                tenants: vec![],
                count: 1,
            },
            operation: Operation::Simulated { statement: label.into() },
            server_checks: vec![],
            hurts: String::new(),
            undo: String::new(),
            by_hand: String::new(),
        };
        let request = match self.run.parts(step) {
            Some(parts) => Request::several("v", parts.iter().map(|(seat, _)| one(&seat.label)).collect()).unwrap(),
            None => one("it"),
        };
        let looks = spec.class() == Class::Looks;
        let digest = Digest::from_bytes(&Sha256::digest(serde_json::to_vec(&request).unwrap()).into());
        Rendering {
            request,
            digest,
            assessment: Assessment {
                risk: if looks { Risk::Low } else { spec.declared_risk() },
                reasons: vec![],
                confirmation: (!looks).then_some(Confirmation::Keypress),
                login: false,
                approvals: spec.approval.as_ref().map_or(0, |a| a.quorum),
                terms: None,
                needs_incident: false,
                denials: vec![],
            },
            idempotent: true,
            reversible: Reversible::Yes,
            read_only: looks,
            bound: spec.bind.iter().map(|source| (source.clone(), "7".to_owned())).collect(),
            shown: None,
        }
    }

    /// What the last intent of a step asked for must have been confirmed and approved before its last start, which
    /// names the target.
    fn judge(&self, step: &StepId, label: &str) {
        let of = |kind: &str| {
            self.disk.iter().rev().find(|(_, _, k, body)| *k == kind && body["step"] == json!(step)).cloned()
        };
        let (intended, _, _, intent) = of("step.intended").expect("no durable intent");
        let (confirmed, _, _, confirmation) = of("step.confirmed").expect("no durable confirmation");
        let (started, _, _, start) = of("step.started").expect("no durable start");
        assert!(intended < confirmed && confirmed < started, "{step}: {intended} {confirmed} {started}");
        assert_eq!(intent["digest"], confirmation["digest"]);
        let needed = intent["assessment"]["approvals"].as_u64().unwrap();
        let given = self.disk.iter().filter(|(seq, _, kind, body)| {
            *kind == "approval.granted"
                && body["step"] == json!(step)
                && *seq > confirmed
                && body["digest"] == intent["digest"]
        });
        assert!(given.count() as u64 >= needed, "{step}: approvals missing");
        if label != "it" {
            let names = |body: &Value| body["targets"].as_array().unwrap().iter().any(|t| t == label);
            assert!(names(&start) && names(&intent), "{label} is not in {start}");
        }
        assert!(
            self.disk.iter().all(|(seq, _, kind, body)| {
                let outcome = matches!(*kind, "step.finished" | "step.unknown") && body["step"] == json!(step);
                !(outcome && *seq > started && (label == "it" || body["target"] == label))
            }),
            "{step} {label}: the start was used before"
        );
    }

    fn answer(&mut self, effect: Effect, world: &mut World) -> Option<Input> {
        let now = self.now;
        Some(match effect {
            Effect::Append { mark, kind, body } => {
                let seq = u64::try_from(self.disk.len()).unwrap() + 1;
                self.disk.push((seq, now, kind, body));
                Input::Durable { mark, seq }
            }
            Effect::Render { ticket, step } => Input::Rendered { ticket, rendering: Box::new(self.rendering(&step)) },
            Effect::Evaluate { ticket, step, what, .. } => {
                let spec = self.run.step(&step).unwrap();
                let truth = |holds: bool| evaluation(if holds { Verdict::True } else { Verdict::False }, Some(now));
                let results = match what {
                    Subject::Ways => vec![truth(false), truth(true)],
                    Subject::Preconditions => vec![truth(true); spec.preconditions.len() + spec.bind.len()],
                    Subject::Contraindications => vec![],
                    Subject::Condition | Subject::Verify(_) => vec![truth(true)],
                };
                Input::Evaluated { ticket, results }
            }
            Effect::Execute { ticket, step, part } => {
                let request = self.run.request(&step).unwrap();
                let request = part.map_or(request, |part| request.part(part).unwrap());
                let label = request.target.object.clone();
                self.judge(&step, &label);
                let key = format!("{step} {label}");
                *world.sent.entry(key.clone()).or_default() += 1;
                let outcome = match world.refusals.get_mut(&key).filter(|left| **left > 0) {
                    Some(left) => {
                        *left -= 1;
                        Outcome::Failed { why: Failure::new(FailureKind::Protocol, "no") }
                    }
                    None => {
                        *world.effects.entry(key).or_default() += 1;
                        Outcome::Done { result: json!({"ok": true, "token": "s3cret"}), summary: "ok".into() }
                    }
                };
                Input::Executed { ticket, outcome }
            }
            Effect::Look { ticket, .. } => {
                let list = json!([{"id": "a"}, {"id": "b"}, {"id": "c"}]);
                let result = json!({"pid": 7, "status": 1, "ok": true, "list": list});
                Input::Looked { ticket, outcome: Outcome::Done { result, summary: "seen".into() } }
            }
            Effect::Reconcile { ticket, step, part } => {
                let request = self.run.request(&step).unwrap();
                let request = part.map_or(request, |part| request.part(part).unwrap());
                let key = format!("{step} {}", request.target.object);
                let seen = "seen".to_owned();
                let found = match world.effects.get(&key) {
                    _ if world.blind => Reconciled::Undecided { why: "can not tell".into() },
                    Some(_) => Reconciled::TookEffect { seen },
                    None => Reconciled::NoEffect { seen },
                };
                Input::Reconciled { ticket, found }
            }
            Effect::DryRun { ticket, .. } => Input::DryRan { ticket, said: Ok("1 row".into()) },
            Effect::Children { ticket, .. } => {
                let one = |(parent, _, _): (Parent, _, _)| ChildFound {
                    found: Ok(world.child(&parent)),
                    branch: parent.branch,
                };
                Input::Children { ticket, found: self.run.open_children().into_iter().map(one).collect() }
            }
            Effect::Escalate { .. } => return None,
            Effect::Finish { .. } => {
                self.finished = true;
                return None;
            }
        })
    }

    /// People do what waits for them; a second passes.
    fn people(&mut self) {
        self.now = self.now.checked_add(SignedDuration::from_secs(1)).unwrap();
        let view = self.run.view(self.now);
        let generation = view.generation;
        let Some(line) = view.steps.get(view.current) else { return self.feed(Input::Tick) };
        let step = line.id.clone();
        let (state, asks) = (line.state, line.asks);
        let digest = line.rendering.map(|r| r.digest.clone());
        let keys: Vec<String> = line.choices.iter().map(|c| c.key.clone()).collect();
        let by = crate::domain::id::Person::from("mara");
        let told = line.outcome.as_deref().is_some_and(|line| line.contains("must be told first"));
        let stopped = view.state == RunState::Stopped || view.now.starts_with("stopped");
        if stopped {
            return self.feed(Input::Resume { by });
        }
        if asks {
            let values = [("n".to_owned(), "5".to_owned())].into();
            return self.feed(Input::Given { step, generation, values, by });
        }
        match (state, digest) {
            (StepState::Blocked, _) if told => {
                let seq = u64::try_from(self.disk.len()).unwrap() + 1;
                self.disk.push((seq, self.now, "comms.sent", json!({"run": "RUN-1", "step": step})));
                self.feed(Input::Told { step });
            }
            (StepState::AwaitsConfirmation, Some(digest)) => {
                self.feed(Input::Confirm { step, generation, digest, typed: None, login: None, by });
            }
            (StepState::AwaitsApproval, Some(digest)) => {
                self.feed(Input::Approved {
                    step,
                    digest,
                    approval: ApprovalGiven::Simulated { person: "ines".into() },
                });
            }
            (StepState::AwaitsDecision | StepState::Unknown, _) => {
                let truth = ["done", "a", "retry", "rollback"].iter().find(|key| keys.iter().any(|k| k == *key));
                let choice = truth.map_or_else(|| keys[0].clone(), |key| (*key).to_owned());
                self.feed(Input::Decide { step, generation, choice, reason: "because".into(), by });
            }
            _ => self.feed(Input::Tick),
        }
    }
}

fn whole(text: &str) -> Arc<Plan> {
    plan(&format!("{HEAD}{text}"))
}

/// Kills an engine at every boundary of the run, twice each, and lets people go on with what the disk holds.
fn every_interruption(
    text: &str,
    targets: usize,
    world: &World,
    expected: RunState,
) -> (usize, BTreeSet<&'static str>) {
    let plan = whole(text);
    let mut calm = (Engine::begin(&plan, targets), world.clone());
    assert!(calm.0.go(&mut calm.1, None));
    assert_eq!(calm.0.run.state(), expected, "{:?}", calm.0.run.view(calm.0.now).now);
    let records = calm.0.disk.len();
    let mut cases = 0;
    for records in 0..=records {
        for after_effects in [false, true] {
            let mut world = world.clone();
            let mut engine = Engine::begin(&plan, targets);
            if !engine.go(&mut world, Some(Kill { records, after_effects })) {
                engine = engine.restart(&plan, targets);
                let fresh = engine.disk.is_empty();
                assert!(fresh || engine.finished || engine.run.state() != RunState::Running, "it comes back stopped");
            }
            assert!(engine.go(&mut world, None));
            assert_eq!(engine.run.state(), expected, "killed at {records} {after_effects}");
            assert_eq!(world.effects, calm.1.effects, "killed at {records} {after_effects}: every effect once");
            cases += 1;
        }
    }
    let disk = calm.0.disk;
    (cases, disk.iter().map(|r| r.2).collect())
}

#[test]
fn every_boundary_of_every_type_of_step_can_be_gone_on_from() {
    let refuses = World { refusals: [("act it".to_owned(), 2)].into(), ..World::default() };
    let (mut cases, kinds) = every_interruption(EVERYTHING, 0, &World::default(), RunState::Finished);
    for kind in ["step.intended", "approval.granted", "step.skipped", "comms.sent", "step.verified", "decision.made"] {
        assert!(kinds.contains(kind) || kind == "step.skipped", "{kind} is not in {kinds:?}");
    }
    cases += every_interruption(EVERYTHING, 0, &refuses, RunState::Finished).0;
    cases += every_interruption(RINGS, 5, &World::default(), RunState::Finished).0;
    let branch = World { refusals: [("sides b".to_owned(), 1)].into(), ..World::default() };
    cases += every_interruption(EVERYTHING, 0, &branch, RunState::Finished).0;
    let one = World { refusals: [("act t003".to_owned(), 1)].into(), ..World::default() };
    cases += every_interruption(RINGS, 5, &one, RunState::Finished).0;
    let three = World { refusals: [("three it".to_owned(), 9)].into(), ..World::default() };
    cases += every_interruption(BACK, 0, &three, RunState::RolledBack).0;
    println!("{cases} interruptions, each at a record boundary, each gone on from");
    assert!(cases > 400, "{cases}");
}

#[test]
fn what_is_masked_reaches_no_record_and_no_later_step() {
    let plan = whole(EVERYTHING);
    let mut world = World::default();
    let mut engine = Engine::begin(&plan, 0);
    assert!(engine.go(&mut world, None));
    let of =
        |step: &str| engine.disk.iter().filter(|r| r.3["step"] == step).map(|r| r.3.to_string()).collect::<String>();
    assert!(!of("act").contains("s3cret"), "{}", of("act"));
    assert!(of("page").contains("s3cret"), "only what is named is masked");
    assert!(engine.run.outputs()["act"].get("token").is_none());
}

#[test]
fn rings_go_canary_first_with_so_many_at_a_time_and_each_target_has_its_records() {
    let plan = whole(RINGS);
    let mut world = World::default();
    let mut engine = Engine::begin(&plan, 5);
    assert!(engine.go(&mut world, None));
    let of = |kind: &str| -> Vec<Value> {
        let ours = engine.disk.iter().filter(|(_, _, k, body)| *k == kind && body["step"] == "act");
        ours.map(|r| if r.3["targets"].is_null() { r.3["target"].clone() } else { r.3["targets"].clone() }).collect()
    };
    assert_eq!(json!(of("step.intended")), json!([["t000"], ["t001", "t002", "t003", "t004"]]), "the canary alone");
    assert_eq!(of("step.confirmed").len(), 2, "one confirmation a ring");
    assert_eq!(of("approval.granted").len(), 2);
    assert_eq!(json!(of("step.started")), json!([["t000"], ["t001", "t002"], ["t003", "t004"]]), "two at a time");
    assert_eq!(json!(of("step.finished")), json!(["t000", "t001", "t002", "t003", "t004"]));
    assert_eq!(of("step.verified").len(), 2);
}

#[test]
fn a_canary_that_fails_and_more_errors_than_allowed_begin_no_more() {
    for (refused, sent) in [(vec!["act t000"], 1), (vec!["act t001", "act t002"], 3)] {
        let plan = whole(RINGS);
        let mut world = World { refusals: refused.iter().map(|k| ((*k).to_owned(), 1)).collect(), ..World::default() };
        let mut engine = Engine::begin(&plan, 5);
        for _ in 0..400 {
            match engine.queue.pop_front() {
                Some(effect) => {
                    if let Some(input) = engine.answer(effect, &mut world) {
                        engine.feed(input);
                    }
                }
                None if engine.run.view(engine.now).steps[1].state == StepState::AwaitsDecision => break,
                None => engine.people(),
            }
        }
        let view = engine.run.view(engine.now);
        assert_eq!(view.steps[1].state, StepState::AwaitsDecision, "{}", view.now);
        assert!(view.now.contains("not begun"), "{}", view.now);
        assert_eq!(world.sent.values().sum::<u32>(), sent, "{refused:?}");
        let keys: Vec<&str> = view.steps[1].choices.iter().map(|c| c.key.as_str()).collect();
        assert_eq!(keys[0], "retry");
        // Going on takes up only what failed and what was not begun.
        assert!(engine.go(&mut world, None));
        assert_eq!(world.effects.len(), 5);
        assert!(world.effects.values().all(|n| *n == 1), "{:?}", world.effects);
    }
}

#[test]
fn a_stop_in_a_ring_lets_the_target_in_hand_end_and_begins_no_other() {
    let plan = whole(RINGS);
    let mut world = World::default();
    let mut engine = Engine::begin(&plan, 5);
    let mut stopped = false;
    for _ in 0..400 {
        match engine.queue.pop_front() {
            Some(effect) => {
                let started = matches!(&effect, Effect::Execute { .. }) && world.sent.len() == 1;
                let answer = engine.answer(effect, &mut world);
                if started && !stopped {
                    stopped = true;
                    engine.feed(Input::Stop { reason: "enough".into(), by: "mara".into(), emergency: true });
                }
                if let Some(input) = answer {
                    engine.feed(input);
                }
            }
            None if stopped => break,
            None => engine.people(),
        }
    }
    assert_eq!(engine.run.state(), RunState::Stopped);
    assert_eq!(world.sent.len(), 3, "the batch in hand ends: {:?}", world.sent);
    let body = &engine.disk.last().unwrap().3;
    assert_eq!(body["emergency"], true);
    assert!(body["not_recallable"].is_array());
    assert!(engine.go(&mut world, None));
    assert!(world.effects.len() == 5 && world.effects.values().all(|n| *n == 1), "{:?}", world.effects);
}

#[test]
fn a_person_says_what_looking_can_not_tell_of_each_target() {
    let plan = whole(RINGS);
    let mut world = World { blind: true, ..World::default() };
    let mut engine = Engine::begin(&plan, 3);
    // Killed with the second ring's first batch under way.
    let batch = |e: &Engine| e.disk.iter().filter(|r| r.2 == "step.started" && r.3["step"] == "act").count();
    while batch(&engine) < 2 {
        match engine.queue.pop_front() {
            Some(effect) => {
                if let Some(input) = engine.answer(effect, &mut world) {
                    engine.feed(input);
                }
            }
            None => engine.people(),
        }
    }
    let mut engine = engine.restart(&plan, 3);
    engine.feed(Input::Resume { by: "mara".into() });
    let mut asked = 0;
    for _ in 0..200 {
        let view = engine.run.view(engine.now);
        let (step, generation) = (view.steps[1].id.clone(), view.generation);
        if engine.queue.is_empty() && view.steps[1].choices.iter().any(|c| c.key == "no-effect") {
            asked += 1;
            let (choice, reason, by) = ("no-effect".into(), "looked by hand".into(), "mara".into());
            engine.feed(Input::Decide { step, generation, choice, reason, by });
        } else if let Some(effect) = engine.queue.pop_front() {
            if let Some(input) = engine.answer(effect, &mut world) {
                engine.feed(input);
            }
        } else if engine.finished {
            break;
        } else {
            engine.people();
        }
    }
    assert!(engine.finished, "{}", engine.run.view(engine.now).now);
    assert_eq!(asked, 2, "once for each of the two that were under way");
    assert!(world.effects.len() == 3 && world.effects.values().all(|n| *n == 1), "{:?}", world.effects);
}

#[test]
fn low_risk_may_run_by_itself_only_after_a_countdown_that_a_key_stops() {
    let text = "id: auto\nsteps:\n- {id: act, name: A, why: W, type: action, run: {adapter: pg, verb: on}}\n";
    for held in [false, true] {
        let plan = whole(text);
        let mut world = World::default();
        let mut engine = Engine::begin(&plan, 0);
        while let Some(effect) = engine.queue.pop_front() {
            let input = match effect {
                Effect::Render { ticket, step } => {
                    let mut rendering = engine.rendering(&step);
                    rendering.assessment.confirmation = None;
                    Some(Input::Rendered { ticket, rendering: Box::new(rendering) })
                }
                other => engine.answer(other, &mut world),
            };
            if let Some(input) = input {
                engine.feed(input);
            }
        }
        let shown = engine.run.view(engine.now).steps[0].by_itself_at;
        assert_eq!(shown, Some(at(10_000)), "shown before it runs");
        engine.now = at(9_000);
        engine.feed(Input::Tick);
        engine.queue.clear();
        assert!(world.sent.is_empty());
        if held {
            engine.feed(Input::Hold { step: "act".into() });
        }
        engine.now = at(10_000);
        engine.feed(Input::Tick);
        let recorded = engine
            .queue
            .iter()
            .any(|e| matches!(e, Effect::Append { kind: "step.confirmed", body, .. } if body["automatic"] == true));
        assert_eq!(recorded, !held);
        let refused = engine.run.clone().apply(Input::Hold { step: "act".into() }, engine.now);
        assert!(refused.is_err(), "there is nothing to keep from running");
    }
}

#[test]
fn what_changes_while_an_approval_is_waited_for_voids_the_approvals() {
    let plan = whole(RINGS);
    let mut world = World::default();
    let mut engine = Engine::begin(&plan, 1);
    while engine.run.view(engine.now).steps[1].state != StepState::AwaitsApproval {
        match engine.queue.pop_front() {
            Some(effect) => {
                if let Some(input) = engine.answer(effect, &mut world) {
                    engine.feed(input);
                }
            }
            None => engine.people(),
        }
    }
    engine.feed(Input::Seen);
    let Some(Effect::Render { ticket, step }) = engine.queue.pop_front() else { panic!("it is not rendered again") };
    let old = engine.rendering(&step);
    let mut other = old.clone();
    other.request.server_checks = vec!["only if backend_start = later".into()];
    other.digest = Digest::from_bytes(&[9; 32]);
    engine.feed(Input::Rendered { ticket, rendering: Box::new(other) });
    let approval = ApprovalGiven::Simulated { person: "ines".into() };
    let late = engine.run.apply(Input::Approved { step, digest: old.digest, approval }, engine.now);
    assert!(late.is_err(), "what was shown can not be approved any more");
    while let Some(effect) = engine.queue.pop_front() {
        if let Some(input) = engine.answer(effect, &mut world) {
            engine.feed(input);
        }
    }
    assert_eq!(engine.run.view(engine.now).steps[1].state, StepState::AwaitsConfirmation);
    assert!(world.sent.is_empty());
}
