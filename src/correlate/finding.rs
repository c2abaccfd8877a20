//! Active conditions into findings: what explains what, whom it hurts, on what evidence, and what to do.

use super::calendar::Calendar;
use super::condition::{CLEARS_AFTER, Condition, Value};
use super::history::{History, Newest};
use super::index::Index;
use super::phases::Phases;
use super::readings::kubernetes::by_tenant;
use super::rules::{Rule, Rules, SOURCE_UNKNOWN};
use super::signals::{self, Limits, Signal, SubjectKind, Thresholds};
use super::silence::Group;
use super::usual::Baselines;
use super::{because, locks, neighbours, say, shared, whom, words};
use crate::domain::facts::Facts;
use crate::domain::finding::{Change, Class, Evidence, Finding, Level, Offer};
use crate::domain::health::Health;
use crate::domain::id::{FindingId, SourceId, TenantId};
use crate::domain::signal::Subject;
use crate::domain::text::first_of;
use crate::domain::world::World;
use jiff::{SignedDuration, Timestamp};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How long before a finding a change may explain it.
const RECENT: SignedDuration = SignedDuration::from_mins(60);

/// A condition that counts.
pub(super) struct Active<'a> {
    pub source: &'a SourceId,
    pub rule: &'a Rule,
    /// Position of the rule: the lower, the more it explains.
    pub rank: usize,
    pub subject: &'a Subject,
    pub condition: &'a Condition,
    /// Its source is not fresh.
    pub stale: bool,
}

impl Active<'_> {
    pub(super) fn class(&self) -> Class {
        self.rule.class_at(self.condition.severity)
    }

    fn severity(&self) -> Health {
        if self.stale || self.condition.untold { Health::Unknown } else { self.condition.severity }
    }

    fn explains_impact(&self) -> bool {
        self.rule.explains_impact && self.class() == Class::Cause
    }
}

/// What findings are made from.
pub(super) struct Build<'a> {
    pub world: &'a World,
    pub index: &'a Index,
    pub calendar: &'a Calendar,
    pub thresholds: &'a Thresholds,
    pub history: &'a History,
    pub baselines: &'a Baselines,
    pub phases: &'a Phases,
    pub changes: &'a VecDeque<Change>,
    pub now: Timestamp,
}

/// Whether a finding is of a kind that makes requests fail or wait, or is such harm itself.
pub(super) fn bites(rules: &Rules, finding: &Finding) -> bool {
    rules.find(&finding.rule).is_some_and(|r| r.explains_impact || r.class == Class::Impact)
}

/// The order in which findings are shown and worked on, worst first:
///
/// 1. what it entitles to (incident, alert, note);
/// 2. whether it hurts transactions already;
/// 3. how bad it is (critical, unknown, warn);
/// 4. whether it is of a kind that makes requests fail or wait: a lock chain before an expiring certificate;
/// 5. whether something is at stake within two hours: a cut-off, a shift, a planning run;
/// 6. whom it hurts: the most critical tenant, then more plants, then more tenants;
/// 7. the nearer of what is at stake;
/// 8. the older one, and its name.
pub(super) fn worst_first(rules: &Rules, now: Timestamp, a: &Finding, b: &Finding) -> Ordering {
    let hurts = |f: &Finding| f.classes.contains(&Class::Impact);
    // What is absent comes last: nobody is hurt, no cut-off is known.
    let criticality = |f: &Finding| f.whom.criticality.unwrap_or(u8::MAX);
    let cutoff = |f: &Finding| f.whom.next_cutoff.as_ref().map_or(Timestamp::MAX, |c| c.at);
    let soon = |f: &Finding| cutoff(f).duration_since(now) <= SOON;
    (b.level.cmp(&a.level))
        .then_with(|| hurts(b).cmp(&hurts(a)))
        .then_with(|| b.severity.cmp(&a.severity))
        .then_with(|| bites(rules, b).cmp(&bites(rules, a)))
        .then_with(|| soon(b).cmp(&soon(a)))
        .then_with(|| criticality(a).cmp(&criticality(b)))
        .then_with(|| b.whom.plants.len().cmp(&a.whom.plants.len()))
        .then_with(|| b.whom.tenants.len().cmp(&a.whom.tenants.len()))
        .then_with(|| cutoff(a).cmp(&cutoff(b)))
        .then_with(|| a.since.cmp(&b.since))
        .then_with(|| a.id.cmp(&b.id))
}

/// How near what is at stake ranks a finding before others.
const SOON: SignedDuration = SignedDuration::from_hours(2);

/// What names a condition across evaluations.
pub(super) type Key = (SourceId, usize, Subject);

/// A finding with the conditions that it tells of, its own first.
pub(super) struct Made {
    pub finding: Finding,
    pub keys: Vec<Key>,
}

/// How long what a cause of impact has done may outlast it before it is a finding of its own.
const AFTERMATH: SignedDuration = SignedDuration::from_secs(60);

/// The same where the rule judges what trails behind, and what is present is well: the short window of a burn rate goes
/// on for five minutes after the last failing request, and to take a release back then would hurt those who are served
/// again.
const TRAILS: SignedDuration = SignedDuration::from_mins(10);

/// A finding for each condition that nothing else explains, with what it explains folded into it. `explained`
/// says when a condition was last told of by the finding of such a cause.
pub(super) fn from_active(build: &Build<'_>, all: &[Active<'_>], explained: &BTreeMap<Key, Timestamp>) -> Vec<Made> {
    let shown: Vec<&Active<'_>> = unshadowed(all);
    let heads = heads(build, &shown);
    let mut groups: BTreeMap<usize, Vec<&Active<'_>>> = BTreeMap::new();
    for (i, active) in shown.iter().enumerate() {
        let root = root(&heads, i);
        let group = groups.entry(root).or_default();
        if root == i { group.insert(0, active) } else { group.push(active) }
    }
    let is_over = |active: &Active<'_>| {
        let Some(signal) = active.rule.present else { return false };
        let fresh = |n: &Newest<'_>| n.told_by(build.world).is_some_and(|s| s.freshness(build.now).is_fresh());
        let present = build.history.latest(active.subject, signal).filter(fresh);
        present.is_some_and(|n| build.thresholds.grade(n.signal, n.value) == Health::Ok)
    };
    let aftermath = |key: &Key, active: &Active<'_>| {
        // What is looked at seldom needs longer to be seen well three times.
        let interval = build.world.sources.get(&key.0).map(|s| s.spec.interval * (u32::from(CLEARS_AFTER) + 1));
        let lasting = interval.and_then(|i| SignedDuration::try_from(i).ok()).unwrap_or(AFTERMATH).max(AFTERMATH);
        explained.get(key).is_some_and(|at| {
            let past = build.now.duration_since(*at);
            past < lasting || (past < TRAILS && is_over(active))
        })
    };
    let deploys = if groups.is_empty() { BTreeMap::new() } else { deploys(build) };
    let made = groups.into_values().filter_map(|mut group| {
        if let Some(rest) = group.get_mut(1..) {
            // Harm first, then what explains most.
            rest.sort_by(|a, b| {
                (b.class() == Class::Impact)
                    .cmp(&(a.class() == Class::Impact))
                    .then_with(|| a.rank.cmp(&b.rank))
                    .then_with(|| a.subject.cmp(b.subject))
            });
        }
        let keys: Vec<Key> = group.iter().map(|a| (a.source.clone(), a.rank, a.subject.clone())).collect();
        if keys.first().zip(group.first()).is_some_and(|(key, active)| aftermath(key, active)) {
            return None;
        }
        Some(Made { finding: one(build, &group, &deploys)?, keys })
    });
    shared::together(build, made.collect())
}

/// Drops what stands for a whole instance, cluster or ingress where a tenant of the same source is to blame.
fn unshadowed<'a, 'b>(all: &'b [Active<'a>]) -> Vec<&'b Active<'a>> {
    let shared = |a: &Active<'_>| {
        use SubjectKind::{Cluster, Ingress, Instance};
        // The certificate of an ingress is one that no tenant has.
        matches!(SubjectKind::of(a.subject), Instance | Cluster | Ingress) && a.rule.name != "certificate"
    };
    let owned: BTreeSet<(usize, &SourceId)> =
        all.iter().filter(|a| whom::owner(a.subject).is_some()).map(|a| (a.rank, a.source)).collect();
    all.iter().filter(|a| !(shared(a) && owned.contains(&(a.rank, a.source)))).collect()
}

/// For each condition the one that explains it, if one does.
fn heads(build: &Build<'_>, all: &[&Active<'_>]) -> Vec<Option<usize>> {
    let mut by_tenant: BTreeMap<&TenantId, Vec<usize>> = BTreeMap::new();
    let mut shared: BTreeMap<&Subject, Vec<usize>> = BTreeMap::new();
    for (i, active) in all.iter().enumerate() {
        match whom::owner(active.subject) {
            Some(tenant) => by_tenant.entry(tenant).or_default().push(i),
            None => shared.entry(active.subject).or_default().push(i),
        }
    }
    let none = Vec::new();
    let explained = all.iter().enumerate().map(|(i, active)| {
        let tenant = whom::owner(active.subject);
        let siblings = tenant.map_or_else(|| shared.get(active.subject), |t| by_tenant.get(t)).unwrap_or(&none);
        let others = || siblings.iter().copied().filter(|o| *o != i).filter_map(|o| Some((o, *all.get(o)?)));
        // The same channel before another one of the tenant.
        let by_rule = active.rule.explained_by.iter().find_map(|name| {
            let named = || others().filter(|(_, other)| other.rule.name == *name);
            let same = named().find(|(_, other)| other.subject == active.subject);
            same.or_else(|| named().next()).map(|(o, _)| o)
        });
        // The same trouble in several channels of a tenant is one: the first to have it.
        let twin = || {
            let twins = others().filter(|(_, o)| o.rank == active.rank);
            let first = |a: &Active<'_>| (a.condition.since, a.subject.clone());
            twins.filter(|(_, o)| first(o) < first(active)).min_by_key(|(_, o)| first(o)).map(|(o, _)| o)
        };
        let by_rule = by_rule.or_else(twin);
        if by_rule.is_some() || active.class() != Class::Impact {
            return by_rule;
        }
        let best = |candidates: &mut dyn Iterator<Item = usize>| {
            let causes = candidates.filter_map(|o| Some((o, *all.get(o)?))).filter(|(_, o)| o.explains_impact());
            causes.min_by_key(|(o, other)| (other.rank, other.condition.since, *o)).map(|(o, _)| o)
        };
        let own = best(&mut others().map(|(o, _)| o));
        own.or_else(|| best(&mut stands_on(build, tenant?).iter().filter_map(|s| shared.get(s)).flatten().copied()))
    });
    explained.collect()
}

/// The shared parts that a tenant stands on.
fn stands_on(build: &Build<'_>, tenant: &TenantId) -> Vec<Subject> {
    let Some(tenant) = build.index.estate().tenant(tenant) else { return Vec::new() };
    let instance = tenant.database.as_ref().map(|d| Subject::Instance { source: d.instance.clone() });
    let cluster = tenant.namespace.as_ref().map(|n| Subject::Cluster { source: n.cluster.clone() });
    let ingress = tenant.router.as_ref().map(|r| Subject::Ingress { source: r.ingress.clone() });
    [instance, cluster, ingress].into_iter().flatten().collect()
}

/// Follows explanations to their end; rules never explain in circles.
fn root(heads: &[Option<usize>], from: usize) -> usize {
    let mut at = from;
    for _ in heads {
        match heads.get(at).copied().flatten() {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// The revision that a Deployment has from its creation until its template changes (annotation
/// `deployment.kubernetes.io/revision`).
const FIRST: &str = "1";

/// The newest deploy of each tenant: image tag and since when. What a tenant began with is none: there is nothing to go
/// back to, and nothing that it has made worse.
fn deploys<'a>(build: &Build<'a>) -> BTreeMap<&'a TenantId, (String, Timestamp)> {
    let mut all = BTreeMap::new();
    for (id, state) in &build.world.sources {
        let Some(good) = &state.good else { continue };
        let Facts::Kubernetes(facts) = &*good.facts else { continue };
        for (position, parts) in by_tenant(facts, id, build.index) {
            let found = build.index.at(position).zip(parts.web).and_then(|(t, w)| Some((t, w, w.image_since?)));
            if let Some((tenant, web, since)) = found.filter(|(_, web, _)| web.revision != FIRST) {
                all.insert(&tenant.id, (say::tag(&web.image).to_owned(), since));
            }
        }
    }
    all
}

fn one(
    build: &Build<'_>,
    group: &[&Active<'_>],
    deploys: &BTreeMap<&TenantId, (String, Timestamp)>,
) -> Option<Finding> {
    let head = group.first()?;
    let first = group.iter().min_by_key(|a| (a.condition.since, a.condition.onset_seen))?;
    let (since, onset_seen) = (first.condition.since, first.condition.onset_seen);
    // What began before anybody looked may have begun before the deploy too: nothing follows from it then.
    let deploy = whom::owner(head.subject)
        .filter(|_| onset_seen)
        .and_then(|tenant| deploys.get(tenant))
        .filter(|(_, at)| *at <= since && since.duration_since(*at) <= RECENT);
    let mut classes: BTreeSet<Class> = group.iter().map(|a| a.class()).collect();
    if deploy.is_some() && classes.contains(&Class::Impact) {
        // A deploy shortly before harm counts as a cause until another one is found.
        classes.insert(Class::Cause);
    }
    let (caused, hurts) = (classes.contains(&Class::Cause), classes.contains(&Class::Impact));
    let level = match (caused, hurts) {
        (true, true) => Level::Incident,
        (false, false) => Level::Note,
        _ => Level::Alert,
    };
    let severity = Health::worst(group.iter().map(|a| a.severity()));
    Some(Finding {
        id: id(&head.rule.name, head.subject),
        rule: head.rule.name.clone(),
        classes: classes.into_iter().collect(),
        level,
        severity,
        since,
        onset_seen,
        subject: head.subject.clone(),
        what: what(build, group, since, deploy, severity),
        whom: whom::hurt(group.iter().map(|a| a.subject), build),
        evidence: group.iter().flat_map(|a| evidence(build, a)).collect(),
        changed: changed(build, group, since),
        playbooks: offers(build, group, caused, deploy),
        because: because::lines(build, group, level, deploy),
        disproof: disproof(group),
        good_intervals: group.iter().map(|a| a.condition.good).min().unwrap_or(0),
        acknowledged: None,
    })
}

fn id(rule: &str, subject: &Subject) -> FindingId {
    let about = match subject {
        Subject::Channel { tenant, channel } => format!("{tenant}/{channel}"),
        Subject::Router { source, router, .. } => format!("{source}/{router}"),
        Subject::Node { source, node } => format!("{source}/{node}"),
        Subject::Integration { tenant, integration } => format!("{tenant}/{integration}"),
        Subject::Namespace { source, namespace: name }
        | Subject::Workload { source, workload: name }
        | Subject::Volume { source, volume: name }
        | Subject::Keep { source, keep: name }
        | Subject::Backup { source, backup: name }
        | Subject::Application { source, application: name, .. }
        | Subject::Certificate { source, certificate: name, .. }
        | Subject::Endpoint { source, endpoint: name, .. }
        | Subject::Key { source, key: name }
        | Subject::Alert { source, alert: name, .. } => format!("{source}/{name}"),
        other => other.to_string(),
    };
    FindingId::new(format!("{rule}/{about}"))
}

fn what(
    build: &Build<'_>,
    group: &[&Active<'_>],
    since: Timestamp,
    deploy: Option<&(String, Timestamp)>,
    severity: Health,
) -> String {
    let Some((head, rest)) = group.split_first() else { return String::new() };
    let mut parts = vec![format!("{} on {}", words::title(head.rule), words::subject(head.subject))];
    if head.rule.name == "lock-chain" {
        parts.extend(chain_root(build, head).map(|root| format!(", {root}")));
    }
    let values = words::values(head.rule, &head.condition.values);
    parts.push(match (values.is_empty(), head.condition.good) {
        (false, _) => format!(": {values}"),
        (true, 0) => ", not measured".to_owned(),
        (true, good) => format!(", no longer seen ({good} of {CLEARS_AFTER} good samples)"),
    });
    // Mere pressure beside a cause or harm is left to the evidence.
    let telling = rest.iter().filter(|a| a.class() != Class::Pressure || head.class() == Class::Pressure);
    // What two sources say alike is said once.
    let others: Vec<String> = telling.map(|a| folded(head, a)).filter(|s| !s.is_empty() && *s != values).collect();
    if !others.is_empty() {
        parts.push(format!("; {}", first_of(&others, 4, ", ")));
    }
    parts.extend(deploy.map(|(tag, at)| {
        let seconds = since.duration_since(*at).as_secs_f64();
        let after = if seconds < 120.0 { say::span(seconds) } else { format!("{:.0} min", (seconds / 60.0).floor()) };
        format!("; began {after} after deploy {tag}")
    }));
    if severity == Health::Unknown {
        let source = group.iter().find(|a| a.stale).map(|a| a.source);
        parts.push(source.map_or_else(
            || "; nothing tells of it now".into(),
            |source| format!("; not known now, {source} is silent"),
        ));
    }
    parts.concat()
}

fn folded(head: &Active<'_>, other: &Active<'_>) -> String {
    let values = words::values(other.rule, &other.condition.values);
    let same = whom::owner(head.subject) == whom::owner(other.subject) && whom::owner(head.subject).is_some();
    match (values.is_empty(), same) {
        (true, _) => String::new(),
        (false, true) => match other.subject {
            Subject::Channel { channel, .. } => format!("{channel} {values}"),
            // What is seen at another place than the head's.
            Subject::Endpoint { endpoint: name, .. } | Subject::Router { router: name, .. } => {
                format!("{name} {values}")
            }
            _ => values,
        },
        (false, false) => format!("{} {values}", words::subject(other.subject)),
    }
}

fn chain_root(build: &Build<'_>, head: &Active<'_>) -> Option<String> {
    let Facts::Postgres(facts) = build.world.last(head.source)? else { return None };
    let tenant = whom::owner(head.subject).and_then(|id| build.index.estate().tenant(id));
    let database = tenant.and_then(|t| t.database.as_ref()).map(|d| d.name.as_str());
    words::root(&locks::tree(&facts.sessions), database)
}

/// The thresholds that a value was judged by: those of its signal, of the phase of the calendar that was in force, or so
/// many times what was usual then.
pub(super) fn limits(build: &Build<'_>, rule: &Rule, signal: &Signal, seen: &Value) -> Option<Limits> {
    match &rule.usual {
        Some(beyond) => beyond.limits(seen.usual?),
        None => seen.limits.or_else(|| build.thresholds.of(signal)),
    }
}

fn evidence(build: &Build<'_>, active: &Active<'_>) -> Vec<Evidence> {
    let told = active.rule.signals.iter().filter_map(|name| {
        let seen = active.condition.values.get(name)?;
        let row = signals::find(name)?;
        let limits = limits(build, active.rule, row, seen)?;
        Some(Evidence {
            signal: (*name).into(),
            subject: active.subject.clone(),
            unit: row.unit,
            now: seen.now,
            threshold: if seen.health == Health::Critical { limits.critical } else { limits.warn },
            usual: seen.usual.or_else(|| build.baselines.usual(active.subject, row, build.now).median()),
            series: build.history.series(active.subject, name),
        })
    });
    told.collect()
}

/// Changes in the hour before it began, and since, to the same tenants or from the same sources; newest first.
fn changed(build: &Build<'_>, group: &[&Active<'_>], since: Timestamp) -> Vec<Change> {
    let from = since.checked_sub(RECENT).unwrap_or(Timestamp::MIN);
    let tenants: BTreeSet<&TenantId> = group.iter().filter_map(|a| whom::owner(a.subject)).collect();
    let subjects: BTreeSet<&Subject> = group.iter().map(|a| a.subject).collect();
    let near = |change: &&Change| {
        let same = subjects.contains(&change.subject);
        change.at >= from && (same || whom::owner(&change.subject).is_some_and(|t| tenants.contains(t)))
    };
    build.changes.iter().rev().filter(near).take(8).cloned().collect()
}

/// Playbooks for the tenant, those of the head first. A maintenance page is offered when a cause is known or
/// the errors are critical. Where a deploy lies less than an hour before harm, taking it back is ranked first, but
/// behind what the head of another cause asks for: a lock has to be released before anything is rolled back.
fn offers(build: &Build<'_>, group: &[&Active<'_>], caused: bool, deploy: Option<&(String, Timestamp)>) -> Vec<Offer> {
    let mut all: Vec<Offer> = Vec::new();
    let by_deploy = |a: &Active<'_>| a.class() == Class::Impact || a.rule.blames_deploy;
    let rollback = deploy.filter(|_| group.iter().any(|a| by_deploy(a))).and_then(|(tag, _)| {
        let tenant = group.first().and_then(|a| whom::owner(a.subject))?;
        let why = format!("it began less than an hour after deploy {tag}");
        let params = [("tenant".to_owned(), tenant.to_string())].into();
        Some(Offer { id: "release-rollback".into(), why, params })
    });
    for active in group {
        let Some(tenant) = whom::owner(active.subject) else { continue };
        if build.index.estate().tenant(tenant).is_none() {
            continue;
        }
        let bad_enough = active.class() != Class::Impact || caused || active.condition.severity == Health::Critical;
        for fits in active.rule.offers.iter().filter(|_| bad_enough) {
            let params: BTreeMap<String, String> = [("tenant".to_owned(), tenant.to_string())].into();
            if !all.iter().any(|o| o.id.as_str() == fits.playbook && o.params == params) {
                all.push(Offer { id: fits.playbook.as_str().into(), why: fits.why.clone(), params });
            }
        }
    }
    if let Some(rollback) = rollback {
        let other_cause = group.first().is_some_and(|a| a.class() == Class::Cause && !a.rule.offers.is_empty());
        all.insert(usize::from(other_cause && !all.is_empty()), rollback);
    }
    if let Some(noisy) = group.first().and_then(|head| neighbours::bounds(build, head)) {
        all.insert(0, noisy);
    }
    if let Some(failover) = group.first().and_then(|head| fails_over(build, head)) {
        all.insert(0, failover);
    }
    all
}

/// The playbook that gives the servers of a keeper a primary again, where none leads.
fn fails_over(build: &Build<'_>, head: &Active<'_>) -> Option<Offer> {
    head.condition.values.get("keep.leader").filter(|leader| leader.health > Health::Ok)?;
    let tenant = whom::hurt(std::iter::once(head.subject), build).tenants.into_iter().next()?;
    let params = [("tenant".to_owned(), tenant.to_string())].into();
    Some(Offer { id: "pg-failover".into(), why: "no server leads: make a replica the primary".into(), params })
}

fn disproof(group: &[&Active<'_>]) -> String {
    let head = group.first().map_or("", |a| a.rule.disproof.as_str());
    let impact = group.iter().skip(1).find(|a| a.class() == Class::Impact);
    match impact {
        Some(impact) => format!("{head}; or {}", impact.rule.disproof),
        None => head.to_owned(),
    }
}

/// The finding for a group of silent sources.
pub(super) fn from_silence(build: &Build<'_>, group: &Group) -> Finding {
    Finding {
        id: FindingId::new(format!("{SOURCE_UNKNOWN}/{}", group.name.replace(' ', "-"))),
        rule: SOURCE_UNKNOWN.into(),
        classes: Vec::new(),
        level: Level::Alert,
        severity: if group.unknown { Health::Unknown } else { Health::Warn },
        since: group.since,
        // Silence is measured from the last sample on.
        onset_seen: true,
        subject: group.subject.clone(),
        what: group.what.clone(),
        whom: whom::unseen(group.subjects.iter(), build),
        evidence: Vec::new(),
        changed: Vec::new(),
        playbooks: Vec::new(),
        because: vec![format!("{SOURCE_UNKNOWN}: what is not observed must not look calm")],
        disproof: format!("three samples in a row, one is due every {}", say::span(group.interval_s)),
        good_intervals: group.good,
        acknowledged: None,
    }
}
