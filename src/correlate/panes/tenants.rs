//! One row a tenant, worst first.

use super::verdict::Verdict;
use super::{Sight, age_s, as_kubernetes, as_odoo, as_postgres, as_traefik, unknown};
use crate::correlate::readings::kubernetes::{Parts, by_tenant, total};
use crate::correlate::readings::postgres::Sessions;
use crate::correlate::readings::traefik::{days_until, expiries, maintained};
use crate::correlate::say;
use crate::domain::estate::Tenant;
use crate::domain::facts::OdooFacts;
use crate::domain::facts::kubernetes::Workload;
use crate::domain::facts::traefik::Route;
use crate::domain::health::Health;
use crate::domain::id::SourceId;
use crate::domain::pane::TenantRow;
use crate::domain::sample::SourceKind;
use crate::domain::signal::Unit;
use hashbrown::HashMap;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What each source says, by position of the tenant: gathered in one pass over the facts.
#[derive(Default)]
struct Gathered<'a> {
    parts: BTreeMap<usize, Parts<'a>>,
    sessions: HashMap<usize, Sessions>,
    /// Database names that an instance has, to tell a lost database from an idle one.
    databases: HashMap<&'a SourceId, BTreeSet<&'a str>>,
    routes: HashMap<usize, &'a Route>,
    expiries: HashMap<usize, Timestamp>,
    maintained: BTreeSet<&'a str>,
    odoo: HashMap<&'a str, (&'a SourceId, Option<&'a OdooFacts>)>,
    sources: HashMap<&'a SourceId, (Option<f64>, Option<String>)>,
}

fn gather(sight: Sight<'_>) -> Gathered<'_> {
    let mut all = Gathered::default();
    for (id, state) in &sight.world.sources {
        all.sources.insert(id, (age_s(state, sight.now), unknown(state, sight.now)));
        let facts = state.good.as_ref().map(|good| &*good.facts);
        if state.spec.kind == SourceKind::Odoo
            && let Some(tenant) = sight.index.odoo_tenant(id)
        {
            all.odoo.insert(tenant.id.as_str(), (id, facts.and_then(as_odoo)));
        }
        let Some(facts) = facts else { continue };
        if let Some(facts) = as_kubernetes(facts) {
            all.parts.extend(by_tenant(facts, id, sight.index));
        } else if let Some(facts) = as_postgres(facts) {
            for session in &facts.sessions {
                if let Some(tenant) = sight.index.database(id, &session.database) {
                    all.sessions.entry(tenant).or_default().add(session);
                }
            }
            all.databases.insert(id, facts.databases.iter().map(|d| d.name.as_str()).collect());
        } else if let Some(facts) = as_traefik(facts) {
            let routes = facts.routers.iter().filter_map(|r| Some((sight.index.router(id, &r.name)?, r)));
            all.routes.extend(routes);
            all.expiries.extend(expiries(facts, id, sight.index).tenants);
            all.maintained.extend(facts.measures.iter().filter_map(|m| maintained(m)));
        }
    }
    all
}

pub(super) fn rows(sight: Sight<'_>) -> Vec<TenantRow> {
    let all = gather(sight);
    let tenants = sight.index.estate().tenants.iter().enumerate();
    let mut rows: Vec<TenantRow> = tenants.map(|(i, tenant)| row(sight, &all, i, tenant)).collect();
    rows.sort_by(|a, b| {
        (b.health.cmp(&a.health)).then_with(|| a.criticality.cmp(&b.criticality)).then_with(|| a.id.cmp(&b.id))
    });
    rows
}

/// Collects the row's verdict, its sources' ages and which of them are silent.
struct Judge<'a, 'w> {
    verdict: Verdict<'a>,
    all: &'a Gathered<'w>,
    age_s: Option<f64>,
}

impl Judge<'_, '_> {
    /// Whether a source is fresh; if not, that is said.
    fn rests_on(&mut self, source: &SourceId) -> bool {
        let Some((age, unknown)) = self.all.sources.get(source) else {
            self.verdict.unknown(format!("{source} is not observed"));
            return false;
        };
        self.age_s = match (self.age_s, *age) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        if let Some(why) = unknown {
            self.verdict.unknown(format!("{source}: {why}"));
        }
        unknown.is_none()
    }

    fn deployment(&mut self, signal: &str, what: &str, name: &str, workload: Option<&Workload>) {
        match workload {
            None => self.verdict.unknown(format!("Deployment {name} was not found")),
            Some(w) if w.desired == 0 => self.verdict.add(Health::Warn, || format!("{what} scaled to 0 pods")),
            Some(w) => {
                let share = (f64::from(w.ready) / f64::from(w.desired)).min(1.0);
                self.verdict.grade(signal, Some(share), |_| format!("{what} {} of {} ready", w.ready, w.desired));
            }
        }
    }
}

fn row(sight: Sight<'_>, all: &Gathered<'_>, position: usize, tenant: &Tenant) -> TenantRow {
    let mut judge = Judge { verdict: Verdict::new(&sight.settings.thresholds), all, age_s: None };
    let mut row = blank(tenant);
    database(&mut judge, &mut row, position, tenant);
    router(sight, &mut judge, &mut row, position, tenant);
    workloads(sight, &mut judge, &mut row, position, tenant);
    odoo(&mut judge, &mut row, tenant);
    row.age_s = judge.age_s;
    (row.health, row.why) = judge.verdict.end("nothing observes it");
    row
}

fn database(judge: &mut Judge<'_, '_>, row: &mut TenantRow, position: usize, tenant: &Tenant) {
    let Some(declared) = &tenant.database else { return };
    let fresh = judge.rests_on(&declared.instance);
    let Some(names) = judge.all.databases.get(&declared.instance) else { return };
    let sessions = judge.all.sessions.get(&position).copied().unwrap_or_default();
    row.blocked = Some(sessions.blocked);
    if !fresh {
        return;
    }
    if !names.is_empty() && !names.contains(declared.name.as_str()) {
        let (name, instance) = (&declared.name, &declared.instance);
        judge.verdict.unknown(format!("{instance} has no database {name}"));
        return;
    }
    let chain = || format!("{} blocked, oldest {}", sessions.blocked, say::span(sessions.oldest));
    judge.verdict.grade("lock.blocked", Some(f64::from(sessions.blocked)), |_| chain());
    judge.verdict.grade("lock.oldest", Some(sessions.oldest), |_| chain());
}

fn router(sight: Sight<'_>, judge: &mut Judge<'_, '_>, row: &mut TenantRow, position: usize, tenant: &Tenant) {
    let Some(declared) = &tenant.router else { return };
    let fresh = judge.rests_on(&declared.ingress);
    let route = judge.all.routes.get(&position);
    row.share_5xx = route.and_then(|r| r.share_5xx);
    row.p95_s = route.and_then(|r| r.p95_s);
    row.certificate_days = judge.all.expiries.get(&position).map(|at| days_until(*at, sight.now));
    if !fresh {
        return;
    }
    if let Some(fault) = route.and_then(|r| r.fault.as_ref()) {
        judge.verdict.grade("router.ok", Some(0.0), |_| format!("router disabled: {fault}"));
    }
    judge.verdict.grade("http.share_5xx", row.share_5xx, |v| format!("5xx {}", say::share(v)));
    judge.verdict.grade("http.p95", row.p95_s, |v| format!("p95 {}", say::span(v)));
    if judge.all.maintained.contains(tenant.id.as_str()) {
        judge.verdict.add(Health::Warn, || "maintenance page in force".into());
    }
    judge
        .verdict
        .grade("certificate.days", row.certificate_days, |v| format!("certificate {}", say::value(v, Unit::Days)));
}

fn workloads(sight: Sight<'_>, judge: &mut Judge<'_, '_>, row: &mut TenantRow, position: usize, tenant: &Tenant) {
    let Some(declared) = &tenant.namespace else { return };
    let fresh = judge.rests_on(&declared.cluster);
    let parts = judge.all.parts.get(&position).copied().unwrap_or_default();
    row.web = parts.web.map(|w| (w.ready, w.desired));
    row.workers = parts.workers.map(|w| (w.ready, w.desired));
    let both = || parts.web.iter().chain(parts.workers.iter());
    row.restarts_5m = total(both().map(|w| w.restarts_5m));
    row.image = parts.web.map(|w| say::tag(&w.image).into());
    row.digest = parts.web.and_then(Workload::digest).map(|running| running.short().into());
    let since = parts.web.and_then(|w| w.image_since);
    row.image_age_s = since.map(|since| sight.now.duration_since(since).as_secs_f64().max(0.0));
    if !fresh {
        return;
    }
    judge.deployment("web.available", "web", &declared.web, parts.web);
    judge.deployment("workers.available", "workers", &declared.workers, parts.workers);
    let looping = total(both().map(|w| w.crash_looping));
    judge.verdict.grade("workload.crash_looping", looping.map(f64::from), |v| format!("{v:.0} pods crash-looping"));
    judge.verdict.grade("workload.restarts", row.restarts_5m.map(f64::from), |v| format!("{v:.0} restarts in 5 min"));
}

fn odoo(judge: &mut Judge<'_, '_>, row: &mut TenantRow, tenant: &Tenant) {
    let Some((source, facts)) = judge.all.odoo.get(tenant.id.as_str()).copied() else { return };
    let fresh = judge.rests_on(source);
    let Some(facts) = facts else { return };
    row.cron_lateness_s = facts.crons.as_ref().map(|c| c.lateness_s);
    let channels = facts.channels.as_deref();
    row.queue_depth = channels.map(|all| all.iter().map(crate::domain::facts::odoo::Channel::depth).sum());
    row.queue_oldest_s = channels.and_then(|all| all.iter().filter_map(|c| c.oldest_due_s).reduce(f64::max));
    row.queue_oldest_s = row.queue_oldest_s.map(|s| s.max(0.0));
    if !fresh {
        return;
    }
    if let Some(unseen) = facts.unseen() {
        judge.verdict.unknown(unseen);
    }
    let zombies = channels.map(|all| all.iter().map(|c| c.zombies).sum::<u32>());
    judge.verdict.grade("queue.oldest", row.queue_oldest_s, |v| format!("queue {}", say::span(v)));
    judge.verdict.grade("queue.zombies", zombies.map(f64::from), |v| format!("{v:.0} zombie jobs"));
    judge.verdict.grade("cron.lateness", row.cron_lateness_s, |v| format!("cron {} late", say::span(v)));
    let failing = facts.crons.as_ref().map(|c| f64::from(c.failing));
    judge.verdict.grade("cron.failing", failing, |v| format!("{v:.0} crons failing"));
    let pending = facts.modules_pending.map(f64::from);
    judge.verdict.grade("modules.pending", pending, |v| format!("{v:.0} modules wait for an upgrade"));
}

fn blank(tenant: &Tenant) -> TenantRow {
    TenantRow {
        id: tenant.id.clone(),
        name: tenant.name.as_str().into(),
        tenancy: tenant.tenancy,
        criticality: tenant.criticality,
        plants: tenant.plants.iter().map(|p| p.name.clone()).collect(),
        health: Health::Unknown,
        why: String::new(),
        p95_s: None,
        share_5xx: None,
        web: None,
        workers: None,
        restarts_5m: None,
        image: None,
        digest: None,
        image_age_s: None,
        queue_depth: None,
        queue_oldest_s: None,
        cron_lateness_s: None,
        blocked: None,
        certificate_days: None,
        owner: None,
        burn: None,
        quota: None,
        hurt_since: None,
        rto_s: None,
        rpo_s: None,
        rpo_now_s: None,
        trend: Vec::new(),
        age_s: None,
    }
}
