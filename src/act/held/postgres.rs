//! Rights of the role that acts on a PostgreSQL instance, and in the tenants' databases on it.

use super::{ALLOWED, Found};
use crate::act::grants::{INSTANCE, TABLES, TableGrant};
use crate::config::model::Postgres;
use crate::domain::estate::Estate;
use crate::domain::facts::Missing;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::postgres::failure;
use crate::observe::postgres::link::{Link, Settings};

/// What reaches further than any verb: attributes, and predefined roles that it is in. A superuser is in all of them.
const EXCESS: &str = "\
SELECT CASE WHEN rolsuper THEN ARRAY['superuser'] ELSE array_remove(ARRAY[
    CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
    CASE WHEN rolreplication THEN 'REPLICATION' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' END], NULL)
  || ARRAY(SELECT 'member of ' || r.rolname FROM pg_catalog.pg_roles r WHERE r.rolname IN ('pg_read_all_data', 'pg_write_all_data',
    'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', 'pg_maintain')
    AND pg_has_role(r.oid, 'MEMBER') ORDER BY r.rolname) END
FROM pg_catalog.pg_roles WHERE rolname = current_user";

/// Asks as the role that acts.
pub(super) async fn ask(config: &Postgres, estate: &Estate) -> Result<Found, Failure> {
    let link = Link::act(config).ok_or_else(|| Failure::new(FailureKind::Local, "it has no `act` login"))?;
    let settings = || Settings::Look { statement_timeout: ALLOWED };
    let classify = |e| failure::classify(link.address(), &e);
    let session = link.open(&config.database, settings()).await?;
    let columns: Vec<&str> = INSTANCE.iter().map(|r| r.held).collect();
    let rows = session.ask(&format!("SELECT ARRAY[{}]", columns.join(",\n  ")), &[]).await.map_err(classify)?;
    let held: Vec<Option<bool>> = rows.first().map_or(Ok(Vec::new()), |row| row.try_get(0)).map_err(classify)?;
    let rows = session.ask(EXCESS, &[]).await.map_err(classify)?;
    let excess: Vec<String> = rows.first().map_or(Ok(Vec::new()), |row| row.try_get(0)).map_err(classify)?;
    session.close().await;
    let user = sanitize(link.user());
    let lacks = |held: &Option<bool>| *held == Some(false);
    let mut missing: Vec<Missing> = INSTANCE
        .iter()
        .zip(&held)
        .filter(|(_, held)| lacks(held))
        .map(|(grant, _)| Missing { disables: grant.verbs.join(", "), remedy: grant.right.statement(&user) })
        .collect();
    let mut asked = INSTANCE.len();
    for tenant in estate.tenants_on(&config.id) {
        let Some(database) = tenant.database.as_ref() else { continue };
        let session = link.open(&database.name, settings()).await?;
        let columns: Vec<String> = TABLES.iter().map(TableGrant::held).collect();
        let rows = session.ask(&format!("SELECT ARRAY[{}]", columns.join(",\n  ")), &[]).await.map_err(classify)?;
        let held: Vec<Option<bool>> = rows.first().map_or(Ok(Vec::new()), |row| row.try_get(0)).map_err(classify)?;
        session.close().await;
        asked += TABLES.len();
        let lacking = TABLES.iter().zip(&held).filter(|(_, held)| lacks(held));
        missing.extend(lacking.map(|(right, _)| Missing {
            disables: format!("{} for tenant {}", right.verbs.join(", "), tenant.id),
            remedy: format!("in database {}: GRANT {} TO {user}", sanitize(&database.name), right.words("")),
        }));
    }
    Ok(Found { asked, lacking: missing.len(), missing, excess })
}
