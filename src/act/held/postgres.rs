//! Rights of the role that acts on a PostgreSQL instance, and in the tenants' databases on it.

use super::{ALLOWED, Found};
use crate::config::model::Postgres;
use crate::domain::estate::Estate;
use crate::domain::facts::Missing;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::postgres::failure;
use crate::observe::postgres::link::{Link, Settings};

/// A right on the instance: the verbs that need it, what tells whether it is held, and what grants it.
struct Right {
    verbs: &'static str,
    /// An SQL expression; null where the server does not have it at all.
    held: &'static str,
    grant: &'static str,
}

const INSTANCE: [Right; 8] = [
    Right {
        verbs: "every verb on PostgreSQL and in Odoo's databases",
        held: "has_function_privilege('pg_control_system()', 'EXECUTE')",
        grant: "GRANT EXECUTE ON FUNCTION pg_control_system() TO",
    },
    Right {
        verbs: "postgres.blocking_tree, cancel_backend, terminate_backend, replication",
        held: "pg_has_role('pg_monitor', 'USAGE')",
        grant: "GRANT pg_monitor TO",
    },
    Right {
        verbs: "postgres.cancel_backend, terminate_backend",
        held: "pg_has_role('pg_signal_backend', 'USAGE')",
        grant: "GRANT pg_signal_backend TO",
    },
    Right {
        verbs: "postgres.create_restore_point",
        held: "has_function_privilege('pg_create_restore_point(text)', 'EXECUTE')",
        grant: "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO",
    },
    Right {
        verbs: "postgres.switch_wal",
        held: "has_function_privilege('pg_switch_wal()', 'EXECUTE')",
        grant: "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO",
    },
    Right {
        verbs: "postgres.promote",
        held: "has_function_privilege('pg_promote(boolean, integer)', 'EXECUTE')
          AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE')",
        grant: "GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer), pg_control_checkpoint() TO",
    },
    Right {
        verbs: "postgres.checkpoint",
        // Before version 15 only a superuser may.
        held: "CASE WHEN to_regrole('pg_checkpoint') IS NULL THEN current_setting('is_superuser') = 'on'
          ELSE pg_has_role(to_regrole('pg_checkpoint')::oid, 'USAGE') END",
        grant: "GRANT pg_checkpoint TO",
    },
    Right {
        verbs: "postgres.set_connection_limit",
        held: "NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate
          AND datname <> 'postgres' AND NOT pg_has_role(datdba, 'USAGE'))",
        grant: "GRANT <owners of the databases> TO",
    },
];

/// A table of a tenant's database: the verbs that need it, its name, and the privileges.
const TABLES: [(&str, &str, &str); 4] = [
    ("odoo.pause_crons, resume_crons", "ir_cron", "SELECT, UPDATE"),
    ("odoo.requeue_jobs, set_job_priority, integration.buffer, replay", "queue_job", "SELECT, UPDATE"),
    (
        "odoo.pause_crons, lock_exports, integration.breaker_open, breaker_close",
        "ir_config_parameter",
        "SELECT, UPDATE",
    ),
    ("integration.breaker_open, breaker_close", "orm_signaling_stable", "SELECT, INSERT"),
];

/// Asks as the role that acts.
pub(super) async fn ask(config: &Postgres, estate: &Estate) -> Result<Found, Failure> {
    let link = Link::act(config).ok_or_else(|| Failure::new(FailureKind::Local, "it has no `act` login"))?;
    let settings = || Settings::Look { statement_timeout: ALLOWED };
    let classify = |e| failure::classify(link.address(), &e);
    let session = link.open(&config.database, settings()).await?;
    let columns: Vec<&str> = INSTANCE.iter().map(|r| r.held).collect();
    let rows = session.ask(&format!("SELECT ARRAY[{}]", columns.join(",\n  ")), &[]).await.map_err(classify)?;
    let held: Vec<Option<bool>> = rows.first().map_or(Ok(Vec::new()), |row| row.try_get(0)).map_err(classify)?;
    session.close().await;
    let user = sanitize(link.user());
    let lacks = |held: &Option<bool>| *held == Some(false);
    let mut missing: Vec<Missing> = INSTANCE
        .iter()
        .zip(&held)
        .filter(|(_, held)| lacks(held))
        .map(|(right, _)| Missing { disables: right.verbs.to_owned(), remedy: format!("{} {user}", right.grant) })
        .collect();
    let mut asked = INSTANCE.len();
    for tenant in estate.tenants_on(&config.id) {
        let Some(database) = tenant.database.as_ref() else { continue };
        let session = link.open(&database.name, settings()).await?;
        let columns: Vec<String> = TABLES.iter().map(|(_, table, rights)| table_right(table, rights)).collect();
        let rows = session.ask(&format!("SELECT ARRAY[{}]", columns.join(",\n  ")), &[]).await.map_err(classify)?;
        let held: Vec<Option<bool>> = rows.first().map_or(Ok(Vec::new()), |row| row.try_get(0)).map_err(classify)?;
        session.close().await;
        asked += TABLES.len();
        let lacking = TABLES.iter().zip(&held).filter(|(_, held)| lacks(held));
        missing.extend(lacking.map(|((verbs, table, rights), _)| Missing {
            disables: format!("{verbs} for tenant {}", tenant.id),
            remedy: format!("in database {}: GRANT {rights} ON {table} TO {user}", sanitize(&database.name)),
        }));
    }
    Ok(Found { asked, lacking: missing.len(), missing })
}

/// Whether all of the privileges on a table are held; null where the database does not have it.
fn table_right(table: &str, rights: &str) -> String {
    let each: Vec<String> = rights
        .split(", ")
        .map(|right| format!("has_table_privilege(to_regclass('public.{table}'), '{right}')"))
        .collect();
    each.join(" AND ")
}
