//! Rights of the user that acts on a Redis. The server checks them when a command is put into a transaction, which is
//! then discarded: nothing is carried out, and no right to read the access list is needed.

use super::{ALLOWED, Found};
use crate::config::model::Redis;
use crate::domain::facts::Missing;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::redis::connection::Endpoint;
use crate::observe::redis::password_of;

/// Commands with as many words as they take, their rule, and the verbs that need it. The key is nobody's.
const COMMANDS: [(&[&str], &str, &str); 15] = [
    (&["INFO"], "+info", "every verb on Redis"),
    (&["BGSAVE"], "+bgsave", "redis.bgsave"),
    (&["LASTSAVE"], "+lastsave", "redis.bgsave"),
    (&["MEMORY", "PURGE"], "+memory|purge", "redis.memory_purge"),
    (&["CONFIG", "GET", "maxmemory"], "+config|get", "redis.set_maxmemory"),
    (&["CONFIG", "SET", "maxmemory", "1gb"], "+config|set", "redis.set_maxmemory"),
    (&["SCAN", "0"], "+scan", "redis.delete_matching"),
    (&["UNLINK", KEY], "+unlink", "redis.delete_matching"),
    (&["DBSIZE"], "+dbsize", "redis.flush_db"),
    (&["FLUSHDB"], "+flushdb", "redis.flush_db"),
    (&["RENAMENX", KEY, KEY], "+renamenx", "redis.drain_list"),
    (&["LLEN", KEY], "+llen", "redis.drain_list"),
    (&["COPY", KEY, KEY], "+copy", "redis.drain_stream"),
    (&["XLEN", KEY], "+xlen", "redis.drain_stream"),
    (&["XTRIM", KEY, "MAXLEN", "0"], "+xtrim", "redis.drain_stream"),
];

const KEY: &str = "quarterdeck:asked";

/// Asks as the user that acts.
pub(super) async fn ask(config: &Redis) -> Result<Found, Failure> {
    let login = config.act.as_ref().ok_or_else(|| Failure::new(FailureKind::Local, "it has no `act` login"))?;
    let endpoint = Endpoint::new(&config.url, Some(&login.user))?;
    let mut connection = endpoint.connect(Some(&password_of(Some(login))), ALLOWED).await?;
    let user = sanitize(&login.user);
    let begun: Result<String, redis::RedisError> = redis::cmd("MULTI").query_async(&mut connection).await;
    if let Err(error) = begun {
        if error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoPerm) {
            let disables = "redis.drain_list, drain_stream; which other rights are held is not known".to_owned();
            let remedy = format!("ACL SETUSER {user} +multi +discard +exec +watch +unwatch");
            return Ok(Found { asked: 1, lacking: 1, missing: vec![Missing { disables, remedy }] });
        }
        return Err(endpoint.classify(&error, "MULTI", ALLOWED));
    }
    let mut missing: Vec<Missing> = Vec::new();
    for (words, rule, verbs) in COMMANDS {
        let mut command = redis::cmd(words.first().copied().unwrap_or_default());
        command.arg(words.get(1..).unwrap_or_default());
        let queued: Result<redis::Value, redis::RedisError> = command.query_async(&mut connection).await;
        // A key that may not be touched is no matter here: which keys may be is the site's choice.
        let refused = queued.err().map(|e| e.to_string()).filter(|e| e.contains("NOPERM") || e.contains("permissions"));
        if refused.is_some_and(|why| !why.contains("key")) {
            missing.push(Missing { disables: verbs.to_owned(), remedy: format!("ACL SETUSER {user} {rule}") });
        }
    }
    let _: Result<redis::Value, redis::RedisError> = redis::cmd("DISCARD").query_async(&mut connection).await;
    Ok(Found { asked: COMMANDS.len(), lacking: missing.len(), missing })
}
