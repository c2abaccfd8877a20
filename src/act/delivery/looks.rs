//! Looks at deliveries: what a freeze holds, and where what runs differs from Git, as Argo CD and Flux say it.

use super::freeze::{holds_flux, holds_project};
use super::{ARGO, DELIVERY, Deliveries, HELM, KUSTOMIZE, SOURCE, place};
use crate::act::kubernetes::object::{Args, Look, Told, listed};
use crate::act::rights::Right;
use crate::domain::id::SourceId;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::text::sanitize;
use serde_json::{Value, json};

const fn spec(name: &'static str, what: &'static str, args: &'static [ArgSpec]) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor: Risk::Low,
        blast_radius: BlastRadius::Pod,
        reversible: Reversible::Yes,
        idempotent: true,
        read_only: true,
        args,
    }
}

/// What it declares.
pub static FREEZE_STATUS: VerbSpec = spec(
    "delivery.freeze_status",
    "looks what of a delivery is held and what is not, and what has to be lifted",
    &[DELIVERY],
);
/// What it declares.
pub static DIFF: VerbSpec =
    spec("delivery.diff", "tells where what runs differs from Git, as Argo CD and Flux have last seen it", &[DELIVERY]);

/// What it needs.
pub static FREEZE_RIGHTS: &[Right] = &[
    Right::look(ARGO, "appprojects", &["list"]),
    Right::look(KUSTOMIZE, "kustomizations", &["list"]),
    Right::look(HELM, "helmreleases", &["list"]),
];
/// What it needs.
pub static DIFF_RIGHTS: &[Right] = &[
    Right::look(ARGO, "applications", &["list"]),
    Right::look(KUSTOMIZE, "kustomizations", &["list"]),
    Right::look(SOURCE, "gitrepositories", &["list"]),
];

/// What is held.
pub(super) struct FreezeStatus(pub Deliveries);
/// What differs.
pub(super) struct Diff(pub Deliveries);

impl Look for FreezeStatus {
    fn spec(&self) -> &'static VerbSpec {
        &FREEZE_STATUS
    }

    fn cluster(&self, args: Args<'_>) -> Result<SourceId, VerbError> {
        self.0.cluster(args)
    }

    fn reads(&self, args: Args<'_>) -> Result<(Vec<String>, String, String), VerbError> {
        let delivery = self.0.named(args)?;
        let paths: Vec<String> = self.0.all(args)?.into_iter().map(|r| r.path).collect();
        let by_hand = "kubectl get appprojects,kustomizations,helmreleases -A -o yaml | grep -n quarterdeck".to_owned();
        Ok((paths, format!("delivery {}", delivery.id), by_hand))
    }

    fn tell(&self, seen: &[Option<Value>]) -> Result<Told, String> {
        let (mut held, mut open, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for list in seen {
            let list = list.as_ref().ok_or("the cluster does not serve what is configured")?;
            let kind = list["kind"].as_str().unwrap_or_default().trim_end_matches("List").to_owned();
            for object in listed(Some(list)) {
                let named = format!("{} {}", sanitize(&kind), place(object));
                match (kind.as_str(), holds_flux(object)) {
                    ("AppProject", _) if holds_project(object) => held.push(named),
                    ("AppProject", _) | (_, (false, _)) => open.push(named),
                    (_, (true, true)) => held.push(named),
                    (_, (true, false)) => others.push(named),
                }
            }
        }
        // Nothing to deliver is not the same as held.
        let frozen = open.is_empty() && !held.is_empty();
        let words = format!(
            "{}: {} held by a freeze, {} held otherwise, {} open",
            if frozen { "frozen" } else { "not frozen" },
            held.len(),
            others.len(),
            open.len()
        );
        let result = json!({"frozen": frozen, "held": held, "held_otherwise": others, "open": open, "lift": held});
        Ok((result, words))
    }
}

impl Look for Diff {
    fn spec(&self) -> &'static VerbSpec {
        &DIFF
    }

    fn cluster(&self, args: Args<'_>) -> Result<SourceId, VerbError> {
        self.0.cluster(args)
    }

    fn reads(&self, args: Args<'_>) -> Result<(Vec<String>, String, String), VerbError> {
        let delivery = self.0.named(args)?;
        let mut paths = Vec::new();
        if let Some(namespace) = &delivery.argocd_namespace {
            paths.push(format!("/apis/{ARGO}/v1alpha1/namespaces/{namespace}/applications?limit=100"));
        }
        if delivery.flux {
            paths.push(format!("/apis/{KUSTOMIZE}/v1/kustomizations?limit=250"));
            paths.push(format!("/apis/{SOURCE}/v1/gitrepositories?limit=250"));
        }
        Ok((paths, format!("delivery {}", delivery.id), "argocd app list -o wide; flux get all -A".to_owned()))
    }

    fn tell(&self, seen: &[Option<Value>]) -> Result<Told, String> {
        let mut items = Vec::new();
        let list = |kind: &str| seen.iter().flatten().find(|l| l["kind"] == kind);
        if seen.iter().any(Option::is_none) {
            return Err("the cluster does not serve what is configured".into());
        }
        for app in listed(list("ApplicationList")) {
            let status = app["status"]["sync"]["status"].as_str().unwrap_or("Unknown");
            let out =
                app["status"]["resources"].as_array().into_iter().flatten().filter(|r| r["status"] == "OutOfSync");
            let one = |r: &Value| {
                let word = |key: &str| r[key].as_str().map(sanitize).unwrap_or_default();
                format!("{} {}/{}", word("kind"), word("namespace"), word("name"))
            };
            items.push(json!({
                "what": format!("Application {}", place(app)),
                "synced": match status { "Synced" => Some(true), "OutOfSync" => Some(false), _ => None },
                "revision": app["status"]["sync"]["revision"], "objects": out.map(one).collect::<Vec<_>>(),
                "seen_at": app["status"]["reconciledAt"],
            }));
        }
        let sources: Vec<&Value> = listed(list("GitRepositoryList")).collect();
        for object in listed(list("KustomizationList")) {
            let of = &object["spec"]["sourceRef"];
            let namespace = of["namespace"].as_str().or(object["metadata"]["namespace"].as_str());
            let source = sources.iter().find(|s| {
                of["kind"] == "GitRepository"
                    && s["metadata"]["name"] == of["name"]
                    && s["metadata"]["namespace"].as_str() == namespace
            });
            let git = source.and_then(|s| s["status"]["artifact"]["revision"].as_str());
            let applied = object["status"]["lastAppliedRevision"].as_str();
            items.push(json!({
                "what": format!("Kustomization {}", place(object)),
                // Unknown is never in step.
                "synced": git.zip(applied).map(|(git, applied)| git == applied),
                "revision": applied, "git": git, "objects": [], "seen_at": null,
            }));
        }
        let count = |wanted: Option<bool>| items.iter().filter(|i| i["synced"].as_bool() == wanted).count();
        let (same, out, unknown) = (count(Some(true)), count(Some(false)), count(None));
        let words = format!("{out} differ from Git, {same} do not, {unknown} are not known");
        let drift = if out > 0 { Some(true) } else { (unknown == 0).then_some(false) };
        Ok((json!({"drift": drift, "differ": out, "synced": same, "unknown": unknown, "items": items}), words))
    }
}
