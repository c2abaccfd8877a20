//! Looking for the effect of a statement whose answer was lost. A session whose client is gone goes on with what it was
//! told, at the longest until the server's own limit: as long as it is there, that nothing is seen says nothing. All
//! verbs that send one statement call this.

use super::run;
use crate::act::again;
use crate::domain::ports::Reconciled;
use crate::domain::request::{Operation, Request};
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::postgres::link::Link;
use std::time::Duration;
use tokio::time::Instant;

/// For one question.
const ALLOWED: Duration = Duration::from_secs(5);
/// A statement may still be on its way to the server; no effect is believed only when a second look after this time
/// sees none either.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// How long the end of a statement is waited for before a person is asked.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked for.
const AGAIN: Duration = Duration::from_millis(500);

/// Sessions of this login that were given the statement; the server keeps the beginning of it
/// (`track_activity_query_size`).
const STILL: &str = "\
SELECT pid FROM pg_catalog.pg_stat_activity
WHERE usename = current_user AND datname = current_database() AND pid <> pg_catalog.pg_backend_pid()
  AND left(query, 500) = left($1, 500)
LIMIT 1";

/// Looks once the statement of the request runs nowhere any more, and where that saw no effect once more later.
pub async fn look<L: Future<Output = Reconciled>>(
    link: Result<&Link, Failure>,
    request: &Request,
    look: impl Fn() -> L,
) -> Reconciled {
    let link = match link {
        Ok(link) => link,
        Err(why) => return Reconciled::Undecided { why: why.message },
    };
    let once = || async {
        match ended(link, request).await {
            Ok(()) => look().await,
            Err(why) => Reconciled::Undecided { why: why.message },
        }
    };
    again::twice(SECOND_LOOK, once).await
}

/// Waits for the end of the statement, wherever it still runs.
async fn ended(link: &Link, request: &Request) -> Result<(), Failure> {
    let Operation::Sql { statement, .. } = &request.operation else { return Err(crate::act::foreign(request)) };
    let until = Instant::now() + PATIENCE;
    loop {
        let rows = run::ask_with(link, request, (STILL.to_owned(), vec![statement.clone()]), ALLOWED).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        if Instant::now() >= until {
            let pid: i32 = row.try_get(0).map_err(|e| run::unreadable(request, &e))?;
            let why = format!("{}: it still runs there (pid {pid}); only its end tells", link.address());
            return Err(Failure::new(FailureKind::Timeout, why));
        }
        tokio::time::sleep(AGAIN).await;
    }
}
