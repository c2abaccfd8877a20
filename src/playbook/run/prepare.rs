//! From reaching a step to its intent: its condition, its rendering, its preconditions, and what blocks it.

use super::effect::{Effect, LookAt, Subject, Ticket};
use super::input::Rendering;
use super::machine::{Run, offer};
use super::outcome::abort;
use super::record::{Clean, checks};
use super::state::{Choose, Phase, Question, StepRun, Then};
use super::view::{RunState, StepState};
use crate::playbook::expr::{Evaluation, Verdict};
use crate::playbook::schema::{Class, Precondition};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// How often a blocked step is tried again, and the checks beside a confirmation are renewed.
pub(super) const AGAIN: SignedDuration = SignedDuration::from_secs(2);

/// What is said where a contraindication holds.
const ADVISED_AGAINST: &str = "this playbook should not be started";

pub(super) fn after(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// What stands in a step's way.
pub(super) struct Broken {
    /// What it is, without numbers that change from look to look: while it stays the same it is recorded once.
    what: String,
    /// The same with what was seen, one sentence.
    pub(super) why: String,
}

impl Broken {
    fn new(why: String) -> Self {
        Self { what: why.clone(), why }
    }

    /// Something, and what was seen of it.
    pub(super) fn of(what: String, seen: &str) -> Self {
        Self { why: format!("{what} ({seen})").clean(), what }
    }
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
            Question::Ways => evaluate(Subject::Ways),
            Question::DryRun => Effect::DryRun { ticket, step },
            Question::Execute => Effect::Execute { ticket, step, part: None },
            Question::Look => Effect::Look { ticket, step, what: LookAt::Step },
            Question::Reconcile => {
                Effect::Reconcile { ticket, step, part: self.unknown_item().and_then(|(_, part)| part) }
            }
        });
    }

    /// Goes to a step, which starts from nothing.
    pub(super) fn enter(&mut self, index: usize, out: &mut Vec<Effect>) {
        self.bump();
        let in_order = index < self.plan.flow() || self.is_rolling();
        let Some(verify) = self.plan.steps().get(index).filter(|_| in_order).map(|s| s.verify.len()) else {
            self.current = self.steps.len();
            return self.finish(RunState::Finished, out);
        };
        self.current = index;
        if let Some(lasting) = self.lasting.get_mut(index) {
            lasting.waits_since = None;
        }
        self.edit(|s| {
            *s = StepRun::new(verify);
            s.state = StepState::Preparing;
        });
        let of = self.plan.captures_after(index).and_then(|of| self.plan.steps().get(of).zip(self.steps.get(of)));
        if let Some((of, _)) = of.filter(|(_, run)| run.state != StepState::Done) {
            let why = format!("{} did not run", of.id);
            return self.record("step.skipped", json!({"why": why}), Then::Skipped, out);
        }
        self.prepare(out);
    }

    /// Renders and checks the step in hand, from its condition on.
    pub(super) fn prepare(&mut self, out: &mut Vec<Effect>) {
        self.prepare_at(self.now, out);
    }

    fn prepare_at(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        if !self.cleared && !self.plan.playbook().contraindications.is_empty() {
            self.ask(Question::Contraindications, out);
        } else if spec.condition.is_some() {
            self.ask(Question::Condition, out);
        } else {
            self.needed(now, out);
        }
    }

    /// The step's condition is true.
    pub(super) fn needed(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        if let Some(why) = self.must_be_told(&spec) {
            return self.block(why, now);
        }
        match spec.class() {
            Class::Acts => self.render_several(now, out),
            Class::Looks | Class::Gate => self.ask(Question::Render, out),
            Class::Branches => self.ask(Question::Ways, out),
            Class::Waits | Class::Person | Class::Decides | Class::Asks | Class::Sleeps | Class::Child => {
                self.record("step.started", json!({"type": spec.kind.word(), "risk": "low"}), Then::Started, out);
            }
        }
    }

    /// Renders the step in hand; where it is over several, first says over which.
    fn render_several(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.here().is_some_and(|h| h.fan.is_none()) {
            match self.new_fan(self.current) {
                Ok(Some(fan)) if fan.items.is_empty() => {
                    let why = "there is nothing to do: the list is empty";
                    return self.record("step.skipped", json!({"why": why}), Then::Skipped, out);
                }
                Ok(fan) => self.edit(|s| s.fan = fan),
                Err(why) => return self.refuse(why.clean(), now, out),
            }
        }
        self.choose_ring();
        self.ask(Question::Render, out);
    }

    /// The server has said what it would do.
    pub(super) fn dry_ran(&mut self, said: Result<String, String>, now: Timestamp, out: &mut Vec<Effect>) {
        match said {
            Ok(text) => {
                self.edit(|s| s.dry_run = Some(text.as_str().clean()));
                self.ready(now, out);
            }
            Err(why) => self.refuse(format!("the dry run says no: {}", why.clean()), now, out),
        }
    }

    pub(super) fn rendered(&mut self, rendering: Rendering, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        let looks = spec.class() == Class::Looks;
        if rendering.read_only != looks {
            let which =
                if looks { "changes something, and the step only looks" } else { "only looks, and the step acts" };
            return self.refuse(format!("the verb {} {which}", rendering.request.verb), now, out);
        }
        let changed = self.here().is_some_and(|h| h.rendering.as_ref() != Some(&rendering));
        if changed {
            self.bump();
        }
        self.edit(|s| {
            s.rendering = Some(rendering);
            s.dry_run = None;
        });
        if spec.preconditions.is_empty() && spec.bind.is_empty() {
            self.edit(|s| s.checks.clear());
            self.ready(now, out);
        } else {
            self.ask(Question::Preconditions, out);
        }
    }

    fn waits_again(&mut self, now: Timestamp) {
        if let Phase::Confirmation { refresh_at, refresh, .. } | Phase::Approval { refresh_at, refresh } =
            &mut self.phase
        {
            *refresh_at = after(now, AGAIN);
            *refresh = None;
        }
    }

    /// The request that waits for a confirmation or an approval was rendered again. While it means the same, only its checks are
    /// renewed; else it is a new plan, with an intent of its own, and what was shown can not be confirmed any more.
    pub(super) fn rendered_again(&mut self, rendering: Rendering, now: Timestamp, out: &mut Vec<Effect>) {
        if !self.here().and_then(|h| h.rendering.as_ref()).is_some_and(|shown| shown.stands(&rendering)) {
            self.edit(|s| {
                s.state = StepState::Preparing;
                s.confirmed = None;
                s.approvals.clear();
            });
            return self.rendered(rendering, now, out);
        }
        let Some(spec) = self.spec().filter(|s| !s.preconditions.is_empty() || !s.bind.is_empty()) else {
            return self.waits_again(now);
        };
        let ticket = self.ticket();
        if let Phase::Confirmation { refresh, .. } | Phase::Approval { refresh, .. } = &mut self.phase {
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
                        Some(Broken { why, .. }) => {
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
                Question::Ways => self.branch(&results, now, out),
                Question::Render | Question::Execute | Question::Look | Question::Reconcile | Question::DryRun => {}
            },
            Phase::Confirmation { refresh: Some(asked), .. } | Phase::Approval { refresh: Some(asked), .. }
                if *asked == ticket =>
            {
                self.checked(results, now);
                self.waits_again(now);
            }
            Phase::Verifying => self.watch_evaluated(ticket, results.into_iter().next(), now, out),
            _ => {}
        }
    }

    /// A run starts only when all contraindications are false; one that is not known speaks against it too.
    fn contraindicated(&mut self, said: &[Evaluation], now: Timestamp, out: &mut Vec<Effect>) {
        let missing = said.len() < self.plan.playbook().contraindications.len();
        let against = said.iter().find_map(|c| match &c.verdict {
            Verdict::False => None,
            Verdict::True => Some(Broken::of(format!("{ADVISED_AGAINST}: {}", c.text), &c.detail)),
            Verdict::Unknown(why) => {
                Some(Broken::of(format!("{ADVISED_AGAINST}: it is not known whether this holds: {}", c.text), why))
            }
        });
        let unasked = || Broken::new(format!("{ADVISED_AGAINST}: the contraindications were not evaluated"));
        let Some(Broken { what, why }) = against.or_else(|| missing.then(unasked)) else {
            self.cleared = true;
            return self.prepare_at(now, out);
        };
        if self.here().is_some_and(|h| h.refused.as_ref() == Some(&what)) {
            return self.advise_against(why, now);
        }
        self.edit(|s| s.refused = Some(what));
        let body = json!({"why": why, "contraindications": checks(said)});
        self.record("step.refused", body, Then::AdvisedAgainst { why }, out);
    }

    /// Something speaks against the playbook; a person may go on in spite of it.
    pub(super) fn advise_against(&mut self, why: String, now: Timestamp) {
        self.block(why, now);
        self.edit(|s| {
            s.choices = vec![offer("start-anyway", "start in spite of it", true, Choose::StartAnyway), abort()];
        });
    }

    fn condition(&mut self, said: Option<Evaluation>, now: Timestamp, out: &mut Vec<Effect>) {
        match said {
            Some(Evaluation { verdict: Verdict::True, .. }) => self.needed(now, out),
            Some(Evaluation { verdict: Verdict::False, text, detail, .. }) => {
                let why = format!("not needed: {text} is false ({detail})");
                self.record("step.skipped", json!({"why": why.clean()}), Then::Skipped, out);
            }
            Some(Evaluation { verdict: Verdict::Unknown(why), .. }) => {
                let what = "whether it is needed is not known".to_owned();
                let why = format!("{what}: {}", why.clean());
                self.refuse_for(Broken { what, why }, now, out);
            }
            None => {
                let why = "whether it is needed is not known: the condition was not evaluated";
                self.refuse(why.to_owned(), now, out);
            }
        }
    }

    fn checked(&mut self, mut results: Vec<Evaluation>, now: Timestamp) {
        let Some(spec) = self.spec() else { return };
        // An answer that lacks an expression must not read as one that holds.
        let wanted: Vec<&str> =
            spec.preconditions.iter().map(Precondition::label).chain(spec.bind.iter().map(String::as_str)).collect();
        results.truncate(wanted.len());
        for missing in wanted.iter().skip(results.len()) {
            results.push(Evaluation {
                text: (*missing).to_owned(),
                verdict: Verdict::Unknown("it was not evaluated".into()),
                detail: String::new(),
                observed_at: None,
            });
        }
        self.edit(|s| {
            s.checks = results;
            s.checked_at = Some(now);
        });
    }

    /// The first precondition that does not hold.
    pub(super) fn broken(&self) -> Option<Broken> {
        self.here()?.checks.iter().find_map(|c| {
            let (word, detail) = match &c.verdict {
                Verdict::True => return None,
                Verdict::False => ("false", &c.detail),
                Verdict::Unknown(why) => ("not known", why),
            };
            Some(Broken::of(format!("a precondition is {word}: {}", c.text), detail))
        })
    }

    /// Rendered and checked: the intent is recorded, or the step is blocked.
    pub(super) fn ready(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let (Some(spec), Some(rendering)) = (self.spec(), self.here().and_then(|h| h.rendering.clone())) else {
            return;
        };
        let denied = rendering.assessment.denials.first().map(|d| Broken::new(d.clean()));
        if let Some(broken) = denied.or_else(|| self.broken()) {
            return self.refuse_for(broken, now, out);
        }
        self.edit(|s| s.refused = None);
        if spec.class() == Class::Looks {
            return self.start_step(out);
        }
        if spec.run.as_ref().is_some_and(|r| r.dry_run) && self.here().is_some_and(|h| h.dry_run.is_none()) {
            return self.ask(Question::DryRun, out);
        }
        match self.intended_body(&spec.id, &rendering) {
            Ok(body) => self.record("step.intended", body, Then::Intended, out),
            Err(why) => self.refuse(why, now, out),
        }
    }

    /// Blocks the step, and says so in a record: the first time, and whenever something was waiting for an answer.
    pub(super) fn refuse(&mut self, why: String, now: Timestamp, out: &mut Vec<Effect>) {
        self.refuse_for(Broken::new(why), now, out);
    }

    pub(super) fn refuse_for(&mut self, Broken { what, why }: Broken, now: Timestamp, out: &mut Vec<Effect>) {
        let known = self.here().is_some_and(|h| h.refused.as_ref() == Some(&what));
        let waited = matches!(self.phase, Phase::Confirmation { .. } | Phase::Approval { .. });
        if known && !waited {
            return self.block(why, now);
        }
        self.edit(|s| {
            s.refused = Some(what);
            s.intended = None;
            s.confirmed = None;
            s.approvals.clear();
        });
        let said = self.here().map(|h| checks(&h.checks)).filter(|said| *said != json!([]));
        let body = said.map_or_else(|| json!({"why": why}), |said| json!({"why": why, "checks": said}));
        self.record("step.refused", body, Then::Refused { why }, out);
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
            "targets": here.fan.as_ref().map(|f| f.labels(&f.batch)),
        });
        self.record("step.started", body, Then::Started, out);
    }
}
