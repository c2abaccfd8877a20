//! Verbs that switch one field of one object: the rollout of a Deployment or the runs of a `CronJob` held and let go,
//! a node closed to new pods and opened.

use super::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope};
use super::{CLUSTER, DEPLOYMENT, NAMESPACE};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::{Value, json};

/// The argument that names a node.
pub(super) const NODE: ArgSpec = ArgSpec { name: "node", required: true, what: "name of the node" };
const CRONJOB: ArgSpec = ArgSpec { name: "cronjob", required: true, what: "name of the CronJob" };

/// Declares a verb that is idempotent and can be taken back.
const fn spec(
    name: &'static str,
    what: &'static str,
    risk_floor: Risk,
    blast_radius: BlastRadius,
    args: &'static [ArgSpec],
) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor,
        blast_radius,
        reversible: Reversible::Yes,
        idempotent: true,
        read_only: false,
        args,
    }
}

/// What it declares.
pub static ROLLOUT_PAUSE: VerbSpec = spec(
    "kubernetes.rollout_pause",
    "holds the rollout of a Deployment where it is; running pods stay",
    Risk::Low,
    BlastRadius::Tenant,
    &[CLUSTER, NAMESPACE, DEPLOYMENT],
);
/// What it declares.
pub static ROLLOUT_RESUME: VerbSpec = spec(
    "kubernetes.rollout_resume",
    "lets a held rollout of a Deployment go on",
    Risk::Medium,
    BlastRadius::Tenant,
    &[CLUSTER, NAMESPACE, DEPLOYMENT],
);
/// What it declares.
pub static SUSPEND_CRONJOB: VerbSpec = spec(
    "kubernetes.suspend_cronjob",
    "lets a CronJob start no further jobs; jobs that run go on",
    Risk::Medium,
    BlastRadius::Tenant,
    &[CLUSTER, NAMESPACE, CRONJOB],
);
/// What it declares.
pub static RESUME_CRONJOB: VerbSpec = spec(
    "kubernetes.resume_cronjob",
    "lets a suspended CronJob start jobs again; a missed run may start at once",
    Risk::Medium,
    BlastRadius::Tenant,
    &[CLUSTER, NAMESPACE, CRONJOB],
);
/// What it declares.
pub static CORDON: VerbSpec = spec(
    "kubernetes.cordon",
    "closes a node to new pods; pods that run there stay",
    Risk::Low,
    BlastRadius::Pod,
    &[CLUSTER, NODE],
);
/// What it declares.
pub static UNCORDON: VerbSpec =
    spec("kubernetes.uncordon", "opens a node to new pods again", Risk::Low, BlastRadius::Pod, &[CLUSTER, NODE]);

/// What the rollout verbs need.
pub static DEPLOYMENT_RIGHTS: &[Right] =
    &[Right::look("apps", "deployments", &["get"]), Right::act("apps", "deployments", &["patch"])];
/// What the `CronJob` verbs need.
pub static CRONJOB_RIGHTS: &[Right] =
    &[Right::look("batch", "cronjobs", &["get"]), Right::act("batch", "cronjobs", &["patch"])];
/// What the node verbs need.
pub static NODE_RIGHTS: &[Right] = &[Right::look("", "nodes", &["get"]), Right::act("", "nodes", &["patch"])];

/// One field that is switched on or off.
pub(super) struct Switch {
    spec: &'static VerbSpec,
    kind: &'static str,
    /// Name of the argument that names the object.
    arg: &'static str,
    /// Path before and after the namespace.
    path: (&'static str, &'static str),
    pointer: &'static str,
    on: bool,
    back: &'static str,
    /// `kubectl` with `{}` for the object.
    by_hand: &'static str,
    hurts: &'static str,
}

/// All of them, in the order of their specs.
pub(super) fn all() -> [Switch; 6] {
    let deployments = ("/apis/apps/v1", "deployments");
    let cronjobs = ("/apis/batch/v1", "cronjobs");
    let nodes = ("/api/v1", "nodes");
    let of = |spec, kind, arg, path, pointer, on, back, by_hand, hurts| Switch {
        spec,
        kind,
        arg,
        path,
        pointer,
        on,
        back,
        by_hand,
        hurts,
    };
    [
        of(
            &ROLLOUT_PAUSE,
            "Deployment",
            "deployment",
            deployments,
            "/spec/paused",
            true,
            "kubernetes.rollout_resume",
            "rollout pause deployment/{}",
            "nobody by itself; old and new pods serve side by side until it is resumed",
        ),
        of(
            &ROLLOUT_RESUME,
            "Deployment",
            "deployment",
            deployments,
            "/spec/paused",
            false,
            "kubernetes.rollout_pause",
            "rollout resume deployment/{}",
            "pods of the old template are replaced; what runs on each ends with it",
        ),
        of(
            &SUSPEND_CRONJOB,
            "CronJob",
            "cronjob",
            cronjobs,
            "/spec/suspend",
            true,
            "kubernetes.resume_cronjob",
            "patch cronjob/{} -p '{\"spec\":{\"suspend\":true}}'",
            "whoever waits for what it does: it is not done until it is resumed",
        ),
        of(
            &RESUME_CRONJOB,
            "CronJob",
            "cronjob",
            cronjobs,
            "/spec/suspend",
            false,
            "kubernetes.suspend_cronjob",
            "patch cronjob/{} -p '{\"spec\":{\"suspend\":false}}'",
            "nobody by itself; runs that were missed within its startingDeadlineSeconds start at once",
        ),
        of(
            &CORDON,
            "Node",
            "node",
            nodes,
            "/spec/unschedulable",
            true,
            "kubernetes.uncordon",
            "cordon {}",
            "nobody by itself; new pods have to find room on other nodes",
        ),
        of(
            &UNCORDON,
            "Node",
            "node",
            nodes,
            "/spec/unschedulable",
            false,
            "kubernetes.cordon",
            "uncordon {}",
            "nobody; new pods may be placed there, so the node must be sound",
        ),
    ]
}

impl Switch {
    fn named(&self, args: Args<'_>) -> Result<(Option<String>, String, String), VerbError> {
        let name = args.name(self.arg)?.to_owned();
        let (group, plural) = self.path;
        if self.arg == "node" {
            return Ok((None, format!("{group}/{plural}/{name}"), name));
        }
        let namespace = args.namespace("namespace")?.to_owned();
        let path = format!("{group}/namespaces/{namespace}/{plural}/{name}");
        Ok((Some(namespace), path, name))
    }
}

impl Plan for Switch {
    fn spec(&self) -> &'static VerbSpec {
        self.spec
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        Ok(vec![Read::new("object", self.named(args)?.1)])
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let (namespace, path, name) = self.named(asked.args)?;
        let place = namespace.as_ref().map_or_else(|| name.clone(), |n| format!("{n}/{name}"));
        let object = asked.object("object", &format!("{} {place}", self.kind))?;
        let is = object.pointer(self.pointer).and_then(Value::as_bool).unwrap_or(false);
        if is == self.on {
            let field = self.pointer.trim_start_matches("/spec/");
            return Err(VerbError::new(format!("{} {place} already has {field} = {is}", self.kind)));
        }
        let kubectl = match &namespace {
            Some(namespace) => format!("kubectl -n {namespace} "),
            None => "kubectl ".to_owned(),
        };
        Ok(Planned {
            object: format!("{} {place}, uid {}", self.kind, object["metadata"]["uid"].as_str().unwrap_or_default()),
            count: 1,
            scope: namespace.map_or(Scope::Nobody, |n| Scope::Namespaces(vec![n])),
            calls: vec![Patch::of(path, object).set(self.pointer, json!(self.on)).call()],
            hurts: self.hurts.to_owned(),
            undo: format!("{} takes it back", self.back),
            by_hand: format!("{kubectl}{}", self.by_hand.replacen("{}", &name, 1)),
        })
    }
}
