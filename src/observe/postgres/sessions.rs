//! Sessions that matter: blocked, blocking, long or idle in transaction.

use crate::domain::facts::postgres::Session;
use crate::domain::text::sanitize;
use jiff::Timestamp;
use tokio_postgres::Row;

/// Transactions of at least this many seconds are among the sessions that matter to an observer.
pub const LONG_S: &str = "10";

/// Sessions that wait for a lock and those that they wait for; `$1` names a database in which they wait, or is
/// empty. With them transactions of at least `$2` seconds, none when that is empty. PostgreSQL 13 and later: `waitstart` of `pg_locks`
/// exists since 14, through `to_jsonb` its absence reads as null and the wait counts from `query_start`.
/// `pg_locks` and `pg_blocking_pids()` are open to everybody; the rest of a row needs `pg_read_all_stats`.
pub const SESSIONS: &str = "\
WITH activity AS MATERIALIZED (
  SELECT * FROM pg_catalog.pg_stat_activity WHERE pid <> pg_backend_pid()
), waiting AS MATERIALIZED (
  SELECT pid, min((to_jsonb(l) ->> 'waitstart')::timestamptz) AS since
  FROM pg_catalog.pg_locks l WHERE NOT granted GROUP BY pid
), blocked AS MATERIALIZED (
  SELECT pid, since, ARRAY(SELECT DISTINCT b FROM unnest(pg_blocking_pids(pid)) b ORDER BY b) AS blockers
  FROM (SELECT w.pid, coalesce(w.since, a.query_start) AS since FROM waiting w JOIN activity a USING (pid)
        WHERE $1::text = '' OR a.datname = $1::text
        ORDER BY 2 NULLS LAST LIMIT 500) w
), blocking AS MATERIALIZED (
  SELECT DISTINCT unnest(blockers) AS pid FROM blocked
)
SELECT a.pid, a.backend_start, coalesce(a.datname::text, '') AS database, coalesce(a.usename::text, '') AS usename,
  coalesce(a.application_name, '') AS application, coalesce(host(a.client_addr), '') AS client,
  coalesce(a.state, '') AS state,
  extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_s,
  extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_s,
  CASE WHEN cardinality(b.blockers) > 0 THEN extract(epoch FROM clock_timestamp() - b.since)::float8 END AS waiting_s,
  coalesce(a.wait_event_type || ':' || a.wait_event, '') AS wait,
  coalesce(b.blockers, '{}'::int4[]) AS blocked_by,
  left(coalesce(a.query, ''), 400) AS query
FROM activity a LEFT JOIN blocked b USING (pid) LEFT JOIN blocking k USING (pid)
WHERE cardinality(b.blockers) > 0 OR k.pid IS NOT NULL
  OR (a.backend_type = 'client backend'
      AND a.xact_start <= clock_timestamp() - make_interval(secs => nullif($2::text, '')::float8))
ORDER BY k.pid IS NULL, b.blockers IS NULL, a.xact_start NULLS LAST, a.pid
LIMIT 500";

/// Reads a row of [`SESSIONS`]. A session whose `backend_start` may not be seen gets [`Timestamp::UNIX_EPOCH`],
/// which names no session: verbs refuse it.
pub fn read(row: &Row) -> Result<Session, tokio_postgres::Error> {
    let text = |name: &str| row.try_get::<_, &str>(name).map(sanitize);
    let seconds = |name: &str| row.try_get::<_, Option<f64>>(name).map(|s| s.map(|s| s.max(0.0)));
    Ok(Session {
        pid: row.try_get("pid")?,
        backend_start: row.try_get::<_, Option<Timestamp>>("backend_start")?.unwrap_or(Timestamp::UNIX_EPOCH),
        database: text("database")?,
        user: text("usename")?,
        application: text("application")?,
        client: text("client")?,
        state: text("state")?,
        transaction_s: seconds("transaction_s")?,
        state_s: seconds("state_s")?,
        waiting_s: seconds("waiting_s")?,
        wait: text("wait")?,
        blocked_by: row.try_get("blocked_by")?,
        query: text("query")?,
    })
}
