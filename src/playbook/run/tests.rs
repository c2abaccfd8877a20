//! Single paths through the machine, step by step.

use super::bench::{Bench, PLAYBOOK, plan};
use super::*;
use crate::domain::id::{Digest, StepId};
use serde_json::json;

/// A run that waits for the confirmation of `cancel`.
fn at_cancel() -> Bench {
    let mut bench = Bench::new();
    bench.apply(Input::Begin).unwrap();
    bench.settle();
    bench
}

/// Lets time pass until the verification in hand has held.
fn hold(bench: &mut Bench) {
    for _ in 0..12 {
        bench.wait(1000);
        bench.apply(Input::Tick).unwrap();
        bench.settle();
    }
}

fn stop(bench: &mut Bench, emergency: bool) -> Result<(), Refusal> {
    bench.apply(Input::Stop { reason: "wrong tenant".into(), by: "mara".into(), emergency })
}

fn resume(bench: &mut Bench) {
    bench.apply(Input::Resume { by: "mara".into() }).unwrap();
    bench.settle();
}

/// Answers until the next open question is an execution.
fn to_execution(bench: &mut Bench) {
    while !matches!(bench.open.first(), Some(Effect::Execute { .. })) {
        assert!(!bench.open.is_empty(), "nothing is executed");
        bench.answer(0, 0);
    }
}

fn choices(bench: &Bench) -> Vec<String> {
    let view = bench.run.view(bench.now);
    view.steps[view.current].choices.iter().map(|c| c.key.clone()).collect()
}

fn line(bench: &Bench, step: &str) -> String {
    let view = bench.run.view(bench.now);
    view.steps.iter().find(|s| s.id.as_str() == step).unwrap().outcome.clone().unwrap_or_default()
}

#[test]
fn a_run_writes_its_records_in_the_order_of_an_action() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    bench.settle();
    hold(&mut bench);
    bench.confirm("terminate", Some("t017")).unwrap();
    bench.settle();
    assert_eq!(bench.state("terminate"), StepState::AwaitsApproval);
    bench.simulate_approval("terminate").unwrap();
    bench.settle();
    hold(&mut bench);
    bench.decide("choose", "a", "").unwrap();
    bench.settle();
    bench.decide("work", "done", "").unwrap();
    bench.settle();
    hold(&mut bench);
    assert_eq!(bench.finished, Some(RunState::Finished));
    assert_eq!(
        bench.kinds,
        [
            "run.started",
            "step.started",
            "step.finished", // look
            "step.intended",
            "step.confirmed",
            "step.started",
            "step.finished",
            "step.verified", // cancel
            "step.intended",
            "step.confirmed",
            "approval.requested",
            "approval.granted",
            "step.started",
            "step.finished",
            "step.verified", // terminate
            "step.started",
            "decision.made",
            "step.finished", // choose
            "step.started",
            "decision.made",
            "step.finished", // work
            "step.started",
            "step.verified", // last
            "run.finished",
        ]
    );
    let granted = bench.records.iter().find(|r| r.2 == "approval.granted").unwrap();
    assert_eq!(granted.3["simulated"], true, "a simulated person is said to be simulated");
}

#[test]
fn killed_at_every_boundary_no_step_runs_twice_and_none_is_forgotten() {
    // The whole run, once, for its records.
    let mut whole = at_cancel();
    finish_by_hand(&mut whole);
    assert_eq!(whole.finished, Some(RunState::Finished));
    let mut cases = 0;
    for kept in 1..=whole.records.len() {
        let mut bench = Bench::new();
        bench.apply(Input::Begin).unwrap();
        // Played again up to that record, then killed: before the next effect, and with the request already sent.
        let mut guard = 0;
        while bench.records.len() < kept {
            if bench.open.is_empty() {
                push_on(&mut bench);
            } else {
                bench.answer(0, 0);
            }
            guard += 1;
            assert!(guard < 400, "no way to record {kept}");
        }
        let executed = bench.executions.clone();
        let open_start = bench.records.last().is_some_and(|r| r.2 == "step.started" && r.3["type"] == "action");
        let now = bench.now;
        bench.restart();
        if bench.finished.is_some() {
            cases += 1;
            continue;
        }
        assert!(matches!(bench.run.state(), RunState::Stopped | RunState::Unknown));
        assert!(bench.open.is_empty() && bench.run.is_open(), "a rebuilt run waits for a person at {now}");
        bench.apply(Input::Resume { by: "mara".into() }).unwrap();
        bench.settle();
        if open_start {
            assert!(bench.kinds.iter().any(|k| k == "step.unknown"), "an open start becomes unknown");
            assert!(bench.kinds.iter().any(|k| k == "step.reconciled"), "and is reconciled by looking");
        }
        finish_by_hand(&mut bench);
        assert_eq!(bench.finished, Some(RunState::Finished), "after record {kept}: {:?}", bench.kinds);
        for step in ["cancel", "terminate"] {
            let before = executed.get(step).copied().unwrap_or(0);
            let after = bench.executions.get(step).copied().unwrap_or(0);
            let interrupted = open_start && bench.records[kept - 1].3["step"] == step;
            let expected = usize::from(!interrupted);
            assert_eq!(after.max(before), expected.max(before), "{step} after record {kept}");
            assert!(after <= 1, "{step} was executed {after} times after record {kept}");
        }
        cases += 1;
    }
    println!("{cases} boundaries");
    assert_eq!(cases, whole.records.len());
}

/// What a person does next where the run waits for one.
fn push_on(bench: &mut Bench) {
    let view = bench.run.view(bench.now);
    let step = view.steps[view.current].id.clone();
    match view.steps[view.current].state {
        StepState::AwaitsConfirmation => {
            let typed = (step.as_str() == "terminate").then_some("t017");
            bench.confirm(step.as_str(), typed).unwrap();
        }
        StepState::AwaitsApproval => bench.simulate_approval(step.as_str()).unwrap(),
        StepState::AwaitsDecision => {
            let choice = choices(bench)[0].clone();
            bench.decide(step.as_str(), &choice, "as offered").unwrap();
        }
        _ => {
            bench.wait(1000);
            bench.apply(Input::Tick).unwrap();
        }
    }
}

fn finish_by_hand(bench: &mut Bench) {
    for _ in 0..200 {
        bench.settle();
        if bench.finished.is_some() {
            return;
        }
        push_on(bench);
    }
}

#[test]
fn a_confirmation_fits_the_step_the_digest_and_the_generation_or_nothing_happens() {
    let mut bench = at_cancel();
    let shown = bench.run.generation();
    let digest = bench.rendering(&"cancel".into()).digest;
    let confirm = |step: &str, generation: u64, digest: &crate::domain::id::Digest| Input::Confirm {
        step: step.into(),
        generation,
        digest: digest.clone(),
        typed: None,
        login: None,
        by: "mara".into(),
    };
    let other = crate::domain::id::Digest::from_bytes(&[200; 32]);
    for (input, sentence) in [
        (confirm("terminate", shown, &digest), "the run is at the step cancel, not at terminate"),
        (confirm("cancel", shown - 1, &digest), "the plan has changed since it was shown"),
        (confirm("cancel", shown, &other), "nothing was sent"),
    ] {
        let refusal = bench.apply(input).unwrap_err();
        assert!(refusal.0.contains(sentence), "{refusal}");
    }
    // The step is checked again: what was shown before can no longer be confirmed.
    bench.apply(Input::Recheck { step: "cancel".into() }).unwrap();
    bench.settle();
    assert!(bench.apply(confirm("cancel", shown, &digest)).is_err());
    bench.confirm("cancel", None).unwrap();
    assert!(bench.confirm("cancel", None).unwrap_err().0.contains("does not wait for a confirmation"));
}

#[test]
fn what_takes_a_login_is_confirmed_with_what_the_provider_has_said_and_the_record_holds_it() {
    let mut bench = Bench::new();
    bench.login = true;
    bench.apply(Input::Begin).unwrap();
    bench.settle();
    let refusal = bench.confirm("cancel", None).unwrap_err();
    assert!(refusal.0.contains("takes a second factor of whoever confirms it"), "{refusal}");
    let identity = crate::domain::identity::Identity {
        issuer: "https://login.example".into(),
        subject: "4711".into(),
        name: "m.brandt".into(),
        acr: None,
        amr: vec!["otp".into()],
        auth_time: bench.now,
        token: crate::domain::id::Digest::from_bytes(&[9; 32]),
    };
    let (digest, generation) = (bench.rendering(&"cancel".into()).digest, bench.run.generation());
    assert!(bench.run.may_confirm(&"cancel".into(), generation, &digest, None).unwrap().login);
    let (login, by) = (Some(Box::new(identity.clone())), "mara".into());
    bench.apply(Input::Confirm { step: "cancel".into(), generation, digest, typed: None, login, by }).unwrap();
    bench.settle();
    let (.., body) = bench.records.iter().find(|(_, _, kind, _)| *kind == "step.confirmed").unwrap();
    assert_eq!(body["identity"], serde_json::json!(identity));
}

#[test]
fn a_high_step_is_typed() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    bench.settle();
    hold(&mut bench);
    for typed in [None, Some("t018"), Some("T017"), Some("")] {
        let refusal = bench.confirm("terminate", typed).unwrap_err();
        assert!(refusal.0.contains("“t017” has to be typed"), "{refusal}");
    }
    bench.confirm("terminate", Some("t017")).unwrap();
}

#[test]
fn a_precondition_that_turns_false_after_the_confirmation_voids_it() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    bench.answer(0, 0); // step.confirmed is durable
    bench.answer(0, 3); // and the last check says no
    bench.answer(0, 0); // step.refused is durable
    assert_eq!(bench.kinds.last().unwrap(), "step.refused");
    assert_eq!(bench.state("cancel"), StepState::Blocked);
    assert!(line(&bench, "cancel").contains("a precondition is false"), "{}", line(&bench, "cancel"));
    assert!(bench.executions.is_empty());
    // It comes back by itself, and has to be confirmed anew.
    bench.wait(2000);
    bench.apply(Input::Tick).unwrap();
    bench.settle();
    assert_eq!(bench.state("cancel"), StepState::AwaitsConfirmation);
}

#[test]
fn what_is_not_known_blocks_and_says_why() {
    for (variant, sentence) in [
        (5, "a precondition is not known: e (stale)"),
        (6, "a precondition is not known: signals.replication.lag < 30 (it was not evaluated)"),
        (3, "a precondition is false"),
    ] {
        let mut bench = Bench::new();
        bench.apply(Input::Begin).unwrap();
        while !matches!(bench.open.first(), Some(Effect::Evaluate { what: Subject::Preconditions, .. })) {
            bench.answer(0, 0);
        }
        bench.answer(0, variant);
        assert_ne!(bench.state("cancel"), StepState::Blocked, "the record is first");
        bench.answer(0, 0); // step.refused is durable
        assert_eq!(bench.run.state(), RunState::Waiting);
        assert!(line(&bench, "cancel").contains(sentence), "{}", line(&bench, "cancel"));
        assert!(bench.run.view(bench.now).now.contains("cancel is blocked"));
        let (kind, body) = bench.records.last().map(|r| (r.2, &r.3)).unwrap();
        assert_eq!(kind, "step.refused");
        assert!(body["why"].as_str().unwrap().starts_with(sentence), "{body}");
        assert!(body["checks"].as_array().unwrap().iter().any(|c| c["holds"] != "true"), "{body}");
        // It stays as it is: that is no news.
        for _ in 0..3 {
            bench.wait(2000);
            bench.apply(Input::Tick).unwrap();
            while !matches!(bench.open.first(), Some(Effect::Evaluate { what: Subject::Preconditions, .. })) {
                bench.answer(0, 0);
            }
            bench.answer(0, variant);
            assert_eq!(bench.state("cancel"), StepState::Blocked);
        }
        let refusals = |bench: &Bench| bench.kinds.iter().filter(|k| *k == "step.refused").count();
        assert_eq!(refusals(&bench), 1);
        // It holds for a moment, and then not: that is another refusal.
        bench.wait(2000);
        bench.apply(Input::Tick).unwrap();
        bench.settle();
        assert_eq!(bench.state("cancel"), StepState::AwaitsConfirmation);
        bench.apply(Input::Recheck { step: "cancel".into() }).unwrap();
        while !matches!(bench.open.first(), Some(Effect::Evaluate { what: Subject::Preconditions, .. })) {
            bench.answer(0, 0);
        }
        bench.answer(0, variant);
        bench.answer(0, 0);
        assert_eq!(refusals(&bench), 2);
    }
}

#[test]
fn policy_and_a_failed_rendering_block_too() {
    for (variant, sentence) in [(4, "no"), (3, "it can not be rendered"), (6, "only looks, and the step acts")] {
        let mut bench = Bench::new();
        bench.apply(Input::Begin).unwrap();
        while !matches!(bench.open.first(), Some(Effect::Render { step, .. }) if step.as_str() == "cancel") {
            bench.answer(0, 0);
        }
        bench.answer(0, variant);
        bench.settle();
        assert_eq!(bench.state("cancel"), StepState::Blocked);
        assert!(line(&bench, "cancel").contains(sentence), "{}", line(&bench, "cancel"));
    }
}

#[test]
fn a_stop_before_the_request_is_sent_sends_nothing_and_the_step_starts_anew() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    while !matches!(bench.open.first(), Some(Effect::Append { kind: "step.started", .. })) {
        bench.answer(0, 0);
    }
    stop(&mut bench, true).unwrap();
    bench.settle();
    assert!(bench.executions.is_empty());
    assert_eq!(bench.kinds[bench.kinds.len() - 3..], ["step.started", "step.finished", "run.stopped"]);
    let finished = &bench.records[bench.records.len() - 2].3;
    assert_eq!(finished["ended"], "not-sent");
    assert_eq!(bench.run.state(), RunState::Stopped);
    assert!(stop(&mut bench, true).unwrap_err().0.contains("stopped already"));
    resume(&mut bench);
    assert_eq!(bench.state("cancel"), StepState::AwaitsConfirmation);
}

#[test]
fn an_emergency_stop_waits_for_the_step_in_hand_and_says_what_can_not_be_recalled() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    to_execution(&mut bench);
    stop(&mut bench, true).unwrap();
    assert_eq!(bench.run.irrevocable(), ["cancel: the request to backend of cancel is being sent"]);
    assert!(bench.run.is_in_hand());
    assert!(bench.run.view(bench.now).now.contains("can not be recalled"));
    bench.settle();
    assert_eq!(bench.kinds[bench.kinds.len() - 2..], ["step.finished", "run.stopped"]);
    assert_eq!(bench.records.last().unwrap().3["emergency"], true);
    assert!(!bench.run.is_in_hand());
    // Resumed, it waits for the effect of what was done and does not do it again.
    resume(&mut bench);
    assert_eq!(bench.state("cancel"), StepState::Verifying);
    hold(&mut bench);
    assert_eq!(bench.state("terminate"), StepState::AwaitsConfirmation);
    assert_eq!(bench.executions["cancel"], 1);
}

#[test]
fn a_stop_while_waiting_cancels_the_intent() {
    let mut bench = at_cancel();
    stop(&mut bench, false).unwrap();
    bench.settle();
    assert_eq!(bench.kinds[bench.kinds.len() - 2..], ["step.cancelled", "run.stopped"]);
    assert!(bench.confirm("cancel", None).is_err());
    resume(&mut bench);
    bench.confirm("cancel", None).unwrap();
}

#[test]
fn an_unknown_outcome_is_looked_at_and_what_looking_can_not_tell_a_person_says() {
    for (choice, state) in [("took-effect", StepState::Verifying), ("no-effect", StepState::AwaitsDecision)] {
        let mut bench = at_cancel();
        bench.confirm("cancel", None).unwrap();
        to_execution(&mut bench);
        bench.answer(0, 5);
        assert_eq!(bench.run.state(), RunState::Unknown);
        bench.answer(0, 0); // step.unknown is durable
        assert!(matches!(bench.open.first(), Some(Effect::Reconcile { .. })));
        bench.answer(0, 6); // looking can not tell
        bench.settle();
        assert_eq!((bench.run.state(), bench.state("cancel")), (RunState::Unknown, StepState::Unknown));
        assert_eq!(choices(&bench), ["reconcile", "took-effect", "no-effect", "stop"]);
        assert!(bench.decide("cancel", choice, " ").unwrap_err().0.contains("needs a reason"));
        assert!(bench.decide("cancel", "retry", "again").unwrap_err().0.contains("there is no choice"));
        bench.decide("cancel", choice, "saw it in psql").unwrap();
        while bench.open.iter().any(|e| matches!(e, Effect::Append { .. })) {
            bench.answer(0, 0);
        }
        assert_eq!(bench.state("cancel"), state);
        assert_eq!(bench.executions["cancel"], 1);
        let said = bench.records.iter().rev().find(|r| r.2 == "step.reconciled").unwrap();
        assert_eq!((&said.3["by"], &said.3["reason"]), (&json!("mara"), &json!("saw it in psql")));
    }
}

#[test]
fn a_stop_during_an_unknown_outcome_is_reconciled_on_resume_and_not_run_again() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    to_execution(&mut bench);
    bench.answer(0, 5);
    stop(&mut bench, false).unwrap();
    bench.settle();
    assert_eq!(bench.kinds[bench.kinds.len() - 2..], ["step.unknown", "run.stopped"]);
    assert_eq!(bench.run.state(), RunState::Unknown);
    for killed in [false, true] {
        if killed {
            bench.restart();
        }
        bench.apply(Input::Resume { by: "mara".into() }).unwrap();
        bench.answer(0, 0);
        assert!(matches!(bench.open.as_slice(), [Effect::Reconcile { .. }]), "{:?}", bench.open);
        bench.answer(0, 6);
        bench.settle();
        stop(&mut bench, false).unwrap();
        bench.settle();
    }
    assert_eq!(bench.executions["cancel"], 1);
}

#[test]
fn a_verification_that_does_not_hold_asks_and_a_second_try_is_offered_only_where_it_may_be() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    to_execution(&mut bench);
    bench.answer(0, 0);
    bench.answer(0, 0);
    while bench.state("cancel") == StepState::Verifying {
        while !bench.open.is_empty() {
            bench.answer(0, 4); // still blocked, and the probe fails
        }
        bench.wait(1000);
        bench.apply(Input::Tick).unwrap();
        while bench.open.iter().any(|e| matches!(e, Effect::Append { .. })) {
            bench.answer(0, 0);
        }
    }
    assert!(bench.kinds.iter().any(|k| k == "step.verification_failed"));
    assert_eq!(choices(&bench), ["retry", "verify", "skip", "stop"]);
    assert!(line(&bench, "cancel").contains("did not come to hold in 30 s"), "{}", line(&bench, "cancel"));
    bench.decide("cancel", "retry", "").unwrap();
    bench.settle();
    assert_eq!(bench.state("cancel"), StepState::AwaitsConfirmation, "a retry takes everything again");

    // `terminate` is not idempotent: executed and not verified, it is not offered again.
    bench.decide("cancel", "skip", "no use").unwrap();
    bench.settle();
    bench.confirm("terminate", Some("t017")).unwrap();
    bench.settle();
    bench.simulate_approval("terminate").unwrap();
    to_execution(&mut bench);
    bench.answer(0, 0);
    bench.answer(0, 0);
    while bench.state("terminate") == StepState::Verifying {
        while !bench.open.is_empty() {
            bench.answer(0, 4);
        }
        bench.wait(1000);
        bench.apply(Input::Tick).unwrap();
        while bench.open.iter().any(|e| matches!(e, Effect::Append { .. })) {
            bench.answer(0, 0);
        }
    }
    assert_eq!(choices(&bench), ["verify", "skip", "stop"]);
    bench.decide("terminate", "stop", "give up").unwrap();
    bench.settle();
    assert_eq!(bench.finished, Some(RunState::Failed));
}

#[test]
fn the_server_said_no_so_that_it_may_be_tried_again() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    to_execution(&mut bench);
    bench.answer(0, 3);
    bench.settle();
    assert_eq!(choices(&bench), ["retry", "skip", "stop"]);
    assert_eq!(line(&bench, "cancel"), "no answer·[31m within 10 s", "foreign text is sanitised");
}

#[test]
fn an_observation_from_before_the_outcome_proves_nothing() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    to_execution(&mut bench);
    bench.answer(0, 0);
    bench.answer(0, 0);
    bench.answer(0, 0); // true, and observed 100 ms before the outcome
    let view = bench.run.view(bench.now);
    assert_eq!(view.steps[1].verify[0].holds, None);
    assert!(view.steps[1].verify[0].detail.contains("not observed since the step was done"), "{:?}", view.steps[1]);
}

#[test]
fn an_unwritable_journal_halts_the_run_and_what_was_done_is_written_later() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    to_execution(&mut bench);
    bench.answer(0, 0);
    bench.answer(0, 3); // step.finished can not be written
    assert_eq!(bench.run.state(), RunState::Stopped);
    assert!(bench.run.view(bench.now).now.contains("step.finished could not be written: the disk is full"));
    resume(&mut bench);
    assert!(bench.kinds.iter().any(|k| k == "step.finished"));
    assert_eq!((bench.state("cancel"), bench.executions["cancel"]), (StepState::Verifying, 1));
}

#[test]
fn an_unwritable_start_is_not_executed() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    while !matches!(bench.open.first(), Some(Effect::Append { kind: "step.started", .. })) {
        bench.answer(0, 0);
    }
    bench.answer(0, 3);
    assert!(bench.open.is_empty() && bench.executions.is_empty());
    resume(&mut bench);
    assert_eq!(bench.state("cancel"), StepState::AwaitsConfirmation, "it is prepared anew");
}

#[test]
fn a_decision_leads_where_it_says() {
    for (choice, last, finished) in
        [("b", StepState::Verifying, None), ("c", StepState::Pending, Some(RunState::Failed))]
    {
        let mut bench = at_cancel();
        bench.decide("cancel", "skip", "not needed").unwrap();
        bench.settle();
        bench.decide("terminate", "skip", "not needed").unwrap();
        bench.settle();
        bench.decide("choose", choice, "").unwrap();
        bench.settle();
        assert_eq!((bench.state("last"), bench.finished), (last, finished));
        let work = if choice == "b" { StepState::Skipped } else { StepState::Pending };
        assert_eq!(bench.state("work"), work);
        bench.restart();
        assert_eq!(bench.state("work"), work, "and the records say the same");
    }
}

#[test]
fn a_condition_that_is_false_skips_and_one_that_is_unknown_blocks() {
    for (variant, state) in [(3, StepState::Skipped), (5, StepState::Blocked)] {
        let mut bench = at_cancel();
        bench.decide("cancel", "skip", "not needed").unwrap();
        while !matches!(bench.open.first(), Some(Effect::Evaluate { what: Subject::Condition, .. })) {
            bench.answer(0, 0);
        }
        bench.answer(0, variant);
        bench.settle();
        assert_eq!(bench.state("terminate"), state);
    }
}

#[test]
fn waiting_may_be_cut_short_with_a_reason_and_an_assertion_does_not_wait() {
    let mut bench = at_cancel();
    for step in ["cancel", "terminate"] {
        bench.decide(step, "skip", "not needed").unwrap();
        bench.settle();
    }
    bench.decide("choose", "b", "").unwrap();
    bench.settle();
    assert_eq!(choices(&bench), ["skip"]);
    bench.decide("last", "skip", "good enough").unwrap();
    bench.settle();
    assert_eq!(bench.finished, Some(RunState::Finished));

    let text = PLAYBOOK.replace("type: wait_for", "type: assert");
    let mut bench = Bench::of(plan(&text));
    bench.apply(Input::Begin).unwrap();
    bench.settle();
    for step in ["cancel", "terminate"] {
        bench.decide(step, "skip", "not needed").unwrap();
        bench.settle();
    }
    bench.decide("choose", "b", "").unwrap();
    while !matches!(bench.open.first(), Some(Effect::Evaluate { what: Subject::Verify(0), .. })) {
        bench.answer(0, 0);
    }
    bench.answer(0, 3);
    bench.settle();
    assert_eq!(bench.state("last"), StepState::AwaitsDecision);
}

#[test]
fn what_follows_a_failure_is_as_declared() {
    for (declared, finished, current) in
        [("continue", None, "terminate"), ("abort", Some(RunState::Failed), "cancel"), ("'step:work'", None, "work")]
    {
        let text = PLAYBOOK.replace("  risk: medium", &format!("  risk: medium\n  onFailure: {declared}"));
        let mut bench = Bench::of(plan(&text));
        bench.apply(Input::Begin).unwrap();
        bench.settle();
        bench.confirm("cancel", None).unwrap();
        to_execution(&mut bench);
        bench.answer(0, 3);
        bench.settle();
        assert_eq!((bench.finished, bench.state("cancel")), (finished, StepState::Failed));
        assert_eq!(bench.run.current_step().map(|s| s.id.as_str()), Some(current));
    }
}

#[test]
fn exit_criteria_are_the_last_step() {
    let mut bench = Bench::of(plan(&format!("{PLAYBOOK}exitCriteria: ['signals.lock.blocked == 0']\n")));
    assert_eq!(bench.run.view(bench.now).steps.last().unwrap().id.as_str(), "exit-criteria");
    bench.apply(Input::Begin).unwrap();
    finish_by_hand(&mut bench);
    assert_eq!(bench.finished, Some(RunState::Finished));
    assert_eq!(bench.state("exit-criteria"), StepState::Done);
}

#[test]
fn outputs_are_the_whole_result_or_what_was_selected_and_survive_a_restart() {
    let selected = "run: {adapter: pg, verb: tree}, outputs: [{name: code, selector: result.status}]";
    for (text, expected) in [
        (PLAYBOOK.to_owned(), json!({"status": 503, "share": 0.5, "text": "a·b"})),
        (PLAYBOOK.replace("run: {adapter: pg, verb: tree}", selected), json!({"code": 503})),
    ] {
        let mut bench = Bench::of(plan(&text));
        bench.apply(Input::Begin).unwrap();
        bench.settle();
        assert_eq!(bench.run.outputs()["look"], expected);
        bench.restart();
        assert_eq!(bench.run.outputs()["look"], expected);
    }
}

#[test]
fn an_endless_request_is_not_offered() {
    let mut bench = Bench::new();
    bench.apply(Input::Begin).unwrap();
    while !matches!(bench.open.first(), Some(Effect::Render { step, .. }) if step.as_str() == "cancel") {
        bench.answer(0, 0);
    }
    let Effect::Render { ticket, step } = bench.open.remove(0) else { unreachable!() };
    let mut rendering = bench.rendering(&step);
    rendering.request.by_hand = "x".repeat(9 << 20);
    bench.apply(Input::Rendered { ticket, rendering: Box::new(rendering) }).unwrap();
    bench.settle();
    assert!(line(&bench, "cancel").contains("bytes, at most"), "{}", line(&bench, "cancel"));
}

#[test]
fn another_text_of_the_playbook_does_not_continue_a_run() {
    let mut bench = at_cancel();
    bench.settle();
    let past: Vec<Past<'_>> =
        bench.records.iter().map(|(seq, at, kind, body)| Past { seq: *seq, at: *at, kind, body }).collect();
    let other = crate::playbook::plan::Plan::new(
        serde_saphyr::from_str(PLAYBOOK).unwrap(),
        crate::domain::id::Digest::from_bytes(&[8; 32]),
    );
    let error = Run::replay(std::sync::Arc::new(other), &past).unwrap_err();
    assert!(matches!(error, ReplayError::OtherPlaybook { .. }), "{error}");
    assert_eq!(Run::replay(std::sync::Arc::clone(bench.run.plan()), &past[1..]).unwrap_err(), ReplayError::NoStart);
    assert_eq!(Run::playbook_of(past[0].body).unwrap().0, "bench");
}

#[test]
fn before_the_beginning_and_after_the_end_people_are_told_so() {
    let mut bench = Bench::new();
    assert!(stop(&mut bench, false).unwrap_err().0.contains("has not begun"));
    assert!(bench.confirm("look", None).is_err());
    bench.apply(Input::Begin).unwrap();
    assert!(bench.apply(Input::Begin).unwrap_err().0.contains("has begun already"));
    finish_by_hand(&mut bench);
    assert!(stop(&mut bench, false).unwrap_err().0.contains("has ended"));
    assert!(bench.apply(Input::Resume { by: "mara".into() }).unwrap_err().0.contains("has ended"));
    assert!(bench.apply(Input::Recheck { step: StepId::from("last") }).is_err());
    assert_eq!(bench.apply(Input::Tick), Ok(()));
}

#[test]
fn what_speaks_against_a_playbook_keeps_it_from_starting_until_it_is_gone_or_somebody_answers_for_it() {
    let text =
        format!("{PLAYBOOK}contraindications: [{{when: 'signals.lock.blocked > 5', text: a lock holds the jobs}}]\n");
    for (said, words) in [(0, "should not be started: e (lock.blocked = 1)"), (5, "it is not known whether this holds")]
    {
        let mut bench = Bench::of(plan(&text));
        bench.apply(Input::Begin).unwrap();
        bench.answer(0, 0);
        bench.answer(0, said);
        assert_ne!(bench.state("look"), StepState::Blocked, "the record is first");
        bench.answer(0, 0); // step.refused is durable
        assert_eq!((bench.run.state(), bench.state("look")), (RunState::Waiting, StepState::Blocked));
        assert!(line(&bench, "look").contains(words), "{}", line(&bench, "look"));
        assert_eq!(choices(&bench), ["start-anyway", "stop"]);
        let refused = bench.records.last().unwrap().3.clone();
        assert!(refused["why"].as_str().unwrap().contains(words), "{refused}");
        assert_ne!(refused["contraindications"][0]["holds"], "false", "{refused}");
        // It stays as it is: that is no news.
        bench.wait(2000);
        bench.apply(Input::Tick).unwrap();
        bench.answer(0, said);
        assert_eq!(choices(&bench), ["start-anyway", "stop"]);
        assert_eq!(bench.kinds, ["run.started", "step.refused"]);
        // A refusal on disk answers for nothing: the next engine asks again.
        let mut next = Bench::of(plan(&text));
        next.apply(Input::Begin).unwrap();
        next.answer(0, 0);
        next.answer(0, said);
        next.answer(0, 0);
        next.restart();
        resume(&mut next);
        assert_eq!((next.state("look"), next.state("cancel")), (StepState::Blocked, StepState::Pending));
        // It goes away by itself.
        let mut gone = Bench::of(plan(&text));
        gone.apply(Input::Begin).unwrap();
        gone.answer(0, 0);
        gone.answer(0, said);
        gone.answer(0, 0);
        gone.wait(2000);
        gone.apply(Input::Tick).unwrap();
        gone.answer(0, 3);
        gone.settle();
        assert_eq!(gone.state("cancel"), StepState::AwaitsConfirmation);
        // Or a person answers for it, in the record.
        assert!(bench.decide("look", "start-anyway", "").unwrap_err().0.contains("needs a reason"));
        bench.decide("look", "start-anyway", "checked by hand").unwrap();
        bench.settle();
        assert_eq!(bench.state("cancel"), StepState::AwaitsConfirmation);
        assert!(bench.records.iter().any(|r| r.2 == "decision.made" && r.3["reason"] == "checked by hand"));
        bench.restart();
        resume(&mut bench);
        assert_eq!(bench.state("cancel"), StepState::AwaitsConfirmation, "it is not asked again");
    }
}

#[test]
fn what_was_observed_before_it_was_found_out_does_not_count_after_a_stop_either() {
    let mut bench = at_cancel();
    bench.confirm("cancel", None).unwrap();
    to_execution(&mut bench);
    bench.answer(0, 5);
    bench.answer(0, 0);
    assert!(matches!(bench.open.as_slice(), [Effect::Reconcile { .. }]), "{:?}", bench.open);
    bench.wait(3000);
    stop(&mut bench, false).unwrap();
    bench.settle();
    assert_eq!(bench.run.state(), RunState::Stopped);
    resume(&mut bench);
    assert_eq!(bench.state("cancel"), StepState::Verifying);
    let view = bench.run.view(bench.now);
    assert_ne!(view.steps[1].verify[0].holds, Some(true), "{:?}", view.steps[1].verify[0]);
    // The bench counts the time of the row by itself.
    bench.wait(5100);
    bench.apply(Input::Tick).unwrap();
    bench.settle();
    assert_eq!(bench.state("cancel"), StepState::Verifying);
    hold(&mut bench);
    assert_eq!(bench.state("cancel"), StepState::Done);
}

/// Two seconds later the step that waits for its confirmation is rendered again, as told.
fn render_again(bench: &mut Bench, change: impl FnOnce(&mut Rendering)) {
    bench.wait(2000);
    bench.apply(Input::Tick).unwrap();
    let Effect::Render { ticket, step } = bench.open.remove(0) else { panic!("{:?}", bench.open) };
    let mut rendering = bench.rendering(&step);
    change(&mut rendering);
    bench.apply(Input::Rendered { ticket, rendering: Box::new(rendering) }).unwrap();
}

#[test]
fn what_was_observed_anew_renews_at_once_what_waits_and_only_once_at_a_time() {
    let mut bench = at_cancel();
    bench.apply(Input::Seen).unwrap();
    bench.apply(Input::Seen).unwrap();
    assert!(matches!(bench.open.as_slice(), [Effect::Render { .. }]), "{:?}", bench.open);
}

#[test]
fn what_waits_for_a_confirmation_is_rendered_again_and_stays_while_it_means_the_same() {
    let mut bench = at_cancel();
    let (generation, records) = (bench.run.generation(), bench.records.len());
    render_again(&mut bench, |r| {
        // Only the moment of rendering shows.
        r.request.hurts = "another second".into();
        r.digest = Digest::from_bytes(&[98; 32]);
    });
    bench.settle();
    assert_eq!((bench.run.generation(), bench.records.len()), (generation, records));
    assert_eq!(bench.state("cancel"), StepState::AwaitsConfirmation);
    bench.confirm("cancel", None).unwrap();
}

#[test]
fn a_target_that_changes_before_the_confirmation_voids_what_was_shown() {
    let mut bench = at_cancel();
    let (step, shown, digest) =
        (StepId::from("cancel"), bench.run.generation(), bench.rendering(&"cancel".into()).digest);
    render_again(&mut bench, |r| {
        r.request.target.object = "another backend".into();
        r.digest = Digest::from_bytes(&[97; 32]);
    });
    let late = |bench: &mut Bench, generation: u64| {
        let confirm = Input::Confirm {
            step: step.clone(),
            generation,
            digest: digest.clone(),
            typed: None,
            login: None,
            by: "mara".into(),
        };
        bench.apply(confirm).unwrap_err().0
    };
    assert!(late(&mut bench, shown).contains("does not wait for a confirmation"), "while it is being prepared");
    bench.settle();
    assert_eq!(bench.state("cancel"), StepState::AwaitsConfirmation);
    assert_eq!(
        bench.kinds.iter().filter(|k| *k == "step.intended").count(),
        2,
        "the new plan has an intent of its own"
    );
    assert!(bench.run.generation() > shown);
    assert!(late(&mut bench, shown).contains("the plan has changed"));
    let now = bench.run.generation();
    assert!(late(&mut bench, now).contains("nothing was sent"), "the old digest is void also under the new generation");
    assert!(bench.executions.is_empty());
}

#[test]
fn a_target_that_is_gone_before_the_confirmation_blocks_the_step() {
    let mut bench = at_cancel();
    let shown = bench.run.generation();
    bench.wait(2000);
    bench.apply(Input::Tick).unwrap();
    let Effect::Render { ticket, .. } = bench.open.remove(0) else { panic!("{:?}", bench.open) };
    bench.apply(Input::RenderFailed { ticket, why: "there is no backend 4711".into() }).unwrap();
    bench.answer(0, 0);
    assert_eq!(bench.kinds.last().unwrap(), "step.refused", "the refusal is on disk");
    assert_eq!(bench.state("cancel"), StepState::Blocked);
    assert!(line(&bench, "cancel").contains("it changed while it waited"), "{}", line(&bench, "cancel"));
    assert!(bench.run.generation() > shown);
    assert!(bench.confirm("cancel", None).is_err());
}

#[test]
fn a_risk_that_policy_raises_before_the_confirmation_is_shown_anew() {
    let mut bench = at_cancel();
    let shown = bench.run.generation();
    render_again(&mut bench, |r| r.assessment.risk = crate::domain::risk::Risk::High);
    bench.settle();
    assert!(bench.run.generation() > shown);
    assert_eq!(bench.state("cancel"), StepState::AwaitsConfirmation);
}
