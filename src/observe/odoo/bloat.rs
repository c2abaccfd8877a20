//! Room that a tenant's large tables and indexes take and do not need: rows that vacuum has not removed yet, and an estimate
//! of what lies empty. Only statistics are read, never a table; what was never analysed, or whose statistics may not be
//! read (`pg_stats` shows those of tables that may be read), is not judged, and that is said.

use crate::domain::facts::odoo::Bloat;
use crate::domain::text::sanitize;
use crate::observe::postgres::link::Session;
use std::time::Duration;
use tokio_postgres::Row;

/// It changes over days.
pub(super) const EVERY: Duration = Duration::from_mins(10);
/// Sentences about the worst ones.
const NAMED: usize = 3;
/// Less is what the estimate itself is wrong by.
const WORTH_NAMING: f64 = 0.3;

/// Tables and their B-tree indexes of 10 MiB and more, the 40 largest of each. `needed` is what the rows would take: their
/// average width (`pg_stats`), the header of a row and of a page, the fill factor (`storage-page-layout` of the manual); a
/// deduplicated index needs less, so that its estimate is too kind. Null where a column has no statistics.
const LARGE: &str = "\
WITH tables AS MATERIALIZED (
  SELECT c.oid, n.nspname, c.relname, c.reltuples::float8 AS rows, pg_relation_size(c.oid)::float8 AS bytes,
    coalesce((SELECT option_value::float8 FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 100)
      / 100 AS fill,
    (SELECT count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
      AS columns
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpages >= 1280 AND n.nspname !~ '^(pg_|information_schema$)'
  ORDER BY c.relpages DESC LIMIT 40
), widths AS MATERIALIZED (
  SELECT t.oid, s.attname, s.null_frac, (1 - s.null_frac) * s.avg_width AS width
  FROM tables t JOIN pg_catalog.pg_stats s ON s.schemaname = t.nspname AND s.tablename = t.relname AND NOT s.inherited
), rows_of AS (
  SELECT oid, count(*) AS columns, sum(width) AS width, bool_or(null_frac > 0) AS nulls FROM widths GROUP BY oid
), indexes AS MATERIALIZED (
  SELECT x.oid, x.relname, x.reltuples::float8 AS rows, pg_relation_size(x.oid)::float8 AS bytes, i.indrelid, i.indkey
  FROM tables t JOIN pg_catalog.pg_index i ON i.indrelid = t.oid AND i.indisvalid AND NOT 0 = ANY (i.indkey)
  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid AND x.relpages >= 1280
  JOIN pg_catalog.pg_am m ON m.oid = x.relam AND m.amname = 'btree'
  ORDER BY x.relpages DESC LIMIT 40
), keys AS (
  SELECT x.oid, sum(w.width) AS width, count(w.width) AS columns
  FROM indexes x CROSS JOIN unnest(x.indkey) AS k(number)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.number
  LEFT JOIN widths w ON w.oid = x.indrelid AND w.attname = a.attname
  GROUP BY x.oid
)
SELECT t.relname::text AS name, t.bytes,
  CASE WHEN t.rows > 0 AND r.columns = t.columns THEN
    t.rows * (8 * ceil((23 + CASE WHEN r.nulls THEN ceil(t.columns / 8.0) ELSE 0 END) / 8) + 8 * ceil(r.width / 8) + 4)
      / (8168 * t.fill) * 8192 END::float8 AS needed,
  coalesce(s.n_dead_tup::float8 / nullif(s.n_dead_tup + s.n_live_tup, 0), 0)::float8 AS dead
FROM tables t LEFT JOIN rows_of r ON r.oid = t.oid LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = t.oid
UNION ALL
SELECT x.relname::text, x.bytes,
  CASE WHEN x.rows > 0 AND k.columns = cardinality(x.indkey::int2[]) THEN
    x.rows * (8 + 8 * ceil(k.width / 8) + 4) / (8152 * 0.9) * 8192 END::float8, NULL
FROM indexes x LEFT JOIN keys k ON k.oid = x.oid";

/// One large table or index.
struct Large {
    name: String,
    bytes: f64,
    needed: Option<f64>,
    dead: Option<f64>,
}

impl Large {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            name: sanitize(row.try_get("name")?),
            bytes: row.try_get("bytes")?,
            needed: row.try_get("needed")?,
            dead: row.try_get("dead")?,
        })
    }

    /// Bytes that nothing needs.
    fn spare(&self) -> Option<f64> {
        self.needed.map(|needed| (self.bytes - needed).max(0.0))
    }

    fn share(&self) -> Option<f64> {
        self.spare().filter(|_| self.bytes > 0.0).map(|spare| spare / self.bytes)
    }
}

/// Asks for it; nothing when the server does not answer this one question in time.
pub(super) async fn read(session: &Session) -> Result<Option<Bloat>, tokio_postgres::Error> {
    match session.ask(LARGE, &[]).await {
        Ok(rows) => Ok(Some(judge(&rows.iter().map(Large::read).collect::<Result<Vec<_>, _>>()?))),
        Err(e) if e.code() == Some(&tokio_postgres::error::SqlState::QUERY_CANCELED) => Ok(None),
        Err(e) => Err(e),
    }
}

fn judge(all: &[Large]) -> Bloat {
    let judged = all.iter().filter(|l| l.needed.is_some()).count();
    let greatest = |shares: &mut dyn Iterator<Item = f64>| {
        shares.fold(None, |most: Option<f64>, s| Some(most.map_or(s, |m| m.max(s))))
    };
    let mut bloat =
        Bloat { dead_share: greatest(&mut all.iter().filter_map(|l| l.dead)).unwrap_or(0.0), ..Bloat::default() };
    // Where nothing is large, nothing is empty; where nothing could be judged, nobody knows.
    if judged > 0 || all.is_empty() {
        bloat.share = Some(greatest(&mut all.iter().filter_map(Large::share)).unwrap_or(0.0));
        bloat.bytes = Some(all.iter().filter_map(Large::spare).sum());
    }
    let mut worst: Vec<&Large> = all.iter().filter(|l| l.share().is_some_and(|s| s >= WORTH_NAMING)).collect();
    worst.sort_by(|a, b| b.spare().unwrap_or(0.0).total_cmp(&a.spare().unwrap_or(0.0)));
    let mib = |bytes: f64| format!("{:.0} MiB", bytes / 1_048_576.0);
    for large in worst.iter().take(NAMED) {
        let spare = large.spare().unwrap_or(0.0);
        bloat.said.push(format!("{}: about {} of {} lie empty", large.name, mib(spare), mib(large.bytes)));
    }
    let dead =
        all.iter().filter(|l| l.dead.is_some()).max_by(|a, b| a.dead.unwrap_or(0.0).total_cmp(&b.dead.unwrap_or(0.0)));
    if let Some((large, share)) = dead.and_then(|l| Some((l, l.dead.filter(|d| *d >= 0.1)?))) {
        bloat.said.push(format!("{}: {:.0}% of its rows are dead and wait for a vacuum", large.name, share * 100.0));
    }
    if judged < all.len() {
        let (left, all) = (all.len() - judged, all.len());
        bloat.said.push(format!(
            "{left} of {all} large tables and indexes have no statistics that may be read (ANALYZE, or SELECT on them): what lies empty in them is not known"
        ));
    }
    bloat
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large(name: &str, mib: f64, needed: Option<f64>, dead: Option<f64>) -> Large {
        let bytes = |mib: f64| mib * 1_048_576.0;
        Large { name: name.into(), bytes: bytes(mib), needed: needed.map(bytes), dead }
    }

    #[test]
    fn the_worst_counts_and_the_greatest_are_named() {
        let bloat = judge(&[
            large("stock_move", 1000.0, Some(250.0), Some(0.4)),
            large("mail_message", 100.0, Some(110.0), Some(0.05)),
            large("stock_move_pkey", 100.0, Some(50.0), None),
            large("secret", 500.0, None, Some(0.0)),
        ]);
        assert_eq!((bloat.share, bloat.bytes, bloat.dead_share), (Some(0.75), Some(800.0 * 1_048_576.0), 0.4));
        let said = [
            "stock_move: about 750 MiB of 1000 MiB lie empty",
            "stock_move_pkey: about 50 MiB of 100 MiB lie empty",
            "stock_move: 40% of its rows are dead and wait for a vacuum",
            "1 of 4 large tables",
        ];
        assert_eq!(bloat.said.len(), said.len(), "{:#?}", bloat.said);
        assert!(bloat.said.iter().zip(said).all(|(found, words)| found.starts_with(words)), "{:#?}", bloat.said);
    }

    #[test]
    fn nothing_large_is_no_bloat_and_nothing_judged_is_unknown() {
        assert_eq!(judge(&[]), Bloat { share: Some(0.0), bytes: Some(0.0), ..Bloat::default() });
        let unread = judge(&[large("secret", 500.0, None, Some(0.0))]);
        assert_eq!((unread.share, unread.bytes, unread.said.len()), (None, None, 1));
    }
}
