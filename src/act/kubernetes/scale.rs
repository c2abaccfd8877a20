//! `kubernetes.scale`: sets the number of pods of a Deployment.

use super::call::{Clusters, acts_only, body_of, operation, same_object};
use super::target::{Found, JSON_PATCH};
use super::{CLUSTER, DEPLOYMENT, NAMESPACE};
use crate::domain::behalf::Behalf;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a Deployment has the number of its pods.
const REPLICAS: &str = "/spec/replicas";

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "kubernetes.scale",
    what: "sets the number of pods of a Deployment",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        DEPLOYMENT,
        ArgSpec { name: "replicas", required: true, what: "number of pods it shall have; 0 stops it" },
    ],
};

/// The verb.
#[derive(Debug)]
pub struct Scale(pub Arc<Clusters>);

impl Verb for Scale {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let wanted = replicas(context)?;
        let found = Found::new(context)?;
        let names = &found.names;
        self.0.check_acting(&names.cluster).map_err(|why| VerbError::new(why.message))?;
        let (namespace, name, now) = (&names.namespace, &names.deployment, found.workload.desired);
        if wanted == now {
            return Err(VerbError::new(format!("Deployment {namespace}/{name} already asks for {now} pods")));
        }
        let patch = [json!({"op": "replace", "path": REPLICAS, "value": wanted})];
        let hurts = match wanted {
            0 => format!("all {now} pods of {namespace}/{name} are stopped and none is left"),
            _ if wanted < now => format!("{} of {now} pods of {namespace}/{name} are stopped", now - wanted),
            _ => format!("{} more pods of {namespace}/{name} take room on the nodes", wanted - now),
        };
        Ok(Request {
            verb: SPEC.name.into(),
            target: names.target(context, found.facts, found.object(), u64::from(wanted.abs_diff(now))),
            operation: Operation::Http {
                method: "PATCH".into(),
                path: format!("{}?fieldManager=quarterdeck", names.path()),
                headers: BTreeMap::from([("content-type".into(), JSON_PATCH.into())]),
                body: found.patch(patch),
            },
            server_checks: found.server_checks().into_iter().chain(self.0.named(&names.cluster)).collect(),
            hurts,
            undo: format!("the same with replicas = {now}"),
            by_hand: format!("kubectl -n {namespace} scale deployment/{name} --replicas={wanted}"),
        })
    }

    fn dry_run<'a>(
        &'a self,
        request: &'a Request,
        behalf: Option<&'a Behalf>,
    ) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let seen = self.0.dry_run(SPEC.name, request, behalf).await?;
            Ok(format!("the API server would set replicas = {}", seen.spec.replicas.unwrap_or(1)))
        })
    }

    fn look<'a>(&'a self, _request: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async { acts_only(SPEC.name) })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let asked = asked(permit.request());
            let seen = match self.0.execute(SPEC.name, permit).await {
                Ok(seen) => seen,
                Err(outcome) => return outcome,
            };
            let now = seen.spec.replicas.unwrap_or(1);
            if asked != Some(u64::from(now)) {
                let why = format!("the API server answered with replicas = {now}");
                return Outcome::Unknown { why: Failure::new(FailureKind::Protocol, why) };
            }
            Outcome::Done {
                result: json!({
                    "desired": now,
                    "generation": seen.metadata.generation,
                }),
                summary: format!("{now} pods are asked for"),
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let (asked, body) = (asked(request), body_of(request));
            self.0
                .reconcile(request, |seen| {
                    if let Err(other) = same_object(seen, &body) {
                        return other;
                    }
                    let now = seen.spec.replicas.unwrap_or(1);
                    let seen = format!("the Deployment asks for {now} pods");
                    if asked == Some(u64::from(now)) {
                        Reconciled::TookEffect { seen }
                    } else {
                        Reconciled::NoEffect { seen }
                    }
                })
                .await
        })
    }
}

/// The number that a request writes.
fn asked(request: &Request) -> Option<u64> {
    operation(&body_of(request), "replace", REPLICAS).and_then(Value::as_u64)
}

/// The argument, as a number or as its text, since templating makes text of numbers.
fn replicas(context: &RenderContext<'_>) -> Result<u32, VerbError> {
    let number = match context.args.get("replicas") {
        Some(Value::Number(n)) => n.as_u64().and_then(|n| u32::try_from(n).ok()),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
        None => return Err(VerbError::new("argument replicas is missing")),
    };
    // The API's replicas is a signed 32-bit number.
    number
        .filter(|n| i32::try_from(*n).is_ok())
        .ok_or_else(|| VerbError::new("argument replicas has to be a whole number, 0 or more"))
}
