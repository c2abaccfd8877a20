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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mode::Mode;
    use crate::playbook::expr::{Reading, Verdict};
    use crate::playbook::run::bench::{at, plan};
    use serde_json::json;

    const TEXT: &str = "
schemaVersion: 1
id: p
name: P
version: 1
owner: o
description: d
steps:
- {id: show-tree, name: T, why: W, type: check, run: {adapter: pg, verb: tree, args: {db: '{{ tenant.database }}'}}}
- id: cancel
  name: C
  why: W
  type: action
  if: signals.lock.blocked > 0
  preconditions: [{check: signals.lock.blocked > 0, maxAge: 5s, text: still waiting}]
  run: {adapter: pg, verb: cancel, args: {pid: '{{ outputs.show_tree.pid }}'}}
- {id: other, name: O, why: W, type: action, run: {adapter: pg, verb: cancel, args: {pid: '{{ tenant.pid }}'}}}
- {id: work, name: W, why: W, type: manual}
";

    #[test]
    fn every_step_says_what_it_would_send_or_what_it_waits_for() {
        let plan = plan(TEXT);
        let around = Surroundings {
            now: at(10_000),
            mode: Mode::Live,
            tenant: Some(json!({"id": "t017", "database": "t017"})),
            signals: [("lock.blocked".to_owned(), Reading { value: 3.0, observed_at: at(0) })].into(),
            incident: None,
        };
        let mut asked = Vec::new();
        let mut renderer = |step: &Step, args: &BTreeMap<String, Value>| {
            asked.push((step.id.to_string(), json!(args)));
            Err("not in this test".to_owned())
        };
        let steps = render(&plan, &BTreeMap::new(), &around, &mut renderer);
        assert_eq!(asked, [("show-tree".to_owned(), json!({"db": "t017"}))]);
        let requested: Vec<&Requested> = steps.iter().map(|s| &s.requested).collect();
        assert_eq!(requested[0], &Requested::Failed("not in this test".into()));
        assert_eq!(requested[1], &Requested::PendingOn("show-tree".into()));
        assert!(matches!(requested[2], Requested::Failed(why) if why.contains("`{{ tenant.pid }}`")), "{requested:?}");
        assert_eq!(requested[3], &Requested::Nothing);
        assert_eq!(steps[1].condition.as_ref().unwrap().verdict, Verdict::True);
        let precondition = &steps[1].preconditions[0];
        assert_eq!(precondition.text, "still waiting");
        assert!(matches!(&precondition.verdict, Verdict::Unknown(why) if why.contains("10 s old")), "{precondition:?}");
    }
}
