//! `kubernetes.rollout_undo`: puts the pod template of an earlier revision back, as `kubectl rollout undo` does, from
//! the `ReplicaSet` that has kept it.

use super::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope};
use super::{CLUSTER, DEPLOYMENT, NAMESPACE};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::Value;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "kubernetes.rollout_undo",
    what: "puts an earlier pod template of a Deployment back; a database migration is not reversed",
    risk_floor: Risk::High,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Compensatable,
    idempotent: false,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        DEPLOYMENT,
        ArgSpec { name: "to_revision", required: false, what: "revision to go back to; the one before by default" },
        ArgSpec {
            name: "release",
            required: false,
            what: "true goes back to the newest revision with other images; restarts and other settings make revisions too",
        },
    ],
};

/// What it needs.
pub static RIGHTS: &[Right] = &[
    Right::look("apps", "deployments", &["get"]),
    Right::look("apps", "replicasets", &["list"]),
    Right::act("apps", "deployments", &["patch"]),
];

const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";

/// The verb.
pub(super) struct RolloutUndo;

fn path(args: Args<'_>) -> Result<(String, String, String), VerbError> {
    let (namespace, name) = (args.namespace("namespace")?, args.name("deployment")?);
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    Ok((namespace.to_owned(), name.to_owned(), path))
}

/// The revision of a Deployment or a `ReplicaSet`.
pub(super) fn revision(object: &Value) -> Option<u64> {
    object.pointer(REVISION)?.as_str()?.parse().ok()
}

/// The `ReplicaSet`s of a Deployment with their revisions, newest first.
pub(super) fn history<'a>(deployment: &Value, all: impl Iterator<Item = &'a Value>) -> Vec<(u64, &'a Value)> {
    let uid = &deployment["metadata"]["uid"];
    let owned = |r: &&Value| {
        r["metadata"]["ownerReferences"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|o| o["uid"] == *uid && o["controller"] == true)
    };
    let mut all: Vec<_> = all.filter(owned).filter_map(|r| Some((revision(r)?, r))).collect();
    all.sort_by_key(|(revision, _)| std::cmp::Reverse(*revision));
    all
}

/// The images of a pod template.
pub(super) fn images(template: &Value) -> String {
    let containers = template["spec"]["containers"].as_array().into_iter().flatten();
    containers.filter_map(|c| c["image"].as_str()).collect::<Vec<_>>().join(", ")
}

impl Plan for RolloutUndo {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        let (namespace, _, path) = path(args)?;
        let sets = format!("/apis/apps/v1/namespaces/{namespace}/replicasets?limit=250");
        Ok(vec![Read::new("deployment", path), Read::new("sets", sets)])
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let (namespace, name, path) = path(asked.args)?;
        let deployment = asked.object("deployment", &format!("Deployment {namespace}/{name}"))?;
        if deployment["spec"]["paused"] == true {
            return Err(VerbError::new(format!("Deployment {namespace}/{name} is paused; resume it first")));
        }
        let history = history(deployment, asked.list("sets"));
        let known = || history.iter().map(|(n, _)| n.to_string()).collect::<Vec<_>>().join(", ");
        let now = revision(deployment).ok_or_else(|| VerbError::new("the Deployment has no revision yet"))?;
        let was = images(&deployment["spec"]["template"]);
        let other = |set: &Value| images(&set["spec"]["template"]) != was;
        let (to, what) = match (asked.args.opt_number("to_revision")?, asked.args.flag("release")?) {
            (Some(_), true) => return Err(VerbError::new("give either to_revision or release, not both")),
            (Some(wanted), false) => (history.iter().find(|(n, _)| *n == u64::from(wanted)), "no such revision"),
            (None, false) => (history.iter().find(|(n, _)| *n < now), "no such revision"),
            (None, true) => {
                (history.iter().find(|(n, set)| *n < now && other(set)), "no earlier revision with other images")
            }
        };
        let (to, set) = to.ok_or_else(|| {
            VerbError::new(format!("there is {what} of {namespace}/{name} to go back to; kept are: {}", known()))
        })?;
        if *to == now {
            return Err(VerbError::new(format!("Deployment {namespace}/{name} already is at revision {now}")));
        }
        let mut template = set["spec"]["template"].clone();
        // The label is the controller's own; it makes another one for the new revision.
        if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove("pod-template-hash");
        }
        let is = images(&template);
        let pods = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
        let change = Patch::of(path, deployment).unchanged_spec().set("/spec/template", template);
        Ok(Planned {
            object: format!(
                "Deployment {namespace}/{name}, revision {now} back to {to}, uid {}",
                deployment["metadata"]["uid"].as_str().unwrap_or_default()
            ),
            count: usize::try_from(pods).unwrap_or(usize::MAX),
            scope: Scope::Namespaces(vec![namespace.clone()]),
            calls: vec![change.call()],
            hurts: format!(
                "{pods} pods of {namespace}/{name} are replaced, {was} by {is}; a database that was migrated stays so"
            ),
            undo: format!("the same with to_revision = the number that {now} gets anew, or another rollout"),
            by_hand: format!("kubectl -n {namespace} rollout undo deployment/{name} --to-revision={to}"),
        })
    }
}
