//! Odoo through its database: jobs, crons, keys, exports; through its Deployments: workers and their settings; through
//! its API: small pieces of work. The statements run on the PostgreSQL instance of the tenant. Only the engine calls this; `act::integration` shares how
//! a tenant's database is found.

mod crons;
#[cfg(test)]
mod cut_tests;
mod deployment;
mod exports;
mod inspect;
mod keys;
#[cfg(test)]
mod lab_deployments;
#[cfg(test)]
mod lab_tests;
#[cfg(test)]
mod more_tests;
mod priority;
mod requeue;
mod restart;
mod setting;
mod synthetic;
#[cfg(test)]
mod tests;

use super::DynVerb;
use super::args;
use super::kubernetes::DEPLOYMENT_RIGHTS;
use super::look::Looking;
use super::postgres::change::{About, Changing, Question};
use super::postgres::{Instance, Instances, primary};
use super::rights::Right;
use crate::config::model;
use crate::domain::estate::{DatabaseRef, Tenant};
use crate::domain::facts::PostgresFacts;
use crate::domain::id::TenantId;
use crate::domain::mode::MayAct;
use crate::domain::ports::{RenderContext, Survey, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, VerbSpec};
pub use inspect::SPEC as QUEUE_INSPECT;
pub use requeue::SPEC as REQUEUE_JOBS;
use std::sync::Arc;

/// What the verbs declare.
pub static SPECS: &[&VerbSpec] = &[
    &inspect::SPEC,
    &requeue::SPEC,
    &crons::PAUSE,
    &crons::RESUME,
    &priority::SPEC,
    &keys::SPEC,
    &exports::SPEC,
    &restart::SPEC,
    &deployment::CAPACITY,
    &deployment::PROFILE,
    &synthetic::SPEC,
];

/// What the verbs on Deployments have to be allowed to do.
pub static RIGHTS: &[(&VerbSpec, &[Right])] = &[
    (&restart::SPEC, DEPLOYMENT_RIGHTS),
    (&deployment::CAPACITY, DEPLOYMENT_RIGHTS),
    (&deployment::PROFILE, DEPLOYMENT_RIGHTS),
];

/// The verbs on the tenants' databases on these instances, and on their Deployments on these clusters.
pub fn verbs(may: MayAct, instances: &Arc<Instances>, clusters: &[model::Kubernetes]) -> Vec<Arc<DynVerb>> {
    let deployments = Arc::new(deployment::Deployments::new(may, clusters));
    let own: Vec<Arc<DynVerb>> = vec![
        Looking::shared(inspect::QueueInspect::new(Arc::clone(instances))),
        Arc::new(requeue::RequeueJobs::new(Arc::clone(instances))),
        Changing::shared(crons::Pause(Arc::clone(instances))),
        Changing::shared(crons::Resume(Arc::clone(instances))),
        Changing::shared(priority::JobPriority(Arc::clone(instances))),
        Changing::shared(keys::RevokeKeys(Arc::clone(instances))),
        Changing::shared(exports::LockExports(Arc::clone(instances))),
        Arc::new(deployment::Setting::new(&deployment::CAPACITY, Arc::clone(&deployments))),
        Arc::new(deployment::Setting::new(&deployment::PROFILE, deployments)),
    ];
    own.into_iter().chain(restart::verb(may, clusters)).collect()
}

/// The verbs on the configured probe companies.
pub fn synthetics(may: MayAct, configured: &[model::Synthetics]) -> Vec<Arc<DynVerb>> {
    vec![synthetic::Try::shared(may, configured)]
}

/// The tenant that the arguments name, and where its database stands.
fn tenant<'a>(context: &RenderContext<'a>) -> Result<(&'a Tenant, &'a DatabaseRef), VerbError> {
    let id = TenantId::new(args::required(context, "tenant")?);
    let tenant = context.estate.tenant(&id).ok_or_else(|| VerbError::new(format!("there is no tenant {id}")))?;
    let database = tenant.database.as_ref();
    let database =
        database.ok_or_else(|| VerbError::new(format!("tenant {id} has no database in the configuration")))?;
    Ok((tenant, database))
}

/// The argument that names the tenant.
pub(super) const TENANT: ArgSpec = ArgSpec { name: "tenant", required: true, what: "id of the tenant" };

/// A question to the database of the tenant that the arguments name; `None` where they name none, which rendering says.
pub(super) fn question(
    asked: &Survey,
    statement: &str,
    parameters: Vec<String>,
) -> Option<Result<Question, VerbError>> {
    let tenant = asked.estate.tenant(&TenantId::new(asked.args.get("tenant")?.as_str()?))?;
    let database = tenant.database.as_ref()?;
    Some(Ok(Question {
        instance: database.instance.clone(),
        database: Some(database.name.clone()),
        statement: statement.to_owned(),
        parameters,
    }))
}

/// A tenant, and its database on a primary that a verb may change.
pub(super) struct Place<'a> {
    /// The tenant.
    pub(super) tenant: &'a Tenant,
    /// Its database.
    pub(super) database: &'a DatabaseRef,
    instance: &'a Instance,
    facts: &'a PostgresFacts,
}

/// What a change of a tenant's database is about.
pub(super) struct Said {
    /// The object, one line, without the database.
    pub(super) object: String,
    /// Number of rows.
    pub(super) count: u64,
    /// What the server checks, beside its identity.
    pub(super) server_checks: Vec<String>,
    /// Whom it hurts.
    pub(super) hurts: String,
    /// How it is taken back.
    pub(super) undo: String,
}

impl<'a> Place<'a> {
    /// From the arguments.
    pub(super) fn new(context: &'a RenderContext<'a>, instances: &'a Instances) -> Result<Self, VerbError> {
        let (tenant, database) = tenant(context)?;
        let instance = instances.get(&database.instance)?;
        Ok(Self { tenant, database, instance, facts: primary(context, &database.instance)? })
    }

    /// The request around a statement.
    pub(super) fn request(
        &self,
        context: &RenderContext<'_>,
        verb: &VerbSpec,
        (statement, parameters): (&str, Vec<String>),
        said: Said,
    ) -> Result<Request, VerbError> {
        let identity = self.facts.system_identifier.clone();
        let operation =
            Operation::Sql { database: self.database.name.clone(), statement: statement.to_owned(), parameters };
        let mut server_checks = said.server_checks;
        server_checks.push(format!("only on the server with system_identifier {identity}, and not in recovery"));
        super::postgres::change::request(
            context,
            verb,
            self.instance,
            operation,
            About {
                object: format!("{} in database {}", said.object, self.database.name),
                identity,
                count: said.count,
                tenants: vec![self.tenant.id.clone()],
                server_checks,
                hurts: said.hurts,
                undo: said.undo,
            },
        )
    }
}

/// The parameters of a request, as text.
pub(super) fn parameters(request: &Request) -> Vec<String> {
    match &request.operation {
        Operation::Sql { parameters, .. } => parameters.clone(),
        _ => Vec::new(),
    }
}

/// Ids as an array of PostgreSQL.
pub(super) fn array(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("{{{}}}", ids.join(","))
}
