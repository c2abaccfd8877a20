//! `command.run`: one program of this machine with its arguments, without a shell. Policy names the file and its
//! digest; a file that is a link, lies in a way through links, can be written by others or has changed is not started.
//! Only the engine calls this, and `act::backup` for `outcome`.

#[cfg(test)]
mod tests;

use super::DynVerb;
use super::args;
use super::still;
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::{is_hostile, sanitize};
use crate::observe::process::{self, Broken, Ended, said, text};
use crate::policy::authorized::Authorized;
use crate::policy::commands::Allowed;
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

/// Bytes of each output of a program that are kept.
pub(super) const OUTPUT: u64 = 1 << 20;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "command.run",
    what: "starts a program that policy allows, with its arguments and without a shell",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::No,
    idempotent: false,
    read_only: false,
    args: &[
        ArgSpec { name: "program", required: true, what: "absolute path, as policy names it" },
        ArgSpec { name: "args", required: false, what: "list of arguments" },
    ],
};

/// The verbs of this module.
pub static SPECS: &[&VerbSpec] = &[&SPEC];

/// The verb, for the programs that policy allows.
pub fn verbs(_: MayAct, allowed: Vec<Allowed>) -> Vec<Arc<DynVerb>> {
    vec![Arc::new(Run(allowed))]
}

/// The verb.
struct Run(Vec<Allowed>);

fn local(why: impl AsRef<str>) -> Failure {
    Failure::new(FailureKind::Local, why)
}

/// Its end as the outcome of a verb. What a program had done that ends with an error is not known.
pub(super) fn outcome(ended: Result<Ended, Broken>, name: &str) -> Outcome {
    match ended {
        Err(Broken::NotStarted(why)) => Outcome::Failed { why },
        Err(Broken::Lost(why)) => Outcome::Unknown { why },
        Ok(ended) if ended.status.success() => Outcome::Done {
            result: json!({ "code": 0, "stdout": text(&ended.stdout), "stderr": text(&ended.stderr) }),
            summary: format!("{name} ended well"),
        },
        Ok(ended) => Outcome::Unknown { why: said(name, &ended) },
    }
}

/// Opens the file if it is the one that policy names, byte for byte.
fn open(allowed: &Allowed) -> Result<std::fs::File, Failure> {
    let path: &Path = &allowed.path;
    let shown = path.display();
    let said = |e: &dyn std::fmt::Display| local(format!("{shown} can not be started: {e}"));
    let real = std::fs::canonicalize(path).map_err(|e| said(&e))?;
    if real != path {
        return Err(local(format!("{shown} is a link, or lies behind one, to {}: it is not started", real.display())));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = std::fs::File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|e| said(&e))?);
    let about = file.metadata().map_err(|e| said(&e))?;
    if !about.is_file() {
        return Err(local(format!("{shown} is no regular file: it is not started")));
    }
    if about.mode() & 0o022 != 0 {
        return Err(local(format!(
            "{shown} has mode {:04o}, others can write it: it is not started",
            about.mode() & 0o7777
        )));
    }
    let mut hash = Sha256::new();
    std::io::copy(&mut &file, &mut hash).map_err(|e| said(&e))?;
    let found = args::hex(&hash.finalize());
    if !found.eq_ignore_ascii_case(&allowed.sha256) {
        return Err(local(format!(
            "{shown} has changed (sha256 {found}, policy names {}): it is not started",
            allowed.sha256
        )));
    }
    Ok(file)
}

/// The process that was started so: the program under its own name, or its interpreter with the open file that is the
/// script.
fn started(argv: &[String]) -> still::Is {
    let argv = argv.to_vec();
    Arc::new(move |pid, line| {
        let Some((program, given)) = argv.split_first() else { return false };
        let Some(at) = line.len().checked_sub(given.len() + 1) else { return false };
        let named = line.get(at).map(|word| String::from_utf8_lossy(word)).unwrap_or_default();
        let opened = named.strip_prefix("/proc/self/fd/").map(|fd| format!("/proc/{pid}/fd/{fd}"));
        let is_script = opened.is_some_and(|fd| std::fs::read_link(fd).is_ok_and(|file| file == Path::new(program)));
        still::ends_with(line, given) && (is_script || named == program.as_str())
    })
}

impl Run {
    fn allowed(&self, program: &str, args: &[String]) -> Result<&Allowed, String> {
        let named: Vec<&Allowed> = self.0.iter().filter(|a| a.path == Path::new(program)).collect();
        let Some(first) = named.first() else {
            return Err(format!("policy does not allow the program {}", sanitize(program)));
        };
        match named.iter().find(|a| a.takes(args).is_ok()) {
            Some(allowed) => Ok(allowed),
            None => Err(first.takes(args).err().unwrap_or_default()),
        }
    }

    fn checked<'a>(&'a self, request: &'a Request) -> Result<(&'a Allowed, &'a [String]), Failure> {
        let Operation::Command { argv, sha256 } = &request.operation else { return Err(crate::act::foreign(request)) };
        let (program, args) = argv.split_first().ok_or_else(|| crate::act::foreign(request))?;
        let allowed = self.allowed(program, args).map_err(local)?;
        if request.verb != SPEC.name || sha256 != &allowed.sha256 {
            return Err(crate::act::foreign(request));
        }
        Ok((allowed, args))
    }
}

impl Verb for Run {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let program = args::required(context, "program")?;
        let list = match context.args.get("args") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(all)) => all
                .iter()
                .map(|a| match a {
                    Value::String(text) => Ok(text.clone()),
                    Value::Number(number) => Ok(number.to_string()),
                    _ => Err(VerbError::new("the argument args must be a list of texts")),
                })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(VerbError::new("the argument args must be a list of texts")),
        };
        if list.iter().any(|a| a.chars().any(is_hostile)) {
            return Err(VerbError::new("an argument holds characters that control a terminal"));
        }
        let allowed = self.allowed(&program, &list).map_err(VerbError::new)?;
        let argv: Vec<String> = [program.clone()].into_iter().chain(list).collect();
        Ok(Request {
            verb: SPEC.name.to_owned(),
            target: Target {
                source: SourceId::new("command"),
                identity: allowed.sha256.clone(),
                environment: context.estate.environment,
                object: format!("program {program}"),
                tenants: Vec::new(),
                count: 1,
            },
            by_hand: argv.iter().map(|w| args::shell(w)).collect::<Vec<_>>().join(" "),
            operation: Operation::Command { argv, sha256: allowed.sha256.clone() },
            server_checks: vec![
                "only if the file is no link, nobody else can write it, and its sha256 is the one shown".to_owned(),
                "no shell, no input, a bare environment, all its processes are ended at the time limit".to_owned(),
            ],
            hurts: "what the program does is known to those who put it into policy".to_owned(),
            undo: "Only by what the program itself offers for it.".to_owned(),
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let allowed = self.checked(request)?.0.clone();
            let opened = tokio::task::spawn_blocking(move || open(&allowed));
            opened.await.map_err(|_| local("looking at the file was broken off"))??;
            Ok(format!("would start {}: the file is the one that policy names", request.by_hand))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let (allowed, args) = match self.checked(permit.request()) {
                Ok((allowed, args)) => (allowed.clone(), args),
                Err(why) => return Outcome::Failed { why },
            };
            let shown = allowed.path.display().to_string();
            let opened = tokio::task::spawn_blocking(move || open(&allowed)).await;
            let file = match opened.map_err(|_| local("looking at the file was broken off")).and_then(|o| o) {
                Ok(file) => file,
                Err(why) => return Outcome::Failed { why },
            };
            // What was looked at is what runs: the open file, not what the path names by then. It has to stay open
            // in the new process, since an interpreter of a script opens it there again.
            if let Err(e) = rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()) {
                return Outcome::Failed { why: local(format!("{shown} can not be started: {e}")) };
            }
            let program = format!("/proc/self/fd/{}", file.as_raw_fd());
            outcome(process::run(&program, &shown, args, permit.timeout(), OUTPUT).await, &shown)
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let Operation::Command { argv, .. } = &request.operation else {
                return Reconciled::Undecided { why: crate::act::foreign(request).message };
            };
            let runs = still::ended(&started(argv), || std::future::ready(None)).await;
            let why = format!("what {} had done by then can only be seen in what it changes", request.target.object);
            Reconciled::Undecided { why: runs.map_or(why.clone(), |runs| format!("{runs}; {why}")) }
        })
    }
}
