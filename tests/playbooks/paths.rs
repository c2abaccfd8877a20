//! Every failure of every step that acts, in every shipped playbook: the server refuses, its answer is lost, the effect is
//! not seen, a precondition is false, nobody approves. The run then ends, takes back what was done, or stands before a
//! person who is offered a way to end it; nothing behind it is begun unless the playbook or that person says so.

use crate::cases::CASES;
use crate::driver::library;
use quarterdeck::act;
use quarterdeck::domain::estate::Environment;
use quarterdeck::domain::id::{Digest, Person, StepId};
use quarterdeck::domain::ports::{Outcome, Reconciled};
use quarterdeck::domain::request::{Operation, Request, Target};
use quarterdeck::domain::risk::{Assessment, Confirmation, Reversible, Risk};
use quarterdeck::domain::run::{RunState, StepState};
use quarterdeck::domain::sample::{Failure, FailureKind};
use quarterdeck::playbook::expr::{Evaluation, Verdict};
use quarterdeck::playbook::plan::Plan;
use quarterdeck::playbook::run::{ApprovalGiven, ChildFound, Effect, Input, Rendering, Run, Start, Subject};
use quarterdeck::playbook::schema::{Call, Class, Next, OnFailure, Parameter, ParameterType, Step, StepType};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

/// What goes wrong with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Refused,
    /// The answer is lost; looking sees no effect.
    LostWithout,
    /// The answer is lost; looking can not tell.
    LostOpen,
    NotSeen,
    NotTrue,
    Denied,
    Expired,
}

const HARMS: [Harm; 7] =
    [Harm::Refused, Harm::LostWithout, Harm::LostOpen, Harm::NotSeen, Harm::NotTrue, Harm::Denied, Harm::Expired];

/// Time that passes whenever nothing else does.
const TICK: SignedDuration = SignedDuration::from_secs(5);

#[derive(Clone)]
struct Play {
    plan: Arc<Plan>,
    run: Run,
    now: Timestamp,
    queue: VecDeque<Effect>,
    /// Kinds of the records, with their steps.
    disk: Vec<(&'static str, Value)>,
    /// The steps whose requests were sent, in order.
    sent: Vec<StepId>,
    /// The step that something goes wrong with.
    at: StepId,
    harm: Option<Harm>,
    harmed: bool,
    ended: Option<RunState>,
}

/// Where the flow of a playbook leads from a place, by the choices that there are: key or number, and place.
fn ways(steps: &[Step], at: usize) -> Vec<(String, Option<usize>)> {
    let place = |next: &Next| match next {
        Next::Continue => Some(at + 1),
        Next::Step(id) => steps.iter().position(|s| s.id == *id),
        Next::Abort => None,
    };
    let step = &steps[at];
    match step.kind {
        StepType::Decision => step.choices.iter().map(|c| (c.key.clone(), place(&c.then))).collect(),
        StepType::Branch => {
            let ways = step.branches.iter().enumerate().map(|(i, way)| (i.to_string(), place(&way.then)));
            let otherwise = place(step.otherwise.as_ref().unwrap_or(&Next::Continue));
            ways.chain([("otherwise".to_owned(), otherwise)]).collect()
        }
        _ => vec![(String::new(), Some(at + 1))],
    }
}

/// Whether a place can be come to from another without anything going wrong.
fn leads(steps: &[Step], from: usize, to: usize) -> bool {
    from == to || (from < to && ways(steps, from).iter().any(|(_, next)| next.is_some_and(|n| leads(steps, n, to))))
}

fn said(holds: bool, now: Timestamp) -> Evaluation {
    let verdict = if holds { Verdict::True } else { Verdict::False };
    Evaluation { text: "it holds".into(), verdict, detail: String::new(), observed_at: Some(now) }
}

fn failure() -> Failure {
    Failure::new(FailureKind::Protocol, "the server says no")
}

impl Play {
    fn new(plan: &Arc<Plan>, at: &StepId, harm: Harm) -> Self {
        let start = Start {
            run: "RUN-1".into(),
            params: BTreeMap::new(),
            tenant: None,
            incident: None,
            by: "mara".into(),
            targets: vec![],
            parent: None,
            secrets: BTreeMap::new(),
        };
        let mut run = Run::new(plan.clone(), start);
        let now = "2026-11-20T02:00:00Z".parse().unwrap();
        let queue = run.apply(Input::Begin, now).unwrap().into();
        let (harm, plan) = (Some(harm), plan.clone());
        let (disk, sent) = (Vec::new(), Vec::new());
        Self { plan, run, now, queue, disk, sent, at: at.clone(), harm, harmed: false, ended: None }
    }

    /// Whether this goes wrong now with that step.
    fn goes_wrong(&mut self, step: &StepId, harms: &[Harm]) -> Option<Harm> {
        let harm = self.harm.filter(|harm| *step == self.at && harms.contains(harm))?;
        self.harmed = true;
        Some(harm)
    }

    fn feed(&mut self, input: Input) {
        match self.run.apply(input, self.now) {
            Ok(effects) => self.queue.extend(effects),
            Err(refusal) => panic!("{} {:?}: {refusal}: {}", self.at, self.harm, self.run.view(self.now).now),
        }
    }

    /// Goes on until it has ended, or stands before a person because of what went wrong.
    fn go(&mut self) {
        for _ in 0..20_000 {
            if self.ended.is_some() {
                return;
            }
            if let Some(effect) = self.queue.pop_front() {
                if let Some(input) = self.answer(effect) {
                    self.feed(input);
                }
            } else if self.stands() {
                return;
            } else {
                self.people();
            }
        }
        panic!("{} {:?}: it never ends: {}", self.at, self.harm, self.run.view(self.now).now);
    }

    /// Whether a person is asked what now.
    fn stands(&self) -> bool {
        let view = self.run.view(self.now);
        let line = &view.steps[view.current];
        let waits = matches!(line.state, StepState::AwaitsDecision | StepState::Unknown | StepState::Blocked);
        let asked = waits && !line.choices.is_empty();
        // Without approvals it is asked for them again: what was confirmed is not sent.
        let again = matches!(self.harm, Some(Harm::Denied | Harm::Expired));
        self.harmed && *line.id == self.at && (asked || again)
    }

    fn rendering(&self, step: &StepId) -> Rendering {
        let spec = self.run.step(step).unwrap();
        let one = |label: &str| Request {
            verb: format!("some.{step}"),
            target: Target {
                source: "some".into(),
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
        Rendering {
            request,
            digest: Digest::from_bytes(&[7; 32]),
            assessment: Assessment {
                risk: spec.declared_risk(),
                reasons: vec![],
                confirmation: (!looks).then_some(Confirmation::Keypress),
                login: false,
                // Somebody always approves, so that somebody can always refuse.
                approvals: if looks { 0 } else { spec.approval.as_ref().map_or(1, |a| a.quorum) },
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

    fn answer(&mut self, effect: Effect) -> Option<Input> {
        let now = self.now;
        Some(match effect {
            Effect::Append { mark, kind, body } => {
                self.disk.push((kind, body));
                Input::Durable { mark, seq: u64::try_from(self.disk.len()).unwrap() }
            }
            Effect::Render { ticket, step } => Input::Rendered { ticket, rendering: Box::new(self.rendering(&step)) },
            Effect::Evaluate { ticket, step, what, .. } => {
                let spec = self.run.step(&step).unwrap().clone();
                let results = match what {
                    Subject::Contraindications => {
                        self.plan.playbook().contraindications.iter().map(|_| said(false, now)).collect()
                    }
                    Subject::Condition => vec![said(true, now)],
                    Subject::Preconditions => {
                        let bad = self.goes_wrong(&step, &[Harm::NotTrue]).is_some();
                        let all = spec.preconditions.len() + spec.bind.len();
                        (0..all).map(|i| said(!(bad && i == 0), now)).collect()
                    }
                    Subject::Verify(_) => vec![said(self.goes_wrong(&step, &[Harm::NotSeen]).is_none(), now)],
                    Subject::Ways => {
                        let taken = self.way(&step);
                        (0..spec.branches.len()).map(|i| said(i.to_string() == taken, now)).collect()
                    }
                };
                Input::Evaluated { ticket, results }
            }
            Effect::Execute { ticket, step, .. } => {
                self.sent.push(step.clone());
                let outcome = match self.goes_wrong(&step, &[Harm::Refused, Harm::LostWithout, Harm::LostOpen]) {
                    Some(Harm::Refused) => Outcome::Failed { why: failure() },
                    Some(_) => Outcome::Unknown { why: failure() },
                    None => Outcome::Done { result: json!({}), summary: "done".into() },
                };
                Input::Executed { ticket, outcome }
            }
            Effect::Look { ticket, .. } => {
                let outcome = Outcome::Done { result: json!({}), summary: "seen".into() };
                Input::Looked { ticket, outcome }
            }
            Effect::Reconcile { ticket, .. } => {
                let found = match self.harm {
                    Some(Harm::LostWithout) => Reconciled::NoEffect { seen: "nothing of it".into() },
                    Some(_) => Reconciled::Undecided { why: "nobody can tell".into() },
                    None => Reconciled::TookEffect { seen: "it is there".into() },
                };
                Input::Reconciled { ticket, found }
            }
            Effect::DryRun { ticket, .. } => Input::DryRan { ticket, said: Ok("one".into()) },
            Effect::Children { ticket, .. } => {
                let found = self.run.open_children().into_iter().map(|(parent, ..)| ChildFound {
                    branch: parent.branch,
                    found: Ok(("RUN-2".into(), RunState::Finished)),
                });
                Input::Children { ticket, found: found.collect() }
            }
            Effect::Escalate { .. } => return None,
            Effect::Finish { state } => {
                self.ended = Some(state);
                return None;
            }
        })
    }

    /// Which way leads on to the step that something goes wrong with; past it, the first.
    fn way(&self, step: &StepId) -> String {
        let steps = &self.plan.playbook().steps;
        let place = |id: &StepId| steps.iter().position(|s| s.id == *id).unwrap();
        let (here, there) = (place(step), place(&self.at));
        let all = ways(steps, here);
        let fits = |next: Option<usize>| next.is_some_and(|n| here >= there || leads(steps, n, there));
        all.iter().find(|(_, next)| fits(*next)).unwrap_or(&all[0]).0.clone()
    }

    /// People do what waits for them; time passes.
    fn people(&mut self) {
        self.now += TICK;
        let view = self.run.view(self.now);
        let (generation, line) = (view.generation, &view.steps[view.current]);
        let (step, state) = (line.id.clone(), line.state);
        let digest = line.rendering.map(|r| r.digest.clone());
        let keys: Vec<String> = line.choices.iter().map(|c| c.key.clone()).collect();
        let told = line.outcome.as_deref().is_some_and(|line| line.contains("must be told first"));
        let by = Person::from("mara");
        if line.asks {
            let values = self.values(&step);
            return self.feed(Input::Given { step, generation, values, by });
        }
        match (state, digest) {
            (StepState::Blocked, _) if told => {
                self.disk.push(("comms.sent", json!({ "step": step })));
                self.feed(Input::Told { step });
            }
            (StepState::AwaitsConfirmation, Some(digest)) => {
                self.feed(Input::Confirm { step, generation, digest, typed: None, login: None, by });
            }
            (StepState::AwaitsApproval, Some(digest)) => {
                if let Some(harm) = self.goes_wrong(&step, &[Harm::Denied, Harm::Expired]) {
                    let (expired, why) = (harm == Harm::Expired, "not like this".to_owned());
                    return self.feed(Input::NotApproved { step, digest, expired, why, said: json!({}) });
                }
                let given = self.disk.iter().filter(|(kind, _)| *kind == "approval.granted").count();
                let person = Person::from(format!("person {given}").as_str());
                self.feed(Input::Approved { step, digest, approval: ApprovalGiven::Simulated { person } });
            }
            (StepState::AwaitsDecision | StepState::Unknown, _) if !keys.is_empty() => {
                let decides = self.run.step(&step).is_some_and(|s| s.kind == StepType::Decision);
                let own = if decides { self.way(&step) } else { "done".to_owned() };
                let choice = if keys.contains(&own) { own } else { keys[0].clone() };
                self.decide(&choice);
            }
            _ => self.feed(Input::Tick),
        }
    }

    fn decide(&mut self, choice: &str) {
        let view = self.run.view(self.now);
        let (generation, step) = (view.generation, view.steps[view.current].id.clone());
        let (choice, reason, by) = (choice.to_owned(), "looked at it".to_owned(), Person::from("mara"));
        self.feed(Input::Decide { step, generation, choice, reason, by });
    }

    /// What a step asks for, as the play of this playbook gives it.
    fn values(&self, step: &StepId) -> BTreeMap<String, String> {
        let playbook = self.plan.playbook();
        let of = |name: &str, input: &Parameter| {
            let cases = CASES.iter().filter(|(_, case)| case.playbook == playbook.id.as_str());
            let mut given = cases.flat_map(|(_, case)| case.values);
            match given.find(|(at, key, _)| *at == step.as_str() && *key == name) {
                Some((.., value)) => (*value).to_owned(),
                None if input.kind == ParameterType::Boolean => "true".to_owned(),
                None if input.kind == ParameterType::String => {
                    input.allowed_values.first().and_then(Value::as_str).unwrap_or("something").to_owned()
                }
                None => "5".to_owned(),
            }
        };
        let inputs = &self.run.step(step).unwrap().inputs;
        inputs.iter().map(|(name, input)| (name.clone(), of(name, input))).collect()
    }

    fn times_sent(&self) -> usize {
        self.sent.iter().filter(|step| **step == self.at).count()
    }

    /// What was done and can be taken back, the last first.
    fn to_take_back(&self) -> Vec<String> {
        let done = |step: &Step| {
            let outcome = |(kind, body): &(&str, Value)| {
                let ended = *kind == "step.finished" && body["ended"] == "done";
                let settled = *kind == "step.reconciled" && body["found"] == "took-effect";
                body["step"] == json!(step.id) && (ended || settled)
            };
            self.disk.iter().any(outcome)
        };
        let steps = &self.plan.playbook().steps;
        steps.iter().rev().filter(|s| s.rollback.is_some() && done(s)).map(|s| s.id.to_string()).collect()
    }

    fn taken_back(&self) -> Vec<String> {
        let back = self.disk.iter().filter(|(kind, _)| *kind == "step.rolled_back");
        back.map(|(_, body)| body["of"].as_str().unwrap().to_owned()).collect()
    }
}

/// What has to be after one harm to one step; how many ways were gone through.
fn try_one(plan: &Arc<Plan>, step: &Step, harm: Harm) -> usize {
    let at = format!("{} {} {harm:?}", plan.playbook().id, step.id);
    let mut tried = Play::new(plan, &step.id, harm);
    tried.go();
    if !tried.harmed {
        // It has no precondition, or nothing that verifies it.
        let fits = match harm {
            Harm::NotTrue => step.preconditions.is_empty() && step.bind.is_empty(),
            Harm::NotSeen => step.verify.is_empty(),
            _ => false,
        };
        assert!(fits, "{at}: it was never come to");
        return 0;
    }
    let sends = matches!(harm, Harm::Refused | Harm::LostWithout | Harm::LostOpen | Harm::NotSeen);
    let attempts = usize::from(step.retry.as_ref().map_or(1, |r| r.max_attempts));
    assert!(
        (usize::from(sends)..=usize::from(sends) * attempts).contains(&tried.times_sent()),
        "{at}: {:?}",
        tried.sent
    );
    let asks = !sends || harm == Harm::LostOpen || step.on_failure == OnFailure::Ask;
    if !asks {
        let last = tried.sent.last() == Some(&step.id);
        let to_take_back = tried.to_take_back();
        match &step.on_failure {
            OnFailure::Abort => assert!(tried.ended == Some(RunState::Failed) && last, "{at}: {:?}", tried.ended),
            OnFailure::Rollback => {
                assert_eq!(tried.ended, Some(RunState::RolledBack), "{at}");
                assert_eq!(tried.taken_back(), to_take_back, "{at}");
            }
            // The playbook says so, and of nothing that is dangerous.
            _ => {
                let floor =
                    act::catalog().into_iter().find(|v| Some(v.name) == step.run.as_ref().map(Call::name).as_deref());
                assert!(floor.unwrap().risk_floor.max(step.declared_risk()) < Risk::High, "{at} leads on");
                assert!(tried.ended.is_some() || tried.stands(), "{at}");
            }
        }
        return 1;
    }
    // It stands before a person, and nothing behind it has begun.
    assert_eq!(tried.ended, None, "{at}");
    let view = tried.run.view(tried.now);
    assert_eq!(view.steps[view.current].id, &step.id, "{at}: {}", view.now);
    assert!(sends || tried.times_sent() == 0, "{at}: it was sent");
    assert!(view.steps.iter().skip(view.current + 1).all(|s| s.started_at.is_none()), "{at}: it led on");
    let keys: Vec<String> = view.steps[view.current].choices.iter().map(|c| c.key.clone()).collect();
    tried.harm = None;
    let mut ways = 1;
    for key in &keys {
        let mut next = tried.clone();
        let before = next.sent.len();
        next.decide(key);
        next.harmed = false;
        next.go();
        let ended = next.ended.unwrap_or_else(|| panic!("{at} {key}: it does not end"));
        match key.as_str() {
            "stop" => assert_eq!((ended, next.sent.len()), (RunState::Failed, before), "{at} {key}"),
            "rollback" => {
                assert_eq!(ended, RunState::RolledBack, "{at} {key}");
                assert_eq!(next.taken_back(), tried.to_take_back(), "{at} {key}");
            }
            _ => {}
        }
        ways += 1;
    }
    if keys.is_empty() {
        // Nobody has approved: it waits for its confirmation again, and can be stopped.
        assert!(matches!(harm, Harm::Denied | Harm::Expired), "{at}: nobody is offered anything");
        let ends = Input::Stop { reason: "enough".into(), by: "mara".into(), emergency: false };
        let sent = tried.sent.len();
        tried.feed(ends);
        while let Some(effect) = tried.queue.pop_front() {
            if let Some(input) = tried.answer(effect) {
                tried.feed(input);
            }
        }
        assert_eq!((tried.run.state(), tried.sent.len()), (RunState::Stopped, sent), "{at}");
    } else {
        assert!(keys.iter().any(|key| key == "stop" || key == "no-effect"), "{at}: {keys:?} ends nothing");
    }
    ways
}

#[test]
fn every_failure_of_every_step_that_acts_ends_or_stands_before_a_person() {
    let library = library();
    let (mut steps, mut ways) = (0, 0);
    for entry in library.all() {
        for step in entry.playbook().steps.iter().filter(|s| s.class() == Class::Acts && !s.id.as_str().contains('.')) {
            ways += HARMS.iter().map(|harm| try_one(&entry.plan, step, *harm)).sum::<usize>();
            steps += 1;
        }
    }
    println!("{steps} steps that act, {ways} ways in which one of them fails and a person or the playbook goes on");
    assert!(steps >= 90 && ways >= 1500, "{steps} steps, {ways} ways");
}
