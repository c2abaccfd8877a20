//! Findings of what sources only measure: names that lead nowhere, tests that are overdue, slow disks, bloat.

use super::support::{Bench, at, tenant};
use crate::correlate::readings::tenant_signals;
use crate::domain::facts::measured::Kept;
use crate::domain::facts::odoo::{Bloat, OdooFacts};
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::finding::{Class, Finding, Level};
use crate::domain::health::Health;
use crate::domain::sample::SourceKind;
use crate::domain::signal::Subject;

fn measured(of: SourceKind, subject: &Subject, values: &[(&str, f64)]) -> Facts {
    let mut facts = MeasuredFacts::of(of);
    for (signal, value) in values {
        facts.measure(subject, signal, *value);
    }
    Facts::Measured(facts)
}

#[test]
fn a_name_that_leads_elsewhere_heads_what_follows_from_it() {
    let mut bench = Bench::with(vec![tenant("t017", 1)], &[("front", SourceKind::Probe)]);
    let subject =
        Subject::Endpoint { source: "front".into(), endpoint: "t017.example:443".into(), tenant: Some("t017".into()) };
    let wrong = [("dns.ok", 0.0), ("dns.took", 0.004), ("probe.ok", 0.0), ("certificate.valid", 0.0)];
    for second in (0..=70).step_by(10) {
        bench.see("front", second, measured(SourceKind::Probe, &subject, &wrong));
    }
    let found = bench.findings(70);
    assert_eq!(found.len(), 1, "one trouble is one finding: {found:#?}");
    assert_eq!((found[0].rule.as_str(), found[0].severity), ("dns", Health::Critical));
    assert!(found[0].what.contains("leads nowhere or elsewhere"), "{}", found[0].what);
    assert!(found[0].whom.tenants.iter().any(|t| t.as_str() == "t017"), "{:?}", found[0].whom);
    // Resolvers that say nothing are no proof that it is well again.
    let mut silent = MeasuredFacts::of(SourceKind::Probe);
    silent.untell(&subject, "dns.ok", "no resolver of this machine answers, or they fail");
    for second in [80, 90, 100, 110] {
        bench.see("front", second, Facts::Measured(silent.clone()));
    }
    assert!(bench.findings(110).iter().any(|f| f.rule == "dns"), "{:#?}", bench.findings(110));
}

#[test]
fn a_keeper_without_a_leader_hurts_the_tenants_of_its_servers() {
    let mut bench = Bench::with(vec![tenant("t017", 1)], &[("db", SourceKind::Patroni)]);
    let subject = Subject::Keep { source: "db".into(), keep: "db".into() };
    let without = |servers: &[(&str, &str)]| {
        let Facts::Measured(mut facts) =
            measured(SourceKind::Patroni, &subject, &[("keep.leader", 0.0), ("keep.ready", 0.5)])
        else {
            unreachable!()
        };
        let kept = |(name, address): &(&str, &str)| Kept {
            by: subject.clone(),
            name: (*name).to_owned(),
            address: Some((*address).to_owned()),
        };
        facts.kept = servers.iter().map(kept).collect();
        Facts::Measured(facts)
    };
    let own = tenant("t017", 1).database.unwrap().instance;
    let address = bench.world.sources[&own].spec.address.clone();
    for (second, servers, whom) in [
        (0, vec![("elsewhere", "h:1")], 0),
        (10, vec![("elsewhere", "h:1"), (own.as_str(), "h:2")], 1),
        (20, vec![("db-1", address.as_str())], 1),
    ] {
        bench.see("db", second, without(&servers));
        let found = bench.findings(second);
        let of_keeper: Vec<&Finding> = found.iter().filter(|f| f.subject == subject).collect();
        let [found] = of_keeper[..] else { panic!("one trouble is one finding: {found:#?}") };
        assert_eq!(found.playbooks.iter().filter(|o| o.id.as_str() == "pg-failover").count(), whom, "{found:#?}");
        assert_eq!(found.whom.tenants.len(), whom, "{servers:?}: {found:#?}");
        let known = tenant_signals(&bench.world, &bench.world.estate, &"t017".into(), at(second));
        assert_eq!(known.contains_key("keep.leader"), whom == 1, "{servers:?}");
    }
    let mut lacks = MeasuredFacts::of(SourceKind::Patroni);
    lacks.measure(&subject, "keep.leader", 1.0);
    lacks.measure(&subject, "keep.ready", 0.5);
    lacks.kept = vec![Kept { by: subject.clone(), name: own.to_string(), address: None }];
    for second in [30, 40, 50, 60] {
        bench.see("db", second, Facts::Measured(lacks.clone()));
    }
    let found = bench.findings(60);
    let [found] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((found.rule.as_str(), found.playbooks.len()), ("keeper", 0), "it has its primary: {found:#?}");
}

#[test]
fn a_restore_test_that_is_overdue_is_a_finding_before_it_is_old() {
    let mut bench = Bench::with(vec![tenant("t017", 1)], &[("restores", SourceKind::Restore)]);
    let subject = Subject::Backup { source: "restores".into(), backup: "backup-a".into() };
    let after = |due: f64| [("restore_test.ok", 1.0), ("restore_test.age", 7.0 - due), ("restore_test.due", due)];
    bench.see("restores", 0, measured(SourceKind::Restore, &subject, &after(0.5)));
    assert!(bench.findings(1).is_empty());
    bench.see("restores", 10, measured(SourceKind::Restore, &subject, &after(-1.5)));
    let found = bench.findings(10);
    assert_eq!((found.len(), found[0].rule.as_str()), (1, "restore-test"), "{found:#?}");
    assert_eq!((found[0].level, &found[0].classes[..]), (Level::Note, &[Class::Pressure][..]));
    assert!(found[0].what.contains("overdue by 1.5 d"), "{}", found[0].what);
    bench.see("restores", 20, measured(SourceKind::Restore, &subject, &[("restore_test.due", 0.0)]));
    assert!(bench.findings(20)[0].what.contains("due now"), "{}", bench.findings(20)[0].what);
}

#[test]
fn a_slow_disk_needs_its_time_and_becomes_a_cause_when_everybody_waits_for_it() {
    let mut bench = Bench::with(vec![tenant("t017", 1)], &[("prom", SourceKind::Prometheus)]);
    let subject = Subject::Node { source: "k8s-1".into(), node: "node-1".into() };
    let mut see = |second: i64, takes_s: f64| {
        bench.see("prom", second, measured(SourceKind::Prometheus, &subject, &[("disk.latency", takes_s)]));
        bench.findings(second).iter().map(|f| (f.rule.clone(), f.classes.clone())).collect::<Vec<_>>()
    };
    for second in (0..120).step_by(10) {
        assert!(see(second, 0.06).is_empty(), "at {second}");
    }
    assert_eq!(see(120, 0.06), [("storage-slow".to_owned(), vec![Class::Pressure])]);
    for second in (130..=190).step_by(10) {
        see(second, 0.9);
    }
    assert_eq!(see(200, 0.9), [("storage-slow".to_owned(), vec![Class::Cause])]);
}

#[test]
fn bloat_is_a_note_that_names_the_table() {
    let mut bench = Bench::new(vec![tenant("t017", 1)]);
    let said = "stock_move: about 750 MiB of 1000 MiB lie empty".to_owned();
    let bloat = Bloat { dead_share: 0.01, share: Some(0.75), bytes: Some(8e8), said: vec![said.clone()] };
    for second in (0..=600).step_by(10) {
        let facts = OdooFacts { bloat: Some(bloat.clone()), ..OdooFacts::default() };
        bench.see("odoo/t017", second, Facts::Odoo(facts));
        let found = bench.findings(second).into_iter().find(|f| f.rule == "bloat");
        assert_eq!(found.is_some(), second == 600, "at {second}");
        if let Some(found) = found {
            assert_eq!(found.level, Level::Note);
            assert!(found.what.contains("75% of a table or an index lie empty"), "{}", found.what);
            assert!(found.because.contains(&said), "{:?}", found.because);
        }
    }
}
