//! Roles, memberships, databases and the rights on them, from catalogs that every login may read
//! (<https://www.postgresql.org/docs/current/catalogs.html>).

use crate::domain::baseline::{Aspect, Lines, Seen, add};
use crate::domain::sample::Failure;
use crate::domain::text::sanitize;
use crate::observe::postgres::link::{Link, Settings};
use crate::observe::postgres::{STATEMENT_TIMEOUT, failure};

/// Names with the words that each has; in any order.
const ROLES: &str = "\
SELECT rolname::text AS name, array_to_string(ARRAY[
  CASE WHEN rolbypassrls THEN 'bypassrls' END, CASE WHEN rolcreatedb THEN 'createdb' END,
  CASE WHEN rolcreaterole THEN 'createrole' END, CASE WHEN rolcanlogin THEN 'login' END,
  CASE WHEN rolreplication THEN 'replication' END, CASE WHEN rolsuper THEN 'superuser' END], ' ') AS has
FROM pg_catalog.pg_roles WHERE left(rolname, 3) <> 'pg_'";

/// Mighty is a role that may do what an administrator may, on the server or on its machine
/// (<https://www.postgresql.org/docs/current/predefined-roles.html>).
const MEMBERS: &str = "\
SELECT m.rolname || ' in ' || g.rolname AS name,
  CASE WHEN bool_or(a.admin_option) THEN 'admin' ELSE 'member' END
  || CASE WHEN bool_or(g.rolsuper OR g.rolcreaterole OR g.rolreplication OR g.rolbypassrls OR g.rolname IN
       ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_read_all_data',
        'pg_write_all_data', 'pg_maintain', 'pg_create_subscription', 'pg_signal_backend'))
     THEN ' mighty' ELSE '' END AS has
FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles m ON m.oid = a.member
  JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
WHERE left(m.rolname, 3) <> 'pg_' GROUP BY m.rolname, g.rolname";

const DATABASES: &str = "\
SELECT datname::text AS name, 'owner ' || pg_get_userbyid(datdba) AS has
FROM pg_catalog.pg_database WHERE NOT datistemplate";

/// What the owner of a database has is implied. A star: may be handed on.
const GRANTS: &str = "\
SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END || ' on ' || d.datname AS name,
  array_to_string(array_agg(DISTINCT lower(x.privilege_type) || CASE WHEN x.is_grantable THEN '*' ELSE '' END), ' ') AS has
FROM pg_catalog.pg_database d, LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x
WHERE NOT d.datistemplate AND x.grantee <> d.datdba GROUP BY 1";

/// Reads these aspects in a session of its own, which is closed again.
pub(super) async fn read(link: &Link, database: &str, aspects: &[Aspect]) -> Result<Seen, Failure> {
    let session = link.open(database, Settings::Look { statement_timeout: STATEMENT_TIMEOUT }).await?;
    let mut seen = Seen::default();
    for aspect in aspects {
        let statement = match aspect {
            Aspect::Roles => ROLES,
            Aspect::Members => MEMBERS,
            Aspect::Databases => DATABASES,
            Aspect::Grants => GRANTS,
            _ => continue,
        };
        let classify = |e| failure::classify(link.address(), &e);
        let mut lines = Lines::new();
        for row in session.ask(statement, &[]).await.map_err(classify)? {
            let name: String = row.try_get("name").map_err(classify)?;
            let has: String = row.try_get("has").map_err(classify)?;
            add(&mut lines, sanitize(&name), sanitize(&has));
        }
        seen.read.insert(*aspect, lines);
    }
    session.close().await;
    Ok(seen)
}
