//! Several engines on one journal. Each folds what all write, and leads what it has a lease of: an incident with its runs,
//! and the estate's own affairs (findings, ends of requests, what is counted). Leases are taken and renewed beside the
//! engine's work; what another engine has taken over is let go of here, and what nobody leads any more is taken over with
//! its runs, which come back stopped as after a crash. Where this engine is the only one it leads everything.

use super::api::{Command, Reply, RunView, StepState, StepView};
use super::core::Engine;
use super::runs::shown;
use crate::domain::actor::Actor;
use crate::domain::id::{IncidentId, PlaybookId, RunId};
use crate::domain::run::RunState;
use crate::journal::{ESTATE, JournalError, Kind, Record, lead_of};
use crate::playbook::run::{Past, Run};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;
use tokio::task::JoinHandle;

/// Rounds in which leases are renewed while one lasts.
const ROUNDS: u32 = 5;

/// How far the clocks of bastions may be apart from the database's: ends of approvals and of elevations are minutes away.
const MOST_APART: SignedDuration = SignedDuration::from_secs(60);

/// What a round of leases came to, and how far this machine's clock is ahead of the database's.
type Round = (Vec<(String, Result<(), JournalError>)>, Result<SignedDuration, JournalError>);

/// What this engine knows of itself and of the others.
#[derive(Debug, Default)]
pub(super) struct Bastions {
    /// What this engine has said in the journal that it leads.
    led: BTreeSet<String>,
    round: Option<JoinHandle<Round>>,
    next: Option<Instant>,
    /// Open runs of other engines, as their records tell them.
    others: BTreeMap<RunId, RunView>,
    /// What others ask of whoever leads.
    passed: VecDeque<Record>,
    /// Why the clock of this machine can not be relied on.
    clock: Option<String>,
}

impl Bastions {
    /// The runs of other engines.
    pub(super) fn views(&self) -> impl Iterator<Item = &RunView> {
        self.others.values().rev()
    }

    /// Why nothing may begin here, when this machine's clock is wrong.
    pub(super) fn clock_alarm(&self) -> Option<String> {
        self.clock.clone()
    }

    /// A run is held here from here on.
    pub(super) fn taken_over(&mut self, run: &RunId) {
        self.others.remove(run);
    }
}

impl Engine {
    /// Whether this engine sees to what belongs to no incident.
    pub(super) fn leads_estate(&self) -> bool {
        self.journal().leads(ESTATE)
    }

    /// Whether this engine may act for the run at this moment.
    pub(super) fn leads_run(&self, run: &RunId) -> bool {
        self.runs.get(run).is_some_and(|held| self.journal().leads(lead_of(held.incident.as_ref())))
    }

    /// Takes the lead of an incident, or of the estate, unless this engine has it.
    pub(super) async fn lead(&mut self, incident: Option<&IncidentId>) -> Result<(), String> {
        if !self.journal().is_shared() {
            return Ok(());
        }
        let name = lead_of(incident).to_owned();
        if self.journal().leads(&name) {
            return Ok(());
        }
        self.journal().lead(&name).await.map_err(|e| e.to_string())?;
        self.begin_to_lead(&name).await
    }

    /// Says that this engine leads something, and takes over the runs of who led it before. The record can only be written
    /// when everything before it is taken in; what this engine knew of the runs from before it last led them is forgotten.
    async fn begin_to_lead(&mut self, name: &str) -> Result<(), String> {
        if self.journal().leads(name) {
            return Ok(());
        }
        self.let_go(name);
        let incident = (name != ESTATE).then(|| IncidentId::new(name));
        let body = json!({ "what": name, "host": self.me.host });
        self.record(Kind::LeadTaken, incident.clone(), body, &self.me.engine()).await?;
        self.bastions.led.insert(name.to_owned());
        self.recover_runs_of(incident.as_ref()).await;
        Ok(())
    }

    /// At the start: leads what nobody else does.
    pub(super) async fn lead_at_start(&mut self) {
        if !self.journal().is_shared() {
            self.recover_runs().await;
            return;
        }
        for name in self.wanted() {
            let incident = (name != ESTATE).then(|| IncidentId::new(&*name));
            if let Err(why) = self.lead(incident.as_ref()).await {
                tracing::info!(%name, %why, "another engine leads");
            }
        }
        for (_, records) in self.state.open_runs().to_vec() {
            self.mirror(&records);
        }
    }

    /// What this engine should lead: the estate, its own runs, and, for the estate's leader, runs that nobody leads any more.
    fn wanted(&self) -> BTreeSet<String> {
        let own = self.runs.open().filter_map(|run| Some(lead_of(self.runs.get(run)?.incident.as_ref()).to_owned()));
        let mut wanted: BTreeSet<String> = own.chain([ESTATE.to_owned()]).collect();
        if self.leads_estate() || self.bastions.led.is_empty() {
            wanted.extend(self.state.open_runs().iter().map(|(_, records)| lead_of(incident_of(records)).to_owned()));
        }
        wanted
    }

    /// Renews leases, begins to lead what has come to this engine, and lets go of what others have taken over.
    pub(super) async fn heed_leads(&mut self) {
        if !self.journal().is_shared() {
            return;
        }
        if self.bastions.round.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(round) = self.bastions.round.take()
        {
            let Ok((led, ahead)) = round.await else { return };
            if let Ok(ahead) = ahead {
                self.heed_clock(ahead).await;
            }
            for (name, led) in led {
                match led {
                    Ok(()) => {
                        if let Err(why) = self.begin_to_lead(&name).await {
                            tracing::warn!(%name, %why, "a lease was given, and is not used yet");
                        }
                    }
                    Err(JournalError::Led { .. }) => self.let_go(&name),
                    Err(why) => tracing::warn!(%name, %why, "a lease was not renewed"),
                }
            }
        }
        let due = self.bastions.next.is_none_or(|next| Instant::now() >= next);
        if self.bastions.round.is_none() && due && !self.is_stopping() {
            self.bastions.next = Some(Instant::now() + self.journal().lease() / ROUNDS);
            let (journal, wanted) = (self.journal().clone(), self.wanted());
            self.bastions.round = Some(tokio::spawn(async move {
                let mut round = Vec::new();
                for name in wanted {
                    let led = journal.lead(&name).await;
                    round.push((name, led));
                }
                (round, journal.ahead().await)
            }));
        }
    }

    /// A clock that is wrong is written down once, and stops every run here, until it is right again.
    async fn heed_clock(&mut self, ahead: SignedDuration) {
        let alarm = (ahead.abs() > MOST_APART).then(|| {
            let (by, side) = (
                SignedDuration::from_secs(ahead.abs().as_secs()),
                if ahead.is_negative() { "behind" } else { "ahead of" },
            );
            format!(
                "the clock of {} is {by:#} {side} that of the journal's database; nothing runs here until it is set",
                self.me.host
            )
        });
        let news = match (&self.bastions.clock, &alarm) {
            (None, Some(why)) => Some(why.clone()),
            (Some(_), None) => Some(format!("the clock of {} is right again", self.me.host)),
            _ => None,
        };
        self.bastions.clock = alarm;
        let Some(text) = news else { return };
        let (engine, incident) = (self.me.engine(), self.current_incident());
        let _ = self.record(Kind::NoteAdded, incident, json!({ "text": text }), &engine).await;
        if self.bastions.clock.is_some() {
            self.stop_all(&text, false, &engine).await;
        }
    }

    /// Forgets the runs that another engine has taken over: what is in hand there is for that one to find out.
    fn let_go(&mut self, name: &str) {
        if !self.bastions.led.remove(name) {
            return;
        }
        tracing::warn!(%name, "another engine has taken over the lead");
        for run in self.runs.drop_of(name) {
            let known = self.state.open_runs().iter().find(|(id, _)| *id == run).map(|(_, records)| records.clone());
            self.mirror(&known.unwrap_or_default());
        }
    }

    /// Why a run that is not held here can not be acted on.
    pub(super) fn not_here(&self, run: &RunId) -> String {
        match self.bastions.others.get(run) {
            Some(view) => format!("{run} is {}; act there, or ask for a stop, which is passed on", view.now),
            None => format!("there is no run {run} here"),
        }
    }

    /// Before a record is taken in that another engine may have written.
    pub(super) fn heed_record(&mut self, record: &Record) {
        if record.kind == Kind::CommandPassed {
            self.bastions.passed.push_back(record.clone());
        }
        let Some(run) = record.body.get("run").and_then(Value::as_str).map(RunId::new) else { return };
        if self.runs.get(&run).is_some() {
            self.bastions.others.remove(&run);
            return;
        }
        let known = self.state.open_runs().iter().find(|(id, _)| *id == run);
        let mut records = known.map(|(_, records)| records.clone()).unwrap_or_default();
        records.push(record.clone());
        self.mirror(&records);
    }

    /// Keeps the view of a run that another engine leads, for the screens of this one.
    fn mirror(&mut self, records: &[Record]) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        let Some(id) = first.body.get("run").and_then(Value::as_str).map(RunId::new) else { return };
        if self.runs.get(&id).is_some() || last.kind == Kind::RunFinished {
            self.bastions.others.remove(&id);
            return;
        }
        let playbook = first.body.get("playbook").and_then(Value::as_str).unwrap_or_default();
        let Some(plan) = self.library.get(&PlaybookId::new(playbook)).map(|e| e.plan.clone()) else { return };
        let past: Vec<Past<'_>> =
            records.iter().map(|r| Past { seq: r.seq, at: r.time, kind: r.kind.word(), body: &r.body }).collect();
        let Ok(run) = Run::replay(plan, &past) else { return };
        let params = run.start().params.iter();
        let params =
            params.map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned))).collect();
        let held = super::held::Held {
            run,
            incident: incident_of(records).cloned(),
            params: shown(&params),
            actor: first.actor.clone(),
            other: None,
            began: first.actor.clone(),
            surveyed: Vec::new(),
            secrets: std::sync::Arc::default(),
        };
        let stopped = matches!(last.kind, Kind::RunStopped | Kind::RunPaused);
        let view = held.view(&id, self.clock.now());
        let state = if stopped { RunState::Stopped } else { RunState::Running };
        let host = crate::domain::text::sanitize(&last.actor.host);
        let steps = view.steps.into_iter().map(|step| answered_there(step, &host)).collect();
        let now = format!("led by the engine on {host}");
        let view =
            RunView { state, stands: false, steps, now, secrets_missing: Vec::new(), led_by: Some(host), ..view };
        self.bastions.others.insert(id, view);
    }

    /// Passes a command on to whoever leads, where it is one that may be. What is said is for the person.
    pub(super) async fn pass_on(&mut self, command: &Command, to: &str, actor: &Actor) -> Result<Reply, Reply> {
        let incident = match command {
            Command::Answer { request, .. } => self.state.requests().named(request).and_then(|r| r.incident.clone()),
            _ => None,
        };
        let body = json!({ "command": command, "what": what(command), "to": to });
        let written = self.record(Kind::CommandPassed, incident, body, actor).await;
        written.map_err(|why| Reply::refused(format!("not done: {why}")))?;
        Ok(Reply::accepted(format!("passed on to the engine that leads {to}; its records tell what becomes of it")))
    }

    /// Carries out what engines of other bastions have passed on, as far as it is for this one.
    pub(super) async fn take_passed(&mut self) {
        while let Some(record) = self.bastions.passed.pop_front() {
            let command = record.body.get("command").and_then(|c| serde_json::from_value(c.clone()).ok());
            let for_this = match &command {
                Some(Command::Answer { request, .. }) => {
                    let run = self.state.requests().named(request).and_then(|r| r.run.clone());
                    run.is_some_and(|run| self.runs.get(&run).is_some())
                }
                Some(Command::StopRun { run, .. }) => self.runs.get(run).is_some(),
                Some(Command::EmergencyStop) => self.runs.open().next().is_some(),
                _ => false,
            };
            let actor = record.actor.clone();
            match command.filter(|_| for_this) {
                // Not as a command of this engine's people, which would be passed on in turn.
                Some(Command::EmergencyStop) => {
                    let said = Box::pin(self.stop_all("emergency stop", true, &actor)).await;
                    tracing::info!(%said, seq = record.seq, "another bastion has stopped everything");
                }
                Some(command) => {
                    let reply = Box::pin(self.command(command, actor)).await;
                    tracing::info!(?reply, seq = record.seq, "what another bastion asked for");
                }
                None => {}
            }
        }
    }

    /// Whether another engine leads a run.
    pub(super) fn is_of_others(&self, run: &RunId) -> bool {
        self.bastions.others.contains_key(run)
    }

    /// Whether other engines have open runs.
    pub(super) fn others_run(&self) -> bool {
        !self.bastions.others.is_empty()
    }

    /// The open runs of an incident that other engines lead.
    pub(super) fn others_of<'a>(&'a self, incident: &'a IncidentId) -> impl Iterator<Item = &'a RunId> {
        self.bastions.views().filter(move |view| view.incident.as_ref() == Some(incident)).map(|view| &view.id)
    }

    /// The next number of incidents, runs and the like: `least` here, and none that another engine was given.
    pub(super) async fn number(&self, name: &'static str, least: &str) -> Result<u64, String> {
        let least = least.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(1);
        self.journal().number(name, least).await.map_err(|e| e.to_string())
    }
}

/// A step of a run that another engine leads: what it waits for is not given here.
fn answered_there(step: StepView, host: &str) -> StepView {
    let what = match step.state {
        StepState::AwaitsConfirmation => "a confirmation",
        StepState::AwaitsDecision => "a decision",
        _ => return step,
    };
    let outcome = Some(format!("waits for {what} on {host}"));
    StepView { state: StepState::Blocked, outcome, choices: Vec::new(), asks: Vec::new(), by_itself_at: None, ..step }
}

/// The incident that a run belongs to by its newest record.
fn incident_of(records: &[Record]) -> Option<&IncidentId> {
    records.iter().rev().find_map(|r| r.incident.as_ref())
}

/// What is passed on, for people.
fn what(command: &Command) -> String {
    match command {
        Command::Answer { request, .. } => format!("an answer to {request}"),
        Command::StopRun { run, .. } => format!("a stop of {run}"),
        _ => "an emergency stop".to_owned(),
    }
}

#[cfg(test)]
mod tests;
