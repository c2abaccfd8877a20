//! The job channels of OCA `queue_job`.

use crate::domain::facts::odoo::Channel;
use crate::domain::text::sanitize;
use tokio_postgres::Row;

/// A row a channel that has any job. `$1`: seconds after which a started job is a zombie. Jobs that are not
/// done are found by the index on `state`; channels and what was done lately by those on `channel` and
/// `(channel, date_done, date_created)`: a table of a million done jobs is not read through. Odoo keeps UTC
/// without a zone; a job is due at `eta`, without one when it was made.
pub const CHANNELS: &str = "\
WITH RECURSIVE clock AS MATERIALIZED (
  SELECT now() AT TIME ZONE 'UTC' AS utc
), names(name) AS (
  SELECT min(channel) FROM public.queue_job
  UNION ALL
  SELECT (SELECT min(channel) FROM public.queue_job WHERE channel > names.name) FROM names WHERE names.name IS NOT NULL
), live AS MATERIALIZED (
  SELECT channel,
    count(*) FILTER (WHERE state = 'pending') AS pending,
    count(*) FILTER (WHERE state = 'enqueued') AS enqueued,
    count(*) FILTER (WHERE state = 'started') AS started,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (WHERE state = 'started' AND date_started < utc - make_interval(secs => $1::text::float8)) AS zombies,
    min(coalesce(eta, date_created))
      FILTER (WHERE state IN ('pending', 'enqueued') AND coalesce(eta, date_created) <= utc) AS due
  FROM public.queue_job, clock WHERE state IN ('pending', 'enqueued', 'started', 'failed') GROUP BY channel
)
SELECT coalesce(n.name, l.channel, 'root') AS channel,
  coalesce(pending, 0) AS pending, coalesce(enqueued, 0) AS enqueued, coalesce(started, 0) AS started,
  coalesce(failed, 0) AS failed, coalesce(zombies, 0) AS zombies,
  extract(epoch FROM utc - due)::float8 AS oldest_due_s,
  (SELECT count(*) FROM public.queue_job d
   WHERE d.channel = n.name AND d.state = 'done' AND d.date_done > utc - interval '10 minutes') AS done_10m
FROM (SELECT name FROM names WHERE name IS NOT NULL) n FULL JOIN live l ON l.channel = n.name CROSS JOIN clock
ORDER BY 1";

/// Reads a row of [`CHANNELS`].
pub fn read(row: &Row) -> Result<Channel, tokio_postgres::Error> {
    Ok(Channel {
        name: sanitize(row.try_get("channel")?),
        pending: count(row.try_get("pending")?),
        enqueued: count(row.try_get("enqueued")?),
        started: count(row.try_get("started")?),
        failed: count(row.try_get("failed")?),
        done_10m: count(row.try_get("done_10m")?),
        oldest_due_s: row.try_get("oldest_due_s")?,
        zombies: count(row.try_get("zombies")?),
    })
}

/// A count as the facts hold it.
pub fn count(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
