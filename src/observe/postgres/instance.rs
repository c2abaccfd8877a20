//! What an instance says of itself, of its standbys and of its databases.

use super::failure;
use super::link::{Link, Session};
use super::sessions;
use crate::domain::facts::Missing;
use crate::domain::facts::postgres::{DatabaseStat, PostgresFacts, Standby};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use std::collections::BTreeMap;
use tokio_postgres::Row;

/// One row. `pg_stat_wal_receiver` shows that a receiver runs to everybody, its state with `pg_read_all_stats`.
/// Without that right `backend_type` is null for others, a session in a database is then taken for a client.
const INSTANCE: &str = "\
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS in_recovery,
  current_setting('max_connections')::int4 AS max_connections,
  (SELECT count(*) FROM pg_catalog.pg_stat_activity
   WHERE backend_type = 'client backend' OR (backend_type IS NULL AND datid IS NOT NULL)) AS connections,
  pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS reads_stats,
  has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS reads_system,
  has_function_privilege('pg_catalog.pg_control_checkpoint()', 'EXECUTE') AS reads_checkpoint,
  EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver WHERE pid IS NOT NULL) AS receives,
  (SELECT status FROM pg_catalog.pg_stat_wal_receiver) AS receiver_status,
  pg_is_in_recovery() AND pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() AS caught_up,
  extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS since_replay_s";

/// A base backup also shows as a row, it is no standby.
const STANDBYS: &str = "\
SELECT coalesce(application_name, '') AS name, coalesce(state, '') AS state, coalesce(sync_state, '') AS sync_state,
  extract(epoch FROM replay_lag)::float8 AS replay_lag_s, pg_wal_lsn_diff(sent_lsn, replay_lsn)::float8 AS lag_bytes
FROM pg_catalog.pg_stat_replication WHERE state IS DISTINCT FROM 'backup' ORDER BY 1, pid";

/// `blk_read_time` stays zero while `track_io_timing` is off.
const DATABASES: &str = "\
SELECT s.datname::text AS name, s.numbackends AS connections, s.xact_commit AS commits, s.deadlocks,
  s.blks_hit AS hits, s.blks_read AS reads,
  CASE WHEN current_setting('track_io_timing') = 'on' THEN s.blk_read_time END::float8 AS read_ms, extract(epoch FROM clock_timestamp())::float8 AS at
FROM pg_catalog.pg_stat_database s JOIN pg_catalog.pg_database d ON d.oid = s.datid
WHERE d.datallowconn AND NOT d.datistemplate ORDER BY 1";

const SYSTEM: &str = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
const CHECKPOINT: &str = "SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()";

/// Counters of one database at one moment of the server's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Counters {
    at: f64,
    commits: i64,
    deadlocks: i64,
    hits: i64,
    reads: i64,
    read_ms: Option<f64>,
}

/// Counters of the sample before, by database.
pub(super) type Before = BTreeMap<String, Counters>;

/// Asks everything and puts it together; `before` is replaced by this sample's counters.
pub(super) async fn observe(link: &Link, session: &Session, before: &mut Before) -> Result<PostgresFacts, Failure> {
    let classify = |e: tokio_postgres::Error| failure::classify(link.address(), &e);
    // Sent together, answered in this order.
    let (instance, standbys, databases, blocked) = tokio::try_join!(
        session.ask(INSTANCE, &[]),
        session.ask(STANDBYS, &[]),
        session.ask(DATABASES, &[]),
        session.ask(sessions::SESSIONS, &["", sessions::LONG_S]),
    )
    .map_err(classify)?;
    let Some(row) = instance.first() else {
        return Err(Failure::new(FailureKind::Protocol, format!("{}: no row for a query of one row", link.address())));
    };
    let mut facts = facts(link, row).map_err(classify)?;
    facts.standbys = standbys.iter().map(standby).collect::<Result<_, _>>().map_err(classify)?;
    facts.sessions = blocked.iter().map(sessions::read).collect::<Result<_, _>>().map_err(classify)?;
    let now: Before = databases.iter().map(counters).collect::<Result<_, _>>().map_err(classify)?;
    for row in &databases {
        let name = row.try_get::<_, &str>("name").map_err(classify)?;
        let connections = row.try_get::<_, i32>("connections").map_err(classify)?;
        let rates = now.get(name).map(|now| rates(before.get(name), now)).unwrap_or_default();
        facts.databases.push(DatabaseStat { name: sanitize(name), connections: count(connections), ..rates });
    }
    facts.read_latency_s = read_latency(before, &now);
    *before = now;
    if row.try_get("reads_system").map_err(classify)? {
        let rows = session.ask(SYSTEM, &[]).await.map_err(classify)?;
        facts.system_identifier = rows.first().map(|r| r.try_get(0)).transpose().map_err(classify)?.unwrap_or_default();
    }
    if row.try_get("reads_checkpoint").map_err(classify)? {
        let rows = session.ask(CHECKPOINT, &[]).await.map_err(classify)?;
        facts.timeline = rows.first().map(|r| r.try_get::<_, i32>(0).map(count)).transpose().map_err(classify)?;
    }
    Ok(facts)
}

fn facts(link: &Link, row: &Row) -> Result<PostgresFacts, tokio_postgres::Error> {
    let receives = row.try_get("receives")?;
    let status: Option<&str> = row.try_get("receiver_status")?;
    let reads_stats = row.try_get("reads_stats")?;
    let in_recovery = row.try_get("in_recovery")?;
    let mut missing = Vec::new();
    let mut lacks = |held: bool, disables: &str, right: &str| {
        if !held {
            let remedy = format!("GRANT {right} TO {}", link.user());
            missing.push(Missing { disables: disables.to_owned(), remedy: sanitize(&remedy) });
        }
    };
    lacks(
        reads_stats,
        "sessions and queries of other users, long transactions, replication lag: what is not seen is not known",
        "pg_monitor",
    );
    let system = "the identity of the server, without which no verb runs on it";
    lacks(row.try_get("reads_system")?, system, "EXECUTE ON FUNCTION pg_control_system()");
    lacks(row.try_get("reads_checkpoint")?, "the timeline", "EXECUTE ON FUNCTION pg_control_checkpoint()");
    Ok(PostgresFacts {
        version: sanitize(row.try_get("version")?),
        in_recovery,
        connections: count(row.try_get::<_, i64>("connections")?),
        max_connections: count(row.try_get::<_, i32>("max_connections")?),
        replay_lag_s: if in_recovery {
            let caught_up = row.try_get::<_, Option<bool>>("caught_up")?;
            replay_lag(receives, status, caught_up, row.try_get("since_replay_s")?)
        } else {
            None
        },
        wal_receiver: receives.then(|| sanitize(status.unwrap_or("not visible"))),
        missing,
        ..PostgresFacts::default()
    })
}

/// How far a replica is behind. All received WAL replayed means no lag only while the receiver streams; else
/// the age of the last replayed commit counts. Not known while the receiver's state may not be seen.
fn replay_lag(
    receives: bool,
    status: Option<&str>,
    caught_up: Option<bool>,
    since_replay_s: Option<f64>,
) -> Option<f64> {
    match (receives, status) {
        (true, None) => None,
        (true, Some("streaming")) if caught_up == Some(true) => Some(0.0),
        _ => since_replay_s.map(|s| s.max(0.0)),
    }
}

fn standby(row: &Row) -> Result<Standby, tokio_postgres::Error> {
    Ok(Standby {
        name: sanitize(row.try_get("name")?),
        state: sanitize(row.try_get("state")?),
        sync_state: sanitize(row.try_get("sync_state")?),
        replay_lag_s: row.try_get("replay_lag_s")?,
        lag_bytes: row.try_get::<_, Option<f64>>("lag_bytes")?.map(bytes),
    })
}

/// A difference of two WAL positions as whole bytes; a standby that reports late may seem ahead.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, not negative, far below 2^53")]
fn bytes(difference: f64) -> u64 {
    difference.max(0.0) as u64
}

fn counters(row: &Row) -> Result<(String, Counters), tokio_postgres::Error> {
    let counters = Counters {
        at: row.try_get("at")?,
        commits: row.try_get("commits")?,
        deadlocks: row.try_get("deadlocks")?,
        hits: row.try_get("hits")?,
        reads: row.try_get("reads")?,
        read_ms: row.try_get("read_ms")?,
    };
    Ok((row.try_get::<_, &str>("name")?.to_owned(), counters))
}

/// What the counters say since the sample before; nothing when there was none or they were reset in between.
fn rates(before: Option<&Counters>, now: &Counters) -> DatabaseStat {
    let Some(before) = before else { return DatabaseStat::default() };
    let elapsed = now.at - before.at;
    let grown = |before: i64, now: i64| now.checked_sub(before).filter(|d| *d >= 0).map(to_f64);
    let a_second = |grown: f64| (elapsed > 0.0).then(|| grown / elapsed);
    let hits = grown(before.hits, now.hits);
    let reads = grown(before.reads, now.reads);
    DatabaseStat {
        commits_per_s: grown(before.commits, now.commits).and_then(a_second),
        deadlocks_per_min: grown(before.deadlocks, now.deadlocks).and_then(a_second).map(|d| d * 60.0),
        cache_hit: hits.zip(reads).and_then(|(hits, reads)| (hits + reads > 0.0).then(|| hits / (hits + reads))),
        ..DatabaseStat::default()
    }
}

/// Fewer blocks than this tell of nothing but themselves.
const FEW_READS: f64 = 20.0;

/// Seconds that one block took that was not in PostgreSQL's own cache, over all databases since the sample before; the
/// system's cache may have had it. Nothing while few were read, or nobody measures.
fn read_latency(before: &Before, now: &Before) -> Option<f64> {
    let (mut reads, mut spent_ms) = (0.0, 0.0);
    for (name, now) in now {
        let Some(before) = before.get(name) else { continue };
        let (Some(began), Some(ended)) = (before.read_ms, now.read_ms) else { continue };
        let grown = now.reads.checked_sub(before.reads).filter(|d| *d >= 0).map(to_f64);
        let (Some(grown), true) = (grown, ended >= began) else { continue };
        reads += grown;
        spent_ms += ended - began;
    }
    (reads >= FEW_READS).then(|| spent_ms / reads / 1000.0)
}

#[allow(clippy::cast_precision_loss, reason = "differences of counters within one interval")]
const fn to_f64(difference: i64) -> f64 {
    difference as f64
}

fn count(n: impl TryInto<u32>) -> u32 {
    n.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_streams_and_has_replayed_all_has_no_lag() {
        assert_eq!(replay_lag(true, Some("streaming"), Some(true), Some(900.0)), Some(0.0));
        assert_eq!(replay_lag(true, Some("streaming"), Some(false), Some(7.5)), Some(7.5));
        assert_eq!(replay_lag(true, Some("streaming"), Some(false), Some(-0.1)), Some(0.0), "clocks differ");
    }

    #[test]
    fn without_a_receiver_being_caught_up_proves_nothing() {
        assert_eq!(replay_lag(false, None, Some(true), Some(900.0)), Some(900.0));
        assert_eq!(replay_lag(true, Some("waiting"), Some(true), Some(900.0)), Some(900.0));
        assert_eq!(replay_lag(true, None, Some(true), Some(900.0)), None, "its state may not be seen");
        assert_eq!(replay_lag(false, None, None, None), None, "nothing replayed since the start");
    }

    #[test]
    fn rates_need_two_samples_without_a_reset_between_them() {
        let first = Counters { at: 100.0, commits: 1_000, deadlocks: 3, hits: 500, reads: 500, read_ms: None };
        assert_eq!(rates(None, &first), DatabaseStat::default());
        let second = Counters { at: 110.0, commits: 1_500, deadlocks: 4, hits: 590, reads: 510, read_ms: None };
        let seen = rates(Some(&first), &second);
        assert_eq!((seen.commits_per_s, seen.deadlocks_per_min, seen.cache_hit), (Some(50.0), Some(6.0), Some(0.9)));
        let reset =
            rates(Some(&second), &Counters { at: 120.0, commits: 5, deadlocks: 0, hits: 0, reads: 0, read_ms: None });
        assert_eq!(reset, DatabaseStat::default());
        let idle = rates(Some(&second), &Counters { at: 120.0, ..second });
        assert_eq!((idle.commits_per_s, idle.cache_hit), (Some(0.0), None));
    }

    #[test]
    fn a_block_takes_what_all_blocks_of_the_interval_took_on_average() {
        let of = |name: &str, reads: i64, read_ms: Option<f64>| {
            (name.to_owned(), Counters { at: 0.0, commits: 0, deadlocks: 0, hits: 0, reads, read_ms })
        };
        let first = Before::from([of("a", 100, Some(50.0)), of("b", 0, Some(0.0)), of("off", 0, None)]);
        let second = Before::from([of("a", 130, Some(350.0)), of("b", 10, Some(100.0)), of("off", 900, None)]);
        assert_eq!(read_latency(&first, &second), Some(0.01));
        assert_eq!(read_latency(&second, &first), None, "counters that go back");
        assert_eq!(read_latency(&Before::new(), &second), None, "no sample before");
        let few = Before::from([of("a", 119, Some(9_000.0))]);
        assert_eq!(read_latency(&first, &few), None);
    }
}
