//! One row an observer.

use super::{Sight, age_s};
use crate::domain::facts::{Facts, Missing};
use crate::domain::health::Health;
use crate::domain::id::SourceId;
use crate::domain::pane::SourceRow;
use crate::domain::sample::{Freshness, SourceKind};
use std::collections::BTreeMap;

pub(super) fn rows(sight: Sight<'_>) -> Vec<SourceRow> {
    let watched = watched(sight);
    let rows = sight.world.sources.values().map(|state| {
        let missing = state.good.as_ref().map_or_else(Vec::new, |good| missing(&good.facts).to_vec());
        let (health, unknown_since, why) = match state.freshness(sight.now) {
            Freshness::Unknown { since, why, .. } => (Health::Unknown, Some(since), Some(why)),
            Freshness::Fresh { .. } => match missing.first() {
                Some(first) => (Health::Warn, None, Some(lacks(first, missing.len()))),
                None => (Health::Ok, None, None),
            },
        };
        SourceRow {
            id: state.spec.id.clone(),
            kind: state.spec.kind,
            health,
            address: state.spec.address.as_str().into(),
            observed_at: state.good.as_ref().map(|good| good.taken_at),
            age_s: age_s(state, sight.now),
            took_ms: state.good.as_ref().map(|good| good.took.as_secs_f64() * 1000.0),
            unknown_since,
            why,
            missing,
            said: state.good.as_ref().map_or_else(Vec::new, |good| said(&good.facts)),
            watched_by: watched.and_then(|by| by.get(&state.spec.id)).cloned(),
        }
    });
    rows.collect()
}

/// Which sources other engines watch, while that is known.
fn watched(sight: Sight<'_>) -> Option<&BTreeMap<SourceId, String>> {
    let sharing = sight.world.sources.values().find(|state| state.spec.kind == SourceKind::Sharing)?;
    match sharing.fresh_facts(sight.now)? {
        Facts::Measured(facts) => Some(&facts.watched),
        _ => None,
    }
}

fn lacks(first: &Missing, count: usize) -> String {
    match count - 1 {
        0 => format!("can not see {}: {}", first.disables, first.remedy),
        more => format!("can not see {} and {more} more: {}", first.disables, first.remedy),
    }
}

/// Sentences of one source that a row carries.
const SENTENCES: usize = 16;

fn said(facts: &Facts) -> Vec<String> {
    let said = match facts {
        Facts::Measured(facts) => &facts.said[..],
        Facts::Odoo(facts) => facts.bloat.as_ref().map_or(&[][..], |bloat| &bloat.said),
        _ => &[],
    };
    said.iter().take(SENTENCES).cloned().collect()
}

fn missing(facts: &Facts) -> &[Missing] {
    match facts {
        Facts::Kubernetes(facts) => &facts.missing,
        Facts::Postgres(facts) => &facts.missing,
        Facts::Pgbouncer(_) => &[],
        Facts::Odoo(facts) => &facts.missing,
        Facts::Redis(facts) => &facts.missing,
        Facts::Traefik(facts) => &facts.missing,
        Facts::Measured(facts) => &facts.missing,
    }
}
