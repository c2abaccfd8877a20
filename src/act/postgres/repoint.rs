//! `postgres.pgbouncer_repoint`: sends the clients of a database to another server. The console can not change where a
//! database lives, so its line in an included file is replaced, and the file is read anew by `RELOAD`. The file names
//! in a comment what it replaced: when something else stands there by then, nothing is written.

use super::pooler::{Poolers, SECOND_LOOK, command, tenants};
use super::typed::identifier;
use crate::act::again;
use crate::act::args::{self, shell};
use crate::act::place::{self, Broken};
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of such a file at most.
const LONGEST: usize = 256 << 10;
/// The comment that names what was replaced.
const MARK: &str = ";; quarterdeck replaced sha256 ";

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "postgres.pgbouncer_repoint",
    what: "sends the clients of a database to another PostgreSQL server",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        ArgSpec { name: "pooler", required: true, what: "source id of the PgBouncer" },
        ArgSpec { name: "database", required: true, what: "database as PgBouncer names it" },
        ArgSpec { name: "host", required: true, what: "host name or address of the server" },
        ArgSpec { name: "port", required: false, what: "its port; 5432 by default" },
    ],
};

/// The verb.
pub(super) struct Repoint(pub(super) Arc<Poolers>);

fn digest(text: &str) -> String {
    args::hex(&Sha256::digest(text))
}

fn local(why: String) -> Failure {
    Failure::new(FailureKind::Local, why)
}

async fn read(path: PathBuf) -> Result<String, Failure> {
    let shown = path.display().to_string();
    let bytes = tokio::fs::read(path).await.map_err(|e| local(format!("{shown} can not be read: {e}")))?;
    if bytes.len() > LONGEST {
        return Err(local(format!("{shown} is longer than {LONGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| local(format!("{shown} is no UTF-8")))
}

/// The name that a line of `[databases]` begins with.
fn named(line: &str) -> Option<String> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    let bare = name.strip_prefix('"').and_then(|n| n.strip_suffix('"')).map(|n| n.replace("\"\"", "\""));
    Some(bare.unwrap_or_else(|| name.to_owned())).filter(|n| !n.is_empty() && !name.starts_with(';'))
}

/// The line with `host` and `port` replaced, all else as it stood.
fn moved(line: &str, host: &str, port: i64) -> String {
    let (name, rest) = line.split_once('=').unwrap_or((line, ""));
    let kept = rest.split_whitespace().filter(|w| !w.starts_with("host=") && !w.starts_with("port="));
    let words = [format!("host={host}"), format!("port={port}")].into_iter().chain(kept.map(str::to_owned));
    format!("{} = {}", name.trim(), words.collect::<Vec<_>>().join(" "))
}

/// The whole new file.
fn content(before: &str, database: &str, host: &str, port: i64) -> Result<String, VerbError> {
    let mut lines = vec![format!("{MARK}{}", digest(before))];
    let mut hits = 0;
    for line in before.lines().filter(|l| !l.starts_with(MARK)) {
        if named(line).as_deref() == Some(database) {
            hits += 1;
            lines.push(moved(line, host, port));
        } else {
            lines.push(line.to_owned());
        }
    }
    match hits {
        1 => Ok(lines.join("\n") + "\n"),
        n => Err(VerbError::new(format!("the databases_file has {n} lines for {database}, where one is needed"))),
    }
}

impl Repoint {
    fn path(&self, request: &Request) -> Result<PathBuf, Failure> {
        let Operation::File { path, content: Some(_) } = &request.operation else {
            return Err(crate::act::foreign(request));
        };
        let configured = self.0.reach(&request.target.source)?.config.databases_file.clone();
        configured
            .filter(|c| c == Path::new(path) && request.verb == SPEC.name)
            .ok_or_else(|| crate::act::foreign(request))
    }

    /// Writes the file unless it is another by now, or says so already.
    async fn write(&self, request: &Request) -> Result<(), Broken> {
        let path = self.path(request)?;
        let Operation::File { content: Some(new), .. } = &request.operation else {
            return Err(crate::act::foreign(request).into());
        };
        let before = read(path.clone()).await?;
        if &before == new {
            return Ok(());
        }
        let expected = new.lines().next().and_then(|l| l.strip_prefix(MARK)).unwrap_or_default();
        if expected != digest(&before) {
            let why = format!("{} is another than was shown: nothing was done, look again", path.display());
            return Err(local(why).into());
        }
        let new = new.clone();
        let work = move || {
            let about = std::fs::metadata(&path);
            let about = about.map_err(|e| local(format!("{} can not be looked at: {e}", path.display())))?;
            place::put(&path, Some(&new), about.permissions().mode() & 0o777)
        };
        let written = tokio::task::spawn_blocking(work).await;
        written.map_err(|_| Broken::Open(local("writing was broken off".to_owned())))?
    }

    /// Whether the file says what the request puts there.
    async fn stands(&self, request: &Request) -> Result<bool, Failure> {
        let now = read(self.path(request)?).await?;
        Ok(matches!(&request.operation, Operation::File { content: Some(new), .. } if *new == now))
    }

    fn wanted(request: &Request) -> Option<(String, String, String)> {
        let object = request.target.object.strip_prefix("database ")?;
        let (name, to) = object.split_once(" to ")?;
        let (host, port) = to.rsplit_once(':')?;
        Some((name.to_owned(), host.to_owned(), port.to_owned()))
    }
}

impl Verb for Repoint {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let id = SourceId::new(asked.args.get("pooler")?.as_str()?);
        let path = self.0.get(&id).ok()?.config.databases_file.clone()?;
        Some(Box::pin(async move { Ok(json!({ "file": read(path).await? })) }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "pooler")?);
        let (name, host) = (args::required(context, "database")?, args::required(context, "host")?);
        let port = args::whole(context, "port", 1, 65_535)?.unwrap_or(5432);
        identifier(&name)?;
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if !host.chars().all(fine) {
            let host = crate::domain::text::sanitize(&host);
            return Err(VerbError::new(format!("{host} is no host name or address")));
        }
        let pooler = self.0.get(&id)?;
        let link = pooler.act().map_err(|why| VerbError::new(why.message))?;
        let path = pooler.config.databases_file.as_deref().and_then(Path::to_str);
        let path = path.ok_or_else(|| {
            VerbError::new(format!(
                "[[pgbouncer]] {id} has no `databases_file`, so no database can be pointed elsewhere"
            ))
        })?;
        let before = context.surveyed.and_then(|s| s.get("file")).and_then(Value::as_str);
        let before = before.ok_or_else(|| VerbError::new(format!("{path} has not been read")))?;
        let new = content(before, &name, &host, port)?;
        let reload = super::pooler::by_hand(&pooler.config, link, "RELOAD");
        Ok(Request {
            verb: SPEC.name.to_owned(),
            target: Target {
                source: id,
                identity: String::new(),
                environment: context.estate.environment,
                object: format!("database {name} to {host}:{port}"),
                tenants: tenants(context, &name),
                count: 1,
            },
            by_hand: format!("install -m 0640 /dev/stdin {} <<'END'\n{new}END\n{reload}", shell(path)),
            operation: Operation::File { path: path.to_owned(), content: Some(new) },
            server_checks: vec![
                format!("only if the file still has sha256 {}", digest(before)),
                "then RELOAD on the admin console; queries that run end where they began".to_owned(),
            ],
            hurts: format!("clients of {name} are served by {host}:{port} from their next transaction on"),
            undo: "the same with the host and port of before".to_owned(),
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            self.path(request)?;
            let (name, host, port) = Self::wanted(request).ok_or_else(|| crate::act::foreign(request))?;
            let now = self.0.reach(&request.target.source)?.databases().await?;
            let now = now.get(&name).ok_or_else(|| local(format!("PgBouncer knows no database {name}")))?;
            Ok(format!("would send {name} to {host}:{port}; now it is {}:{}", now.host, now.port))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let request = permit.request();
            let link = match self.0.reach(&request.target.source).and_then(|p| p.act()) {
                Ok(link) => link,
                Err(why) => return Outcome::Failed { why },
            };
            if let Err(broken) = self.write(request).await {
                return broken.into();
            }
            // The file says so from here on: without an answer to RELOAD its effect is open.
            match command(link, "RELOAD", permit.timeout()).await {
                Outcome::Done { .. } => Outcome::Done {
                    result: json!({ "reloaded": true }),
                    summary: format!("{} is in force", request.target.object),
                },
                Outcome::Failed { why } | Outcome::Unknown { why } => Outcome::Unknown { why },
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let undecided = |why: String| Reconciled::Undecided { why };
            let Some((name, host, port)) = Self::wanted(request) else {
                return undecided("the request does not say where to".to_owned());
            };
            let look = || async {
                let looked = match self.0.reach(&request.target.source) {
                    Ok(pooler) => pooler.databases().await,
                    Err(why) => Err(why),
                };
                let now = match looked.map(|mut all| all.remove(&name)) {
                    Err(why) => return undecided(why.message),
                    Ok(None) => return undecided(format!("PgBouncer knows no database {name}")),
                    Ok(Some(now)) => now,
                };
                if now.host == host && now.port == port {
                    return Reconciled::TookEffect { seen: format!("{name} is served by {host}:{port}") };
                }
                let seen = format!("{name} is served by {}:{}", now.host, now.port);
                match self.stands(request).await {
                    Ok(false) => Reconciled::NoEffect { seen },
                    Ok(true) => undecided(format!(
                        "{seen}, but the file says {host}:{port}: that is in force as soon as PgBouncer reads it anew"
                    )),
                    Err(why) => undecided(why.message),
                }
            };
            again::twice(SECOND_LOOK, look).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_changes_and_all_else_stays() {
        let before = "; ours\nt017 = host=10.0.0.1 port=5432 pool_size=20\n\"t 3\" = host=a\nt0170 = host=b\n";
        let after = content(before, "t017", "10.0.0.2", 5433).unwrap();
        let expected = format!(
            "{MARK}{}\n; ours\nt017 = host=10.0.0.2 port=5433 pool_size=20\n\"t 3\" = host=a\nt0170 = host=b\n",
            digest(before)
        );
        assert_eq!(after, expected);
        let again = content(&after, "t 3", "c", 1).unwrap();
        assert!(again.contains("\"t 3\" = host=c port=1\n") && again.matches(MARK).count() == 1, "{again}");
        assert!(content(before, "t090", "c", 1).unwrap_err().message.contains("0 lines for t090"));
        assert!(content("a = x\na = y\n", "a", "c", 1).unwrap_err().message.contains("2 lines"));
    }
}
