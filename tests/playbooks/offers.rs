//! What is offered for a finding: a source that is silent for a moment, or a fault that leaves people served, offers no
//! failover and no disaster recovery.

use crate::driver::library;
use quarterdeck::correlate::rules::Rules;
use quarterdeck::correlate::signals::{SubjectKind, names};
use quarterdeck::domain::mode::Mode;
use quarterdeck::playbook::expr::{Parsed, Reading, Surroundings};
use quarterdeck::playbook::library::{BUILT_IN, Entry, Library};

fn around(signals: &[(&str, f64)]) -> Surroundings {
    let now = "2026-11-21T03:00:00Z".parse().unwrap();
    let reading = |value: f64| Reading { value, observed_at: now };
    Surroundings {
        now,
        mode: Mode::Live,
        tenant: None,
        signals: signals.iter().map(|(name, value)| ((*name).to_owned(), reading(*value))).collect(),
        incident: None,
    }
}

#[test]
fn a_transient_fault_offers_no_disaster_recovery() {
    let library = library();
    let is_offered = |id: &str, signals: &[(&str, f64)]| {
        library.get(&id.into()).unwrap().plan.is_offered(&around(signals), "http-errors")
    };
    for id in ["regional-dr", "pg-failover", "environment-rebuild"] {
        assert!(!is_offered(id, &[]), "{id} is offered although nothing is known");
        assert!(!is_offered(id, &[("http.share_5xx", 0.01)]), "{id} is offered although people are served");
    }
    assert!(is_offered("pg-failover", &[("http.share_5xx", 0.4)]));
    assert!(!is_offered("regional-dr", &[("http.share_5xx", 0.4)]));
    assert!(is_offered("regional-dr", &[("http.share_5xx", 0.95), ("http.p95", 40.0)]));
}

#[test]
fn a_server_without_a_leader_is_failed_over_also_at_night_when_nobody_gets_an_error() {
    let library = library();
    let plan = &library.get(&"pg-failover".into()).unwrap().plan;
    for signals in [&[][..], &[("http.share_5xx", 0.0)]] {
        assert!(plan.is_offered(&around(signals), "keeper"), "{signals:?}");
        assert!(!plan.is_offered(&around(signals), "source-unknown"), "{signals:?}");
    }
}

#[test]
fn what_would_wait_for_a_lock_is_not_offered_while_there_is_one() {
    let library = library();
    let queue = &library.get(&"queue-backlog".into()).unwrap().plan;
    assert!(queue.is_offered(&around(&[("lock.blocked", 0.0)]), "queue-oldest"));
    assert!(!queue.is_offered(&around(&[("lock.blocked", 6.0)]), "queue-oldest"));
    assert!(
        library.get(&"schema-lock".into()).unwrap().plan.is_offered(&around(&[("lock.blocked", 6.0)]), "lock-chain")
    );
}

/// Kinds of subject of which no tenant is known, or not always: a node, a host's volume, what is kept for all.
const OF_NOBODY: &[SubjectKind] =
    &[SubjectKind::Node, SubjectKind::Volume, SubjectKind::Backup, SubjectKind::Key, SubjectKind::Source];

/// The triggers that never offer their playbook: it asks for something of a tenant, which what is not known of a rule's
/// subject can not answer, and what is not known withdraws the offer.
fn never_offered(library: &Library) -> Vec<String> {
    let rules = Rules::built_in();
    let asks = |text: &str| {
        let parsed = Parsed::new(text).unwrap();
        ["signals", "ages", "tenant"].iter().any(|root| parsed.refers_to(root))
    };
    let mut dead = Vec::new();
    for playbook in library.all().map(Entry::playbook) {
        let named = playbook.triggers.findings.iter().filter_map(|name| rules.iter().find(|r| r.name == *name));
        for rule in named.filter(|rule| rule.subjects.iter().any(|kind| OF_NOBODY.contains(kind))) {
            let against = playbook.contraindications.iter().filter(|c| !c.except_for.contains(&rule.name));
            if against.map(|c| c.when.as_str()).chain(playbook.triggers.when.as_deref()).any(asks) {
                dead.push(format!("{} on {}", playbook.id, rule.name));
            }
        }
    }
    dead
}

#[test]
fn what_asks_for_a_tenants_signal_is_triggered_only_by_what_names_a_tenant() {
    assert_eq!(never_offered(&library()), Vec::<String>::new());
    // As `volume-full` once was: a full volume of which no tenant is known never offered it.
    let (name, text) = BUILT_IN.iter().find(|(name, _)| *name == "volume-full.yaml").unwrap();
    let against = "contraindications: [{when: \"signals.lock.blocked >= 5\", text: they wait for a lock}]\nparameters:";
    let own = [((*name).to_owned(), text.replacen("parameters:", against, 1))];
    let signals = names();
    let (library, problems) = Library::load(&own, &quarterdeck::act::catalog(), &signals);
    assert!(problems.is_empty(), "{problems:#?}");
    assert_eq!(never_offered(&library), ["volume-full on volume-full"]);
}
