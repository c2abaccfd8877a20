//! Rights at the sentinels of a Redis. Each is asked for a primary that there is not: whoever may ask is told that there
//! is none of that name, and nothing is carried out. Sentinels know no transactions, in which this could be asked else.

use super::{ALLOWED, Found};
use crate::config::model::{Ca, Redis};
use crate::domain::facts::Missing;
use crate::domain::sample::Failure;
use crate::domain::text::sanitize;
use crate::observe::redis::connection::Endpoint;

/// A primary of nobody.
const NOBODY: &str = "quarterdeck:asked";

/// Subcommands of `SENTINEL` with their rules.
const COMMANDS: [(&str, &str); 2] = [("MASTER", "+sentinel|master"), ("FAILOVER", "+sentinel|failover")];

/// Asks all of them, as the verb does: without a login.
pub(super) async fn ask(config: &Redis) -> Found {
    let scheme = if config.url.starts_with("rediss:") { "rediss" } else { "redis" };
    let asked = config.sentinels.iter().map(|address| async move {
        let told = tokio::time::timeout(ALLOWED / 4, one(scheme, address, &config.ca)).await;
        match told {
            Ok(Ok(lacking)) => lacking,
            Ok(Err(why)) => vec![not_known(address, why.message)],
            Err(_) => vec![not_known(address, format!("no answer from {address}"))],
        }
    });
    let missing: Vec<Missing> = futures::future::join_all(asked).await.into_iter().flatten().collect();
    Found { asked: config.sentinels.len() * COMMANDS.len(), lacking: missing.len(), missing, excess: Vec::new() }
}

fn not_known(address: &str, why: String) -> Missing {
    Missing { disables: format!("redis.failover: whether the sentinel {address} lets it is not known"), remedy: why }
}

/// What one sentinel does not allow.
async fn one(scheme: &str, address: &str, ca: &Ca) -> Result<Vec<Missing>, Failure> {
    let endpoint = Endpoint::new(&format!("{scheme}://{address}"), None, ca)?;
    let mut connection = endpoint.connect(None, ALLOWED).await?;
    let mut missing = Vec::new();
    for (word, rule) in COMMANDS {
        let told: Result<redis::Value, redis::RedisError> =
            redis::cmd("SENTINEL").arg(word).arg(NOBODY).query_async(&mut connection).await;
        let Err(error) = told else { continue };
        let said = error.to_string();
        if said.contains("NOPERM") || said.contains("permissions") {
            missing.push(Missing {
                disables: format!("redis.failover through {address}"),
                remedy: format!("at the sentinel {}: ACL SETUSER default {rule}", sanitize(address)),
            });
        } else if error.is_io_error() || error.is_connection_dropped() || said.contains("NOAUTH") {
            return Err(endpoint.classify(&error, &format!("SENTINEL {word}"), ALLOWED));
        }
    }
    Ok(missing)
}
