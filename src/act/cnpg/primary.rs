//! `cnpg.promote`, `cnpg.scale` and the look `cnpg.status`.

use super::{
    CLUSTER, DATABASE, GROUP, NAMESPACE, Named, cluster, fenced, healthy, instances, is_fenced, named, object, primary,
    reads,
};
use crate::act::kubernetes::object::{Args, Asked, Found, Look, Patch, Plan, Planned, Read, Scope, Told};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::text::sanitize;
use serde_json::{Value, json};

/// What it declares.
pub static PROMOTE: VerbSpec = VerbSpec {
    name: "cnpg.promote",
    what: "makes another instance the primary; the one that was has to be fenced before, unless it is healthy and this planned",
    risk_floor: Risk::High,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Compensatable,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        DATABASE,
        ArgSpec { name: "instance", required: true, what: "name of the instance that becomes the primary" },
        ArgSpec {
            name: "planned",
            required: false,
            what: "true switches over from a healthy primary, which the operator shuts down first; false by default",
        },
    ],
};

/// What it declares.
pub static SCALE: VerbSpec = VerbSpec {
    name: "cnpg.scale",
    what: "sets the number of instances",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        DATABASE,
        ArgSpec { name: "instances", required: true, what: "number of instances, 1 or more" },
    ],
};

/// What it declares.
pub static STATUS: VerbSpec = VerbSpec {
    name: "cnpg.status",
    what: "looks at primary, instances, fences, phase and timeline as the operator says them",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: true,
    args: &[CLUSTER, NAMESPACE, DATABASE],
};

/// What it needs.
pub static PROMOTE_RIGHTS: &[Right] =
    &[Right::look(GROUP, "clusters", &["get"]), Right::act(GROUP, "clusters/status", &["patch"])];

/// Promotes.
pub(super) struct Promote;
/// Scales.
pub(super) struct Scale;
/// Looks.
pub(super) struct Status;

impl Plan for Promote {
    fn spec(&self) -> &'static VerbSpec {
        &PROMOTE
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        reads(args)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let Named { namespace, name, path, .. } = named(asked.args)?;
        let cluster = cluster(asked)?;
        let instance = asked.args.name("instance")?;
        let planned = asked.args.flag("planned")?;
        let refuse = |why: String| Err(VerbError::new(format!("{namespace}/{name}: {why}")));
        let now = primary(cluster).unwrap_or_default();
        let (known, sound) = (instances(cluster), healthy(cluster));
        if !known.contains(&instance) {
            return refuse(format!("there is no instance {instance}; it has {}", known.join(", ")));
        }
        if instance == now {
            return refuse(format!("{instance} is the primary already"));
        }
        if is_fenced(cluster, instance) {
            return refuse(format!("{instance} is fenced, so it can not take writes; cnpg.unfence it first"));
        }
        if !sound.contains(&instance) {
            return refuse(format!("{instance} is not healthy; healthy are: {}", sound.join(", ")));
        }
        let target = cluster["status"]["targetPrimary"].as_str().unwrap_or_default();
        if target != now && !target.is_empty() {
            return refuse(format!("the operator is making {} the primary already", sanitize(target)));
        }
        // Two primaries lose writes: the old one is shut down for certain, or the operator shuts it down first.
        if planned && !sound.contains(&now) {
            return refuse(format!(
                "the primary {now} is not healthy, so this is no planned switch-over; cnpg.fence it first"
            ));
        }
        if !planned && !is_fenced(cluster, now) {
            return refuse(format!("the primary {now} is not fenced; cnpg.fence it first, or say planned = true"));
        }
        // The same fields that `kubectl cnpg promote` writes.
        let call = Patch::of(format!("{path}/status"), cluster)
            .expect("/status/currentPrimary")
            .expect(super::FENCED_AT)
            .set("/status/targetPrimary", json!(instance))
            .set("/status/targetPrimaryTimestamp", json!(asked.now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()))
            .set("/status/phase", json!("Switchover in progress"))
            .set("/status/phaseReason", json!(format!("Switching over to {instance}")))
            .call();
        let lost = if planned {
            "nothing that was committed is lost".to_owned()
        } else {
            format!("what {now} had committed and {instance} had not received is lost")
        };
        Ok(Planned {
            object: format!("{}, primary {now} to {instance}", object(cluster)),
            count: 1,
            scope: Scope::Namespaces(vec![namespace.to_owned()]),
            calls: vec![call],
            hurts: format!("every connection to {name} is cut until {instance} takes writes; {lost}"),
            undo: "a switch-over back, once the old primary follows; what was lost stays lost".into(),
            by_hand: format!("kubectl cnpg promote -n {namespace} {name} {instance}"),
        })
    }
}

impl Plan for Scale {
    fn spec(&self) -> &'static VerbSpec {
        &SCALE
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        reads(args)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let Named { namespace, name, path, .. } = named(asked.args)?;
        let cluster = cluster(asked)?;
        let wanted = u64::from(asked.args.number("instances")?);
        let now = cluster["spec"]["instances"].as_u64().unwrap_or(1);
        if wanted == 0 {
            return Err(VerbError::new("argument instances has to be 1 or more"));
        }
        if wanted == now {
            return Err(VerbError::new(format!("{namespace}/{name} already has {now} instances")));
        }
        let hurts = if wanted < now {
            format!("{} replicas of {name} are removed with their volumes; the primary stays", now - wanted)
        } else {
            format!("the primary of {name} is copied {} times, which takes its disk and network", wanted - now)
        };
        Ok(Planned {
            object: object(cluster),
            count: usize::try_from(wanted.abs_diff(now)).unwrap_or(usize::MAX),
            scope: Scope::Namespaces(vec![namespace.to_owned()]),
            calls: vec![Patch::of(path, cluster).set("/spec/instances", json!(wanted)).call()],
            hurts,
            undo: format!("the same with instances = {now}"),
            by_hand: format!("kubectl -n {namespace} scale clusters.{GROUP}/{name} --replicas={wanted}"),
        })
    }
}

impl Look for Status {
    fn spec(&self) -> &'static VerbSpec {
        &STATUS
    }

    fn reads(&self, args: Args<'_>) -> Result<(Vec<String>, String, String), VerbError> {
        let Named { namespace, name, path, .. } = named(args)?;
        Ok((vec![path], format!("Cluster {namespace}/{name}"), format!("kubectl cnpg status -n {namespace} {name}")))
    }

    fn tell(&self, seen: &[Option<Value>]) -> Result<Told, String> {
        let cluster = seen.first().and_then(Option::as_ref).ok_or("there is no such Cluster")?;
        let status = &cluster["status"];
        let text = |v: &Value| v.as_str().map(sanitize);
        let now = primary(cluster).map(sanitize);
        let settled = status["targetPrimary"] == status["currentPrimary"];
        let (wanted, sound) = (cluster["spec"]["instances"].as_u64(), healthy(cluster).len());
        let fenced: Vec<String> = fenced(cluster).iter().map(|f| sanitize(f)).collect();
        let words = format!(
            "primary {}{}, {sound} of {} instances healthy, {} fenced, {}",
            now.as_deref().unwrap_or("not known"),
            if settled { "" } else { " is being replaced" },
            wanted.map_or("?".to_owned(), |n| n.to_string()),
            fenced.len(),
            text(&status["phase"]).unwrap_or_else(|| "phase not known".into()),
        );
        let result = json!({
            "primary": now, "target": text(&status["targetPrimary"]), "settled": settled, "instances": wanted,
            "healthy": sound, "fenced": fenced, "phase": text(&status["phase"]), "timeline": status["timelineID"],
        });
        Ok((result, words))
    }
}
