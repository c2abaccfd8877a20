//! `delivery.sync`: has Argo CD or Flux deliver what Git says, now.

use super::{ARGO, DELIVERY, Deliveries, HELM, KUSTOMIZE, flux};
use crate::act::kubernetes::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope};
use crate::act::rights::Right;
use crate::domain::id::SourceId;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "delivery.sync",
    what: "has Argo CD or Flux deliver what Git says, now",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Compensatable,
    idempotent: true,
    read_only: false,
    args: &[
        DELIVERY,
        ArgSpec { name: "application", required: false, what: "name of Argo CD's Application, or one of these:" },
        ArgSpec { name: "kustomization", required: false, what: "name of Flux's Kustomization" },
        ArgSpec { name: "helm_release", required: false, what: "name of Flux's HelmRelease" },
        ArgSpec { name: "namespace", required: false, what: "namespace of the object of Flux" },
        ArgSpec { name: "revision", required: false, what: "commit or tag, Argo CD only; its own by default" },
        ArgSpec { name: "prune", required: false, what: "true deletes what Git does not have, Argo CD only" },
    ],
};

/// What it needs.
pub static RIGHTS: &[Right] = &[
    Right::look(ARGO, "applications", &["get"]),
    Right::look(KUSTOMIZE, "kustomizations", &["get"]),
    Right::look(HELM, "helmreleases", &["get"]),
    Right::act(ARGO, "applications", &["patch"]),
    Right::act(KUSTOMIZE, "kustomizations", &["patch"]),
    Right::act(HELM, "helmreleases", &["patch"]),
];

/// The verb.
pub(super) struct Sync(pub Deliveries);

/// An operation of Argo CD with a mark by which it is found again once it has been taken up.
pub(super) fn operation(mut sync: Value, application: &Value, now: Timestamp) -> Value {
    let options = &application["spec"]["syncPolicy"]["syncOptions"];
    if let (Some(sync), true) = (sync.as_object_mut(), options.is_array()) {
        sync.insert("syncOptions".into(), options.clone());
    }
    json!({
        "initiatedBy": {"username": "quarterdeck"},
        "info": [{"name": "quarterdeck", "value": now.to_string()}],
        "sync": sync,
    })
}

/// One operation at a time.
pub(super) fn idle(name: &str, application: &Value) -> Result<(), VerbError> {
    let running = application["status"]["operationState"]["phase"] == "Running";
    if running || application["operation"].is_object() {
        return Err(VerbError::new(format!("Application {name} has an operation under way")));
    }
    Ok(())
}

/// Where an Application delivers to, if it says so.
pub(super) fn destination(application: &Value) -> Scope {
    match application["spec"]["destination"]["namespace"].as_str() {
        Some(namespace) if !namespace.is_empty() => Scope::Namespaces(vec![namespace.to_owned()]),
        _ => Scope::Cluster,
    }
}

impl Plan for Sync {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn cluster(&self, args: Args<'_>) -> Result<SourceId, VerbError> {
        self.0.cluster(args)
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        if args.opt_name("application")?.is_some() {
            return Ok(vec![Read::new("application", self.0.application(args)?.1)]);
        }
        Ok(vec![Read::new("flux", flux::named(&self.0, args)?.path)])
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        if asked.args.opt_name("application")?.is_none() {
            return flux::requested(&self.0, asked);
        }
        let (name, path) = self.0.application(asked.args)?;
        let application = asked.object("application", &format!("Application {name}"))?;
        idle(&name, application)?;
        let revision = asked.args.revision("revision")?;
        let prune = asked.args.flag("prune")?;
        let mut sync = json!({"prune": prune});
        if let (Some(revision), Some(sync)) = (revision, sync.as_object_mut()) {
            sync.insert("revision".into(), json!(revision));
        }
        let out = application["status"]["resources"].as_array().into_iter().flatten();
        let out = out.filter(|r| r["status"] == "OutOfSync").count();
        let to = revision.map_or("what Git says".to_owned(), |r| format!("revision {r}"));
        Ok(Planned {
            object: format!("Application {name}, uid {}", application["metadata"]["uid"].as_str().unwrap_or_default()),
            count: out,
            scope: destination(application),
            calls: vec![Patch::of(path, application).set("/operation", operation(sync, application, asked.now)).call()],
            hurts: format!(
                "{out} objects that differ from Git become {to}{}",
                if prune { "; what Git does not have is deleted" } else { "" }
            ),
            undo: "delivery.argocd_rollback to the revision before".into(),
            by_hand: format!(
                "argocd app sync {name}{}{}",
                revision.map(|r| format!(" --revision {r}")).unwrap_or_default(),
                if prune { " --prune" } else { "" }
            ),
        })
    }
}
