//! `redis.restart`: the rollout restart of the workload that a Redis runs in, as `kubectl rollout restart` does it. The
//! API server checks that the workload is as it was shown; just before, the Redis itself has to be the one that was
//! shown, or as silent as it was then. Afterwards its run id tells.

#![allow(clippy::indexing_slicing, reason = "JSON is read by its keys, which can not panic: what is missing is null")]

use super::{REDIS, Servers};
use crate::act::args;
use crate::act::kubernetes::object::Patch;
use crate::act::kubernetes::{Clusters, seconds};
use crate::act::rights::Right;
use crate::config::model::{Redis as Config, Workload};
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{HttpCall, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// For asking the Redis which one it is.
const ALLOWED: Duration = Duration::from_secs(2);
/// Where the pods of a workload have their annotations.
const ANNOTATIONS: &str = "/spec/template/metadata/annotations";
/// The annotation that `kubectl rollout restart` writes, as a part of a JSON pointer.
const RESTARTED_AT: &str = "kubectl.kubernetes.io~1restartedAt";
/// The Redis that it was written for, and its run id by then.
const WAS: &str = "quarterdeck.io~1redis-before-restart";
/// What stands there for a Redis that did not answer.
const SILENT: &str = "silent";

/// What it declares.
pub(super) static SPEC: VerbSpec = VerbSpec {
    name: "redis.restart",
    what: "replaces the pods that a Redis runs in, one after another",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::No,
    idempotent: false,
    read_only: false,
    args: &[REDIS],
};

/// What it needs.
pub(super) static RIGHTS: &[Right] = &[
    Right::look("apps", "statefulsets", &["get"]),
    Right::look("apps", "deployments", &["get"]),
    Right::act("apps", "statefulsets", &["patch"]),
    Right::act("apps", "deployments", &["patch"]),
];

/// The verb.
pub(super) struct Restart {
    pub(super) servers: Arc<Servers>,
    pub(super) clusters: Arc<Clusters>,
}

fn local(why: String) -> Failure {
    Failure::new(FailureKind::Local, why)
}

fn path(workload: &Workload) -> String {
    format!("/apis/apps/v1/namespaces/{}/{}/{}", workload.namespace, workload.kind.plural(), workload.name)
}

/// `StatefulSet data/redis`.
fn named(workload: &Workload) -> String {
    format!("{} {}/{}", workload.kind.name(), workload.namespace, workload.name)
}

fn workload(config: &Config) -> Result<&Workload, VerbError> {
    config.workload.as_ref().ok_or_else(|| {
        let id = &config.id;
        VerbError::new(format!(
            "[[redis]] {id} has no `workload`: what it runs in is not known, so it is not restarted"
        ))
    })
}

/// The Redis and the run id that a request was rendered for.
fn shown(request: &Request) -> Option<(SourceId, String)> {
    let Operation::Http { body, .. } = &request.operation else { return None };
    let patch: Value = serde_json::from_str(body).ok()?;
    let (parent, key) = (ANNOTATIONS, WAS.replace("~1", "/"));
    let written = patch.as_array()?.iter().filter(|o| o["op"] == "add").find_map(|o| match o["path"].as_str()? {
        at if at == format!("{parent}/{WAS}") => o["value"].as_str(),
        _ => o["value"].get(&key).and_then(Value::as_str),
    })?;
    let (id, run_id) = written.split_once(' ')?;
    Some((SourceId::new(id), run_id.to_owned()))
}

impl Servers {
    /// The run id of a server now; [`SILENT`] where it does not say.
    async fn run_id(&self, id: &SourceId) -> Result<String, Failure> {
        let server = self.reach(id)?;
        let asking = async {
            let (mut connection, endpoint) = server.observe.open(ALLOWED).await?;
            let said: Result<String, _> = redis::cmd("INFO").arg("server").query_async(&mut connection).await;
            said.map_err(|e| endpoint.classify(&e, "INFO", ALLOWED))
        };
        let found = |text: String| {
            let id = text.lines().find_map(|l| l.strip_prefix("run_id:")).map(|l| sanitize(l.trim()));
            id.filter(|id| !id.is_empty()).unwrap_or_else(|| SILENT.to_owned())
        };
        match tokio::time::timeout(ALLOWED, asking).await {
            Ok(Ok(text)) => Ok(found(text)),
            // A login that is wrong says nothing about the server; no answer, or one that it is loading, does.
            Ok(Err(why)) if matches!(why.kind, FailureKind::Authentication | FailureKind::Permission) => Err(why),
            Ok(Err(why)) if why.kind == FailureKind::Local => Err(why),
            Ok(Err(_)) | Err(_) => Ok(SILENT.to_owned()),
        }
    }
}

impl Restart {
    /// Whether the Redis still is what was shown.
    async fn is_as_shown(&self, request: &Request) -> Result<String, Failure> {
        let (id, before) = shown(request).ok_or_else(|| crate::act::foreign(request))?;
        let now = self.servers.run_id(&id).await?;
        if now == before {
            return Ok(before);
        }
        let is =
            if now == SILENT { "does not answer any more".to_owned() } else { format!("has the run id {now} now") };
        Err(local(format!("{id} {is}, {before} was shown: nothing was done, look again")))
    }

    fn checked(&self, request: &Request) -> Result<(), Failure> {
        let ours = shown(request).and_then(|(id, _)| {
            let workload = self.servers.reach(&id).ok()?.config.workload.as_ref()?;
            let Operation::Http { path: at, .. } = &request.operation else { return None };
            Some(at.split('?').next() == Some(&path(workload)) && request.target.source == workload.cluster)
        });
        if ours == Some(true) && request.verb == SPEC.name { Ok(()) } else { Err(crate::act::foreign(request)) }
    }
}

impl Verb for Restart {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let id = SourceId::new(asked.args.get("redis")?.as_str()?);
        let place = self.servers.get(&id).ok()?.config.workload.clone()?;
        let (servers, clusters) = (Arc::clone(&self.servers), Arc::clone(&self.clusters));
        Some(Box::pin(async move {
            let link = clusters.open_to_look(&place.cluster).await?;
            let found = clusters.get(&link, &path(&place)).await?;
            let found = found.ok_or_else(|| local(format!("there is no {}", named(&place))))?;
            Ok(json!({ "run_id": servers.run_id(&id).await?, "workload": found }))
        }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "redis")?);
        let server = self.servers.get(&id)?;
        let place = workload(&server.config)?;
        self.clusters.check_acting(&place.cluster).map_err(|why| VerbError::new(why.message))?;
        let found = context.surveyed.ok_or_else(|| VerbError::new("its workload has not been read"))?;
        let object = &found["workload"];
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        let run_id = found["run_id"].as_str().unwrap_or(SILENT);
        let Workload { namespace, name, kind, .. } = place;
        if object["spec"]["updateStrategy"]["type"] == "OnDelete" {
            let why = "replaces no pod by itself (updateStrategy OnDelete): delete its pods one after another";
            return Err(VerbError::new(format!("{} {why}", named(place))));
        }
        let pods = object["spec"]["replicas"].as_u64().unwrap_or(1);
        let HttpCall { method, path, headers, body } = Patch::of(path(place), object)
            .unchanged_spec()
            .set(&format!("{ANNOTATIONS}/{RESTARTED_AT}"), json!(seconds(context.now)))
            .set(&format!("{ANNOTATIONS}/{WAS}"), json!(format!("{id} {run_id}")))
            .call();
        let is = if run_id == SILENT { "which does not answer".to_owned() } else { format!("run id {run_id}") };
        Ok(Request {
            verb: SPEC.name.to_owned(),
            target: Target {
                source: place.cluster.clone(),
                identity: uid.to_owned(),
                environment: context.estate.environment,
                object: format!("Redis {id}, {is}, in {}", named(place)),
                tenants: super::everyone(context),
                count: pods,
            },
            operation: Operation::Http { method, path, headers, body },
            server_checks: [
                format!("only if metadata.uid = {uid}"),
                format!(
                    "only if metadata.generation = {} (spec unchanged since read)",
                    object["metadata"]["generation"]
                ),
                match run_id {
                    SILENT => format!("only while {id} does not answer (asked just before)"),
                    id => format!("only while the run id is {id} (asked just before)"),
                },
            ]
            .into_iter()
            .chain(self.clusters.named(&place.cluster))
            .collect(),
            hurts: format!(
                "everyone who uses {id}: {pods} pods are replaced, connections break, and what is not on disk or at a \
                 replica is lost (it is a {})",
                server.config.purpose
            ),
            undo: "Can not be taken back: what was only in memory is gone.".to_owned(),
            by_hand: format!("kubectl -n {namespace} rollout restart {}/{name}", kind.word()),
        })
    }

    fn dry_run<'a>(
        &'a self,
        request: &'a Request,
        behalf: Option<&'a Behalf>,
    ) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            self.checked(request)?;
            self.is_as_shown(request).await?;
            let answers = self.clusters.try_out(SPEC.name, request, behalf).await?;
            let generation = answers.first().map_or(Value::Null, |a| a["metadata"]["generation"].clone());
            Ok(format!("the API server would take it, as generation {generation}"))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let request = permit.request().clone();
            let before = match self.checked(&request) {
                Ok(()) => self.is_as_shown(&request).await,
                Err(why) => Err(why),
            };
            let before = match before {
                Ok(before) => before,
                Err(why) => return Outcome::Failed { why },
            };
            match self.clusters.send(SPEC.name, permit).await {
                Ok(answers) => {
                    let generation = answers.first().map_or(Value::Null, |a| a["metadata"]["generation"].clone());
                    Outcome::Done {
                        summary: format!("{}: the rollout of generation {generation} begins", request.target.object),
                        result: json!({ "before": before, "generation": generation, "pods": request.target.count }),
                    }
                }
                Err(outcome) => outcome,
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let Some((id, before)) = shown(request) else {
                return Reconciled::Undecided { why: "the request does not say which Redis it is for".to_owned() };
            };
            let written = self.clusters.settle(request).await;
            let now = self.servers.run_id(&id).await.unwrap_or_else(|_| SILENT.to_owned());
            judge(&id, &before, &now, written)
        })
    }
}

/// What the workload and the run id say together.
fn judge(id: &SourceId, before: &str, now: &str, written: Reconciled) -> Reconciled {
    let other = now != SILENT && now != before;
    let is = match now {
        SILENT => format!("{id} does not answer"),
        now if other => format!("{id} has another run id, {now}"),
        _ => format!("{id} still has the run id {before}"),
    };
    match written {
        Reconciled::TookEffect { seen } => Reconciled::TookEffect { seen: format!("{seen}; {is}") },
        Reconciled::NoEffect { seen } if other => Reconciled::Undecided {
            why: format!("{seen}, and yet {is}: somebody else has restarted it, or it ended by itself"),
        },
        Reconciled::NoEffect { seen } => Reconciled::NoEffect { seen: format!("{seen}; {is}") },
        open @ Reconciled::Undecided { .. } => open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_told_by_the_workload_and_the_run_id_together() {
        let id = SourceId::new("redis-q");
        let none = || Reconciled::NoEffect { seen: "no annotation".into() };
        let took = || Reconciled::TookEffect { seen: "ours".into() };
        let judged = |now: &str, written| judge(&id, "aa", now, written);
        assert!(matches!(judged("bb", took()), Reconciled::TookEffect { seen } if seen.contains("another run id, bb")));
        assert!(matches!(judged("aa", took()), Reconciled::TookEffect { seen } if seen.contains("still has")));
        assert!(matches!(judged("aa", none()), Reconciled::NoEffect { .. }));
        assert!(matches!(judged(SILENT, none()), Reconciled::NoEffect { .. }));
        assert!(matches!(judged("bb", none()), Reconciled::Undecided { why } if why.contains("somebody else")));
    }
}
