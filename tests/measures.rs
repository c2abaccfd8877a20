//! A measure that a step sets or lifts is in force exactly when the step's outcome is on disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::run::{RunState, StepState};
use quarterdeck::drill::{Drill, Options, catalog};
use quarterdeck::engine::adapters;
use quarterdeck::engine::api::{Command, Reply};
use quarterdeck::engine::client::Client;
use quarterdeck::engine::core::{self, Parts, Running};
use quarterdeck::engine::state::State;
use quarterdeck::journal::{OpenOptions, fold};
use quarterdeck::playbook::library::Library;
use std::path::Path;
use std::time::Duration;

fn engine(dir: &Path) -> Running {
    let (entries, _) = catalog::load(&[]);
    // Half a minute for a step to be verified must be more than a moment of a loaded machine.
    let options = Options { seed: Some(7), speed: Some(10.0), ..Options::default() };
    let adapters = adapters::drill(Drill::start(&entries[0].scenario, options));
    let me = Actor { user: "mara".into(), uid: 0, via: "test".into(), host: "test".into(), console: None };
    let (environment, now) = (adapters.estate.environment, adapters.clock.now());
    let mut state = State::default();
    let open = OpenOptions::new(dir, "quarterdeck/test", me.clone(), Mode::Drill, environment, now);
    let (journal, _) = tokio::task::block_in_place(|| fold::open(open, &mut state)).unwrap();
    let signals = quarterdeck::correlate::signals::names();
    let (library, problems) = Library::load(&[], &quarterdeck::act::catalog(), &signals);
    assert!(problems.is_empty(), "{problems:?}");
    let loaded = serde_json::json!({});
    core::start(Parts {
        adapters,
        library,
        journal,
        state,
        journal_dir: String::new(),
        me,
        loaded,
        witnesses: None,
        anchored: None,
    })
}

/// Says yes to everything that the run asks, until it has ended.
async fn play(client: &Client) {
    let mut snapshots = client.snapshots.clone();
    loop {
        snapshots.changed().await.unwrap();
        let snapshot = snapshots.borrow_and_update().clone();
        let Some(run) = snapshot.runs.first() else { continue };
        if run.state == RunState::Finished {
            return;
        }
        assert_ne!(run.state, RunState::Failed, "{}", run.now);
        let Some(step) = run.steps.get(run.current) else { continue };
        let (id, generation) = (step.id.clone(), run.generation);
        let command = match (step.state, &step.digest) {
            (StepState::AwaitsConfirmation, Some(digest)) => {
                Command::Confirm { run: run.id.clone(), step: id, digest: digest.clone(), generation, typed: None }
            }
            (StepState::AwaitsDecision, _) if step.kind != "manual" => panic!("{}: {:?}", run.now, step.verify),
            (StepState::AwaitsDecision, _) => Command::Decide {
                run: run.id.clone(),
                step: id,
                generation,
                choice: "done".into(),
                reason: String::new(),
            },
            _ => continue,
        };
        // A refusal means that the run has gone on meanwhile; the next snapshot shows it.
        let _ = client.send(command).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_measure_and_the_outcome_that_made_it_are_one_batch() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let running = engine(&dir);
    let client = running.client.clone();
    // Not the tenant whom the scenario harms.
    let params = [("tenant".to_owned(), "t009".to_owned())].into();
    let started = client.send(Command::StartRun { playbook: "maintenance-mode".into(), params, incident: None }).await;
    assert!(matches!(started, Reply::Accepted { .. }), "{started:?}");
    let played = tokio::time::timeout(Duration::from_mins(1), play(&client)).await;
    assert!(played.is_ok(), "the run does not end: {:#?}", client.snapshot().runs.first());
    running.end().await;

    // A batch is what lies between two commit lines; recovery keeps or drops it as a whole.
    let mut batches: Vec<Vec<String>> = vec![Vec::new()];
    let mut segments: Vec<_> =
        std::fs::read_dir(dir.join("records")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    for segment in segments {
        for line in std::fs::read_to_string(segment).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            match line["kind"].as_str() {
                Some(kind) => batches.last_mut().unwrap().push(kind.to_owned()),
                None => batches.push(Vec::new()),
            }
        }
    }
    for measure in ["measure.set", "measure.lifted"] {
        let batch = batches.iter().find(|b| b.iter().any(|k| k == measure)).unwrap_or_else(|| panic!("no {measure}"));
        assert_eq!(batch, &["step.finished", measure]);
    }
}
