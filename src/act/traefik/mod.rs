//! Verbs on Traefik through the directory of its file provider: the maintenance page of one tenant, its limits, where
//! its requests go.
//! Built by the engine with a [`MayAct`]; executed only with a permit of `policy`.

#[cfg(test)]
mod cut_tests;
mod file;
mod limits;
mod limits_file;
#[cfg(test)]
mod limits_tests;
mod page;

use crate::config::model::Traefik as Config;
use crate::domain::behalf::Behalf;
use crate::domain::estate::{RouterRef, Tenant};
use crate::domain::id::TenantId;
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::policy::authorized::Authorized;
use file::{Change, Found};
use page::Page;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TENANT: ArgSpec = ArgSpec { name: "tenant", required: true, what: "id of the tenant" };

/// What this verb declares of itself.
pub static MAINTENANCE_ON: VerbSpec = VerbSpec {
    name: "traefik.maintenance_on",
    what: "answers a tenant's host with the maintenance page, by a router of high priority",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        TENANT,
        ArgSpec {
            name: "allow_from",
            required: false,
            what: "networks that still reach the tenant, such as 10.1.0.0/16, as a list or with commas between",
        },
    ],
};

/// What this verb declares of itself.
pub static MAINTENANCE_OFF: VerbSpec = VerbSpec {
    name: "traefik.maintenance_off",
    what: "removes a tenant's maintenance page",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[TENANT],
};

/// The verbs of this module.
pub static SPECS: &[&VerbSpec] = &[
    &MAINTENANCE_ON,
    &MAINTENANCE_OFF,
    &limits::RATE,
    &limits::IN_FLIGHT,
    &limits::PRIORITY,
    &limits::WEIGHT,
    &limits::BREAKER,
];

/// The verbs, for the configured Traefiks.
pub fn verbs(may: MayAct, config: &[Config]) -> Vec<Box<dyn Verb<Permit = Authorized>>> {
    let limits = [&limits::RATE, &limits::IN_FLIGHT, &limits::PRIORITY, &limits::WEIGHT, &limits::BREAKER];
    let maintenance = [Maintenance::on(may, config), Maintenance::off(may, config)];
    let limits =
        limits.map(|spec| Box::new(limits::Limit::new(may, spec, config)) as Box<dyn Verb<Permit = Authorized>>);
    maintenance.map(|v| Box::new(v) as Box<dyn Verb<Permit = Authorized>>).into_iter().chain(limits).collect()
}

/// `traefik.maintenance_on` or `traefik.maintenance_off`.
pub struct Maintenance {
    spec: &'static VerbSpec,
    ingresses: Arc<[Config]>,
}

impl Maintenance {
    /// The verb that sets the page.
    pub fn on(_: MayAct, config: &[Config]) -> Self {
        Self { spec: &MAINTENANCE_ON, ingresses: config.into() }
    }

    /// The verb that removes it.
    pub fn off(_: MayAct, config: &[Config]) -> Self {
        Self { spec: &MAINTENANCE_OFF, ingresses: config.into() }
    }

    fn is_on(&self) -> bool {
        self.spec.name == MAINTENANCE_ON.name
    }

    fn ingress(&self, router: &RouterRef) -> Result<(&Config, &Path), VerbError> {
        let id = &router.ingress;
        let config = self
            .ingresses
            .iter()
            .find(|c| &c.id == id)
            .ok_or_else(|| VerbError::new(format!("there is no [[traefik]] with the id {id}")))?;
        let dir = config.dynamic_dir.as_deref().ok_or_else(|| {
            VerbError::new(format!("[[traefik]] {id} has no dynamic_dir, so no maintenance page can be set there"))
        })?;
        Ok((config, dir))
    }

    /// The change that a request stands for, after making sure that it is one of ours and stays in the directory.
    fn change(&self, request: &Request) -> Result<Change, Failure> {
        let refuse = |why: &str| Failure::new(FailureKind::Local, format!("the request is refused: {why}"));
        let Operation::File { path, content } = &request.operation else {
            return Err(refuse("it writes no file"));
        };
        if request.verb != self.spec.name || content.is_some() != self.is_on() {
            return Err(refuse("it is one of another verb"));
        }
        let path = PathBuf::from(path);
        let source = &request.target.source;
        let dir = self.ingresses.iter().find(|c| &c.id == source).and_then(|c| c.dynamic_dir.as_deref());
        let named = path.file_name().and_then(|n| n.to_str()).is_some_and(page::is_file_name);
        if dir.is_none() || path.parent() != dir || !named {
            return Err(refuse("its file does not lie in the dynamic_dir of its ingress"));
        }
        Ok(Change { path, content: content.clone() })
    }
}

impl Verb for Maintenance {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.spec
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let (tenant, router) = tenant_router(context)?;
        let (config, dir) = self.ingress(router)?;
        let page = Page::new(&tenant.id, &router.host)?;
        let path = dir.join(page.file_name());
        let path = path
            .to_str()
            .ok_or_else(|| VerbError::new(format!("the dynamic_dir of {} is no UTF-8 path", config.id)))?;
        let quoted = format!("'{}'", path.replace('\'', r"'\''"));
        let (id, host) = (&tenant.id, &router.host);
        let (file, server_checks, hurts, undo, by_hand);
        if self.is_on() {
            let url = config.maintenance_url.as_deref().ok_or_else(|| {
                VerbError::new(format!(
                    "[[traefik]] {} has no maintenance_url to answer in the tenant's place",
                    config.id
                ))
            })?;
            let allowed = page::networks(context.args.get("allow_from"))?;
            let text = page.content(url, &allowed)?;
            server_checks = vec![
                "only if no file of that name stands there, or the very same one".to_owned(),
                "written aside, synced and renamed, so that Traefik never sees half of it".to_owned(),
            ];
            let but = match allowed.as_slice() {
                [] => String::new(),
                some => format!(", except from {}", some.join(", ")),
            };
            hurts = format!("everyone who opens {host} gets the maintenance page{but}; jobs and crons go on");
            undo = format!("traefik.maintenance_off removes the file; {host} answers again within seconds");
            by_hand = format!("install -m 0644 /dev/stdin {quoted} <<'END'\n{text}END");
            file = Some(text);
        } else {
            file = None;
            server_checks = vec!["only if the file there is the maintenance page of this tenant".to_owned()];
            hurts = format!("nobody; {host} reaches {id} again, so {id} must be able to serve");
            undo = "traefik.maintenance_on sets the page again".to_owned();
            by_hand = format!("rm {quoted}");
        }
        Ok(Request {
            verb: self.spec.name.into(),
            target: Target {
                source: config.id.clone(),
                identity: String::new(),
                environment: context.estate.environment,
                object: format!("router {} for host {host}", router.name),
                tenants: vec![tenant.id.clone()],
                count: 1,
            },
            operation: Operation::File { path: path.to_owned(), content: file },
            server_checks,
            hurts,
            undo,
            by_hand,
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let change = self.change(request)?;
            blocking(move || change.foresee()).await?
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let change = match self.change(permit.request()) {
                Ok(change) => change,
                Err(why) => return Outcome::Failed { why },
            };
            let (path, timeout) = (change.path.display().to_string(), permit.timeout());
            match tokio::time::timeout(timeout, blocking(move || change.carry_out())).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(why)) => Outcome::Unknown { why },
                Err(_) => {
                    let seconds = timeout.as_secs_f64();
                    let why = format!("the file system of {path} did not answer within {seconds} s");
                    Outcome::Unknown { why: Failure::new(FailureKind::Timeout, why) }
                }
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let looked = match self.change(request) {
                Ok(change) => blocking(move || (Found::at(&change.path), change)).await,
                Err(why) => Err(why),
            };
            match looked {
                Ok((Ok(found), change)) => change.reconcile(&found),
                Ok((Err(why), _)) | Err(why) => Reconciled::Undecided { why: why.message },
            }
        })
    }
}

/// The tenant of the argument `tenant`, and its router.
pub(super) fn tenant_router<'a>(context: &RenderContext<'a>) -> Result<(&'a Tenant, &'a RouterRef), VerbError> {
    let id = context
        .args
        .get("tenant")
        .and_then(|v| v.as_str())
        .ok_or_else(|| VerbError::new("the argument tenant must be the id of a tenant"))?;
    let tenant = context
        .estate
        .tenant(&TenantId::new(id))
        .ok_or_else(|| VerbError::new(format!("there is no tenant {}", crate::domain::text::sanitize(id))))?;
    let router = tenant
        .router
        .as_ref()
        .ok_or_else(|| VerbError::new(format!("tenant {id} has no router in the configuration")))?;
    Ok((tenant, router))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::new(FailureKind::Local, "the work on the file was broken off"))
}

#[cfg(test)]
pub(super) mod tests;
