//! What is offered for a finding: a source that is silent for a moment, or a fault that leaves people served, offers no
//! failover and no disaster recovery.

use crate::driver::library;
use quarterdeck::domain::mode::Mode;
use quarterdeck::playbook::expr::{Reading, Surroundings};

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
    let is_offered =
        |id: &str, signals: &[(&str, f64)]| library.get(&id.into()).unwrap().plan.is_offered(&around(signals));
    for id in ["regional-dr", "pg-failover", "environment-rebuild"] {
        assert!(!is_offered(id, &[]), "{id} is offered although nothing is known");
        assert!(!is_offered(id, &[("http.share_5xx", 0.01)]), "{id} is offered although people are served");
    }
    assert!(is_offered("pg-failover", &[("http.share_5xx", 0.4)]));
    assert!(!is_offered("regional-dr", &[("http.share_5xx", 0.4)]));
    assert!(is_offered("regional-dr", &[("http.share_5xx", 0.95), ("http.p95", 40.0)]));
}

#[test]
fn what_would_wait_for_a_lock_is_not_offered_while_there_is_one() {
    let library = library();
    let queue = &library.get(&"queue-backlog".into()).unwrap().plan;
    assert!(queue.is_offered(&around(&[("lock.blocked", 0.0)])));
    assert!(!queue.is_offered(&around(&[("lock.blocked", 6.0)])));
    assert!(library.get(&"schema-lock".into()).unwrap().plan.is_offered(&around(&[("lock.blocked", 6.0)])));
}
