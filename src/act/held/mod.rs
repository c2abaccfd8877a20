//! Which of the rights that the verbs need their logins hold, asked of the servers themselves without changing anything:
//! access reviews, `has_…_privilege`, commands of a transaction that is discarded, PgBouncer's own configuration, and
//! questions to sentinels about a primary that there is not. Only `doctor` calls this.

mod impersonation;
mod kubernetes;
mod pgbouncer;
mod postgres;
mod redis;
mod sentinel;

#[cfg(test)]
mod lab_tests;

use crate::config::model::{Config, Redis};
use crate::domain::facts::Missing;
use crate::domain::id::{Person, SourceId};
use crate::domain::mode::MayObserve;
use crate::domain::sample::Failure;
use std::time::Duration;

/// For asking one server.
const ALLOWED: Duration = Duration::from_secs(8);

/// What the logins for acting on one source hold.
#[derive(Clone, Debug)]
pub struct Held {
    /// The source.
    pub source: SourceId,
    /// How many rights were asked for; none where it could not be asked.
    pub asked: usize,
    /// How many of these are held.
    pub held: usize,
    /// Those that are lacking, with the verbs that need them and what would grant them.
    pub missing: Vec<Missing>,
    /// What the logins may do that nothing here needs and that reaches far, a few words each.
    pub excess: Vec<String>,
}

/// Asks every server that verbs can be aimed at; a source without a login for acting is left out. `people` are those of
/// the roster, in whose names some systems are acted on.
pub async fn ask(_: MayObserve, config: &Config, people: &[Person]) -> Vec<Held> {
    let clusters = config.kubernetes.iter().filter(|c| c.act_kubeconfig.is_some()).map(|c| {
        let asking = async { kubernetes::ask(c, &config.estate, people).await };
        async { told(&c.id, tokio::time::timeout(ALLOWED * 2, asking).await.ok()) }
    });
    let databases = config.postgres.iter().filter(|p| p.act.is_some()).map(|p| {
        let asking = async { postgres::ask(p, &config.estate).await };
        async { told(&p.id, tokio::time::timeout(ALLOWED, asking).await.ok()) }
    });
    let caches = config.redis.iter().filter(|r| r.act.is_some() || !r.sentinels.is_empty()).map(|r| {
        let asking = async { cache(r).await };
        async { told(&r.id, tokio::time::timeout(ALLOWED, asking).await.ok()) }
    });
    let poolers = config.pgbouncer.iter().filter(|p| p.act.is_some()).map(|p| {
        let asking = async { pgbouncer::ask(p).await };
        async { told(&p.id, tokio::time::timeout(ALLOWED, asking).await.ok()) }
    });
    let (mut all, more, rest, poolers) = futures::join!(
        futures::future::join_all(clusters),
        futures::future::join_all(databases),
        futures::future::join_all(caches),
        futures::future::join_all(poolers)
    );
    all.extend(more.into_iter().chain(rest).chain(poolers));
    all
}

/// A Redis and its sentinels.
async fn cache(config: &Redis) -> Result<Found, Failure> {
    let sentinels = async { if config.sentinels.is_empty() { None } else { Some(sentinel::ask(config).await) } };
    let own = async { if config.act.is_some() { Some(redis::ask(config).await) } else { None } };
    let (own, sentinels) = futures::join!(own, sentinels);
    let mut found = own.transpose()?.unwrap_or_default();
    if let Some(more) = sentinels {
        found.asked += more.asked;
        found.lacking += more.lacking;
        found.missing.extend(more.missing);
    }
    Ok(found)
}

/// How many rights were asked for, how many of them are lacking, and what that means.
#[derive(Default)]
struct Found {
    asked: usize,
    lacking: usize,
    missing: Vec<Missing>,
    excess: Vec<String>,
}

fn told(id: &SourceId, found: Option<Result<Found, Failure>>) -> Held {
    let why = match found {
        Some(Ok(Found { asked, lacking, missing, excess })) => {
            return Held { source: id.clone(), asked, held: asked.saturating_sub(lacking), missing, excess };
        }
        Some(Err(why)) => why.message,
        None => "it did not answer in time".to_owned(),
    };
    let disables = "which rights its login for acting has is not known".to_owned();
    Held { source: id.clone(), asked: 0, held: 0, missing: vec![Missing { disables, remedy: why }], excess: Vec::new() }
}
