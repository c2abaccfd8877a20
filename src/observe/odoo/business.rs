//! What people and the scheduler do: orders of the last hour, who is there, how long planning took. Only where it is cheap: a big table is asked by an index or
//! not at all.

use super::queue::count;
use crate::domain::facts::odoo::Planning;
use crate::observe::postgres::link::Session;

/// A table of more bytes than this, which is fewer than 10,000 orders, is not read through.
const SMALL: f64 = 4_194_304.0;

/// Tables that are there, whether they may be read, their size, and whether an index begins with the column that is
/// asked for. Presence is in `mail_presence` since Odoo 18, in `bus_presence` before; what crons did since 18 too.
const TABLES: &str = "\
SELECT c.relname::text AS name, pg_relation_size(c.oid)::float8 AS bytes, EXISTS (
    SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = w.wanted) AS indexed,
  has_table_privilege(c.oid, 'SELECT') AS readable
FROM (VALUES ('sale_order', 'date_order'), ('mail_presence', 'last_presence'), ('bus_presence', 'last_presence'),
    ('ir_cron_progress', 'cron_id'), ('ir_model_data', 'module')) AS w(name, wanted)
JOIN pg_catalog.pg_class c ON c.relname = w.name AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
WHERE EXISTS (
  SELECT FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attname = w.wanted AND NOT attisdropped)
ORDER BY 1";

/// The newest run of the scheduler. Odoo 19 makes the row before it begins and writes it a last time after it has ended;
/// then it sets `lastcall` to when it began, in whole seconds. (Seen on a run that was held for 75 s by a lock: until its
/// end `lastcall` was that of the run before, and the row was written shortly after the start too.)
const PLANNING: &str = "\
SELECT extract(epoch FROM CASE WHEN c.lastcall >= date_trunc('second', p.create_date) THEN p.write_date - p.create_date
    ELSE (now() AT TIME ZONE 'UTC') - p.create_date END)::float8 AS took_s,
  coalesce(c.lastcall >= date_trunc('second', p.create_date), false) AS ended
FROM public.ir_model_data d
JOIN public.ir_cron c ON c.id = d.res_id
JOIN LATERAL (SELECT create_date, write_date FROM public.ir_cron_progress WHERE cron_id = c.id ORDER BY id DESC LIMIT 1) p
  ON true
WHERE d.module = 'stock' AND d.name = 'ir_cron_scheduler_action'";

/// Confirmed orders; Odoo keeps UTC without a zone.
const ORDERS: &str = "\
SELECT count(*) FROM public.sale_order WHERE state IN ('sale', 'done')
  AND date_order BETWEEN (now() AT TIME ZONE 'UTC') - interval '1 hour' AND (now() AT TIME ZONE 'UTC')";

fn presence(table: &str) -> String {
    format!(
        "SELECT count(*) FROM public.{table} WHERE last_presence > (now() AT TIME ZONE 'UTC') - interval '5 minutes'"
    )
}

/// What people and the scheduler do.
#[derive(Debug, Default)]
pub(super) struct Business {
    /// Orders of the last hour.
    pub(super) orders_hour: Option<u32>,
    /// People seen in the last five minutes.
    pub(super) sessions_active: Option<u32>,
    /// The newest planning run.
    pub(super) planning: Option<Planning>,
    /// Tables that are there and may not be read.
    pub(super) unreadable: Vec<String>,
}

/// Reads all of it.
pub(super) async fn read(session: &Session) -> Result<Business, tokio_postgres::Error> {
    let mut found = Business::default();
    let mut recorded = 0;
    for row in session.ask(TABLES, &[]).await? {
        let (name, bytes): (&str, f64) = (row.try_get("name")?, row.try_get("bytes")?);
        if !row.try_get::<_, bool>("readable")? {
            found.unreadable.push(name.to_owned());
            continue;
        }
        if bytes > SMALL && !row.try_get::<_, bool>("indexed")? {
            continue;
        }
        match name {
            "sale_order" => found.orders_hour = counted(session, ORDERS).await?,
            "ir_cron_progress" | "ir_model_data" => recorded += 1,
            presences => {
                let seen = counted(session, &presence(presences)).await?;
                found.sessions_active = found.sessions_active.max(seen);
            }
        }
    }
    if recorded == 2 {
        let rows = session.ask(PLANNING, &[]).await?;
        found.planning = rows
            .first()
            .map(|row| {
                Ok::<_, tokio_postgres::Error>(Planning {
                    took_s: row.try_get("took_s")?,
                    ended: row.try_get("ended")?,
                })
            })
            .transpose()?;
    }
    Ok(found)
}

async fn counted(session: &Session, statement: &str) -> Result<Option<u32>, tokio_postgres::Error> {
    session.ask(statement, &[]).await?.first().map(|row| row.try_get::<_, i64>(0)).transpose().map(|n| n.map(count))
}
