//! `delivery.flux_suspend` and `delivery.flux_resume`, and how `delivery.sync` asks Flux.

use super::{DELIVERY, Deliveries, HELM, KUSTOMIZE, SOURCE};
use crate::act::kubernetes::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope};
use crate::act::rights::Right;
use crate::domain::id::SourceId;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::json;

const ARGS: &[ArgSpec] = &[
    DELIVERY,
    ArgSpec { name: "namespace", required: true, what: "namespace of the object of Flux" },
    ArgSpec { name: "kustomization", required: false, what: "name of the Kustomization, or one of these:" },
    ArgSpec { name: "helm_release", required: false, what: "name of the HelmRelease" },
    ArgSpec { name: "git_repository", required: false, what: "name of the GitRepository" },
];

const fn spec(name: &'static str, what: &'static str) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor: Risk::Medium,
        blast_radius: BlastRadius::Tenant,
        reversible: Reversible::Yes,
        idempotent: true,
        read_only: false,
        args: ARGS,
    }
}

/// What it declares.
pub static SUSPEND: VerbSpec =
    spec("delivery.flux_suspend", "lets Flux deliver nothing of one object, and not take back what is changed by hand");
/// What it declares.
pub static RESUME: VerbSpec =
    spec("delivery.flux_resume", "lets Flux deliver one object again; what was changed by hand is taken back");

/// What they need.
pub static RIGHTS: &[Right] = &[
    Right::look(KUSTOMIZE, "kustomizations", &["get"]),
    Right::look(HELM, "helmreleases", &["get"]),
    Right::look(SOURCE, "gitrepositories", &["get"]),
    Right::act(KUSTOMIZE, "kustomizations", &["patch"]),
    Right::act(HELM, "helmreleases", &["patch"]),
    Right::act(SOURCE, "gitrepositories", &["patch"]),
];

/// Either verb.
pub(super) struct Switch {
    /// Deliveries.
    pub of: Deliveries,
    /// Which of the two.
    pub suspend: bool,
}

/// An object of Flux as the arguments name it.
pub(super) struct Named {
    kind: &'static str,
    word: &'static str,
    namespace: String,
    name: String,
    /// Its path.
    pub path: String,
}

/// Reads the names. One of the kinds has to be named.
pub(super) fn named(of: &Deliveries, args: Args<'_>) -> Result<Named, VerbError> {
    let delivery = of.named(args)?;
    if !delivery.flux {
        return Err(VerbError::new(format!(
            "delivery {} is not delivered by Flux: flux = true is not set",
            delivery.id
        )));
    }
    let namespace = args.namespace("namespace")?;
    let kinds = [
        ("kustomization", "Kustomization", KUSTOMIZE, "v1", "kustomizations"),
        ("helm_release", "HelmRelease", HELM, "v2", "helmreleases"),
        ("git_repository", "GitRepository", SOURCE, "v1", "gitrepositories"),
    ];
    let mut found = None;
    for (arg, kind, group, version, plural) in kinds {
        if let Some(name) = args.opt_name(arg)? {
            if found.is_some() {
                return Err(VerbError::new("give one object of Flux, not several"));
            }
            let path = format!("/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}");
            let word = if arg == "git_repository" { "source git" } else { plural.trim_end_matches('s') };
            found = Some(Named { kind, word, namespace: namespace.to_owned(), name: name.to_owned(), path });
        }
    }
    found.ok_or_else(|| VerbError::new("give the name of an Application, or of an object of Flux with its namespace"))
}

/// Asks Flux to look at Git now (<https://fluxcd.io/flux/components/kustomize/kustomizations/#triggering-a-reconcile>).
pub(super) fn requested(of: &Deliveries, asked: &Asked<'_>) -> Result<Planned, VerbError> {
    let Named { kind, word, namespace, name, path } = named(of, asked.args)?;
    let object = asked.object("flux", &format!("{kind} {namespace}/{name}"))?;
    if object["spec"]["suspend"] == true {
        return Err(VerbError::new(format!("{kind} {namespace}/{name} is suspended; resume it first")));
    }
    let at = "/metadata/annotations/reconcile.fluxcd.io~1requestedAt";
    let target = object["spec"]["targetNamespace"].as_str();
    Ok(Planned {
        object: format!("{kind} {namespace}/{name}"),
        count: 1,
        scope: target.map_or(Scope::Cluster, |n| Scope::Namespaces(vec![n.to_owned()])),
        calls: vec![Patch::of(path, object).expect("/spec/suspend").set(at, json!(asked.now.to_string())).call()],
        hurts: "what differs from Git becomes what Git says".into(),
        undo: "a commit that takes the change back, and the same again".into(),
        by_hand: format!("flux reconcile {word} {name} -n {namespace}"),
    })
}

impl Plan for Switch {
    fn spec(&self) -> &'static VerbSpec {
        if self.suspend { &SUSPEND } else { &RESUME }
    }

    fn cluster(&self, args: Args<'_>) -> Result<SourceId, VerbError> {
        self.of.cluster(args)
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        Ok(vec![Read::new("flux", named(&self.of, args)?.path)])
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let Named { kind, word, namespace, name, path } = named(&self.of, asked.args)?;
        let object = asked.object("flux", &format!("{kind} {namespace}/{name}"))?;
        if (object["spec"]["suspend"] == true) == self.suspend {
            let is = if self.suspend { "is suspended already" } else { "is not suspended" };
            return Err(VerbError::new(format!("{kind} {namespace}/{name} {is}")));
        }
        let (verb, back, hurts) = if self.suspend {
            ("suspend", &RESUME, "nobody by itself: what is committed is not delivered until it is resumed")
        } else {
            ("resume", &SUSPEND, "what was changed by hand meanwhile is taken back, and what waited is delivered")
        };
        let target = object["spec"]["targetNamespace"].as_str();
        Ok(Planned {
            object: format!("{kind} {namespace}/{name}"),
            count: 1,
            scope: target.map_or(Scope::Cluster, |n| Scope::Namespaces(vec![n.to_owned()])),
            calls: vec![Patch::of(path, object).set("/spec/suspend", json!(self.suspend)).call()],
            hurts: hurts.to_owned(),
            undo: format!("{} takes it back", back.name),
            by_hand: format!("flux {verb} {word} {name} -n {namespace}"),
        })
    }
}
