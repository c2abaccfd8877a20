//! What changes slowly and costs more to ask: transaction ids, slots, archiving, checkpoints, sizes, maintenance that
//! runs, statements. Asked every half minute on the session that is there anyway; what one question can not be answered
//! is not known, and takes nothing else with it.

use super::failure;
use super::link::{Link, Session};
use crate::domain::facts::postgres::Upkeep;
use crate::domain::sample::Failure;
use crate::domain::text::sanitize;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::{Row, error::DbError};

const EVERY: Duration = Duration::from_secs(30);
/// Sizes are the sum of what the file system says of every file.
const SIZES_EVERY: Duration = Duration::from_mins(5);
/// Checkpoints are counted over this time.
const WINDOW: Duration = Duration::from_mins(10);
/// Less WAL than this since the last archived segment is what an idle server writes by itself.
const IDLE_WAL: f64 = 131_072.0;

/// One row. WAL that waits is a file `.ready`; a segment's number stands in its name (`XLogFileName`).
const SLOW: &str = "\
SELECT (SELECT max(age(datfrozenxid))::float8 FROM pg_catalog.pg_database) AS xid_age,
  (SELECT count(*) FROM pg_catalog.pg_replication_slots WHERE NOT active) AS inactive,
  (SELECT greatest(0, max(pg_wal_lsn_diff(
     CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)))::float8
   FROM pg_catalog.pg_replication_slots) AS retained,
  current_setting('server_version_num')::int4 AS version_number,
  (SELECT n.nspname::text FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
   WHERE e.extname = 'pg_stat_statements') AS statements";

/// No row where nothing is archived, or on a replica.
const ARCHIVER: &str = "\
SELECT extract(epoch FROM clock_timestamp() - coalesce(last_archived_time, stats_reset))::float8 AS age_s,
  coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing,
  (SELECT count(*) FROM pg_catalog.pg_ls_archive_statusdir() WHERE name LIKE '%.ready') AS waiting,
  (pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') - CASE WHEN last_archived_wal ~ '^[0-9A-F]{24}$' THEN
     ((('x' || substr(last_archived_wal, 9, 8))::bit(32)::int8 * 4294967296)
      + (('x' || substr(last_archived_wal, 17, 8))::bit(32)::int8 + 1)
        * pg_size_bytes(current_setting('wal_segment_size'))) ELSE 0 END)::float8 AS unarchived
FROM pg_catalog.pg_stat_archiver WHERE current_setting('archive_mode') IN ('on', 'always') AND NOT pg_is_in_recovery()";

const CHECKPOINTS_17: &str =
    "SELECT num_timed AS timed, num_requested AS requested FROM pg_catalog.pg_stat_checkpointer";
const CHECKPOINTS: &str =
    "SELECT checkpoints_timed AS timed, checkpoints_req AS requested FROM pg_catalog.pg_stat_bgwriter";

const SIZES: &str = "SELECT sum(pg_database_size(oid))::float8 AS size FROM pg_catalog.pg_database WHERE datallowconn";

const PROGRESS: &str = "\
SELECT 'vacuum' AS what, coalesce(datname, '')::text AS database, relid::text AS of, phase,
  heap_blks_scanned::float8 / nullif(heap_blks_total, 0) AS share FROM pg_catalog.pg_stat_progress_vacuum
UNION ALL SELECT lower(command), coalesce(datname, '')::text, relid::text, phase,
  blocks_done::float8 / nullif(blocks_total, 0) FROM pg_catalog.pg_stat_progress_create_index
UNION ALL SELECT 'base backup', '', '', phase, backup_streamed::float8 / nullif(backup_total, 0)
  FROM pg_catalog.pg_stat_progress_basebackup";

/// What is kept between two samples.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    asked: Option<Instant>,
    sized: Option<(Instant, Option<f64>)>,
    last: Upkeep,
    checkpoints: VecDeque<(Instant, i64, i64)>,
    statements: Option<(Instant, HashMap<i64, f64>)>,
}

impl Keeper {
    /// Asks again when it is time; else what was said last.
    pub(super) async fn observe(&mut self, link: &Link, session: &Session) -> Result<Upkeep, Failure> {
        if self.asked.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(self.last.clone());
        }
        let ask = Ask { link, session };
        let mut seen = Upkeep::default();
        let Some(row) = ask.first(SLOW).await? else { return Ok(seen) };
        seen.xid_age = get(&row, "xid_age");
        seen.inactive_slots = get::<i64>(&row, "inactive").and_then(|n| u32::try_from(n).ok());
        seen.retained_bytes = get(&row, "retained");
        let version: i32 = get(&row, "version_number").unwrap_or(0);
        if let Some(row) = ask.first(ARCHIVER).await? {
            let age: Option<f64> = get(&row, "age_s");
            let waiting: i64 = get(&row, "waiting").unwrap_or(0);
            seen.archiver_failing = get(&row, "failing");
            seen.archiver_age_s = age.map(|age| if waiting > 0 { age } else { 0.0 });
            let unarchived: f64 = get(&row, "unarchived").unwrap_or(f64::INFINITY);
            seen.rpo_s = age.map(|age| if unarchived < IDLE_WAL { 0.0 } else { age });
        }
        let checkpoints = if version >= 170_000 { CHECKPOINTS_17 } else { CHECKPOINTS };
        if let Some(row) = ask.first(checkpoints).await? {
            let counters = get::<i64>(&row, "timed").zip(get::<i64>(&row, "requested"));
            seen.checkpoints_requested = counters.and_then(|(timed, requested)| self.checkpoints(timed, requested));
        }
        if self.sized.is_none_or(|(at, _)| at.elapsed() >= SIZES_EVERY) {
            let size = ask.first(SIZES).await?.and_then(|row| get(&row, "size"));
            self.sized = Some((Instant::now(), size));
        }
        seen.size_bytes = self.sized.and_then(|(_, size)| size);
        if let Some(rows) = ask.all(PROGRESS).await? {
            seen.maintenance = Some(rows.iter().filter_map(progress).take(20).collect());
        }
        if let Some(schema) = get::<String>(&row, "statements") {
            (seen.heaviest_share, seen.heaviest) = self.statements(&ask, &schema).await?;
        }
        self.asked = Some(Instant::now());
        self.last = seen.clone();
        Ok(seen)
    }

    /// The share of checkpoints that were asked for, over the window; nothing where there was none, or the counters
    /// were reset.
    fn checkpoints(&mut self, timed: i64, requested: i64) -> Option<f64> {
        let now = Instant::now();
        if self.checkpoints.back().is_some_and(|(_, t, r)| timed < *t || requested < *r) {
            self.checkpoints.clear();
        }
        while self.checkpoints.len() > 1 && self.checkpoints.front().is_some_and(|(at, ..)| now - *at > WINDOW) {
            self.checkpoints.pop_front();
        }
        let first = self.checkpoints.front().copied();
        self.checkpoints.push_back((now, timed, requested));
        let (_, timed_before, requested_before) = first?;
        share(timed - timed_before, requested - requested_before)
    }

    /// The statement that took most time since it was last asked, as a share of one processor.
    async fn statements(&mut self, ask: &Ask<'_>, schema: &str) -> Result<(Option<f64>, Option<String>), Failure> {
        let schema = schema.replace('"', "\"\"");
        let statement = format!(
            "SELECT queryid, sum(total_exec_time)::float8 AS ms, left(min(query), 200) AS query\n\
             FROM \"{schema}\".pg_stat_statements WHERE queryid IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 100"
        );
        let Some(rows) = ask.all(&statement).await? else { return Ok((None, None)) };
        let now = Instant::now();
        let read = |row: &Row| Some((get::<i64>(row, "queryid")?, get::<f64>(row, "ms")?));
        let seen: HashMap<i64, f64> = rows.iter().filter_map(read).collect();
        let before = self.statements.replace((now, seen));
        let Some((at, before)) = before else { return Ok((None, None)) };
        let elapsed_ms = (now - at).as_secs_f64() * 1000.0;
        let mut most: Option<(f64, &Row)> = None;
        for row in &rows {
            let Some((id, ms)) = read(row) else { continue };
            // One that came into the list since then has at most all of its time.
            let grown = ms - before.get(&id).copied().unwrap_or(ms);
            if grown > most.map_or(0.0, |(known, _)| known) {
                most = Some((grown, row));
            }
        }
        Ok(match most {
            Some((ms, row)) if elapsed_ms > 0.0 => {
                (Some(ms / elapsed_ms), get::<String>(row, "query").map(|query| sanitize(&query)))
            }
            _ => (Some(0.0), None),
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "checkpoints of ten minutes")]
fn share(timed: i64, requested: i64) -> Option<f64> {
    // One or two are those of a backup or of an administrator.
    match timed + requested {
        0 => None,
        _ if requested < 3 => Some(0.0),
        all => Some(requested as f64 / all as f64),
    }
}

fn progress(row: &Row) -> Option<String> {
    let what: String = get(row, "what")?;
    let (database, of): (String, String) = (get(row, "database")?, get(row, "of")?);
    let phase: String = get(row, "phase").unwrap_or_default();
    let share = get::<f64>(row, "share").map_or_else(String::new, |s| format!(", {:.0}%", s * 100.0));
    let on = if database.is_empty() { String::new() } else { format!(" of relation {of} in {database}") };
    Some(sanitize(&format!("{what}{on}: {phase}{share}")))
}

/// A column that is there, of this type, and not null.
fn get<T: for<'a> tokio_postgres::types::FromSql<'a>>(row: &Row, name: &str) -> Option<T> {
    row.try_get::<_, Option<T>>(name).ok().flatten()
}

struct Ask<'a> {
    link: &'a Link,
    session: &'a Session,
}

impl Ask<'_> {
    async fn first(&self, statement: &str) -> Result<Option<Row>, Failure> {
        Ok(self.all(statement).await?.and_then(|rows| rows.into_iter().next()))
    }

    /// `None` when the server refuses this question: a right, a version, a time limit. A broken session is a failure.
    async fn all(&self, statement: &str) -> Result<Option<Vec<Row>>, Failure> {
        match self.session.ask(statement, &[]).await {
            Ok(rows) => Ok(Some(rows)),
            Err(e) if e.as_db_error().map(DbError::code).is_some_and(|c| !c.code().starts_with("57P")) => Ok(None),
            Err(e) => Err(failure::classify(self.link.address(), &e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_requested_checkpoints_are_those_of_people() {
        assert_eq!((share(0, 0), share(1, 2), share(1, 3)), (None, Some(0.0), Some(0.75)));
    }
}
