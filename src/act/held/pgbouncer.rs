//! Whether the login that acts is one of a PgBouncer's administrators, by its own configuration.

use super::{ALLOWED, Found};
use crate::config::model::Pgbouncer;
use crate::domain::facts::Missing;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::postgres::failure;
use crate::observe::postgres::link::{Link, Settings};
use tokio_postgres::SimpleQueryMessage;

/// The console, which is a database by name.
const CONSOLE: &str = "pgbouncer";

/// Asks as the login that acts.
pub(super) async fn ask(config: &Pgbouncer) -> Result<Found, Failure> {
    let link = Link::pgbouncer_admin(config)
        .ok_or_else(|| Failure::new(FailureKind::Local, "it has no `act` login, one of its admin_users"))?;
    let asking = async {
        let session = link.open(CONSOLE, Settings::Console).await?;
        let rows = session.client().simple_query("SHOW CONFIG").await;
        session.close().await;
        rows.map_err(|e| failure::classify(link.address(), &e))
    };
    let late = |_| Failure::new(FailureKind::Timeout, format!("no answer from {}", link.address()));
    let rows = tokio::time::timeout(ALLOWED, asking).await.map_err(late)??;
    let admins = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) if row.try_get("key").ok().flatten() == Some("admin_users") => {
            Some(row.try_get("value").ok().flatten().unwrap_or_default().to_owned())
        }
        _ => None,
    });
    let why = || format!("{}: SHOW CONFIG does not name admin_users", link.address());
    let admins = admins.ok_or_else(|| Failure::new(FailureKind::Protocol, why()))?;
    let user = link.user();
    let mut found = Found { asked: 1, ..Found::default() };
    if !admins.split(',').any(|name| name.trim() == user) {
        found.lacking = 1;
        found.missing.push(Missing {
            disables: "postgres.pgbouncer_pause, pgbouncer_resume, pgbouncer_kill, pgbouncer_repoint".to_owned(),
            remedy: format!("add {} to admin_users in pgbouncer.ini, then RELOAD", sanitize(user)),
        });
    }
    Ok(found)
}
