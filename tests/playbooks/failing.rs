//! A step that fails leads on only where its playbook says so: the server refuses the first thing that each playbook
//! does, and nothing after it is begun.

use crate::cases::CASES;
use crate::driver::{Stage, library};
use quarterdeck::domain::run::{RunState, StepState};
use quarterdeck::playbook::schema::{Class, OnFailure};
use std::collections::BTreeSet;
use std::time::Duration;

async fn first_action_is_refused(name: &str) -> bool {
    let case = &CASES.iter().find(|(of, _)| *of == name).unwrap().1;
    let entry = library();
    let entry = entry.get(&case.playbook.into()).unwrap();
    let acts = |s: &&quarterdeck::playbook::schema::Step| s.class() == Class::Acts && s.run.is_some();
    let Some(first) = entry.playbook().steps.iter().find(acts) else { return false };
    let verb = first.run.as_ref().unwrap().name();
    let refuse = format!(", {{fault: refuse, verb: {verb}, ending: failed, times: 9}}");
    let refuse = if case.faults.is_empty() { refuse.trim_start_matches(", ").to_owned() } else { refuse };
    let stage = Stage::new(case, &refuse);
    stage.until(case.after).await;
    stage.begin(case).await;
    let position = entry.playbook().steps.iter().position(|s| s.id == first.id).unwrap();
    let asked = |run: &quarterdeck::engine::api::RunView| {
        let step = &run.steps[position];
        // It has failed, and the run asks what now or goes on.
        run.current == position && step.state == StepState::AwaitsDecision || run.current > position
    };
    let run = tokio::time::timeout(Duration::from_mins(1), stage.play(case, asked)).await;
    let run = run.unwrap_or_else(|_| {
        let snapshot = stage.client.snapshots.borrow().clone();
        let now = snapshot.runs.iter().map(|r| format!("{} at {}: {}", r.id, r.steps[r.current].id, r.now));
        panic!("{name}: the run neither fails nor asks: {:?}", now.collect::<Vec<_>>())
    });
    let later = run.steps.iter().skip(position + 1).filter(|s| s.started_at.is_some()).count();
    match &first.on_failure {
        OnFailure::Continue | OnFailure::Step(_) => assert!(run.current > position, "{name}: {}", run.now),
        OnFailure::Ask => {
            assert_eq!((run.current, later), (position, 0), "{name}: {}", run.now);
            assert!(!run.steps[position].choices.is_empty(), "{name} asks nobody");
        }
        OnFailure::Abort => assert_eq!((run.state, later), (RunState::Failed, 0), "{name}: {}", run.now),
        OnFailure::Rollback => assert_eq!((run.state, later), (RunState::RolledBack, 0), "{name}: {}", run.now),
    }
    stage.running.end().await;
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_step_leads_on_only_where_its_playbook_says_so() {
    let mut seen = BTreeSet::new();
    let mut plays = tokio::task::JoinSet::new();
    let mut refused = 0;
    for (name, case) in CASES.iter().filter(|(_, case)| case.after <= 60.0) {
        if seen.insert(case.playbook) {
            plays.spawn(first_action_is_refused(name));
        }
        // Some at the same time: more would make the drill's clock outrun the machine.
        if plays.len() >= 4 {
            refused += usize::from(plays.join_next().await.unwrap().unwrap());
        }
    }
    while let Some(one) = plays.join_next().await {
        refused += usize::from(one.unwrap());
    }
    assert!(refused >= 18, "{refused} playbooks were refused something");
}
