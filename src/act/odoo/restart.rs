//! `odoo.restart_workers`: the rollout restart of the Deployment that runs a tenant's jobs. It renders, and therefore is
//! executed and reconciled, as `kubernetes.rollout_restart` of that Deployment.

use super::TENANT;
use crate::act::DynVerb;
use crate::config::model::Kubernetes;
use crate::domain::behalf::Behalf;
use crate::domain::estate::Estate;
use crate::domain::id::TenantId;
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "odoo.restart_workers",
    what: "replaces the pods that run a tenant's jobs, one after another",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Compensatable,
    idempotent: false,
    read_only: false,
    args: &[TENANT],
};

/// The verb that it stands for.
const RESTART: &str = "kubernetes.rollout_restart";

/// The verb; without the one that it stands for there is nothing to do.
pub(super) fn verb(may: MayAct, clusters: &[Kubernetes]) -> Option<Arc<DynVerb>> {
    let restart = crate::act::kubernetes::verbs(may, clusters).into_iter().find(|v| v.spec().name == RESTART)?;
    Some(Arc::new(RestartWorkers(restart)))
}

struct RestartWorkers(Arc<DynVerb>);

/// The Deployment of the tenant's workers, as arguments of the other verb.
fn deployment(estate: &Estate, tenant: &str) -> Result<BTreeMap<String, Value>, VerbError> {
    let id = TenantId::new(tenant);
    let tenant = estate
        .tenant(&id)
        .ok_or_else(|| VerbError::new(format!("there is no tenant {}", crate::domain::text::sanitize(id.as_str()))))?;
    let place = tenant.namespace.as_ref();
    let place = place.ok_or_else(|| VerbError::new(format!("tenant {id} has no `kubernetes` in the configuration")))?;
    Ok(BTreeMap::from([
        ("cluster".to_owned(), json!(place.cluster.as_str())),
        ("namespace".to_owned(), json!(place.name)),
        ("deployment".to_owned(), json!(place.workers)),
    ]))
}

impl Verb for RestartWorkers {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let args = deployment(&asked.estate, asked.args.get("tenant")?.as_str()?).ok()?;
        self.0.survey(&Survey { estate: Arc::clone(&asked.estate), args })
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let args = deployment(context.estate, &crate::act::args::required(context, "tenant")?)?;
        let mut request = self.0.render(&RenderContext { args: &args, ..*context })?;
        request.hurts.push_str("; jobs that run are broken off, and run again when they are found dead");
        Ok(request)
    }

    fn dry_run<'a>(
        &'a self,
        request: &'a Request,
        behalf: Option<&'a Behalf>,
    ) -> BoxFuture<'a, Result<String, Failure>> {
        self.0.dry_run(request, behalf)
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        self.0.execute(permit)
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        self.0.reconcile(request)
    }
}
