//! `PgBouncer`'s admin console: `SHOW VERSION` and `SHOW POOLS` in the simple query protocol, which is all that
//! it speaks. Only the engine calls this.

use super::poll::Poll;
use super::postgres::failure;
use super::postgres::link::{Link, Session, Settings};
use crate::config::model;
use crate::domain::facts::Facts;
use crate::domain::facts::postgres::{PgbouncerFacts, Pool};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::text::sanitize;
use std::time::Duration;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

/// The database that is the console.
pub const CONSOLE: &str = "pgbouncer";

/// Looks at one `PgBouncer`.
#[derive(Debug)]
pub struct Pgbouncer {
    spec: SourceSpec,
    timeout: Duration,
    link: Link,
    session: Option<Session>,
}

impl Pgbouncer {
    /// For a `[[pgbouncer]]` table. Nothing is opened or read yet.
    pub fn new(_: MayObserve, config: &model::Pgbouncer) -> Self {
        let link = Link::pgbouncer(config);
        let address = link.address().to_owned();
        Self {
            spec: SourceSpec { id: config.id.clone(), kind: SourceKind::Pgbouncer, interval: config.interval, address },
            timeout: config.timeout,
            link,
            session: None,
        }
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let session = match self.session.take().filter(Session::is_open) {
            Some(session) => session,
            None => self.link.open(CONSOLE, Settings::Console).await?,
        };
        let address = self.link.address();
        let version = show(address, &session, "SHOW VERSION").await?;
        let pools = show(address, &session, "SHOW POOLS").await?;
        let facts = PgbouncerFacts {
            version: version.first().and_then(|row| row.get(0)).map(sanitize).unwrap_or_default(),
            pools: pools
                .iter()
                .map(|row| pool(|column| row.try_get(column).ok().flatten()))
                .filter(|pool| pool.as_ref().map_or(true, |p| p.database != CONSOLE))
                .collect::<Result<_, _>>()
                .map_err(|why| Failure::new(FailureKind::Protocol, format!("{address}: SHOW POOLS {why}")))?,
        };
        self.session = Some(session);
        Ok(Facts::Pgbouncer(facts))
    }
}

impl Poll for Pgbouncer {
    fn spec(&self) -> SourceSpec {
        self.spec.clone()
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}

/// Asks the console, in the only protocol that it speaks.
pub async fn show(address: &str, session: &Session, command: &str) -> Result<Vec<SimpleQueryRow>, Failure> {
    let answer = session.client().simple_query(command).await.map_err(|e| failure::classify(address, &e))?;
    Ok(answer
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })
        .collect())
}

/// Reads a row of `SHOW POOLS` by column name; columns come and go between versions, these have always been
/// there, except `maxwait_us` (since 1.8).
fn pool<'a>(column: impl Fn(&'static str) -> Option<&'a str>) -> Result<Pool, String> {
    let text = |name| column(name).map(sanitize).ok_or_else(|| format!("has no column {name}"));
    let number = |name| -> Result<u32, String> {
        let text = column(name).ok_or_else(|| format!("has no column {name}"))?;
        text.parse().map_err(|_| format!("says {name} = {text}, which is no number"))
    };
    let microseconds = if column("maxwait_us").is_some() { number("maxwait_us")? } else { 0 };
    Ok(Pool {
        database: text("database")?,
        user: text("user")?,
        clients_active: number("cl_active")?,
        clients_waiting: number("cl_waiting")?,
        servers_active: number("sv_active")?,
        servers_idle: number("sv_idle")?,
        max_wait_s: f64::from(number("maxwait")?) + f64::from(microseconds) / 1e6,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mode::Mode;
    use crate::observe::postgres::testbed::{Pooler, Server, poll};
    use std::collections::BTreeMap;
    use std::time::Instant;

    #[test]
    fn pools_are_read_by_column_name_and_rubbish_is_named() {
        let columns = [
            ("database", "t017"),
            ("user", "odoo"),
            ("cl_active", "4"),
            ("cl_waiting", "21"),
            ("sv_active", "4"),
            ("sv_idle", "0"),
            ("maxwait", "15"),
            ("maxwait_us", "250000"),
        ];
        let mut row = BTreeMap::from(columns);
        let read = pool(|name| row.get(name).copied()).unwrap();
        assert_eq!((read.database.as_str(), read.clients_waiting, read.max_wait_s), ("t017", 21, 15.25));
        row.remove("maxwait_us");
        let older = pool(|name| row.get(name).copied()).unwrap();
        assert_eq!((older.max_wait_s, older.clients_waiting), (15.0, 21));
        row.insert("cl_waiting", "many");
        let error = pool(|name| row.get(name).copied()).unwrap_err();
        assert_eq!(error, "says cl_waiting = many, which is no number");
        row.remove("sv_idle");
        row.insert("cl_waiting", "1");
        assert_eq!(pool(|name| row.get(name).copied()).unwrap_err(), "has no column sv_idle");
    }

    async fn look(observer: &mut Pgbouncer) -> Result<PgbouncerFacts, Failure> {
        poll(observer).await.map(|facts| match facts {
            Facts::Pgbouncer(facts) => facts,
            other => panic!("{other:?}"),
        })
    }

    #[tokio::test]
    async fn an_exhausted_pool_is_seen_and_a_gone_pooler_is_said() {
        let Some(server) = Server::start().await else { return };
        server.role("observe", "").await;
        let Some(pooler) = Pooler::start(&server, "observe").await else { return };
        let may = || Mode::ReadOnly.may_observe().unwrap();
        let mut observer = Pgbouncer::new(may(), &pooler.config(&server, "observe"));
        let (holds, waits) = (pooler.connect().await.unwrap(), pooler.connect().await.unwrap());
        holds.batch_execute("BEGIN").await.unwrap();
        let waits = tokio::spawn(async move { waits.batch_execute("SELECT 1").await });
        let deadline = Instant::now() + Duration::from_mins(1);
        let seen = loop {
            let seen = look(&mut observer).await.unwrap();
            if seen.pools.iter().any(|p| p.clients_waiting == 1 && p.max_wait_s > 0.0) {
                break seen;
            }
            assert!(Instant::now() < deadline, "{seen:?}");
        };
        assert!(seen.version.starts_with("PgBouncer 1."), "{seen:?}");
        let pool = &seen.pools[0];
        assert_eq!((seen.pools.len(), pool.database.as_str(), pool.user.as_str()), (1, "postgres", "postgres"));
        assert_eq!((pool.clients_active, pool.servers_active, pool.servers_idle), (1, 1, 0));
        holds.batch_execute("COMMIT").await.unwrap();
        waits.await.unwrap().unwrap();
        assert_eq!(look(&mut observer).await.unwrap().pools[0].clients_waiting, 0);

        let config = pooler.config(&server, "observe");
        let login = model::Login { user: "stranger".into(), ..config.observe.clone() };
        let stranger = model::Pgbouncer { observe: login, ..config.clone() };
        let stranger = look(&mut Pgbouncer::new(may(), &stranger)).await.unwrap_err();
        assert_eq!(stranger.kind, FailureKind::Authentication, "{stranger}");
        let login = model::Login { user: "postgres".into(), ..config.observe.clone() };
        let unlisted = model::Pgbouncer { observe: login, ..config.clone() };
        let unlisted = look(&mut Pgbouncer::new(may(), &unlisted)).await.unwrap_err();
        assert!(unlisted.message.contains("not allowed"), "{unlisted}");
        let direct = model::Pgbouncer { port: server.port, ..config };
        let direct = look(&mut Pgbouncer::new(may(), &direct)).await.unwrap_err();
        assert!(direct.message.contains("database \"pgbouncer\" does not exist"), "{direct}");

        drop(pooler);
        let gone = look(&mut observer).await.unwrap_err();
        assert_eq!(gone.kind, FailureKind::Unreachable, "{gone}");
    }
}
