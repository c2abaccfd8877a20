//! Finding the Deployment that the arguments name, in what is known of its cluster.

use super::object::Args;
use crate::domain::estate::Estate;
use crate::domain::facts::kubernetes::Workload;
use crate::domain::facts::{Facts, KubernetesFacts};
use crate::domain::id::{SourceId, TenantId};
use crate::domain::ports::{RenderContext, VerbError};
use crate::domain::request::Target;
use crate::domain::sample::{Freshness, SourceKind};
use crate::domain::world::SourceState;
use serde_json::{Value, json};

/// Content type of [`Found::patch`].
pub const JSON_PATCH: &str = "application/json-patch+json";

/// Where a patch tests the UID.
pub const UID: &str = "/metadata/uid";

/// The tenants that something in a namespace of a cluster touches; without one, all of the cluster. A namespace that
/// belongs to no tenant may serve all, so all tenants of the cluster are then in the blast radius.
pub fn tenants(estate: &Estate, cluster: &SourceId, namespace: Option<&str>) -> Vec<TenantId> {
    let all = estate.namespaces_in(cluster);
    let owners = all.clone().filter(|(_, place)| Some(place.name.as_str()) == namespace);
    let owners: Vec<_> = owners.map(|(tenant, _)| tenant.id.clone()).collect();
    if owners.is_empty() { all.map(|(tenant, _)| tenant.id.clone()).collect() } else { owners }
}

/// The names in the arguments, checked.
pub struct Names {
    pub cluster: SourceId,
    pub namespace: String,
    pub deployment: String,
}

impl Names {
    /// Reads them. A name that Kubernetes itself would refuse never gets into a path.
    pub fn from_args(context: &RenderContext<'_>) -> Result<Self, VerbError> {
        let args = Args(context.args);
        Ok(Self {
            cluster: SourceId::new(args.text("cluster")?),
            namespace: args.namespace("namespace")?.to_owned(),
            deployment: args.name("deployment")?.to_owned(),
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

    /// The target of a request on this Deployment.
    pub fn target(&self, context: &RenderContext<'_>, facts: &KubernetesFacts, object: String, count: u64) -> Target {
        let tenants = tenants(context.estate, &self.cluster, Some(&self.namespace));
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
