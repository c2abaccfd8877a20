//! `approve`, `deny` and `request …`: a second person's answer. What is signed is shown in full first, and its digest is
//! computed here from what is shown; the key stays in the person's ssh-agent, or on a laptop that this program never
//! sees.

use super::args::{Answer, Format, Global, Request};
use super::login;
use super::output::{self, Error, Exit};
use super::session::{self, Home};
use crate::attest::agent::{Agent, Held};
use crate::config::locate::Places;
use crate::domain::incident::Role;
use crate::domain::text::sanitize;
use crate::engine::api::{Command, Decision, LogPoint, RequestState, RequestView, Snapshot};
use crate::engine::attach::remote;
use crate::journal::proof;
use crate::policy::digest::canonical;
use crate::policy::statement::NAMESPACE;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `request export` wrote.
#[derive(Serialize, JsonSchema)]
pub struct Exported {
    /// What would be done; its sha256 is the digest.
    step: PathBuf,
    /// What has to be signed, byte for byte.
    statement: PathBuf,
    /// The command that signs it.
    sign: String,
}

/// Runs `approve` and `deny`.
pub fn answer(global: &Global, answer: &Answer, decision: Decision, reason: &str) -> Result<Exit, Error> {
    let home = live_home(global)?;
    session::runtime()?.block_on(async {
        let snapshot = running(&home).await?;
        let request = open(&snapshot, &answer.request)?;
        let role = role_of(request, answer.role)?;
        in_order(request, &home)?;
        agreed(request, decision, role, answer.digest.as_deref())?;
        let agent = Agent::of_session().map_err(Error::failed)?;
        let keys = agent.keys().await.map_err(Error::failed)?;
        let key = choose(&keys, answer.key.as_deref(), &snapshot)?;
        crate::note!("quarterdeck: signing with {}", key.name());
        let statement = request.statement(decision, role);
        let signature = agent.sign(key, NAMESPACE, statement.as_bytes()).await.map_err(Error::failed)?;
        send(global, &home, request, (decision, role), signature, reason).await
    })
}

/// Runs `request`.
pub fn requests(global: &Global, what: &Request) -> Result<Exit, Error> {
    let home = live_home(global)?;
    session::runtime()?.block_on(async {
        let snapshot = running(&home).await?;
        match what {
            Request::List { all } => list(&snapshot, *all, global.format),
            Request::Show { id } => show(named(&snapshot, id)?, global.format),
            Request::Export { id, decision, role, output } => {
                let request = open(&snapshot, id)?;
                let role = role_of(request, *role)?;
                in_order(request, &home)?;
                export(request, *decision, role, output, global.format)
            }
            Request::Import { signature, reason } => import(global, &home, &snapshot, signature, reason).await,
        }
    })
}

fn live_home(global: &Global) -> Result<Home, Error> {
    if global.drill.is_some() {
        return Err(Error::Usage("in a drill the second person is simulated; there is nothing to sign".into()));
    }
    session::engine(global)
}

async fn running(home: &Home) -> Result<Arc<Snapshot>, Error> {
    let none = || Error::Failed("no engine runs for this estate, so that nothing waits for a signature".into());
    session::running_snapshot(home).await?.ok_or_else(none)
}

fn named<'a>(snapshot: &'a Snapshot, id: &str) -> Result<&'a RequestView, Error> {
    snapshot.requests.iter().find(|r| r.id == id).ok_or_else(|| {
        let open: Vec<&str> = waiting(snapshot).map(|r| r.id.as_str()).collect();
        let there = if open.is_empty() { "none waits".to_owned() } else { format!("there are {}", open.join(", ")) };
        Error::Usage(format!("there is no request {}; {there}", sanitize(id)))
    })
}

fn waiting(snapshot: &Snapshot) -> impl Iterator<Item = &RequestView> {
    snapshot.requests.iter().filter(|r| r.state == RequestState::Open)
}

fn open<'a>(snapshot: &'a Snapshot, id: &str) -> Result<&'a RequestView, Error> {
    let request = named(snapshot, id)?;
    match request.state {
        RequestState::Open => Ok(request),
        state => Err(Error::Denied(format!("{} is {}; it takes no answer", request.id, state.word()))),
    }
}

/// The role that was named, else the only one that is asked for.
fn role_of(request: &RequestView, asked: Option<Role>) -> Result<Role, Error> {
    match (asked, request.terms.roles.as_slice()) {
        (Some(role), _) => Ok(role),
        (None, [one]) if request.terms.also.is_empty() => Ok(*one),
        _ => Err(Error::Usage(format!("{} takes {}; name yours with --role", request.id, request.terms.who()))),
    }
}

/// Checks what a client can check by itself: that what is shown is what is signed, and that the journal goes on from
/// the last state of it that this user has seen.
fn in_order(request: &RequestView, home: &Home) -> Result<(), Error> {
    if !request.is_what_it_shows() {
        return Err(Error::Damaged(format!(
            "{}: the digest {} is not that of what is shown; nothing was signed, ask the commander why",
            request.id, request.digest
        )));
    }
    let seen = seen_file(&request.log.origin);
    let before: Option<LogPoint> = std::fs::read_to_string(&seen).ok().and_then(|t| serde_json::from_str(&t).ok());
    if let Some(before) = &before {
        let went_back =
            request.log.size < before.size || (request.log.size == before.size && request.log.root != before.root);
        if went_back {
            return Err(Error::Damaged(format!(
                "the journal {} had {} records when you last saw it, and the request names {} with another history; \
                 nothing was signed",
                before.origin, before.size, request.log.size
            )));
        }
    }
    // Where the files can be read, both states are computed again from them.
    for point in before.iter().chain([&request.log]).filter(|p| p.size > 0) {
        match proof::root(&home.journal, point.size) {
            Ok(root) if root.to_string() == point.root => {}
            Ok(_) => {
                return Err(Error::Damaged(format!(
                    "the first {} records of the journal are not those that were seen; nothing was signed",
                    point.size
                )));
            }
            Err(why) => {
                crate::note!("quarterdeck: that the journal continues what you saw could not be checked here: {why}");
                break;
            }
        }
    }
    remember(&seen, &request.log)
}

fn seen_file(origin: &str) -> PathBuf {
    let name = origin.replace('%', "%25").replace('/', "%2F");
    Places::from_env().state_dir().join("seen").join(format!("{name}.json"))
}

fn remember(path: &Path, log: &LogPoint) -> Result<(), Error> {
    let failed = |e: std::io::Error| Error::Failed(format!("{}: {e}", path.display()));
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let part = path.with_extension("tmp");
    std::fs::write(&part, serde_json::to_string(log).map_err(Error::failed)?).map_err(failed)?;
    std::fs::rename(&part, path).map_err(failed)
}

/// Shows everything, then asks; without a terminal the digest has to be given instead.
fn agreed(request: &RequestView, decision: Decision, role: Role, digest: Option<&str>) -> Result<(), Error> {
    for line in lines(request) {
        crate::note!("{line}");
    }
    crate::note!("signed is: {}", request.statement(decision, role));
    if let Some(given) = digest {
        return if given == request.digest.as_str() {
            Ok(())
        } else {
            Err(Error::Denied(format!("the digest is {}, not {}; nothing was signed", request.digest, sanitize(given))))
        };
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Usage(format!("without a terminal name what you have read: --digest {}", request.digest)));
    }
    let digits = request.digest.short();
    write!(std::io::stderr(), "{decision} as {role}? Type the first four digits of the digest ({digits}): ")
        .and_then(|()| std::io::stderr().flush())
        .map_err(Error::failed)?;
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed).map_err(Error::failed)?;
    if request.digest.as_str().get(..4) == Some(typed.trim()) {
        Ok(())
    } else {
        Err(Error::Denied("nothing was signed".into()))
    }
}

/// What is asked for, in full.
fn lines(request: &RequestView) -> Vec<String> {
    let mut lines = vec![
        format!("{} {}", request.id, request.title),
        format!("digest      {}", request.digest),
        format!("takes       {} approval(s) by {}", request.needed, request.terms.who()),
        format!("asked by    {}", request.requester.as_ref().map_or("nobody of the roster", |p| p.as_str())),
        format!("until       {:.0}", request.not_after),
        format!("log         {} with {} records, root {}", request.log.origin, request.log.size, request.log.root),
    ];
    if request.terms.login {
        lines.push("also        a login at the identity provider, with a second factor, of each who approves".into());
    }
    for grant in &request.granted {
        lines.push(format!("approved by {} as {} ({})", grant.person, grant.role, grant.key));
    }
    lines.push(String::new());
    let shown = serde_json::to_string_pretty(&request.document).unwrap_or_default();
    // Line breaks within a text are shown as such, so that a script is read as it would run.
    lines.extend(shown.lines().flat_map(|l| l.split("\\n").map(sanitize).collect::<Vec<_>>()));
    lines.push(String::new());
    lines
}

fn choose<'a>(keys: &'a [Held], asked: Option<&str>, snapshot: &Snapshot) -> Result<&'a Held, Error> {
    let all = || keys.iter().map(Held::name).collect::<Vec<_>>().join("; ");
    if let Some(asked) = asked {
        let found = keys.iter().find(|k| k.key.fingerprint() == asked || k.comment == asked);
        return found.ok_or_else(|| {
            Error::Usage(format!("the ssh-agent holds no key {}; it holds {}", sanitize(asked), all()))
        });
    }
    let known = &snapshot.policy.allowed_signers;
    let mut fitting = keys.iter().filter(|k| k.certificate.is_some() || known.contains(&k.key.line()));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Error::Usage(format!("several keys could sign; name one with --key: {}", all()))),
        (None, _) => Err(Error::Denied(format!("no key of the ssh-agent is in the roster; it holds {}", all()))),
    }
}

async fn send(
    global: &Global,
    home: &Home,
    request: &RequestView,
    (decision, role): (Decision, Role),
    signature: String,
    reason: &str,
) -> Result<Exit, Error> {
    let (request, reason) = (request.id.clone(), reason.to_owned());
    let command = Command::Answer { request, decision, role, signature, reason };
    let ended = || Error::Failed("the engine has ended; nothing was answered".into());
    let reply = session::send_to_running(home, command).await?.ok_or_else(ended)?;
    if reply.login().is_none() {
        return output::reply(&reply, global.format);
    }
    let remote = remote::attach(home.caller("cli", false)).await.map_err(Error::failed)?;
    match login::through(&remote.client, reply).await? {
        Some(reply) => output::reply(&reply, global.format),
        None => Ok(Exit::Interrupted),
    }
}

fn list(snapshot: &Snapshot, all: bool, format: Format) -> Result<Exit, Error> {
    let shown: Vec<&RequestView> = snapshot.requests.iter().filter(|r| all || r.state == RequestState::Open).collect();
    if format == Format::Json {
        output::json(&shown)?;
        return Ok(Exit::Done);
    }
    let row = |r: &&RequestView| {
        let have = format!("{}/{}", r.granted.len(), r.needed);
        let until = r.not_after.strftime("%H:%M:%SZ").to_string();
        vec![r.id.clone(), r.state.word().to_owned(), have, until, r.digest.short(), r.title.clone()]
    };
    output::table(&["REQUEST", "STATE", "HAS", "UNTIL", "DIGEST", "WHAT"], &shown.iter().map(row).collect::<Vec<_>>())?;
    Ok(Exit::Done)
}

fn show(request: &RequestView, format: Format) -> Result<Exit, Error> {
    if format == Format::Json {
        output::json(request)?;
        return Ok(Exit::Done);
    }
    for line in lines(request) {
        output::line(&line)?;
    }
    if !request.is_what_it_shows() {
        return Err(Error::Damaged(format!("the digest {} is not that of what is shown", request.digest)));
    }
    Ok(Exit::Done)
}

fn export(request: &RequestView, decision: Decision, role: Role, dir: &Path, format: Format) -> Result<Exit, Error> {
    let step = dir.join(format!("{}.step.json", request.id));
    let statement = dir.join(format!("{}.{decision}.json", request.id));
    let failed = |path: &Path, e: std::io::Error| Error::Failed(format!("{}: {e}", path.display()));
    std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    let document = canonical(&request.document).map_err(Error::failed)?;
    std::fs::write(&step, document).map_err(|e| failed(&step, e))?;
    std::fs::write(&statement, request.statement(decision, role)).map_err(|e| failed(&statement, e))?;
    let sign = format!("ssh-keygen -Y sign -n {NAMESPACE} -f KEY {}", statement.display());
    let exported = Exported { step, statement, sign };
    if format == Format::Json {
        output::json(&exported)?;
        return Ok(Exit::Done);
    }
    output::line(&format!("{}: what would be done; its sha256 is {}", exported.step.display(), request.digest))?;
    output::line(&format!("{}: what has to be signed", exported.statement.display()))?;
    output::line(&exported.sign)?;
    output::line(&format!("quarterdeck request import {}.sig", exported.statement.display()))?;
    Ok(Exit::Done)
}

async fn import(global: &Global, home: &Home, snapshot: &Snapshot, path: &Path, reason: &str) -> Result<Exit, Error> {
    let signature = session::read_file(path)?;
    let stem = path.file_stem().map(|stem| path.with_file_name(stem));
    let statement = stem.filter(|_| path.extension().is_some_and(|e| e == "sig"));
    let Some(statement) = statement else {
        return Err(Error::Usage(format!("{} does not end with .sig, as ssh-keygen names signatures", path.display())));
    };
    if !statement.exists() {
        let (statement, signature) = (statement.display(), path.display());
        return Err(Error::Usage(format!(
            "{statement}, which {signature} signs, is not there: both have to lie side by side"
        )));
    }
    let text = session::read_file(&statement)?;
    let wrong = || Error::Usage(format!("{} is not what `request export` wrote", statement.display()));
    let said: Value = serde_json::from_str(&text).map_err(|_| wrong())?;
    let of = |name: &str| said.get(name).cloned().ok_or_else(wrong);
    let nonce = of("nonce")?;
    let decision: Decision = serde_json::from_value(of("decision")?).map_err(|_| wrong())?;
    let role: Role = serde_json::from_value(of("role")?).map_err(|_| wrong())?;
    let Some(request) = snapshot.requests.iter().find(|r| nonce == r.nonce.as_str()) else {
        return Err(Error::Denied(
            "no request of this engine has that nonce; it is of another journal, or long over".into(),
        ));
    };
    if request.statement(decision, role) != text {
        return Err(Error::Denied(format!("{} is not what {} asks to be signed", statement.display(), request.id)));
    }
    send(global, home, request, (decision, role), signature, reason).await
}
