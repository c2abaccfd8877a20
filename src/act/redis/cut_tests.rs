//! Verbs that change a Redis, cut off in the middle on a real server, which counts what it did.

use super::tests::{Rig, Watched, of};
use crate::act::Verbs;
use crate::act::cut::{Args, At, Case, Says, Wire, says};
use crate::act::postgres::tests::prepare;
use crate::config::model::Redis as Config;
use crate::domain::mode::Mode;
use crate::domain::world::World;
use crate::observe::http::rig::until;
use crate::observe::postgres::testbed::estate;
use futures::future::join_all;
use redis::aio::MultiplexedConnection;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// What a server answers in numbers.
async fn number(admin: &mut MultiplexedConnection, words: &[&str]) -> i64 {
    redis::cmd(words[0]).arg(&words[1..]).query_async(admin).await.unwrap()
}

/// How often it has run a command.
async fn calls(admin: &mut MultiplexedConnection, command: &str) -> i64 {
    let text: String = redis::cmd("INFO").arg("commandstats").query_async(admin).await.unwrap();
    let of = format!("cmdstat_{command}:calls=");
    let found = text.lines().find_map(|line| line.strip_prefix(of.as_str())?.split(',').next()?.parse().ok());
    found.unwrap_or_default()
}

#[tokio::test]
async fn every_verb_on_a_server_is_cut_off_and_found_out() {
    let acl = format!("allkeys {}", crate::act::grants::rules(|_| true));
    let Some(rig) = Rig::start("every_verb_is_cut_off", "cache", &acl).await else { return };
    let mut admin = rig.admin().await;
    let filled = [
        ["RPUSH", "list", "a", "b", "c"].as_slice(),
        &["XADD", "stream", "*", "n", "1"],
        &["XADD", "stream", "*", "n", "2"],
        &["MSET", "page:1", "x", "page:2", "x"],
    ];
    for words in filled {
        redis::cmd(words[0]).arg(&words[1..]).query_async::<redis::Value>(&mut admin).await.unwrap();
    }
    let rows: [(&str, Args, &str, _, _, _, &str, [i64; 2]); 5] = [
        // Whether memory was given back is not kept anywhere; another time does no harm.
        ("redis.memory_purge", vec![], "PURGE", Says::Open, At::Answer, Says::Open, "memory|purge", [1, 2]),
        (
            "redis.set_maxmemory",
            vec![("bytes", json!("128mb"))],
            "134217728",
            Says::Nothing,
            At::Middle,
            Says::Took,
            "config|set",
            [1, 1],
        ),
        (
            "redis.drain_list",
            vec![("key", json!("list"))],
            "RENAMENX",
            Says::Nothing,
            At::Middle,
            Says::Took,
            "",
            [3, 3],
        ),
        (
            "redis.drain_stream",
            vec![("key", json!("stream"))],
            "XTRIM",
            Says::Nothing,
            At::Middle,
            Says::Took,
            "",
            [2, 2],
        ),
        (
            "redis.delete_matching",
            vec![("pattern", json!("page:*"))],
            "UNLINK",
            Says::Nothing,
            At::Answer,
            Says::Took,
            "unlink",
            [1, 1],
        ),
    ];
    let rig = &rig;
    let tried = rows.into_iter().map(async |(name, args, word, lost, answer, kept, command, acted)| {
        let wire = Wire::to(rig.port(), says(word));
        let (verbs, world) = rig.through(wire.port());
        let verb = &**verbs.get(name).unwrap();
        let request = &prepare(verb, world, &of(&args)).await.unwrap();
        let count = async || {
            let mut admin = rig.admin().await;
            match name {
                "redis.drain_list" => number(&mut admin, &["LLEN", "list:drained"]).await,
                "redis.drain_stream" => number(&mut admin, &["XLEN", "stream:drained"]).await,
                _ => calls(&mut admin, command).await,
            }
        };
        Case { wire: &wire, verb, request, lost, answer, kept, acted }.run(count).await;
    });
    join_all(tried).await;
    for words in [["XLEN", "stream"], ["LLEN", "list"], ["EXISTS", "page:1"]] {
        assert_eq!(number(&mut admin, &words).await, 0, "{words:?}");
    }
}

#[tokio::test]
async fn a_failover_is_cut_off_and_found_out() {
    let Some(watched) = Watched::start("a_failover_is_cut_off").await else { return };
    let wire = Wire::to(watched.sentinel_port, says("FAILOVER"));
    let config = Config { sentinels: vec![format!("127.0.0.1:{}", wire.port())], ..watched.config.clone() };
    let all = Verbs::new(super::verbs(Mode::Live.may_act().unwrap(), &[config], &[]));
    let verb = &**all.get("redis.failover").unwrap();
    let world = World::new(Arc::new(estate(&["t017"])), [], jiff::Timestamp::now());
    let soon = Duration::from_secs(20);
    // The replica has to have answered INFO before the sentinel can choose it.
    until("the sentinel can choose the replica", soon, async || watched.can_choose().await.then_some(())).await;
    let request = &prepare(verb, &world, &of(&[])).await.unwrap();
    let case =
        Case { wire: &wire, verb, request, lost: Says::Nothing, answer: At::Middle, kept: Says::Took, acted: [1, 1] };
    case.run(async || watched.begun()).await;
}
