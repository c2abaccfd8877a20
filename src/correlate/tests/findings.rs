use super::support::{Bench, at, chain, jobs, pods, tenant, web};
use crate::correlate::signals::find;
use crate::correlate::usual::Known;
use crate::correlate::{say, tenant_signals};
use crate::domain::estate::Cutoff;
use crate::domain::facts::odoo::Channel;
use crate::domain::facts::postgres::PostgresFacts;
use crate::domain::facts::traefik::{Certificate, Route, TraefikFacts};
use crate::domain::facts::{Facts, OdooFacts};
use crate::domain::finding::{Class, Level};
use crate::domain::health::Health;
use crate::domain::id::TenantId;
use crate::domain::signal::{Subject, Unit};

fn bench() -> Bench {
    let mut t017 = tenant("t017", 1);
    let at = jiff::civil::time(5, 0, 0, 0);
    t017.cutoffs = vec![Cutoff { what: "receiving starts".into(), at, time_zone: "Europe/Berlin".into() }];
    Bench::new(vec![t017, tenant("t003", 2)])
}

#[test]
fn a_lock_chain_is_an_alert_and_with_failing_requests_an_incident() {
    let mut bench = bench();
    bench.see("k8s-1", 0, pods("t017", "odoo:r118", Some(at(-780)), 4));
    bench.see("pg-a", 0, chain("t017", 0, 0.0));
    assert!(bench.findings(1).is_empty());
    bench.see("pg-a", 10, chain("t017", 9, 12.0));
    let found = bench.look(10);
    assert_eq!(found.transitions.raised.len(), 1);
    let f = &found.findings[0];
    assert_eq!((f.id.as_str(), f.level, f.severity), ("lock-chain/t017", Level::Alert, Health::Warn));
    assert_eq!(f.playbooks[0].id.as_str(), "schema-lock");
    assert_eq!(f.playbooks[0].params["tenant"], "t017");
    let receiving = f.whom.next_cutoff.as_ref().unwrap();
    assert_eq!((receiving.what.as_str(), receiving.at), ("receiving starts", at(7200)));
    assert_eq!(f.whom.plants, ["Plant of t017"]);

    for second in [20, 30, 40, 50, 60, 70, 80] {
        bench.see("pg-a", second, chain("t017", 41, 62.0));
        bench.see("edge-1", second, web("t017@file", Some(0.12), Some(8.4)));
    }
    let found = bench.findings(80);
    assert_eq!(found.len(), 1, "{found:#?}");
    let f = &found[0];
    assert_eq!((f.level, f.severity), (Level::Incident, Health::Critical));
    assert_eq!(f.classes, [Class::Pressure, Class::Cause, Class::Impact][1..]);
    assert_eq!(f.since, at(10));
    for part in ["root pid 4711 (odoo-deploy, idle in transaction)", "41 blocked, oldest 62 s", "5xx 12%", "p95 8.4 s"]
    {
        assert!(f.what.contains(part), "{part}: {}", f.what);
    }
    assert!(f.what.contains("13 min after deploy r118"), "{}", f.what);
    assert!(f.changed.iter().any(|c| c.what == "deploy r118" && c.at == at(-780)));
    let offered: Vec<_> = f.playbooks.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(offered, ["schema-lock", "release-rollback", "maintenance-mode"], "the lock is released first");
    assert!(f.because[0].starts_with("lock-chain (built-in): lock.blocked 41, critical from 20"), "{:?}", f.because);
    assert!(f.because.iter().any(|b| b.starts_with("http-errors on t017, harm that it explains")), "{:?}", f.because);
    let blocked = f.evidence.iter().find(|e| e.signal == "lock.blocked").unwrap();
    assert_eq!((blocked.now, blocked.threshold), (41.0, 20.0));
    assert_eq!(blocked.series, [0.0, 9.0, 41.0, 41.0, 41.0, 41.0, 41.0, 41.0, 41.0]);
}

#[test]
fn it_clears_after_three_good_samples_and_not_by_silence() {
    let mut bench = bench();
    bench.see("pg-a", 0, chain("t017", 41, 62.0));
    assert_eq!(bench.findings(1).len(), 1);
    bench.fail("pg-a", 10);
    let f = &bench.findings(11)[0];
    assert_eq!(f.severity, Health::Unknown);
    assert!(f.what.contains("pg-a is silent"), "{}", f.what);
    assert_eq!(bench.findings(3600)[0].severity, Health::Unknown, "an hour of silence clears nothing");
    for (second, left) in [(3610, 1), (3620, 1), (3630, 0)] {
        bench.see("pg-a", second, chain("t017", 0, 0.0));
        let found = bench.look(second);
        let chains: Vec<_> = found.findings.iter().filter(|f| f.rule == "lock-chain").collect();
        assert_eq!(chains.len(), left, "at {second}");
        if left == 0 {
            let cleared = &found.transitions.cleared;
            let chain = cleared.iter().find(|c| c.finding.rule == "lock-chain").unwrap();
            assert_eq!(chain.merged_into, None);
        }
    }
}

#[test]
fn late_samples_alone_make_it_unknown() {
    let mut bench = bench();
    bench.see("pg-a", 0, chain("t017", 41, 62.0));
    assert_eq!(bench.findings(20)[0].severity, Health::Critical);
    assert_eq!(bench.findings(21)[0].severity, Health::Unknown);
}

#[test]
fn impact_alone_is_an_alert_that_merges_into_its_cause_when_that_is_found() {
    let mut bench = bench();
    for second in [0, 30, 60] {
        bench.see("edge-1", second, web("t017@file", Some(0.3), None));
    }
    let found = bench.look(60).findings;
    let f = found.iter().find(|f| f.rule == "http-errors").unwrap();
    assert_eq!((f.level, &f.classes[..]), (Level::Alert, &[Class::Impact][..]));
    assert_eq!(f.playbooks[0].id.as_str(), "maintenance-mode", "critical errors need no cause");
    bench.see("pg-a", 61, chain("t017", 41, 62.0));
    let found = bench.look(61);
    let merged = found.transitions.cleared.iter().find(|c| c.finding.rule == "http-errors").unwrap();
    assert_eq!(merged.merged_into.as_ref().unwrap().as_str(), "lock-chain/t017");
    assert_eq!(found.findings[0].level, Level::Incident);
}

#[test]
fn slight_errors_without_a_cause_offer_nothing() {
    let mut bench = bench();
    for second in [0, 30, 60] {
        bench.see("edge-1", second, web("t017@file", Some(0.06), None));
    }
    let found = bench.findings(60);
    assert_eq!((found[0].rule.as_str(), found[0].playbooks.len()), ("http-errors", 0));
}

#[test]
fn errors_need_a_minute_and_do_not_end_because_nobody_asks_any_more() {
    let mut bench = bench();
    bench.see("edge-1", 0, web("t017@file", Some(0.3), None));
    bench.see("edge-1", 59, web("t017@file", Some(0.3), None));
    assert!(bench.findings(59).is_empty());
    bench.see("edge-1", 60, web("t017@file", Some(0.3), None));
    assert_eq!(bench.findings(60).len(), 1);
    for second in [70, 80, 90, 100] {
        bench.see("edge-1", second, web("t017@file", None, None));
    }
    assert_eq!(bench.findings(100)[0].severity, Health::Unknown);
}

#[test]
fn an_instance_wide_cause_names_everyone_on_it_and_takes_their_impact() {
    let mut bench = bench();
    let full = || Facts::Postgres(PostgresFacts { connections: 196, max_connections: 200, ..PostgresFacts::default() });
    for second in [0, 60, 120] {
        bench.see("pg-a", second, full());
        bench.see("edge-1", second, web("t003@file", Some(0.3), None));
    }
    let found = bench.findings(120);
    assert_eq!(found.len(), 1);
    let f = &found[0];
    assert_eq!((f.id.as_str(), f.level), ("connections/pg-a", Level::Incident));
    assert_eq!(f.whom.tenants.iter().map(TenantId::as_str).collect::<Vec<_>>(), ["t017", "t003"]);
    assert!(f.what.contains("t003 5xx 30%"), "{}", f.what);
}

#[test]
fn pressure_alone_is_a_note() {
    let mut bench = bench();
    let busy = || Facts::Postgres(PostgresFacts { connections: 170, max_connections: 200, ..PostgresFacts::default() });
    bench.see("pg-a", 0, busy());
    assert!(bench.findings(1).is_empty());
    bench.see("pg-a", 119, busy());
    assert!(bench.findings(119).is_empty());
    bench.see("pg-a", 120, busy());
    assert_eq!(bench.findings(120)[0].level, Level::Note);
}

#[test]
fn a_queue_behind_a_lock_is_part_of_it_and_stands_alone_afterwards() {
    let mut bench = bench();
    bench.see("odoo/t017", 0, jobs(300, Some(400.0), 4));
    let found = bench.findings(0);
    assert_eq!(found.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["queue-age/t017/root"]);
    assert!(found[0].what.contains("4 zombie jobs"), "{}", found[0].what);
    bench.see("pg-a", 1, chain("t017", 41, 62.0));
    let found = bench.look(1);
    let chain_id = "lock-chain/t017";
    assert_eq!(found.findings[0].id.as_str(), chain_id);
    assert_eq!(found.transitions.cleared[0].merged_into.as_ref().unwrap().as_str(), chain_id);
    let offered: Vec<_> = found.findings[0].playbooks.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(offered, ["schema-lock", "queue-backlog"]);
    for second in [5, 6, 7] {
        bench.see("pg-a", second, chain("t017", 0, 0.0));
    }
    assert!(bench.findings(7).is_empty(), "it has a minute to end by itself");
    bench.see("odoo/t017", 61, jobs(300, Some(400.0), 0));
    assert_eq!(bench.findings(61)[0].id.as_str(), "queue-age/t017/root");
}

#[test]
fn what_a_cause_has_done_may_outlast_it_for_a_minute_and_then_stands_alone() {
    let mut bench = bench();
    let both = |b: &mut Bench, second: i64, blocked: i32| {
        b.see("pg-a", second, chain("t017", blocked, 62.0));
        b.see("edge-1", second, web("t017@file", Some(0.3), None));
    };
    for second in (0..=100).step_by(10) {
        both(&mut bench, second, 41);
        bench.look(second);
    }
    for second in (110..=180).step_by(10) {
        both(&mut bench, second, 0);
        let ids: Vec<String> = bench.findings(second).iter().map(|f| f.id.to_string()).collect();
        match second {
            110 | 120 => assert_eq!(ids, ["lock-chain/t017"]),
            130..180 => assert!(ids.is_empty(), "{second}: {ids:?}"),
            _ => assert_eq!(ids, ["http-errors/t017"]),
        }
    }
}

#[test]
fn a_burn_rate_that_only_trails_behind_its_cause_is_no_finding_and_one_that_goes_on_is() {
    for goes_on in [false, true] {
        let mut bench = bench();
        // Ten minutes in which all is well, five in which a lock chain makes requests fail, and then it is released.
        let mut seen = Vec::new();
        for second in (0..=1_500).step_by(10) {
            let (blocked, share) = match second {
                0..600 => (0, 0.0),
                600..900 => (41, 0.3),
                _ => (0, if goes_on { 0.3 } else { 0.0 }),
            };
            bench.see("pg-a", second, chain("t017", blocked, 62.0));
            bench.see("edge-1", second, web("t017@file", Some(share), None));
            let ids: Vec<String> = bench.findings(second).iter().map(|f| f.id.to_string()).collect();
            if second > 920 {
                seen.extend(ids.into_iter().filter(|id| id != "lock-chain/t017"));
            }
        }
        seen.sort_unstable();
        seen.dedup();
        if goes_on {
            assert_eq!(seen, ["http-errors/t017"], "the errors explain the budget");
        } else {
            assert_eq!(seen, Vec::<String>::new());
        }
    }
}

#[test]
fn errors_after_a_deploy_are_an_incident_with_the_deploy_as_cause() {
    let mut bench = bench();
    bench.see("k8s-1", 0, pods("t017", "odoo:r118", Some(at(-3_000)), 4));
    bench.see("edge-1", -30, web("t017@file", Some(0.0), None));
    for second in [0, 30, 60] {
        bench.see("edge-1", second, web("t017@file", Some(0.06), None));
    }
    let f = &bench.findings(60)[0];
    assert_eq!((f.level, &f.classes[..]), (Level::Incident, &[Class::Cause, Class::Impact][..]));
    assert!(f.what.ends_with("began 50 min after deploy r118"), "{}", f.what);
    let offered: Vec<_> = f.playbooks.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(offered, ["release-rollback", "maintenance-mode"]);
}

#[test]
fn several_late_channels_of_one_tenant_are_one_finding() {
    let mut bench = bench();
    let channel =
        |name: &str| Channel { name: name.into(), pending: 9, oldest_due_s: Some(400.0), ..Channel::default() };
    let channels = Some(["root", "root.edi", "root.wms"].map(channel).into());
    bench.see("odoo/t003", 0, Facts::Odoo(OdooFacts { channels, ..OdooFacts::default() }));
    let found = bench.findings(0);
    assert_eq!(found.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["queue-age/t003/root"]);
    assert!(found[0].what.contains("root.edi oldest 6m40s, root.wms oldest 6m40s"), "{}", found[0].what);
    assert_eq!(found[0].playbooks.len(), 1);
}

#[test]
fn another_tenants_errors_are_not_explained_by_this_tenants_lock() {
    let mut bench = bench();
    for second in [0, 30, 60] {
        bench.see("pg-a", second, chain("t017", 41, 62.0));
        bench.see("edge-1", second, web("t003@file", Some(0.3), None));
    }
    let ids: Vec<String> = bench.findings(60).iter().map(|f| f.id.to_string()).collect();
    assert_eq!(ids, ["http-errors/t003", "lock-chain/t017"]);
}

#[test]
fn silence_is_a_finding_after_two_intervals_and_ends_after_three_samples() {
    let mut bench = bench();
    let silent = |b: &mut Bench, s: i64| -> Vec<String> {
        b.look(s).findings.iter().filter(|f| f.rule == "source-unknown").map(|f| f.id.to_string()).collect()
    };
    assert!(silent(&mut bench, 20).is_empty());
    let all = ["source-unknown/edge-1", "source-unknown/k8s-1", "source-unknown/pg-a"];
    assert_eq!(silent(&mut bench, 21), all, "the tenants' Odoo databases stand on pg-a, which is silent too");
    bench.see("pg-a", 22, chain("t017", 0, 0.0));
    bench.see("pg-a", 23, chain("t017", 0, 0.0));
    let f = bench.look(23).findings.into_iter().find(|f| f.id.as_str() == "source-unknown/pg-a").unwrap();
    assert_eq!((f.severity, f.good_intervals), (Health::Warn, 2));
    bench.see("pg-a", 24, chain("t017", 0, 0.0));
    assert!(!silent(&mut bench, 24).contains(&"source-unknown/pg-a".into()));
    assert!(silent(&mut bench, 24).contains(&"source-unknown/odoo/t017".into()));
}

#[test]
fn many_silent_databases_on_one_instance_are_one_finding() {
    let mut bench = Bench::new((0..9).map(|i| tenant(&format!("t00{i}"), 3)).collect());
    bench.see("pg-a", 21, chain("t003", 0, 0.0));
    let found = bench.look(21).findings;
    let odoo: Vec<_> = found.iter().filter(|f| f.id.as_str().contains("odoo")).collect();
    assert_eq!(odoo.len(), 1);
    assert!(odoo[0].what.starts_with("9 Odoo databases on pg-a"), "{}", odoo[0].what);
    assert_eq!(odoo[0].whom.tenants.len(), 9);
}

#[test]
fn an_acknowledgement_lasts_as_long_as_its_finding() {
    let mut bench = bench();
    assert!(!bench.correlator.acknowledge(&"lock-chain/t017".into(), "mara".into(), at(0)));
    bench.see("pg-a", 0, chain("t017", 41, 62.0));
    bench.look(1);
    assert!(bench.correlator.acknowledge(&"lock-chain/t017".into(), "mara".into(), at(2)));
    assert_eq!(bench.findings(3)[0].acknowledged.as_ref().unwrap().by.as_str(), "mara");
    for second in [10, 20, 30] {
        bench.see("pg-a", second, chain("t017", 0, 0.0));
        bench.look(second);
    }
    bench.see("pg-a", 40, chain("t017", 41, 62.0));
    assert_eq!(bench.findings(40)[0].acknowledged, None);
}

#[test]
fn equal_samples_give_equal_findings() {
    let run = || {
        let mut bench = bench();
        for second in 0..30 {
            bench.see("pg-a", second * 10, chain("t017", i32::try_from(second).unwrap() * 3 % 40, 9.0));
            bench.see("edge-1", second * 10, web("t017@file", Some(0.2), Some(3.0)));
        }
        (bench.look(300), bench.correlator.changes().cloned().collect::<Vec<_>>())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_playbook_sees_only_what_is_fresh() {
    let mut bench = bench();
    bench.see("pg-a", 0, chain("t017", 41, 62.0));
    bench.see("odoo/t017", 0, jobs(300, None, 4));
    let signals =
        |b: &Bench, tenant: &str, second| tenant_signals(&b.world, &b.world.estate, &tenant.into(), at(second));
    let of = signals(&bench, "t017", 5);
    assert_eq!((of["lock.blocked"].value, of["lock.blocked"].age_s), (41.0, 5.0));
    assert_eq!((of["queue.depth"].value, of["queue.oldest"].value), (300.0, 0.0));
    assert_eq!((of["connections.share"].value, of["connections.share"].source.as_str()), (0.15, "pg-a"));
    assert!(!of.contains_key("http.p95"));
    assert_eq!(say::value(signals(&bench, "t003", 5)["lock.blocked"].value, Unit::Count), "0");
    assert!(!signals(&bench, "t003", 5).contains_key("queue.depth"));
    assert!(signals(&bench, "t017", 21).is_empty());
    assert!(signals(&bench, "t999", 5).is_empty());
}

#[test]
fn a_deploy_seen_between_two_samples_is_a_change() {
    let mut bench = bench();
    bench.see("k8s-1", 0, pods("t017", "odoo:r117", Some(at(-90_000)), 4));
    bench.see("k8s-1", 10, pods("t017", "odoo:r118", Some(at(8)), 4));
    let said: Vec<String> = bench.correlator.changes().map(|c| format!("{} {}", c.subject, c.what)).collect();
    assert_eq!(said, ["t017 deploy r118 (workers), was r117", "t017 deploy r118, was r117"]);
}

#[test]
fn what_began_before_anybody_looked_is_not_blamed_on_a_deploy() {
    // The console starts amid the errors, eighteen minutes after a deploy.
    let mut bench = self::bench();
    bench.see("k8s-1", 0, pods("t017", "odoo:r118", Some(at(-1_080)), 4));
    for second in [0, 30, 60] {
        bench.see("edge-1", second, web("t017@file", Some(0.06), None));
    }
    let f = &bench.findings(60)[0];
    assert!(!f.onset_seen && !f.what.contains("began"), "{}", f.what);
    assert_eq!((f.level, &f.classes[..]), (Level::Alert, &[Class::Impact][..]), "a deploy is no cause then");
    assert!(f.changed.iter().any(|c| c.what == "deploy r118"), "it is shown as a change nevertheless");
    // The same after an hour without a sample: it may have begun at any time in between.
    let mut bench = self::bench();
    bench.see("edge-1", 0, web("t017@file", Some(0.0), None));
    for second in [3_600, 3_630, 3_660] {
        bench.see("edge-1", second, web("t017@file", Some(0.06), None));
    }
    assert!(!bench.findings(3_660)[0].onset_seen);
    // And seen to begin.
    for second in [7_200, 7_210, 7_220] {
        bench.see("edge-1", second, web("t017@file", Some(0.0), None));
    }
    for second in [7_230, 7_260, 7_290] {
        bench.see("edge-1", second, web("t017@file", Some(0.06), None));
    }
    let f = &bench.findings(7_290)[0];
    assert!(f.onset_seen && f.since == at(7_230), "{f:?}");
}

#[test]
fn of_equal_findings_the_one_that_bites_comes_before_the_older_one() {
    let mut bench = bench();
    let expiring = |days: i64| {
        let not_after = at(0) + jiff::SignedDuration::from_hours(24 * days);
        let certificate =
            Certificate { name: "t017.example.org".into(), sans: vec!["t017.example.org".into()], not_after };
        Facts::Traefik(TraefikFacts {
            certificates: vec![certificate],
            reload_failed: Some(false),
            ..TraefikFacts::default()
        })
    };
    bench.see("edge-1", 0, expiring(10));
    bench.see("pg-a", 0, chain("t003", 0, 0.0));
    bench.see("edge-1", 500, expiring(10));
    bench.see("pg-a", 510, chain("t003", 9, 12.0));
    let found = bench.findings(510);
    let seen: Vec<_> = found.iter().map(|f| (f.rule.as_str(), f.level, f.severity)).collect();
    let equal = (Level::Alert, Health::Warn);
    assert_eq!(seen, [("lock-chain", equal.0, equal.1), ("certificate", equal.0, equal.1)]);
}

#[test]
fn of_equal_findings_the_order_is_whom_they_hurt_then_the_cutoff_then_their_age() {
    let mut bench = bench();
    bench.see("pg-a", 0, chain("t017", 9, 12.0));
    let one = bench.findings(0).remove(0);
    let with = |change: &dyn Fn(&mut crate::domain::finding::Finding)| {
        let mut other = one.clone();
        other.id = "lock-chain/other".into();
        change(&mut other);
        other
    };
    let cutoff = |second: i64| {
        Some(crate::domain::finding::NextCutoff { what: "x".into(), at: at(second), tenant: "t017".into() })
    };
    let younger = one.since + jiff::SignedDuration::from_secs(60);
    // Each stands before `one` for its reason although it is younger, and each reason yields to the one above it.
    let order = [
        with(&|f| (f.level, f.since) = (Level::Incident, younger)),
        with(&|f| (f.severity, f.since) = (Health::Critical, younger)),
        with(&|f| (f.whom.criticality, f.since) = (Some(0), younger)),
        with(&|f| (f.whom.plants, f.since) = (vec!["a".into(), "b".into()], younger)),
        with(&|f| (f.whom.tenants, f.since) = (vec!["t003".into(), "t017".into()], younger)),
        with(&|f| (f.whom.next_cutoff, f.since) = (cutoff(60), younger)),
        with(&|f| f.since = one.since - jiff::SignedDuration::from_secs(60)),
        one.clone(),
        with(&|f| f.whom.next_cutoff = None),
        with(&|f| f.whom.tenants.clear()),
        with(&|f| f.whom.plants.clear()),
        with(&|f| f.whom.criticality = None),
        with(&|f| f.level = Level::Note),
    ];
    let mut sorted = order.to_vec();
    sorted.reverse();
    let rules = crate::correlate::rules::Rules::built_in();
    sorted.sort_by(|a, b| crate::correlate::finding::worst_first(&rules, at(-1_000_000), a, b));
    assert_eq!(sorted, order);
    // What is at stake within two hours comes before a more critical tenant.
    let soon = with(&|f| (f.whom.next_cutoff, f.whom.criticality) = (cutoff(60), Some(4)));
    let later = with(&|f| (f.whom.next_cutoff, f.whom.criticality) = (None, Some(1)));
    let rank = crate::correlate::finding::worst_first(&rules, soon.since, &soon, &later);
    assert_eq!(rank, std::cmp::Ordering::Less);
}

#[test]
fn a_text_has_no_empty_pieces_when_the_trouble_is_no_longer_seen() {
    let mut bench = bench();
    bench.see("odoo/t003", 0, jobs(300, Some(400.0), 0));
    let of = |bench: &mut Bench, second| -> Vec<String> {
        bench.findings(second).into_iter().filter(|f| f.rule == "queue-age").map(|f| f.what).collect()
    };
    assert_eq!(of(&mut bench, 0), ["queue age on t003 root: oldest 6m40s"]);
    // The channel has no jobs any more, and so no values.
    bench.see("odoo/t003", 10, Facts::Odoo(OdooFacts { channels: Some(Vec::new()), ..OdooFacts::default() }));
    assert_eq!(of(&mut bench, 10), ["queue age on t003 root, no longer seen (1 of 3 good samples)"]);
}

#[test]
fn pods_that_may_not_be_watched_any_more_have_not_recovered() {
    let mut bench = bench();
    let looping = |pods: Option<u32>| {
        let Facts::Kubernetes(mut facts) = super::support::pods("t017", "odoo:r118", None, 4) else { unreachable!() };
        for workload in &mut facts.workloads {
            (workload.crash_looping, workload.restarts_5m) = (pods, pods);
        }
        Facts::Kubernetes(facts)
    };
    bench.see("k8s-1", 0, looping(Some(3)));
    assert!(bench.findings(0).iter().any(|f| f.rule == "crash-loop" && f.severity > Health::Unknown));
    for second in [10, 20, 30, 40] {
        bench.see("k8s-1", second, looping(None));
    }
    let found = bench.findings(40);
    let f = found.iter().find(|f| f.rule == "crash-loop").expect("losing a right clears nothing");
    assert_eq!(f.severity, Health::Unknown);
    let panes = bench.correlator.panes(&bench.world, at(40));
    assert_eq!(panes.tenants.iter().find(|t| t.id.as_str() == "t017").unwrap().restarts_5m, None);
}

#[test]
fn a_certificate_has_the_same_days_in_its_finding_and_in_its_pane() {
    // 18.7 days: rounded it would be 19.
    let mut bench = bench();
    let not_after = at(0) + jiff::SignedDuration::from_hours(449);
    let certificate = Certificate { name: "t017.example.org".into(), sans: vec!["t017.example.org".into()], not_after };
    let facts = TraefikFacts { certificates: vec![certificate], reload_failed: Some(false), ..TraefikFacts::default() };
    bench.see("edge-1", 0, Facts::Traefik(facts));
    let f = bench.findings(0).into_iter().find(|f| f.rule == "certificate").unwrap();
    assert!(f.what.contains("expires in 18 d"), "{}", f.what);
    let panes = bench.correlator.panes(&bench.world, at(0));
    let left = panes.tenants.iter().find(|t| t.id.as_str() == "t017").unwrap().certificate_days.unwrap();
    assert_eq!(crate::domain::signal::days(left), "18 d");
}

fn many() -> Bench {
    let tenants = (1..=6).map(|n| {
        let mut tenant = tenant(&format!("t00{n}"), 2);
        tenant.tenancy = crate::domain::estate::Tenancy::MultiTenant;
        if n > 3 {
            tenant.database =
                Some(crate::domain::estate::DatabaseRef { instance: "pg-b".into(), name: tenant.id.to_string() });
        }
        tenant
    });
    Bench::new(tenants.collect())
}

fn fails(bench: &mut Bench, second: i64, tenants: &[&str]) {
    let routes = ["t001", "t002", "t003", "t004", "t005", "t006"].map(|id| crate::domain::facts::traefik::Route {
        name: format!("{id}@file"),
        requests_per_s: Some(9.0),
        share_5xx: Some(if tenants.contains(&id) { 0.3 } else { 0.0 }),
        ..Default::default()
    });
    bench.see("edge-1", second, Facts::Traefik(TraefikFacts { routers: routes.into(), ..TraefikFacts::default() }));
}

#[test]
fn many_red_tenants_are_one_finding_about_what_they_share() {
    let mut bench = many();
    for second in [0, 30, 60] {
        fails(&mut bench, second, &["t001", "t002", "t003"]);
    }
    let found = bench.findings(60);
    assert_eq!(found.len(), 1, "{found:#?}");
    let f = &found[0];
    assert_eq!(f.id.as_str(), "http-errors/pg-a");
    assert!(
        f.what.starts_with("http errors of 3 tenants; all stand on pg-a, where 3 of 3 tenants are red"),
        "{}",
        f.what
    );
    assert_eq!(f.whom.tenants.len(), 3);
    assert!(f.disproof.contains("does not stand on pg-a"));
    // Two are no crowd.
    let mut bench = many();
    for second in [0, 30, 60] {
        fails(&mut bench, second, &["t001", "t005"]);
    }
    assert_eq!(bench.findings(60).len(), 2);
}

#[test]
fn what_comes_again_within_the_cool_down_has_lasted_since_it_first_came() {
    let mut bench = bench();
    bench.see("pg-a", 0, chain("t017", 9, 12.0));
    assert_eq!(bench.findings(0).len(), 1);
    for second in [10, 20, 30] {
        bench.see("pg-a", second, chain("t017", 0, 0.0));
    }
    assert!(bench.findings(30).is_empty());
    bench.see("pg-a", 300, chain("t017", 9, 12.0));
    let f = &bench.findings(300)[0];
    assert_eq!(f.since, at(0));
    assert!(f.because.iter().any(|b| b.contains("comes and goes: the 2. time")), "{:?}", f.because);
    for second in [310, 320, 330] {
        bench.see("pg-a", second, chain("t017", 0, 0.0));
    }
    assert!(bench.findings(330).is_empty());
    bench.see("pg-a", 2000, chain("t017", 9, 12.0));
    assert_eq!(bench.findings(2000)[0].since, at(2000), "after the cool-down it is a new one");
}

#[test]
fn a_neighbour_that_takes_most_is_named_with_those_who_suffer() {
    let mut bench = many();
    let databases = ["t001", "t002", "t003"].map(|name| crate::domain::facts::postgres::DatabaseStat {
        name: name.into(),
        connections: if name == "t002" { 150 } else { 24 },
        commits_per_s: Some(if name == "t002" { 970.0 } else { 15.0 }),
        ..Default::default()
    });
    for second in [0, 60, 120] {
        let facts = PostgresFacts {
            connections: 199,
            max_connections: 200,
            databases: databases.clone().into(),
            ..PostgresFacts::default()
        };
        bench.see("pg-a", second, Facts::Postgres(facts));
        fails(&mut bench, second, &["t003"]);
    }
    let found = bench.findings(120);
    let f = found.iter().find(|f| f.rule == "connections").unwrap();
    let said = f.because.iter().find(|b| b.contains("takes")).unwrap();
    assert_eq!(said, "t002 takes 97% of the transactions on pg-a; 1 of the other 2 suffer: t003");
    assert!(f.because.iter().any(|b| b == "t002 takes 76% of the connections on pg-a"), "{:?}", f.because);
    let offered: Vec<_> = f.playbooks.iter().map(|o| (o.id.as_str(), o.params["tenant"].as_str())).collect();
    assert_eq!(offered.first(), Some(&("noisy-tenant", "t002")), "the one that takes is bounded: {offered:?}");
}

#[test]
fn a_neighbour_that_fills_the_queue_of_shared_workers_or_the_processors_is_named() {
    use crate::domain::facts::MeasuredFacts;
    let mut tenants: Vec<_> = ["t001", "t002", "t003"].map(|id| tenant(id, 2)).into();
    for tenant in &mut tenants {
        tenant.namespace.as_mut().unwrap().name = "shared".into();
    }
    let mut bench = Bench::with(tenants, &[("prom-1", crate::domain::sample::SourceKind::Prometheus)]);
    bench.see("odoo/t002", 0, jobs(900, Some(100.0), 0));
    bench.see("odoo/t001", 0, jobs(5, Some(0.0), 0));
    bench.see("odoo/t003", 0, jobs(40, Some(1200.0), 0));
    let found = bench.findings(0);
    let queue = found.iter().find(|f| f.rule == "queue-age" && f.whom.tenants[0].as_str() == "t003").unwrap();
    let said =
        "t002 has 95% of the jobs that wait for odoo-worker, which 3 tenants share; 1 of the other 2 suffer: t003";
    assert!(queue.because.iter().any(|b| b == said), "{:?}", queue.because);
    // Each with workers of its own: nobody stands in another's way.
    let mut apart = Bench::new(["t001", "t002", "t003"].map(|id| tenant(id, 2)).into());
    apart.see("odoo/t002", 0, jobs(900, Some(100.0), 0));
    apart.see("odoo/t003", 0, jobs(40, Some(1200.0), 0));
    assert!(!apart.findings(0)[0].because.iter().any(|b| b.contains("share")));
    // Processors: who uses up its limits while a node is short.
    for second in (0..=600).step_by(10) {
        let mut facts = MeasuredFacts::of(crate::domain::sample::SourceKind::Prometheus);
        let node = crate::domain::signal::Subject::Node { source: "k8s-1".into(), node: "node-1".into() };
        facts.measure(&node, "cpu.share", 0.97);
        for (id, share) in [("t001", 0.2), ("t002", 0.99), ("t003", 0.3)] {
            let subject = crate::domain::signal::Subject::Tenant { tenant: id.into() };
            facts.measure(&subject, "cpu.share", share);
        }
        bench.see("prom-1", second, Facts::Measured(facts));
    }
    let found = bench.findings(600);
    let short = found.iter().find(|f| f.rule == "saturation" && f.because.iter().any(|b| b.contains("processor time")));
    let said = "of the processor time that their limits allow take on k8s-1: t002 99%; 1 of the other 2 suffer: t003";
    let short = short.unwrap_or_else(|| panic!("{found:#?}"));
    assert!(short.because.iter().any(|b| b == said), "{:?}", short.because);
}

#[test]
fn declared_services_carry_the_blast_radius() {
    let mut settings = crate::correlate::Settings::default();
    let service = |id: &str, on: &[&str]| crate::domain::estate::Service {
        slo: None,
        id: id.into(),
        owner: None,
        region: None,
        depends_on: on.iter().map(|o| (*o).to_owned()).collect(),
    };
    settings.services = vec![service("pg-a", &["storage"]), service("storage", &["redis-q"])];
    let estate = super::support::estate(vec![tenant("t001", 1)]);
    let index = crate::correlate::index::Index::new(&estate).with_services(&settings.services);
    let stands: Vec<&str> = index.stands_on(&estate.tenants[0]).into_iter().collect();
    assert_eq!(stands, ["edge-1", "k8s-1", "pg-a", "redis-q", "storage"]);
}

#[test]
fn twice_the_usual_for_ten_minutes_is_harm_and_without_a_past_nothing_is_said() {
    let subject = Subject::Tenant { tenant: "t017".into() };
    let slow = |bench: &mut Bench, from: i64, minutes: i64, p95: f64| {
        for second in (from..from + minutes * 60).step_by(10) {
            bench.see("edge-1", second, web("t017@file", Some(0.0), Some(p95)));
        }
    };
    let mut unlearnt = Bench::new(vec![tenant("t017", 1)]);
    slow(&mut unlearnt, 0, 15, 1.0);
    assert_eq!(unlearnt.findings(900), []);
    assert!(unlearnt.correlator.baselines().usual(&subject, find("http.p95").unwrap(), at(900)).median().is_none());

    let mut bench = Bench::new(vec![tenant("t017", 1)]);
    bench.correlator.baselines_mut().seed(&subject, "http.p95", |_| 0.4);
    slow(&mut bench, 0, 5, 0.5);
    slow(&mut bench, 300, 9, 1.0);
    assert_eq!(bench.findings(840), [], "it must last for ten minutes");
    slow(&mut bench, 840, 2, 1.0);
    let found = bench.findings(960);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].rule.as_str(), found[0].classes.as_slice()), ("slower-than-usual", &[Class::Impact][..]));
    assert_eq!(found[0].what, "slower than usual on t017: p95 1.0 s (usual 0.4 s)");
    let evidence = &found[0].evidence[0];
    assert!((evidence.threshold - 0.8).abs() < 1e-6 && (evidence.usual.unwrap() - 0.4).abs() < 1e-6);
    assert!(
        found[0].because[0].contains("http.p95 1.0 s, warns from 2 times the usual 0.4 s"),
        "{:?}",
        found[0].because
    );
    // What is slow beyond the threshold as well is one finding.
    slow(&mut bench, 960, 2, 6.0);
    let rules: Vec<String> = bench.findings(1080).into_iter().map(|f| f.rule).collect();
    assert_eq!(rules, ["http-slow"]);
}

#[test]
fn what_passes_through_our_own_limits_fails_for_the_tenant_all_the_same() {
    let mut bench = Bench::new(vec![tenant("t017", 1)]);
    let route = |name: &str, share, p95| match web(name, share, p95) {
        Facts::Traefik(facts) => facts.routers.into_iter().next().unwrap(),
        _ => unreachable!(),
    };
    let idle = Route { requests_per_s: Some(0.0), ..route("t017@file", None, None) };
    let limited = Route { share_4xx: Some(0.4), ..route("quarterdeck-limits-t017@file", Some(0.5), Some(3.0)) };
    let facts = TraefikFacts { routers: vec![limited, idle], ..TraefikFacts::default() };
    bench.see("edge-1", 1, Facts::Traefik(facts));
    let signals = tenant_signals(&bench.world, &bench.world.estate, &"t017".into(), at(2));
    let value = |name: &str| signals.get(name).map(|s| s.value);
    assert_eq!((value("http.share_5xx"), value("http.p95"), value("http.requests")), (Some(0.5), Some(3.0), Some(9.0)));
    assert_eq!(value("http.share_4xx"), None, "whom a limit refuses it is meant to refuse");
}

#[test]
fn nothing_is_learnt_of_whom_an_open_finding_hurts() {
    let mut bench = Bench::new(vec![tenant("t003", 1), tenant("t017", 1)]);
    let usual = |bench: &Bench, tenant: &str| {
        let subject = Subject::Tenant { tenant: tenant.into() };
        bench.correlator.baselines().usual(&subject, find("http.p95").unwrap(), at(1800))
    };
    let both = |p95: f64| {
        let (Facts::Traefik(mut one), Facts::Traefik(other)) =
            (web("t003@file", Some(0.0), Some(0.4)), web("t017@file", Some(0.0), Some(p95)))
        else {
            panic!("ingress")
        };
        one.routers.extend(other.routers);
        Facts::Traefik(one)
    };
    // Three hours, of which one tenant has a lock chain in all but their first minutes.
    for second in (0..3 * 3600 + 60).step_by(20) {
        bench.see("edge-1", second, both(0.4));
        bench.see("pg-a", second, chain("t017", if second % 3600 > 300 { 41 } else { 0 }, 90.0));
        bench.look(second);
    }
    assert_ne!(usual(&bench, "t003"), Known::NotYet { hours: 0 });
    assert_eq!(usual(&bench, "t017"), Known::NotYet { hours: 0 });
}
