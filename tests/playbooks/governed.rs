//! No shipped playbook can go against policy, and every way through each of them ends somewhere safe.

use crate::driver::library;
use quarterdeck::act;
use quarterdeck::domain::estate::{Environment, Tenancy};
use quarterdeck::domain::incident::Severity;
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::risk::{Confirmation, Reversible, Risk};
use quarterdeck::playbook::schema::{Class, Next, OnFailure, Playbook, Step, StepType};
use quarterdeck::policy::assess::{Declared, IncidentFacts, PeopleFacts, StepFacts, assess};
use quarterdeck::policy::rules::Policy;
use std::collections::BTreeSet;

/// The shipped playbooks, with the steps that stand for their rollbacks and for what is kept before and after a step.
fn playbooks() -> Vec<Playbook> {
    library().all().map(|e| e.playbook().clone()).collect()
}

/// The same with what is gone through in order only.
fn written() -> Vec<Playbook> {
    let mut all = playbooks();
    for playbook in &mut all {
        playbook.steps.retain(|step| !step.id.as_str().contains('.'));
    }
    all
}

/// What policy makes of a step where it is judged most strictly: in production, for tenants that share servers.
fn judged(step: &Step) -> Option<quarterdeck::domain::risk::Assessment> {
    let call = step.run.as_ref()?;
    let name = call.name();
    let verb = act::catalog().into_iter().find(|spec| spec.name == name).unwrap_or_else(|| panic!("{name}"));
    if let Some(declared) = step.risk {
        assert!(declared >= verb.risk_floor, "{}: {declared} undercuts {name}", step.id);
    }
    let declared = Declared {
        risk: step.risk,
        blast_radius: step.blast_radius,
        reversible: step.reversible,
        quorum: step.approval.as_ref().map_or(0, |a| a.quorum),
        incident: step.requires.incident_declared,
        ..Declared::default()
    };
    let incident = IncidentFacts { severity: Severity::Sev1, roles: vec![] };
    let tenants = ["t001".into(), "t002".into()];
    let policy = Policy::shipped();
    Some(assess(&StepFacts {
        now: "2026-11-21T03:00:00Z".parse().unwrap(),
        verb,
        declared: &declared,
        mode: Mode::Drill,
        environment: Environment::Production,
        tenancy: Some(Tenancy::MultiTenant),
        tenants: &tenants,
        count: 1,
        object: "something",
        incident: Some(&incident),
        glass: None,
        policy: &policy,
        people: &PeopleFacts::default(),
        freeze: None,
        provider: false,
    }))
}

#[test]
fn what_policy_calls_high_has_everything_that_policy_asks_for() {
    let (mut high, mut rollbacks, mut high_rollbacks) = (0, 0, 0);
    for playbook in playbooks() {
        for step in playbook.steps.iter().filter(|s| s.class() == Class::Acts) {
            let at = format!("{} {}", playbook.id, step.id);
            let taken_back = step.id.as_str().strip_suffix(".rollback");
            let of = taken_back.map(|of| playbook.steps.iter().find(|s| s.id.as_str() == of).unwrap());
            rollbacks += usize::from(of.is_some());
            let Some(assessment) = judged(step) else { panic!("{at} has no verb") };
            assert!(assessment.denials.is_empty(), "{at}: {:?}", assessment.denials);
            assert!(assessment.confirmation.is_some(), "{at} is not confirmed");
            if assessment.risk < Risk::High {
                continue;
            }
            assert!(!step.verify.is_empty(), "{at} is not verified");
            match of {
                None => {
                    high += 1;
                    assert!(step.approval.as_ref().is_some_and(|a| a.quorum >= 1), "{at} is not approved");
                    let way = step.rollback.is_some() || step.reversible == Some(Reversible::No);
                    assert!(way, "{at} says not how it is taken back");
                    assert!(step.comms.is_some(), "{at} tells nobody");
                }
                // What takes a step back is told of and declared with it.
                Some(of) => {
                    high_rollbacks += 1;
                    assert!(of.comms.is_some(), "{at}: {} tells nobody", of.id);
                    assert!(of.requires.incident_declared && step.requires == of.requires, "{at}");
                }
            }
            assert!(step.requires.incident_declared, "{at} runs without an incident");
            assert!(assessment.approvals >= 1, "{at}: policy asks for nobody");
            assert!(matches!(assessment.confirmation, Some(Confirmation::Typed { .. })), "{at} is not typed");
            assert!(!matches!(step.on_failure, OnFailure::Continue | OnFailure::Step(_)), "{at} goes on when it fails");
            assert!(step.retry.is_none(), "{at} would be tried again by itself");
        }
    }
    assert!(high >= 20, "{high} high steps");
    assert!(rollbacks >= 10, "{rollbacks} rollbacks, {high_rollbacks} of them high");
}

#[test]
fn what_is_kept_beside_a_step_only_looks() {
    let mut kept = 0;
    for playbook in playbooks() {
        for step in playbook.steps.iter().filter(|s| s.kind == StepType::Evidence) {
            let name = step.run.as_ref().unwrap().name();
            let verb = act::catalog().into_iter().find(|spec| spec.name == name).unwrap_or_else(|| panic!("{name}"));
            assert!(verb.read_only && step.class() == Class::Looks, "{} {}: {name}", playbook.id, step.id);
            kept += usize::from(step.id.as_str().contains('.'));
        }
    }
    assert!(kept > 0, "nothing is kept beside any step");
}

#[test]
fn verification_has_a_time_and_what_uses_signals_an_age() {
    for playbook in playbooks() {
        for step in &playbook.steps {
            let at = format!("{} {}", playbook.id, step.id);
            for precondition in step.preconditions.iter().filter(|p| p.check.contains("signals.")) {
                assert!(precondition.max_age.is_some(), "{at}: {} may be old", precondition.check);
            }
            for verify in &step.verify {
                assert!(verify.within.is_some() || step.kind == StepType::Assert, "{at}: {}", verify.check);
            }
            assert!(step.why.len() >= 15, "{at}: {}", step.why);
        }
        assert!(!playbook.triggers.findings.is_empty(), "{} is offered nowhere", playbook.id);
        assert!(playbook.last_reviewed.is_some() && playbook.objectives.rto.is_some(), "{}", playbook.id);
    }
}

#[test]
fn findings_that_offer_them_exist() {
    let built_in = quarterdeck::correlate::rules::Rules::built_in();
    let rules: BTreeSet<&str> = built_in.iter().map(|rule| rule.name.as_str()).collect();
    for playbook in playbooks() {
        for finding in &playbook.triggers.findings {
            assert!(rules.contains(finding.as_str()) || finding == "source-unknown", "{}: {finding}", playbook.id);
        }
    }
}

/// Where a step may lead, and whether it may end there.
fn leads(steps: &[Step], at: usize) -> (Vec<usize>, bool) {
    let step = &steps[at];
    let place = |id: &str| steps.iter().position(|s| s.id.as_str() == id).unwrap_or_else(|| panic!("no step {id}"));
    let (mut to, mut ends) = (Vec::new(), false);
    let mut follow = |next: &Next| match next {
        Next::Continue => to.push(at + 1),
        Next::Step(id) => to.push(place(id.as_str())),
        Next::Abort => ends = true,
    };
    match step.kind {
        StepType::Decision => step.choices.iter().for_each(|c| follow(&c.then)),
        StepType::Branch => {
            step.branches.iter().for_each(|w| follow(&w.then));
            follow(step.otherwise.as_ref().unwrap_or(&Next::Continue));
        }
        _ => follow(&Next::Continue),
    }
    match &step.on_failure {
        OnFailure::Continue => to.push(at + 1),
        OnFailure::Step(id) => to.push(place(id.as_str())),
        // A person decides; the run ends as failed; what was done is taken back. Each is an end that is safe.
        OnFailure::Ask | OnFailure::Abort => {}
        OnFailure::Rollback => {
            assert!(steps[..=at].iter().any(|s| s.rollback.is_some()), "{}: nothing can be taken back", step.id);
        }
    }
    (to, ends)
}

#[test]
fn every_way_through_every_playbook_ends() {
    for playbook in written() {
        let steps = &playbook.steps;
        let mut reached = BTreeSet::new();
        let mut next = vec![0];
        while let Some(at) = next.pop() {
            if at >= steps.len() || !reached.insert(at) {
                continue;
            }
            let (to, ends) = leads(steps, at);
            assert!(ends || !to.is_empty(), "{} {} leads nowhere", playbook.id, steps[at].id);
            // Only forward: no way can go on for ever.
            assert!(to.iter().all(|to| *to > at), "{} {} leads back", playbook.id, steps[at].id);
            next.extend(to);
        }
        assert_eq!(reached.len(), steps.len(), "{}: a step can not be reached", playbook.id);
    }
}
