//! `kubernetes.patch_hpa`: the bounds of a `HorizontalPodAutoscaler`, ahead of a peak or against one that runs away.

use super::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope};
use super::{CLUSTER, NAMESPACE};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::json;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "kubernetes.patch_hpa",
    what: "sets the least and the greatest number of pods of a HorizontalPodAutoscaler",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        ArgSpec { name: "hpa", required: true, what: "name of the HorizontalPodAutoscaler" },
        ArgSpec { name: "min", required: false, what: "least number of pods; unchanged by default" },
        ArgSpec { name: "max", required: false, what: "greatest number of pods; unchanged by default" },
    ],
};

/// What it needs.
pub static RIGHTS: &[Right] = &[
    Right::look("autoscaling", "horizontalpodautoscalers", &["get"]),
    Right::act("autoscaling", "horizontalpodautoscalers", &["patch"]),
];

/// The verb.
pub(super) struct PatchHpa;

fn path(args: Args<'_>) -> Result<(String, String, String), VerbError> {
    let (namespace, name) = (args.namespace("namespace")?, args.name("hpa")?);
    let path = format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}");
    Ok((namespace.to_owned(), name.to_owned(), path))
}

impl Plan for PatchHpa {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        Ok(vec![Read::new("hpa", path(args)?.2)])
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let (namespace, name, path) = path(asked.args)?;
        let hpa = asked.object("hpa", &format!("HorizontalPodAutoscaler {namespace}/{name}"))?;
        let bound = |field: &str| hpa["spec"][field].as_u64().unwrap_or(1);
        let (was_min, was_max) = (bound("minReplicas"), bound("maxReplicas"));
        let min = asked.args.opt_number("min")?.map_or(was_min, u64::from);
        let max = asked.args.opt_number("max")?.map_or(was_max, u64::from);
        if min == 0 || min > max {
            return Err(VerbError::new(format!(
                "min = {min} and max = {max}: min has to be 1 or more, and max not less"
            )));
        }
        if (min, max) == (was_min, was_max) {
            return Err(VerbError::new(format!("{namespace}/{name} already scales from {min} to {max} pods")));
        }
        let mut change = Patch::of(path, hpa);
        if min != was_min {
            change = change.set("/spec/minReplicas", json!(min));
        }
        if max != was_max {
            change = change.set("/spec/maxReplicas", json!(max));
        }
        let now = hpa["status"]["currentReplicas"].as_u64().unwrap_or(was_min);
        let hurts = match () {
            () if max < now => format!("{} of {now} pods are stopped", now - max),
            () if min > now => format!("{} more pods take room on the nodes, and cost", min - now),
            () => format!("nobody now; {now} pods run and may become {min} to {max}"),
        };
        Ok(Planned {
            object: format!("HorizontalPodAutoscaler {namespace}/{name}"),
            count: 1,
            scope: Scope::Namespaces(vec![namespace.clone()]),
            calls: vec![change.call()],
            hurts,
            undo: format!("the same with min = {was_min} and max = {was_max}"),
            by_hand: format!(
                "kubectl -n {namespace} patch hpa {name} --type=merge -p '{}'",
                json!({"spec": {"minReplicas": min, "maxReplicas": max}})
            ),
        })
    }
}
