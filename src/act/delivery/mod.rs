//! Verbs on what delivers changes: Argo CD and Flux through their objects on the API server, pipelines through the API of
//! their server. Only the engine calls this; what is common to objects is in `act::kubernetes::object`.
#![allow(clippy::indexing_slicing, reason = "JSON is read by its keys, which can not panic: what is missing is null")]

mod argocd;
mod backport;
mod ci;
mod flux;
mod freeze;
mod looks;
mod server;
mod sync;

#[cfg(test)]
mod ci_tests;
#[cfg(test)]
mod lab_tests;

use self::ci::{Does, Pipelines};
use self::server::Servers;
use super::DynVerb;
use super::kubernetes::Clusters;
use super::kubernetes::object::{Acting, Args, Looking, Read};
use super::rights::Right;
use crate::config::model::{Ci, Delivery, Kubernetes};
use crate::domain::id::SourceId;
use crate::domain::mode::MayAct;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::text::sanitize;
use serde_json::Value;
use std::sync::Arc;

/// What the verbs of this adapter declare.
pub static SPECS: &[&VerbSpec] = &[
    &freeze::FREEZE,
    &freeze::UNFREEZE,
    &looks::FREEZE_STATUS,
    &looks::DIFF,
    &sync::SPEC,
    &argocd::ROLLBACK,
    &argocd::AUTO_SYNC_OFF,
    &argocd::AUTO_SYNC_ON,
    &flux::SUSPEND,
    &flux::RESUME,
    &ci::HOLD,
    &ci::RELEASE,
    &ci::STATUS,
    &backport::SPEC,
];

/// What each verb has to be allowed to do, in the order of [`SPECS`].
pub static RIGHTS: &[(&VerbSpec, &[Right])] = &[
    (&freeze::FREEZE, freeze::RIGHTS),
    (&freeze::UNFREEZE, freeze::RIGHTS),
    (&looks::FREEZE_STATUS, looks::FREEZE_RIGHTS),
    (&looks::DIFF, looks::DIFF_RIGHTS),
    (&sync::SPEC, sync::RIGHTS),
    (&argocd::ROLLBACK, argocd::RIGHTS),
    (&argocd::AUTO_SYNC_OFF, argocd::RIGHTS),
    (&argocd::AUTO_SYNC_ON, argocd::RIGHTS),
    (&flux::SUSPEND, flux::RIGHTS),
    (&flux::RESUME, flux::RIGHTS),
    // A token of the server of pipelines, and nothing on a cluster.
    (&ci::HOLD, &[]),
    (&ci::RELEASE, &[]),
    (&ci::STATUS, &[]),
    (&backport::SPEC, &[]),
];

/// Builds the verbs for the configured deliveries.
pub fn verbs(_proof: MayAct, deliveries: &[Delivery], ci: &[Ci], clusters: &[Kubernetes]) -> Vec<Arc<DynVerb>> {
    let mut all = on(&Deliveries(deliveries.into()), &Arc::new(Clusters::new(clusters)));
    all.extend(pipelines(&Servers::new(ci)));
    all
}

fn pipelines(servers: &Servers) -> Vec<Arc<DynVerb>> {
    let of = |does| -> Arc<DynVerb> { Arc::new(Pipelines { servers: servers.clone(), does }) };
    let backport = Arc::new(backport::Backport(servers.clone()));
    vec![of(Does::Hold), of(Does::Release), of(Does::Status), backport]
}

fn on(deliveries: &Deliveries, clusters: &Arc<Clusters>) -> Vec<Arc<DynVerb>> {
    let of = || deliveries.clone();
    vec![
        Arc::new(Acting::new(freeze::Freeze(of()), clusters)),
        Arc::new(Acting::new(freeze::Unfreeze(of()), clusters)),
        Arc::new(Looking::new(looks::FreezeStatus(of()), clusters)),
        Arc::new(Looking::new(looks::Diff(of()), clusters)),
        Arc::new(Acting::new(sync::Sync(of()), clusters)),
        Arc::new(Acting::new(argocd::Rollback(of()), clusters)),
        Arc::new(Acting::new(argocd::AutoSync { of: of(), on: false }, clusters)),
        Arc::new(Acting::new(argocd::AutoSync { of: of(), on: true }, clusters)),
        Arc::new(Acting::new(flux::Switch { of: of(), suspend: true }, clusters)),
        Arc::new(Acting::new(flux::Switch { of: of(), suspend: false }, clusters)),
    ]
}

const DELIVERY: ArgSpec = ArgSpec { name: "delivery", required: true, what: "name of the [[delivery]]" };
const APPLICATION: ArgSpec = ArgSpec { name: "application", required: true, what: "name of Argo CD's Application" };

const ARGO: &str = "argoproj.io";
const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io";
const HELM: &str = "helm.toolkit.fluxcd.io";
const SOURCE: &str = "source.toolkit.fluxcd.io";

/// What is configured of deliveries.
#[derive(Clone, Debug)]
struct Deliveries(Arc<[Delivery]>);

impl Deliveries {
    fn named(&self, args: Args<'_>) -> Result<&Delivery, VerbError> {
        let id = args.text("delivery")?;
        self.0.iter().find(|d| d.id.as_str() == id).ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|d| d.id.as_str()).collect();
            let known = if known.is_empty() { "none is".to_owned() } else { known.join(", ") };
            VerbError::new(format!("delivery {} is not configured; known: {known}", sanitize(id)))
        })
    }

    fn cluster(&self, args: Args<'_>) -> Result<SourceId, VerbError> {
        self.named(args).map(|d| d.cluster.clone())
    }

    /// Path of an Application of Argo CD.
    fn application(&self, args: Args<'_>) -> Result<(String, String), VerbError> {
        let delivery = self.named(args)?;
        let name = args.name("application")?;
        let namespace = delivery.argocd_namespace.as_ref().ok_or_else(|| {
            VerbError::new(format!("delivery {} has no argocd_namespace: it is not delivered by Argo CD", delivery.id))
        })?;
        Ok((name.to_owned(), format!("/apis/{ARGO}/v1alpha1/namespaces/{namespace}/applications/{name}")))
    }

    /// All that holds back or delivers, as this delivery has it.
    fn all(&self, args: Args<'_>) -> Result<Vec<Read>, VerbError> {
        let delivery = self.named(args)?;
        let mut reads = Vec::new();
        if let Some(namespace) = &delivery.argocd_namespace {
            let projects = format!("/apis/{ARGO}/v1alpha1/namespaces/{namespace}/appprojects?limit=250");
            reads.push(Read::new("projects", projects));
        }
        if delivery.flux {
            reads.push(Read::new("kustomizations", format!("/apis/{KUSTOMIZE}/v1/kustomizations?limit=250")));
            reads.push(Read::new("helm_releases", format!("/apis/{HELM}/v2/helmreleases?limit=250")));
        }
        Ok(reads)
    }
}

/// Path of an object of Flux, from itself: lists leave out the kind of their members.
fn flux_path(group: &str, version: &str, plural: &str, object: &Value) -> String {
    let word = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    format!("/apis/{group}/{version}/namespaces/{}/{plural}/{}", word("namespace"), word("name"))
}

/// `namespace/name` of an object.
fn place(object: &Value) -> String {
    let word = |key: &str| object["metadata"][key].as_str().map(sanitize).unwrap_or_default();
    format!("{}/{}", word("namespace"), word("name"))
}
