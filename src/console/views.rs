//! Views by role: what each sees first. One table: the order of the panes, the pane under the cursor, how rows are sorted,
//! which columns come first, and from where on a value stands out for whoever looks. It changes what is shown first and
//! how, never what a finding is: health and rules are the same for everybody.

use super::rows::Column;
use super::state::PaneId;
use crate::domain::health::Health;
use crate::domain::pane::Pane;

/// For whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Worst first, everything.
    #[default]
    Commander,
    /// Databases and what brings them back.
    Dba,
    /// What the business does with Odoo.
    Erp,
    /// What keeps others out.
    Security,
    /// What everything runs on.
    Operations,
}

/// From where on a value stands out in a view, in the unit of its signal; worse is less where `critical` is less.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Signal.
    pub signal: &'static str,
    /// It stands out from here on.
    pub warn: f64,
    /// And more from here on.
    pub critical: f64,
}

const fn mark(signal: &'static str, warn: f64, critical: f64) -> Mark {
    Mark { signal, warn, critical }
}

/// One row of the table.
#[derive(Debug)]
pub struct Profile {
    /// For whom.
    pub view: View,
    /// The word of the command line and the configuration.
    pub word: &'static str,
    /// What comes first, for people.
    pub what: &'static str,
    /// The order of the panes.
    pub panes: [Pane; 9],
    /// The pane of the overview that has the cursor.
    pub first: PaneId,
    /// How panes are sorted: by the label of the order.
    pub sorts: &'static [(PaneId, &'static str)],
    /// Titles of columns that come before others.
    pub columns: &'static [&'static str],
    /// What stands out earlier than for others.
    pub marks: &'static [Mark],
}

use Pane::{Business, Database, Delivery, Ingress, Platform, Queue, Recovery, Security, Tenants};

/// The table.
pub static PROFILES: [Profile; 5] = [
    Profile {
        view: View::Commander,
        word: "commander",
        what: "worst first, everything",
        panes: Pane::ALL,
        first: PaneId::Tenants,
        sorts: &[],
        columns: &[],
        marks: &[],
    },
    Profile {
        view: View::Dba,
        word: "dba",
        what: "databases, pools and recovery; locks, lag and long transactions",
        panes: [Database, Recovery, Queue, Tenants, Platform, Ingress, Delivery, Business, Security],
        first: PaneId::Databases,
        sorts: &[(PaneId::Databases, "most blocked first")],
        columns: &["lag", "blocked", "oldest", "longest tx", "used", "idle in tx", "rpo"],
        marks: &[
            mark("replication.lag", 1.0, 10.0),
            mark("lock.blocked", 1.0, 5.0),
            mark("connections.share", 0.7, 0.9),
            mark("transaction.longest", 60.0, 180.0),
            mark("idle_in_transaction.longest", 30.0, 120.0),
        ],
    },
    Profile {
        view: View::Erp,
        word: "erp",
        what: "tenants, jobs and business; queues, crons and orders",
        panes: [Tenants, Queue, Business, Delivery, Database, Ingress, Platform, Recovery, Security],
        first: PaneId::Tenants,
        sorts: &[(PaneId::Tenants, "oldest queue first"), (PaneId::Queues, "oldest first")],
        columns: &["queue", "oldest", "cron", "failed", "zombies", "image", "changed"],
        marks: &[
            mark("queue.oldest", 120.0, 600.0),
            mark("cron.lateness", 300.0, 900.0),
            mark("http.p95", 1.0, 3.0),
            mark("queue.zombies", 1.0, 5.0),
        ],
    },
    Profile {
        view: View::Security,
        word: "security",
        what: "certificates, delivery and owners; what changed",
        panes: [Security, Delivery, Ingress, Tenants, Platform, Recovery, Database, Queue, Business],
        first: PaneId::Changes,
        sorts: &[(PaneId::Tenants, "certificate first"), (PaneId::Ingress, "certificate first")],
        columns: &["cert", "changed", "owner", "4xx", "image", "tenancy"],
        marks: &[mark("certificate.days", 45.0, 14.0), mark("http.share_4xx", 0.05, 0.2)],
    },
    Profile {
        view: View::Operations,
        word: "operations",
        what: "platform, ingress and delivery; pods, restarts and errors",
        panes: [Platform, Ingress, Delivery, Tenants, Database, Queue, Recovery, Security, Business],
        first: PaneId::Ingress,
        sorts: &[(PaneId::Tenants, "most errors first"), (PaneId::Ingress, "most errors first")],
        columns: &["web", "workers", "restarts", "5xx", "p95", "quota", "changed"],
        marks: &[mark("http.share_5xx", 0.005, 0.03), mark("http.p95", 1.0, 3.0), mark("workload.restarts", 3.0, 15.0)],
    },
];

impl View {
    /// The view of a word.
    pub fn named(word: &str) -> Option<Self> {
        PROFILES.iter().find(|p| p.word == word).map(|p| p.view)
    }

    /// What is allowed, in words.
    pub fn words() -> String {
        PROFILES.iter().map(|p| p.word).collect::<Vec<_>>().join(", ")
    }

    /// Its row of the table.
    pub fn profile(self) -> &'static Profile {
        let [commander, ..] = &PROFILES;
        PROFILES.iter().find(|p| p.view == self).unwrap_or(commander)
    }

    /// The one after it, round.
    #[must_use]
    pub fn after(self) -> Self {
        let at = PROFILES.iter().position(|p| p.view == self).unwrap_or(0);
        PROFILES.get((at + 1) % PROFILES.len()).map_or(Self::Commander, |p| p.view)
    }
}

impl Profile {
    /// Columns in its order, each with its place among those of the rows: the first and what is always shown, then those
    /// that come first here, then the others.
    pub fn arrange(&self, columns: &[Column]) -> Vec<(usize, Column)> {
        let all = || columns.iter().copied().enumerate();
        if self.columns.is_empty() {
            return all().collect();
        }
        let lifted = |c: &Column| self.columns.contains(&c.title) && c.rank > 0;
        let always = all().filter(|(i, c)| *i == 0 || c.rank == 0);
        let first =
            self.columns.iter().filter_map(|title| all().find(|(i, c)| c.title == *title && *i > 0 && lifted(c)));
        let others = all().filter(|(i, c)| *i > 0 && c.rank > 0 && !lifted(c));
        let with = |rank: u8| move |(i, c): (usize, Column)| (i, Column { rank, ..c });
        let later = |(i, c): (usize, Column)| (i, Column { rank: c.rank.saturating_add(1), ..c });
        always.chain(first.map(with(1))).chain(others.map(later)).collect()
    }

    /// How a value stands out in it; nothing where it stands out for nobody in particular.
    pub fn grade(&self, signal: &str, value: Option<f64>) -> Option<Health> {
        let mark = self.marks.iter().find(|m| m.signal == signal)?;
        let value = value?;
        Some(if mark.warn <= mark.critical {
            Health::above(Some(value), mark.warn, mark.critical)
        } else {
            Health::above(Some(-value), -mark.warn, -mark.critical)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::rows::PaneRow;
    use crate::correlate::signals::{self, Direction};
    use crate::domain::pane::{ChannelRow, DatabaseRow, IngressRow, QueueRow, TenantRow};

    /// Titles of all columns, and labels of all orders of a pane.
    fn of<R: PaneRow>() -> (Vec<&'static str>, Vec<&'static str>) {
        (R::COLUMNS.iter().map(|c| c.title).collect(), R::SORTS.iter().map(|s| s.label).collect())
    }

    #[test]
    fn the_table_names_only_what_there_is() {
        let titles: Vec<&str> =
            [of::<TenantRow>().0, of::<DatabaseRow>().0, of::<ChannelRow>().0, of::<IngressRow>().0].concat();
        for profile in &PROFILES {
            let mut panes = profile.panes;
            panes.sort();
            let mut all = Pane::ALL;
            all.sort();
            assert_eq!(panes, all, "{} has every pane once", profile.word);
            for title in profile.columns {
                assert!(titles.contains(title), "{}: there is no column {title}", profile.word);
            }
            for (pane, label) in profile.sorts {
                let labels = match pane {
                    PaneId::Tenants => of::<TenantRow>().1,
                    PaneId::Databases => of::<DatabaseRow>().1,
                    PaneId::Queues => of::<QueueRow>().1,
                    PaneId::Ingress => of::<IngressRow>().1,
                    other => panic!("{other:?}"),
                };
                assert!(labels.contains(label), "{}: {pane:?} is not sorted {label}", profile.word);
            }
            for mark in profile.marks {
                let signal = signals::find(mark.signal).unwrap_or_else(|| panic!("{}", mark.signal));
                assert_eq!(mark.warn <= mark.critical, signal.direction == Direction::Above, "{}", mark.signal);
            }
            assert_eq!(View::named(profile.word), Some(profile.view));
        }
    }

    #[test]
    fn the_configuration_takes_each_word_of_the_table_and_no_other() {
        let file =
            |word: &str| format!("[estate]\nname = \"a\"\nenvironment = \"staging\"\n[console]\nview = \"{word}\"\n");
        for profile in &PROFILES {
            let config = crate::config::decode::decode("c.toml", &file(profile.word)).unwrap();
            assert_eq!(config.console.view.as_deref(), Some(profile.word));
        }
        let problems = crate::config::decode::decode("c.toml", &file("boss")).unwrap_err().to_string();
        assert!(
            problems.contains("c.toml:5:8: `view` of [console] is `boss`; allowed is commander, dba"),
            "{problems}"
        );
    }

    #[test]
    fn the_views_go_round_and_each_is_its_own() {
        let mut view = View::Commander;
        let mut seen = Vec::new();
        for _ in 0..PROFILES.len() {
            seen.push(view.profile().word);
            view = view.after();
        }
        assert_eq!(view, View::Commander);
        assert_eq!(seen, ["commander", "dba", "erp", "security", "operations"]);
    }

    #[test]
    fn columns_of_a_role_come_first_and_none_is_lost() {
        for profile in &PROFILES {
            let arranged = profile.arrange(TenantRow::COLUMNS);
            let mut places: Vec<usize> = arranged.iter().map(|(i, _)| *i).collect();
            assert_eq!(places.first(), Some(&0));
            places.sort_unstable();
            assert_eq!(places, (0..TenantRow::COLUMNS.len()).collect::<Vec<_>>(), "{}", profile.word);
        }
        let erp: Vec<&str> = View::Erp.profile().arrange(TenantRow::COLUMNS).iter().map(|(_, c)| c.title).collect();
        assert_eq!(erp[..5], ["tenant", "what", "queue", "oldest", "cron"]);
    }

    #[test]
    fn a_value_stands_out_for_whom_it_concerns() {
        let dba = View::Dba.profile();
        assert_eq!(dba.grade("replication.lag", Some(2.0)), Some(Health::Warn));
        assert_eq!(dba.grade("replication.lag", None), None);
        assert_eq!(View::Commander.profile().grade("replication.lag", Some(2.0)), None);
        assert_eq!(View::Security.profile().grade("certificate.days", Some(12.0)), Some(Health::Critical));
        assert_eq!(View::Security.profile().grade("certificate.days", Some(90.0)), Some(Health::Ok));
    }
}
