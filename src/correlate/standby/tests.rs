use super::*;
use crate::correlate::Correlator;
use crate::correlate::tests::support::{at, estate, tenant};
use crate::domain::facts::kubernetes::Node;
use crate::domain::facts::{KubernetesFacts, PostgresFacts};
use crate::domain::finding::Finding;
use crate::domain::sample::{Failure, FailureKind};

/// Another region with a replica, a cluster and a bucket, and the judging of it.
struct Region {
    world: World,
    correlator: Correlator,
}

const NEEDS: &[(&str, SourceKind)] =
    &[("pg-b", SourceKind::Postgres), ("k8s-2", SourceKind::Kubernetes), ("copies", SourceKind::Bucket)];

impl Region {
    fn new() -> Self {
        let standby = Standby {
            id: "dr".into(),
            region: "eu-west".to_owned(),
            needs: NEEDS.iter().map(|(id, _)| (*id).into()).collect(),
            lag: Duration::from_mins(1),
        };
        let of = |(id, kind): &(&str, SourceKind)| SourceSpec {
            id: (*id).into(),
            kind: *kind,
            interval: Duration::from_secs(10),
            address: (*id).to_owned(),
        };
        let estate = estate(vec![tenant("t017", 1)]);
        let world =
            World::new(estate.clone(), NEEDS.iter().map(of).chain(specs(std::slice::from_ref(&standby))), at(0));
        let settings = Settings { standby: vec![standby], ..Settings::default() };
        Self { world, correlator: Correlator::new(settings, &estate, jiff::tz::db()) }
    }

    fn see(&mut self, source: &str, second: i64, result: Result<Facts, Failure>) {
        let sample =
            Sample { source: source.into(), taken_at: at(second), took: Duration::ZERO, result: result.map(Arc::new) };
        self.take(&sample);
    }

    /// As the engine takes it.
    fn take(&mut self, sample: &Sample) {
        let before = self.world.sources[&sample.source].good.clone();
        assert!(self.world.take(sample.clone()));
        self.correlator.observe(before.as_ref().map(|g| &*g.facts), sample);
    }

    /// All is well but what is handed in; what is then known of the region, and its finding.
    fn with(
        &mut self,
        second: i64,
        other: &[(&str, Result<Facts, Failure>)],
    ) -> (Option<f64>, String, Option<Finding>) {
        for (source, facts) in
            [("pg-b", replica(Some(2.0), "streaming")), ("k8s-2", cluster(true)), ("copies", bucket(true))]
        {
            let other = other.iter().find(|(id, _)| *id == source).map(|(_, result)| result.clone());
            self.see(source, second, other.unwrap_or(Ok(facts)));
        }
        for sample in self.correlator.standbys(&self.world, at(second)) {
            self.take(&sample);
        }
        let findings = self.correlator.evaluate(&self.world, at(second)).findings;
        let good = self.world.sources.get(&"dr".into()).and_then(|s| s.good.clone()).unwrap();
        let Facts::Measured(facts) = &*good.facts else { panic!("{good:?}") };
        let ready = facts.readings.iter().find(|r| r.signal == "standby.ready").map(|r| r.value);
        (ready, facts.said.join("; "), findings.into_iter().find(|f| f.rule == "standby-not-ready"))
    }
}

fn replica(lag: Option<f64>, receiver: &str) -> Facts {
    Facts::Postgres(PostgresFacts {
        in_recovery: true,
        replay_lag_s: lag,
        wal_receiver: Some(receiver.to_owned()),
        ..PostgresFacts::default()
    })
}

fn cluster(is_ready: bool) -> Facts {
    let node =
        |name: &str, ready| Node { name: name.to_owned(), ready: Some(ready), cordoned: false, pressure: Vec::new() };
    Facts::Kubernetes(KubernetesFacts {
        nodes: vec![node("a", is_ready), node("b", false)],
        ..KubernetesFacts::default()
    })
}

fn bucket(is_locked: bool) -> Facts {
    let mut facts = MeasuredFacts::of(SourceKind::Bucket);
    let subject = Subject::Backup { source: "copies".into(), backup: "copies".into() };
    facts.measure(&subject, "bucket.locked", f64::from(u8::from(is_locked)));
    Facts::Measured(facts)
}

fn gone() -> Failure {
    Failure { kind: FailureKind::Unreachable, message: "nobody listens at h:5432".to_owned() }
}

#[test]
fn a_region_is_ready_only_when_all_that_it_needs_is() {
    let mut region = Region::new();
    let (ready, said, finding) = region.with(10, &[]);
    assert_eq!((ready, said.as_str(), finding), (Some(1.0), "", None));
    let primary = Facts::Postgres(PostgresFacts { in_recovery: false, ..PostgresFacts::default() });
    let cases = [
        ("pg-b", replica(Some(61.0), "streaming"), "pg-b is 61 s behind, 60 s were agreed"),
        ("pg-b", replica(Some(0.0), "stopping"), "pg-b receives no WAL"),
        ("pg-b", primary, "pg-b is a primary, not a replica"),
        ("k8s-2", cluster(false), "k8s-2 has no node that takes pods, of 2"),
        ("copies", bucket(false), "copies is critical: "),
    ];
    for (number, (source, facts, why)) in (2..).zip(cases) {
        let (ready, said, finding) = region.with(number * 10, &[(source, Ok(facts))]);
        assert_eq!(ready, Some(0.0), "{said}");
        assert!(said.contains(why), "{said}");
        let finding = finding.unwrap_or_else(|| panic!("no finding where {said}"));
        assert!(finding.what.contains("could not take over now"), "{}", finding.what);
    }
}

#[test]
fn what_is_not_known_is_neither_ready_nor_well_again() {
    let mut region = Region::new();
    for (source, result, why) in [
        ("pg-b", Err(gone()), "pg-b is not known: nobody listens"),
        ("pg-b", Ok(replica(None, "streaming")), "pg-b is not known: it does not say how far"),
    ] {
        let (ready, said, _) = region.with(10, &[(source, result)]);
        assert_eq!(ready, None, "{said}");
        assert!(said.contains(why), "{said}");
        region = Region::new();
    }
    // A source that fails for certain is enough, whatever the others say.
    let (ready, said, finding) = region.with(20, &[("pg-b", Err(gone())), ("copies", Ok(bucket(false)))]);
    assert!(ready == Some(0.0) && finding.is_some() && said.contains("; pg-b is not known"), "{said}");
    // Then nothing is known: the finding stays until the region is seen to be ready.
    for second in [30, 40, 50, 60] {
        let (ready, _, finding) = region.with(second, &[("pg-b", Err(gone()))]);
        assert!(ready.is_none() && finding.is_some(), "{second}");
    }
    let last = [70, 80, 90, 100].map(|second| region.with(second, &[]));
    assert!(last[3].2.is_none(), "{:?}", last[3]);
}
