//! Verbs on Kubernetes objects. Each acting request carries the object's UID and what it replaces, so that the API
//! server itself refuses it when anything of that has changed since it was shown. Looks use the kubeconfig of the
//! observer, acts the one that the configuration gives for acting.

#![allow(clippy::indexing_slicing, reason = "JSON is read by its keys, which can not panic: what is missing is null")]

pub(in crate::act) mod behalf;
mod call;
mod certificate;
mod drain;
mod hpa;
mod isolation;
mod looks;
pub(in crate::act) mod object;
mod pods;
mod quota;
mod rollout_restart;
mod rollout_status;
mod rollout_undo;
mod scale;
mod scale_nodes;
mod service;
mod switch;
mod target;

#[cfg(test)]
pub(in crate::act) mod lab;
#[cfg(test)]
mod lab_tests;
#[cfg(test)]
mod lab_verbs;
#[cfg(test)]
pub(in crate::act) mod tests;

pub use self::behalf::EXTRA;
pub(in crate::act) use self::call::{Clusters, acts_only, open_to_act, seconds};
use self::object::{Acting, Looking};
use self::rollout_restart::RolloutRestart;
use self::rollout_status::RolloutStatus;
use self::scale::Scale;
use super::DynVerb;
use super::rights::Right;
use crate::config::model::Kubernetes;
use crate::domain::mode::MayAct;
use crate::domain::request::{ArgSpec, VerbSpec};
pub use rollout_restart::SPEC as ROLLOUT_RESTART;
pub use rollout_status::SPEC as ROLLOUT_STATUS;
use std::sync::Arc;
pub(in crate::act) use switch::DEPLOYMENT_RIGHTS;

/// What the verbs of this adapter declare.
pub static SPECS: &[&VerbSpec] = &[
    &rollout_restart::SPEC,
    &rollout_status::SPEC,
    &scale::SPEC,
    &rollout_undo::SPEC,
    &switch::ROLLOUT_PAUSE,
    &switch::ROLLOUT_RESUME,
    &switch::SUSPEND_CRONJOB,
    &switch::RESUME_CRONJOB,
    &switch::CORDON,
    &switch::UNCORDON,
    &drain::SPEC,
    &pods::EVICT_POD,
    &pods::DELETE_POD,
    &quota::SET,
    &quota::REMOVE,
    &isolation::ISOLATE,
    &isolation::LIFT,
    &hpa::SPEC,
    &scale_nodes::SPEC,
    &service::SPEC,
    &certificate::SPEC,
    &looks::POD_STATUS,
    &looks::NODE_STATUS,
    &looks::DIFF,
];

/// Objects of verbs that are in no namespace.
pub const CLUSTER_WIDE: [&str; 2] = ["nodes", "nodepools"];

/// What each verb has to be allowed to do, in the order of [`SPECS`].
pub static RIGHTS: &[(&VerbSpec, &[Right])] = &[
    (&rollout_restart::SPEC, switch::DEPLOYMENT_RIGHTS),
    (&rollout_status::SPEC, &[Right::look("apps", "deployments", &["get"])]),
    (&scale::SPEC, switch::DEPLOYMENT_RIGHTS),
    (&rollout_undo::SPEC, rollout_undo::RIGHTS),
    (&switch::ROLLOUT_PAUSE, switch::DEPLOYMENT_RIGHTS),
    (&switch::ROLLOUT_RESUME, switch::DEPLOYMENT_RIGHTS),
    (&switch::SUSPEND_CRONJOB, switch::CRONJOB_RIGHTS),
    (&switch::RESUME_CRONJOB, switch::CRONJOB_RIGHTS),
    (&switch::CORDON, switch::NODE_RIGHTS),
    (&switch::UNCORDON, switch::NODE_RIGHTS),
    (&drain::SPEC, drain::RIGHTS),
    (&pods::EVICT_POD, pods::EVICT_RIGHTS),
    (&pods::DELETE_POD, pods::RIGHTS),
    (&quota::SET, quota::SET_RIGHTS),
    (&quota::REMOVE, quota::REMOVE_RIGHTS),
    (&isolation::ISOLATE, isolation::ISOLATE_RIGHTS),
    (&isolation::LIFT, isolation::LIFT_RIGHTS),
    (&hpa::SPEC, hpa::RIGHTS),
    (&scale_nodes::SPEC, scale_nodes::RIGHTS),
    (&service::SPEC, service::RIGHTS),
    (&certificate::SPEC, certificate::RIGHTS),
    (&looks::POD_STATUS, looks::POD_RIGHTS),
    (&looks::NODE_STATUS, looks::NODE_RIGHTS),
    (&looks::DIFF, looks::DIFF_RIGHTS),
];

/// Builds the verbs for the configured clusters. A cluster without `act_kubeconfig` can be looked at only.
pub fn verbs(_proof: MayAct, clusters: &[Kubernetes]) -> Vec<Arc<DynVerb>> {
    on(&Arc::new(Clusters::new(clusters)))
}

/// The same on clusters that other adapters use too.
pub(in crate::act) fn on(clusters: &Arc<Clusters>) -> Vec<Arc<DynVerb>> {
    let mut all: Vec<Arc<DynVerb>> = vec![
        Arc::new(RolloutRestart(Arc::clone(clusters))),
        Arc::new(RolloutStatus(Arc::clone(clusters))),
        Arc::new(Scale(Arc::clone(clusters))),
        Arc::new(Acting::new(rollout_undo::RolloutUndo, clusters)),
    ];
    for switch in switch::all() {
        all.push(Arc::new(Acting::new(switch, clusters)));
    }
    let rest: [Arc<DynVerb>; 14] = [
        Arc::new(Acting::new(drain::Drain, clusters)),
        Arc::new(Acting::new(pods::EndPod(&pods::EVICT_POD), clusters)),
        Arc::new(Acting::new(pods::EndPod(&pods::DELETE_POD), clusters)),
        Arc::new(Acting::new(quota::SetQuota, clusters)),
        Arc::new(Acting::new(quota::RemoveQuota, clusters)),
        Arc::new(Acting::new(isolation::Isolate, clusters)),
        Arc::new(Acting::new(isolation::Lift, clusters)),
        Arc::new(Acting::new(hpa::PatchHpa, clusters)),
        Arc::new(Acting::new(scale_nodes::ScaleNodes, clusters)),
        Arc::new(Acting::new(service::RepointService, clusters)),
        Arc::new(Acting::new(certificate::RenewCertificate, clusters)),
        Arc::new(Looking::new(looks::PodStatus, clusters)),
        Arc::new(Looking::new(looks::NodeStatus, clusters)),
        Arc::new(Looking::new(looks::Diff, clusters)),
    ];
    all.extend(rest);
    all
}

/// Label of what this program has made, with what it is for.
pub(in crate::act) const OWN: &str = "quarterdeck.io/measure";

/// The arguments that name an object.
pub(in crate::act) const CLUSTER: ArgSpec =
    ArgSpec { name: "cluster", required: true, what: "name of the [[kubernetes]] source it runs on" };
pub(in crate::act) const NAMESPACE: ArgSpec = ArgSpec { name: "namespace", required: true, what: "its namespace" };
const NAMESPACE_OPTIONAL: ArgSpec =
    ArgSpec { name: "namespace", required: false, what: "its namespace, where it has one" };
const DEPLOYMENT: ArgSpec = ArgSpec { name: "deployment", required: true, what: "name of the Deployment" };
