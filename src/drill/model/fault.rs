//! Faults that a scenario puts into the estate: the cause only, the effects follow from the model.

use super::Simulation;
use super::certificates::Certificate;
use super::locks::Lock;
use super::shared::Silence;
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
            | Self::CrashLoop { tenant, .. } => Some(tenant),
            Self::TelemetryGap { .. } | Self::Refuse { .. } => None,
        }
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
            Self::TelemetryGap { seconds, .. } if *seconds < 1 => {
                Some(format!("seconds is {seconds}, it must be 1 or more"))
            }
            _ => None,
        }
    }
}

impl Simulation {
    /// Puts a fault in; false when it names a tenant that is not there.
    pub fn apply(&mut self, fault: &Fault) -> bool {
        let tick = self.tick;
        match fault {
            Fault::TelemetryGap { source, seconds } => {
                self.silences.insert(source.clone(), Silence { until: tick + seconds });
                return true;
            }
            Fault::Refuse { verb, ending, times } => {
                self.refusals.push(Refusal { verb: verb.clone(), ending: *ending, times: *times });
                return true;
            }
            _ => {}
        }
        let Some(id) = fault.tenant().cloned() else { return false };
        let Some(instance) = self.tenant(&id).map(|t| t.instance.clone()) else { return false };
        let pids = self.instances.get_mut(&instance).map(|i| &mut i.pids);
        let lock = match (fault, pids) {
            (Fault::LockChain { table, application, root, .. }, Some(pids)) => {
                let idle = *root == Root::IdleInTransaction;
                Some(Lock::new(pids, tick, table.clone(), application.clone(), idle))
            }
            _ => None,
        };
        let Some(tenant) = self.tenant_mut(&id) else { return false };
        match fault {
            Fault::Deploy { tag, .. } => {
                let image = format!("registry.example/odoo:{tag}");
                tenant.web.deploy(&image, tick);
                tenant.workers.deploy(&image, tick);
            }
            Fault::LockChain { .. } => tenant.lock = lock,
            Fault::HungWorkers { .. } => tenant.hang(tick),
            Fault::SlowWorkers { speed, .. } => tenant.worker_speed = *speed,
            Fault::BrokenRelease { share, .. } => tenant.broken_release = *share,
            Fault::Demand { factor, .. } => tenant.demand = *factor,
            Fault::Certificate { days, .. } => tenant.certificate = Certificate::lasting(*days, tick),
            Fault::StuckCron { late_s, .. } => tenant.cron_stuck_s = *late_s,
            Fault::CrashLoop { pods, .. } => {
                tenant.workers.crash_looping = (*pods).min(tenant.workers.desired);
            }
            Fault::TelemetryGap { .. } | Fault::Refuse { .. } => {}
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
