//! Random inputs in random order, with kills, stops, lies and an unwritable journal. The rules are in `bench`.

use super::bench::{self, Bench};
use super::*;
use crate::domain::id::{Digest, StepId};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Move {
    Answer {
        index: usize,
        variant: u8,
    },
    Confirm {
        honest: u8,
        typed: u8,
    },
    Approve {
        glass: bool,
        honest: bool,
    },
    Decide {
        choice: usize,
        honest: bool,
    },
    Recheck,
    Stop {
        emergency: bool,
    },
    Resume,
    Restart,
    Tick {
        ms: i64,
    },
    /// An answer to a question that was asked long ago.
    Stale {
        number: u64,
    },
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        70 => (0..3_usize, 0..24_u8).prop_map(|(index, variant)| Move::Answer { index, variant }),
        14 => (0..8_u8, 0..6_u8).prop_map(|(honest, typed)| Move::Confirm { honest, typed }),
        8 => (any::<bool>(), prop::bool::weighted(0.8)).prop_map(|(glass, honest)| Move::Approve { glass, honest }),
        8 => (0..4_usize, prop::bool::weighted(0.8)).prop_map(|(choice, honest)| Move::Decide { choice, honest }),
        2 => Just(Move::Recheck),
        2 => any::<bool>().prop_map(|emergency| Move::Stop { emergency }),
        5 => Just(Move::Resume),
        2 => Just(Move::Restart),
        16 => (0..8000_i64).prop_map(|ms| Move::Tick { ms }),
        2 => (0..60_u64).prop_map(|number| Move::Stale { number }),
    ]
}

fn play(bench: &mut Bench, one: &Move) {
    let step = bench.run.current_step().map_or_else(|| StepId::from("none"), |s| s.id.clone());
    let digest = bench
        .run
        .view(bench.now)
        .steps
        .iter()
        .find(|s| *s.id == step)
        .and_then(|s| s.rendering.map(|r| r.digest.clone()))
        .unwrap_or_else(|| Digest::from_bytes(&[1; 32]));
    let generation = bench.run.generation();
    match one {
        // Five of the twenty-four variants are bad answers.
        Move::Answer { index, variant } => bench.answer(*index, if *variant > 7 { 0 } else { *variant }),
        Move::Confirm { honest, typed } => {
            let (generation, digest, target) = match honest {
                0 => (generation.wrapping_sub(1), digest, step),
                1 => (generation, Digest::from_bytes(&[250; 32]), step),
                2 => (generation, digest, StepId::from("terminate")),
                _ => (generation, digest, step),
            };
            let typed = (*typed > 1).then(|| if *typed == 2 { "t018".to_owned() } else { "t017".to_owned() });
            let waits = bench.run.step_state(&target) == Some(StepState::AwaitsConfirmation);
            let taken = bench
                .apply(Input::Confirm { step: target, generation, digest, typed, login: None, by: "mara".into() })
                .is_ok();
            assert!(!taken || (waits && *honest != 0 && *honest != 1), "a confirmation was taken that does not fit");
        }
        Move::Approve { glass, honest } => {
            let approval = if *glass {
                let until = if *honest { bench::at(i64::from(u32::MAX)) } else { bench.now };
                ApprovalGiven::Glass { by: "mara".into(), reason: "production stands".into(), until }
            } else {
                ApprovalGiven::Simulated { person: "ines".into() }
            };
            let digest = if *honest { digest } else { Digest::from_bytes(&[250; 32]) };
            let taken = bench.apply(Input::Approved { step, digest, approval }).is_ok();
            assert!(!taken || *honest);
        }
        Move::Decide { choice, honest } => {
            let offered: Vec<String> = bench
                .run
                .view(bench.now)
                .steps
                .iter()
                .find(|s| *s.id == step)
                .map(|s| s.choices.iter().map(|c| c.key.clone()).collect())
                .unwrap_or_default();
            let key = offered.get(choice % offered.len().max(1)).cloned().unwrap_or_else(|| "nothing".into());
            let generation = if *honest { generation } else { generation + 1 };
            let reason = "because".to_owned();
            let taken = bench.apply(Input::Decide { step, generation, choice: key, reason, by: "mara".into() }).is_ok();
            assert!(!taken || *honest);
        }
        Move::Recheck => drop(bench.apply(Input::Recheck { step })),
        Move::Stop { emergency } => {
            drop(bench.apply(Input::Stop { reason: "enough".into(), by: "mara".into(), emergency: *emergency }));
        }
        Move::Resume => drop(bench.apply(Input::Resume { by: "mara".into() })),
        Move::Restart => bench.restart(),
        Move::Tick { ms } => {
            bench.wait(*ms);
            if ms % 2 == 0 {
                bench.apply(Input::Seen).unwrap();
            }
            bench.apply(Input::Tick).unwrap();
        }
        Move::Stale { number } => {
            let (ticket, mark) = (effect::Ticket(*number), effect::Mark(*number));
            let is_open = bench.open.iter().any(|e| match e {
                Effect::Append { mark: m, .. } => *m == mark,
                Effect::Render { ticket: t, .. }
                | Effect::Evaluate { ticket: t, .. }
                | Effect::Execute { ticket: t, .. }
                | Effect::Look { ticket: t, .. }
                | Effect::DryRun { ticket: t, .. }
                | Effect::Children { ticket: t, .. }
                | Effect::Reconcile { ticket: t, .. } => *t == ticket,
                Effect::Finish { .. } | Effect::Escalate { .. } => false,
            });
            if !is_open {
                let outcome = crate::domain::ports::Outcome::Failed { why: bench::failure() };
                let before = bench.run.clone();
                bench.apply(Input::Durable { mark, seq: 9999 }).unwrap();
                bench.apply(Input::Executed { ticket, outcome: outcome.clone() }).unwrap();
                bench.apply(Input::Looked { ticket, outcome }).unwrap();
                bench.apply(Input::RenderFailed { ticket, why: "x".into() }).unwrap();
                bench.apply(Input::Evaluated { ticket, results: vec![] }).unwrap();
                assert!(bench::same(&before, &bench.run), "an answer that nobody asked for changes nothing");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_a_rule(moves in prop::collection::vec(moves(), 1..240)) {
        let mut bench = Bench::new();
        bench.apply(Input::Begin).unwrap();
        for one in &moves {
            play(&mut bench, one);
            // Whatever happened, it can be shown, and its records can be read back.
            let view = bench.run.view(bench.now);
            prop_assert!(!view.now.is_empty());
            prop_assert_eq!(view.steps.len(), 6);
            prop_assert!(bench.finished.is_none_or(|ended| ended == view.state));
        }
    }

    #[test]
    fn every_interruption_ends_where_it_can_go_on(moves in prop::collection::vec(moves(), 1..80), choices in prop::collection::vec(0..4_usize, 60)) {
        let mut bench = Bench::new();
        bench.apply(Input::Begin).unwrap();
        for one in &moves {
            play(&mut bench, one);
        }
        bench.restart();
        if bench.records.is_empty() {
            return Ok(());
        }
        // From here on everything answers and the person does what is offered: the run has to end.
        for choice in choices.iter().cycle().take(400) {
            if bench.finished.is_some() {
                break;
            }
            drop(bench.apply(Input::Resume { by: "mara".into() }));
            while !bench.open.is_empty() {
                bench.answer(0, 0);
            }
            play(&mut bench, &Move::Confirm { honest: 5, typed: 5 });
            play(&mut bench, &Move::Approve { glass: true, honest: true });
            while !bench.open.is_empty() {
                bench.answer(0, 0);
            }
            if bench.run.state() == RunState::Waiting || bench.run.state() == RunState::Unknown {
                play(&mut bench, &Move::Decide { choice: *choice, honest: true });
            }
            play(&mut bench, &Move::Tick { ms: 1500 });
        }
        prop_assert!(bench.finished.is_some(), "{:?} {:?}", bench.run.view(bench.now).now, bench.kinds);
    }
}
