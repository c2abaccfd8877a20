//! The one table of signals: name, unit, subjects, meaning, source and default thresholds. Rules, panes,
//! configuration, playbook lint and the help texts all read it.

mod business;
mod database;
mod delivery;
mod ingress;
mod platform;
mod queue;
mod recovery;
mod security;
mod tenants;

use crate::domain::health::Health;
use crate::domain::pane::Pane;
use crate::domain::signal::{Subject, Unit};
use hashbrown::HashMap;
use std::sync::LazyLock;

/// Kind of subject that a signal can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKind {
    /// A tenant.
    Tenant,
    /// A PostgreSQL instance or a `PgBouncer`.
    Instance,
    /// A job channel.
    Channel,
    /// A Redis instance.
    Redis,
    /// A router that no tenant owns.
    Router,
    /// An ingress.
    Ingress,
    /// A cluster.
    Cluster,
    /// A node.
    Node,
    /// A namespace of a cluster.
    Namespace,
    /// A workload that no tenant owns.
    Workload,
    /// A volume, or a claim of one.
    Volume,
    /// Servers of PostgreSQL that one keeper keeps.
    Keep,
    /// A repository of backups, or a bucket.
    Backup,
    /// What a delivery controller delivers.
    Application,
    /// A certificate that a controller renews.
    Certificate,
    /// An address that is probed from here.
    Endpoint,
    /// An integration of a tenant.
    Integration,
    /// A list or a stream of a Redis.
    Key,
    /// An alert of another system.
    Alert,
    /// A process that goes on by hand; no signal is about one.
    ByHand,
    /// A source itself.
    Source,
}

impl SubjectKind {
    /// The kind of a subject.
    pub const fn of(subject: &Subject) -> Self {
        match subject {
            Subject::Tenant { .. } => Self::Tenant,
            Subject::Instance { .. } => Self::Instance,
            Subject::Channel { .. } => Self::Channel,
            Subject::Redis { .. } => Self::Redis,
            Subject::Router { .. } => Self::Router,
            Subject::Ingress { .. } => Self::Ingress,
            Subject::Cluster { .. } => Self::Cluster,
            Subject::Node { .. } => Self::Node,
            Subject::Namespace { .. } => Self::Namespace,
            Subject::Workload { .. } => Self::Workload,
            Subject::Volume { .. } => Self::Volume,
            Subject::Keep { .. } => Self::Keep,
            Subject::Backup { .. } => Self::Backup,
            Subject::Application { .. } => Self::Application,
            Subject::Certificate { .. } => Self::Certificate,
            Subject::Endpoint { .. } => Self::Endpoint,
            Subject::Integration { .. } => Self::Integration,
            Subject::Key { .. } => Self::Key,
            Subject::Alert { .. } => Self::Alert,
            Subject::ByHand { .. } => Self::ByHand,
            Subject::Source { .. } => Self::Source,
        }
    }
}

/// Which way is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Greater is worse.
    Above,
    /// Less is worse.
    Below,
}

/// Two thresholds in the unit of their signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Warn from here on.
    pub warn: f64,
    /// Critical from here on.
    pub critical: f64,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// Its position in the table.
    pub row: u16,
    /// Name, as in expressions, thresholds and evidence.
    pub name: &'static str,
    /// Unit of its values.
    pub unit: Unit,
    /// The pane that shows it; a value about a tenant stands in that tenant's row too.
    pub pane: Pane,
    /// What it is, one line.
    pub what: &'static str,
    /// View, column, command or metric that it comes from.
    pub source: &'static str,
    /// Kinds of subject it is about.
    pub subjects: &'static [SubjectKind],
    /// Which way is worse.
    pub direction: Direction,
    /// Default thresholds; `None` when there is no value that is bad everywhere.
    pub limits: Option<Limits>,
}

impl Signal {
    /// Grades a value against thresholds; something that is not a number is unknown.
    pub fn grade(&self, value: f64, limits: Option<Limits>) -> Health {
        let Some(limits) = limits else { return if value.is_nan() { Health::Unknown } else { Health::Ok } };
        match self.direction {
            Direction::Above => Health::above(Some(value), limits.warn, limits.critical),
            Direction::Below => Health::above(Some(-value), -limits.warn, -limits.critical),
        }
    }
}

const fn plain(
    name: &'static str,
    unit: Unit,
    subjects: &'static [SubjectKind],
    what: &'static str,
    source: &'static str,
) -> Signal {
    Signal {
        row: 0,
        name,
        unit,
        pane: Pane::Tenants,
        what,
        source,
        subjects,
        direction: Direction::Above,
        limits: None,
    }
}

/// Greater is worse.
const fn high(
    name: &'static str,
    unit: Unit,
    subjects: &'static [SubjectKind],
    what: &'static str,
    source: &'static str,
    warn: f64,
    critical: f64,
) -> Signal {
    Signal { limits: Some(Limits { warn, critical }), ..plain(name, unit, subjects, what, source) }
}

/// Less is worse.
const fn low(
    name: &'static str,
    unit: Unit,
    subjects: &'static [SubjectKind],
    what: &'static str,
    source: &'static str,
    warn: f64,
    critical: f64,
) -> Signal {
    Signal { direction: Direction::Below, ..high(name, unit, subjects, what, source, warn, critical) }
}

const PANES: [(Pane, &[Signal]); 9] = [
    (Pane::Tenants, tenants::ROWS),
    (Pane::Database, database::ROWS),
    (Pane::Queue, queue::ROWS),
    (Pane::Ingress, ingress::ROWS),
    (Pane::Platform, platform::ROWS),
    (Pane::Recovery, recovery::ROWS),
    (Pane::Delivery, delivery::ROWS),
    (Pane::Business, business::ROWS),
    (Pane::Security, security::ROWS),
];

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of bounds")]
const COUNT: usize = {
    let (mut pane, mut count) = (0, 0);
    while pane < PANES.len() {
        count += PANES[pane].1.len();
        pane += 1;
    }
    count
};

/// All rows, sorted by name while the program is compiled.
#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, which refuses an index out of bounds; there are some hundred rows"
)]
const SORTED: [Signal; COUNT] = {
    let mut all = [plain("", Unit::Count, &[], "", ""); COUNT];
    let (mut pane, mut filled) = (0, 0);
    while pane < PANES.len() {
        let (of, rows) = PANES[pane];
        let mut row = 0;
        while row < rows.len() {
            let mut at = filled;
            while at > 0 && before(rows[row].name, all[at - 1].name) {
                all[at] = all[at - 1];
                at -= 1;
            }
            all[at] = Signal { pane: of, ..rows[row] };
            filled += 1;
            row += 1;
        }
        pane += 1;
    }
    let mut row = 0;
    while row < all.len() {
        all[row].row = row as u16;
        row += 1;
    }
    all
};

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of bounds")]
const fn before(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return a[at] < b[at];
        }
        at += 1;
    }
    a.len() < b.len()
}

/// All signals, in the order of their names.
pub static SIGNALS: &[Signal] = &SORTED;

/// Names of all signals, in their order.
pub fn names() -> Vec<&'static str> {
    SIGNALS.iter().map(|s| s.name).collect()
}

/// Rows of the table by name: every reading asks for its row, and names are long and alike.
static ROWS: LazyLock<HashMap<&'static str, &'static Signal>> =
    LazyLock::new(|| SIGNALS.iter().map(|signal| (signal.name, signal)).collect());

/// The row of a signal.
pub fn find(name: &str) -> Option<&'static Signal> {
    ROWS.get(name).copied()
}

/// Names of the same family as a name that there is not, or all.
pub fn near(name: &str) -> Vec<&'static str> {
    let family = name.split('.').next().unwrap_or_default();
    let names = || SIGNALS.iter().map(|s| s.name);
    let same: Vec<_> = names().filter(|n| n.split('.').next() == Some(family)).collect();
    if same.is_empty() { names().collect() } else { same }
}

/// Thresholds in force, one for each row of the table.
#[derive(Clone, Debug)]
pub struct Thresholds(Vec<Option<Limits>>);

impl Default for Thresholds {
    fn default() -> Self {
        Self(SIGNALS.iter().map(|s| s.limits).collect())
    }
}

impl Thresholds {
    /// Sets the thresholds of one signal; false when there is no such signal.
    pub fn set(&mut self, name: &str, limits: Limits) -> bool {
        let slot = find(name).and_then(|signal| self.0.get_mut(usize::from(signal.row)));
        slot.map(|slot| *slot = Some(limits)).is_some()
    }

    /// The thresholds of a signal.
    pub fn of(&self, signal: &Signal) -> Option<Limits> {
        self.0.get(usize::from(signal.row)).copied().flatten()
    }

    /// Grades a value of a signal.
    pub fn grade(&self, signal: &Signal, value: f64) -> Health {
        signal.grade(value, self.of(signal))
    }

    /// The same by the name of the signal; an unknown name is unknown health.
    pub fn grade_named(&self, name: &str, value: f64) -> Health {
        find(name).map_or(Health::Unknown, |signal| self.grade(signal, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_row_can_be_found() {
        assert!(SIGNALS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for signal in SIGNALS {
            assert_eq!(find(signal.name).unwrap().name, signal.name);
            assert!(!signal.subjects.is_empty() && !signal.what.is_empty() && !signal.source.is_empty());
        }
        assert!(find("lock.blokked").is_none());
    }

    #[test]
    fn thresholds_lie_in_the_direction_of_worse() {
        for signal in SIGNALS {
            let Some(limits) = signal.limits else { continue };
            let ordered = match signal.direction {
                Direction::Above => limits.warn <= limits.critical,
                Direction::Below => limits.warn >= limits.critical,
            };
            assert!(ordered, "{}", signal.name);
        }
    }

    #[test]
    fn both_directions_grade_and_nan_is_unknown() {
        let limits = Thresholds::default();
        assert_eq!(limits.grade_named("lock.blocked", 4.0), Health::Ok);
        assert_eq!(limits.grade_named("lock.blocked", 5.0), Health::Warn);
        assert_eq!(limits.grade_named("lock.blocked", 20.0), Health::Critical);
        assert_eq!(limits.grade_named("certificate.days", 22.0), Health::Ok);
        assert_eq!(limits.grade_named("certificate.days", 19.0), Health::Warn);
        assert_eq!(limits.grade_named("certificate.days", -1.0), Health::Critical);
        assert_eq!(limits.grade_named("workload.available", 0.5), Health::Warn);
        assert_eq!(limits.grade_named("workload.available", 0.0), Health::Critical);
        assert_eq!(limits.grade_named("reload.ok", 0.0), Health::Warn);
        assert_eq!(limits.grade_named("http.p50", f64::NAN), Health::Unknown);
        assert_eq!(limits.grade_named("http.p95", f64::NAN), Health::Unknown);
        assert_eq!(limits.grade_named("no.such", 1.0), Health::Unknown);
    }

    /// The table as `docs/signals.md` has it.
    fn document() -> String {
        let unit = |unit: Unit| match unit {
            Unit::Count => "count",
            Unit::Seconds => "s",
            Unit::Ratio => "share",
            Unit::Bytes => "bytes",
            Unit::PerSecond => "per s",
            Unit::BytesPerSecond => "bytes/s",
            Unit::Days => "days",
            Unit::Cores => "cores",
            Unit::Flag => "yes/no",
        };
        let mut text = String::from(
            "# Signals\n\nEvery number that is observed, by the pane that shows it; made from the table in `correlate::signals` by its \
             test (`UPDATE_SIGNALS=1 cargo test --lib correlate::signals`).\nEach may also come from a Prometheus \
             (`[[prometheus.query]]`); the source of a value says which. A value that is not known is shown as unknown with why.\n",
        );
        for pane in Pane::ALL {
            text.push_str(&format!(
                "\n## {}\n\n| signal | unit | of | what | source | warn | critical |\n",
                pane.word()
            ));
            text.push_str("|---|---|---|---|---|---|---|\n");
            for s in SIGNALS.iter().filter(|s| s.pane == pane) {
                let subjects: Vec<String> = s.subjects.iter().map(|k| format!("{k:?}").to_lowercase()).collect();
                let sign = if s.direction == Direction::Above { "≥" } else { "≤" };
                // A threshold that no value reaches is none.
                let reached = |limit: f64| match s.unit {
                    Unit::Flag => (0.0..=1.0).contains(&limit),
                    _ => true,
                };
                let limit = |pick: fn(Limits) -> f64| match s.limits.map(pick).filter(|l| reached(*l)) {
                    Some(limit) => format!("{sign} {limit}"),
                    None => String::new(),
                };
                text.push_str(&format!(
                    "| `{}` | {} | {} | {} | {} | {} | {} |\n",
                    s.name,
                    unit(s.unit),
                    subjects.join(", "),
                    s.what,
                    s.source.replace('|', "\\|"),
                    limit(|l| l.warn),
                    limit(|l| l.critical)
                ));
            }
        }
        text
    }

    #[test]
    fn the_document_of_signals_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/signals.md");
        if std::env::var_os("UPDATE_SIGNALS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == document(), "docs/signals.md is not what the table says; run with UPDATE_SIGNALS=1");
    }
}
