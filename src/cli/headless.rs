//! `playbook run`: a run without a screen, with the same gates. Every confirmation names the digest of what is to be sent;
//! what nobody has answered beforehand is said, and the command ends. It goes through the engine that runs; without one
//! it opens its own, and a run that has not ended can be gone on with (`--continue`).

use super::args::{Format, Global, Headless};
use super::opening::{self, Opened};
use super::output::{self, Error, Exit};
use super::session;
use crate::domain::id::{Digest, IncidentId, PlaybookId, RunId, StepId};
use crate::domain::risk::{Confirmation, Risk};
use crate::domain::run::{RunState, StepState};
use crate::engine::api::{Command, Reply, RunView, StepView};
use crate::engine::attach::remote::{self, Away, Remote};
use crate::engine::client::Client;
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

/// What a person has answered beforehand, by step.
struct Answers<'a> {
    confirm: BTreeMap<&'a str, &'a str>,
    typed: BTreeMap<&'a str, &'a str>,
    decide: BTreeMap<&'a str, &'a str>,
    give: BTreeMap<&'a str, BTreeMap<String, String>>,
    told: BTreeSet<&'a str>,
    wait: Duration,
}

impl<'a> Answers<'a> {
    fn new(asked: &'a Headless) -> Result<Self, Error> {
        let map = |pairs: &'a [(String, String)]| pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let mut give: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
        for (name, value) in &asked.give {
            let Some((step, name)) = name.split_once('.') else {
                return Err(Error::Usage(format!("--give {name}: STEP.NAME=VALUE is expected")));
            };
            give.entry(step).or_default().insert(name.to_owned(), value.clone());
        }
        Ok(Self {
            confirm: map(&asked.confirm),
            typed: map(&asked.typed),
            decide: map(&asked.decide),
            give,
            told: asked.told.iter().map(String::as_str).collect(),
            wait: Duration::from_secs(asked.wait),
        })
    }
}

/// What is done next.
enum Next {
    Send(Command),
    /// Nothing for the moment.
    Wait,
    /// Only somebody else, or another command, can go on with it; in how long at the latest it is given up.
    Person(Waits, Exit, Duration),
    End(Exit),
}

/// Runs it.
pub fn run(global: &Global, asked: &Headless) -> Result<Exit, Error> {
    if global.read_only {
        return Err(Error::Denied("with --read-only no verb can be built, so no playbook can run".into()));
    }
    let answers = Answers::new(asked)?;
    session::runtime()?.block_on(async {
        match engine(global).await? {
            Way::Attached(remote) => drive(global.format, &remote.client, asked, &answers).await,
            Way::Own(opened) => {
                let came = drive(global.format, &opened.running.client, asked, &answers).await;
                opened.end().await;
                came
            }
        }
    })
}

/// How the engine is reached.
enum Way {
    /// It runs already.
    Attached(Remote),
    /// It was opened for this run.
    Own(Opened),
}

/// The engine that runs for the estate, else an own one.
async fn engine(global: &Global) -> Result<Way, Error> {
    if global.drill.is_none() {
        let socket = session::home(&session::load(global)?.config).socket;
        match remote::attach(session::caller(&socket, "cli", false)).await {
            Ok(remote) => return Ok(Way::Attached(remote)),
            Err(Away::Nobody(_)) => {}
            Err(away) => return Err(Error::failed(away)),
        }
    }
    Ok(Way::Own(opening::named(global, true, "cli")?))
}

fn accepted(reply: Reply) -> Result<Option<String>, Error> {
    match reply {
        Reply::Accepted { id, .. } => Ok(id),
        Reply::Seen { .. } => Ok(None),
        Reply::Refused { why, denied: true } => Err(Error::Denied(why)),
        Reply::Refused { why, denied: false } => Err(Error::Failed(why)),
    }
}

async fn begin(client: &Client, asked: &Headless) -> Result<RunId, Error> {
    if let Some(run) = &asked.go_on {
        let run = RunId::new(run.as_str());
        let known = client.snapshots.borrow().runs.iter().find(|r| r.id == run).map(|r| (r.state, r.playbook.clone()));
        return match known {
            None => Err(Error::Failed(format!("there is no run {run} here"))),
            Some((_, playbook)) if playbook.as_str() != asked.id => {
                Err(Error::Usage(format!("{run} is a run of {playbook}, not of {}", asked.id)))
            }
            Some((state @ (RunState::Stopped | RunState::Unknown), _)) => {
                let secrets = super::secrets::read(&asked.secrets).await?;
                let reply = client.send(Command::ResumeRunWith { run: run.clone(), secrets }).await;
                // A run that is looked after, or that asks a person what became of its step, need not be resumed.
                if state == RunState::Stopped {
                    accepted(reply)?;
                }
                Ok(run)
            }
            Some(_) => Ok(run),
        };
    }
    let playbook = PlaybookId::new(asked.id.as_str());
    let params = asked.params.iter().cloned().collect();
    let incident = asked.incident.as_deref().map(IncidentId::new);
    let secrets = super::secrets::read(&asked.secrets).await?;
    let command = if secrets.is_empty() {
        Command::StartRun { playbook, params, incident }
    } else {
        Command::StartRunWith { playbook, params, secrets, incident }
    };
    let id = accepted(client.send(command).await)?;
    id.map(RunId::new).ok_or_else(|| Error::Failed("the engine named no run".into()))
}

async fn drive(format: Format, client: &Client, asked: &Headless, answers: &Answers<'_>) -> Result<Exit, Error> {
    let mut snapshots = client.snapshots.clone();
    let run = begin(client, asked).await?;
    let mut said: BTreeMap<StepId, (StepState, Option<String>)> = BTreeMap::new();
    let mut sent: BTreeSet<(String, u64)> = BTreeSet::new();
    let mut waiting: Option<(Waits, Instant)> = None;
    loop {
        let found = snapshots.borrow_and_update().runs.iter().find(|r| r.id == run).cloned();
        if let Some(view) = found {
            if format != Format::Json {
                tell(&view, &mut said)?;
            }
            match next(&view, answers) {
                Next::Send(command) => {
                    waiting = None;
                    let key = (format!("{command:?}"), view.generation);
                    if sent.insert(key)
                        && let Reply::Refused { why, .. } = client.send(command).await
                    {
                        output::complaint(&format!("{}: {why}", view.id));
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
                changed.map_err(|_| Error::Failed(format!("the engine has ended; {run} can be gone on with")))?;
            }
            () = tick => {}
        }
    }
}

/// What follows from how the run stands.
fn next(view: &RunView, answers: &Answers<'_>) -> Next {
    let exit = match view.state {
        RunState::Finished => Some(Exit::Done),
        RunState::RolledBack => Some(Exit::RolledBack),
        RunState::Failed | RunState::Stopped => Some(Exit::Failed),
        RunState::Running | RunState::Waiting | RunState::Unknown => None,
    };
    if let Some(exit) = exit {
        return Next::End(exit);
    }
    let Some(step) = view.steps.get(view.current) else { return Next::Wait };
    let id = step.id.as_str();
    let (run, generation) = (view.id.clone(), view.generation);
    let waits = |what: &'static str, how: String| Waits {
        step: step.id.clone(),
        what,
        how,
        digest: step.digest.as_ref().map(|d| d.as_str().to_owned()),
        choices: step.choices.iter().map(|(key, _)| key.clone()).collect(),
    };
    if !step.asks.is_empty() {
        let Some(values) = answers.give.get(id) else {
            let names: Vec<String> = step.asks.iter().map(|a| format!("--give {id}.{}=VALUE", a.name)).collect();
            return Next::Person(waits("values", names.join(" ")), Exit::Failed, Duration::ZERO);
        };
        return Next::Send(Command::Give { run, step: step.id.clone(), generation, values: values.clone() });
    }
    match step.state {
        StepState::AwaitsConfirmation if step.by_itself_at.is_some() => Next::Wait,
        StepState::AwaitsConfirmation => confirm(view, step, answers, &waits),
        StepState::AwaitsApproval => {
            let how = "another person approves it".to_owned();
            Next::Person(waits("approval", how), Exit::Denied, answers.wait)
        }
        StepState::Blocked if step.comms.is_some() && answers.told.contains(id) => {
            Next::Send(Command::Told { run, step: step.id.clone() })
        }
        StepState::Blocked => {
            let denied = step.assessment.as_ref().is_some_and(|a| !a.denials.is_empty());
            let told = step.outcome.as_deref().is_some_and(|line| line.contains("must be told first"));
            let (what, how, exit) = match (denied, told) {
                (_, true) => ("comms", format!("--told {id} says that they were told"), Exit::Failed),
                (true, _) => ("precondition", step.outcome.clone().unwrap_or_default(), Exit::Denied),
                _ => ("precondition", step.outcome.clone().unwrap_or_default(), Exit::Failed),
            };
            let patience = if told || denied { Duration::ZERO } else { answers.wait };
            Next::Person(waits(what, how), exit, patience)
        }
        StepState::AwaitsDecision | StepState::Unknown if !step.choices.is_empty() => {
            if let Some(answer) = answers.decide.get(id) {
                let (choice, reason) = answer.split_once(':').unwrap_or((answer, "decided on the command line"));
                let (choice, reason) = (choice.to_owned(), reason.to_owned());
                return Next::Send(Command::Decide { run, step: step.id.clone(), generation, choice, reason });
            }
            let keys: Vec<&str> = step.choices.iter().map(|(key, _)| key.as_str()).collect();
            let how = format!("--decide {id}=KEY[:REASON] with one of {}", keys.join(", "));
            let exit = if view.state == RunState::Unknown { Exit::OutcomeUnknown } else { Exit::Failed };
            Next::Person(waits("decision", how), exit, Duration::ZERO)
        }
        _ => Next::Wait,
    }
}

fn confirm(
    view: &RunView,
    step: &StepView,
    answers: &Answers<'_>,
    waits: &dyn Fn(&'static str, String) -> Waits,
) -> Next {
    let id = step.id.as_str();
    let Some(digest) = step.digest.clone() else { return Next::Wait };
    let known = [Some(digest.as_str()), step.shown_digest.as_ref().map(Digest::as_str)];
    let given = answers.confirm.get(id);
    if !given.is_some_and(|given| known.contains(&Some(given))) {
        let how = match given {
            Some(given) => format!("--confirm {id}={given} names another request; this one is {digest}"),
            None => format!("--confirm {id}={digest}"),
        };
        return Next::Person(waits("confirmation", how), Exit::Denied, Duration::ZERO);
    }
    let phrase = match step.assessment.as_ref().and_then(|a| a.confirmation.as_ref()) {
        Some(Confirmation::Typed { phrase }) => Some(phrase),
        _ => None,
    };
    let typed = answers.typed.get(id).map(|typed| (*typed).to_owned());
    if let Some(phrase) = phrase
        && typed.as_ref() != Some(phrase)
    {
        let how = format!("it is confirmed by typing: --type {id}={phrase}");
        return Next::Person(waits("confirmation", how), Exit::Denied, Duration::ZERO);
    }
    let (run, generation) = (view.id.clone(), view.generation);
    Next::Send(Command::Confirm { run, step: step.id.clone(), digest, generation, typed })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::risk::Assessment;

    fn view(state: RunState, step: StepState) -> RunView {
        let step = serde_json::json!({
            "id": "act", "name": "A", "why": "W", "state": step, "risk": "high", "assessment": null, "request": null,
            "digest": Digest::from_bytes(&[1; 32]), "checks": [], "verify": [], "outcome": null, "output": [],
            "choices": [["retry", "again"]], "started_at": null, "ended_at": null,
            "shown_digest": Digest::from_bytes(&[2; 32]),
        });
        serde_json::from_value(serde_json::json!({
            "id": "RUN-1", "playbook": "p", "name": "P", "version": 1, "params": {}, "incident": null, "state": state,
            "started_at": "2026-11-21T00:00:00Z", "ended_at": null, "generation": 4, "current": 0, "steps": [step],
            "now": "",
        }))
        .unwrap()
    }

    fn asked(pairs: &[(&str, &str)]) -> Headless {
        Headless {
            id: "p".into(),
            params: vec![],
            secrets: vec![],
            confirm: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            typed: vec![],
            decide: vec![],
            give: vec![],
            told: vec![],
            incident: None,
            go_on: None,
            wait: 5,
        }
    }

    fn exit(view: &RunView, asked: &Headless) -> Option<Exit> {
        match next(view, &Answers::new(asked).unwrap()) {
            Next::End(exit) | Next::Person(_, exit, _) => Some(exit),
            Next::Send(_) | Next::Wait => None,
        }
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        for (state, step, expected) in [
            (RunState::Finished, StepState::Done, Some(Exit::Done)),
            (RunState::Failed, StepState::Failed, Some(Exit::Failed)),
            (RunState::RolledBack, StepState::Failed, Some(Exit::RolledBack)),
            (RunState::Waiting, StepState::AwaitsConfirmation, Some(Exit::Denied)),
            (RunState::Waiting, StepState::AwaitsApproval, Some(Exit::Denied)),
            (RunState::Unknown, StepState::Unknown, Some(Exit::OutcomeUnknown)),
            (RunState::Waiting, StepState::AwaitsDecision, Some(Exit::Failed)),
            (RunState::Running, StepState::Executing, None),
        ] {
            assert_eq!(exit(&view(state, step), &asked(&[])), expected, "{state:?} {step:?}");
        }
    }

    #[test]
    fn a_gate_opens_for_the_digest_that_was_shown_and_for_no_other() {
        let waiting = view(RunState::Waiting, StepState::AwaitsConfirmation);
        for (digest, opens) in [([1; 32], true), ([2; 32], true), ([3; 32], false)] {
            let digest = Digest::from_bytes(&digest);
            let asked = asked(&[("act", digest.as_str())]);
            let sends = matches!(
                next(&waiting, &Answers::new(&asked).unwrap()),
                Next::Send(Command::Confirm { digest, generation: 4, .. }) if digest == Digest::from_bytes(&[1; 32])
            );
            assert_eq!(sends, opens, "{digest}");
        }
        let mut typed = waiting;
        typed.steps[0].assessment = Some(Assessment {
            risk: Risk::High,
            reasons: vec![],
            confirmation: Some(Confirmation::Typed { phrase: "t017".into() }),
            approvals: 1,
            terms: None,
            needs_incident: true,
            denials: vec![],
        });
        let digest = Digest::from_bytes(&[1; 32]);
        let mut asked = asked(&[("act", digest.as_str())]);
        assert_eq!(exit(&typed, &asked), Some(Exit::Denied), "the phrase has to be typed too");
        asked.typed = vec![("act".into(), "t017".into())];
        assert_eq!(exit(&typed, &asked), None);
    }

    #[test]
    fn what_was_answered_beforehand_is_sent_and_what_is_malformed_is_refused() {
        let waiting = view(RunState::Waiting, StepState::AwaitsDecision);
        let mut asked = asked(&[]);
        asked.decide = vec![("act".into(), "retry:it was a hiccup".into())];
        let next = next(&waiting, &Answers::new(&asked).unwrap());
        let Next::Send(Command::Decide { choice, reason, .. }) = next else { panic!("it is not decided") };
        assert_eq!((choice.as_str(), reason.as_str()), ("retry", "it was a hiccup"));
        asked.give = vec![("act".into(), "5".into())];
        assert!(Answers::new(&asked).is_err());
    }
}
