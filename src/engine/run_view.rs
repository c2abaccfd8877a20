//! A run as consoles see it.

use super::api::{CheckView, CommsView, ParameterView, RunView, StepView, TargetView};
use super::held::Held;
use crate::domain::id::RunId;
use crate::playbook::run::{StepLine, TargetLine};

impl Held {
    pub(super) fn view(&self, id: &RunId, now: jiff::Timestamp) -> RunView {
        let view = self.run.view(now);
        let plan = self.run.plan().playbook();
        RunView {
            id: id.clone(),
            playbook: plan.id.clone(),
            name: plan.name.clone(),
            version: plan.version,
            params: self.params.clone(),
            incident: self.incident.clone(),
            state: view.state,
            stands: view.stands,
            started_at: view.started_at.unwrap_or_default(),
            ended_at: view.ended_at,
            generation: view.generation,
            current: view.current,
            steps: view.steps.into_iter().map(|step| self.step_view(step)).collect(),
            now: view.now,
            secrets_missing: super::secrets::missing(&self.run.start().secrets, &self.secrets),
            led_by: None,
        }
    }
}

fn check_view(check: crate::playbook::run::CheckLine) -> CheckView {
    CheckView { text: check.text, holds: check.holds, detail: check.detail }
}

impl Held {
    fn step_view(&self, step: StepLine<'_>) -> StepView {
        let spec = self.run.step(step.id);
        let target = |t: TargetLine| TargetView { name: t.label, state: t.state, outcome: t.line };
        let asks = spec.filter(|_| step.asks).map(|s| ParameterView::of(&s.inputs)).unwrap_or_default();
        let comms = spec.and_then(|s| s.comms.as_ref()).zip(step.tell_at);
        StepView {
            kind: spec.map(|s| s.kind.word().to_owned()).unwrap_or_default(),
            shown_digest: step.rendering.and_then(|r| r.shown.clone()),
            targets: step.targets.into_iter().map(target).collect(),
            dry_run: step.dry_run,
            by_itself_at: step.by_itself_at,
            asks,
            comms: comms.map(|(comms, due)| CommsView {
                audience: comms.audience.clone(),
                text: comms.template.clone(),
                due,
            }),
            id: step.id.clone(),
            name: step.name.to_owned(),
            why: step.why.to_owned(),
            state: step.state,
            risk: step.risk,
            assessment: step.rendering.map(|r| r.assessment.clone()),
            request: step.rendering.map(|r| r.request.clone()),
            digest: step.rendering.map(|r| r.digest.clone()),
            checks: step.checks.into_iter().map(check_view).collect(),
            verify: step.verify.into_iter().map(check_view).collect(),
            outcome: step.outcome,
            output: step.output,
            choices: step.choices.into_iter().map(|c| (c.key, c.label)).collect(),
            started_at: step.started_at,
            ended_at: step.ended_at,
        }
    }
}
