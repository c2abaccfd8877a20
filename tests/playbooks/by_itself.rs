//! Automation within its bounds, through the engine: a low-risk step runs without a key only where playbook and policy
//! both say so, and only once the finding that it is for has stood as long as the playbook asks.

use crate::cases::{Case, NONE};
use crate::driver::Stage;
use jiff::SignedDuration;
use quarterdeck::domain::run::{RunState, StepState};
use quarterdeck::engine::api::{Command, Reply, Snapshot};
use quarterdeck::engine::roster::PolicyFile;
use quarterdeck::playbook::library::Library;
use std::time::Duration;

const LOCKED: Case = Case { playbook: "alone", faults: "{fault: lock-chain, tenant: t017}", ..NONE };

/// How long the finding has to stand.
const FOR: SignedDuration = SignedDuration::from_mins(4);

fn book(findings: &str, verb: &str, risk: &str) -> (String, String) {
    let text = format!(
        "schemaVersion: 1\nid: alone\nname: A\nversion: 1\nowner: tests\ndescription: One low step.\ntriggers: {{findings: \
         [{findings}], for: 4m, autoRunMaxRisk: low}}\nparameters: {{tenant: {{type: tenant, required: true}}}}\nsteps:\n- \
         {{id: act, name: A, why: To see when it runs., type: action, risk: {risk}, run: {{adapter: odoo, verb: {verb}, args: \
         {{tenant: '{{{{ tenant.id }}}}'}}}}}}\n"
    );
    ("alone.yaml".to_owned(), text)
}

/// Whether the step runs by itself once its finding has stood long enough; one that is shown before that waits for its key.
async fn runs_alone(book: (String, String), low_risk: bool) -> bool {
    let signals = quarterdeck::correlate::signals::names();
    let (library, problems) = Library::load(&[book], &quarterdeck::act::catalog(), &signals);
    assert!(problems.is_empty(), "{problems:?}");
    let policy =
        format!("[automation]\nlow_risk = {low_risk}\n[approvals.low]\nquorum = 0\n[approvals.medium]\nquorum = 0\n");
    let stage = Stage::governed(&LOCKED, "", library, PolicyFile::of("policy.toml", &policy, None).unwrap());
    let mut snapshots = stage.client.snapshots.clone();
    let raised = |s: &Snapshot| s.findings.iter().find(|f| f.rule == "lock-chain").map(|finding| finding.since);
    let seen = snapshots.wait_for(|s| raised(s).is_some()).await.unwrap().clone();
    let since = raised(&seen).unwrap();
    let stood = |s: &Snapshot| s.at.duration_since(since);
    stage.drill.set_speed(60.0);
    let begin = async || {
        let params = [("tenant".to_owned(), "t017".to_owned())].into();
        let begin = Command::StartRun { playbook: "alone".into(), params, incident: None };
        let reply = stage.client.send(begin).await;
        assert!(matches!(reply, Reply::Accepted { .. }), "{reply:?}");
    };
    let alone = |s: &Snapshot| s.runs[0].steps[0].by_itself_at.is_some() || s.runs[0].steps[0].started_at.is_some();
    begin().await;
    snapshots.wait_for(|s| stood(s) >= FOR || (!s.runs.is_empty() && alone(s))).await.unwrap();
    let early = snapshots.borrow().clone();
    assert!(stood(&early) >= FOR, "it began to count after {:#}", stood(&early));
    begin().await;
    let over = |s: &Snapshot| s.runs.len() == 2 && (s.runs[0].state == RunState::Finished || stood(s) > FOR * 2);
    let last = snapshots.wait_for(|s| over(s)).await.unwrap().clone();
    let first = &last.runs[1].steps[0];
    assert_eq!(first.state, StepState::AwaitsConfirmation, "{}", last.runs[1].now);
    let run = &last.runs[0];
    assert!(run.state == RunState::Finished || run.steps[0].state == StepState::AwaitsConfirmation, "{}", run.now);
    let alone = run.state == RunState::Finished;
    stage.running.end().await;
    alone
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_low_step_runs_by_itself_once_its_finding_has_stood_and_both_say_so() {
    let restart = |findings: &str| book(findings, "restart_workers", "low");
    let limit = Duration::from_mins(2);
    for (what, book, low_risk, expected) in [
        ("as it is meant", restart("lock-chain"), true, true),
        ("policy says no", restart("lock-chain"), false, false),
        ("another finding", restart("queue-zombies"), true, false),
        ("medium risk", book("lock-chain", "restart_workers", "medium"), true, false),
    ] {
        let alone = tokio::time::timeout(limit, runs_alone(book, low_risk)).await;
        assert_eq!(alone.unwrap_or_else(|_| panic!("{what}: it comes to nothing")), expected, "{what}");
    }
}
