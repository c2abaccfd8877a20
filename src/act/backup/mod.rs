//! pgBackRest: what backups there are, whether archiving works, a backup now, and a restore beside the running cluster.
//! It is started as configured, without a shell. Only the engine calls this.

#[cfg(test)]
mod tests;

use super::DynVerb;
use super::args::{self, shell};
use super::command::{OUTPUT, outcome};
use super::look::{Answer, Look, Looking};
use super::still;
use crate::config::model::Pgbackrest;
use crate::domain::behalf::Behalf;
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::pgbackrest::{self, argv, run};
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const BACKUP: ArgSpec = ArgSpec { name: "backup", required: true, what: "id of a [[pgbackrest]]" };

/// What the look declares.
pub static INFO: VerbSpec = VerbSpec {
    name: "backup.pgbackrest_info",
    what: "shows the backups of a stanza and how old the newest is",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: true,
    args: &[BACKUP],
};
/// What the check declares: it ends a WAL segment and waits until the repository has it.
pub static CHECK: VerbSpec = VerbSpec {
    name: "backup.pgbackrest_check",
    what: "proves that a WAL segment reaches the repository",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[BACKUP],
};
/// What a backup declares.
pub static TAKE: VerbSpec = VerbSpec {
    name: "backup.pgbackrest_backup",
    what: "takes a backup now",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: false,
    read_only: false,
    args: &[BACKUP, ArgSpec { name: "type", required: false, what: "incr (by default), diff or full" }],
};
/// What a restore declares.
pub static RESTORE: VerbSpec = VerbSpec {
    name: "backup.restore_aside",
    what: "restores a backup into an empty directory beside the running cluster, which is not touched",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: false,
    read_only: false,
    args: &[
        BACKUP,
        ArgSpec { name: "into", required: true, what: "name of the new directory below restore_dir" },
        ArgSpec {
            name: "target_time",
            required: false,
            what: "moment to which it is replayed, RFC 3339; to the end when absent",
        },
        ArgSpec { name: "set", required: false, what: "label of the backup; the newest that fits when absent" },
    ],
};

/// What the verbs declare.
pub static SPECS: &[&VerbSpec] = &[&INFO, &CHECK, &TAKE, &RESTORE];

/// The verbs, for the configured stanzas.
pub fn verbs(_: MayAct, configured: &[Pgbackrest]) -> Vec<Arc<DynVerb>> {
    let known = Arc::new(Known(configured.to_vec()));
    let run = |spec| -> Arc<DynVerb> { Arc::new(Run { spec, known: known.clone() }) };
    vec![Looking::shared(Info(known.clone())), run(&CHECK), run(&TAKE), run(&RESTORE)]
}

struct Known(Vec<Pgbackrest>);

impl Known {
    fn get(&self, id: &str) -> Result<&Pgbackrest, VerbError> {
        self.0.iter().find(|p| p.id.as_str() == id).ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|p| p.id.as_str()).collect();
            let known = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
            VerbError::new(format!("there is no [[pgbackrest]] {}; known: {known}", sanitize(id)))
        })
    }

    fn reach(&self, request: &Request) -> Result<&Pgbackrest, Failure> {
        self.get(request.target.source.as_str()).map_err(|e| local(e.message))
    }
}

fn local(why: impl AsRef<str>) -> Failure {
    Failure::new(FailureKind::Local, why)
}

fn typed(argv: &[String]) -> String {
    argv.iter().map(|w| shell(w)).collect::<Vec<_>>().join(" ")
}

/// The entry of the stanza in what `info` says.
async fn info(of: &Pgbackrest) -> Result<Value, Failure> {
    let all = pgbackrest::info(of).await?;
    let of_stanza = all.as_array().into_iter().flatten().find(|s| s["name"] == of.stanza.as_str());
    let none = || format!("pgbackrest info answered nothing of the stanza {}", of.stanza);
    of_stanza.cloned().ok_or_else(|| Failure::new(FailureKind::Protocol, none()))
}

/// Label and end of the newest backup.
fn newest(info: &Value) -> Option<(String, i64)> {
    let last = info.get("backup")?.as_array()?.last()?;
    Some((sanitize(last.get("label")?.as_str()?), last.pointer("/timestamp/stop")?.as_i64()?))
}

/// Whether its lock for backups is held, from wherever (`status.lock.backup.held`, pgBackRest 2.41 and later).
fn is_locked(info: &Value) -> bool {
    info.pointer("/status/lock/backup/held").and_then(Value::as_bool) == Some(true)
}

fn locked(of: &Pgbackrest) -> String {
    format!("a backup of the stanza {} still runs", of.stanza)
}

fn summary(info: &Value) -> String {
    let count = info.get("backup").and_then(Value::as_array).map_or(0, Vec::len);
    let status = info.pointer("/status/message").and_then(Value::as_str).map(sanitize).unwrap_or_default();
    match newest(info) {
        Some((label, stop)) => {
            let at = jiff::Timestamp::from_second(stop).map(|t| t.to_string()).unwrap_or_default();
            format!("{count} backups, the newest {label} ended {at}; status {status}")
        }
        None => format!("no backup; status {status}"),
    }
}

/// `backup.pgbackrest_info`.
struct Info(Arc<Known>);

impl Look for Info {
    fn spec(&self) -> &'static VerbSpec {
        &INFO
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let of = self.0.get(&args::required(context, "backup")?)?;
        let argv = argv(of, "info", &["--output=json".to_owned()]);
        Ok(request(context, &INFO, of, argv, format!("backups of the stanza {}", of.stanza), "Nobody: it only looks."))
    }

    fn ask<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let info = info(self.0.reach(request)?).await?;
            let summary = summary(&info);
            Ok((info, summary))
        })
    }
}

fn request(
    context: &RenderContext<'_>,
    spec: &VerbSpec,
    of: &Pgbackrest,
    argv: Vec<String>,
    object: String,
    hurts: &str,
) -> Request {
    Request {
        verb: spec.name.to_owned(),
        target: Target {
            source: of.id.clone(),
            identity: String::new(),
            environment: context.estate.environment,
            object,
            tenants: Vec::new(),
            count: 1,
        },
        by_hand: typed(&argv),
        operation: Operation::Command { argv, sha256: String::new() },
        server_checks: Vec::new(),
        hurts: hurts.to_owned(),
        undo: "There is nothing to take back.".to_owned(),
    }
}

/// One of the verbs that run something.
struct Run {
    spec: &'static VerbSpec,
    known: Arc<Known>,
}

impl Run {
    fn checked<'a>(&'a self, request: &'a Request) -> Result<(&'a Pgbackrest, &'a [String]), Failure> {
        let of = self.known.reach(request)?;
        let Operation::Command { argv, sha256 } = &request.operation else { return Err(crate::act::foreign(request)) };
        let word = match self.spec.name {
            "backup.pgbackrest_check" => "check",
            "backup.pgbackrest_backup" => "backup",
            _ => "restore",
        };
        let begins = argv.starts_with(&of.command) && argv.contains(&format!("--stanza={}", of.stanza));
        if request.verb != self.spec.name
            || !sha256.is_empty()
            || !begins
            || argv.last().map(String::as_str) != Some(word)
        {
            return Err(crate::act::foreign(request));
        }
        Ok((of, argv))
    }

    fn restore(&self, context: &RenderContext<'_>, of: &Pgbackrest) -> Result<Request, VerbError> {
        let dir = of
            .restore_dir
            .as_ref()
            .ok_or_else(|| VerbError::new(format!("[[pgbackrest]] {} has no `restore_dir` to restore into", of.id)))?;
        let into = args::required(context, "into")?;
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !into.chars().all(fine) || into.len() > 63 {
            return Err(VerbError::new(format!(
                "{} is no name of a directory: letters, digits, - and _",
                sanitize(&into)
            )));
        }
        let path = dir.join(&into);
        let mut options = vec![format!("--pg1-path={}", path.display())];
        let mut to = "to the end of its WAL".to_owned();
        if let Some(set) = args::optional(context, "set")? {
            if !set.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
                return Err(VerbError::new(format!("{} is no label of a backup", sanitize(&set))));
            }
            options.push(format!("--set={set}"));
        }
        if let Some(text) = args::optional(context, "target_time")? {
            let at: jiff::Timestamp = text.parse().map_err(|_| {
                VerbError::new(format!("target_time is {}, no moment such as 2026-11-21T08:30:00Z", sanitize(&text)))
            })?;
            if at > context.now {
                return Err(VerbError::new(format!("target_time {at} lies in the future")));
            }
            options.push("--type=time".to_owned());
            options.push(format!("--target={}", at.strftime("%Y-%m-%d %H:%M:%S%.6f+00")));
            options.push("--target-action=promote".to_owned());
            to = format!("to {at}");
        }
        // Without this the restored cluster would archive into the repository of the running one.
        options.push("--archive-mode=off".to_owned());
        let argv = argv(of, "restore", &options);
        let object = format!("restore of the stanza {} {to} into {}", of.stanza, path.display());
        let mut request = request(context, self.spec, of, argv, object, "nobody; the disk and the repository are busy");
        request
            .server_checks
            .push("pgBackRest restores only into an empty directory; archiving is off there".to_owned());
        request.undo = format!("remove {}", path.display());
        Ok(request)
    }

    /// What pgBackRest was told beyond the words that start it: these stand at the end of its command line, however it
    /// was started.
    fn told<'a>(of: &Pgbackrest, argv: &'a [String]) -> &'a [String] {
        argv.get(of.command.len()..).unwrap_or_default()
    }

    /// The directory of a restore.
    fn into(argv: &[String]) -> Option<&str> {
        argv.iter().find_map(|w| w.strip_prefix("--pg1-path="))
    }
}

impl Verb for Run {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.spec
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let of = self.known.get(asked.args.get("backup")?.as_str()?).ok()?.clone();
        Some(Box::pin(async move { info(&of).await }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let of = self.known.get(&args::required(context, "backup")?)?;
        let info = context.surveyed.ok_or_else(|| VerbError::new("the backups have not been read"))?;
        let last = newest(info).map_or("none yet".to_owned(), |(label, _)| label);
        match self.spec.name {
            "backup.pgbackrest_check" => {
                let object = format!("archiving of the stanza {}", of.stanza);
                let hurts = "nobody; one WAL segment is ended early";
                Ok(request(context, self.spec, of, argv(of, "check", &[]), object, hurts))
            }
            "backup.pgbackrest_backup" => {
                let kind = args::word(context, "type", &["incr", "diff", "full"])?;
                let argv = argv(of, "backup", &[format!("--type={kind}")]);
                let object = format!("{kind} backup of the stanza {}, newest before: {last}", of.stanza);
                let hurts = "everyone on the instance: its disk and network are busy until it has ended";
                Ok(request(context, self.spec, of, argv, object, hurts))
            }
            _ if newest(info).is_none() => Err(VerbError::new(format!("the stanza {} has no backup", of.stanza))),
            _ => self.restore(context, of),
        }
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let (of, argv) = self.checked(request)?;
            let now = summary(&info(of).await?);
            if let Some(into) = Self::into(argv)
                && tokio::fs::try_exists(Path::new(into).join("PG_VERSION")).await.unwrap_or(false)
            {
                return Err(local(format!("{into} holds a cluster already")));
            }
            Ok(format!("would run {}; {now}", typed(argv)))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let (of, argv) = match self.checked(permit.request()) {
                Ok(checked) => checked,
                Err(why) => return Outcome::Failed { why },
            };
            let word = argv.last().cloned().unwrap_or_default();
            let ended = run(argv, permit.timeout(), OUTPUT).await;
            match outcome(ended, &format!("pgbackrest {word}")) {
                Outcome::Done { result, summary: done } => {
                    let now = info(of).await.ok();
                    let label = now.as_ref().and_then(newest).map(|(label, _)| label);
                    let mut result = result;
                    if let Some(map) = result.as_object_mut() {
                        map.insert("newest".into(), json!(label));
                        map.insert("into".into(), json!(Self::into(argv)));
                    }
                    let now = now.as_ref().map(summary).unwrap_or_default();
                    Outcome::Done { result, summary: format!("{done}; {now}") }
                }
                other => other,
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let (of, argv) = match self.checked(request) {
                Ok(checked) => checked,
                Err(why) => return Reconciled::Undecided { why: why.message },
            };
            // It outlives an engine that was killed: as long as it runs, what it leaves is not there yet.
            let busy = || async { is_locked(&info(of).await.unwrap_or_default()).then(|| locked(of)) };
            if let Some(why) = still::ended(&still::told(Self::told(of, argv)), busy).await {
                return Reconciled::Undecided { why };
            }
            if let Some(into) = Self::into(argv) {
                return match tokio::fs::try_exists(into).await {
                    Ok(false) => Reconciled::NoEffect { seen: format!("{into} does not exist") },
                    Ok(true) => {
                        Reconciled::Undecided { why: format!("{into} exists; whether it is whole can not be told") }
                    }
                    Err(e) => Reconciled::Undecided { why: format!("{into}: {e}") },
                };
            }
            let before = request.target.object.rsplit(": ").next().unwrap_or_default();
            match (self.spec.name, info(of).await) {
                (_, Err(why)) => Reconciled::Undecided { why: why.message },
                ("backup.pgbackrest_check", Ok(_)) => {
                    Reconciled::Undecided { why: "a check leaves nothing to see; it may be run again".to_owned() }
                }
                (_, Ok(now)) => match newest(&now) {
                    Some((label, _)) if label != before => {
                        Reconciled::TookEffect { seen: format!("the newest backup is {label}") }
                    }
                    _ => Reconciled::NoEffect { seen: format!("the newest backup is still {before}") },
                },
            }
        })
    }
}
