//! When stakeholders are to be told, and told again, over a whole run.

use super::bench::{Bench, plan};
use super::*;
use crate::domain::id::StepId;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

const TELLS: &str = r"
schemaVersion: 1
id: tells
name: Tells
version: 1
owner: platform
description: for tests
parameters:
  tenant: {type: tenant, required: true}
steps:
- {id: down, name: Down, why: They wait., type: notify, comms: {template: it is down, audience: [ops], every: 20m}}
- {id: work, name: Work, why: By hand., type: manual, comms: {template: we work on it, audience: [ops], every: 10m}}
- {id: later, name: Later, why: By hand., type: manual, comms: {template: once, audience: [ops]}}
";

const MINUTE: i64 = 60_000;

/// When each step is to be told.
fn due(bench: &Bench) -> [Option<Timestamp>; 3] {
    let view = bench.run.view(bench.now);
    std::array::from_fn(|i| view.steps[i].tell_at)
}

/// Somebody says that they were told; the engine has written that.
fn told(bench: &mut Bench, step: &str) {
    beside(bench, step);
    bench.apply(Input::Told { step: StepId::from(step) }).unwrap();
}

/// The record that the engine writes beside the run.
fn beside(bench: &mut Bench, step: &str) {
    let seq = u64::try_from(bench.records.len()).unwrap() + 1;
    bench.records.push((seq, bench.now, "comms.sent", json!({ "run": "RUN-1", "step": step })));
}

/// The same moments after the engine was killed and the run taken up again.
fn killed(bench: &mut Bench) {
    let before = due(bench);
    bench.restart();
    assert_eq!(due(bench), before, "a killed engine forgets nothing of it");
    bench.apply(Input::Resume { by: "mara".into() }).unwrap();
    bench.settle();
}

/// So many minutes from now.
fn minutes(bench: &Bench, n: i64) -> Timestamp {
    bench.now + SignedDuration::from_mins(n)
}

#[test]
fn it_comes_due_again_and_again_for_as_long_as_the_run_is_open() {
    let mut bench = Bench::of(plan(TELLS));
    bench.apply(Input::Begin).unwrap();
    bench.settle();
    let began = bench.now;
    assert_eq!(due(&bench), [Some(began), None, None], "at once, and nothing of what was not reached");
    // A step that is there to tell has told when it is done.
    bench.wait(2 * MINUTE);
    bench.decide("down", "done", "").unwrap();
    bench.settle();
    beside(&mut bench, "down");
    assert_eq!(due(&bench), [Some(minutes(&bench, 20)), Some(bench.now), None]);
    killed(&mut bench);
    told(&mut bench, "work");
    let first = Some(minutes(&bench, 10));
    assert_eq!(due(&bench)[1], first);
    bench.wait(10 * MINUTE);
    assert_eq!(due(&bench)[1], Some(bench.now), "the second time");
    bench.wait(3 * MINUTE);
    assert_eq!(due(&bench)[1], first, "it stays due until somebody tells them");
    killed(&mut bench);
    told(&mut bench, "work");
    assert_eq!(due(&bench)[1], Some(minutes(&bench, 10)), "the third time is counted from the second");
    // The step before is due a second time while another one is in hand.
    bench.wait(7 * MINUTE);
    assert_eq!(due(&bench)[0], Some(bench.now));
    told(&mut bench, "down");
    assert_eq!(due(&bench)[0], Some(minutes(&bench, 20)));
    killed(&mut bench);
    bench.decide("work", "done", "").unwrap();
    bench.settle();
    bench.wait(15 * MINUTE);
    assert!(due(&bench)[1].is_some_and(|due| due < bench.now), "the work is done, the run is not");
    // What is told once is not due again, and nothing is once the run is over.
    told(&mut bench, "later");
    assert_eq!(due(&bench)[2], None);
    bench.decide("later", "done", "").unwrap();
    bench.settle();
    assert_eq!((bench.run.state(), due(&bench)), (RunState::Finished, [None; 3]));
    let refused = bench.apply(Input::Told { step: StepId::from("later") });
    assert!(refused.is_err(), "{refused:?}");
}
