//! Faults that a scenario puts into the estate: the cause only, the effects follow from the model.

use super::Simulation;
use super::certificates::Certificate;
use super::locks::Lock;
use super::shared::Silence;
use super::trouble::Access;
use crate::domain::id::{SourceId, TenantId};
use serde::{Deserialize, Serialize};

/// How a refused verb ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The server says no.
    Failed,
    /// The connection is lost after sending; the request had its effect.
    UnknownWithEffect,
    /// The connection is lost after sending; the request had no effect.
    UnknownWithoutEffect,
}

/// What the root of a lock chain does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// Sits idle in its transaction: cancelling touches nothing.
    #[default]
    IdleInTransaction,
    /// Runs its statement: cancelling ends it.
    Active,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// A new image is rolled out.
    Deploy {
        /// Whose.
        tenant: TenantId,
        /// Image tag: `r118`.
        tag: String,
        /// How many seconds ago that was.
        #[serde(default)]
        ago_s: i64,
    },
    /// A migration holds a table, and everything that wants it waits.
    LockChain {
        /// Whose database.
        tenant: TenantId,
        /// Table.
        #[serde(default = "sale_order")]
        table: String,
        /// `application_name` of the root.
        #[serde(default = "deploy_job")]
        application: String,
        /// What the root does.
        #[serde(default)]
        root: Root,
    },
    /// All workers take a job and hang.
    HungWorkers {
        /// Whose.
        tenant: TenantId,
    },
    /// The workers get less done.
    SlowWorkers {
        /// Whose.
        tenant: TenantId,
        /// Part of the usual, from 0 to 1.
        speed: f64,
    },
    /// A release answers a share of requests with 5xx.
    BrokenRelease {
        /// Whose.
        tenant: TenantId,
        /// From 0 to 1; 0 mends it.
        share: f64,
    },
    /// More demand than usual.
    Demand {
        /// Whose.
        tenant: TenantId,
        /// Multiple of the usual.
        factor: f64,
    },
    /// The certificate ends in so many days.
    Certificate {
        /// Whose.
        tenant: TenantId,
        /// Days from now; negative when it has ended.
        days: i64,
    },
    /// A cron does not run any more.
    StuckCron {
        /// Whose.
        tenant: TenantId,
        /// Seconds by which it is late already.
        late_s: f64,
    },
    /// Worker pods can not start.
    CrashLoop {
        /// Whose.
        tenant: TenantId,
        /// How many; 0 mends it.
        pods: u32,
    },
    /// A release whose workers lose memory until they are killed.
    Leak {
        /// Whose.
        tenant: TenantId,
        /// MiB a second of each worker.
        mb_per_s: f64,
    },
    /// Something opens connections and does not give them back.
    ConnectionStorm {
        /// Whose.
        tenant: TenantId,
        /// How many; 0 mends it.
        connections: u32,
    },
    /// Writes that the replica can not follow.
    WriteStorm {
        /// Whose.
        tenant: TenantId,
        /// Seconds a second by which it falls behind; 0 mends it.
        pace: f64,
    },
    /// A planning run takes all the workers that crons leave it.
    Planning {
        /// Whose.
        tenant: TenantId,
        /// How much work it is, in seconds of one worker.
        work_s: f64,
    },
    /// An autoscaler that makes pods without need.
    Runaway {
        /// Whose.
        tenant: TenantId,
        /// Web pods that it has made.
        pods: u32,
    },
    /// A mass change spoils the data.
    SpoiledData {
        /// Whose.
        tenant: TenantId,
    },
    /// People can not log in.
    Access {
        /// Whose.
        tenant: TenantId,
        /// What is broken; absent mends it.
        #[serde(default)]
        cause: Option<Access>,
    },
    /// The region that it runs in is gone.
    RegionDown {
        /// Whose.
        tenant: TenantId,
    },
    /// The router points to a service that is not the tenant's.
    Misroute {
        /// Whose.
        tenant: TenantId,
    },
    /// Somebody takes data out with a stolen key.
    StolenKey {
        /// Whose.
        tenant: TenantId,
    },
    /// What runs is not what Git declares.
    Drift {
        /// Whose.
        tenant: TenantId,
        /// Image tag that Git declares.
        tag: String,
    },
    /// Scanners send many times what is usual: what the web pods do not carry is slow or fails, and is sent again.
    ScanBurst {
        /// Whose.
        tenant: TenantId,
        /// Multiple of the usual; 1 ends it.
        factor: f64,
    },
    /// Jobs that have waited for a time already.
    Backlog {
        /// Whose.
        tenant: TenantId,
        /// How many.
        jobs: u32,
        /// For how many seconds the oldest of them has waited.
        age_s: i64,
    },
    /// A volume returns wrong blocks: whatever is read from it may be wrong, until the database is another copy.
    CorruptVolume {
        /// Whose database.
        tenant: TenantId,
    },
    /// Somebody has dropped a table. The replica has dropped it too.
    DroppedTable {
        /// Whose database.
        tenant: TenantId,
    },
    /// A system that jobs call does not answer.
    EndpointDown {
        /// Whose jobs.
        tenant: TenantId,
        /// Channel of these jobs: `root.wms`.
        channel: String,
        /// Whether it is down.
        down: bool,
    },
    /// The primary does not answer any more.
    PrimaryDown {
        /// Which instance.
        instance: SourceId,
    },
    /// The replica receives no WAL.
    ReplicaBroken {
        /// Of which instance.
        instance: SourceId,
    },
    /// Backups fail.
    BackupsFail {
        /// Of which instance.
        instance: SourceId,
        /// With which message; an empty one mends it.
        why: String,
    },
    /// Somebody makes a role that nobody approved.
    UnapprovedRole {
        /// On which instance.
        instance: SourceId,
        /// Its name.
        role: String,
        /// What it may, as in a baseline: `login superuser`; nothing drops it.
        rights: String,
    },
    /// WAL that nobody takes away fills the volume of a primary, which stops when it is full.
    VolumeFills {
        /// Which instance.
        instance: SourceId,
        /// Bytes a second; 0 stops it. A terabyte has 400 GB free at rest.
        bytes_per_s: u64,
    },
    /// Keys that nobody deletes fill a Redis.
    RedisFills {
        /// Which.
        redis: SourceId,
        /// Bytes a second; 0 stops it.
        bytes_per_s: u64,
    },
    /// A node does not answer.
    NodeDown {
        /// Which.
        node: String,
        /// Whether it is down.
        down: bool,
    },
    /// A source does not answer.
    TelemetryGap {
        /// Which source.
        source: SourceId,
        /// For how many seconds.
        seconds: i64,
    },
    /// The next executions of a verb end badly.
    Refuse {
        /// `adapter.verb`.
        verb: String,
        /// How.
        ending: Ending,
        /// How often.
        #[serde(default = "once")]
        times: u32,
    },
}

fn image(tag: &str) -> String {
    format!("registry.example/odoo:{tag}")
}

fn sale_order() -> String {
    "sale_order".into()
}

fn deploy_job() -> String {
    "odoo-deploy".into()
}

const fn once() -> u32 {
    1
}

/// A verb that will end badly.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// `adapter.verb`.
    pub verb: String,
    /// How it ends.
    pub ending: Ending,
    /// How often still.
    pub times: u32,
}

impl Fault {
    /// The tenant that it is about.
    pub const fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Deploy { tenant, .. }
            | Self::LockChain { tenant, .. }
            | Self::HungWorkers { tenant }
            | Self::SlowWorkers { tenant, .. }
            | Self::BrokenRelease { tenant, .. }
            | Self::Demand { tenant, .. }
            | Self::Certificate { tenant, .. }
            | Self::StuckCron { tenant, .. }
            | Self::CrashLoop { tenant, .. }
            | Self::Leak { tenant, .. }
            | Self::ConnectionStorm { tenant, .. }
            | Self::WriteStorm { tenant, .. }
            | Self::Planning { tenant, .. }
            | Self::Runaway { tenant, .. }
            | Self::SpoiledData { tenant }
            | Self::Access { tenant, .. }
            | Self::RegionDown { tenant }
            | Self::Misroute { tenant }
            | Self::StolenKey { tenant }
            | Self::Drift { tenant, .. }
            | Self::ScanBurst { tenant, .. }
            | Self::Backlog { tenant, .. }
            | Self::DroppedTable { tenant }
            | Self::CorruptVolume { tenant }
            | Self::EndpointDown { tenant, .. } => Some(tenant),
            Self::TelemetryGap { .. }
            | Self::Refuse { .. }
            | Self::PrimaryDown { .. }
            | Self::UnapprovedRole { .. }
            | Self::VolumeFills { .. }
            | Self::ReplicaBroken { .. }
            | Self::BackupsFail { .. }
            | Self::RedisFills { .. }
            | Self::NodeDown { .. } => None,
        }
    }

    /// Its word in a scenario: `lock-chain`.
    pub fn word(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value.get("fault").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    }

    /// What is wrong with its numbers, one sentence; `None` when nothing.
    pub fn objection(&self) -> Option<String> {
        let share = |name: &str, value: f64| {
            (!(0.0..=1.0).contains(&value)).then(|| format!("{name} is {value}, allowed is 0 to 1"))
        };
        match self {
            Self::SlowWorkers { speed, .. } => share("speed", *speed),
            Self::BrokenRelease { share: part, .. } => share("share", *part),
            Self::Demand { factor, .. } if !(0.0..=50.0).contains(factor) => {
                Some(format!("factor is {factor}, allowed is 0 to 50"))
            }
            Self::StuckCron { late_s, .. } if !(1.0..=1e7).contains(late_s) => {
                Some(format!("late_s is {late_s}, allowed is 1 to 10000000"))
            }
            Self::Deploy { ago_s, .. } if !(0..=604_800).contains(ago_s) => {
                Some(format!("ago_s is {ago_s}, allowed is 0 to 604800"))
            }
            Self::ScanBurst { factor, .. } if !(1.0..=50.0).contains(factor) => {
                Some(format!("factor is {factor}, allowed is 1 to 50"))
            }
            Self::Backlog { jobs, age_s, .. } if !(1..=100_000).contains(jobs) || !(0..=604_800).contains(age_s) => {
                Some(format!("jobs is {jobs} and age_s {age_s}, allowed are 1 to 100000 and 0 to 604800"))
            }
            Self::ConnectionStorm { connections, .. } if *connections > 10_000 => {
                Some(format!("connections is {connections}, allowed is 0 to 10000"))
            }
            Self::Certificate { days, .. } if !(-3650..=3650).contains(days) => {
                Some(format!("days is {days}, allowed is -3650 to 3650"))
            }
            Self::Leak { mb_per_s, .. } if !(0.0..=500.0).contains(mb_per_s) => {
                Some(format!("mb_per_s is {mb_per_s}, allowed is 0 to 500"))
            }
            Self::Planning { work_s, .. } if !(0.0..=1e6).contains(work_s) => {
                Some(format!("work_s is {work_s}, allowed is 0 to 1000000"))
            }
            Self::Runaway { pods, .. } if !(1..=1000).contains(pods) => {
                Some(format!("pods is {pods}, allowed is 1 to 1000"))
            }
            Self::WriteStorm { pace, .. } => share("pace", *pace),
            Self::TelemetryGap { seconds, .. } if !(1..=604_800).contains(seconds) => {
                Some(format!("seconds is {seconds}, allowed is 1 to 604800"))
            }
            _ => None,
        }
    }
}

impl Simulation {
    /// Puts a fault in; false when it names something that is not there.
    pub fn apply(&mut self, fault: &Fault) -> bool {
        match fault.tenant() {
            Some(id) => self.apply_to_tenant(&id.clone(), fault),
            None => self.apply_to_shared(fault),
        }
    }

    /// A fault of what tenants share.
    fn apply_to_shared(&mut self, fault: &Fault) -> bool {
        match fault {
            Fault::TelemetryGap { source, seconds } => {
                self.silences.insert(source.clone(), Silence { until: self.tick + seconds });
                true
            }
            Fault::Refuse { verb, ending, times } => {
                self.refusals.push(Refusal { verb: verb.clone(), ending: *ending, times: *times });
                true
            }
            Fault::PrimaryDown { instance } => self.instances.get_mut(instance).map(|i| i.pair.down = true).is_some(),
            Fault::ReplicaBroken { instance } => {
                self.instances.get_mut(instance).map(|i| i.pair.receiving = false).is_some()
            }
            Fault::BackupsFail { instance, why } => {
                let why = Some(why.clone()).filter(|w| !w.is_empty());
                self.instances.get_mut(instance).map(|i| i.backups.failing = why).is_some()
            }
            Fault::UnapprovedRole { instance, role, rights } => {
                let tick = self.tick;
                self.instances.get_mut(instance).map(|i| i.roles.set(role, rights, tick)).is_some()
            }
            Fault::VolumeFills { instance, bytes_per_s } => {
                self.instances.get_mut(instance).map(|i| i.volume.piles_up = *bytes_per_s).is_some()
            }
            Fault::RedisFills { redis, bytes_per_s } => {
                self.redis.get_mut(redis).map(|r| r.leak_bytes = *bytes_per_s).is_some()
            }
            Fault::NodeDown { node, down } => self.nodes.get_mut(node).map(|n| n.ready = !down).is_some(),
            _ => false,
        }
    }

    /// A fault of one tenant.
    fn apply_to_tenant(&mut self, id: &TenantId, fault: &Fault) -> bool {
        let tick = self.tick;
        let Some(instance) = self.tenant(id).map(|t| t.instance.clone()) else { return false };
        let pids = self.instances.get_mut(&instance).map(|i| &mut i.pids);
        let lock = match (fault, pids) {
            (Fault::LockChain { table, application, root, .. }, Some(pids)) => {
                let idle = *root == Root::IdleInTransaction;
                Some(Lock::new(pids, tick, table.clone(), application.clone(), idle))
            }
            _ => None,
        };
        let Some(tenant) = self.tenant_mut(id) else { return false };
        match fault {
            Fault::Deploy { tag, ago_s, .. } => drop(tenant.deliver(&image(tag), tick - ago_s)),
            Fault::LockChain { .. } => {
                tenant.lock = lock;
                let migrated = tenant.web.image.clone();
                tenant.delivery.migrated.push(migrated);
            }
            Fault::HungWorkers { .. } => tenant.hang(tick),
            Fault::SlowWorkers { speed, .. } => tenant.worker_speed = *speed,
            Fault::BrokenRelease { share, .. } => {
                tenant.broken_release = *share;
                tenant.broken_image.clone_from(&tenant.web.image);
            }
            Fault::Demand { factor, .. } => tenant.demand = *factor,
            Fault::Certificate { days, .. } => tenant.certificate = Certificate::lasting(*days, tick),
            Fault::StuckCron { late_s, .. } => tenant.cron_stuck_s = *late_s,
            Fault::CrashLoop { pods, .. } => {
                tenant.workers.crash_looping = (*pods).min(tenant.workers.desired);
            }
            Fault::Leak { mb_per_s, .. } => {
                tenant.trouble.leak_mb = *mb_per_s;
                tenant.trouble.leaking_image.clone_from(&tenant.workers.image);
            }
            Fault::ConnectionStorm { connections, .. } => tenant.trouble.connections = *connections,
            Fault::WriteStorm { pace, .. } => tenant.trouble.writes = *pace,
            Fault::Planning { work_s, .. } => tenant.trouble.planning_s = *work_s,
            Fault::Runaway { pods, .. } => {
                tenant.web.autoscaler.most = *pods;
                tenant.web.scale(*pods);
            }
            Fault::SpoiledData { .. } => tenant.trouble.spoiled = Some(tick),
            Fault::Access { cause, .. } => tenant.trouble.access = *cause,
            Fault::RegionDown { .. } => tenant.trouble.region_down = true,
            Fault::Misroute { .. } => tenant.trouble.misrouted = true,
            Fault::StolenKey { .. } => tenant.trouble.stolen_key = true,
            Fault::Drift { tag, .. } => {
                tenant.delivery.declared = image(tag);
                tenant.delivery.auto_sync = false;
            }
            Fault::ScanBurst { factor, .. } => tenant.trouble.scans = *factor,
            Fault::Backlog { jobs, age_s, .. } => tenant.jobs.wait_since(tick - age_s, tick, *jobs),
            Fault::CorruptVolume { .. } => tenant.trouble.corrupt = true,
            Fault::DroppedTable { .. } => tenant.trouble.dropped = Some(tick),
            Fault::EndpointDown { channel, down, .. } => {
                return tenant.jobs.channel_mut(channel).map(|c| c.endpoint_down = *down).is_some();
            }
            _ => return false,
        }
        true
    }

    /// How the next execution of a verb ends badly, if it does; counts it.
    pub(in crate::drill) fn refusal(&mut self, verb: &str) -> Option<Ending> {
        let refusal = self.refusals.iter_mut().find(|r| r.verb == verb && r.times > 0)?;
        refusal.times -= 1;
        Some(refusal.ending)
    }
}
