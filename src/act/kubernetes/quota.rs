//! `kubernetes.set_quota` and `kubernetes.remove_quota`: how much all pods of a namespace may ask for together. A quota
//! stops new pods only; what runs goes on.

use super::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope, create, delete};
use super::{CLUSTER, NAMESPACE, OWN};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::{Value, json};

const QUOTA: ArgSpec =
    ArgSpec { name: "quota", required: false, what: "name of the ResourceQuota; quarterdeck by default" };

/// What it declares.
pub static SET: VerbSpec = VerbSpec {
    name: "kubernetes.set_quota",
    what: "limits what all pods of a namespace may ask for together (ResourceQuota); running pods stay",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        ArgSpec {
            name: "hard",
            required: true,
            what: "limits as a mapping or limits.cpu=4,limits.memory=8Gi, in Kubernetes quantities",
        },
        QUOTA,
    ],
};

/// What it declares.
pub static REMOVE: VerbSpec = VerbSpec {
    name: "kubernetes.remove_quota",
    what: "removes a ResourceQuota that kubernetes.set_quota made",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[CLUSTER, NAMESPACE, QUOTA],
};

/// What it needs.
pub static SET_RIGHTS: &[Right] =
    &[Right::look("", "resourcequotas", &["get"]), Right::act("", "resourcequotas", &["create", "patch"])];
/// What it needs.
pub static REMOVE_RIGHTS: &[Right] =
    &[Right::look("", "resourcequotas", &["get"]), Right::act("", "resourcequotas", &["delete"])];

/// Sets one.
pub(super) struct SetQuota;
/// Removes one.
pub(super) struct RemoveQuota;

struct Names<'a> {
    namespace: &'a str,
    quota: &'a str,
    collection: String,
    path: String,
}

fn names(args: Args<'_>) -> Result<Names<'_>, VerbError> {
    let namespace = args.namespace("namespace")?;
    let quota = args.opt_name("quota")?.unwrap_or("quarterdeck");
    let collection = format!("/api/v1/namespaces/{namespace}/resourcequotas");
    Ok(Names { namespace, quota, path: format!("{collection}/{quota}"), collection })
}

fn reads(args: Args<'_>) -> Result<Vec<Read>, VerbError> {
    Ok(vec![Read::new("quota", names(args)?.path)])
}

fn pairs(hard: &Value) -> String {
    let pairs = hard.as_object().into_iter().flatten();
    pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
}

impl Plan for SetQuota {
    fn spec(&self) -> &'static VerbSpec {
        &SET
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        reads(args)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let Names { namespace, quota, collection, path } = names(asked.args)?;
        let hard = json!(asked.args.pairs("hard")?);
        let wanted = pairs(&hard);
        let (call, undo, by_hand) = match asked.maybe("quota") {
            Some(is) => (
                Patch::of(&path, is).set("/spec/hard", hard.clone()).call(),
                format!("the same with hard = {}", pairs(&is["spec"]["hard"])),
                format!(
                    "kubectl -n {namespace} patch resourcequota {quota} --type=merge -p '{}'",
                    json!({"spec": {"hard": hard}})
                ),
            ),
            None => {
                let object = json!({
                    "apiVersion": "v1", "kind": "ResourceQuota",
                    "metadata": {"name": quota, "namespace": namespace, "labels": {OWN: "quota"}},
                    "spec": {"hard": hard},
                });
                (
                    create(&collection, &object),
                    "kubernetes.remove_quota removes it".to_owned(),
                    format!("kubectl -n {namespace} create quota {quota} --hard={wanted}"),
                )
            }
        };
        Ok(Planned {
            object: format!("ResourceQuota {namespace}/{quota}"),
            count: 1,
            scope: Scope::Namespaces(vec![namespace.to_owned()]),
            calls: vec![call],
            hurts: format!(
                "new pods of {namespace} beyond {wanted} are refused, also those of a rollout; running ones stay"
            ),
            undo,
            by_hand,
        })
    }
}

impl Plan for RemoveQuota {
    fn spec(&self) -> &'static VerbSpec {
        &REMOVE
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        reads(args)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let Names { namespace, quota, path, .. } = names(asked.args)?;
        let is = asked.object("quota", &format!("ResourceQuota {namespace}/{quota}"))?;
        if !is["metadata"]["labels"][OWN].is_string() {
            let why = "was not made by kubernetes.set_quota; set its old values instead";
            return Err(VerbError::new(format!("ResourceQuota {namespace}/{quota} {why}")));
        }
        Ok(Planned {
            object: format!("ResourceQuota {namespace}/{quota}"),
            count: 1,
            scope: Scope::Namespaces(vec![namespace.to_owned()]),
            calls: vec![delete(&path, is)],
            hurts: format!("nobody in {namespace}; its pods may take room from others again"),
            undo: format!("kubernetes.set_quota with hard = {}", pairs(&is["spec"]["hard"])),
            by_hand: format!("kubectl -n {namespace} delete resourcequota {quota}"),
        })
    }
}
