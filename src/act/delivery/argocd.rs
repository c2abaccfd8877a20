//! `delivery.argocd_rollback`, as Argo CD's own server does it, and auto-sync off and on around it.

use super::sync::{destination, idle, operation};
use super::{APPLICATION, ARGO, DELIVERY, Deliveries};
use crate::act::kubernetes::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope};
use crate::act::rights::Right;
use crate::domain::id::SourceId;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::text::sanitize;
use serde_json::{Value, json};

/// What it declares.
pub static ROLLBACK: VerbSpec = VerbSpec {
    name: "delivery.argocd_rollback",
    what: "has Argo CD deliver an earlier revision; hooks do not run, a database migration is not reversed",
    risk_floor: Risk::High,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Compensatable,
    idempotent: false,
    read_only: false,
    args: &[
        DELIVERY,
        APPLICATION,
        ArgSpec {
            name: "to",
            required: false,
            what: "id in the Application's history; the revision before by default",
        },
    ],
};

const fn auto(name: &'static str, what: &'static str) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor: Risk::Medium,
        blast_radius: BlastRadius::Tenant,
        reversible: Reversible::Yes,
        idempotent: true,
        read_only: false,
        args: &[DELIVERY, APPLICATION],
    }
}

/// What it declares.
pub static AUTO_SYNC_OFF: VerbSpec =
    auto("delivery.auto_sync_off", "lets Argo CD sync an Application only when asked; remembers how it was");
/// What it declares.
pub static AUTO_SYNC_ON: VerbSpec =
    auto("delivery.auto_sync_on", "lets Argo CD sync an Application by itself again, as it was before auto_sync_off");

/// What they need.
pub static RIGHTS: &[Right] =
    &[Right::look(ARGO, "applications", &["get"]), Right::act(ARGO, "applications", &["patch"])];

const AUTOMATED: &str = "/spec/syncPolicy/automated";
const REMEMBERED: &str = "quarterdeck.io/auto-sync";
const REMEMBERED_AT: &str = "/metadata/annotations/quarterdeck.io~1auto-sync";

/// The verb.
pub(super) struct Rollback(pub Deliveries);

/// Either of the two around it.
pub(super) struct AutoSync {
    /// Deliveries.
    pub of: Deliveries,
    /// Which of the two.
    pub on: bool,
}

/// `automated` is on when it is there and not switched off within (Argo CD's `IsAutomatedSyncEnabled`).
fn syncs_itself(application: &Value) -> bool {
    let automated = &application["spec"]["syncPolicy"]["automated"];
    automated.is_object() && automated["enabled"] != false
}

fn short(revision: &Value) -> String {
    let text = sanitize(revision.as_str().unwrap_or("several sources"));
    text.chars().take(12).collect()
}

/// Who would set the Application back to what Git says.
fn keeper(application: &Value) -> String {
    let owners = application["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let set = owners.into_iter().find(|o| o["kind"] == "ApplicationSet").and_then(|o| o["name"].as_str());
    set.map(|name| format!("; ApplicationSet {} may set it back", sanitize(name))).unwrap_or_default()
}

fn object(name: &str, application: &Value) -> String {
    format!("Application {name}, uid {}", application["metadata"]["uid"].as_str().unwrap_or_default())
}

impl Plan for Rollback {
    fn spec(&self) -> &'static VerbSpec {
        &ROLLBACK
    }

    fn cluster(&self, args: Args<'_>) -> Result<SourceId, VerbError> {
        self.0.cluster(args)
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        Ok(vec![Read::new("application", self.0.application(args)?.1)])
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let (name, path) = self.0.application(asked.args)?;
        let application = asked.object("application", &format!("Application {name}"))?;
        idle(&name, application)?;
        if syncs_itself(application) {
            return Err(VerbError::new(format!(
                "Application {name} syncs by itself, so Argo CD refuses a rollback; delivery.auto_sync_off first"
            )));
        }
        let history: Vec<&Value> = application["status"]["history"].as_array().into_iter().flatten().collect();
        let (now, before) = history
            .split_last()
            .ok_or_else(|| VerbError::new(format!("Application {name} has no history to go back to")))?;
        let same = |a: &Value, b: &Value| a["revision"] == b["revision"] && a["revisions"] == b["revisions"];
        let to = match asked.args.opt_number("to")? {
            Some(id) => history.iter().find(|h| h["id"] == id),
            None => before.iter().rev().find(|h| !same(h, now)),
        };
        let to = to.ok_or_else(|| {
            let kept: Vec<String> =
                history.iter().map(|h| format!("{} ({})", h["id"], short(&h["revision"]))).collect();
            VerbError::new(format!(
                "Application {name} has no such deployment to go back to; kept are: {}",
                kept.join(", ")
            ))
        })?;
        // As the server of Argo CD makes it: a sync of that revision from that source, applied without hooks.
        let mut sync = json!({"prune": false, "syncStrategy": {"apply": {}}});
        if let Some(sync) = sync.as_object_mut() {
            for key in ["revision", "revisions", "source", "sources"] {
                if !to[key].is_null() {
                    sync.insert(key.into(), to[key].clone());
                }
            }
        }
        if to["source"].is_null() && to["sources"].is_null() {
            return Err(VerbError::new("that deployment does not say its source; sync to its revision instead"));
        }
        let (is, was) = (short(&to["revision"]), short(&now["revision"]));
        Ok(Planned {
            object: object(&name, application),
            count: application["status"]["resources"].as_array().map_or(1, Vec::len),
            scope: destination(application),
            calls: vec![
                Patch::of(path, application)
                    .expect(AUTOMATED)
                    .set("/operation", operation(sync, application, asked.now))
                    .call(),
            ],
            hurts: format!(
                "{name} goes from {was} back to {is}: its pods are replaced, hooks (migrations among them) do not run, \
                 and a database that was migrated stays so"
            ),
            undo: "delivery.sync delivers what Git says again".into(),
            by_hand: format!("argocd app rollback {name} {}", to["id"]),
        })
    }
}

impl Plan for AutoSync {
    fn spec(&self) -> &'static VerbSpec {
        if self.on { &AUTO_SYNC_ON } else { &AUTO_SYNC_OFF }
    }

    fn cluster(&self, args: Args<'_>) -> Result<SourceId, VerbError> {
        self.of.cluster(args)
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        Ok(vec![Read::new("application", self.of.application(args)?.1)])
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let (name, path) = self.of.application(asked.args)?;
        let application = asked.object("application", &format!("Application {name}"))?;
        if syncs_itself(application) == self.on {
            let is = if self.on { "syncs by itself already" } else { "does not sync by itself" };
            return Err(VerbError::new(format!("Application {name} {is}")));
        }
        let change = Patch::of(path, application);
        let (call, hurts, undo, by_hand) = if self.on {
            let remembered = application["metadata"]["annotations"][REMEMBERED].as_str();
            let was: Option<Value> =
                remembered.and_then(|text| serde_json::from_str(text).ok()).filter(Value::is_object);
            let was = was.ok_or_else(|| {
                VerbError::new(format!("Application {name} does not say how it synced before; set its policy by hand"))
            })?;
            (
                change.set(AUTOMATED, was).remove(REMEMBERED_AT).call(),
                format!("{name} becomes what Git says at once, also where it was changed by hand"),
                "delivery.auto_sync_off takes it back",
                format!("argocd app set {name} --sync-policy automated"),
            )
        } else {
            let was = application["spec"]["syncPolicy"]["automated"].to_string();
            (
                change.remove(AUTOMATED).set(REMEMBERED_AT, json!(was)).call(),
                format!("nobody by itself: commits for {name} wait until somebody asks{}", keeper(application)),
                "delivery.auto_sync_on takes it back, as it was",
                format!("argocd app set {name} --sync-policy none"),
            )
        };
        Ok(Planned {
            object: object(&name, application),
            count: 1,
            scope: if self.on { destination(application) } else { Scope::Nobody },
            calls: vec![call],
            hurts,
            undo: undo.to_owned(),
            by_hand,
        })
    }
}
