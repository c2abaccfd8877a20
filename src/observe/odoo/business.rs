//! What people do: orders of the last hour, and who is there. Only where it is cheap: a big table is asked by an index or
//! not at all.

use super::queue::count;
use crate::observe::postgres::link::Session;

/// A table of more bytes than this, which is fewer than 10,000 orders, is not read through.
const SMALL: f64 = 4_194_304.0;

/// Tables that are there and may be read, their size, and whether an index begins with the column that is asked for.
/// Presence is in `mail_presence` since Odoo 18, in `bus_presence` before.
const TABLES: &str = "\
SELECT c.relname::text AS name, pg_relation_size(c.oid)::float8 AS bytes, EXISTS (
    SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = w.wanted) AS indexed
FROM (VALUES ('sale_order', 'date_order'), ('mail_presence', 'last_presence'), ('bus_presence', 'last_presence'))
  AS w(name, wanted)
JOIN pg_catalog.pg_class c ON c.relname = w.name AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
WHERE has_table_privilege(c.oid, 'SELECT') AND EXISTS (
  SELECT FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attname = w.wanted AND NOT attisdropped)";

/// Confirmed orders; Odoo keeps UTC without a zone.
const ORDERS: &str = "\
SELECT count(*) FROM public.sale_order WHERE state IN ('sale', 'done')
  AND date_order BETWEEN (now() AT TIME ZONE 'UTC') - interval '1 hour' AND (now() AT TIME ZONE 'UTC')";

fn presence(table: &str) -> String {
    format!(
        "SELECT count(*) FROM public.{table} WHERE last_presence > (now() AT TIME ZONE 'UTC') - interval '5 minutes'"
    )
}

/// Orders of the last hour, and people seen in the last five minutes.
pub(super) async fn read(session: &Session) -> Result<(Option<u32>, Option<u32>), tokio_postgres::Error> {
    let (mut orders, mut sessions) = (None, None);
    for row in session.ask(TABLES, &[]).await? {
        let (name, bytes): (&str, f64) = (row.try_get("name")?, row.try_get("bytes")?);
        if bytes > SMALL && !row.try_get::<_, bool>("indexed")? {
            continue;
        }
        let statement = if name == "sale_order" { ORDERS.to_owned() } else { presence(name) };
        let rows = session.ask(&statement, &[]).await?;
        let found = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose()?.map(count);
        if name == "sale_order" { orders = found } else { sessions = sessions.max(found) }
    }
    Ok((orders, sessions))
}
