//! Rights of the user that acts on a Redis. The server checks them when a command is put into a transaction, which is
//! then discarded: nothing is carried out, and no right to read the access list is needed.

use super::{ALLOWED, Found};
use crate::act::grants::{BEYOND, COMMANDS};
use crate::config::model::Redis;
use crate::domain::facts::Missing;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::redis::connection::Endpoint;
use crate::observe::redis::password_of;

/// Asks as the user that acts.
pub(super) async fn ask(config: &Redis) -> Result<Found, Failure> {
    let login = config.act.as_ref().ok_or_else(|| Failure::new(FailureKind::Local, "it has no `act` login"))?;
    let endpoint = Endpoint::new(&config.url, Some(&login.user), &config.ca)?;
    let mut connection = endpoint.connect(Some(&password_of(Some(login))), ALLOWED).await?;
    let user = sanitize(&login.user);
    let begun: Result<String, redis::RedisError> = redis::cmd("MULTI").query_async(&mut connection).await;
    if let Err(error) = begun {
        if error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoPerm) {
            let disables = "redis.drain_list, drain_stream; which other rights are held is not known".to_owned();
            let remedy = format!("ACL SETUSER {user} +multi +discard +exec +watch +unwatch");
            return Ok(Found { asked: 1, lacking: 1, missing: vec![Missing { disables, remedy }], excess: Vec::new() });
        }
        return Err(endpoint.classify(&error, "MULTI", ALLOWED));
    }
    let mut missing: Vec<Missing> = Vec::new();
    let asked = || COMMANDS.iter().filter(|c| !c.words.is_empty());
    for grant in asked() {
        // A key that may not be touched is no matter here: which keys may be is the site's choice.
        if refused(&mut connection, grant.words).await.is_some_and(|why| !why.contains("key")) {
            let remedy = format!("ACL SETUSER {user} {}", grant.rule);
            missing.push(Missing { disables: grant.verbs.join(", "), remedy });
        }
    }
    let mut excess = Vec::new();
    for (words, what) in BEYOND {
        if refused(&mut connection, words).await.is_none() {
            excess.push((*what).to_owned());
        }
    }
    let _: Result<redis::Value, redis::RedisError> = redis::cmd("DISCARD").query_async(&mut connection).await;
    Ok(Found { asked: asked().count(), lacking: missing.len(), missing, excess })
}

/// Puts a command into the transaction that will be discarded; why the server does not let this user.
async fn refused(connection: &mut redis::aio::MultiplexedConnection, words: &[&str]) -> Option<String> {
    let mut command = redis::cmd(words.first().copied().unwrap_or_default());
    command.arg(words.get(1..).unwrap_or_default());
    let queued: Result<redis::Value, redis::RedisError> = command.query_async(connection).await;
    queued.err().map(|e| e.to_string()).filter(|e| e.contains("NOPERM") || e.contains("permissions"))
}
