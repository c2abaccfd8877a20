//! `odoo.set_channel_capacity` and `odoo.set_worker_profile`: settings of the Deployment that runs a tenant's jobs. How
//! many jobs a channel may run stands in an environment variable of the job runner (`ODOO_QUEUE_JOB_CHANNELS`), not in
//! the database; changing it replaces the pods. The patch names what it replaces, so the API server itself refuses it
//! when something else stands there by then.

use super::TENANT;
use super::setting::{CHANNELS, capacity, container, profile, rebuilt, test, variable};
use crate::act::again;
use crate::act::args::{self, shell};
use crate::act::kubernetes::{behalf, open_to_act};
use crate::config::model::Kubernetes;
use crate::domain::behalf::Behalf;
use crate::domain::estate::NamespaceRef;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::kubernetes::link::{Fault, Link};
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// For surveys, dry runs and for looking after an unknown outcome.
const ALLOWED: Duration = Duration::from_secs(10);
/// A request that was lost may still be in a queue of the server.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// A Deployment is at most 1.5 MiB in etcd.
const LONGEST: usize = 8 << 20;
/// What the capacity declares.
pub static CAPACITY: VerbSpec = VerbSpec {
    name: "odoo.set_channel_capacity",
    what: "sets how many jobs a channel may run at once; the job runner's pods are replaced",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        TENANT,
        ArgSpec { name: "channel", required: true, what: "full name of the channel, such as root.wms" },
        ArgSpec { name: "capacity", required: true, what: "jobs at once, 1 or more (queue_job takes 0 for no limit)" },
        ArgSpec {
            name: "lift",
            required: false,
            what: "true says that it is the capacity of before, which lifts the measure",
        },
    ],
};

/// What the profile declares.
pub static PROFILE: VerbSpec = VerbSpec {
    name: "odoo.set_worker_profile",
    what: "sets CPU and memory of the pods that run a tenant's jobs; they are replaced",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        TENANT,
        ArgSpec { name: "cpu", required: false, what: "CPU that is requested and the limit, such as 500m or 2" },
        ArgSpec {
            name: "memory",
            required: false,
            what: "memory that is requested and the limit, such as 512Mi or 2Gi",
        },
    ],
};

/// The clusters on which Deployments can be changed.
pub(super) struct Deployments(BTreeMap<SourceId, Kubernetes>);

impl Deployments {
    pub(super) fn new(_: MayAct, clusters: &[Kubernetes]) -> Self {
        Self(clusters.iter().map(|c| (c.id.clone(), c.clone())).collect())
    }

    fn cluster(&self, id: &SourceId) -> Result<&Kubernetes, Failure> {
        self.0.get(id).ok_or_else(|| local(format!("cluster {id} is not configured")))
    }

    async fn read(&self, id: &SourceId, path: &str) -> Result<Value, Failure> {
        let cluster = self.cluster(id)?;
        let link = Link::open(cluster.kubeconfig.clone(), cluster.context.clone(), ALLOWED).await?;
        let body = link.get(path, LONGEST).await.map_err(Fault::into_failure)?;
        serde_json::from_slice(&body).map_err(|_| link.failure(FailureKind::Protocol, "the answer is no Deployment"))
    }
}

fn local(why: String) -> Failure {
    Failure::new(FailureKind::Local, why)
}

fn path(place: &NamespaceRef) -> String {
    format!("/apis/apps/v1/namespaces/{}/deployments/{}", place.name, place.workers)
}

fn namespace<'a>(estate: &'a crate::domain::estate::Estate, tenant: &str) -> Result<&'a NamespaceRef, VerbError> {
    let found = estate.tenant(&TenantId::new(tenant));
    let found = found.ok_or_else(|| VerbError::new(format!("there is no tenant {}", sanitize(tenant))))?;
    let place = found.namespace.as_ref();
    place.ok_or_else(|| VerbError::new(format!("tenant {tenant} has no `kubernetes` in the configuration")))
}

/// One of the two verbs.
pub(super) struct Setting {
    spec: &'static VerbSpec,
    clusters: Arc<Deployments>,
}

impl Setting {
    pub(super) const fn new(spec: &'static VerbSpec, clusters: Arc<Deployments>) -> Self {
        Self { spec, clusters }
    }

    fn http<'a>(&self, request: &'a Request) -> Result<(&'a str, &'a str), Failure> {
        match &request.operation {
            Operation::Http { method, path, body, .. } if method == "PATCH" && request.verb == self.spec.name => {
                Ok((path, body))
            }
            _ => Err(crate::act::foreign(request)),
        }
    }

    async fn patch(&self, link: &Link, request: &Request, suffix: &str) -> Result<Value, Fault> {
        let (path, body) = self.http(request).map_err(Fault::NotSent)?;
        let built = http::Request::patch(format!("{path}{suffix}"))
            .header("content-type", "application/json-patch+json")
            .body(body.as_bytes().to_vec())
            .map_err(|e| Fault::NotSent(local(format!("the request can not be sent: {e}"))))?;
        let response = link.send(built).await?;
        let body = link.body(response, LONGEST).await?;
        serde_json::from_slice(&body)
            .map_err(|_| Fault::Lost(link.failure(FailureKind::Protocol, "the answer is no Deployment")))
    }

    /// Whether a Deployment is as a patch wants it.
    pub(super) fn is_as_wanted(body: &str, deployment: &Value) -> Option<bool> {
        let patch: Value = serde_json::from_str(body).ok()?;
        let all = patch.as_array()?;
        let uid = all.iter().find(|o| o["path"] == "/metadata/uid")?.get("value")?;
        if deployment.pointer("/metadata/uid") != Some(uid) {
            return None;
        }
        let last = all.last()?;
        Some(deployment.pointer(last.get("path")?.as_str()?) == last.get("value"))
    }
}

impl Verb for Setting {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.spec
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let tenant = asked.args.get("tenant")?.as_str()?;
        let place = namespace(&asked.estate, tenant).ok()?.clone();
        let clusters = Arc::clone(&self.clusters);
        Some(Box::pin(async move {
            let reading = clusters.read(&place.cluster, &path(&place)).await?;
            // Only what is needed: other variables may hold secrets.
            let env = variable(&reading, CHANNELS).map(|(at, value)| json!({ "at": at, "value": value }));
            let resources = container(&reading).and_then(|c| c.get("resources")).cloned();
            let metadata =
                json!({ "uid": reading.pointer("/metadata/uid"), "replicas": reading.pointer("/spec/replicas") });
            Ok(json!({ "metadata": metadata, "channels": env, "resources": resources }))
        }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = args::required(context, "tenant")?;
        let place = namespace(context.estate, &id)?;
        let cluster = self.clusters.cluster(&place.cluster).map_err(|why| VerbError::new(why.message))?;
        if cluster.act_kubeconfig.is_none() {
            return Err(VerbError::new(format!("cluster {} has no act_kubeconfig", cluster.id)));
        }
        let found = context.surveyed.ok_or_else(|| VerbError::new("the Deployment has not been read"))?;
        let deployment = rebuilt(found);
        let lifts = self.spec.name == CAPACITY.name && args::flag(context, "lift")?;
        let wanted = if self.spec.name == CAPACITY.name {
            capacity(context, &deployment)?
        } else {
            profile(context, &deployment)?
        };
        let uid = found.pointer("/metadata/uid").cloned().unwrap_or_default();
        let patch: Vec<Value> = [test("/metadata/uid", &uid)].into_iter().chain(wanted.operations).collect();
        let body = format!("{:#}", Value::Array(patch));
        let (namespace, name) = (&place.name, &place.workers);
        let pods = found.pointer("/metadata/replicas").and_then(Value::as_u64).unwrap_or(1);
        Ok(Request {
            verb: self.spec.name.to_owned(),
            target: Target {
                source: place.cluster.clone(),
                identity: uid.as_str().unwrap_or_default().to_owned(),
                environment: context.estate.environment,
                object: format!("Deployment {namespace}/{name}, {}", sanitize(&wanted.before)),
                tenants: vec![TenantId::new(id)],
                count: pods,
            },
            by_hand: format!(
                "kubectl -n {namespace} patch deployment/{name} --type=json -p {}",
                shell(&serde_json::from_str::<Value>(&body).unwrap_or_default().to_string())
            ),
            operation: Operation::Http {
                method: "PATCH".to_owned(),
                path: format!("{}?fieldManager=quarterdeck", path(place)),
                headers: BTreeMap::from([("content-type".to_owned(), "application/json-patch+json".to_owned())]),
                body,
            },
            server_checks: [
                format!("only if metadata.uid = {}", uid.as_str().unwrap_or_default()),
                "only if the old value still stands there".to_owned(),
            ]
            .into_iter()
            .chain(behalf::named(cluster))
            .collect(),
            hurts: format!(
                "{pods} pods of {namespace}/{name} are replaced, jobs that run are broken off; then {}{}",
                sanitize(&wanted.after),
                if lifts { ", as before" } else { "" }
            ),
            undo: format!("the same with the values of before: {}", sanitize(&wanted.before)),
        })
    }

    fn dry_run<'a>(
        &'a self,
        request: &'a Request,
        behalf: Option<&'a Behalf>,
    ) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let asking = async {
                let link = open_to_act(self.clusters.cluster(&request.target.source)?, ALLOWED, behalf).await?;
                self.patch(&link, request, "&dryRun=All").await.map_err(Fault::into_failure)
            };
            let late = |_| Failure::new(FailureKind::Timeout, "the API server gave no answer in time");
            let seen = tokio::time::timeout(ALLOWED, asking).await.map_err(late)??;
            let generation = seen.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
            Ok(format!("the API server would take it, as generation {generation}"))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let (request, within) = (permit.request(), permit.timeout());
            let behalf = permit.behalf();
            let opening = async {
                open_to_act(self.clusters.cluster(&request.target.source)?, within / 2, behalf.as_ref()).await
            };
            let link = match opening.await {
                Ok(link) => link,
                Err(why) => return Outcome::Failed { why },
            };
            match tokio::time::timeout(within / 2, self.patch(&link, request, "")).await {
                Ok(Ok(seen)) => {
                    let generation = seen.pointer("/metadata/generation").and_then(Value::as_i64);
                    Outcome::Done {
                        result: json!({ "generation": generation }),
                        summary: format!("{} is changed, its pods are replaced", request.target.object),
                    }
                }
                Ok(Err(Fault::Lost(why) | Fault::Refused { code: 408 | 500.., why })) => Outcome::Unknown { why },
                Ok(Err(fault)) => Outcome::Failed { why: fault.into_failure() },
                Err(_) => {
                    let why = format!("no answer within {} s; it may have taken effect", within.as_secs_f64());
                    Outcome::Unknown { why: link.failure(FailureKind::Timeout, &why) }
                }
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let look = || async {
                let asked = async {
                    let (path, body) = self.http(request)?;
                    let path = path.split('?').next().unwrap_or_default();
                    Ok::<_, Failure>((body, self.clusters.read(&request.target.source, path).await?))
                };
                match tokio::time::timeout(ALLOWED, asked).await {
                    Ok(Ok((body, seen))) => match Self::is_as_wanted(body, &seen) {
                        Some(true) => Reconciled::TookEffect { seen: "the Deployment has the new value".to_owned() },
                        Some(false) => Reconciled::NoEffect { seen: "the Deployment has another value".to_owned() },
                        None => {
                            Reconciled::Undecided { why: "the Deployment has been replaced by another one".to_owned() }
                        }
                    },
                    Ok(Err(why)) => Reconciled::Undecided { why: why.message },
                    Err(_) => Reconciled::Undecided { why: "the API server gave no answer in time".to_owned() },
                }
            };
            again::twice(SECOND_LOOK, look).await
        })
    }
}
