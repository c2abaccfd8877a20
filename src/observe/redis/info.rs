//! The text of `INFO`: `# Section` lines and `key:value` lines (<https://redis.io/docs/latest/commands/info/>).

use crate::domain::facts::RedisFacts;
use crate::domain::text::sanitize;
use std::collections::HashMap;
use std::str::FromStr;

/// What one `INFO` said; rates are for the caller to make.
#[derive(Debug)]
pub struct Info {
    /// Everything but `evicted_per_s`, `sentinel_primary` and `missing`.
    pub facts: RedisFacts,
    /// `evicted_keys` since start.
    pub evicted_keys: Option<u64>,
}

/// Reads the text; a field that every Redis has and this one does not is an error in words.
pub fn parse(text: &str) -> Result<Info, String> {
    let fields: HashMap<&str, &str> =
        text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.trim_end().split_once(':')).collect();
    let fields = Fields(fields);
    let role = fields.text("role")?;
    let replica = match role.as_str() {
        "master" => false,
        "slave" => true,
        other => return Err(format!("it is a {other}, not a data server")),
    };
    let facts = RedisFacts {
        run_id: fields.text("run_id")?,
        version: fields.text("redis_version")?,
        used_memory_bytes: fields.number("used_memory")?,
        maxmemory_bytes: fields.maybe("maxmemory").filter(|bytes| *bytes > 0),
        maxmemory_policy: fields.text("maxmemory_policy").unwrap_or_default(),
        evicted_per_s: None,
        rejected_connections: fields.number("rejected_connections")?,
        clients: fields.number("connected_clients")?,
        max_clients: fields.maybe("maxclients"),
        blocked_clients: fields.number("blocked_clients")?,
        ops_per_s: fields.number("instantaneous_ops_per_sec")?,
        replicas: fields.number("connected_slaves")?,
        master_link_up: if replica { fields.is("master_link_status", "up") } else { None },
        lag_s: if replica {
            // -1 while the link is down.
            fields.maybe("master_last_io_seconds_ago").filter(|s: &f64| *s >= 0.0)
        } else {
            fields.greatest_replica_lag()
        },
        last_bgsave_ok: fields.is("rdb_last_bgsave_status", "ok"),
        last_aof_ok: fields.is("aof_last_write_status", "ok"),
        latest_fork_ms: fields.maybe("latest_fork_usec").map(|us: f64| us / 1000.0),
        loading: fields.is("loading", "1").unwrap_or(false),
        slow_commands: None,
        slowest: None,
        worst_stall_s: None,
        keys: Vec::new(),
        sentinel_primary: None,
        missing: Vec::new(),
        role,
    };
    Ok(Info { facts, evicted_keys: fields.maybe("evicted_keys") })
}

struct Fields<'a>(HashMap<&'a str, &'a str>);

impl Fields<'_> {
    fn text(&self, key: &str) -> Result<String, String> {
        self.0.get(key).map(|v| sanitize(v)).ok_or_else(|| format!("INFO has no {key}"))
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T, String> {
        let value = self.0.get(key).ok_or_else(|| format!("INFO has no {key}"))?;
        value.parse().map_err(|_| format!("INFO says {key} is {}", sanitize(value)))
    }

    fn maybe<T: FromStr>(&self, key: &str) -> Option<T> {
        self.0.get(key).and_then(|v| v.parse().ok())
    }

    fn is(&self, key: &str, wanted: &str) -> Option<bool> {
        self.0.get(key).map(|v| *v == wanted)
    }

    /// `slave0:ip=…,port=…,state=online,offset=…,lag=1`: seconds since the replica's last acknowledgement.
    fn greatest_replica_lag(&self) -> Option<f64> {
        self.0
            .iter()
            .filter(|(key, _)| key.strip_prefix("slave").is_some_and(|n| n.parse::<u32>().is_ok()))
            .filter_map(|(_, value)| value.split(',').find_map(|part| part.strip_prefix("lag=")?.parse::<f64>().ok()))
            .max_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n\r\n# Clients\r\nconnected_clients:3\r\n\
        maxclients:10000\r\nblocked_clients:1\r\n# Memory\r\nused_memory:1048576\r\nmaxmemory:2097152\r\n\
        maxmemory_policy:allkeys-lru\r\n# Persistence\r\nloading:0\r\nrdb_last_bgsave_status:err\r\n\
        aof_last_write_status:ok\r\n# Stats\r\ninstantaneous_ops_per_sec:17\r\nrejected_connections:2\r\n\
        evicted_keys:40\r\nlatest_fork_usec:1500\r\n# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
        slave0:ip=10.0.0.1,port=6379,state=online,offset=1,lag=0\r\n\
        slave1:ip=10.0.0.2,port=6379,state=online,offset=1,lag=4\r\n";

    #[test]
    fn a_primary_is_read_field_by_field() {
        let info = parse(PRIMARY).unwrap();
        let f = info.facts;
        assert_eq!((f.run_id.as_str(), f.version.as_str(), f.role.as_str()), ("abc", "7.0.15", "master"));
        assert_eq!((f.used_memory_bytes, f.maxmemory_bytes), (1_048_576, Some(2_097_152)));
        assert_eq!((f.clients, f.max_clients, f.blocked_clients), (3, Some(10_000), 1));
        assert_eq!((f.rejected_connections, f.replicas, info.evicted_keys), (2, 2, Some(40)));
        assert_eq!((f.last_bgsave_ok, f.last_aof_ok, f.loading), (Some(false), Some(true), false));
        assert_eq!((f.latest_fork_ms, f.lag_s, f.master_link_up), (Some(1.5), Some(4.0), None));
    }

    #[test]
    fn no_limit_is_none_and_a_broken_link_has_no_lag() {
        let text = PRIMARY
            .replace("maxmemory:2097152", "maxmemory:0")
            .replace("role:master", "role:slave\r\nmaster_link_status:down\r\nmaster_last_io_seconds_ago:-1");
        let f = parse(&text).unwrap().facts;
        assert_eq!((f.maxmemory_bytes, f.master_link_up, f.lag_s), (None, Some(false), None));
    }

    #[test]
    fn what_is_no_data_server_is_said() {
        assert_eq!(parse("redis_version:7\r\nrole:sentinel\r\n").unwrap_err(), "it is a sentinel, not a data server");
        assert_eq!(parse("hello").unwrap_err(), "INFO has no role");
        assert_eq!(
            parse(&PRIMARY.replace("used_memory:1048576", "used_memory:much")).unwrap_err(),
            "INFO says used_memory is much"
        );
    }
}
