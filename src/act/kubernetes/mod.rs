//! Verbs on Kubernetes workloads. Each acting request is one PATCH that carries the object's UID and version,
//! so that the API server itself refuses it when anything has changed since it was shown. Looks use the
//! kubeconfig of the observer, acts the one that the configuration gives for acting.

mod call;
mod rollout_restart;
mod rollout_status;
mod scale;
mod target;

#[cfg(test)]
mod lab_tests;
#[cfg(test)]
mod tests;

use self::call::Clusters;
use self::rollout_restart::RolloutRestart;
use self::rollout_status::RolloutStatus;
use self::scale::Scale;
use super::DynVerb;
use crate::config::model::Kubernetes;
use crate::domain::mode::MayAct;
use crate::domain::request::{ArgSpec, VerbSpec};
pub use rollout_restart::SPEC as ROLLOUT_RESTART;
pub use rollout_status::SPEC as ROLLOUT_STATUS;
use std::sync::Arc;

/// What the verbs of this adapter declare.
pub static SPECS: &[&VerbSpec] = &[&rollout_restart::SPEC, &rollout_status::SPEC, &scale::SPEC];

/// Builds the verbs for the configured clusters. A cluster without `act_kubeconfig` can be looked at only.
pub fn verbs(_proof: MayAct, clusters: &[Kubernetes]) -> Vec<Arc<DynVerb>> {
    let clusters = Arc::new(Clusters::new(clusters));
    vec![
        Arc::new(RolloutRestart(Arc::clone(&clusters))),
        Arc::new(RolloutStatus(Arc::clone(&clusters))),
        Arc::new(Scale(clusters)),
    ]
}

/// The arguments that name a Deployment.
const CLUSTER: ArgSpec =
    ArgSpec { name: "cluster", required: true, what: "name of the [[kubernetes]] source the Deployment runs on" };
const NAMESPACE: ArgSpec = ArgSpec { name: "namespace", required: true, what: "namespace of the Deployment" };
const DEPLOYMENT: ArgSpec = ArgSpec { name: "deployment", required: true, what: "name of the Deployment" };
