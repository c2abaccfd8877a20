//! Finding the Deployment that the arguments name, in what is known of its cluster.

use crate::domain::facts::kubernetes::Workload;
use crate::domain::facts::{Facts, KubernetesFacts};
use crate::domain::id::SourceId;
use crate::domain::ports::{RenderContext, VerbError};
use crate::domain::request::Target;
use crate::domain::sample::{Freshness, SourceKind};
use crate::domain::world::SourceState;
use serde_json::{Value, json};

/// Content type of [`Found::patch`].
pub const JSON_PATCH: &str = "application/json-patch+json";

/// Where a patch tests the UID.
pub const UID: &str = "/metadata/uid";

/// The names in the arguments, checked.
pub struct Names {
    pub cluster: SourceId,
    pub namespace: String,
    pub deployment: String,
}

impl Names {
    /// Reads them. A name that Kubernetes itself would refuse never gets into a path.
    pub fn from_args(context: &RenderContext<'_>) -> Result<Self, VerbError> {
        Ok(Self {
            cluster: SourceId::new(text(context, "cluster")?),
            namespace: name(context, "namespace", 63)?,
            deployment: name(context, "deployment", 253)?,
        })
    }

    /// Path of the Deployment.
    pub fn path(&self) -> String {
        format!("/apis/apps/v1/namespaces/{}/deployments/{}", self.namespace, self.deployment)
    }

    /// The source that observes the cluster.
    pub fn source<'a>(&self, context: &RenderContext<'a>) -> Result<&'a SourceState, VerbError> {
        let state = context.world.sources.get(&self.cluster);
        state.filter(|s| s.spec.kind == SourceKind::Kubernetes).ok_or_else(|| {
            let all = context.world.sources.values().filter(|s| s.spec.kind == SourceKind::Kubernetes);
            let known: Vec<&str> = all.map(|s| s.spec.id.as_str()).collect();
            let known = if known.is_empty() { "none is".to_owned() } else { known.join(", ") };
            VerbError::new(format!("cluster {} is not configured; known: {known}", self.cluster))
        })
    }

    /// The target of a request on this Deployment. A namespace that belongs to no tenant may serve all, so all
    /// tenants of the cluster are then in the blast radius.
    pub fn target(&self, context: &RenderContext<'_>, facts: &KubernetesFacts, object: String, count: u64) -> Target {
        let on_cluster = || {
            context.estate.tenants.iter().filter(|t| t.namespace.as_ref().is_some_and(|n| n.cluster == self.cluster))
        };
        let owners = on_cluster()
            .filter(|t| t.namespace.as_ref().is_some_and(|n| n.name == self.namespace))
            .map(|t| t.id.clone());
        let mut tenants: Vec<_> = owners.collect();
        if tenants.is_empty() {
            tenants = on_cluster().map(|t| t.id.clone()).collect();
        }
        Target {
            source: self.cluster.clone(),
            identity: facts.cluster_uid.clone(),
            environment: context.estate.environment,
            object,
            tenants,
            count,
        }
    }
}

/// A Deployment as it is known now.
pub struct Found<'a> {
    pub names: Names,
    pub facts: &'a KubernetesFacts,
    pub workload: &'a Workload,
}

impl<'a> Found<'a> {
    /// Finds the Deployment that the arguments name, in fresh facts only.
    pub fn new(context: &RenderContext<'a>) -> Result<Self, VerbError> {
        let names = Names::from_args(context)?;
        let state = names.source(context)?;
        if let Freshness::Unknown { why, .. } = state.freshness(context.now) {
            return Err(VerbError::new(format!("cluster {} is not known well enough to act on: {why}", names.cluster)));
        }
        let Some(Facts::Kubernetes(facts)) = state.fresh_facts(context.now) else {
            return Err(VerbError::new(format!("source {} does not observe a cluster", names.cluster)));
        };
        let wanted = (names.namespace.as_str(), names.deployment.as_str());
        let found = facts.workloads.iter().find(|w| (w.namespace.as_str(), w.name.as_str()) == wanted);
        let workload = found.ok_or_else(|| {
            let why = format!("cluster {} has no Deployment {}/{}", names.cluster, names.namespace, names.deployment);
            let hidden = facts.missing.iter().find(|m| m.remedy.contains("\"deployments\""));
            VerbError::new(hidden.map_or(why.clone(), |m| format!("{why} that we may see; {}", m.remedy)))
        })?;
        Ok(Self { names, facts, workload })
    }

    /// A JSON patch (RFC 6902) of these operations, which the API server applies only when UID and generation are
    /// those that were seen: it answers 422 and changes nothing otherwise. The generation counts changes of the spec;
    /// a resource version would also be void after each change of the status, and pods that come and go make many.
    pub fn patch(&self, operations: impl IntoIterator<Item = Value>) -> String {
        let test = |path: &str, value: Value| json!({"op": "test", "path": path, "value": value});
        let workload = self.workload;
        let tests = [test(UID, json!(workload.uid)), test("/metadata/generation", json!(workload.generation))];
        format!("{:#}", Value::Array(tests.into_iter().chain(operations).collect()))
    }

    /// The same in words.
    pub fn server_checks(&self) -> Vec<String> {
        vec![
            format!("only if metadata.uid = {}", self.workload.uid),
            format!("only if metadata.generation = {} (spec unchanged since seen)", self.workload.generation),
        ]
    }

    /// The object in one line.
    pub fn object(&self) -> String {
        let Workload { namespace, name, uid, .. } = self.workload;
        format!("Deployment {namespace}/{name}, uid {uid}")
    }
}

fn text<'a>(context: &RenderContext<'a>, arg: &str) -> Result<&'a str, VerbError> {
    match context.args.get(arg) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(_) => Err(VerbError::new(format!("argument {arg} has to be a text that is not empty"))),
        None => Err(VerbError::new(format!("argument {arg} is missing"))),
    }
}

/// A DNS subdomain (RFC 1123), as names of Kubernetes objects are.
fn name(context: &RenderContext<'_>, arg: &str, longest: usize) -> Result<String, VerbError> {
    let name = text(context, arg)?;
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let well_formed = name.len() <= longest
        && name.chars().all(inner)
        && end(name.chars().next())
        && end(name.chars().next_back())
        && !name.contains("..");
    if well_formed {
        Ok(name.to_owned())
    } else {
        let name = crate::domain::text::sanitize(name);
        Err(VerbError::new(format!("argument {arg}: {name:?} is not a name that Kubernetes allows")))
    }
}
