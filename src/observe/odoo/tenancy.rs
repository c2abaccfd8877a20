//! Who may come near a tenant's database: whether its owner owns others too, and which owners of other databases may
//! connect to it. Asked of the catalogs alone.

use crate::domain::facts::odoo::Access;
use crate::domain::text::sanitize;
use crate::observe::postgres::link::Session;

/// Owners of other databases that may log in and connect here. A superuser may do anything and is no tenant's role.
const ACCESS: &str = "\
WITH own AS (SELECT oid, datname, datdba FROM pg_catalog.pg_database WHERE datname = current_database()),
others AS (SELECT d.datname, d.datdba FROM pg_catalog.pg_database d, own
  WHERE d.oid <> own.oid AND NOT d.datistemplate AND d.datname <> 'postgres')
SELECT pg_catalog.pg_get_userbyid(own.datdba)::text AS owner,
  (SELECT count(*) FROM others o WHERE o.datdba = own.datdba) AS owns,
  ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r
    WHERE r.rolcanlogin AND NOT r.rolsuper AND r.oid <> own.datdba AND r.oid IN (SELECT datdba FROM others)
      AND has_database_privilege(r.oid, own.oid, 'CONNECT') ORDER BY 1 LIMIT 20) AS foreign_roles
FROM own";

/// Reads it.
pub(super) async fn read(session: &Session) -> Result<Option<Access>, tokio_postgres::Error> {
    let rows = session.ask(ACCESS, &[]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let foreign: Vec<String> = row.try_get("foreign_roles")?;
    Ok(Some(Access {
        owner: sanitize(row.try_get("owner")?),
        own_role: row.try_get::<_, i64>("owns")? == 0,
        foreign: foreign.iter().map(|role| sanitize(role)).collect(),
    }))
}
