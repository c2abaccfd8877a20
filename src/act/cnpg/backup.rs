//! `cnpg.backup`, the look at it, and `cnpg.restore_aside`: another Cluster beside the one that is, from a backup or from
//! the archive up to a moment. The one that is stays untouched.

use super::{CLUSTER, DATABASE, GROUP, NAMESPACE, Named, cluster, named, object, reads};
use crate::act::kubernetes::object::{Args, Asked, Found, Look, Plan, Planned, Read, Scope, Told, create};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::text::sanitize;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What it declares.
pub static BACKUP: VerbSpec = VerbSpec {
    name: "cnpg.backup",
    what: "begins a backup of a Cluster, from a replica where there is one",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Compensatable,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        DATABASE,
        ArgSpec { name: "name", required: true, what: "name of the Backup, which must not be there yet" },
        ArgSpec {
            name: "method",
            required: false,
            what: "barmanObjectStore (default), volumeSnapshot, or plugin for the plugin of Barman Cloud",
        },
    ],
};

/// What it declares.
pub static BACKUP_STATUS: VerbSpec = VerbSpec {
    name: "cnpg.backup_status",
    what: "looks how far a backup is",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: true,
    args: &[CLUSTER, NAMESPACE, ArgSpec { name: "name", required: true, what: "name of the Backup" }],
};

/// What it declares.
pub static RESTORE_ASIDE: VerbSpec = VerbSpec {
    name: "cnpg.restore_aside",
    what: "restores a backup, or the archive up to a moment, into a new Cluster beside the one that is",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        DATABASE,
        ArgSpec { name: "name", required: true, what: "name of the new Cluster, which must not be there yet" },
        ArgSpec { name: "backup", required: true, what: "name of the Backup to start from" },
        ArgSpec {
            name: "until",
            required: false,
            what: "moment up to which to replay, RFC 3339 with its offset; all of the archive by default",
        },
    ],
};

/// What it needs.
pub static BACKUP_RIGHTS: &[Right] = &[
    Right::look(GROUP, "clusters", &["get"]),
    Right::look(GROUP, "backups", &["get"]),
    Right::act(GROUP, "backups", &["create"]),
];
/// What it needs.
pub static STATUS_RIGHTS: &[Right] = &[Right::look(GROUP, "backups", &["get"])];
/// What it needs.
pub static RESTORE_RIGHTS: &[Right] = &[
    Right::look(GROUP, "clusters", &["get"]),
    Right::look(GROUP, "backups", &["get"]),
    Right::act(GROUP, "clusters", &["create"]),
];

/// Backs up.
pub(super) struct Backup;
/// Looks.
pub(super) struct Status;
/// Restores.
pub(super) struct RestoreAside;

fn backups(namespace: &str) -> String {
    format!("/apis/{GROUP}/v1/namespaces/{namespace}/backups")
}

impl Plan for Backup {
    fn spec(&self) -> &'static VerbSpec {
        &BACKUP
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        reads(args)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let Named { namespace, name, .. } = named(asked.args)?;
        let cluster = cluster(asked)?;
        let backup = asked.args.name("name")?;
        let method = asked.args.one_of("method", &["barmanObjectStore", "volumeSnapshot", "plugin"])?;
        let mut spec = json!({"cluster": {"name": name}, "method": method, "target": "prefer-standby"});
        if let (Some(spec), "plugin") = (spec.as_object_mut(), method) {
            spec.insert("pluginConfiguration".into(), json!({"name": "barman-cloud.cloudnative-pg.io"}));
        }
        let object_of = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": "Backup",
            "metadata": {"name": backup, "namespace": namespace}, "spec": spec,
        });
        Ok(Planned {
            object: format!("Backup {namespace}/{backup} of {}", object(cluster)),
            count: 1,
            scope: Scope::Namespaces(vec![namespace.to_owned()]),
            calls: vec![create(&backups(namespace), &object_of)],
            hurts: format!("nobody; reading all of {name} takes disk and network for a while"),
            undo: format!(
                "kubectl -n {namespace} delete backup {backup}; what is in the archive stays until it expires"
            ),
            by_hand: format!("kubectl cnpg backup -n {namespace} {name} --backup-name {backup} --method {method}"),
        })
    }
}

impl Look for Status {
    fn spec(&self) -> &'static VerbSpec {
        &BACKUP_STATUS
    }

    fn reads(&self, args: Args<'_>) -> Result<(Vec<String>, String, String), VerbError> {
        let (namespace, name) = (args.namespace("namespace")?, args.name("name")?);
        let path = format!("{}/{name}", backups(namespace));
        Ok((vec![path], format!("Backup {namespace}/{name}"), format!("kubectl -n {namespace} get backup {name}")))
    }

    fn tell(&self, seen: &[Option<Value>]) -> Result<Told, String> {
        let backup = seen.first().and_then(Option::as_ref).ok_or("there is no such Backup")?;
        let text = |key: &str| backup["status"][key].as_str().map(sanitize);
        let phase = text("phase");
        let words = match (phase.as_deref(), text("error")) {
            (Some(phase), Some(error)) if !error.is_empty() => format!("{phase}: {error}"),
            (Some(phase), _) => phase.to_owned(),
            (None, _) => "not begun".to_owned(),
        };
        let result = json!({
            "phase": phase, "completed": phase.as_deref() == Some("completed"), "failed": phase.as_deref() == Some("failed"),
            "started": text("startedAt"), "stopped": text("stoppedAt"), "error": text("error"),
        });
        Ok((result, words))
    }
}

impl Plan for RestoreAside {
    fn spec(&self) -> &'static VerbSpec {
        &RESTORE_ASIDE
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        let mut all = reads(args)?;
        let (namespace, backup) = (args.namespace("namespace")?, args.name("backup")?);
        all.push(Read::new("backup", format!("{}/{backup}", backups(namespace))));
        Ok(all)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let Named { namespace, name, collection, .. } = named(asked.args)?;
        let cluster = cluster(asked)?;
        let (new, from) = (asked.args.name("name")?, asked.args.name("backup")?);
        let backup = asked.object("backup", &format!("Backup {namespace}/{from}"))?;
        if new == name {
            return Err(VerbError::new("the new Cluster needs another name than the one that is"));
        }
        if backup["spec"]["cluster"]["name"] != name {
            let of = sanitize(backup["spec"]["cluster"]["name"].as_str().unwrap_or("another Cluster"));
            return Err(VerbError::new(format!("Backup {namespace}/{from} is one of {of}, not of {name}")));
        }
        if backup["status"]["phase"] != "completed" {
            let phase = sanitize(backup["status"]["phase"].as_str().unwrap_or("not begun"));
            return Err(VerbError::new(format!("Backup {namespace}/{from} is {phase}, not completed")));
        }
        let mut recovery = json!({"backup": {"name": from}});
        let mut upto = "the end of the archive".to_owned();
        if let Some(text) = asked.args.opt_text("until")? {
            let until: Timestamp = text.parse().map_err(|_| {
                VerbError::new(format!("argument until: {} is not RFC 3339 with an offset", sanitize(text)))
            })?;
            let ended = backup["status"]["stoppedAt"].as_str().and_then(|t| t.parse::<Timestamp>().ok());
            if until > asked.now || ended.is_some_and(|ended| until < ended) {
                return Err(VerbError::new(format!(
                    "until has to lie between the end of the backup ({}) and now",
                    ended.map_or("not known".to_owned(), |e| e.to_string())
                )));
            }
            upto = until.to_string();
            if let Some(recovery) = recovery.as_object_mut() {
                recovery.insert("recoveryTarget".into(), json!({"targetTime": upto}));
            }
        }
        // What the new one needs to hold the same data; archives, scheduled backups and managed roles are not taken
        // over, so it can not write into the archive of the one that is.
        let mut spec = Map::from_iter([
            ("instances".to_owned(), json!(1)),
            ("bootstrap".to_owned(), json!({"recovery": recovery})),
        ]);
        for key in ["imageName", "storage", "walStorage", "resources", "postgresql"] {
            if !cluster["spec"][key].is_null() {
                spec.insert(key.to_owned(), cluster["spec"][key].clone());
            }
        }
        let aside = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": "Cluster",
            "metadata": {"name": new, "namespace": namespace}, "spec": spec,
        });
        let size = sanitize(cluster["spec"]["storage"]["size"].as_str().unwrap_or("as much disk as the one that is"));
        Ok(Planned {
            object: format!("Cluster {namespace}/{new} beside {}", object(cluster)),
            count: 1,
            scope: Scope::Namespaces(vec![namespace.to_owned()]),
            calls: vec![create(&collection, &aside)],
            hurts: format!("nobody; {name} stays as it is, and {new} takes {size}; restored up to {upto}"),
            undo: format!("kubectl -n {namespace} delete clusters.{GROUP} {new}, with all that was restored"),
            by_hand: format!("kubectl create -f - <<'END'\n{aside:#}\nEND"),
        })
    }
}
