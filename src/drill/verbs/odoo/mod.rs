//! The verbs of the simulated Odoo: its job queue, its crons, its workers, its keys and exports, and the integrations
//! that run through its queue. The parent module lists them.

mod access;
mod integration;
mod queue;
mod workers;

pub(super) use queue::{QueueInspect, RequeueJobs};

use super::effect::{Aim, Effect, sql};
use super::given::Given;
use crate::domain::ports::VerbError;
use crate::drill::model::Simulation;
use crate::drill::model::tenant::Tenant;

/// What they do, one list a file.
pub(super) static EFFECTS: [&[Effect]; 3] = [workers::EFFECTS, access::EFFECTS, integration::EFFECTS];

/// The tenant of the argument `tenant` in the model.
fn tenant<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<&'s Tenant, VerbError> {
    let id = &given.tenant()?.id;
    sim.tenant(id).ok_or_else(|| VerbError::new(format!("there is no tenant {id}")))
}

/// The same, to change it.
fn tenant_mut<'s>(given: &Given<'_>, sim: &'s mut Simulation) -> Result<&'s mut Tenant, VerbError> {
    let id = given.tenant()?.id.clone();
    sim.tenant_mut(&id).ok_or_else(|| VerbError::new(format!("there is no tenant {id}")))
}

/// A statement in the tenant's database.
fn statement(
    given: &Given<'_>,
    sim: &Simulation,
    text: &str,
    parameters: Vec<String>,
    object: String,
) -> Result<Aim, VerbError> {
    let tenant = tenant(given, sim)?;
    let identity = sim.instances.get(&tenant.instance).map_or("", |i| i.system_identifier.as_str()).to_owned();
    if !sim.instances.get(&tenant.instance).is_some_and(|i| i.pair.serves(tenant.id.as_str())) {
        return Err(VerbError::new(format!("the database of {} takes no writes now", tenant.id)));
    }
    let aim = Aim::at(tenant.instance.clone(), object, sql(tenant.id.as_str(), text, parameters));
    Ok(Aim { identity, ..aim }.tenants([tenant.id.clone()]))
}
