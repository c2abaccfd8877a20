//! The rules: which signals make which finding, after how long, of which class, what explains it, which playbooks fit,
//! and what would disprove it. They are data: `rules/built-in.toml` ships, files of the user replace and add. Read by
//! [`decode`], said in words by [`explain`].

pub mod decode;
mod explain;

use super::signals::{Limits, SubjectKind};
use crate::domain::estate::OccasionKind;
use crate::domain::finding::Class;
use crate::domain::health::Health;
use std::sync::{Arc, OnceLock};

/// Name of the rule for sources that went silent; it has no signal.
pub const SOURCE_UNKNOWN: &str = "source-unknown";
/// Where the shipped rules come from.
pub const BUILT_IN: &str = "built-in";
/// The shipped rules.
const SHIPPED: &str = include_str!("../../../rules/built-in.toml");

/// What the absence of a reading means while its source is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The thing is gone, and with it the trouble: a channel without jobs, a node taken out.
    Good,
    /// It can not be told: a router without requests has no share of errors.
    Unknown,
}

/// A playbook that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fits {
    /// Its id.
    pub playbook: String,
    /// Why.
    pub why: String,
}

/// On which side of what is usual a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// So many times as much, or more.
    Over,
    /// So much of it, or less.
    Under,
}

/// A condition on what is usual for a signal at this hour of the week.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beyond {
    /// On which side.
    pub side: Side,
    /// It warns from so many times what is usual on.
    pub warn: f64,
    /// It is critical from so many times on.
    pub critical: f64,
    /// What is usual counts as at least this much over, and below it nothing is judged under: a multiple of next to
    /// nothing is nothing.
    pub at_least: f64,
}

impl Beyond {
    /// The thresholds where this is usual; none where that is too little to be judged.
    pub fn limits(&self, usual: f64) -> Option<Limits> {
        let base = match self.side {
            Side::Over => usual.max(self.at_least),
            Side::Under if usual < self.at_least => return None,
            Side::Under => usual,
        };
        Some(Limits { warn: self.warn * base, critical: self.critical * base })
    }

    /// Grades a value where this is usual.
    pub fn grade(&self, value: f64, usual: f64) -> Health {
        let Some(limits) = self.limits(usual) else { return Health::Ok };
        match self.side {
            Side::Over => Health::above(Some(value), limits.warn, limits.critical),
            Side::Under => Health::above(Some(-value), -limits.warn, -limits.critical),
        }
    }

    /// The factor of a grade.
    pub const fn factor(&self, health: Health) -> f64 {
        match health {
            Health::Critical => self.critical,
            _ => self.warn,
        }
    }
}

/// How long something must hold before it counts, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Beyond the first threshold.
    pub warn_s: u32,
    /// Beyond the second.
    pub critical_s: u32,
}

/// What a rule judges by while the calendar has something in force.
#[derive(Clone, Debug, PartialEq)]
pub struct During {
    /// Kind of the occasion.
    pub kind: OccasionKind,
    /// The one occasion that is meant; every one of its kind when absent.
    pub what: Option<String>,
    /// Seconds before it begins from which on it counts.
    pub before_s: u32,
    /// Seconds after its end for which it counts.
    pub after_s: u32,
    /// In place of the rule's.
    pub hold_s: Option<u32>,
    /// In place of the rule's.
    pub critical_hold_s: Option<u32>,
    /// In place of those of its signals.
    pub thresholds: Vec<(&'static str, Limits)>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Name: `lock-chain`.
    pub name: String,
    /// Signals, any of which raises it.
    pub signals: Vec<&'static str>,
    /// What it takes of what is usual; it judges by thresholds when absent.
    pub usual: Option<Beyond>,
    /// Kinds of subject that it judges; the first is the one that findings are about, the others stand in
    /// where nothing of the first kind is to blame on the same source.
    pub subjects: Vec<SubjectKind>,
    /// What it is beyond the first threshold.
    pub class: Class,
    /// What it is beyond the second.
    pub critical_class: Class,
    /// Seconds for which it must hold beyond the first threshold.
    pub hold_s: u32,
    /// Seconds for which it must hold beyond the second.
    pub critical_hold_s: u32,
    /// What it judges by in phases of the calendar; the first that is in force counts.
    pub during: Vec<During>,
    /// Whether it explains failing or slow requests of the tenant.
    pub explains_impact: bool,
    /// Whether a deploy shortly before is its likely cause before anybody is harmed, so that the rollback is offered.
    pub blames_deploy: bool,
    /// Rules that, when they hold for the same tenant, explain this one.
    pub explained_by: Vec<String>,
    /// Playbooks that fit a tenant's finding.
    pub offers: Vec<Fits>,
    /// The signal of the same subject that says whether it still goes on, where its own ones trail behind.
    pub present: Option<&'static str>,
    /// What the absence of a reading means.
    pub absent: Absent,
    /// What would disprove it.
    pub disproof: String,
    /// `built-in`, or the file that it comes from.
    pub origin: String,
}

impl Rule {
    /// What it is at this severity.
    pub const fn class_at(&self, health: Health) -> Class {
        match health {
            Health::Critical => self.critical_class,
            _ => self.class,
        }
    }

    /// How long it must hold, in a phase of the calendar or else.
    pub fn holds(&self, during: Option<usize>) -> Holds {
        let during = during.and_then(|position| self.during.get(position));
        Holds {
            warn_s: during.and_then(|d| d.hold_s).unwrap_or(self.hold_s),
            critical_s: during.and_then(|d| d.critical_hold_s).unwrap_or(self.critical_hold_s),
        }
    }

    /// The thresholds of a signal in a phase of the calendar, where these are others then.
    pub fn limits(&self, during: Option<usize>, signal: &str) -> Option<Limits> {
        let during = self.during.get(during?)?;
        during.thresholds.iter().find(|(name, _)| *name == signal).map(|(_, limits)| *limits)
    }

    /// Whether it judges this kind of subject.
    pub fn judges(&self, kind: SubjectKind) -> bool {
        self.subjects.contains(&kind)
    }
}

/// All rules, in the order in which they explain: the first of several causes heads the finding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// The shipped rules; read once.
    pub fn built_in() -> Arc<Self> {
        static ONCE: OnceLock<Arc<Rules>> = OnceLock::new();
        // A test holds that nothing is wrong with them.
        Arc::clone(ONCE.get_or_init(|| Arc::new(decode::all(&[], &[]).0)))
    }

    /// The rule at a position.
    pub fn get(&self, position: usize) -> Option<&Rule> {
        self.0.get(position)
    }

    /// All, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// Signals that a rule compares with what is usual.
    pub fn asks_usual(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().filter(|r| r.usual.is_some()).flat_map(|r| r.signals.iter().copied())
    }

    /// The rule of a name.
    pub fn find(&self, name: &str) -> Option<&Rule> {
        self.0.iter().find(|r| r.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::signals::{self, SIGNALS};
    use std::collections::BTreeSet;

    #[test]
    fn nothing_is_wrong_with_the_shipped_rules() {
        let (rules, problems) = decode::all(&[], &[]);
        assert!(problems.is_empty(), "{problems:#?}");
        assert!(rules.iter().count() > 50);
        let offered: BTreeSet<&str> = rules.iter().flat_map(|r| &r.offers).map(|o| o.playbook.as_str()).collect();
        for id in offered {
            let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("playbooks/{id}.yaml"));
            assert!(shipped.is_file(), "{id} is offered and does not ship");
        }
    }

    #[test]
    fn each_signal_with_limits_has_its_rule() {
        let rules = Rules::built_in();
        let seen: BTreeSet<&str> = rules.iter().flat_map(|r| r.signals.iter().copied()).collect();
        // The worse of web and workers, which have their rule.
        let folded = ["workload.available"];
        for signal in SIGNALS.iter().filter(|s| s.limits.is_some() && !folded.contains(&s.name)) {
            assert!(seen.contains(signal.name), "{} has limits and no rule", signal.name);
        }
        assert!(signals::find("lock.blocked").is_some());
    }
}
