//! The verbs of the simulated cluster: Deployments, nodes, and what bounds a namespace. The parent module lists them.

mod deployments;
mod namespaces;
mod nodes;
mod restart;

pub(super) use restart::{RolloutRestart, RolloutStatus};

use super::effect::{Aim, Effect, Look};
use super::given::Given;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::ports::VerbError;
use crate::domain::request::Operation;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::build::{CLUSTER, INGRESS_NAMESPACE};
use crate::drill::model::pods::Deployment;

/// What they do, one list a file.
pub(super) static EFFECTS: [&[Effect]; 3] = [deployments::EFFECTS, nodes::EFFECTS, namespaces::EFFECTS];

/// What they see.
pub(super) static LOOKS: [&[Look]; 2] = [deployments::LOOKS, nodes::LOOKS];

/// The Deployment that the arguments name.
fn deployment<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<&'s Deployment, VerbError> {
    given.cluster()?;
    let (namespace, name) = (given.text("namespace")?, given.text("deployment")?);
    let found = if namespace == INGRESS_NAMESPACE {
        sim.edges.get(&SourceId::new(&*name)).map(|edge| &edge.controller)
    } else {
        let tenant = sim.tenant(&TenantId::new(&*namespace));
        tenant.and_then(|t| [&t.web, &t.workers].into_iter().find(|d| d.name == name))
    };
    found.ok_or_else(|| missing(&namespace, &name))
}

/// The same, to change it.
fn deployment_mut<'s>(given: &Given<'_>, sim: &'s mut Simulation) -> Result<&'s mut Deployment, VerbError> {
    let (namespace, name) = (given.text("namespace")?, given.text("deployment")?);
    let found = if namespace == INGRESS_NAMESPACE {
        sim.edges.get_mut(&SourceId::new(&*name)).map(|edge| &mut edge.controller)
    } else {
        let tenant = sim.tenant_mut(&TenantId::new(&*namespace));
        tenant.and_then(|t| [&mut t.web, &mut t.workers].into_iter().find(|d| d.name == name))
    };
    found.ok_or_else(|| missing(&namespace, &name))
}

fn missing(namespace: &str, name: &str) -> VerbError {
    VerbError::new(format!("there is no Deployment {}/{}", sanitize(namespace), sanitize(name)))
}

/// An aim at something of a namespace, with the tenant that owns it.
fn in_namespace(given: &Given<'_>, object: String, operation: Operation) -> Result<Aim, VerbError> {
    let namespace = given.text("namespace")?;
    let owner = given.estate.tenants.iter().filter(|t| t.namespace.as_ref().is_some_and(|n| n.name == namespace));
    Ok(Aim::at(CLUSTER, object, operation).tenants(owner.map(|t| t.id.clone())))
}
