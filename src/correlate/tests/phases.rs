//! Rules that judge otherwise while the calendar has something in force.

use super::support::{Bench, at, jobs, tenant};
use crate::correlate::rules::{Rules, decode};
use crate::correlate::signals::Thresholds;
use crate::correlate::{Correlator, Settings};
use crate::domain::estate::{Occasion, OccasionKind};
use std::sync::Arc;

const RULES: &str = r#"
[[rule]]
name = "queue-age"
class = "cause"
signals = ["queue.oldest", "queue.depth"]
subjects = ["channel"]
disproof = "it is done"
[[rule.during]]
calendar = "mrp"
after = "10m"
hold = "60s"
critical_hold = "60s"
thresholds = [{ signal = "queue.oldest", warn = 1800, critical = 3600 }]
"#;

fn rules() -> Arc<Rules> {
    let (rules, problems) = decode::all(&[("own.toml".into(), RULES.into())], &[]);
    assert!(problems.is_empty(), "{problems:?}");
    Arc::new(rules)
}

/// A planning run of one tenant from 02:00 to 02:20; the bench begins at 02:00 UTC.
fn run(tenants: &[&str]) -> Occasion {
    Occasion {
        what: "night run".into(),
        kind: OccasionKind::Mrp,
        days: Vec::new(),
        from: jiff::civil::time(2, 0, 0, 0),
        to: Some(jiff::civil::time(2, 20, 0, 0)),
        time_zone: "UTC".into(),
        tenants: tenants.iter().map(|t| (*t).into()).collect(),
    }
}

fn bench(calendar: Vec<Occasion>) -> Bench {
    let mut bench = Bench::new(vec![tenant("t017", 1), tenant("t003", 2)]);
    let settings = Settings { rules: rules(), calendar, ..Settings::default() };
    let estate = bench.correlator.index().estate().clone();
    bench.correlator = Correlator::new(settings, &estate, jiff::tz::db());
    bench
}

fn ids(bench: &mut Bench, second: i64) -> Vec<String> {
    bench.findings(second).iter().map(|f| f.id.to_string()).collect()
}

#[test]
fn thresholds_and_holds_move_for_whom_it_concerns_and_move_back() {
    let mut bench = bench(vec![run(&["t017"])]);
    for second in [0, 30, 60, 90] {
        bench.see("odoo/t017", second, jobs(9, Some(1000.0), 0));
        bench.see("odoo/t003", second, jobs(9, Some(1000.0), 0));
    }
    assert_eq!(ids(&mut bench, 90), ["queue-age/t003/root"], "a queue of 17 minutes is critical but in the run");
    // Beyond the thresholds of the run it counts, after the hold of the run.
    bench.see("odoo/t017", 600, jobs(9, Some(2000.0), 0));
    assert_eq!(ids(&mut bench, 601), ["queue-age/t003/root"]);
    bench.see("odoo/t017", 660, jobs(9, Some(2060.0), 0));
    let found = bench.findings(661);
    let f = found.iter().find(|f| f.id.as_str() == "queue-age/t017/root").unwrap();
    assert!((f.evidence[0].threshold - 1800.0).abs() < f64::EPSILON);
    let said = "it is judged as the rule declares it for night run of the calendar, until 02:30Z";
    assert!(f.because.iter().any(|b| b == said), "{:?}", f.because);
    assert!(f.because[0].contains("warns from 30m00s"), "{:?}", f.because);
    // It is over ten minutes after the run: the same queue counts at once.
    let mut bench = self::bench(vec![run(&["t017"])]);
    for (second, found) in [(1799, 0), (1800, 1)] {
        bench.see("odoo/t017", second, jobs(9, Some(1000.0), 0));
        assert_eq!(ids(&mut bench, second).len(), found, "{second}");
    }
}

#[test]
fn what_is_declared_is_explained_and_said_where_the_calendar_has_none_such() {
    let rules = rules();
    let rule = rules.find("queue-age").unwrap();
    let during = |calendar: Option<&[Occasion]>| {
        let lines = rules.explain(rule, &Thresholds::default(), calendar);
        lines.into_iter().find(|(name, _)| *name == "during").unwrap().1
    };
    let said = "mrp, until 10m00s after it: queue.oldest warns from 30m00s, critical from 1h00m; counts after 60 s beyond the first \
                threshold; counts after 60 s beyond the second threshold";
    assert_eq!(during(None), said);
    assert_eq!(during(Some(&[run(&[])])), said);
    assert_eq!(during(Some(&[])), format!("{said}; the calendar declares none such"));
    assert_eq!(at(0).to_string(), "2026-11-20T02:00:00Z", "the run begins with the bench");
}
