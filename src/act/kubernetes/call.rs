//! Sending what a request says, once, and telling what is known of its effect.

use super::object;
use crate::act::again;
use crate::config::model::Kubernetes;
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::{Operation, Request};
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::kubernetes::link::{Fault, Link};
use crate::policy::authorized::Authorized;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;

/// A look, a dry run or a reconciliation takes no longer.
pub(super) const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// A request that was lost may still be in a queue of the server; no effect is believed only when a second
/// look after this time sees none either.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// An object is at most 1.5 MiB in etcd; a page of a list has many.
const LONGEST_ANSWER: usize = 16 << 20;

/// The annotation that `kubectl rollout restart` writes.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// How each configured cluster is reached.
#[derive(Debug)]
pub struct Clusters {
    by_name: BTreeMap<SourceId, Kubernetes>,
    /// How long a request that was lost may still take effect; see `object::send`.
    pub(super) settle: Duration,
}

/// The part of a Deployment that verbs read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Deployment {
    pub metadata: Metadata,
    #[serde(default)]
    pub spec: Spec,
    #[serde(default)]
    pub status: Status,
}

/// `metadata`, also of the pod template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    pub uid: String,
    pub generation: i64,
    pub annotations: Option<BTreeMap<String, String>>,
}

/// `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Spec {
    pub replicas: Option<u32>,
    pub template: Template,
}

/// `spec.template`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    pub metadata: Metadata,
}

/// `status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    pub observed_generation: i64,
    pub replicas: u32,
    pub updated_replicas: u32,
    pub ready_replicas: u32,
    pub available_replicas: u32,
    pub conditions: Option<Vec<Condition>>,
}

/// One of `status.conditions`.
#[derive(Clone, Debug, Deserialize)]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub reason: String,
}

impl Deployment {
    /// The restart annotation of the pod template.
    pub fn restarted_at(&self) -> Option<&str> {
        self.spec.template.metadata.annotations.as_ref()?.get(RESTARTED_AT).map(String::as_str)
    }
}

impl Clusters {
    /// Of a configuration.
    pub fn new(clusters: &[Kubernetes]) -> Self {
        let settle = Duration::from_secs(object::SERVER_TIMEOUT_S + 2);
        Self { by_name: clusters.iter().map(|c| (c.id.clone(), c.clone())).collect(), settle }
    }

    /// The same, with another time in which a lost request may still take effect.
    #[cfg(test)]
    pub fn settling(clusters: &[Kubernetes], settle: Duration) -> Self {
        Self { settle, ..Self::new(clusters) }
    }

    /// Why acting on a cluster is not possible at all, if it is not.
    pub fn check_acting(&self, cluster: &SourceId) -> Result<(), Failure> {
        self.configured(cluster).and_then(|c| acting(c).map(|_| ()))
    }

    /// Sends an authorized request, once, within the time it was given.
    pub async fn execute(&self, verb: &str, permit: Authorized) -> Result<Deployment, Outcome> {
        let failed = |why| Outcome::Failed { why };
        let (request, allowed) = (permit.request(), permit.timeout());
        let cluster = self.configured(&request.target.source).map_err(failed)?;
        let sent = http_request(verb, request, "").map_err(failed)?;
        let began = tokio::time::Instant::now();
        let link = open_to_act(cluster, allowed / 2, permit.behalf().as_ref()).await.map_err(failed)?;
        // A connection may take half of what is left, so that running out of time means that it was sent.
        let left = allowed.saturating_sub(began.elapsed());
        match tokio::time::timeout(left, exchange(&link, sent)).await {
            Ok(Ok(deployment)) => Ok(deployment),
            Ok(Err(fault)) => Err(outcome(fault)),
            Err(_) => {
                let why = format!("no answer within {} s; it may have taken effect", allowed.as_secs_f64());
                Err(Outcome::Unknown { why: link.failure(FailureKind::Timeout, &why) })
            }
        }
    }

    /// Has the API server check a request without keeping its effect.
    pub async fn dry_run(&self, verb: &str, request: &Request, behalf: Option<&Behalf>) -> Result<Deployment, Failure> {
        let cluster = self.configured(&request.target.source)?;
        let sent = http_request(verb, request, "&dryRun=All")?;
        within(open_to_act(cluster, LOOK_TIMEOUT, behalf), sent).await
    }

    /// Reads the Deployment that a request is aimed at, with the rights of the observer.
    pub async fn read(&self, request: &Request) -> Result<Deployment, Failure> {
        let cluster = self.configured(&request.target.source)?;
        let Operation::Http { path, .. } = &request.operation else { return Err(not_http()) };
        let path = path.split('?').next().unwrap_or_default();
        let sent = http::Request::get(path).body(Vec::new()).map_err(|e| unsendable(&e))?;
        within(Link::open(cluster.kubeconfig.clone(), context(cluster, false), LOOK_TIMEOUT), sent).await
    }

    /// Looks twice whether a request had its effect. `judge` says what one look shows.
    pub async fn reconcile(&self, request: &Request, judge: impl Fn(&Deployment) -> Reconciled) -> Reconciled {
        let look = || async {
            match self.read(request).await {
                Ok(seen) => judge(&seen),
                Err(why) => Reconciled::Undecided { why: why.message },
            }
        };
        again::twice(SECOND_LOOK, look).await
    }

    pub(super) fn configured(&self, cluster: &SourceId) -> Result<&Kubernetes, Failure> {
        let known = self.by_name.get(cluster);
        known.ok_or_else(|| Failure::new(FailureKind::Local, format!("cluster {cluster} is not configured")))
    }
}

async fn within(
    opening: impl Future<Output = Result<Link, Failure>>,
    sent: http::Request<Vec<u8>>,
) -> Result<Deployment, Failure> {
    let asked = async { exchange(&opening.await?, sent).await.map_err(Fault::into_failure) };
    tokio::time::timeout(LOOK_TIMEOUT, asked).await.unwrap_or_else(|_| {
        let why = format!("API server gave no answer within {} s", LOOK_TIMEOUT.as_secs());
        Err(Failure::new(FailureKind::Timeout, why))
    })
}

/// A link with the credentials for acting, in the name of a person where the cluster is configured so. A connection may
/// take so long as well.
pub(in crate::act) async fn open_to_act(
    cluster: &Kubernetes,
    within: Duration,
    behalf: Option<&Behalf>,
) -> Result<Link, Failure> {
    let name = super::behalf::name(cluster, behalf)?;
    let opening = Link::open_as(acting(cluster)?.clone(), context(cluster, true), within, name);
    let late = || Err(Failure::new(FailureKind::Local, "the credentials for acting were not there in time"));
    tokio::time::timeout(within, opening).await.unwrap_or_else(|_| late())
}

pub(super) fn acting(cluster: &Kubernetes) -> Result<&std::path::PathBuf, Failure> {
    cluster.act_kubeconfig.as_ref().ok_or_else(|| {
        let why = format!("cluster {} has no act_kubeconfig: it can be looked at, not acted on", cluster.id);
        Failure::new(FailureKind::Local, why)
    })
}

/// The context is named for the observer's file; another file has its own current context.
pub(super) fn context(cluster: &Kubernetes, acting: bool) -> Option<String> {
    let same_file = cluster.act_kubeconfig.as_ref() == Some(&cluster.kubeconfig);
    if !acting || same_file { cluster.context.clone() } else { None }
}

/// Exactly what the request says, as HTTP.
fn http_request(verb: &str, request: &Request, suffix: &str) -> Result<http::Request<Vec<u8>>, Failure> {
    if request.verb != verb {
        let why = format!("a request of {} was handed to {verb}", request.verb);
        return Err(Failure::new(FailureKind::Local, why));
    }
    let Operation::Http { method, path, headers, body } = &request.operation else { return Err(not_http()) };
    let mut built = http::Request::builder().method(method.as_str()).uri(format!("{path}{suffix}"));
    for (name, value) in headers {
        built = built.header(name, value);
    }
    built.body(body.clone().into_bytes()).map_err(|e| unsendable(&e))
}

pub(super) fn not_http() -> Failure {
    Failure::new(FailureKind::Local, "the request is not one for an API server")
}

pub(super) fn unsendable(error: &http::Error) -> Failure {
    Failure::new(FailureKind::Local, format!("the request can not be sent: {error}"))
}

pub(super) async fn exchange<T: DeserializeOwned>(link: &Link, sent: http::Request<Vec<u8>>) -> Result<T, Fault> {
    let response = link.send(sent).await?;
    let body = link.body(response, LONGEST_ANSWER).await?;
    serde_json::from_slice(&body)
        .map_err(|_| Fault::Lost(link.failure(FailureKind::Protocol, "the answer is not the object")))
}

/// What a fault says of the effect. A refusal (4xx) means that nothing was changed; a server error or a
/// time limit of the server (408, 5xx) leaves it open.
pub(super) fn outcome(fault: Fault) -> Outcome {
    match fault {
        Fault::Lost(why) | Fault::Refused { code: 408 | 500.., why } => Outcome::Unknown { why },
        Fault::Refused { code: 409 | 422, why } => Outcome::Failed {
            why: Failure::new(
                why.kind,
                format!(
                    "{}; it is not the object that was shown, its uid or its generation differs or a value that was \
                     tested, and nothing was changed; look again and render anew",
                    why.message
                ),
            ),
        },
        Fault::NotSent(why) | Fault::Refused { why, .. } => Outcome::Failed { why },
    }
}

/// The failure of a verb that is asked for the other kind of run.
pub fn acts_only(verb: &str) -> Outcome {
    Outcome::Failed { why: Failure::new(FailureKind::Local, format!("{verb} acts; it can not be run as a look")) }
}

/// Whether a look shows the same object as the request is aimed at.
pub fn same_object(seen: &Deployment, body: &serde_json::Value) -> Result<(), Reconciled> {
    match operation(body, "test", super::target::UID).and_then(serde_json::Value::as_str) {
        Some(uid) if uid == seen.metadata.uid => Ok(()),
        _ => Err(Reconciled::Undecided {
            why: format!("the Deployment has been replaced by another one, uid {}", seen.metadata.uid),
        }),
    }
}

/// The value of an operation of a JSON patch.
pub fn operation<'a>(patch: &'a serde_json::Value, op: &str, at: &str) -> Option<&'a serde_json::Value> {
    let is =
        |one: &&serde_json::Value| one.get("op").is_some_and(|o| o == op) && one.get("path").is_some_and(|p| p == at);
    patch.as_array()?.iter().find(is)?.get("value")
}

/// The body of a request as JSON; null when it has none.
pub fn body_of(request: &Request) -> serde_json::Value {
    match &request.operation {
        Operation::Http { body, .. } => serde_json::from_str(body).unwrap_or_default(),
        _ => serde_json::Value::Null,
    }
}

/// RFC 3339 in whole seconds, as kubectl writes it.
pub fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
