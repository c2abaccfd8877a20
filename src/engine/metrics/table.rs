//! The table of measures, and how it is written down: `OpenMetrics` text, which Prometheus takes since 2.5. There are
//! no names of tenants, of people or of incidents in it: whoever has a login on this machine can ask.

use super::process::Process;
use crate::domain::health::Health;
use crate::domain::incident::{IncidentState, Severity};
use crate::domain::pane::SourceRow;
use crate::domain::run::RunState;
use crate::domain::sample::SourceKind;
use crate::engine::api::{RequestState, Snapshot};
use crate::engine::counters::Counters;
use crate::journal::Status;
use crate::journal::synced::{BOUNDS_US, Synced};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// All that is looked at for one answer.
#[derive(Debug)]
pub struct View {
    /// The newest snapshot.
    pub snapshot: Arc<Snapshot>,
    /// When the engine was last heard of.
    pub beat: Timestamp,
    /// What is on the disk.
    pub journal: Status,
    /// What was asked and refused.
    pub counters: Arc<Counters>,
    /// This process.
    pub process: Process,
    /// Tasks of the runtime that live.
    pub tasks: u64,
    /// Now, by the wall clock.
    pub now: Timestamp,
}

/// Labels by name, and the value.
type Value = (Vec<(&'static str, String)>, f64);

/// How the values of a measure are come by.
enum Form {
    /// Values that go up and down.
    Gauge(fn(&View) -> Vec<Value>),
    /// Values that only grow; `_total` is put behind the name.
    Counter(fn(&View) -> Vec<Value>),
    /// The times that syncs took, in seconds.
    Syncs(fn(&View) -> &Synced),
}

/// One measure.
pub struct Measure {
    /// Name.
    pub name: &'static str,
    /// What it is, in words.
    pub help: &'static str,
    form: Form,
}

const fn gauge(name: &'static str, help: &'static str, read: fn(&View) -> Vec<Value>) -> Measure {
    Measure { name, help, form: Form::Gauge(read) }
}

const fn counter(name: &'static str, help: &'static str, read: fn(&View) -> Vec<Value>) -> Measure {
    Measure { name, help, form: Form::Counter(read) }
}

/// All measures. `docs/metrics.md` has the same names, which a test holds.
pub const MEASURES: &[Measure] = &[
    gauge("quarterdeck_build", "Version of the program; always 1", |_| {
        vec![(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)]
    }),
    gauge("quarterdeck_engine_beat_age_seconds", "Time since the engine's last turn; one is due each second", |v| {
        one(age(v, Some(v.beat)))
    }),
    gauge("quarterdeck_health", "1 for the state that the whole estate is in", |v| {
        [Health::Ok, Health::Warn, Health::Critical, Health::Unknown]
            .map(|h| (vec![("state", h.word().to_owned())], truth(v.snapshot.health == h)))
            .to_vec()
    }),
    gauge("quarterdeck_sources", "Sources by kind, and by whether what they said last can be relied on", counted),
    gauge("quarterdeck_source_up", "1 while what a source said last can be relied on", |v| {
        sources(v, |row| Some(truth(row.health != Health::Unknown)))
    }),
    gauge(
        "quarterdeck_source_age_seconds",
        "Time since the last good answer of a source; absent before the first",
        |v| sources(v, |row| age(v, row.observed_at)),
    ),
    gauge("quarterdeck_source_took_seconds", "How long the last good answer of a source took", |v| {
        sources(v, |row| row.took_ms.map(|ms| ms / 1000.0))
    }),
    gauge("quarterdeck_findings", "Findings that stand, by how bad they are", |v| {
        [Health::Warn, Health::Critical, Health::Unknown]
            .map(|h| count("severity", h.word(), v.snapshot.findings.iter().filter(|f| f.severity == h).count()))
            .to_vec()
    }),
    gauge("quarterdeck_incidents_open", "Incidents that are not closed, by severity", |v| {
        let open = |s: Severity| {
            v.snapshot.incidents.iter().filter(|i| i.severity == s && i.state != IncidentState::Closed).count()
        };
        [Severity::Sev1, Severity::Sev2, Severity::Sev3, Severity::Sev4]
            .map(|s| count("severity", &s.to_string(), open(s)))
            .to_vec()
    }),
    gauge("quarterdeck_runs_open", "Runs of playbooks that have not ended, by state", |v| {
        [RunState::Running, RunState::Waiting, RunState::Stopped, RunState::Unknown]
            .map(|s| count("state", s.word(), v.snapshot.runs.iter().filter(|r| r.state == s).count()))
            .to_vec()
    }),
    gauge("quarterdeck_requests_waiting", "Requests for signatures that nobody has answered", |v| {
        number(v.snapshot.requests.iter().filter(|r| r.state == RequestState::Open).count())
    }),
    gauge("quarterdeck_measures_in_force", "Measures that somebody has to take back", |v| {
        number(v.snapshot.measures.len())
    }),
    gauge("quarterdeck_glass_broken", "1 while the glass is broken or its review is owed", |v| {
        one(Some(truth(v.snapshot.glass.is_some())))
    }),
    gauge("quarterdeck_consoles_attached", "Consoles at the engine, by what they may", |v| {
        let with = |read_only| v.snapshot.consoles.iter().filter(|c| c.read_only == read_only).count();
        vec![count("access", "full", with(false)), count("access", "read-only", with(true))]
    }),
    gauge("quarterdeck_journal_records", "Records on the disk", |v| one(Some(float(v.journal.size)))),
    gauge("quarterdeck_journal_newest_timestamp_seconds", "Time of the newest record on the disk", |v| {
        one(v.journal.synced.newest.map(|at| at.as_duration().as_secs_f64()))
    }),
    gauge("quarterdeck_journal_writable", "0 when nothing new may begin because of the journal", |v| {
        one(Some(truth(v.journal.broken.is_none() && v.snapshot.journal.broken.is_none())))
    }),
    gauge("quarterdeck_journal_free_bytes", "Room that is left where the journal lies", |v| {
        one(v.process.journal_free.map(float))
    }),
    gauge("quarterdeck_journal_copied_records", "Records of which outsiders know, by who they are", |v| {
        let journal = &v.snapshot.journal;
        let known = [("witnesses", &journal.witnessed), ("anchor", &journal.anchored)];
        known
            .into_iter()
            .filter_map(|(by, outside)| Some((vec![("by", by.to_owned())], float(outside.as_ref()?.size))))
            .collect()
    }),
    Measure {
        name: "quarterdeck_journal_sync_seconds",
        help: "How long the disk took to take a batch of records",
        form: Form::Syncs(|v| &v.journal.synced),
    },
    counter("quarterdeck_commands", "Commands of people that would change something, by what came of them", |v| {
        let by = |word: &str, counter: &AtomicU64| {
            (vec![("answer", word.to_owned())], float(counter.load(Ordering::Relaxed)))
        };
        let Counters { taken, refused, denied, .. } = &*v.counters;
        vec![by("taken", taken), by("refused", refused), by("denied", denied)]
    }),
    counter("quarterdeck_peers_turned_away", "Peers of the socket that were not let in or broke its rules", |v| {
        one(Some(float(v.counters.turned_away.load(Ordering::Relaxed))))
    }),
    gauge("quarterdeck_tasks", "Tasks of the runtime that live", |v| one(Some(float(v.tasks)))),
    gauge("process_resident_memory_bytes", "Resident memory", |v| one(v.process.resident.map(float))),
    gauge("process_threads", "Threads", |v| one(v.process.threads.map(float))),
    gauge("process_open_fds", "Open file descriptors", |v| one(v.process.descriptors.map(float))),
    gauge("process_max_fds", "File descriptors that may be open", |v| one(v.process.most_descriptors.map(float))),
];

/// Numbers above 2^53 lose their last digits, which no measure here reaches.
#[allow(clippy::cast_precision_loss, reason = "as above")]
const fn float(number: u64) -> f64 {
    number as f64
}

fn truth(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

fn one(value: Option<f64>) -> Vec<Value> {
    value.map(|v| (Vec::new(), v)).into_iter().collect()
}

fn number(count: usize) -> Vec<Value> {
    one(Some(float(count as u64)))
}

fn count(label: &'static str, word: &str, count: usize) -> Value {
    (vec![(label, word.to_owned())], float(count as u64))
}

fn age(view: &View, at: Option<Timestamp>) -> Option<f64> {
    at.map(|at| view.now.duration_since(at).as_secs_f64().max(0.0))
}

/// Whether sources of a kind are one a tenant, and named for it: there may be thousands, and their names are nobody's
/// business, so that they are only counted.
const fn is_of_tenant(kind: SourceKind) -> bool {
    matches!(kind, SourceKind::Odoo | SourceKind::Business | SourceKind::Synthetic | SourceKind::Integration)
}

fn sources(view: &View, read: impl Fn(&SourceRow) -> Option<f64>) -> Vec<Value> {
    let rows = view.snapshot.panes.sources.iter().filter(|row| !is_of_tenant(row.kind));
    rows.filter_map(|row| Some((vec![("source", row.id.to_string()), ("kind", row.kind.to_string())], read(row)?)))
        .collect()
}

/// All sources by kind and by whether they can be relied on; none is left out where a kind has any.
fn counted(view: &View) -> Vec<Value> {
    let mut kinds: BTreeMap<SourceKind, [u64; 2]> = BTreeMap::new();
    for row in &view.snapshot.panes.sources {
        let [up, unknown] = kinds.entry(row.kind).or_default();
        let which = if row.health == Health::Unknown { unknown } else { up };
        *which = which.saturating_add(1);
    }
    let state =
        |kind: SourceKind, word: &str, n| (vec![("kind", kind.to_string()), ("state", word.to_owned())], float(n));
    kinds
        .into_iter()
        .flat_map(|(kind, [up, unknown])| [state(kind, "up", up), state(kind, "unknown", unknown)])
        .collect()
}

/// Writes all of it down.
pub fn written(view: View) -> Result<String, fmt::Error> {
    let (mut text, mut registry) = (String::new(), Registry::default());
    registry.register_collector(Box::new(view));
    text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for View {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Measure { name, help, form } in MEASURES {
            match form {
                Form::Gauge(read) => {
                    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                    each(&mut family, read(self), |metric, value| metric.encode_gauge(&value))?;
                }
                Form::Counter(read) => {
                    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
                    each(&mut family, read(self), |metric, value| {
                        metric.encode_counter::<NoLabelSet, f64, f64>(&value, None)
                    })?;
                }
                Form::Syncs(read) => {
                    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
                    let Synced { count, total, classes, .. } = read(self);
                    let within: u64 = classes.iter().sum();
                    let mut buckets: Vec<(f64, u64)> =
                        BOUNDS_US.iter().zip(classes).map(|(us, n)| (float(*us) / 1e6, *n)).collect();
                    buckets.push((f64::INFINITY, count.saturating_sub(within)));
                    metric.encode_histogram::<NoLabelSet>(total.as_secs_f64(), *count, &buckets, None)?;
                }
            }
        }
        Ok(())
    }
}

fn each(
    family: &mut MetricEncoder<'_>,
    values: Vec<Value>,
    write: impl Fn(&mut MetricEncoder<'_>, f64) -> fmt::Result,
) -> fmt::Result {
    for (labels, value) in values {
        if labels.is_empty() {
            write(family, value)?;
        } else {
            write(&mut family.encode_family(&labels)?, value)?;
        }
    }
    Ok(())
}
