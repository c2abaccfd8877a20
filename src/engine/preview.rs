//! What a playbook would send now: every step with its request, digest, risk and preconditions, without a run, an
//! intent or anything sent. A step that needs something which is not there yet says what it waits for.

use super::assess::{OfRun, Scene, rendering};
use super::state::State;
use crate::act::Verbs;
use crate::domain::id::{Digest, Person, RunId, StepId};
use crate::domain::mode::Mode;
use crate::domain::request::Request;
use crate::domain::risk::{Assessment, Risk};
use crate::domain::world::World;
use crate::playbook::params;
use crate::playbook::plan::Plan;
use crate::playbook::run::{Run, Start};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One step as it would be.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// Id.
    pub id: StepId,
    /// Name.
    pub name: String,
    /// Type: check, action and so on.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Risk: assessed where it could be rendered, else declared.
    pub risk: Risk,
    /// Why it is that risk, and what it takes.
    pub assessment: Option<Assessment>,
    /// What would be sent.
    pub request: Option<Request>,
    /// Digest of the request as shown here. It belongs to no run, so that it can confirm none.
    pub digest: Option<Digest>,
    /// Preconditions as the digest binds them.
    pub preconditions: Vec<String>,
    /// Why it can not be rendered now: `pending on STEP`, or what is not known.
    pub pending: Option<String>,
}

/// Renders every step against what is known now.
///
/// # Errors
/// One sentence for each parameter that is wrong.
pub fn preview(
    plan: &Arc<Plan>,
    given: &BTreeMap<String, String>,
    world: &World,
    verbs: &Verbs,
    mode: Mode,
    now: Timestamp,
) -> Result<Vec<Preview>, Vec<String>> {
    let bound = params::bind(plan.playbook(), given, &world.estate)?;
    let start = Start {
        run: RunId::new("RUN-0"),
        params: bound.values,
        tenant: bound.tenant,
        incident: None,
        by: Person::new("nobody"),
    };
    let run = Run::new(plan.clone(), start);
    let state = State::default();
    let scene = Scene { mode, now, world, state: &state, verbs };
    let of = OfRun { run: &run, incident: None, user: "nobody" };
    Ok(plan.steps().iter().map(|step| one(&scene, &of, plan, &step.id)).collect())
}

fn one(scene: &Scene<'_>, of: &OfRun<'_>, plan: &Plan, id: &StepId) -> Preview {
    let Some(step) = plan.playbook().step(id) else {
        return Preview {
            id: id.clone(),
            name: String::new(),
            kind: "check",
            risk: Risk::Low,
            assessment: None,
            request: None,
            digest: None,
            preconditions: Vec::new(),
            pending: Some("the playbook has no such step".into()),
        };
    };
    let rendered = step.run.as_ref().map(|call| {
        let (verb, request) = scene.request(of, call)?;
        rendering(scene, of, id, verb.spec(), request)
    });
    let (rendering, pending) = match rendered {
        None => (None, None),
        Some(Ok(rendering)) => (Some(rendering), None),
        Some(Err(why)) => (None, Some(waits_for(plan, step, &why))),
    };
    Preview {
        id: id.clone(),
        name: step.name.clone(),
        kind: step.kind.word(),
        risk: rendering.as_ref().map_or_else(|| step.declared_risk(), |r| r.assessment.risk),
        assessment: rendering.as_ref().map(|r| r.assessment.clone()),
        digest: rendering.as_ref().map(|r| r.digest.clone()),
        request: rendering.map(|r| r.request),
        preconditions: step.bound_preconditions(),
        pending,
    }
}

/// `pending on STEP` where a template names the output of an earlier step, else why it could not be rendered.
fn waits_for(plan: &Plan, step: &crate::playbook::schema::Step, why: &str) -> String {
    let args = step.run.as_ref().map(|c| format!("{:?}", c.args)).unwrap_or_default();
    let before = plan.steps().iter().take_while(|s| s.id != step.id);
    match before.filter(|s| args.contains(&format!("outputs.{}", s.output_name()))).last() {
        Some(earlier) => format!("pending on {}", earlier.id),
        None => why.to_owned(),
    }
}
