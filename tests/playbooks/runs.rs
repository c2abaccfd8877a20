//! Each playbook to its end.

use crate::cases::{CASES, case};
use crate::driver::{Stage, library};
use quarterdeck::domain::run::{RunState, StepState};
use std::collections::BTreeSet;
use std::time::Duration;

async fn to_the_end(name: &str) {
    let case = case(name);
    let stage = Stage::new(case, "");
    stage.until(case.after).await;
    stage.begin(case).await;
    let run = tokio::time::timeout(Duration::from_mins(3), stage.play(case, |_| false)).await;
    let run = run.unwrap_or_else(|_| {
        let snapshot = stage.client.snapshots.borrow().clone();
        let run = snapshot.runs.first().unwrap();
        let step = &run.steps[run.current];
        panic!("{name} stands at {} ({:?}): {} {:?} {:?}", step.id, step.state, run.now, step.outcome, step.choices);
    });
    let told: Vec<String> = run.steps.iter().map(|s| format!("{} {}: {:?}", s.id, s.state.word(), s.outcome)).collect();
    assert_eq!(run.state, RunState::Finished, "{name}: {}\n{}", run.now, told.join("\n"));
    for id in case.done {
        let step = run.steps.iter().find(|s| s.id.as_str() == *id).unwrap_or_else(|| panic!("{name} has no step {id}"));
        assert_eq!(step.state, StepState::Done, "{name}: {id}\n{}", told.join("\n"));
    }
    stage.running.end().await;
}

macro_rules! plays {
    ($($name:ident $case:literal;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                to_the_end($case).await;
            }
        )+

        #[test]
        fn every_shipped_playbook_is_played_and_every_case_has_a_test() {
            let tested = BTreeSet::from([$($case),+]);
            assert_eq!(tested, CASES.iter().map(|(name, _)| *name).collect());
            let played: BTreeSet<String> = CASES.iter().map(|(_, case)| case.playbook.to_owned()).collect();
            let shipped = library().all().map(|e| e.playbook().id.to_string()).collect();
            assert_eq!(played, shipped);
        }
    };
}

plays! {
    a_release_is_taken_back "release-rollback";
    a_lock_is_released "schema-lock";
    planning_gets_the_workers "mrp-degradation";
    a_saturated_database_breathes "db-saturation";
    a_lagging_replica_is_built_anew "replication-lag";
    cloudnativepg_fails_over "pg-failover-cnpg";
    patroni_fails_over "pg-failover-patroni";
    plain_postgresql_fails_over "pg-failover-plain";
    spoiled_data_goes_back "pitr";
    a_tenant_moves_to_the_other_region "regional-dr";
    an_environment_is_built_anew "environment-rebuild";
    a_backlog_is_drained "queue-backlog";
    a_full_redis_is_emptied "redis-pressure";
    a_redis_that_hangs_is_restarted "redis-pressure-restart";
    a_noisy_tenant_is_bounded "noisy-tenant";
    a_saturated_ingress_is_relieved "ingress-saturation";
    a_wrong_route_is_mended "ingress-misroute";
    a_certificate_is_renewed "certificate-renewal";
    the_page_goes_up_and_down "maintenance-mode";
    drift_is_reconciled "drift-reconcile";
    a_full_volume_gets_room "volume-full";
    a_node_is_taken_out "node-disruption";
    a_partner_is_isolated "integration-isolation";
    leaking_workers_go_back "worker-regression";
    backups_work_again "backup-failure";
    people_get_in_again "access-outage";
    a_stolen_key_is_revoked "security-anomaly";
    a_peak_is_scaled_for "peak-prescale";
    an_autoscaler_is_capped "autoscale-guard";
    a_release_passes_the_gate "release-readiness";
    business_goes_on_by_hand "business-continuity";
}
