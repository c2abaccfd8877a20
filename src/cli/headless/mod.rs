//! `playbook run`: a run without a screen, with the same gates. Every confirmation names the digest of what is to be sent;
//! what nobody has answered beforehand is said, and the command ends. It goes through the engine that runs; without one
//! it opens its own, and a run that has not ended can be gone on with (`--continue`). An engine that is lost on the way is
//! waited for a moment; then the command ends and says how the run stood. Called by `playbook`.

mod answers;
mod pulse;

use super::args::{Format, Global, Headless};
use super::desk::{Desk, refused};
use super::output::{self, Error, Exit};
use super::{login, secrets, session};
use crate::domain::id::{IncidentId, PlaybookId, RunId, StepId};
use crate::domain::risk::Risk;
use crate::domain::run::{RunState, StepState};
use crate::domain::text::sanitize;
use crate::engine::api::{Command, Reply, RunView};
use crate::engine::attach::remote;
use crate::engine::client::Client;
use crate::playbook::params;
use answers::{Answers, Next, next};
use pulse::Pulse;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// The output contract of `playbook run --format json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Summary {
    /// The run.
    run: RunId,
    /// The playbook.
    playbook: PlaybookId,
    /// State at the end of the command; only `finished`, `failed` and `rolled-back` are final.
    state: RunState,
    /// One line: what happened last, or what is waited for.
    now: String,
    /// What it waits for, where it has not ended.
    waits: Option<Waits>,
    /// Steps in order.
    steps: Vec<Line>,
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Waits {
    /// The step.
    step: StepId,
    /// `confirmation`, `approval`, `decision`, `values`, `comms` or `precondition`.
    what: &'static str,
    /// How it is answered, one sentence.
    how: String,
    /// Digest of the request, for `--confirm`.
    digest: Option<String>,
    /// Keys of the choices, for `--decide`.
    choices: Vec<String>,
}

/// One step of the summary.
#[derive(Debug, Serialize, JsonSchema)]
struct Line {
    /// Id.
    id: StepId,
    /// State.
    state: StepState,
    /// Risk: assessed when it was rendered, else declared.
    risk: Risk,
    /// Digest of its request in this run.
    digest: Option<String>,
    /// What came out, or why it waits.
    outcome: Option<String>,
}

/// Runs it.
pub fn run(global: &Global, asked: &Headless) -> Result<Exit, Error> {
    if global.read_only {
        return Err(Error::Denied("with --read-only no verb can be built, so no playbook can run".into()));
    }
    let answers = Answers::new(asked)?;
    session::runtime()?.block_on(async {
        let desk = Desk::observing(global).await?;
        desk.work(async |client| drive(global.format, client, asked, &answers).await).await
    })
}

fn accepted(reply: Reply) -> Result<Option<String>, Error> {
    match reply {
        Reply::Accepted { id, .. } => Ok(id),
        Reply::Seen { .. } | Reply::Planned { .. } | Reply::Logs { .. } | Reply::Drafted { .. } => Ok(None),
        reply @ Reply::Refused { .. } => Err(refused(reply)),
    }
}

/// What can not become a run or an answer to one is a mistake in the command, told before anything is begun.
fn check(client: &Client, asked: &Headless, answers: &Answers<'_>) -> Result<(), Error> {
    let snapshot = client.snapshot();
    let Some(known) = snapshot.playbooks.iter().find(|p| p.id.as_str() == asked.id) else {
        let all: Vec<&str> = snapshot.playbooks.iter().map(|p| p.id.as_str()).collect();
        let id = sanitize(&asked.id);
        return Err(Error::Usage(format!("there is no playbook `{id}`; there are {}", all.join(", "))));
    };
    if let Some((flag, step)) = answers.steps().find(|(_, step)| known.steps.iter().all(|s| s.id.as_str() != *step)) {
        let all: Vec<&str> = known.steps.iter().map(|s| s.id.as_str()).collect();
        let step = sanitize(step);
        return Err(Error::Usage(format!("{flag} {step}: {} has no such step; it has {}", known.id, all.join(", "))));
    }
    // The engine has the last word; where it reads another file, also the first one.
    let (library, _) = super::playbook::library()?;
    let same = library.get(&known.id).filter(|e| e.origin == known.origin && e.playbook().version == known.version);
    let Some(entry) = same.filter(|_| asked.go_on.is_none()) else { return Ok(()) };
    let words = asked.secrets.iter().map(|(name, _)| (name.clone(), crate::domain::secret::no_word()));
    let given = session::once("--param", &asked.params)?.into_iter().chain(words).collect();
    let bound = params::bind(entry.playbook(), &given, &snapshot.estate);
    bound.map(drop).map_err(|problems| Error::Usage(problems.join("; ")))
}

/// Starts the run, or resumes one that stands; when that was.
async fn begin(client: &Client, asked: &Headless) -> Result<(RunId, Option<Instant>), Error> {
    if let Some(run) = &asked.go_on {
        let run = RunId::new(run.as_str());
        let known = client.snapshots.borrow().runs.iter().find(|r| r.id == run).cloned();
        if let Some(host) = known.as_ref().and_then(|r| r.led_by.as_ref()) {
            return Err(Error::Failed(format!("{run} is led by the engine on {host}; act there")));
        }
        return match known.map(|r| (r.stands || r.state == RunState::Stopped, r.playbook)) {
            None => {
                let ended = "`quarterdeck run list` says whether it has ended";
                Err(Error::Failed(format!("there is no open run {run} here; {ended}")))
            }
            Some((_, playbook)) if playbook.as_str() != asked.id => {
                Err(Error::Usage(format!("{run} is a run of {playbook}, not of {}", asked.id)))
            }
            Some((true, _)) => {
                let secrets = secrets::read(&asked.secrets).await?;
                accepted(client.send(Command::ResumeRunWith { run: run.clone(), secrets }).await)?;
                Ok((run, Some(Instant::now())))
            }
            // A run that is looked after, or that asks a person what became of its step, need not be resumed.
            Some((false, _)) => Ok((run, None)),
        };
    }
    let playbook = PlaybookId::new(asked.id.as_str());
    let params = session::once("--param", &asked.params)?;
    let incident = asked.incident.as_deref().map(IncidentId::new);
    let secrets = secrets::read(&asked.secrets).await?;
    let command = if secrets.is_empty() {
        Command::StartRun { playbook, params, incident }
    } else {
        Command::StartRunWith { playbook, params, secrets, incident }
    };
    let id = accepted(client.send(command).await)?;
    let run = id.map(RunId::new).ok_or_else(|| Error::Failed("the engine named no run".into()))?;
    Ok((run, None))
}

async fn drive(format: Format, client: &Client, asked: &Headless, answers: &Answers<'_>) -> Result<Exit, Error> {
    let mut snapshots = client.snapshots.clone();
    check(client, asked, answers)?;
    let (run, mut resumed) = begin(client, asked).await?;
    let mut said: BTreeMap<StepId, (StepState, Option<String>)> = BTreeMap::new();
    let mut sent: BTreeSet<(String, u64)> = BTreeSet::new();
    let mut refused: Option<((String, u64), Instant)> = None;
    let mut answered = None;
    let mut waiting: Option<(Waits, Instant)> = None;
    let mut pulse = Pulse::of(client);
    let mut logged_in = false;
    loop {
        let found = snapshots.borrow_and_update().runs.iter().find(|r| r.id == run).cloned();
        if let Some(why) = pulse.gone() {
            return Err(left(&run, asked, found.as_ref(), answered, &why));
        }
        if let Some(host) = found.as_ref().and_then(|view| view.led_by.as_ref()) {
            let go_on = format!("go on there: quarterdeck playbook run {} --continue {run}", asked.id);
            return Err(Error::Unanswered(format!("the engine on {host} has taken {run} over; {go_on}")));
        }
        if let Some(view) = found.filter(|_| !pulse.is_missed()) {
            if format != Format::Json {
                tell(&view, &mut said)?;
            }
            if !view.stands {
                resumed = None;
            }
            // Until it is seen to go on.
            let resuming = resumed.is_some_and(|since| since.elapsed() < answers.wait);
            match next(&view, answers) {
                Next::End(_) if view.stands && resuming => {}
                Next::Send(command) => {
                    waiting = None;
                    let key = (format!("{command:?}"), view.generation);
                    let reply = if sent.contains(&key) { None } else { Some(client.send(command.clone()).await) };
                    let reply = match reply {
                        Some(reply) if reply.login().is_some() => {
                            logged_in = true;
                            match login::through(client, reply).await {
                                Ok(Some(reply)) => Some(reply),
                                Ok(None) => return Ok(Exit::Interrupted),
                                Err(Error::Denied(why)) => {
                                    let waits = answers::refused(&view, &command, &why);
                                    return end(format, view, waits, Exit::Denied);
                                }
                                Err(error) => return Err(error),
                            }
                        }
                        other => other,
                    };
                    if let Some(Reply::Refused { why, denied }) = reply {
                        // It names its generation, so it can be sent again where it did not arrive, and is taken once.
                        if why == remote::UNANSWERED {
                            answered = Some(view.generation);
                        }
                        let lost = why == remote::UNREACHABLE || why == remote::UNANSWERED;
                        let since = match &refused {
                            Some((before, since)) if *before == key => *since,
                            _ => {
                                output::complaint(&format!("{}: {why}", view.id));
                                Instant::now()
                            }
                        };
                        // What was not taken may be in a moment, such as when a precondition holds again.
                        if !lost && since.elapsed() >= answers.wait {
                            let exit = if denied { Exit::Denied } else { Exit::Failed };
                            let waits = answers::refused(&view, &command, &why);
                            return end(format, view, waits, exit);
                        }
                        refused = Some((key, since));
                    } else if reply.is_some() {
                        answered = Some(view.generation);
                        sent.insert(key);
                    }
                }
                Next::Wait => waiting = None,
                Next::Person(waits, exit, patience) => {
                    let since = match &waiting {
                        Some((before, since)) if before.step == waits.step && before.what == waits.what => *since,
                        _ => Instant::now(),
                    };
                    if since.elapsed() >= patience {
                        return end(format, view, Some(waits), exit);
                    }
                    waiting = Some((waits, since));
                }
                Next::End(exit) => return end(format, view, None, exit),
            }
        }
        let tick = tokio::time::sleep(Duration::from_millis(500));
        tokio::select! {
            changed = snapshots.changed() => {
                if changed.is_err() {
                    let found = client.snapshot().runs.iter().find(|r| r.id == run).cloned();
                    return Err(left(&run, asked, found.as_ref(), answered, "it has ended"));
                }
            }
            () = tick => {}
            // Whoever has waited for a login has taken the signal over from the system.
            Ok(()) = tokio::signal::ctrl_c(), if logged_in => return Ok(Exit::Interrupted),
        }
    }
}

/// What is said of a run whose engine is gone: how it stood when it was last seen, and how it is gone on with.
/// `answered` is the generation of the run in which it was last told something.
fn left(run: &RunId, asked: &Headless, seen: Option<&RunView>, answered: Option<u64>, why: &str) -> Error {
    let head = format!("the engine can not be reached any more ({why})");
    let go_on = format!("once it serves again: quarterdeck playbook run {} --continue {run}", asked.id);
    let Some((view, step)) = seen.and_then(|view| Some((view, view.steps.get(view.current)?))) else {
        return Error::Unanswered(format!("{head}; how far {run} came is not known; {go_on}"));
    };
    // What was answered last may have led on without having been seen.
    let answered = answered.is_some_and(|generation| generation >= view.generation);
    let waits = matches!(
        step.state,
        StepState::Blocked
            | StepState::AwaitsConfirmation
            | StepState::AwaitsApproval
            | StepState::AwaitsDecision
            | StepState::Verifying
    );
    if waits && !answered {
        return Error::Failed(format!("{head}; {} of {run} was {}; {go_on}", step.id, step.state.word()));
    }
    Error::Unanswered(format!("{head}; what became of {} of {run} is not known; {go_on}", step.id))
}

/// Says what has changed since it was last said.
fn tell(view: &RunView, said: &mut BTreeMap<StepId, (StepState, Option<String>)>) -> Result<(), Error> {
    for step in &view.steps {
        let now = (step.state, step.outcome.clone());
        let passing = matches!(step.state, StepState::Pending | StepState::Preparing);
        if passing || said.get(&step.id) == Some(&now) {
            continue;
        }
        let outcome = step.outcome.as_deref().map(|line| format!(": {line}")).unwrap_or_default();
        output::line(&format!("{} {} {}{outcome}", view.id, step.id, step.state.word()))?;
        said.insert(step.id.clone(), now);
    }
    Ok(())
}

fn end(format: Format, view: RunView, waits: Option<Waits>, exit: Exit) -> Result<Exit, Error> {
    if format == Format::Json {
        let steps = view.steps.iter().map(|step| Line {
            id: step.id.clone(),
            state: step.state,
            risk: step.risk,
            digest: step.digest.as_ref().map(|d| d.as_str().to_owned()),
            outcome: step.outcome.clone(),
        });
        let steps = steps.collect();
        let RunView { id: run, playbook, state, now, .. } = view;
        output::json(&Summary { run, playbook, state, now, waits, steps })?;
        return Ok(exit);
    }
    output::line(&format!("{} {}: {}", view.id, view.state.word(), view.now))?;
    if let Some(waits) = waits {
        output::line(&format!("{} waits for {} of {}: {}", view.id, waits.what, waits.step, waits.how))?;
        output::line(&format!("go on: quarterdeck playbook run {} --continue {}", view.playbook, view.id))?;
    }
    Ok(exit)
}
