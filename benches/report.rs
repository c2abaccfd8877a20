//! How long a year of 500 incidents takes to report: `cargo bench --bench report` writes such a journal and runs what
//! `report governance` and `report INC-250` run. The bar is 2 s.

use jiff::{SignedDuration, Timestamp};
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::estate::Environment;
use quarterdeck::domain::id::IncidentId;
use quarterdeck::domain::mode::Mode;
use quarterdeck::journal::read::Filter;
use quarterdeck::journal::verify::{self, Options};
use quarterdeck::journal::{Draft, Journal, Kind, OpenOptions, fold};
use quarterdeck::report::{self, Collector, Trends};
use serde_json::{Value, json};
use std::error::Error;
use std::time::{Duration, Instant};

/// Incidents of the year.
const INCIDENTS: i64 = 500;
/// Steps of each.
const STEPS: i64 = 12;
/// Time between two of them.
const EACH: i64 = 365 * 86_400 / INCIDENTS;
/// What a report may take.
const BAR: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let first: Timestamp = "2025-11-22T00:00:00Z".parse()?;
    let me = Actor { user: "mara".into(), uid: 1000, via: "bench".into(), host: "h".into(), console: None };
    let options =
        OpenOptions::new(dir.path(), "quarterdeck/bench", me.clone(), Mode::Live, Environment::Production, first);
    let (journal, _) = Journal::open(options)?;
    let mut records = 0;
    for n in 1..=INCIDENTS {
        let all: Vec<Draft> = incident(n)
            .into_iter()
            .map(|(second, kind, body)| Draft {
                kind,
                incident: Some(IncidentId::new(format!("INC-{n}"))),
                body,
                actor: me.clone(),
                mode: Mode::Live,
                environment: Environment::Production,
                time: first + SignedDuration::from_secs((n - 1) * EACH + second),
            })
            .collect();
        records += all.len();
        journal.append_blocking(all)?;
    }
    journal.close_blocking(first + SignedDuration::from_hours(365 * 24))?;
    println!("{INCIDENTS} incidents, {records} records");

    let began = Instant::now();
    let mut trends = Trends::new(first);
    fold::replay(dir.path(), Filter::default(), &mut trends)?;
    let text = report::governance_html(&trends.report(&[]))?;
    said("report governance", began.elapsed(), text.len());

    let began = Instant::now();
    let mut collector = Collector::new(IncidentId::new("INC-250"));
    fold::replay(dir.path(), Filter::default(), &mut collector)?;
    let report = collector.report().ok_or("INC-250 is not there")?;
    verify::verify(dir.path(), &Options::default())?;
    let text = report::html(&report)?;
    said("report INC-250, the log verified", began.elapsed(), text.len());
    Ok(())
}

fn said(what: &str, took: Duration, bytes: usize) {
    let ratio = took.as_secs_f64() / BAR.as_secs_f64();
    let within = if took <= BAR { "yes" } else { "NO" };
    println!("{what}: {took:.2?}, {bytes} bytes; {ratio:.2} of the bar of {BAR:?}; within it: {within}");
}

/// Records of one incident: second, kind and body.
fn incident(n: i64) -> Vec<(i64, Kind, Value)> {
    let (finding, run, tenant) = (format!("lock-chain/t{}", n % 40), format!("RUN-{n}"), format!("t{}", n % 40));
    let mut all = vec![
        (
            0,
            Kind::FindingRaised,
            json!({ "finding": finding, "rule": "lock-chain", "what": "a chain", "severity": "critical", "tenants": [tenant] }),
        ),
        (20, Kind::FindingAcknowledged, json!({ "finding": finding })),
        (
            60,
            Kind::IncidentDeclared,
            json!({ "title": "orders stand still", "severity": "SEV2", "findings": [finding] }),
        ),
        (
            90,
            Kind::RunStarted,
            json!({ "run": run, "playbook": "schema-lock", "playbook_version": 3, "playbook_digest": "ab", "by": "mara",
                    "params": { "tenant": tenant } }),
        ),
    ];
    for step in 0..STEPS {
        let at = 100 + step * 20;
        let of = |more: Value| {
            let mut body = json!({ "run": run, "step": format!("step-{step}") });
            if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
                body.extend(more);
            }
            body
        };
        let request = json!({ "verb": "postgres.terminate_backend", "target": { "object": "backend 7" } });
        let assessment = json!({ "risk": "high", "reasons": ["at least high"] });
        all.extend([
            (at, Kind::StepIntended, of(json!({ "digest": "d1", "request": request, "assessment": assessment }))),
            (at + 2, Kind::StepConfirmed, of(json!({ "by": "mara" }))),
            (at + 4, Kind::ApprovalGranted, of(json!({ "person": "ines" }))),
            (at + 5, Kind::StepStarted, of(json!({}))),
            (at + 6, Kind::StepFinished, of(json!({ "ended": "done", "summary": "told to end" }))),
            (at + 9, Kind::StepVerified, of(json!({}))),
            (at + 10, Kind::NoteAdded, json!({ "text": "the plant calls again" })),
        ]);
    }
    let end = 100 + STEPS * 20;
    let word = json!({ "message": format!("MSG-{n}"), "audience": "customer", "to": ["customer"], "channel": "email", "by": "ines" });
    all.extend([
        (end, Kind::CommsSent, word),
        (end + 1, Kind::RunFinished, json!({ "run": run, "state": "finished" })),
        (end + 5, Kind::FindingCleared, json!({ "finding": finding })),
        (end + 9, Kind::RecoveryAccepted, json!({ "person": "olga" })),
        (end + 20, Kind::IncidentClosed, json!({ "summary": "the deploy was taken back" })),
    ]);
    all
}
