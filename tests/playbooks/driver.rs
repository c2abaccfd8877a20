//! Plays a run: says yes to everything that it asks, and gives the answers of its case.

use crate::cases::Case;
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::incident::Severity;
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::pane::Panes;
use quarterdeck::domain::risk::Confirmation;
use quarterdeck::domain::run::{RunState, StepState};
use quarterdeck::drill::{Drill, Options, View, parse};
use quarterdeck::engine::adapters;
use quarterdeck::engine::api::{Command, Reply, RunView, StepView};
use quarterdeck::engine::client::Client;
use quarterdeck::engine::core::{self, Parts, Running};
use quarterdeck::engine::roster::PolicyFile;
use quarterdeck::engine::state::State;
use quarterdeck::journal::{OpenOptions, fold};
use quarterdeck::playbook::library::Library;
use std::path::Path;
use std::time::Duration;

/// Seconds of the scenario in one second while a run goes on: slow enough that a busy machine keeps samples fresh.
const SPEED: f64 = 30.0;
/// The same before it begins.
const BEFORE: f64 = 200.0;

/// The shipped playbooks.
pub fn library() -> Library {
    let signals = quarterdeck::correlate::signals::names();
    let (library, problems) = Library::load(&[], &quarterdeck::act::catalog(), &signals);
    assert!(problems.is_empty(), "{problems:#?}");
    library
}

/// An estate with the trouble of a case, and an engine on it.
pub struct Stage {
    pub running: Running,
    pub client: Client,
    pub drill: Drill,
    _home: tempfile::TempDir,
}

impl Stage {
    /// `more` are further faults from the beginning.
    pub fn new(case: &Case, more: &str) -> Self {
        Self::governed(case, more, library(), PolicyFile::default())
    }

    /// The same with other playbooks, under a policy.
    pub fn governed(case: &Case, more: &str, library: Library, policy: PolicyFile) -> Self {
        let text = format!(
            "exercise: {{id: {}, name: N, objectives: [o], seed: 7, minutes: 10, clock: {{start: 2026-11-20T02:00:00Z, \
             speed: {BEFORE}}}, roles: [commander]}}\nbaseline:\n  size: {{tenants: 8}}\n  effects: [{}{more}]\n\
             injects: [{}]\n",
            case.playbook, case.faults, case.injects
        );
        let scenario = parse("case", &text).unwrap_or_else(|e| panic!("{}: {e:?}\n{text}", case.playbook));
        let drill = Drill::start(&scenario, Options::default());
        let home = tempfile::tempdir().unwrap();
        let running = engine(&home.path().join("journal"), drill.clone(), library, policy);
        let client = running.client.clone();
        Self { running, client, drill, _home: home }
    }

    fn view(&self) -> View {
        self.drill.view()
    }

    /// Waits until so many seconds of the scenario have passed.
    pub async fn until(&self, seconds: f64) {
        let mut snapshots = self.client.snapshots.clone();
        while self.view().elapsed_s < seconds {
            snapshots.changed().await.unwrap();
        }
    }

    /// Waits until the share of failing requests of t017 is known: a rate needs two samples.
    async fn until_rates_are_known(&self) {
        let mut snapshots = self.client.snapshots.clone();
        let known = |panes: &Panes| panes.tenants.iter().any(|t| t.id.as_str() == "t017" && t.share_5xx.is_some());
        while !known(&snapshots.borrow_and_update().panes) {
            snapshots.changed().await.unwrap();
        }
    }

    /// Declares an incident and starts the playbook of the case in it; where nothing is wrong, once that is known.
    pub async fn begin(&self, case: &Case) {
        self.drill.set_speed(SPEED);
        if case.faults.is_empty() && case.injects.is_empty() {
            self.until_rates_are_known().await;
        }
        let title = format!("trouble for {}", case.playbook);
        let declare = Command::Declare { title, severity: Severity::Sev1, findings: vec![] };
        let reply = self.client.send(declare).await;
        assert!(matches!(reply, Reply::Accepted { .. }), "{reply:?}");
        let incident = self.client.snapshots.borrow().incidents.first().map(|i| i.id.clone());
        let edge = |text: &str| match self.drill.estate().tenant(&"t017".into()).and_then(|t| t.router.as_ref()) {
            Some(router) => text.replace("EDGE", router.ingress.as_str()),
            None => text.to_owned(),
        };
        let params = case.params.iter().map(|(name, value)| ((*name).to_owned(), edge(value))).collect();
        let reply = self.client.send(Command::StartRun { playbook: case.playbook.into(), params, incident }).await;
        assert!(matches!(reply, Reply::Accepted { .. }), "{}: {reply:?}", case.playbook);
    }

    /// Plays until the run is over, or until somebody says that it is enough.
    pub async fn play(&self, case: &Case, enough: impl Fn(&RunView) -> bool) -> RunView {
        let mut snapshots = self.client.snapshots.clone();
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            // A call for help is a run too.
            if let Some(run) = snapshot.runs.iter().find(|r| r.playbook.as_str() == case.playbook) {
                if run.state.is_over() || run.state == RunState::Stopped || enough(run) {
                    return run.clone();
                }
                if let Some(command) = run.steps.get(run.current).and_then(|step| self.answer(case, run, step)) {
                    // A refusal means that the run has gone on meanwhile; the next snapshot shows it.
                    let _ = self.client.send(command).await;
                }
            }
            let tick = tokio::time::sleep(Duration::from_millis(100));
            tokio::select! { changed = snapshots.changed() => changed.unwrap(), () = tick => {} }
        }
    }

    /// What a willing crew answers.
    fn answer(&self, case: &Case, run: &RunView, step: &StepView) -> Option<Command> {
        let (id, name, generation) = (step.id.clone(), step.id.to_string(), run.generation);
        let run = run.id.clone();
        if case.patience.is_some_and(|(at, seconds)| at == name && self.view().elapsed_s < seconds) {
            return None;
        }
        if !step.asks.is_empty() {
            let given = case.values.iter().filter(|(step, ..)| *step == name);
            let values = given.map(|(_, key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            return Some(Command::Give { run, step: id, generation, values });
        }
        match step.state {
            StepState::AwaitsConfirmation => {
                let typed = match step.assessment.as_ref().and_then(|a| a.confirmation.as_ref()) {
                    Some(Confirmation::Typed { phrase }) => Some(phrase.clone()),
                    _ => None,
                };
                Some(Command::Confirm { run, step: id, digest: step.digest.clone()?, generation, typed })
            }
            StepState::Blocked if step.comms.is_some() => Some(Command::Told { run, step: id }),
            StepState::AwaitsDecision if !step.choices.is_empty() => {
                let own = case.decisions.iter().find(|(at, _)| *at == name).map(|(_, choice)| *choice);
                let done = step.choices.iter().any(|(key, _)| key == "done").then_some("done");
                let choice = own.or(done)?.to_owned();
                Some(Command::Decide { run, step: id, generation, choice, reason: "the exercise says so".into() })
            }
            _ => None,
        }
    }
}

fn engine(dir: &Path, drill: Drill, library: Library, policy: PolicyFile) -> Running {
    let adapters = adapters::drill(drill);
    let me = Actor { user: "mara".into(), uid: 0, via: "test".into(), host: "test".into(), console: None };
    let (environment, now) = (adapters.estate.environment, adapters.clock.now());
    let mut state = State::default();
    let open = OpenOptions::new(dir, "quarterdeck/test", me.clone(), Mode::Drill, environment, now);
    let (journal, _) = tokio::task::block_in_place(|| fold::open(open, &mut state)).unwrap();
    let parts = Parts {
        adapters,
        library,
        journal,
        state,
        journal_dir: String::new(),
        me,
        loaded: serde_json::json!({}),
        witnesses: None,
        anchored: None,
    };
    core::start_governed(parts, policy)
}
