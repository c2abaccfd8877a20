//! `kubernetes.renew_certificate`: has cert-manager issue a certificate anew, as `cmctl renew` does, by the condition
//! `Issuing` in the status of its Certificate (<https://cert-manager.io/docs/reference/cmctl/#renew>).

use super::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope};
use super::{CLUSTER, NAMESPACE, call::seconds};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::{Value, json};

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "kubernetes.renew_certificate",
    what: "has cert-manager issue a certificate anew, now",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::No,
    idempotent: false,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        ArgSpec { name: "certificate", required: true, what: "name of cert-manager's Certificate" },
    ],
};

/// What it needs.
pub static RIGHTS: &[Right] = &[
    Right::look("cert-manager.io", "certificates", &["get"]),
    Right::act("cert-manager.io", "certificates/status", &["patch"]),
];

/// The verb.
pub(super) struct RenewCertificate;

fn path(args: Args<'_>) -> Result<(String, String, String), VerbError> {
    let (namespace, name) = (args.namespace("namespace")?, args.name("certificate")?);
    let path = format!("/apis/cert-manager.io/v1/namespaces/{namespace}/certificates/{name}");
    Ok((namespace.to_owned(), name.to_owned(), path))
}

impl Plan for RenewCertificate {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        Ok(vec![Read::new("certificate", path(args)?.2)])
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let (namespace, name, path) = path(asked.args)?;
        let certificate = asked.object("certificate", &format!("Certificate {namespace}/{name}"))?;
        let conditions = certificate["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let issuing = |c: &Value| c["type"] == "Issuing";
        if conditions.iter().any(|c| issuing(c) && c["status"] == "True") {
            return Err(VerbError::new(format!("Certificate {namespace}/{name} is being issued already")));
        }
        let mut wanted: Vec<Value> = conditions.into_iter().filter(|c| !issuing(c)).collect();
        wanted.push(json!({
            "type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
            "message": "Certificate re-issuance manually triggered by quarterdeck",
            "lastTransitionTime": seconds(asked.now),
            "observedGeneration": certificate["metadata"]["generation"],
        }));
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let ends = match text(&certificate["status"]["notAfter"]) {
            none if none.is_empty() => "there is none now".to_owned(),
            ends => format!("the one now ends {ends}"),
        };
        let names = certificate["spec"]["dnsNames"].as_array().into_iter().flatten().map(text);
        Ok(Planned {
            object: format!("Certificate {namespace}/{name}, uid {}", text(&certificate["metadata"]["uid"])),
            count: 1,
            scope: Scope::Namespaces(vec![namespace.clone()]),
            calls: vec![
                Patch::of(format!("{path}/status"), certificate).set("/status/conditions", json!(wanted)).call(),
            ],
            hurts: format!(
                "nobody while it works ({ends}); a new key for {} may break who pins it, and the issuer counts it \
                 against its limits",
                names.collect::<Vec<_>>().join(", ")
            ),
            undo: "can not be taken back; the old certificate stays valid until it ends".into(),
            by_hand: format!("cmctl renew -n {namespace} {name}"),
        })
    }
}
