//! A verb that changes objects: reads them, renders requests, sends them, and looks what became of them.

use super::args::Args;
use super::call::{checks, field, short};
use super::judge::is_eviction;
use crate::act::kubernetes::call::{Clusters, acts_only};
use crate::act::kubernetes::target::tenants;
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{HttpCall, Operation, Request, Target, VerbSpec};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::{first_of, sanitize};
use crate::policy::authorized::Authorized;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What was read, by the keys of [`Read`]; null where nothing is there.
pub(in crate::act) type Found = Map<String, Value>;

/// More rounds than this no verb reads.
const ROUNDS: usize = 4;

/// Something to read before rendering.
#[derive(Debug)]
pub(in crate::act) struct Read {
    /// Under which it is found.
    pub key: &'static str,
    /// Path and query.
    pub path: String,
}

impl Read {
    /// Reads that path.
    pub fn new(key: &'static str, path: impl Into<String>) -> Self {
        Self { key, path: path.into() }
    }
}

/// Whom a request touches.
#[derive(Debug)]
pub(in crate::act) enum Scope {
    /// Who owns these namespaces.
    Namespaces(Vec<String>),
    /// All tenants of the cluster.
    Cluster,
    /// No tenant.
    Nobody,
}

/// What a verb has made of what was read.
#[derive(Debug)]
pub(in crate::act) struct Planned {
    /// The object, one line.
    pub object: String,
    /// Objects touched.
    pub count: usize,
    /// Whom it touches.
    pub scope: Scope,
    /// Requests in their order.
    pub calls: Vec<HttpCall>,
    /// See [`Request::hurts`].
    pub hurts: String,
    /// See [`Request::undo`].
    pub undo: String,
    /// See [`Request::by_hand`].
    pub by_hand: String,
}

/// What a verb plans with.
#[derive(Debug)]
pub(in crate::act) struct Asked<'a> {
    /// Arguments.
    pub args: Args<'a>,
    /// What was read.
    pub found: &'a Found,
    /// Now.
    pub now: Timestamp,
}

impl<'a> Asked<'a> {
    /// An object that has to be there; `what` names it in the sentence that says it is not.
    pub fn object(&self, key: &str, what: &str) -> Result<&'a Value, VerbError> {
        match self.found.get(key) {
            Some(object) if object.is_object() => Ok(object),
            _ => Err(VerbError::new(format!("there is no {what}"))),
        }
    }

    /// An object that may be missing.
    pub fn maybe(&self, key: &str) -> Option<&'a Value> {
        self.found.get(key).filter(|v| v.is_object())
    }

    /// The members of a list.
    pub fn list(&self, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        listed(self.found.get(key))
    }
}

/// The members of a list as the API answers it.
pub(in crate::act) fn listed(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(|l| l["items"].as_array()).into_iter().flatten()
}

/// What one verb does beyond what all do alike.
pub(in crate::act) trait Plan: Send + Sync + 'static {
    /// What it declares.
    fn spec(&self) -> &'static VerbSpec;
    /// The cluster that the arguments name.
    fn cluster(&self, args: Args<'_>) -> Result<SourceId, VerbError> {
        args.text("cluster").map(SourceId::new)
    }
    /// What to read next, given what was read already; nothing when that is enough.
    fn reads(&self, args: Args<'_>, found: &Found) -> Result<Vec<Read>, VerbError>;
    /// The requests, from what was read. Pure.
    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError>;
    /// What is left of the measure or otherwise worth knowing, for the outcome.
    fn tell(&self, _request: &Request, _answers: &[Value]) -> Option<(Value, String)> {
        None
    }
}

/// A verb made of its plan.
pub(in crate::act) struct Acting<P> {
    plan: Arc<P>,
    clusters: Arc<Clusters>,
}

impl<P: Plan> Acting<P> {
    /// The verb, on these clusters.
    pub fn new(plan: P, clusters: &Arc<Clusters>) -> Self {
        Self { plan: Arc::new(plan), clusters: Arc::clone(clusters) }
    }
}

impl<P: Plan> Verb for Acting<P> {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.plan.spec()
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let (plan, clusters, args) = (Arc::clone(&self.plan), Arc::clone(&self.clusters), asked.args.clone());
        Some(Box::pin(async move {
            let local = |e: VerbError| Failure::new(FailureKind::Local, e.message);
            let args = Args(&args);
            let cluster = plan.cluster(args).map_err(local)?;
            let link = clusters.open_to_look(&cluster).await?;
            let identity = clusters.get(&link, "/api/v1/namespaces/kube-system").await?.unwrap_or_default();
            let mut found = Found::new();
            for _ in 0..ROUNDS {
                let next = plan.reads(args, &found).map_err(local)?;
                let next: Vec<Read> = next.into_iter().filter(|r| !found.contains_key(r.key)).collect();
                if next.is_empty() {
                    break;
                }
                for read in next {
                    let seen = clusters.get(&link, &read.path).await?;
                    found.insert(read.key.to_owned(), seen.unwrap_or_default());
                }
            }
            Ok(json!({"identity": identity["metadata"]["uid"], "found": found}))
        }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let args = Args(context.args);
        let source = self.plan.cluster(args)?;
        self.clusters.check_acting(&source).map_err(|why| VerbError::new(why.message))?;
        let surveyed = context.surveyed.ok_or_else(|| VerbError::new("its target has not been read"))?;
        let nothing = Found::new();
        let found = surveyed["found"].as_object().unwrap_or(&nothing);
        let planned = self.plan.plan(&Asked { args, found, now: context.now })?;
        let mut tenants = match &planned.scope {
            Scope::Nobody => Vec::new(),
            Scope::Cluster => tenants(context.estate, &source, None),
            Scope::Namespaces(all) => {
                all.iter().flat_map(|n| tenants(context.estate, &source, Some(n))).collect::<Vec<_>>()
            }
        };
        tenants.sort();
        tenants.dedup();
        let mut server_checks = checks(&planned.calls);
        server_checks.extend(self.clusters.named(&source));
        let calls = planned.calls;
        Ok(Request {
            verb: self.spec().name.into(),
            target: Target {
                source,
                identity: surveyed["identity"].as_str().unwrap_or_default().to_owned(),
                environment: context.estate.environment,
                object: sanitize(&planned.object),
                tenants,
                count: u64::try_from(planned.count).unwrap_or(u64::MAX),
            },
            operation: operation(calls)?,
            server_checks,
            hurts: sanitize(&planned.hurts),
            undo: sanitize(&planned.undo),
            by_hand: planned.by_hand,
        })
    }

    fn dry_run<'a>(
        &'a self,
        request: &'a Request,
        behalf: Option<&'a Behalf>,
    ) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let answers = self.clusters.try_out(self.spec().name, request, behalf).await?;
            Ok(format!("the API server would take it: {}", words(request, &answers)))
        })
    }

    fn look<'a>(&'a self, _request: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async { acts_only(self.spec().name) })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let request = permit.request().clone();
            match self.clusters.send(self.spec().name, permit).await {
                Ok(answers) => {
                    let mut result = json!({"count": answers.len(), "objects": objects(&answers)});
                    let mut summary = words(&request, &answers);
                    if let Some((more, said)) = self.plan.tell(&request, &answers) {
                        if let (Some(result), Value::Object(more)) = (result.as_object_mut(), more) {
                            result.extend(more);
                        }
                        summary = said;
                    }
                    Outcome::Done { result, summary }
                }
                Err(outcome) => outcome,
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(self.clusters.settle(request))
    }
}

/// One request as such, several as a list.
fn operation(calls: Vec<HttpCall>) -> Result<Operation, VerbError> {
    match <[HttpCall; 1]>::try_from(calls) {
        Ok([HttpCall { method, path, headers, body }]) => Ok(Operation::Http { method, path, headers, body }),
        Err(calls) if calls.is_empty() => Err(VerbError::new("there is nothing to do")),
        Err(calls) => Ok(Operation::Calls { calls }),
    }
}

/// What of the answers later steps may use.
fn objects(answers: &[Value]) -> Vec<Value> {
    let text = |v: &Value| v.as_str().map(sanitize);
    let one = |a: &Value| {
        let m = &a["metadata"];
        json!({
            "kind": text(&a["kind"]), "namespace": text(&m["namespace"]), "name": text(&m["name"]),
            "uid": text(&m["uid"]), "generation": m["generation"], "resource_version": text(&m["resourceVersion"]),
        })
    };
    answers.iter().filter(|a| a["metadata"]["uid"].is_string()).map(one).collect()
}

/// What was done, in one line.
fn words(request: &Request, answers: &[Value]) -> String {
    let calls = request.operation.http_calls();
    let all: Vec<String> = calls.iter().zip(answers).map(|(one, answer)| said(one, answer)).collect();
    first_of(&all, 3, "; ")
}

fn said(one: &HttpCall, answer: &Value) -> String {
    let body: Value = serde_json::from_str(&one.body).unwrap_or_default();
    let name = |v: &Value| v["metadata"]["name"].as_str().map(sanitize).unwrap_or_default();
    let kind = sanitize(answer["kind"].as_str().unwrap_or("object"));
    match one.method.as_str() {
        "PATCH" => {
            let changed = body.as_array().into_iter().flatten().filter(|o| o["op"] != "test");
            let fields: Vec<String> = changed
                .filter_map(|o| o["path"].as_str())
                .map(|p| format!("{} = {}", field(p), short(answer.pointer(p).unwrap_or(&Value::Null))))
                .collect();
            format!("{kind} {}: {}", name(answer), fields.join(", "))
        }
        "POST" if is_eviction(one) => format!("pod {} is evicted", name(&body)),
        "POST" => format!("{kind} {} is created", name(answer)),
        _ => format!("{} is deleted", one.path.split('?').next().unwrap_or_default()),
    }
}
