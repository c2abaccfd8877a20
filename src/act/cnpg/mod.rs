//! Verbs on `PostgreSQL` clusters of `CloudNativePG`, through its objects on the API server, as its `kubectl` plugin acts
//! on them. Only the engine calls this; what is common to objects is in `act::kubernetes::object`.
#![allow(clippy::indexing_slicing, reason = "JSON is read by its keys, which can not panic: what is missing is null")]

mod backup;
mod fence;
mod primary;

#[cfg(test)]
mod lab_tests;

use super::DynVerb;
use super::kubernetes::object::{Acting, Args, Asked, Looking, Read};
use super::kubernetes::{CLUSTER, Clusters, NAMESPACE};
use super::rights::Right;
use crate::config::model::Kubernetes;
use crate::domain::mode::MayAct;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::text::sanitize;
use serde_json::Value;
use std::sync::Arc;

/// What the verbs of this adapter declare.
pub static SPECS: &[&VerbSpec] = &[
    &fence::FENCE,
    &fence::UNFENCE,
    &primary::PROMOTE,
    &primary::SCALE,
    &primary::STATUS,
    &backup::BACKUP,
    &backup::BACKUP_STATUS,
    &backup::RESTORE_ASIDE,
];

/// What each verb has to be allowed to do, in the order of [`SPECS`].
pub static RIGHTS: &[(&VerbSpec, &[Right])] = &[
    (&fence::FENCE, PATCH),
    (&fence::UNFENCE, PATCH),
    (&primary::PROMOTE, primary::PROMOTE_RIGHTS),
    (&primary::SCALE, PATCH),
    (&primary::STATUS, LOOK),
    (&backup::BACKUP, backup::BACKUP_RIGHTS),
    (&backup::BACKUP_STATUS, backup::STATUS_RIGHTS),
    (&backup::RESTORE_ASIDE, backup::RESTORE_RIGHTS),
];

/// Builds the verbs for the configured clusters.
pub fn verbs(_proof: MayAct, clusters: &[Kubernetes]) -> Vec<Arc<DynVerb>> {
    on(&Arc::new(Clusters::new(clusters)))
}

fn on(clusters: &Arc<Clusters>) -> Vec<Arc<DynVerb>> {
    vec![
        Arc::new(Acting::new(fence::Fence { on: true }, clusters)),
        Arc::new(Acting::new(fence::Fence { on: false }, clusters)),
        Arc::new(Acting::new(primary::Promote, clusters)),
        Arc::new(Acting::new(primary::Scale, clusters)),
        Arc::new(Looking::new(primary::Status, clusters)),
        Arc::new(Acting::new(backup::Backup, clusters)),
        Arc::new(Looking::new(backup::Status, clusters)),
        Arc::new(Acting::new(backup::RestoreAside, clusters)),
    ]
}

const GROUP: &str = "postgresql.cnpg.io";
const LOOK: &[Right] = &[Right::look(GROUP, "clusters", &["get"])];
const PATCH: &[Right] = &[Right::look(GROUP, "clusters", &["get"]), Right::act(GROUP, "clusters", &["patch"])];

/// The argument that names the cluster of PostgreSQL, which is no cluster of Kubernetes.
const DATABASE: ArgSpec = ArgSpec { name: "database", required: true, what: "name of the Cluster of CloudNativePG" };

/// A Cluster as the arguments name it.
struct Named<'a> {
    namespace: &'a str,
    name: &'a str,
    collection: String,
    path: String,
}

fn named(args: Args<'_>) -> Result<Named<'_>, VerbError> {
    let (namespace, name) = (args.namespace("namespace")?, args.name("database")?);
    let collection = format!("/apis/{GROUP}/v1/namespaces/{namespace}/clusters");
    Ok(Named { namespace, name, path: format!("{collection}/{name}"), collection })
}

fn reads(args: Args<'_>) -> Result<Vec<Read>, VerbError> {
    Ok(vec![Read::new("cluster", named(args)?.path)])
}

fn cluster<'a>(asked: &Asked<'a>) -> Result<&'a Value, VerbError> {
    let Named { namespace, name, .. } = named(asked.args)?;
    asked.object("cluster", &format!("Cluster {namespace}/{name}"))
}

fn object(cluster: &Value) -> String {
    let word = |key: &str| cluster["metadata"][key].as_str().map(sanitize).unwrap_or_default();
    format!("Cluster {}/{}, uid {}", word("namespace"), word("name"), word("uid"))
}

/// Its instances, as the operator last said.
fn instances(cluster: &Value) -> Vec<&str> {
    cluster["status"]["instanceNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Its primary, as the operator last said.
fn primary(cluster: &Value) -> Option<&str> {
    cluster["status"]["currentPrimary"].as_str().filter(|p| !p.is_empty())
}

/// The instances that the operator calls healthy.
fn healthy(cluster: &Value) -> Vec<&str> {
    cluster["status"]["instancesStatus"]["healthy"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

const FENCED: &str = "cnpg.io/fencedInstances";
const FENCED_AT: &str = "/metadata/annotations/cnpg.io~1fencedInstances";

/// The instances that are fenced; `*` is all.
fn fenced(cluster: &Value) -> Vec<String> {
    let text = cluster["metadata"]["annotations"][FENCED].as_str().unwrap_or("[]");
    serde_json::from_str(text).unwrap_or_default()
}

fn is_fenced(cluster: &Value, instance: &str) -> bool {
    fenced(cluster).iter().any(|f| f == instance || f == "*")
}
