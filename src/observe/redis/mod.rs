//! Observes one Redis by one `INFO` a poll and a few commands in constant time, and asks its sentinels, where there are any, which primary they
//! agree on. Built by the engine; `act::redis` shares the way to a server.

pub mod connection;
pub mod info;
mod sentinel;
mod trouble;

use crate::config::model::Redis as Config;
use crate::domain::facts::{Facts, RedisFacts};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, SourceKind, SourceSpec};
use crate::observe::poll::Poll;
use connection::Endpoint;
use redis::aio::MultiplexedConnection;
use sentinel::Sentinel;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where the password comes from, read anew for each connection; it may block.
pub type Password = Arc<dyn Fn() -> Result<Option<String>, Failure> + Send + Sync>;

/// The password of a login, read anew each time that it is asked for.
pub fn password_of(login: Option<&crate::config::model::Login>) -> Password {
    let reference = login.and_then(|l| l.password.clone());
    Arc::new(move || match &reference {
        None => Ok(None),
        Some(reference) => futures::executor::block_on(crate::config::secret::read(reference))
            .map(|s| Some(s.expose().to_owned()))
            .map_err(|e| Failure::new(crate::domain::sample::FailureKind::Local, e.to_string())),
    })
}

/// The rules of an access list for the user that looks, but for the keys of the configuration.
pub const RULES: &str = "+ping +hello +auth +select +info +slowlog|get +latency|latest +type +llen +xlen +xinfo|groups";

/// Observer of one Redis.
pub struct RedisObserver {
    config: Config,
    password: Password,
    endpoint: Result<Endpoint, Failure>,
    connection: Option<MultiplexedConnection>,
    sentinels: Vec<Sentinel>,
    before: Option<Evictions>,
    slow: trouble::SlowLog,
}

/// The eviction counter at one moment of one run of the server.
struct Evictions {
    run_id: String,
    keys: u64,
    at: Instant,
}

impl RedisObserver {
    /// An observer that connects at its first poll.
    pub fn new(_: MayObserve, config: Config, password: Password) -> Self {
        let user = config.observe.as_ref().map(|login| login.user.as_str());
        let endpoint = Endpoint::new(&config.url, user, &config.ca);
        let tls = config.url.starts_with("rediss:");
        let sentinels = match &config.sentinel_name {
            Some(_) => config.sentinels.iter().map(|address| Sentinel::new(address, tls, &config.ca)).collect(),
            None => Vec::new(),
        };
        Self {
            config,
            password,
            endpoint,
            connection: None,
            sentinels,
            before: None,
            slow: trouble::SlowLog::default(),
        }
    }

    async fn observe(&mut self) -> Result<RedisFacts, Failure> {
        let endpoint = self.endpoint.as_ref().map_err(Clone::clone)?;
        // Taken out while it is used: a poll that fails or is dropped half-way leaves no connection behind.
        let kept = self.connection.take();
        let (password, timeout) = (&self.password, self.config.timeout);
        let asked = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => endpoint.connect(Some(password), timeout).await?,
            };
            let reply: redis::Value = redis::cmd("INFO")
                .query_async(&mut connection)
                .await
                .map_err(|e| endpoint.classify(&e, "INFO", timeout))?;
            Ok((connection, reply))
        };
        let name = self.config.sentinel_name.as_deref().unwrap_or_default();
        let view = sentinel::ask_all(&mut self.sentinels, name, timeout / 2);
        let (asked, view) = futures::join!(asked, view);
        let (mut connection, reply) = asked?;
        let at = Instant::now();
        let text = match reply {
            redis::Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            redis::Value::VerbatimString { text, .. } => text,
            _ => return Err(endpoint.protocol("INFO did not answer with text")),
        };
        let parsed = info::parse(&text).map_err(|why| endpoint.protocol(&why))?;
        let mut facts = parsed.facts;
        facts.evicted_per_s = parsed.evicted_keys.and_then(|keys| {
            let now = Evictions { run_id: facts.run_id.clone(), keys, at };
            let rate = self.before.as_ref().and_then(|before| before.rate(&now));
            self.before = Some(now);
            rate
        });
        facts.sentinel_primary = view.primary;
        facts.missing = view.missing;
        if !facts.loading {
            let keys = &self.config.keys;
            trouble::observe(&mut connection, endpoint, keys, timeout, &mut self.slow, &mut facts).await?;
        }
        self.connection = Some(connection);
        Ok(facts)
    }
}

impl Evictions {
    /// Evictions a second until `now`; `None` when the server was started anew or its counters were reset.
    fn rate(&self, now: &Self) -> Option<f64> {
        let seconds = now.at.duration_since(self.at).as_secs_f64();
        if self.run_id != now.run_id || seconds <= 0.0 {
            return None;
        }
        let keys = u32::try_from(now.keys.checked_sub(self.keys)?).unwrap_or(u32::MAX);
        Some(f64::from(keys) / seconds)
    }
}

impl Poll for RedisObserver {
    fn spec(&self) -> SourceSpec {
        let address = self.endpoint.as_ref().map_or_else(|_| "an address that is none".into(), Endpoint::address);
        SourceSpec { id: self.config.id.clone(), kind: SourceKind::Redis, interval: self.config.interval, address }
    }

    fn timeout(&self) -> Duration {
        self.config.timeout
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(async { self.observe().await.map(Facts::Redis) })
    }
}

#[cfg(test)]
mod tests;
