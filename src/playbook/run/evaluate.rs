//! What the expressions of a run say: conditions, preconditions, verifications, and the values that a step is bound to.
//! Pure: the engine only brings what is known around a tenant.

use super::effect::Subject;
use super::machine::Run;
use super::record::Clean as _;
use crate::domain::id::StepId;
use crate::playbook::expr::{Evaluation, Known, Surroundings, Verdict};
use crate::playbook::schema::Step;
use serde_json::Value;
use std::time::Duration;

impl Run {
    /// One sentence for the first that is not known.
    pub fn bound_values(&self, step: &StepId, around: &Surroundings) -> Result<Vec<(String, String)>, String> {
        let Some(step) = self.step(step) else { return Ok(Vec::new()) };
        let outputs = self.outputs();
        let known = Known { around, params: &self.start.params, outputs: &outputs, result: None, item: None };
        let one = |source: &String| {
            let value = self.plan.parsed(source).and_then(|parsed| known.value(parsed));
            let value = value.ok_or_else(|| format!("`{source}`, to which it is bound, is not known now"))?;
            Ok((source.clone(), value.to_string().as_str().clean()))
        };
        step.bind.iter().map(one).collect()
    }

    /// Everything that the digest of a step binds besides its request: its preconditions, then the bound values.
    pub fn bound_lines(&self, step: &StepId, bound: &[(String, String)]) -> Vec<String> {
        let preconditions = self.step(step).map(Step::bound_preconditions).unwrap_or_default();
        preconditions.into_iter().chain(bound.iter().map(|(source, value)| format!("{source} = {value}"))).collect()
    }

    /// Evaluates what `Effect::Evaluate` asks for, against what is known now. Pure; the engine only brings what it
    /// knows around a tenant (`None`: around the run). Of a step over several, one evaluation says how all of them are.
    pub fn evaluate(
        &self,
        step: &StepId,
        what: Subject,
        around: &mut crate::playbook::Around<'_>,
        result: Option<&Value>,
    ) -> Vec<Evaluation> {
        let Some(index) = self.plan.index(step) else { return Vec::new() };
        if !self.asks_anything(index, what) {
            return Vec::new();
        }
        let Some(seats) = self.seats_of(index, what) else {
            return self.evaluate_for(index, what, &around(None), result, None);
        };
        let split = matches!(what, Subject::Verify(entry) if self.look_parts(step, entry).is_some());
        let mut said = Vec::new();
        for seat in seats {
            let around = around(seat.tenant.as_ref());
            let own = if split { result.and_then(|r| r.get(&seat.label)) } else { result };
            said.push((self.evaluate_for(index, what, &around, own, seat.item.as_ref()), seat.label));
        }
        together(said, what == Subject::Contraindications)
    }

    /// Whether there is an expression for it, so that nothing has to be gathered around hundreds of targets for none.
    fn asks_anything(&self, index: usize, what: Subject) -> bool {
        let Some(step) = self.plan.steps().get(index) else { return false };
        match what {
            Subject::Contraindications => !self.plan.playbook().contraindications.is_empty(),
            Subject::Condition => step.condition.is_some(),
            Subject::Preconditions => !step.preconditions.is_empty() || !step.bind.is_empty(),
            Subject::Ways => !step.branches.is_empty(),
            Subject::Verify(entry) => step.verify.get(entry).is_some(),
        }
    }

    fn evaluate_for(
        &self,
        index: usize,
        what: Subject,
        around: &Surroundings,
        result: Option<&Value>,
        item: Option<&Value>,
    ) -> Vec<Evaluation> {
        let Some(step) = self.plan.steps().get(index) else { return Vec::new() };
        let outputs = self.outputs();
        let known = Known { around, params: &self.start.params, outputs: &outputs, result, item };
        let one = |check: &str, text: &str, max_age: Option<Duration>| match self.plan.parsed(check) {
            Some(parsed) => known.evaluate(parsed, text, max_age),
            None => Evaluation {
                text: text.to_owned(),
                verdict: Verdict::Unknown("the expression is not part of this playbook".into()),
                detail: String::new(),
                observed_at: None,
            },
        };
        match what {
            Subject::Contraindications => {
                self.plan.playbook().contraindications.iter().map(|c| one(&c.when, &c.text, None)).collect()
            }
            Subject::Condition => step.condition.iter().map(|c| one(c, c, None)).collect(),
            Subject::Preconditions => {
                let checks = step.preconditions.iter().map(|p| one(&p.check, p.label(), p.max_age.map(|a| a.0)));
                checks.chain(self.bound_still(index, &known)).collect()
            }
            Subject::Ways => step.branches.iter().map(|w| one(&w.condition, &w.condition, None)).collect(),
            Subject::Verify(i) => {
                step.verify.get(i).map(|v| one(&v.check, v.label(), v.max_age.map(|a| a.0))).into_iter().collect()
            }
        }
    }

    /// Whether each bound value is what it was when the step was rendered.
    fn bound_still(&self, index: usize, known: &Known<'_>) -> Vec<Evaluation> {
        let Some(rendering) = self.steps.get(index).and_then(|s| s.rendering.as_ref()) else { return Vec::new() };
        let one = |(source, was): &(String, String)| {
            let now = self.plan.parsed(source).and_then(|parsed| known.value(parsed));
            let now = now.map(|value| value.to_string().as_str().clean());
            let verdict = match &now {
                Some(now) if now == was => Verdict::True,
                Some(_) => Verdict::False,
                None => Verdict::Unknown(format!("`{source}` is not known now")),
            };
            let detail = format!("was {was}, is {}", now.as_deref().unwrap_or("not known"));
            Evaluation { text: format!("{source} is still {was}"), verdict, detail, observed_at: None }
        };
        rendering.bound.iter().map(one).collect()
    }
}

/// One evaluation of each expression for several targets: false where it is false for any, not known where it is not
/// known for any (of what speaks against a run: true where it is true for any).
fn together(said: Vec<(Vec<Evaluation>, String)>, against: bool) -> Vec<Evaluation> {
    let worst = |verdict: &Verdict| match (verdict, against) {
        (Verdict::True, true) | (Verdict::False, false) => 2,
        (Verdict::Unknown(_), _) => 1,
        _ => 0,
    };
    let count = said.len();
    let mut all: Vec<(Evaluation, usize)> = Vec::new();
    for (evaluations, label) in said {
        for (i, mut one) in evaluations.into_iter().enumerate() {
            let good = usize::from(worst(&one.verdict) == 0);
            one.detail = format!("{label}: {}", one.detail);
            if let Verdict::Unknown(why) = &mut one.verdict {
                *why = format!("{label}: {why}");
            }
            let Some((known, fine)) = all.get_mut(i) else {
                all.push((one, good));
                continue;
            };
            *fine += good;
            known.observed_at = match (known.observed_at, one.observed_at) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            if worst(&one.verdict) > worst(&known.verdict) {
                known.verdict = one.verdict;
                known.detail = one.detail;
            }
        }
    }
    let line = |(mut evaluation, fine): (Evaluation, usize)| {
        evaluation.detail =
            if fine == count { format!("all {count}") } else { format!("{fine} of {count}; {}", evaluation.detail) };
        evaluation
    };
    all.into_iter().map(line).collect()
}
