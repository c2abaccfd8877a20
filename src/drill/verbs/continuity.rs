//! Business by hand, in a drill: agreed and recorded as in the live one; the papers are of the exercise.

use super::effect::{Aim, Done, Effect};
use super::given::Given;
use crate::act::continuity::Wanted;
use crate::domain::ports::VerbError;
use crate::domain::request::Operation;
use crate::drill::model::Simulation;
use serde_json::json;

pub(super) static EFFECTS: &[Effect] = &[
    Effect {
        name: "continuity.start",
        aim: |g, _| aim(g, "start"),
        act: |g, s| act(g, s, "start"),
        stands: |_, _| false,
    },
    Effect { name: "continuity.end", aim: |g, _| aim(g, "end"), act: |g, s| act(g, s, "end"), stands: |_, _| false },
    Effect {
        name: "continuity.reconcile",
        aim: |g, _| aim(g, "reconcile"),
        act: |g, s| act(g, s, "reconcile"),
        stands: |_, _| false,
    },
];

fn wanted(given: &Given<'_>, verb: &str) -> Result<Wanted, VerbError> {
    Wanted::of(&format!("continuity.{verb}"), given.estate, &|name| given.optional(name))
}

fn aim(given: &Given<'_>, verb: &str) -> Result<Aim, VerbError> {
    let Wanted { measure, what, tenant, hurts, undo } = wanted(given, verb)?;
    let operation = Operation::Record { text: what.clone() };
    let mut aim = Aim::at("continuity", what, operation).tenants([tenant]).means(hurts, undo);
    aim.identity = measure;
    Ok(aim)
}

fn act(given: &Given<'_>, sim: &mut Simulation, verb: &str) -> Result<Done, VerbError> {
    let wanted = wanted(given, verb)?;
    sim.told.push(wanted.what.clone());
    Ok((json!({ "measure": wanted.measure }), format!("{}; {}", wanted.what, wanted.hurts)))
}
