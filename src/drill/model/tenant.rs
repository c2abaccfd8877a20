//! One tenant: how its traffic, lock, jobs and pods act on each other.

use super::certificates::Certificate;
use super::delivery::Delivery;
use super::jobs::{Jobs, whole_number};
use super::limits::Limits;
use super::locks::{Kind, Lock};
use super::pods::Deployment;
use super::shared::Instance;
use crate::domain::id::{SourceId, TenantId};

/// Requests that one web pod serves at the same time.
const THREADS: u32 = 8;
/// Jobs that one worker pod runs at the same time.
const SLOTS: u32 = 3;
/// Seconds between two looks of a controller at what Git declares.
const HEAL_S: i64 = 30;
/// Sales orders an hour for each request a second.
const ORDERS: f64 = 12.0;
/// Requests a second, at most, that want a locked table.
const WANT_LOCK: f64 = 1.1;

/// What is usual for a tenant.
#[derive(Clone, Copy, Debug)]
pub struct Usual {
    /// Requests a second.
    pub requests: f64,
    /// 95th percentile of latency in seconds.
    pub p95_s: f64,
    /// Jobs a second.
    pub jobs: f64,
    /// Database connections.
    pub connections: u32,
    /// Share of block reads from the cache.
    pub cache_hit: f64,
}

/// Traffic as people feel it, smoothed over a few seconds.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Requests a second that people make.
    pub requests: f64,
    /// Median in seconds.
    pub p50_s: f64,
    /// 95th percentile in seconds.
    pub p95_s: f64,
    /// 99th percentile in seconds.
    pub p99_s: f64,
    /// Share of 5xx.
    pub share_5xx: f64,
    /// Share of 4xx.
    pub share_4xx: f64,
}

/// The tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its id, which also names its namespace and database.
    pub id: TenantId,
    /// Primary that holds its database.
    pub instance: SourceId,
    /// Ingress of its router.
    pub edge: SourceId,
    /// What is usual.
    pub usual: Usual,
    /// Multiple of the usual demand, 1 at rest.
    pub demand: f64,
    /// Part of its job capacity that is there, 1 at rest.
    pub worker_speed: f64,
    /// Serves people.
    pub web: Deployment,
    /// Runs jobs.
    pub workers: Deployment,
    /// Its jobs.
    pub jobs: Jobs,
    /// Whether its workers hang.
    pub hung: bool,
    /// Share of requests that its release answers with 5xx.
    pub broken_release: f64,
    /// The image that does so.
    pub broken_image: String,
    /// How its releases come.
    pub delivery: Delivery,
    /// What it may take.
    pub limits: Limits,
    /// What is wrong with it beside its locks and jobs.
    pub trouble: super::trouble::Trouble,
    /// The lock chain in its database.
    pub lock: Option<Lock>,
    /// Whether the maintenance page stands before it.
    pub maintenance: bool,
    /// Its certificate.
    pub certificate: Certificate,
    /// Seconds by which its latest cron is late.
    pub cron_late_s: f64,
    /// Seconds by which one cron is late for another reason.
    pub cron_stuck_s: f64,
    /// Traffic now.
    pub traffic: Traffic,
    /// Sales orders of the last hour.
    pub orders_hour: f64,
    /// Its randomness.
    pub rng: fastrand::Rng,
    /// Slow change of demand around 1.
    drift: f64,
}

impl Tenant {
    /// A tenant at rest.
    #[expect(clippy::too_many_arguments, reason = "these are its parts")]
    pub fn new(
        id: TenantId,
        instance: SourceId,
        edge: SourceId,
        usual: Usual,
        web: Deployment,
        workers: Deployment,
        certificate: Certificate,
        rng: fastrand::Rng,
    ) -> Self {
        let delivery = Delivery::new(&web.image, previous(&web.image));
        let (p50_s, p95_s, p99_s) = (usual.p95_s * 0.35, usual.p95_s, usual.p95_s * 1.8);
        let traffic = Traffic { requests: usual.requests, p50_s, p95_s, p99_s, share_5xx: 0.001, share_4xx: 0.01 };
        Self {
            id,
            instance,
            edge,
            usual,
            demand: 1.0,
            worker_speed: 1.0,
            web,
            workers,
            jobs: Jobs::default(),
            hung: false,
            broken_release: 0.0,
            broken_image: String::new(),
            delivery,
            limits: Limits::default(),
            trouble: super::trouble::Trouble::default(),
            lock: None,
            maintenance: false,
            certificate,
            cron_late_s: 4.0,
            cron_stuck_s: 0.0,
            traffic,
            orders_hour: usual.requests * ORDERS,
            rng,
            drift: 0.0,
        }
    }

    /// Connections to its database.
    pub fn connections(&self) -> u32 {
        let waiting = self.lock.as_ref().map_or(0, |l| u32::try_from(l.waiters.len()).unwrap_or(u32::MAX) + 1);
        // A web pod whose threads wait opens further connections for what still comes in.
        let more = whole_number((self.saturation() * f64::from(self.web.desired) * 4.0).round());
        let wanted = self.usual.connections.saturating_add(waiting).saturating_add(more);
        let wanted = wanted.saturating_add(self.trouble.connections);
        wanted.min(self.limits.connections.unwrap_or(u32::MAX))
    }

    /// Connections that it wants beyond its limit: they wait at the pool.
    pub fn refused_connections(&self) -> u32 {
        let Some(most) = self.limits.connections else { return 0 };
        self.usual.connections.saturating_add(self.trouble.connections).saturating_sub(most)
    }

    /// Requests a second that reach it, after the ingress has turned some away.
    pub fn work(&self) -> f64 {
        if self.maintenance || self.limits.isolated {
            return 0.0;
        }
        let asked = self.usual.requests * self.demand * self.trouble.requests();
        let (admitted, _) = self.limits.admitted(asked);
        // A quota bounds what the cluster does for it: about three requests a second for each core.
        self.limits.quota_cores.map_or(admitted, |cores| admitted.min(f64::from(cores) * 3.0))
    }

    /// Seconds a second by which its writes hold the replica back.
    pub fn write_storm(&self) -> f64 {
        let throttled = !self.limits.crons_paused.is_empty() || self.jobs.channels.iter().any(|c| c.capacity.is_some());
        if throttled { self.trouble.writes * 0.1 } else { self.trouble.writes }
    }

    /// Share of its web threads that wait for the lock, 0 to 1.
    pub fn saturation(&self) -> f64 {
        let threads = f64::from((self.web.desired * THREADS).max(1));
        let waiting = self.lock.as_ref().map_or(0, |l| l.waiting(Kind::Web));
        (f64::from(waiting) / threads).min(1.0)
    }

    /// One second.
    pub fn step(&mut self, tick: i64, instance: &mut Instance, edge_s: f64) {
        self.drift = (self.drift * 0.98 + (self.rng.f64() - 0.5) * 0.06).clamp(-0.4, 0.4);
        // A client does not go on where the certificate has ended; a few are told not to mind.
        let trusting = if self.certificate.not_after <= tick { 0.04 } else { 1.0 };
        let asked = (1.0 + self.drift) * self.demand * self.trouble.requests() * trusting;
        let (admitted, refused) = self.limits.admitted(self.usual.requests * asked);
        let load = if self.usual.requests > 0.0 { admitted / self.usual.requests } else { 0.0 };
        self.trouble.step(&mut self.workers, tick);
        self.heal(tick);
        self.web.autoscale(asked, tick);
        self.web.step(tick);
        if self.workers.step(tick) {
            self.hung = false;
            self.trouble.recycled();
        }
        self.step_lock(tick, load, instance);
        self.step_jobs(tick, load);
        self.step_crons(tick);
        // The other region serves from what was restored there.
        let elsewhere = self.limits.elsewhere() && instance.backups.asides.iter().any(|a| a.ready <= tick);
        let served = elsewhere || (instance.pair.serves(self.id.as_str()) && !self.trouble.region_down);
        self.step_traffic(tick, load, refused, instance.crowding_s() + edge_s, served);
        self.trouble.spoils(&mut self.jobs, tick, instance.cut_over(self.id.as_str()));
    }

    fn step_lock(&mut self, tick: i64, load: f64, instance: &mut Instance) {
        let web_threads = f64::from(self.web.ready(tick) * THREADS);
        let job_slots = f64::from(self.slots(tick));
        let people = if self.maintenance { 0.0 } else { (self.usual.requests * load * 0.09).min(WANT_LOCK) };
        let Some(lock) = &mut self.lock else { return };
        let room = |slots: f64, kind: Kind| {
            if slots < 1.0 { 0.0 } else { (1.0 - f64::from(lock.waiting(kind)) / slots).max(0.0) }
        };
        let web = people * room(web_threads, Kind::Web);
        let job = if self.hung { 0.0 } else { (self.usual.jobs * load * 0.5).min(0.4) * room(job_slots, Kind::Job) };
        let drained = lock.step(tick, web, job, &mut instance.pids);
        let over = lock.over(tick);
        self.jobs.finish(drained.jobs);
        if over {
            self.lock = None;
        }
    }

    /// Job slots of the worker pods that are ready.
    fn slots(&self, tick: i64) -> u32 {
        self.workers.ready(tick) * SLOTS
    }

    fn step_jobs(&mut self, tick: i64, load: f64) {
        let waiting = self.lock.as_ref().map_or(0, |l| l.waiting(Kind::Job));
        let free = f64::from(self.slots(tick).saturating_sub(waiting)) * self.worker_speed;
        let free = free * self.trouble.leaves(free, self.limits.crons_paused.is_empty());
        // While hanging workers are replaced, the new ones already work.
        let free = if self.hung {
            free * if self.workers.rolling(tick) { self.workers.fresh_share(tick) } else { 0.0 }
        } else {
            free
        };
        // With the pages of people gone, fewer jobs are made.
        let made = if self.maintenance { 0.4 } else { 1.0 };
        self.jobs.step(tick, self.usual.jobs * load * made, free);
    }

    fn step_crons(&mut self, tick: i64) {
        let held = self.lock.as_ref().is_some_and(|l| l.held(tick)) && self.saturation() > 0.4;
        if held || self.hung || !self.limits.crons_paused.is_empty() {
            self.cron_late_s += if self.limits.crons_paused.is_empty() { 1.0 } else { 0.0 };
        } else {
            let aim = 2.0 + 12.0 * self.rng.f64();
            self.cron_late_s = (self.cron_late_s + (aim - self.cron_late_s) * 0.3).max(0.0);
        }
        if self.cron_stuck_s > 0.0 {
            self.cron_stuck_s += 1.0;
        }
    }

    fn step_traffic(&mut self, tick: i64, load: f64, refused: f64, crowding_s: f64, served: bool) {
        // More pods than usual carry more.
        let carried = load * f64::from(self.web.usual.max(1)) / f64::from(self.web.desired.max(1));
        let available = f64::from(self.web.ready(tick)) / f64::from(self.web.desired.max(1));
        let strain = 1.0 - (1.0 - self.saturation()) * available;
        let noise = 1.0 + (self.rng.f64() - 0.5) * 0.2;
        // One missing pod of many is carried by the others.
        let felt = (strain - 0.25).max(0.0) / 0.75;
        let beyond = self.trouble.beyond(self.web.ready(tick), self.web.usual);
        let p95 =
            self.usual.p95_s * carried.max(0.1).powf(0.3) * noise + 11.0 * felt.powi(2) + crowding_s + 4.0 * beyond;
        let broken = if self.broken_image == self.web.image { self.broken_release } else { 0.0 };
        let cut = if self.limits.circuit_breaker { 0.2 } else { 1.0 };
        let unreachable = !served || self.limits.isolated || self.web.desired == 0;
        let failing = (felt - 0.4).max(0.0) / 0.6 * 0.24 + broken * cut + self.trouble.failing() + 0.25 * beyond;
        let failing = if unreachable { 1.0 } else { failing.min(1.0) };
        let locked_out = self.trouble.refused(self.limits.elsewhere());
        let turned_away = (refused + locked_out).min(1.0);
        let t = &mut self.traffic;
        let near = |value: &mut f64, aim: f64, pace: f64| *value = (*value + (aim - *value) * pace).max(0.0);
        near(&mut t.requests, self.usual.requests * load / (1.0 - refused).max(0.02), 0.2);
        near(&mut t.p95_s, p95.min(14.0), 0.1);
        near(&mut t.share_5xx, (failing + 0.001 * self.rng.f64()).min(1.0), 0.1);
        near(&mut t.share_4xx, (turned_away + 0.008 + 0.006 * self.rng.f64()).min(1.0), 0.1);
        t.p50_s = t.p95_s * 0.35;
        t.p99_s = t.p95_s * 1.8;
        // What fails or is turned away is no order; an hour forgets as fast as it is long.
        let made = self.usual.requests * load * (1.0 - t.share_5xx) * (1.0 - refused.min(1.0)) * ORDERS;
        self.orders_hour += (made - self.orders_hour) / 3600.0;
    }

    /// Workers are replaced: what waited for the lock loses its worker, hanging jobs stay started.
    pub fn restart_workers(&mut self, tick: i64) {
        if let Some(lock) = &mut self.lock {
            let jobs = lock.workers_gone();
            self.jobs.lose_started(tick, jobs);
        }
        self.workers.restart(tick);
    }

    /// An application that syncs by itself goes back to what Git declares, whoever changed it.
    fn heal(&mut self, tick: i64) {
        let drifted = !self.delivery.synced(&self.web.image) || !self.delivery.synced(&self.workers.image);
        if tick % HEAL_S == 0 && drifted && self.delivery.auto_sync && !self.delivery.frozen() {
            let declared = self.delivery.declared.clone();
            self.run_image(&declared, tick);
        }
    }

    /// A release arrives; false where deliveries are held back.
    pub fn deliver(&mut self, image: &str, tick: i64) -> bool {
        self.delivery.declared = image.into();
        if self.delivery.frozen() {
            self.delivery.held += 1;
            return false;
        }
        self.run_image(image, tick);
        true
    }

    /// The job that deploys the release goes with it, and so does the session that it holds a table with.
    pub fn deploy_job_ends(&mut self, tick: i64) {
        if let Some(lock) = self.lock.as_mut().filter(|lock| lock.application.starts_with("odoo-deploy")) {
            lock.terminate(tick);
        }
    }

    /// Another image runs, whatever Git declares.
    pub fn run_image(&mut self, image: &str, tick: i64) {
        if self.web.image != image {
            self.delivery.before.push(self.web.image.clone());
        }
        self.web.deploy(image, tick);
        self.workers.deploy(image, tick);
    }

    /// Web pods are replaced: the waiting sessions of people end with them.
    pub fn restart_web(&mut self, tick: i64) {
        if let Some(lock) = &mut self.lock {
            lock.waiters.retain(|w| w.kind != Kind::Web);
        }
        self.web.restart(tick);
    }

    /// Workers take a job each and hang.
    pub fn hang(&mut self, tick: i64) {
        let slots = self.slots(tick);
        // There is always a job in hand.
        let missing = slots.saturating_sub(self.jobs.depth());
        self.jobs.lose_started(tick, missing);
        self.jobs.lose(tick, slots.saturating_sub(missing));
        self.hung = true;
    }
}

/// The image before: one release older.
fn previous(image: &str) -> String {
    let (name, tag) = image.rsplit_once(":r").unwrap_or((image, "0"));
    format!("{name}:r{}", tag.parse::<u32>().unwrap_or(1).saturating_sub(1))
}
