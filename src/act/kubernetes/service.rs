//! `kubernetes.repoint_service`: sends the traffic of a Service to other pods, or to another host.

use super::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope};
use super::{CLUSTER, NAMESPACE};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::{Value, json};

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "kubernetes.repoint_service",
    what: "sends the traffic of a Service to the pods of another selector, or an ExternalName to another host",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        ArgSpec { name: "service", required: true, what: "name of the Service" },
        ArgSpec { name: "selector", required: false, what: "labels as a mapping or app=odoo,slot=green" },
        ArgSpec { name: "host", required: false, what: "host name, for a Service of the type ExternalName" },
    ],
};

/// What it needs.
pub static RIGHTS: &[Right] = &[
    Right::look("", "services", &["get"]),
    Right::look("", "pods", &["list"]),
    Right::act("", "services", &["patch"]),
];

/// The verb.
pub(super) struct RepointService;

fn path(args: Args<'_>) -> Result<(String, String, String), VerbError> {
    let (namespace, name) = (args.namespace("namespace")?, args.name("service")?);
    Ok((namespace.to_owned(), name.to_owned(), format!("/api/v1/namespaces/{namespace}/services/{name}")))
}

fn words(selector: &Value) -> String {
    let pairs = selector.as_object().into_iter().flatten();
    pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

impl Plan for RepointService {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        let (namespace, _, path) = path(args)?;
        let mut reads = vec![Read::new("service", path)];
        if args.0.contains_key("selector") {
            reads.push(Read::new("pods", format!("/api/v1/namespaces/{namespace}/pods?limit=250")));
        }
        Ok(reads)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let (namespace, name, path) = path(asked.args)?;
        let service = asked.object("service", &format!("Service {namespace}/{name}"))?;
        let external = service["spec"]["type"] == "ExternalName";
        let (pointer, value, to, was) = match (asked.args.0.contains_key("selector"), asked.args.opt_name("host")?) {
            (true, None) if !external => {
                let selector = json!(asked.args.pairs("selector")?);
                let wanted = selector.as_object().into_iter().flatten();
                let wanted: Vec<_> = wanted.collect();
                let selected = |p: &&Value| wanted.iter().all(|(k, v)| p["metadata"]["labels"][k.as_str()] == **v);
                let ready = asked.list("pods").filter(selected).filter(|p| is_ready(p)).count();
                // Traffic to no pod at all is never what is meant.
                if ready == 0 {
                    return Err(VerbError::new(format!("no ready pod in {namespace} has {}", words(&selector))));
                }
                let to = format!("{} ({ready} ready pods)", words(&selector));
                ("/spec/selector", selector, to, words(&service["spec"]["selector"]))
            }
            (false, Some(host)) if external => {
                let was = service["spec"]["externalName"].as_str().unwrap_or_default().to_owned();
                ("/spec/externalName", json!(host), host.to_owned(), was)
            }
            (true, Some(_)) | (false, None) => {
                return Err(VerbError::new("give either selector or host, and not both"));
            }
            (_, host) => {
                let kind = if external { "an ExternalName, which takes host" } else { "one with a selector" };
                let given = if host.is_some() { "host" } else { "selector" };
                return Err(VerbError::new(format!("Service {namespace}/{name} is {kind}; {given} was given")));
            }
        };
        if service.pointer(pointer) == Some(&value) {
            return Err(VerbError::new(format!("Service {namespace}/{name} already points to {to}")));
        }
        let merge = if external { json!({"externalName": value}) } else { json!({"selector": value}) };
        let arg = if external { "host" } else { "selector" };
        Ok(Planned {
            object: format!("Service {namespace}/{name}"),
            count: 1,
            scope: Scope::Namespaces(vec![namespace.clone()]),
            calls: vec![Patch::of(path, service).set(pointer, value).call()],
            hurts: format!("whoever uses {name} is sent to {to}; connections that are open stay where they are"),
            undo: format!("the same with {arg} = {was}"),
            by_hand: format!(
                "kubectl -n {namespace} patch service {name} --type=merge -p '{}'",
                json!({"spec": merge})
            ),
        })
    }
}
