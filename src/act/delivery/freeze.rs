//! `delivery.freeze` and `delivery.unfreeze`: nothing is delivered by itself. Every project of Argo CD gets a sync window
//! that denies, every Kustomization and `HelmRelease` of Flux that runs is suspended; each carries a mark, and only what
//! carries it is let go again.

use super::{ARGO, DELIVERY, Deliveries, HELM, KUSTOMIZE, flux_path, place};
use crate::act::kubernetes::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope};
use crate::act::rights::Right;
use crate::domain::id::SourceId;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, HttpCall, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::text::sanitize;
use serde_json::{Value, json};

/// What it declares.
pub static FREEZE: VerbSpec = VerbSpec {
    name: "delivery.freeze",
    what: "holds every delivery: a denying sync window in each Argo CD project, every Flux object suspended",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        DELIVERY,
        ArgSpec { name: "reason", required: true, what: "why, for whoever finds it: the incident's id" },
        ArgSpec {
            name: "manual",
            required: false,
            what: "allow (default) lets syncs through that a person or a step asks for; deny does not",
        },
    ],
};

/// What it declares.
pub static UNFREEZE: VerbSpec = VerbSpec {
    name: "delivery.unfreeze",
    what: "lets go what delivery.freeze holds, and nothing else",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[DELIVERY],
};

/// What they need.
pub static RIGHTS: &[Right] = &[
    Right::look(ARGO, "appprojects", &["list", "get"]),
    Right::look(KUSTOMIZE, "kustomizations", &["list", "get"]),
    Right::look(HELM, "helmreleases", &["list", "get"]),
    Right::act(ARGO, "appprojects", &["patch"]),
    Right::act(KUSTOMIZE, "kustomizations", &["patch"]),
    Right::act(HELM, "helmreleases", &["patch"]),
];

/// First words of the description of our sync windows.
const MARK: &str = "quarterdeck freeze: ";
const WINDOWS: &str = "/spec/syncWindows";
const SUSPEND: &str = "/spec/suspend";
const FROZEN: &str = "quarterdeck.io/frozen";
const FROZEN_AT: &str = "/metadata/annotations/quarterdeck.io~1frozen";

/// Freezes.
pub(super) struct Freeze(pub Deliveries);
/// Unfreezes.
pub(super) struct Unfreeze(pub Deliveries);

/// Whether a sync window is one of ours.
fn is_ours(window: &Value) -> bool {
    window["description"].as_str().is_some_and(|d| d.starts_with(MARK))
}

/// Whether one of our windows holds a project.
pub(super) fn holds_project(project: &Value) -> bool {
    windows(project).iter().any(is_ours)
}

/// Whether an object of Flux is suspended, and whether by us.
pub(super) fn holds_flux(object: &Value) -> (bool, bool) {
    (object["spec"]["suspend"] == true, object["metadata"]["annotations"][FROZEN].is_string())
}

fn windows(project: &Value) -> Vec<Value> {
    project["spec"]["syncWindows"].as_array().cloned().unwrap_or_default()
}

fn project_path(project: &Value) -> String {
    flux_path(ARGO, "v1alpha1", "appprojects", project)
}

/// The objects of Flux, each with its path and the word that `flux` has for it.
fn flux<'a>(asked: &Asked<'a>) -> Vec<(&'a Value, String, &'static str)> {
    let of = |key, group, version, plural, word| {
        asked.list(key).map(move |o| (o, flux_path(group, version, plural, o), word)).collect::<Vec<_>>()
    };
    let mut all = of("kustomizations", KUSTOMIZE, "v1", "kustomizations", "kustomization");
    all.extend(of("helm_releases", HELM, "v2", "helmreleases", "helmrelease"));
    all
}

/// What is configured has to be there: a cluster that does not serve it would be taken for frozen otherwise.
fn served(of: &Deliveries, asked: &Asked<'_>) -> Result<(), VerbError> {
    for read in of.all(asked.args)? {
        if asked.maybe(read.key).is_none() {
            let path = read.path.split('?').next().unwrap_or_default();
            return Err(VerbError::new(format!("the cluster does not serve {path}, which is configured")));
        }
    }
    Ok(())
}

fn planned(delivery: &str, calls: Vec<HttpCall>, hurts: String, undo: &str, by_hand: &[String]) -> Planned {
    Planned {
        object: format!("delivery {delivery}"),
        count: calls.len(),
        scope: Scope::Cluster,
        calls,
        hurts,
        undo: undo.to_owned(),
        by_hand: by_hand.join("\n"),
    }
}

impl Plan for Freeze {
    fn spec(&self) -> &'static VerbSpec {
        &FREEZE
    }

    fn cluster(&self, args: Args<'_>) -> Result<SourceId, VerbError> {
        self.0.cluster(args)
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        self.0.all(args)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let delivery = self.0.named(asked.args)?;
        served(&self.0, asked)?;
        let reason: String = sanitize(asked.args.text("reason")?).chars().take(200).collect();
        let manual = asked.args.one_of("manual", &["allow", "deny"])? == "allow";
        let (mut calls, mut by_hand, mut projects, mut suspended) = (Vec::new(), Vec::new(), 0, 0);
        for project in asked.list("projects").filter(|p| !holds_project(p)) {
            let mut all = windows(project);
            // It begins every minute and lasts an hour, so it is always open until it is lifted. With manualSync a
            // sync that somebody asks for goes through, so the incident's own rollback does.
            all.push(json!({
                "kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"],
                "manualSync": manual, "timeZone": "UTC", "description": format!("{MARK}{reason}"),
            }));
            calls.push(Patch::of(project_path(project), project).set(WINDOWS, json!(all)).call());
            let name = project["metadata"]["name"].as_str().map(sanitize).unwrap_or_default();
            let manual = if manual { " --manual-sync" } else { "" };
            by_hand.push(format!(
                "argocd proj windows add {name} --kind deny --schedule '* * * * *' --duration 1h --applications '*'{manual}"
            ));
            projects += 1;
        }
        let mut others = 0;
        for (object, path, word) in flux(asked) {
            if holds_flux(object).0 {
                others += usize::from(!holds_flux(object).1);
                continue;
            }
            let patch = Patch::of(path, object).set(SUSPEND, json!(true)).set(FROZEN_AT, json!(reason));
            calls.push(patch.call());
            let place = place(object);
            let (namespace, name) = place.split_once('/').unwrap_or_default();
            by_hand.push(format!("flux suspend {word} {name} -n {namespace}"));
            suspended += 1;
        }
        if calls.is_empty() {
            return Err(VerbError::new(format!("delivery {} is frozen already", delivery.id)));
        }
        let before = if others == 0 {
            String::new()
        } else {
            format!("; {others} were suspended before and stay so afterwards")
        };
        let hurts = format!(
            "nobody by itself: {projects} projects and {suspended} objects of Flux deliver nothing until it is \
             lifted{before}; pipelines are held by delivery.ci_hold"
        );
        Ok(planned(delivery.id.as_str(), calls, hurts, "delivery.unfreeze lets go exactly these", &by_hand))
    }

    fn tell(&self, request: &Request, answers: &[Value]) -> Option<(Value, String)> {
        let held: Vec<String> = answers
            .iter()
            .map(|a| format!("{} {}", sanitize(a["kind"].as_str()?), place(a)).into())
            .collect::<Option<_>>()?;
        let words = format!("{} objects are held; delivery.unfreeze has to lift them", held.len());
        Some((json!({"held": held, "lift": request.undo}), words))
    }
}

impl Plan for Unfreeze {
    fn spec(&self) -> &'static VerbSpec {
        &UNFREEZE
    }

    fn cluster(&self, args: Args<'_>) -> Result<SourceId, VerbError> {
        self.0.cluster(args)
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        self.0.all(args)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let delivery = self.0.named(asked.args)?;
        served(&self.0, asked)?;
        let (mut calls, mut by_hand) = (Vec::new(), Vec::new());
        for project in asked.list("projects").filter(|p| holds_project(p)) {
            let rest: Vec<Value> = windows(project).into_iter().filter(|w| !is_ours(w)).collect();
            let patch = Patch::of(project_path(project), project);
            let patch = if rest.is_empty() { patch.remove(WINDOWS) } else { patch.set(WINDOWS, json!(rest)) };
            calls.push(patch.call());
            let name = project["metadata"]["name"].as_str().map(sanitize).unwrap_or_default();
            by_hand.push(format!("argocd proj windows list {name}   # and delete the one that says {MARK}"));
        }
        for (object, path, word) in flux(asked).into_iter().filter(|(o, ..)| holds_flux(o).1) {
            calls.push(Patch::of(path, object).set(SUSPEND, json!(false)).remove(FROZEN_AT).call());
            let place = place(object);
            let (namespace, name) = place.split_once('/').unwrap_or_default();
            by_hand.push(format!("flux resume {word} {name} -n {namespace}"));
        }
        if calls.is_empty() {
            return Err(VerbError::new(format!("nothing of delivery {} is held by delivery.freeze", delivery.id)));
        }
        let hurts = format!("{} projects and objects deliver again, at once what has waited", calls.len());
        Ok(planned(delivery.id.as_str(), calls, hurts, "delivery.freeze holds it again", &by_hand))
    }
}
