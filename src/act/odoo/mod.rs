//! Odoo through its database: a look at the job channels, and putting zombie jobs back into the queue. The
//! statements run on the PostgreSQL instance of the tenant. Only the engine calls this.

mod inspect;
mod requeue;
#[cfg(test)]
mod tests;

use super::DynVerb;
use super::args;
use super::look::Looking;
use super::postgres::Instances;
use crate::domain::estate::{DatabaseRef, Tenant};
use crate::domain::id::TenantId;
use crate::domain::ports::{RenderContext, VerbError};
use crate::domain::request::VerbSpec;
pub use inspect::SPEC as QUEUE_INSPECT;
pub use requeue::SPEC as REQUEUE_JOBS;
use std::sync::Arc;

/// What the verbs declare.
pub static SPECS: &[&VerbSpec] = &[&inspect::SPEC, &requeue::SPEC];

/// The verbs on the tenants' databases on these instances.
pub fn verbs(instances: &Arc<Instances>) -> Vec<Arc<DynVerb>> {
    vec![
        Looking::shared(inspect::QueueInspect::new(Arc::clone(instances))),
        Arc::new(requeue::RequeueJobs::new(Arc::clone(instances))),
    ]
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
