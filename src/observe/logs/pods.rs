//! Logs of a tenant's pods, by the API server's `log` subresource: of the few pods that say most, their last lines, with
//! the time at which each was written.

use super::{LINES, LONGEST};
use crate::config::model::Kubernetes;
use crate::correlate::logs::Reader;
use crate::domain::estate::{NamespaceRef, Tenant};
use crate::domain::facts::Missing;
use crate::domain::id::SourceId;
use crate::domain::logs::{LogAsk, LogPlace, LogReader, Tail, Untold};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::kubernetes::link::{Fault, Link};
use http::Request;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

/// Pods whose logs are read, at most.
const PODS: usize = 6;
/// A list of the pods of one namespace is not read further.
const LIST: usize = 8 << 20;
/// The answer to an access review is far smaller.
const SMALL: usize = 64 << 10;
/// Time allowed for all of it.
const ALLOWED: Duration = Duration::from_secs(5);
/// Lines that are asked for when the first answer was too long, since what is cut off would be its newest part.
const FEWER: usize = 50;

/// Reads the logs of pods of one cluster.
#[derive(Debug)]
pub struct PodLogs {
    config: Kubernetes,
    link: Mutex<Option<Link>>,
}

/// The part of a list of pods that is read.
#[derive(Debug, Deserialize)]
struct Pods {
    #[serde(default)]
    items: Vec<Pod>,
}

#[derive(Debug, Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    owner_references: Vec<Owner>,
    #[serde(default)]
    creation_timestamp: String,
}

#[derive(Debug, Deserialize)]
struct Owner {
    kind: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
struct Spec {
    #[serde(default)]
    containers: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    container_statuses: Vec<Container>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    restart_count: u32,
    #[serde(default)]
    state: serde_json::Map<String, Value>,
}

impl Pod {
    /// Whether it is of one of the tenant's two Deployments.
    fn is_of(&self, place: &NamespaceRef) -> bool {
        let owner = self.metadata.owner_references.first();
        [&place.web, &place.workers].into_iter().any(|name| match owner {
            // A ReplicaSet is called like its Deployment, with a digest behind.
            Some(owner) if owner.kind == "ReplicaSet" => {
                owner.name.rsplit_once('-').is_some_and(|(deployment, _)| deployment == name)
            }
            Some(owner) => owner.name == *name,
            None => false,
        })
    }

    fn container(&self) -> Option<&Container> {
        self.status.container_statuses.iter().max_by_key(|c| (!c.ready, c.restart_count))
    }

    /// Those that do not run well first, then the newest.
    fn order(&self) -> (bool, u32, &str) {
        let ready =
            self.status.container_statuses.iter().all(|c| c.ready) && !self.status.container_statuses.is_empty();
        (!ready, self.container().map_or(0, |c| c.restart_count), &self.metadata.creation_timestamp)
    }

    /// The container that is asked for, and whether the one before its restart is meant: one that does not run says
    /// nothing any more.
    fn wanted(&self) -> (Option<&str>, bool) {
        let main =
            self.spec.containers.iter().find(|c| c.name.contains("odoo")).or_else(|| self.spec.containers.first());
        let name = main.map(|c| c.name.as_str());
        let status = self.status.container_statuses.iter().find(|c| Some(c.name.as_str()) == name);
        let ended = status.is_some_and(|c| c.restart_count > 0 && c.state.contains_key("waiting"));
        (name, ended)
    }
}

/// What lets a login read logs.
fn rule(resource: &str, verb: &str) -> String {
    format!("ClusterRole rule: apiGroups: [\"\"], resources: [\"{resource}\"], verbs: [\"{verb}\"]")
}

fn untold(fault: Fault, resource: &str, verb: &str) -> Untold {
    let code = fault.code();
    let remedy = (code == Some(403)).then(|| rule(resource, verb));
    Untold { why: fault.into_failure().message, remedy }
}

impl PodLogs {
    /// For a `[[kubernetes]]` table. Nothing is read or sent before it is asked.
    pub fn new(_: MayObserve, config: &Kubernetes) -> Self {
        Self { config: config.clone(), link: Mutex::new(None) }
    }

    async fn link(&self, deadline: Instant) -> Result<Link, Untold> {
        let late = |_| Untold::new(format!("its API server gave no way in within {} s", ALLOWED.as_secs()));
        let mut link = timeout_at(deadline, self.link.lock()).await.map_err(late)?;
        if let Some(link) = &*link {
            return Ok(link.clone());
        }
        let Kubernetes { kubeconfig, context, .. } = self.config.clone();
        let opened = timeout_at(deadline, Link::open(kubeconfig, context, ALLOWED)).await.map_err(late)?;
        let opened = opened.map_err(|failure| Untold::new(failure.message))?;
        *link = Some(opened.clone());
        Ok(opened)
    }

    /// Asks whether the login may list pods and read their logs, in the whole cluster, else in each tenant's namespace.
    async fn rights(&self, tenants: &[Tenant]) -> Result<Vec<Missing>, Untold> {
        let deadline = Instant::now() + ALLOWED;
        let link = self.link(deadline).await?;
        let places: Vec<&NamespaceRef> =
            tenants.iter().filter_map(|t| t.namespace.as_ref()).filter(|n| n.cluster == self.config.id).collect();
        let mut missing = Vec::new();
        for (resource, verb) in [("pods", "list"), ("pods/log", "get")] {
            let may = async |place: &str| match timeout_at(deadline, may(&link, place, resource, verb)).await {
                Ok(answer) => answer.map_err(|fault| untold(fault, resource, verb)),
                Err(_) => Err(untold(late(&link, "an access review"), resource, verb)),
            };
            if may("").await? {
                continue;
            }
            let mut without = Vec::new();
            for place in &places {
                if !may(&place.name).await? {
                    without.push(place.name.as_str());
                }
            }
            if !without.is_empty() {
                let disables = format!("logs of pods in {} (right to {verb} {resource})", without.join(", "));
                missing.push(Missing { disables: sanitize(&disables), remedy: rule(resource, verb) });
            }
        }
        Ok(missing)
    }

    async fn all(&self, ask: &LogAsk, place: &NamespaceRef) -> Vec<LogPlace> {
        let (asked, deadline) = (Instant::now(), Instant::now() + ALLOWED);
        let whole = format!("pods of {}", place.name);
        let refused = |why: Untold| vec![super::place(&self.config.id, &whole, asked, Err(why))];
        let link = match self.link(deadline).await {
            Ok(link) => link,
            Err(why) => return refused(why),
        };
        let pods = match pods(&link, place, deadline).await {
            Ok(pods) => pods,
            Err(fault) => {
                self.forget(&fault).await;
                return refused(untold(fault, "pods", "list"));
            }
        };
        if pods.is_empty() {
            let why = format!("there is no pod of {} or {} in {}", place.web, place.workers, place.name);
            return refused(Untold::new(why));
        }
        let one = async |pod: &Pod| {
            let asked = Instant::now();
            let (container, ended) = pod.wanted();
            let before = if ended { ", before its restart" } else { "" };
            let name = format!("pod {}/{}{before}", place.name, pod.metadata.name);
            let said = tail(&link, place, pod, (container, ended), ask, deadline).await;
            if let Err(fault) = &said {
                self.forget(fault).await;
            }
            super::place(&self.config.id, &name, asked, said.map_err(|fault| untold(fault, "pods/log", "get")))
        };
        let shown = pods.iter().take(PODS).map(one);
        let mut all = futures::future::join_all(shown).await;
        if pods.len() > PODS {
            let why = format!("{} more pods were not read: those that do not run well come first", pods.len() - PODS);
            all.push(super::place(&self.config.id, &whole, asked, Err(Untold::new(why))));
        }
        all
    }

    /// Credentials that failed may have been renewed.
    async fn forget(&self, fault: &Fault) {
        let why = match fault {
            Fault::NotSent(why) | Fault::Lost(why) | Fault::Refused { why, .. } => why,
        };
        if matches!(why.kind, FailureKind::Authentication | FailureKind::Local | FailureKind::Tls) {
            *self.link.lock().await = None;
        }
    }
}

fn late(link: &Link, what: &str) -> Fault {
    Fault::Lost(link.failure(FailureKind::Timeout, &format!("no answer to {what} within {} s", ALLOWED.as_secs())))
}

/// One `SelfSubjectAccessReview`.
async fn may(link: &Link, namespace: &str, resource: &str, verb: &str) -> Result<bool, Fault> {
    let strange = |what: &str| Fault::Lost(link.failure(FailureKind::Protocol, what));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": {
            "namespace": namespace, "resource": resource, "subresource": subresource, "verb": verb,
        } },
    });
    let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .header("content-type", "application/json")
        .body(body.to_string().into_bytes())
        .map_err(|e| strange(&format!("no request: {e}")))?;
    let answer = link.body(link.send(request).await?, SMALL).await?;
    let answer: Value = serde_json::from_slice(&answer).map_err(|_| strange("the answer is no JSON"))?;
    let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool);
    allowed.ok_or_else(|| strange("the access review has no answer"))
}

async fn pods(link: &Link, place: &NamespaceRef, deadline: Instant) -> Result<Vec<Pod>, Fault> {
    let path = format!("/api/v1/namespaces/{}/pods?limit=500", place.name);
    let body = timeout_at(deadline, link.get(&path, LIST)).await.map_err(|_| late(link, &format!("GET {path}")))??;
    let pods: Pods = serde_json::from_slice(&body)
        .map_err(|_| Fault::Lost(link.failure(FailureKind::Protocol, "does not answer like Kubernetes")))?;
    let mut pods: Vec<Pod> = pods.items.into_iter().filter(|p| p.is_of(place)).collect();
    pods.sort_by(|a, b| b.order().cmp(&a.order()));
    Ok(pods)
}

async fn tail(
    link: &Link,
    place: &NamespaceRef,
    pod: &Pod,
    (container, previous): (Option<&str>, bool),
    ask: &LogAsk,
    deadline: Instant,
) -> Result<Tail, Fault> {
    let database = ask.tenant.database.as_ref().map(|d| d.name.as_str());
    let container = container.map(|c| format!("&container={c}")).unwrap_or_default();
    // What ended before the time that is asked for is still why it ended.
    let since = if previous { String::new() } else { format!("&sinceTime={:.0}", ask.from) };
    let mut tail = Tail::default();
    for lines in [LINES, FEWER] {
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}/log?timestamps=true&tailLines={lines}&previous={previous}{since}{container}",
            place.name, pod.metadata.name
        );
        let mut reader = Reader::new(database).stamped();
        let whole = stream(link, &path, &mut reader, deadline).await?;
        tail = reader.finish();
        match whole {
            Whole::Yes => return Ok(tail),
            Whole::Late if tail.lines == 0 => return Err(late(link, "the question for a log")),
            Whole::Late => {
                tail.cut = Some(format!("no more came within {} s", ALLOWED.as_secs()));
                return Ok(tail);
            }
            Whole::Long => {}
        }
    }
    tail.cut = Some(format!("its last {FEWER} lines are longer than {} KiB, the newest are missing", LONGEST >> 10));
    Ok(tail)
}

/// Whether all of an answer was read.
enum Whole {
    Yes,
    Late,
    Long,
}

async fn stream(link: &Link, path: &str, reader: &mut Reader, deadline: Instant) -> Result<Whole, Fault> {
    let request = Request::get(path).body(Vec::new()).map_err(|e| {
        Fault::NotSent(Failure::new(FailureKind::Local, format!("{path} is not a path that can be asked for: {e}")))
    })?;
    let response = timeout_at(deadline, link.send(request)).await.map_err(|_| late(link, &format!("GET {path}")))??;
    let mut body = response.into_body();
    let mut bytes = 0;
    loop {
        match timeout_at(deadline, body.frame()).await {
            Err(_) => return Ok(Whole::Late),
            Ok(None) => return Ok(Whole::Yes),
            Ok(Some(Err(error))) => return Err(Fault::Lost(link.transport(&error))),
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                bytes += data.len();
                if bytes > LONGEST {
                    return Ok(Whole::Long);
                }
                reader.feed(&data);
            }
        }
    }
}

impl LogReader for PodLogs {
    fn id(&self) -> &SourceId {
        &self.config.id
    }

    fn address(&self) -> String {
        sanitize(&self.config.kubeconfig.display().to_string())
    }

    fn lacks<'a>(&'a self, tenants: &'a [Tenant]) -> BoxFuture<'a, Result<Vec<Missing>, Untold>> {
        Box::pin(self.rights(tenants))
    }

    fn read<'a>(&'a self, ask: &'a LogAsk) -> BoxFuture<'a, Vec<LogPlace>> {
        Box::pin(async move {
            match ask.tenant.namespace.as_ref().filter(|place| place.cluster == self.config.id) {
                Some(place) => self.all(ask, place).await,
                None => Vec::new(),
            }
        })
    }
}
