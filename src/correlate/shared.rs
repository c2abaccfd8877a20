//! Many tenants red: what they share. Harm of three tenants or more that nothing else explains, and that stand on one
//! service on which most tenants are red, is one finding about that service.

use super::because::tenant_of;
use super::finding::{Build, Made};
use super::{silence, whom};
use crate::domain::finding::{Class, Finding, Level};
use crate::domain::id::{FindingId, TenantId};
use crate::domain::signal::Subject;
use std::collections::{BTreeMap, BTreeSet};

/// So many tenants are many.
const MANY: usize = 3;

/// Services that the same tenants stand on, and which of these are red.
struct Suspect<'a> {
    services: Vec<&'a str>,
    red: BTreeSet<&'a TenantId>,
    all: usize,
}

/// Puts findings together that one service explains.
pub(super) fn together(build: &Build<'_>, made: Vec<Made>) -> Vec<Made> {
    let alone = |m: &Made| m.finding.classes == [Class::Impact] && tenant_of(&m.finding.subject).is_some();
    let mut rules: BTreeMap<String, Vec<Made>> = BTreeMap::new();
    let mut out = Vec::new();
    for one in made {
        if alone(&one) { rules.entry(one.finding.rule.clone()).or_default().push(one) } else { out.push(one) }
    }
    for (_, group) in rules {
        let red: BTreeSet<TenantId> = group.iter().filter_map(|m| tenant_of(&m.finding.subject)).cloned().collect();
        match suspect(build, &red).filter(|_| red.len() >= MANY) {
            Some(suspect) => out.extend(merge(build, group, &suspect)),
            None => out.extend(group),
        }
    }
    out
}

/// The service on which most of the red tenants stand, and on which the greatest share of tenants is red.
fn suspect<'a>(build: &Build<'a>, red: &BTreeSet<TenantId>) -> Option<Suspect<'a>> {
    let index = build.index;
    let mut by_service: BTreeMap<&str, Suspect<'a>> = BTreeMap::new();
    for tenant in &index.estate().tenants {
        for service in index.stands_on(tenant) {
            let known =
                by_service.entry(service).or_insert(Suspect { services: vec![service], red: BTreeSet::new(), all: 0 });
            known.all += 1;
            if red.contains(&tenant.id) {
                known.red.insert(&tenant.id);
            }
        }
    }
    let fits = |s: &Suspect<'_>| s.red.len() >= MANY && s.red.len() * 2 >= s.all && s.red.len() * 3 >= red.len() * 2;
    let mut fitting: Vec<Suspect<'a>> = by_service.into_values().filter(fits).collect();
    // Of those that explain as many, the one with fewer tenants that are well.
    fitting.sort_by(|a, b| b.red.len().cmp(&a.red.len()).then_with(|| a.all.cmp(&b.all)));
    let mut fitting = fitting.into_iter();
    let mut first = fitting.next()?;
    // What can not be told apart is named together.
    for other in fitting.filter(|o| o.red == first.red && o.all == first.all).collect::<Vec<_>>() {
        first.services.extend(other.services);
    }
    Some(first)
}

fn merge(build: &Build<'_>, group: Vec<Made>, suspect: &Suspect<'_>) -> Vec<Made> {
    let explained = |m: &Made| tenant_of(&m.finding.subject).is_some_and(|t| suspect.red.contains(t));
    let (inside, mut out): (Vec<Made>, Vec<Made>) = group.into_iter().partition(explained);
    let mut inside = inside.into_iter();
    let Some(mut first) = inside.next() else { return out };
    let names = suspect.services.join(", ");
    let service = suspect.services.first().copied().unwrap_or_default();
    let id = FindingId::new(format!("{}/{service}", first.finding.rule));
    for other in inside {
        absorb(&mut first.finding, other.finding);
        first.keys.extend(other.keys);
    }
    let finding = &mut first.finding;
    finding.id = id;
    finding.level = Level::Alert;
    finding.what = format!(
        "{} of {} tenants; all stand on {}, where {} of {} tenants are red: {}",
        finding.rule.replace('-', " "),
        suspect.red.len(),
        names,
        suspect.red.len(),
        suspect.all,
        finding.what
    );
    let subjects: Vec<Subject> = suspect.red.iter().map(|t| Subject::Tenant { tenant: (*t).clone() }).collect();
    finding.whom = whom::hurt(subjects.iter(), build);
    if let Some(subject) = build.world.sources.iter().find(|(id, _)| id.as_str() == service) {
        finding.subject = silence::subject(subject.1, build.index);
    }
    finding.because.push(format!(
        "the declared dependencies: {} of the {} tenants that stand on {} are red",
        suspect.red.len(),
        suspect.all,
        names
    ));
    finding.disproof = format!("a tenant that does not stand on {names} fails the same way");
    out.push(first);
    out
}

fn absorb(into: &mut Finding, other: Finding) {
    into.severity = into.severity.max(other.severity);
    into.since = into.since.min(other.since);
    into.good_intervals = into.good_intervals.min(other.good_intervals);
    into.evidence.extend(other.evidence.into_iter().take(1));
    into.evidence.truncate(6);
    for change in other.changed {
        if !into.changed.contains(&change) {
            into.changed.push(change);
        }
    }
    into.changed.sort_by_key(|change| std::cmp::Reverse(change.at));
    into.changed.truncate(8);
}
