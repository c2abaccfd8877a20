//! What the configuration says to the correlation: thresholds that differ, and what each Redis is for.

use super::rules::Rules;
use super::signals::{Limits, Thresholds, near};
use crate::config::model::{Config, Standby, Threshold};
use crate::domain::estate::{Occasion, Service, Terms};
use crate::domain::id::{SourceId, TenantId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Settings of panes and rules.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Thresholds in force.
    pub thresholds: Thresholds,
    /// What each Redis is for: `cache`, `session` or `queue`. It decides what an eviction means.
    pub redis_purpose: BTreeMap<SourceId, String>,
    /// The business calendar beside the cut-offs of tenants.
    pub calendar: Vec<Occasion>,
    /// The rules in force.
    pub rules: Arc<Rules>,
    /// What stands on what, as it is declared.
    pub services: Vec<Service>,
    /// What was agreed about tenants.
    pub terms: BTreeMap<TenantId, Terms>,
    /// Regions that take over.
    pub standby: Vec<Standby>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            redis_purpose: BTreeMap::new(),
            rules: Rules::built_in(),
            services: Vec::new(),
            terms: BTreeMap::new(),
            calendar: Vec::new(),
            standby: Vec::new(),
        }
    }
}

/// A threshold names a signal that is not in the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no signal `{name}`; near to it: {}", near.join(", "))]
pub struct UnknownSignal {
    /// What was found.
    pub name: String,
    /// Names with the same beginning, or all.
    pub near: Vec<&'static str>,
}

impl Settings {
    /// Settings of a configuration. Unknown signals are reported all at once.
    pub fn from_config(config: &Config) -> Result<Self, Vec<UnknownSignal>> {
        let redis_purpose = config.redis.iter().map(|r| (r.id.clone(), r.purpose.clone())).collect();
        Ok(Self {
            thresholds: thresholds(&config.thresholds)?,
            redis_purpose,
            services: config.services.clone(),
            terms: config.terms.clone(),
            calendar: config.calendar.clone(),
            standby: config.standby.clone(),
            ..Self::default()
        })
    }
}

/// The defaults with these in their places.
pub fn thresholds(configured: &[Threshold]) -> Result<Thresholds, Vec<UnknownSignal>> {
    let mut all = Thresholds::default();
    let unknown: Vec<_> = configured
        .iter()
        .filter(|t| !all.set(&t.signal, Limits { warn: t.warn, critical: t.critical }))
        .map(|t| UnknownSignal { name: t.signal.clone(), near: near(&t.signal) })
        .collect();
    if unknown.is_empty() { Ok(all) } else { Err(unknown) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::signals::find;

    #[test]
    fn a_threshold_replaces_the_default_and_a_wrong_name_is_told_its_neighbours() {
        let set = |signal: &str| Threshold { signal: signal.into(), warn: 7.0, critical: 9.0 };
        let all = thresholds(&[set("lock.blocked"), set("queue.depth")]).unwrap();
        let of = |name| all.of(find(name).unwrap());
        assert_eq!(of("lock.blocked"), Some(Limits { warn: 7.0, critical: 9.0 }));
        assert_eq!(of("queue.depth"), Some(Limits { warn: 7.0, critical: 9.0 }));
        let errors = thresholds(&[set("lock.blokked"), set("zzz")]).unwrap_err();
        assert_eq!(errors.len(), 2);
        assert_eq!(errors[0].near, ["lock.blocked", "lock.oldest"]);
    }
}
