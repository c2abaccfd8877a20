//! An exercise without a screen: a script is played second by second, and the score is printed. The same seed and script
//! give the same records, at whatever speed.

use super::keys::Keys;
use crate::cli::args::{Format, Global, Play};
use crate::cli::opening;
use crate::cli::output::{self, Error, Exit};
use crate::cli::session;
use crate::config::problem::{Problem, Problems};
use crate::domain::actor::Actor;
use crate::domain::id::{FindingId, IncidentId, Person, PlaybookId, RunId};
use crate::domain::risk::Confirmation;
use crate::domain::run::StepState;
use crate::drill::ScenarioError;
use crate::drill::score::{Line, Score};
use crate::drill::script::{self, Act, Placed, Seen, StartRun};
use crate::engine::api::{Command, Reply, RunView, Snapshot, StepView};
use crate::engine::stepped::Stepped;
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Seconds of the scenario after its end in which the crew may still close what it has opened.
const AFTER_S: i64 = 900;
/// Seconds between two looks at a condition.
const LOOK_S: i64 = 5;
/// Most answers of one second: a run that asks more often goes in a circle.
const ANSWERS: usize = 200;
/// Who accepts for the business.
const BUSINESS: &str = "the business owner (simulated)";
/// How the crew comes, in records.
const VIA: &str = "script";

/// The output contract of `drill ID --headless --format json`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Played {
    /// Id of the scenario.
    pub scenario: String,
    /// Seed of its estate.
    pub seed: String,
    /// Points, never below 0.
    pub score: u32,
    /// Points at most.
    pub of: u32,
    /// Whether what was to be reached was reached.
    pub reached: bool,
    /// Seconds of the scenario that were played.
    pub seconds: i64,
    /// What a good crew does, and how it went.
    pub expectations: Vec<Line>,
    /// The whole score.
    pub details: Score,
    /// What of the script was for nothing, each with its place.
    pub for_nothing: Vec<String>,
    /// The journal's directory.
    pub journal: PathBuf,
}

/// Runs `drill [SCENARIO] --headless`.
pub fn run(global: &Global, play: &Play) -> Result<Exit, Error> {
    let placed = read(play)?;
    session::runtime()?.block_on(async {
        let scenario = play.scenario.as_deref().unwrap_or(&placed.script.scenario);
        if scenario != placed.script.scenario {
            let plays = &placed.script.scenario;
            return Err(Error::Usage(format!("the script plays the scenario `{plays}`, not `{scenario}`")));
        }
        let seed = play.seed.or(placed.script.seed);
        let (stepped, home) = Box::pin(opening::rehearse(scenario, seed, VIA)).await?;
        let (told, problems) = Box::pin(Crew::new(stepped, &placed, play.speed).play(home.journal)).await?;
        match global.format {
            Format::Json => output::json(&told)?,
            _ => {
                for line in told.details.lines() {
                    output::line(&line)?;
                }
                output::line(&format!("journal: {}", told.journal.display()))?;
            }
        }
        if problems.is_empty() {
            return Ok(Exit::Done);
        }
        Err(Problems(problems.into_iter().map(opening::problem).collect::<Vec<Problem>>()).into())
    })
}

/// The script that is named, else the one that ships with the scenario.
fn read(play: &Play) -> Result<Placed, Error> {
    let problems =
        |errors: Vec<ScenarioError>| Error::from(Problems(errors.into_iter().map(opening::problem).collect()));
    if let Some(file) = &play.script {
        return script::parse(&file.display().to_string(), &session::read_file(file)?).map_err(problems);
    }
    let id = play.scenario.as_deref().unwrap_or(crate::drill::catalog::DEFAULT);
    let shipped = script::BUILT_IN.iter().find(|(of, _)| *of == id);
    let (_, text) = shipped
        .ok_or_else(|| Error::Usage(format!("no script ships with the scenario `{id}`; --script FILE names one")))?;
    script::parse(&format!("built-in {id}"), text).map_err(problems)
}

/// The crew that plays.
struct Crew<'a> {
    stepped: Stepped,
    placed: &'a Placed,
    /// Real time of one second; none for as fast as it goes.
    pace: Option<Duration>,
    me: Actor,
    runs: Vec<(RunId, &'a StartRun)>,
    keys: Option<Keys>,
    for_nothing: Vec<ScenarioError>,
    elapsed_s: i64,
}

/// What came of trying an act.
enum Tried {
    /// It is done.
    Done,
    /// Its time has not come.
    NotYet,
    /// It was for nothing.
    ForNothing(String),
}

impl<'a> Crew<'a> {
    fn new(stepped: Stepped, placed: &'a Placed, speed: Option<f64>) -> Self {
        let pace = speed.filter(|s| *s > 0.0).map(|s| Duration::from_secs_f64(1.0 / s));
        let me = session::me(VIA);
        // Whoever plays it, and from which terminal, the records are the same.
        let me = Actor { user: "mara".into(), host: "drill".into(), console: None, uid: 0, ..me };
        Self { stepped, placed, pace, me, runs: Vec::new(), keys: None, for_nothing: Vec::new(), elapsed_s: 0 }
    }

    async fn play(mut self, journal: PathBuf) -> Result<(Played, Vec<ScenarioError>), Error> {
        let acts = &self.placed.script.acts;
        let (mut next, mut since, mut ended) = (0, 0, None);
        loop {
            while let Some(act) = acts.get(next) {
                match self.attempt(act, since).await {
                    Tried::NotYet => break,
                    Tried::Done => {}
                    Tried::ForNothing(why) => self.for_nothing.push(self.placed.at(next, why)),
                }
                (next, since) = (next + 1, self.elapsed_s);
            }
            let running = self.answer().await;
            if self.stepped.drill().view().ended {
                ended.get_or_insert(self.elapsed_s);
            }
            let open = next < acts.len() || running;
            if ended.is_some_and(|end| !open || self.elapsed_s > end + AFTER_S) {
                break;
            }
            self.stepped.second().await;
            self.elapsed_s += 1;
            if let Some(pace) = self.pace {
                tokio::time::sleep(pace).await;
            }
        }
        for n in next..acts.len() {
            let message = "this act was never reached: the exercise was over before";
            self.for_nothing.push(self.placed.at(n, message));
        }
        let score = self.stepped.score().ok_or_else(|| Error::Failed("the journal tells of no exercise".into()))?;
        let seconds = self.elapsed_s;
        self.stepped.end().await;
        let played = Played {
            scenario: score.scenario.clone(),
            seed: score.seed.clone(),
            score: score.score,
            of: score.of,
            reached: score.reached,
            seconds,
            expectations: score.expectations.clone(),
            details: score,
            for_nothing: self.for_nothing.iter().map(ToString::to_string).collect(),
            journal,
        };
        Ok((played, self.for_nothing))
    }

    fn seen(&self, snapshot: &Snapshot) -> Seen {
        let mut seen =
            Seen { elapsed_s: f64::from(i32::try_from(self.elapsed_s).unwrap_or(i32::MAX)), ..Seen::default() };
        for finding in snapshot.findings.iter() {
            // `queue-age/t044/root` is also found as `queue-age/t044` and as `queue-age`.
            let id = finding.id.as_str();
            let above = id.match_indices('/').filter_map(|(at, _)| id.get(..at)).map(str::to_owned);
            seen.findings.extend(above.chain([id.to_owned()]));
        }
        // The newest of each playbook stands first.
        for run in snapshot.runs.iter().rev() {
            seen.runs.insert(run.playbook.to_string(), run.state.word().to_owned());
        }
        seen.told = snapshot.drill.as_ref().map(|d| d.messages.clone()).unwrap_or_default();
        seen
    }

    /// Tries an act that is next since a second.
    async fn attempt(&mut self, act: &'a Act, since: i64) -> Tried {
        // Conditions are looked at where new samples can have come.
        if act.at.is_some_and(|at| self.elapsed_s < at.0) || (act.when.is_some() && self.elapsed_s % LOOK_S != 0) {
            return Tried::NotYet;
        }
        let snapshot = self.stepped.snapshot();
        if let Some(when) = &act.when
            && !script::holds(when, &self.seen(&snapshot))
        {
            let from = act.at.map_or(since, |at| at.0.max(since));
            let patience = act.patience_s();
            if self.elapsed_s - from < patience {
                return Tried::NotYet;
            }
            return Tried::ForNothing(format!("the act was for nothing: `{when}` did not hold within {patience} s"));
        }
        match self.carry_out(act, &snapshot).await {
            Ok(()) => Tried::Done,
            Err(why) => {
                let words = act.words().join(" and ");
                Tried::ForNothing(format!("`{words}` did nothing: {why}"))
            }
        }
    }

    async fn send(&mut self, command: Command, act: &Act) -> Result<Option<String>, String> {
        let user = act.person.clone().unwrap_or_else(|| self.me.user.clone());
        let actor = Actor { user, ..self.me.clone() };
        match self.stepped.command(command, actor).await {
            Reply::Accepted { id, .. } => Ok(id),
            Reply::Refused { why, .. } => Err(why),
            Reply::Seen { .. } | Reply::Planned { .. } | Reply::Logs { .. } | Reply::Drafted { .. } => Ok(None),
        }
    }

    async fn carry_out(&mut self, act: &'a Act, snapshot: &Snapshot) -> Result<(), String> {
        let current = || snapshot.current_incident().map(|i| i.id.clone());
        let incident = || current().ok_or_else(|| "no incident is open".to_owned());
        if let Some(declare) = &act.declare {
            let findings = declare.findings.iter().map(|f| FindingId::new(f.clone())).collect();
            let command = Command::Declare { title: declare.title.clone(), severity: declare.severity, findings };
            return self.send(command, act).await.map(drop);
        }
        if let Some(finding) = &act.acknowledge {
            return self.send(Command::Acknowledge { finding: FindingId::new(finding.clone()) }, act).await.map(drop);
        }
        if let Some(text) = &act.note {
            return self.send(Command::Note { incident: None, text: text.clone() }, act).await.map(drop);
        }
        if let Some(assign) = &act.role {
            let person = Person::new(assign.person.clone());
            return self
                .send(Command::AssignRole { incident: incident()?, role: assign.role, person }, act)
                .await
                .map(drop);
        }
        if let Some(severity) = act.severity {
            let command = Command::UpdateIncident { incident: incident()?, severity: Some(severity), state: None };
            return self.send(command, act).await.map(drop);
        }
        if let Some(start) = &act.run {
            let command = Command::StartRun {
                playbook: PlaybookId::new(start.playbook.clone()),
                params: start.params.clone(),
                incident: current(),
            };
            if let Some(id) = self.send(command, act).await? {
                self.runs.push((RunId::new(id), start));
            }
            self.answer().await;
            return Ok(());
        }
        if let Some(playbook) = &act.stop {
            let run = snapshot.runs.iter().find(|r| r.playbook.as_str() == playbook && is_open(r));
            let run = run.ok_or_else(|| format!("no run of {playbook} is open"))?.id.clone();
            return self.send(Command::StopRun { run, reason: "the script stops it".into() }, act).await.map(drop);
        }
        if act.emergency.is_some() {
            return self.send(Command::EmergencyStop, act).await.map(drop);
        }
        if let Some(times) = act.hint {
            for _ in 0..times {
                self.send(Command::DrillHint, act).await?;
            }
            return Ok(());
        }
        if let Some(reason) = &act.glass {
            return self.send(Command::BreakGlass { reason: reason.clone() }, act).await.map(drop);
        }
        self.finish(act, snapshot, incident()).await
    }

    /// The acts at the end of an incident, and keys.
    async fn finish(
        &mut self,
        act: &'a Act,
        snapshot: &Snapshot,
        incident: Result<IncidentId, String>,
    ) -> Result<(), String> {
        if let Some(owner) = &act.handover {
            let until = snapshot.at.checked_add(SignedDuration::from_hours(48)).map_err(|e| e.to_string())?;
            if snapshot.measures.is_empty() {
                return Err("no measure is in force".into());
            }
            for measure in snapshot.measures.iter().filter(|m| m.owner.is_none()) {
                let (measure, owner) = (measure.id.clone(), Person::new(owner.clone()));
                self.send(Command::AssignMeasure { measure, owner, until }, act).await?;
            }
            return Ok(());
        }
        if let Some(text) = &act.accept {
            let command = Command::AcceptRecovery { incident: incident?, text: text.clone() };
            let by = Act { person: act.person.clone().or_else(|| Some(BUSINESS.into())), ..Act::default() };
            return self.send(command, &by).await.map(drop);
        }
        if let Some(summary) = &act.close {
            return self.send(Command::Close { incident: incident?, summary: summary.clone() }, act).await.map(drop);
        }
        let Some(keys) = &act.press else { return Ok(()) };
        let mut console = match self.keys.take() {
            Some(keys) => keys,
            None => Keys::new(snapshot)?,
        };
        let pressed = console.press(keys, &mut self.stepped, &self.me).await;
        self.keys = Some(console);
        pressed
    }

    /// Answers what open runs ask; says whether one is still open.
    async fn answer(&mut self) -> bool {
        if self.runs.is_empty() {
            return false;
        }
        for _ in 0..ANSWERS {
            let snapshot = self.stepped.snapshot();
            self.runs.retain(|(id, _)| snapshot.runs.iter().any(|r| r.id == *id && is_open(r)));
            let seen = self.seen(&snapshot);
            let view = |id: &RunId| snapshot.runs.iter().find(|r| r.id == *id);
            let asked = self.runs.iter().filter_map(|(id, start)| answer_of(view(id)?, start, &seen));
            let Some(command) = asked.into_iter().next() else { break };
            let reply = self.stepped.command(command, self.me.clone()).await;
            if matches!(reply, Reply::Refused { .. }) {
                // What is refused now may be taken later: a stale signal, a precondition.
                break;
            }
        }
        !self.runs.is_empty()
    }
}

fn is_open(run: &RunView) -> bool {
    use crate::domain::run::RunState;
    !run.state.is_over() && run.state != RunState::Stopped
}

/// What the crew answers to what a run asks, if it asks something.
fn answer_of(view: &RunView, start: &StartRun, seen: &Seen) -> Option<Command> {
    let step: &StepView = view.steps.get(view.current)?;
    let (run, name, generation) = (view.id.clone(), step.id.as_str(), view.generation);
    if start.hold.get(name).is_some_and(|until| !script::holds(until, seen)) {
        return None;
    }
    let id = step.id.clone();
    if !step.asks.is_empty() {
        return Some(Command::Give {
            run,
            step: id,
            generation,
            values: start.give.get(name).cloned().unwrap_or_default(),
        });
    }
    match step.state {
        StepState::AwaitsConfirmation if step.by_itself_at.is_none() => {
            let typed = match step.assessment.as_ref().and_then(|a| a.confirmation.as_ref()) {
                Some(Confirmation::Typed { phrase }) => Some(phrase.clone()),
                _ => None,
            };
            Some(Command::Confirm { run, step: id, digest: step.digest.clone()?, generation, typed })
        }
        StepState::Blocked if step.comms.is_some() => Some(Command::Told { run, step: id }),
        // A blocked step waits for a person too: something speaks against its playbook, and a script may say go on.
        StepState::Blocked if start.decide.contains_key(name) && !step.choices.is_empty() => {
            let choice = start.decide.get(name)?.clone();
            let offered = step.choices.iter().any(|(key, _)| *key == choice);
            let reason = "the script says so".into();
            offered.then_some(Command::Decide { run, step: id, generation, choice, reason })
        }
        StepState::AwaitsDecision if !step.choices.is_empty() => {
            let done = step.choices.iter().any(|(key, _)| key == "done").then(|| "done".to_owned());
            let choice = start.decide.get(name).cloned().or(done)?;
            Some(Command::Decide { run, step: id, generation, choice, reason: "the script says so".into() })
        }
        _ => None,
    }
}
