//! What a playbook amounts to, before anything runs: every step with its exact request, its target, its preconditions
//! as they are now, and its risk with the reasons; or `pending on STEP` where a request needs an earlier output.

use super::expr::{Evaluation, Surroundings};
use super::plan::Plan;
use super::run::{Rendering, Run, Seat, Subject};
use super::schema::{Call, Class, Step};
use super::template;
use crate::domain::id::{StepId, TenantId};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

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

/// One request of a step before its verb makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece<'a> {
    /// For what it is, where a step has several.
    pub seat: Option<Seat>,
    /// What is called.
    pub call: &'a Call,
    /// Its arguments after templating.
    pub args: BTreeMap<String, Value>,
}

/// One step before its verbs make its requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft<'a> {
    /// The step.
    pub step: &'a Step,
    /// What it would send, or why that is not known.
    pub pieces: Result<Vec<Piece<'a>>, Requested>,
    condition: Option<Evaluation>,
    preconditions: Vec<Evaluation>,
}

impl<'a> Draft<'a> {
    /// With what its verbs, policy and digest have made of it.
    pub fn rendered(self, make: impl FnOnce(&'a Step, Vec<Piece<'a>>) -> Result<Rendering, String>) -> Rendered<'a> {
        let Self { step, pieces, condition, preconditions } = self;
        let requested = match pieces.map(|pieces| make(step, pieces)) {
            Ok(Ok(rendering)) => Requested::Rendered(Box::new(rendering)),
            Ok(Err(why)) => Requested::Failed(why),
            Err(requested) => requested,
        };
        Rendered { step, requested, condition, preconditions }
    }
}

/// What is known around a tenant; around the run itself without one.
pub type Around<'r> = dyn FnMut(Option<&TenantId>) -> Arc<Surroundings> + 'r;

/// What a step would send, one piece for each request.
///
/// # Errors
/// One sentence that names the argument.
pub fn pieces<'a>(run: &'a Run, step: &'a Step, around: &mut Around<'_>) -> Result<Vec<Piece<'a>>, String> {
    let outputs = run.outputs();
    let params = &run.start().params;
    let Some(parts) = run.parts(&step.id) else {
        let call = step.run.as_ref().ok_or("the step has nothing to run")?;
        let around = around(None);
        let values = template::Values { params, tenant: around.tenant.as_ref(), outputs: &outputs, item: None };
        return Ok(vec![Piece { seat: None, call, args: template::args(call, &values)? }]);
    };
    let mut pieces = Vec::with_capacity(parts.len());
    for (seat, call) in parts {
        let around = around(seat.tenant.as_ref());
        let tenant = around.tenant.as_ref();
        let values = template::Values { params, tenant, outputs: &outputs, item: seat.item.as_ref() };
        let args = template::args(call, &values).map_err(|why| format!("{}: {why}", seat.label))?;
        pieces.push(Piece { seat: Some(seat), call, args });
    }
    Ok(pieces)
}

/// A step of a run that has not begun, with what it would send.
pub fn draft<'a>(run: &'a Run, step: &'a Step, around: &mut Around<'_>) -> Draft<'a> {
    let pieces = match step.class() {
        Class::Looks | Class::Acts => match pending(run.plan(), step) {
            Some(earlier) => Err(Requested::PendingOn(earlier)),
            None => pieces(run, step, around).map_err(Requested::Failed),
        },
        _ => Err(Requested::Nothing),
    };
    let mut said = |what| run.evaluate(&step.id, what, around, None);
    let condition = said(Subject::Condition).into_iter().next();
    Draft { step, pieces, condition, preconditions: said(Subject::Preconditions) }
}

/// The earlier step whose output the arguments need.
fn pending(plan: &Plan, step: &Step) -> Option<StepId> {
    let mut needed = Vec::new();
    for value in step.calls().flat_map(|call| call.args.values()) {
        template::texts(value, &mut |text| needed.extend(template::outputs_of(text)));
    }
    if let Some(parsed) = step.foreach.as_ref().and_then(|f| plan.parsed(&f.items)) {
        needed.extend(
            parsed
                .paths()
                .filter(|p| p.first().is_some_and(|root| root == "outputs"))
                .filter_map(|p| p.get(1).cloned()),
        );
    }
    let earlier = plan.steps().iter().take_while(|s| s.id != step.id);
    earlier.filter(|s| needed.contains(&s.output_name())).last().map(|s| s.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mode::Mode;
    use crate::playbook::expr::{Reading, Verdict};
    use crate::playbook::run::Start;
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
        let start = Start {
            run: "RUN-0".into(),
            params: BTreeMap::new(),
            tenant: Some("t017".into()),
            incident: None,
            by: "nobody".into(),
            targets: Vec::new(),
            parent: None,
            secrets: BTreeMap::new(),
        };
        let run = Run::new(plan, start);
        let around = Arc::new(around);
        let mut make = |step: &Step, pieces: Vec<Piece<'_>>| {
            asked.push((step.id.to_string(), json!(pieces[0].args)));
            Err("not in this test".to_owned())
        };
        let mut one = |step| draft(&run, step, &mut |_| around.clone()).rendered(&mut make);
        let steps: Vec<Rendered<'_>> = run.plan().steps().iter().map(&mut one).collect();
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
