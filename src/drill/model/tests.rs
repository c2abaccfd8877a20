use super::build::Size;
use super::fault::{Fault, Root};
use super::*;
use crate::domain::facts::{Facts, OdooFacts, PostgresFacts, TraefikFacts};
use proptest::prelude::*;

fn start() -> Timestamp {
    "2026-11-20T02:00:00Z".parse().unwrap()
}

fn sim(seed: u64) -> Simulation {
    Simulation::new(seed, Size { tenants: 8, pods_per_tenant: 10, ..Size::default() }, start())
}

fn lock(root: Root) -> Fault {
    let (table, application) = ("sale_order".into(), "odoo-deploy".into());
    Fault::LockChain { tenant: "t017".into(), table, application, root }
}

fn postgres(sim: &Simulation) -> PostgresFacts {
    let Ok(Facts::Postgres(facts)) = sim.look(&"pg-a".into()) else { panic!() };
    facts
}

fn odoo(sim: &Simulation, tenant: &str) -> OdooFacts {
    let Ok(Facts::Odoo(facts)) = sim.look(&format!("odoo/{tenant}").as_str().into()) else { panic!() };
    facts
}

fn traefik(sim: &Simulation, tenant: &str) -> TraefikFacts {
    let Ok(Facts::Traefik(facts)) = sim.look(&sim.tenant(&tenant.into()).unwrap().edge) else { panic!() };
    facts
}

fn blocked(sim: &Simulation) -> usize {
    postgres(sim).sessions.iter().filter(|s| !s.blocked_by.is_empty()).count()
}

fn depth(sim: &Simulation, tenant: &str) -> u32 {
    odoo(sim, tenant).channels.unwrap().iter().map(crate::domain::facts::odoo::Channel::depth).sum()
}

fn zombies(sim: &Simulation, tenant: &str) -> u32 {
    odoo(sim, tenant).channels.unwrap().iter().map(|c| c.zombies).sum()
}

fn p95(sim: &Simulation) -> f64 {
    sim.tenant(&"t017".into()).unwrap().traffic.p95_s
}

/// Everything that every source says, as text.
fn everything(sim: &Simulation) -> String {
    sim.sources().iter().map(|s| format!("{:?}", sim.look(&s.id))).collect::<Vec<_>>().join("\n")
}

fn terminate(sim: &mut Simulation) {
    let tick = sim.tick;
    sim.tenant_mut(&"t017".into()).unwrap().lock.as_mut().unwrap().terminate(tick);
}

#[test]
fn a_lock_grows_slows_fails_and_backs_up_and_ending_its_root_drains_it_within_two_minutes() {
    let mut sim = sim(17);
    let calm = p95(&sim);
    sim.apply(&lock(Root::IdleInTransaction));
    sim.step(60);
    let after_a_minute = blocked(&sim);
    assert!((20..60).contains(&after_a_minute), "{after_a_minute}");
    sim.step(240);
    let facts = postgres(&sim);
    assert!(blocked(&sim) > after_a_minute && p95(&sim) > calm * 10.0);
    assert!(sim.tenant(&"t017".into()).unwrap().traffic.share_5xx > 0.15);
    assert!(depth(&sim, "t017") > 30 && f64::from(facts.connections) > 0.8 * f64::from(facts.max_connections));
    assert!(facts.sessions.iter().any(|s| s.state == "idle in transaction" && s.blocked_by.is_empty()));
    terminate(&mut sim);
    sim.step(5);
    assert_eq!(blocked(&sim), 0);
    assert!(p95(&sim) > 2.0, "people still feel it");
    sim.step(115);
    assert!(p95(&sim) < 1.0 && depth(&sim, "t017") < 5 && sim.tenant(&"t017".into()).unwrap().lock.is_none());
}

#[test]
fn restarting_workers_does_not_help_while_the_lock_is_held() {
    let mut sim = sim(17);
    sim.apply(&lock(Root::IdleInTransaction));
    sim.step(240);
    let tick = sim.tick;
    sim.tenant_mut(&"t017".into()).unwrap().restart_workers(tick);
    sim.step(180);
    assert!(blocked(&sim) > 40 && depth(&sim, "t017") > 30);
    let lost = sim.tenant(&"t017".into()).unwrap().jobs.zombies("", sim.tick);
    assert!(lost > 0, "the jobs in hand were lost with their workers");
}

#[test]
fn hung_workers_need_a_restart_and_their_jobs_a_requeue() {
    let mut sim = sim(3);
    sim.apply(&Fault::HungWorkers { tenant: "t003".into() });
    sim.step(300);
    let (waiting, hung) = (depth(&sim, "t003"), zombies(&sim, "t003"));
    assert!(waiting > 80 && hung == 12, "{waiting} {hung}");
    let tick = sim.tick;
    let tenant = sim.tenant_mut(&"t003".into()).unwrap();
    assert_eq!(tenant.jobs.requeue("", tick), 12);
    sim.step(60);
    assert!(depth(&sim, "t003") > waiting, "a requeue alone moves nothing: the workers still hang");
    let tick = sim.tick;
    sim.tenant_mut(&"t003".into()).unwrap().restart_workers(tick);
    sim.step(180);
    assert_eq!((depth(&sim, "t003") < 5, zombies(&sim, "t003")), (true, 0));
}

#[test]
fn a_restart_alone_drains_the_queue_and_leaves_the_zombies() {
    let mut sim = sim(3);
    sim.apply(&Fault::HungWorkers { tenant: "t003".into() });
    sim.step(300);
    let tick = sim.tick;
    sim.tenant_mut(&"t003".into()).unwrap().restart_workers(tick);
    sim.step(240);
    assert_eq!((depth(&sim, "t003") < 5, zombies(&sim, "t003")), (true, 12));
    let tick = sim.tick;
    sim.tenant_mut(&"t003".into()).unwrap().jobs.requeue("", tick);
    sim.step(30);
    assert_eq!((depth(&sim, "t003") < 5, zombies(&sim, "t003")), (true, 0));
}

#[test]
fn the_maintenance_page_takes_people_away_and_stops_the_growth() {
    let mut sim = sim(17);
    sim.apply(&lock(Root::IdleInTransaction));
    sim.step(30);
    let web = |sim: &Simulation| sim.tenant(&"t017".into()).unwrap().lock.as_ref().unwrap().waiting(locks::Kind::Web);
    sim.tenant_mut(&"t017".into()).unwrap().maintenance = true;
    let before = web(&sim);
    sim.step(120);
    assert_eq!(web(&sim), before);
    let facts = traefik(&sim, "t017");
    assert_eq!(facts.measures, ["quarterdeck-maintenance-t017@file"]);
    let of = |name: &str| facts.routers.iter().find(|r| r.name == name).unwrap();
    assert_eq!((of("t017@file").requests_per_s, of("t017@file").share_5xx), (Some(0.0), None));
    assert_eq!(of("quarterdeck-maintenance-t017@file").share_5xx, Some(1.0));
}

#[test]
fn a_release_that_fails_every_request_fails_no_more_than_all() {
    let mut sim = sim(0);
    sim.apply(&Fault::BrokenRelease { tenant: "t017".into(), share: 1.0 });
    sim.step(300);
    let share = sim.tenant(&"t017".into()).unwrap().traffic.share_5xx;
    assert!((0.99..=1.0).contains(&share), "{share}");
}

#[test]
fn an_estate_of_a_thousand_tenants_is_whole() {
    let sim = Simulation::new(1, Size { tenants: 1000, pods_per_tenant: 10, ..Size::default() }, start());
    assert_eq!((sim.estate().tenants.len(), sim.sources().len()), (1000, 1000 + 18));
    assert!(sim.estate().tenants.windows(2).all(|t| t[0].id < t[1].id));
    for name in ["t003", "t017", "t044", "t051", "t090"] {
        assert!(sim.estate().tenant(&name.into()).is_some());
    }
    let Ok(Facts::Kubernetes(facts)) = sim.look(&"k8s-1".into()) else { panic!() };
    assert_eq!(
        (facts.pods.as_ref().unwrap().total, facts.workloads.len()),
        (10_006, 2002),
        "and the pods of two ingresses"
    );
    assert!(sim.sources().iter().all(|s| sim.look(&s.id).is_ok()));
}

#[test]
fn a_silent_source_answers_nothing_and_comes_back() {
    let mut sim = sim(1);
    sim.apply(&Fault::TelemetryGap { source: "pg-b-r".into(), seconds: 20 });
    sim.step(19);
    assert!(sim.look(&"pg-b-r".into()).unwrap_err().message.contains("did not answer"));
    sim.step(1);
    assert!(sim.look(&"pg-b-r".into()).is_ok());
    assert!(sim.look(&"pg-z".into()).is_err());
}

fn faults() -> impl Strategy<Value = Fault> {
    let tenant = prop::sample::select(vec!["t001", "t003", "t017", "t044"]).prop_map(crate::domain::id::TenantId::from);
    prop_oneof![
        tenant.clone().prop_map(|tenant| Fault::HungWorkers { tenant }),
        Just(lock(Root::IdleInTransaction)),
        Just(lock(Root::Active)),
        (tenant.clone(), 0.0..50.0).prop_map(|(tenant, factor)| Fault::Demand { tenant, factor }),
        (tenant.clone(), 0.0..=1.0).prop_map(|(tenant, speed)| Fault::SlowWorkers { tenant, speed }),
        (tenant.clone(), 0.0..=1.0).prop_map(|(tenant, share)| Fault::BrokenRelease { tenant, share }),
        (tenant.clone(), 0..20_u32).prop_map(|(tenant, pods)| Fault::CrashLoop { tenant, pods }),
        tenant.prop_map(|tenant| Fault::Deploy { tenant, tag: "r118".into(), ago_s: 0 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn equal_seeds_and_actions_give_equal_estates(
        seed in any::<u64>(),
        actions in prop::collection::vec((1..120_u32, faults()), 1..5),
        cut in 1..40_u32,
    ) {
        let (mut whole, mut pieces) = (sim(seed), sim(seed));
        for (seconds, fault) in &actions {
            whole.step(*seconds);
            whole.apply(fault);
            let mut left = *seconds;
            while left > 0 {
                let part = left.min(cut);
                pieces.step(part);
                left -= part;
            }
            pieces.apply(fault);
        }
        prop_assert_eq!(everything(&whole), everything(&pieces));
        prop_assert_ne!(everything(&whole), everything(&sim(seed.wrapping_add(1))));
    }

    #[test]
    fn nothing_goes_below_zero_or_is_not_a_number(
        seed in any::<u64>(),
        actions in prop::collection::vec((1..300_u32, faults()), 1..6),
    ) {
        let mut sim = sim(seed);
        for (seconds, fault) in &actions {
            sim.apply(fault);
            sim.step(*seconds);
            for tenant in &sim.tenants {
                let t = &tenant.traffic;
                let values = [t.requests, t.p50_s, t.p95_s, t.p99_s, t.share_5xx, t.share_4xx, tenant.cron_late_s, tenant.saturation()];
                prop_assert!(values.iter().all(|v| v.is_finite() && *v >= 0.0), "{:?}", values);
                prop_assert!(t.share_5xx <= 1.0 && t.share_4xx <= 1.0 && tenant.saturation() <= 1.0);
                for workload in [&tenant.web, &tenant.workers] {
                    prop_assert!(workload.ready(sim.tick) <= workload.desired);
                }
            }
            for instance in sim.instances.values() {
                prop_assert!(instance.lag_s.is_finite() && instance.lag_s >= 0.0);
                prop_assert!(instance.connections <= instance.max_connections);
            }
            for redis in sim.redis.values() {
                prop_assert!(redis.used_bytes <= redis.max_bytes && redis.ops.is_finite());
            }
            prop_assert!(!everything(&sim).contains("NaN"));
        }
    }

    #[test]
    fn ending_the_root_always_drains(seed in any::<u64>(), held_s in 10..1200_u32) {
        let mut sim = sim(seed);
        sim.apply(&lock(Root::IdleInTransaction));
        sim.step(held_s);
        terminate(&mut sim);
        sim.step(420);
        prop_assert_eq!(blocked(&sim), 0);
        prop_assert!(p95(&sim) < 1.0 && depth(&sim, "t017") < 10, "p95 {} depth {}", p95(&sim), depth(&sim, "t017"));
    }
}
