//! Odoo as its database tells it, or its own API where the database does not ([`ways`]): OCA `queue_job`, `ir_cron`,
//! `ir_module_module`; one source a tenant, named `odoo/<tenant>`. A server may hold hundreds of tenants: of one server at most
//! [`AT_ONCE`] sessions are open at a time, so that watching never takes the connections that the tenants need, and the
//! interval grows with their number, so that it never takes more of the processor either. A session is opened for each look
//! and closed after it: one that stood would keep the database from being renamed, dropped or copied, which restores do.
//! Only the engine calls this; the verbs share [`source_id`] and [`queue`].

mod api;
mod bloat;
mod business;
pub mod client;
pub mod queue;
pub mod synthetic;
mod tenancy;
#[cfg(test)]
pub(crate) mod tests;
pub mod ways;

use super::poll::Poll;
use super::postgres::link::{Link, Session, Settings};
use super::postgres::{STATEMENT_TIMEOUT, failure};
use crate::config::model;
use crate::domain::estate::{Estate, Tenant};
use crate::domain::facts::odoo::{Bloat, Crons, OdooFacts};
use crate::domain::facts::{Facts, Missing};
use crate::domain::id::{SourceId, TenantId};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::text::sanitize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Sessions of tenants' observers that one server sees at a time.
pub const AT_ONCE: usize = 2;

/// The least time between two looks at a tenant; an instance that is configured with a longer interval keeps that, and many
/// tenants are looked at one after the other (`tenant_pace`).
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);

/// A job that has run longer is taken for a zombie: Odoo ends a worker at `limit_time_real`, customarily at most
/// 15 minutes, so nobody works on it any more.
pub const ZOMBIE_AFTER: Duration = Duration::from_mins(15);

/// The tables that are read, where a database has them.
pub const READ: &[&str] = &[
    "queue_job",
    "queue_job_lock",
    "ir_cron",
    "ir_cron_progress",
    "ir_module_module",
    "ir_model_data",
    "sale_order",
    "mail_presence",
    "bus_presence",
];

/// The tables that are read, and whether a field depends on a column that not every version has.
const TABLES: &str = "\
SELECT c.relname::text AS name,
  has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(c.relnamespace, 'USAGE') AS readable,
  ARRAY(SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
    AS columns
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v')
  AND c.relname IN ('ir_module_module', 'ir_cron', 'queue_job', 'queue_job_lock')";

const MODULES: &str = "\
SELECT coalesce((SELECT latest_version FROM public.ir_module_module WHERE name = 'base'), '') AS version,
  (SELECT count(*) FROM public.ir_module_module WHERE state LIKE 'to %') AS pending";

/// Looks at one tenant's Odoo.
#[derive(Debug)]
pub struct Odoo {
    spec: SourceSpec,
    timeout: Duration,
    database: String,
    zombie_after: Duration,
    server: Arc<Server>,
    /// What was said of the room that is not needed, and when it was asked.
    bloat: Option<(Instant, Option<Bloat>)>,
}

/// What the observers of one server share.
#[derive(Debug)]
struct Server {
    link: Link,
    turnstile: Semaphore,
}

/// The name of a tenant's source.
pub fn source_id(tenant: &TenantId) -> SourceId {
    SourceId::new(format!("odoo/{tenant}"))
}

impl Odoo {
    /// One observer for each tenant whose database stands on this instance. Nothing is opened or read yet.
    /// A started job is a zombie after `zombie_after`, by default [`ZOMBIE_AFTER`].
    pub fn on(_: MayObserve, config: &model::Postgres, estate: &Estate, zombie_after: Duration) -> Vec<Self> {
        let interval = interval(config, estate.tenants_on(&config.id).count());
        let server = Arc::new(Server { link: Link::observe(config), turnstile: Semaphore::new(AT_ONCE) });
        let one = |tenant: &Tenant| {
            let database = &tenant.database.as_ref()?.name;
            Some(Self {
                spec: SourceSpec {
                    id: source_id(&tenant.id),
                    kind: SourceKind::Odoo,
                    interval,
                    address: format!("{}/{database}", server.link.address()),
                },
                timeout: config.timeout,
                database: database.clone(),
                zombie_after,
                server: Arc::clone(&server),
                bloat: None,
            })
        };
        estate.tenants_on(&config.id).filter_map(one).collect()
    }

    /// Waiting for the turn does not count towards the time that one look may take.
    async fn look(&mut self) -> Result<Facts, Failure> {
        let server = Arc::clone(&self.server);
        let _turn = server.turnstile.acquire().await;
        let (within, address) = (self.timeout, self.spec.address.clone());
        let late = |_| {
            let message = format!("no answer from {address} within {} s", within.as_secs_f64());
            Err(Failure::new(FailureKind::Timeout, message))
        };
        tokio::time::timeout(within, self.ask(&server.link)).await.unwrap_or_else(late).map(Facts::Odoo)
    }

    async fn ask(&mut self, link: &Link) -> Result<OdooFacts, Failure> {
        let settings = Settings::Look { statement_timeout: STATEMENT_TIMEOUT };
        let session = link.open(&self.database, settings).await?;
        let tables = self.tables(&session).await?;
        let classify = |e| failure::classify(&self.spec.address, &e);
        let mut facts = OdooFacts {
            zombie_after_s: self.zombie_after.as_secs_f64(),
            job_locks: tables.job_locks,
            ..OdooFacts::default()
        };
        let modules = session.ask(MODULES, &[]).await.map_err(classify)?;
        if let Some(row) = modules.first() {
            facts.version = row.try_get("version").map(sanitize).map_err(classify)?;
            facts.modules_pending = Some(queue::count(row.try_get("pending").map_err(classify)?));
        }
        let crons = session.ask(&crons(&tables.cron_columns), &[]).await.map_err(classify)?;
        if let Some(row) = crons.first() {
            facts.crons = Some(Crons {
                active: queue::count(row.try_get("active").map_err(classify)?),
                late: queue::count(row.try_get("late").map_err(classify)?),
                lateness_s: row.try_get("lateness_s").map_err(classify)?,
                latest: row.try_get::<_, Option<&str>>("latest").map(|name| name.map(sanitize)).map_err(classify)?,
                failing: queue::count(row.try_get("failing").map_err(classify)?),
            });
        }
        match tables.queue_readable {
            Some(true) => {
                let rows = session.ask(queue::CHANNELS, &[&self.zombie_after.as_secs().to_string()]).await;
                let rows = rows.map_err(classify)?;
                facts.channels = Some(rows.iter().map(queue::read).collect::<Result<_, _>>().map_err(classify)?);
            }
            Some(false) => {
                facts.queue_unseen = true;
                facts.missing.push(Missing {
                    disables: format!("the job channels of database {}", self.database),
                    remedy: self.grant("queue_job"),
                });
            }
            None => {}
        }
        let business = business::read(&session).await.map_err(classify)?;
        (facts.orders_hour, facts.sessions_active) = (business.orders_hour, business.sessions_active);
        facts.planning = business.planning;
        if !business.unreadable.is_empty() {
            facts.missing.push(Missing {
                disables: format!("what is done in database {}: orders, planning runs, people", self.database),
                remedy: self.grant(&business.unreadable.join(", ")),
            });
        }
        facts.access = tenancy::read(&session).await.map_err(classify)?;
        if self.bloat.as_ref().is_none_or(|(asked, _)| asked.elapsed() >= bloat::EVERY) {
            self.bloat = Some((Instant::now(), bloat::read(&session).await.map_err(classify)?));
        }
        facts.bloat = self.bloat.as_ref().and_then(|(_, bloat)| bloat.clone());
        session.close().await;
        Ok(facts)
    }

    async fn tables(&self, session: &Session) -> Result<Tables, Failure> {
        let classify = |e| failure::classify(&self.spec.address, &e);
        let mut tables = Tables::default();
        let (mut modules, mut crons) = (None, None);
        for row in session.ask(TABLES, &[]).await.map_err(classify)? {
            let readable: bool = row.try_get("readable").map_err(classify)?;
            match row.try_get("name").map_err(classify)? {
                "ir_module_module" => modules = Some(readable),
                "ir_cron" => {
                    crons = Some(readable);
                    tables.cron_columns = row.try_get("columns").map_err(classify)?;
                }
                "queue_job" => tables.queue_readable = Some(readable),
                "queue_job_lock" => tables.job_locks = true,
                _ => {}
            }
        }
        match (modules, crons) {
            (Some(true), Some(true)) => Ok(tables),
            (Some(_), Some(_)) => Err(Failure::new(
                FailureKind::Permission,
                format!(
                    "{}: may not read Odoo's tables: {}",
                    self.spec.address,
                    self.grant("ir_module_module, ir_cron")
                ),
            )),
            _ => Err(Failure::new(
                FailureKind::Protocol,
                format!("{}: no Odoo in this database (no tables ir_module_module and ir_cron)", self.spec.address),
            )),
        }
    }

    fn grant(&self, tables: &str) -> String {
        sanitize(&format!("GRANT SELECT ON {tables} TO {}", self.server.link.user()))
    }
}

/// Time between two looks at one of so many tenants of a server.
fn interval(config: &model::Postgres, tenants: usize) -> Duration {
    let all = config.tenant_pace.saturating_mul(u32::try_from(tenants).unwrap_or(u32::MAX));
    all.max(config.interval).max(SHORTEST_INTERVAL)
}

/// What the database has.
#[derive(Debug, Default)]
struct Tables {
    cron_columns: Vec<String>,
    queue_readable: Option<bool>,
    job_locks: bool,
}

/// Lateness of crons. `nextcall` is UTC without a zone. Odoo 19 has `failure_count` and `cron_name`, older versions
/// not all.
fn crons(columns: &[String]) -> String {
    let has = |name: &str| columns.iter().any(|c| c == name);
    let failures = if has("failure_count") { "failure_count" } else { "0" };
    let name = if has("cron_name") { "cron_name" } else { "'cron ' || id" };
    format!(
        "WITH c AS MATERIALIZED (\n  SELECT {name} AS name, {failures} AS failures,\n    \
         extract(epoch FROM (now() AT TIME ZONE 'UTC') - nextcall)::float8 AS late_s\n  \
         FROM public.ir_cron WHERE active\n)\n\
         SELECT count(*) AS active, count(*) FILTER (WHERE late_s > 600) AS late,\n  \
         count(*) FILTER (WHERE failures >= 3) AS failing, greatest(0, max(late_s)) AS lateness_s,\n  \
         (SELECT name::text FROM c WHERE late_s > 0 ORDER BY late_s DESC LIMIT 1) AS latest\nFROM c"
    )
}

impl Poll for Odoo {
    fn spec(&self) -> SourceSpec {
        self.spec.clone()
    }

    /// Includes waiting for the turn; [`Odoo::look`] has the limit of the look itself.
    fn timeout(&self) -> Duration {
        self.spec.interval.max(self.timeout)
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}
