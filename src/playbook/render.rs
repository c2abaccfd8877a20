//! What a playbook amounts to, before anything runs: every step with its exact request, its target, its preconditions
//! as they are now, and its risk with the reasons; or `pending on STEP` where a request needs an earlier output.

use super::expr::{Evaluation, Known, Surroundings};
use super::plan::Plan;
use super::run::Rendering;
use super::schema::{Step, StepType};
use super::template;
use crate::domain::id::StepId;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is known of the request of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Requested {
    /// The step sends nothing.
    Nothing,
    /// Exactly this.
    Rendered(Box<Rendering>),
    /// It needs the output of an earlier step.
    PendingOn(StepId),
    /// It can not be rendered now; one sentence.
    Failed(String),
}

/// One step as it would run now.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered<'a> {
    /// The step.
    pub step: &'a Step,
    /// Its request.
    pub requested: Requested,
    /// Its condition, where it has one.
    pub condition: Option<Evaluation>,
    /// Its preconditions.
    pub preconditions: Vec<Evaluation>,
}

/// The verb, policy and digest of the caller: it gets a step with its arguments.
pub type Renderer<'r> = dyn FnMut(&Step, &BTreeMap<String, Value>) -> Result<Rendering, String> + 'r;

/// Renders every step.
pub fn render<'a>(
    plan: &'a Plan,
    params: &BTreeMap<String, Value>,
    around: &Surroundings,
    renderer: &mut Renderer<'_>,
) -> Vec<Rendered<'a>> {
    let outputs = BTreeMap::new();
    let values = template::Values { params, tenant: around.tenant.as_ref(), outputs: &outputs };
    let known = Known { around, params, outputs: &outputs, result: None };
    let one = |source: &str, text: &str, max_age| plan.parsed(source).map(|p| known.evaluate(p, text, max_age));
    let mut steps = Vec::new();
    for step in plan.steps() {
        let requested = match (&step.run, step.kind) {
            (Some(call), StepType::Check | StepType::Action) => match pending(plan, step) {
                Some(earlier) => Requested::PendingOn(earlier),
                None => match template::args(call, &values).and_then(|args| renderer(step, &args)) {
                    Ok(rendering) => Requested::Rendered(Box::new(rendering)),
                    Err(why) => Requested::Failed(why),
                },
            },
            _ => Requested::Nothing,
        };
        steps.push(Rendered {
            step,
            requested,
            condition: step.condition.as_deref().and_then(|c| one(c, c, None)),
            preconditions: step
                .preconditions
                .iter()
                .filter_map(|p| one(&p.check, p.label(), p.max_age.map(|a| a.0)))
                .collect(),
        });
    }
    steps
}

/// The earlier step whose output the arguments need.
fn pending(plan: &Plan, step: &Step) -> Option<StepId> {
    let mut needed = Vec::new();
    for value in step.run.iter().flat_map(|call| call.args.values()) {
        template::texts(value, &mut |text| needed.extend(template::outputs_of(text)));
    }
    let earlier = plan.steps().iter().take_while(|s| s.id != step.id);
    earlier.filter(|s| needed.contains(&s.output_name())).last().map(|s| s.id.clone())
}
