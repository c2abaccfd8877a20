//! From reaching a step to its intent: its condition, its rendering, its preconditions, and what blocks it.

use super::effect::{Effect, LookAt, Subject, Ticket};
use super::input::Rendering;
use super::machine::{Run, offer};
use super::outcome::abort;
use super::record::{self, Clean, checks};
use super::state::{Choose, Phase, Question, StepRun, Then};
use super::view::{RunState, StepState};
use crate::playbook::expr::{Evaluation, Verdict};
use crate::playbook::schema::StepType;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// How often a blocked step is tried again, and the checks beside a confirmation are renewed.
pub(super) const AGAIN: SignedDuration = SignedDuration::from_secs(2);

pub(super) fn after(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

impl Run {
    pub(super) fn ask(&mut self, question: Question, out: &mut Vec<Effect>) {
        let Some(step) = self.current_step().map(|s| s.id.clone()) else { return };
        let ticket = self.ticket();
        self.phase = Phase::Ask { ticket, question };
        let evaluate = |what| Effect::Evaluate { ticket, step: step.clone(), what, result: None };
        out.push(match question {
            Question::Contraindications => evaluate(Subject::Contraindications),
            Question::Condition => evaluate(Subject::Condition),
            Question::Preconditions | Question::LastCheck => evaluate(Subject::Preconditions),
            Question::Render => Effect::Render { ticket, step },
            Question::Execute => Effect::Execute { ticket, step },
            Question::Look => Effect::Look { ticket, step, what: LookAt::Step },
            Question::Reconcile => Effect::Reconcile { ticket, step },
        });
    }

    /// Goes to a step, which starts from nothing.
    pub(super) fn enter(&mut self, index: usize, out: &mut Vec<Effect>) {
        self.current = index;
        self.bump();
        let Some(verify) = self.plan.steps().get(index).map(|s| s.verify.len()) else {
            return self.finish(RunState::Finished, out);
        };
        self.edit(|s| {
            *s = StepRun::new(verify);
            s.state = StepState::Preparing;
        });
        self.prepare(out);
    }

    /// Renders and checks the step in hand, from its condition on.
    pub(super) fn prepare(&mut self, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        if !self.cleared && !self.plan.playbook().contraindications.is_empty() {
            self.ask(Question::Contraindications, out);
        } else if spec.condition.is_some() {
            self.ask(Question::Condition, out);
        } else {
            self.needed(out);
        }
    }

    /// The step's condition is true.
    pub(super) fn needed(&mut self, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        match spec.kind {
            StepType::Check | StepType::Action => self.ask(Question::Render, out),
            StepType::Assert | StepType::WaitFor | StepType::Manual | StepType::Decision => {
                self.record("step.started", json!({"type": spec.kind.word(), "risk": "low"}), Then::Started, out);
            }
        }
    }

    pub(super) fn rendered(&mut self, rendering: Rendering, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        let looks = spec.kind == StepType::Check;
        if rendering.read_only != looks {
            let which =
                if looks { "changes something, and the step only looks" } else { "only looks, and the step acts" };
            return self.block(format!("the verb {} {which}", rendering.request.verb), now);
        }
        let changed = self.here().is_some_and(|h| h.rendering.as_ref() != Some(&rendering));
        if changed {
            self.bump();
        }
        self.edit(|s| s.rendering = Some(rendering));
        if spec.preconditions.is_empty() && spec.bind.is_empty() {
            self.edit(|s| s.checks.clear());
            self.ready(now, out);
        } else {
            self.ask(Question::Preconditions, out);
        }
    }

    /// The request that waits for a confirmation was rendered again. While it means the same, only its checks are
    /// renewed; else it is a new plan, with an intent of its own, and what was shown can not be confirmed any more.
    pub(super) fn rendered_again(&mut self, rendering: Rendering, now: Timestamp, out: &mut Vec<Effect>) {
        if !self.here().and_then(|h| h.rendering.as_ref()).is_some_and(|shown| shown.stands(&rendering)) {
            self.edit(|s| s.state = StepState::Preparing);
            return self.rendered(rendering, now, out);
        }
        let Some(spec) = self.spec().filter(|s| !s.preconditions.is_empty() || !s.bind.is_empty()) else {
            self.phase = Phase::Confirmation { refresh_at: after(now, AGAIN), refresh: None };
            return;
        };
        let ticket = self.ticket();
        if let Phase::Confirmation { refresh, .. } = &mut self.phase {
            *refresh = Some(ticket);
        }
        out.push(Effect::Evaluate { ticket, step: spec.id, what: Subject::Preconditions, result: None });
    }

    pub(super) fn evaluated(
        &mut self,
        ticket: Ticket,
        results: Vec<Evaluation>,
        now: Timestamp,
        out: &mut Vec<Effect>,
    ) {
        match &self.phase {
            Phase::Ask { ticket: asked, question } if *asked == ticket => match question {
                Question::Contraindications => self.contraindicated(&results, now, out),
                Question::Condition => self.condition(results.into_iter().next(), now, out),
                Question::Preconditions => {
                    self.checked(results, now);
                    self.ready(now, out);
                }
                Question::LastCheck => {
                    self.checked(results, now);
                    match self.broken() {
                        None => self.start_step(out),
                        Some(why) => {
                            let said = self.here().map(|h| checks(&h.checks));
                            self.record(
                                "step.refused",
                                json!({"why": why, "checks": said}),
                                Then::Refused { why },
                                out,
                            );
                        }
                    }
                }
                Question::Render | Question::Execute | Question::Look | Question::Reconcile => {}
            },
            Phase::Confirmation { refresh: Some(asked), .. } if *asked == ticket => {
                self.checked(results, now);
                self.phase = Phase::Confirmation { refresh_at: after(now, AGAIN), refresh: None };
            }
            Phase::Verifying => self.watch_evaluated(ticket, results.into_iter().next(), now, out),
            _ => {}
        }
    }

    /// A run starts only when all contraindications are false; one that is not known speaks against it too.
    fn contraindicated(&mut self, said: &[Evaluation], now: Timestamp, out: &mut Vec<Effect>) {
        let missing = said.len() < self.plan.playbook().contraindications.len();
        let why = said.iter().find_map(|c| match &c.verdict {
            Verdict::False => None,
            Verdict::True => Some(format!("{} ({})", c.text, c.detail)),
            Verdict::Unknown(why) => Some(format!("it is not known whether this holds: {} ({why})", c.text)),
        });
        let why = why.or_else(|| missing.then(|| "the contraindications were not evaluated".to_owned()));
        let Some(why) = why else {
            self.cleared = true;
            return self.prepare(out);
        };
        self.block(format!("this playbook should not be started: {}", why.clean()), now);
        self.edit(|s| {
            s.choices = vec![offer("start-anyway", "start in spite of it", true, Choose::StartAnyway), abort()];
        });
    }

    fn condition(&mut self, said: Option<Evaluation>, now: Timestamp, out: &mut Vec<Effect>) {
        match said {
            Some(Evaluation { verdict: Verdict::True, .. }) => self.needed(out),
            Some(Evaluation { verdict: Verdict::False, text, detail, .. }) => {
                let why = format!("not needed: {text} is false ({detail})");
                self.record("step.skipped", json!({"why": why.clean()}), Then::Skipped, out);
            }
            Some(Evaluation { verdict: Verdict::Unknown(why), .. }) => {
                self.block(format!("whether it is needed is not known: {why}"), now);
            }
            None => self.block("whether it is needed is not known: the condition was not evaluated".into(), now),
        }
    }

    fn checked(&mut self, mut results: Vec<Evaluation>, now: Timestamp) {
        let Some(spec) = self.spec() else { return };
        // An answer that lacks an expression must not read as one that holds. Bound values come behind.
        let bound = self.here().and_then(|h| h.rendering.as_ref()).map_or(0, |r| r.bound.len());
        results.truncate(spec.preconditions.len() + bound);
        for missing in spec.preconditions.iter().skip(results.len()) {
            results.push(Evaluation {
                text: missing.label().to_owned(),
                verdict: Verdict::Unknown("it was not evaluated".into()),
                detail: String::new(),
                observed_at: None,
            });
        }
        let missing = (spec.preconditions.len() + bound).saturating_sub(results.len());
        results.extend((0..missing).map(|_| Evaluation {
            text: "a bound value".into(),
            verdict: Verdict::Unknown("it was not evaluated".into()),
            detail: String::new(),
            observed_at: None,
        }));
        self.edit(|s| {
            s.checks = results;
            s.checked_at = Some(now);
        });
    }

    /// The first precondition that does not hold.
    pub(super) fn broken(&self) -> Option<String> {
        self.here()?.checks.iter().find_map(|c| match &c.verdict {
            Verdict::True => None,
            Verdict::False => Some(format!("a precondition is false: {} ({})", c.text, c.detail).clean()),
            Verdict::Unknown(why) => Some(format!("a precondition is not known: {} ({why})", c.text).clean()),
        })
    }

    /// Rendered and checked: the intent is recorded, or the step is blocked.
    pub(super) fn ready(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let (Some(spec), Some(rendering)) = (self.spec(), self.here().and_then(|h| h.rendering.clone())) else {
            return;
        };
        let why = rendering.assessment.denials.first().map(|d| d.clean()).or_else(|| self.broken());
        if let Some(why) = why {
            return self.block(why, now);
        }
        if spec.kind == StepType::Check {
            return self.start_step(out);
        }
        let mut preconditions = spec.bound_preconditions();
        preconditions.extend(rendering.bound.iter().cloned());
        match record::intended(&rendering, &preconditions) {
            Ok(body) => self.record("step.intended", body, Then::Intended, out),
            Err(why) => self.block(why, now),
        }
    }

    pub(super) fn block(&mut self, why: String, now: Timestamp) {
        let same = self.here().is_some_and(|h| h.state == StepState::Blocked && h.line.as_ref() == Some(&why));
        if !same {
            self.bump();
        }
        self.edit(|s| {
            s.state = StepState::Blocked;
            s.line = Some(why);
            s.confirmed = None;
            s.approvals.clear();
            s.choices = vec![offer("skip", "go on without this step", true, Choose::Skip), abort()];
        });
        self.phase = Phase::Blocked { retry_at: after(now, AGAIN) };
    }

    pub(super) fn start_step(&mut self, out: &mut Vec<Effect>) {
        let (Some(spec), Some(here)) = (self.spec(), self.here()) else { return };
        let rendering = here.rendering.as_ref();
        let body = json!({
            "type": spec.kind.word(),
            "risk": rendering.map(|r| r.assessment.risk.to_string()),
            "digest": rendering.map(|r| &r.digest),
            "target": rendering.map(|r| r.request.target.object.clean()),
            "checks": checks(&here.checks),
        });
        self.record("step.started", body, Then::Started, out);
    }
}
