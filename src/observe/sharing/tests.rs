//! Against real servers, with observers that say who runs them.

use super::table::Told;
use super::*;
use crate::attest::ledger::setup;
use crate::config::model::{Ca, Tls};
use crate::domain::facts::RedisFacts;
use crate::domain::mode::Mode;
use crate::observe::postgres::testbed::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

const LEASE: Duration = Duration::from_secs(3);
/// Longest wait for something that engines do among themselves.
const LONG: Duration = Duration::from_mins(1);

/// A server whose journal engines of these names may write.
async fn server(names: &[&str]) -> Option<Server> {
    let server = Server::start().await?;
    server.sql("postgres", &setup::sql("quarterdeck/test", "qd_bastion")).await;
    for name in names {
        server.role(name, &format!("GRANT quarterdeck_journal_writer TO {name}")).await;
    }
    Some(server)
}

fn config(server: &Server, name: &str) -> JournalDatabase {
    JournalDatabase {
        servers: vec![("127.0.0.1".to_owned(), server.port)],
        database: "postgres".to_owned(),
        login: server.config(name).observe,
        tls: Tls::Disable,
        ca: Ca::default(),
        timeout: Duration::from_secs(2),
        lease: None,
    }
}

fn table(server: &Server, name: &str, lease: Duration) -> Table {
    let me = Member { id: name.to_owned(), host: format!("host-of-{name}") };
    Table::new(&config(server, name), lease, "the list".to_owned(), me)
}

fn news(source: &str, age_s: u64, body: Option<&str>) -> News {
    let body = body.map(|text| text.as_bytes().to_vec());
    News { source: source.into(), age: Duration::from_secs(age_s), took: Duration::from_millis(7), body }
}

fn of<'a>(told: &'a [Told], source: &str) -> &'a Told {
    told.iter().find(|t| t.news.source.as_str() == source).unwrap()
}

fn ids(round: &plan::Round) -> Vec<&str> {
    let mut ids: Vec<&str> = round.engines.iter().map(|e| e.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_publication_of_an_engine_that_was_taken_over_is_refused() {
    let Some(server) = server(&["qd_a", "qd_b"]).await else { return };
    let (mut a, mut b) = (table(&server, "qd_a", LONG), table(&server, "qd_b", Duration::from_secs(5)));
    let alone = a.renew().await.unwrap();
    assert_eq!((ids(&alone), alone.apart.len()), (vec!["qd_a"], 0));
    a.publish(alone.term, &[news("pg-a", 2, Some("one")), news("pg-b", 0, Some("two"))]).await.unwrap();
    let both = b.renew().await.unwrap();
    assert_eq!(ids(&both), ["qd_a", "qd_b"]);
    assert_eq!(both.engines.iter().find(|e| e.id == "qd_a").unwrap().host, "host-of-qd_a");
    assert_eq!((both.term.born, both.term.generation), (alone.term.born, alone.term.generation + 1));

    // What was published is there with its age, and an engine does not read its own.
    let told = b.read(both.term.born, 0).await.unwrap();
    let (first, last) = (of(&told, "pg-a"), told[1].seq);
    assert_eq!((told.len(), first.from.as_str(), last), (2, "qd_a", first.seq));
    assert_eq!((first.news.body.as_deref(), first.news.took), (Some(&b"one"[..]), Duration::from_millis(7)));
    assert!((2.0..30.0).contains(&first.news.age.as_secs_f64()), "{first:?}");
    assert_eq!(a.read(both.term.born, 0).await.unwrap(), []);
    assert_eq!(b.read(both.term.born, last).await.unwrap(), []);

    // An engine that does not know yet that another one came.
    let late = a.publish(alone.term, &[news("pg-a", 0, Some("late"))]).await;
    assert_eq!(late, Err(Trouble::Moved));
    assert_eq!(a.renew().await.unwrap(), both);
    // What is the same as before is not sent again, and has a new age.
    a.publish(both.term, &[news("pg-a", 0, None)]).await.unwrap();
    let told: [Told; 1] = b.read(both.term.born, last).await.unwrap().try_into().unwrap();
    assert_eq!((told[0].news.source.as_str(), &told[0].news.body), ("pg-a", &None));
    assert!(told[0].news.age < Duration::from_secs(2), "{told:?}");
    let told = b.read(both.term.born, 0).await.unwrap();
    assert_eq!(of(&told, "pg-a").news.body.as_deref(), Some(&b"one"[..]), "who has read nothing yet is told all");

    // One that stands still, and goes on when its lease is over and others have seen that.
    let deadline = Instant::now() + LONG;
    let after = loop {
        let round = a.renew().await.unwrap();
        if ids(&round) == ["qd_a"] {
            break round;
        }
        assert!(Instant::now() < deadline, "its lease does not end: {round:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(b.publish(both.term, &[news("pg-b", 0, Some("late"))]).await, Err(Trouble::Moved));
    a.publish(after.term, &[news("pg-b", 0, Some("new"))]).await.unwrap();
    let again = b.renew().await.unwrap();
    assert_eq!((ids(&again), again.term.generation), (vec!["qd_a", "qd_b"], after.term.generation + 1));
    let told = b.read(again.term.born, 0).await.unwrap();
    assert!(told.iter().any(|t| t.news.body.as_deref() == Some(b"new")), "{told:?}");
    assert!(told.iter().all(|t| t.news.body.as_deref() != Some(b"late")), "{told:?}");

    // One that ends in good order is gone at once.
    b.leave().await.unwrap();
    assert_eq!(ids(&a.renew().await.unwrap()), ["qd_a"]);
}

#[tokio::test]
async fn who_hears_no_answer_keeps_no_lease_and_a_database_that_lost_everything_says_so() {
    let Some(mut server) = server(&["qd_a", "qd_b"]).await else { return };
    let (mut a, mut mute) = (table(&server, "qd_a", LONG), table(&server, "qd_b", Duration::from_secs(2)));
    assert_eq!(ids(&mute.renew().await.unwrap()), ["qd_b"]);
    // It asks again and again, each time as one that has heard nothing.
    let asks = server.connect_as("qd_b", "postgres").await;
    let deadline = Instant::now() + LONG;
    let with = loop {
        let ask = "SELECT FROM quarterdeck_journal.share_renew('the list', 'qd_b', 'there', 2, 0)";
        asks.batch_execute(ask).await.unwrap();
        let round = a.renew().await.unwrap();
        if ids(&round) == ["qd_a"] {
            break round;
        }
        assert!(Instant::now() < deadline, "it keeps its lease: {round:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    a.publish(with.term, &[news("pg-a", 0, Some("one"))]).await.unwrap();

    // After a crash nothing of it is there, and what was said before fits nothing.
    server.restart().await;
    let refused = loop {
        // The session of before is cut.
        match a.publish(with.term, &[news("pg-a", 0, Some("two"))]).await {
            Err(Trouble::Lost(_)) if Instant::now() < deadline => {}
            other => break other,
        }
    };
    assert_eq!(refused, Err(Trouble::Moved));
    assert_eq!(a.read(with.term.born, 0).await, Err(Trouble::Moved));
    let new = a.renew().await.unwrap();
    assert_ne!(new.term.born, with.term.born);
    assert_eq!(a.read(new.term.born, 0).await.unwrap(), []);
}

#[tokio::test]
async fn only_writers_may_and_a_database_of_before_is_named() {
    let Some(server) = server(&["qd_a"]).await else { return };
    server.role("somebody", "").await;
    let Err(Trouble::Lost(why)) = table(&server, "somebody", LEASE).renew().await else { panic!("it may") };
    assert!(why.contains("permission denied"), "{why}");
    server.sql("postgres", "DROP FUNCTION quarterdeck_journal.share_renew").await;
    let Err(Trouble::Lost(why)) = table(&server, "qd_a", LEASE).renew().await else { panic!("it may") };
    assert!(why.contains("quarterdeck audit database init"), "{why}");
}

/// What is going on at all engines of a test.
#[derive(Clone, Default)]
struct Stage(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    /// Who watches what.
    running: BTreeMap<SourceId, BTreeSet<String>>,
    /// The newest sample of each source at each engine.
    seen: BTreeMap<String, BTreeMap<SourceId, Sample>>,
}

impl Stage {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Shown) -> bool) {
        let deadline = Instant::now() + LONG;
        while !holds(&self.shown()) {
            if Instant::now() >= deadline {
                let shown = self.shown();
                let said = |(name, seen): (&String, &BTreeMap<SourceId, Sample>)| {
                    format!("{name}: {:?}", seen.get(&SourceId::new(NAME)).map(|s| &s.result))
                };
                panic!("still not: {what}\n{:?}\n{:?}", shown.running, shown.seen.iter().map(said).collect::<Vec<_>>());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until each of these engines watches everything by itself.
    async fn alone(&self, what: &str, names: &[&str]) {
        let is = |shown: &Shown| names.iter().all(|n| shown.is_alone(n) && shown.watches_all(n) && shown.sees_all(n));
        self.until(what, is).await;
    }

    /// Waits until each source is watched by one of these engines, all of which watch some and see all.
    async fn divided(&self, what: &str, names: &[&str]) {
        let is = |shown: &Shown| {
            let watched = |n: &str| shown.running.values().any(|by| by.contains(n));
            let one = |by: &BTreeSet<String>| by.iter().filter(|n| names.contains(&n.as_str())).count() == 1;
            shown.running.len() == SOURCES
                && shown.running.values().all(one)
                && names.iter().all(|n| watched(n) && shown.sees_all(n) && !shown.is_alone(n))
        };
        self.until(what, is).await;
    }
}

impl Shown {
    /// Whether an engine has fresh samples of all sources.
    fn sees_all(&self, name: &str) -> bool {
        let fresh = |s: &Sample| Timestamp::now().duration_since(s.taken_at) < SignedDuration::from_secs(2);
        let seen = self.seen.get(name);
        (0..SOURCES).all(|n| seen.and_then(|s| s.get(&source(n))).is_some_and(|s| s.result.is_ok() && fresh(s)))
    }

    fn is_alone(&self, name: &str) -> bool {
        let sharing = self.seen.get(name).and_then(|s| s.get(&SourceId::new(NAME)));
        sharing.is_none_or(|s| s.result.is_err())
    }

    fn watches_all(&self, name: &str) -> bool {
        self.running.values().filter(|by| by.contains(name)).count() == SOURCES
    }
}

/// So many that each of three engines has some, whatever names they draw.
const SOURCES: usize = 60;

fn source(n: usize) -> SourceId {
    SourceId::new(format!("redis-{n}"))
}

/// Says that it runs while it does.
struct Looks {
    engine: String,
    id: SourceId,
    stage: Stage,
}

struct Running<'a>(&'a Looks);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Looks { engine, id, stage } = self.0;
        stage.shown().running.get_mut(id).unwrap().remove(engine);
    }
}

impl Observer for Looks {
    fn spec(&self) -> SourceSpec {
        let (id, interval) = (self.id.clone(), Duration::from_secs(1));
        SourceSpec { id, kind: SourceKind::Redis, interval, address: "nowhere".to_owned() }
    }

    fn run(self: Box<Self>, sink: SampleSink) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.stage.shown().running.entry(self.id.clone()).or_default().insert(self.engine.clone());
            let _running = Running(&self);
            for clients in 0_u32.. {
                // Each value a few times: what is the same is not sent again.
                let facts = RedisFacts { clients: clients / 4, ..RedisFacts::default() };
                let (taken_at, took) = (Timestamp::now(), Duration::from_millis(1));
                sink(Sample { source: self.id.clone(), taken_at, took, result: Ok(Arc::new(Facts::Redis(facts))) });
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    }
}

/// Starts an engine's sharing.
fn start(server: &Server, name: &'static str, stage: &Stage) -> JoinHandle<()> {
    let played_on = stage.clone();
    let make: Make = Arc::new(move || {
        let one = |n| Looks { engine: name.to_owned(), id: source(n), stage: played_on.clone() };
        (0..SOURCES).map(|n| Box::new(one(n)) as Box<dyn Observer>).collect()
    });
    let may = Mode::Live.may_observe().unwrap();
    let sharing = Sharing::new(may, &config(server, name), LEASE, name, make(), make.clone());
    assert_eq!(sharing.specs().len(), SOURCES + 1);
    let stage = stage.clone();
    let sink: SampleSink = Arc::new(move |sample: Sample| {
        let mut shown = stage.shown();
        let seen = shown.seen.entry(name.to_owned()).or_default();
        if seen.get(&sample.source).is_none_or(|old| old.taken_at <= sample.taken_at) {
            seen.insert(sample.source.clone(), sample);
        }
    });
    tokio::spawn(Box::new(sharing).run(sink))
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_divide_the_sources_and_see_all_of_them_whoever_comes_and_goes() {
    let Some(mut server) = server(&["qd_a", "qd_b", "qd_c"]).await else { return };
    let stage = Stage::default();
    let a = start(&server, "qd_a", &stage);
    stage.divided("one engine watches everything", &["qd_a"]).await;
    let b = start(&server, "qd_b", &stage);
    stage.divided("two divide it", &["qd_a", "qd_b"]).await;
    let c = start(&server, "qd_c", &stage);
    stage.divided("three divide it", &["qd_a", "qd_b", "qd_c"]).await;

    // One is cut off: it watches everything, and the others have its part.
    cut(&server, "qd_c").await;
    stage.alone("it sees to everything by itself", &["qd_c"]).await;
    stage.divided("the others have its part", &["qd_a", "qd_b"]).await;
    join(&server, "qd_c").await;
    stage.divided("it is back", &["qd_a", "qd_b", "qd_c"]).await;

    // One ends in good order, and one without a word.
    c.abort();
    stage.divided("one has left", &["qd_a", "qd_b"]).await;
    cut(&server, "qd_b").await;
    b.abort();
    stage.divided("one has died", &["qd_a"]).await;

    // Without the database whoever is left sees to everything; it comes back without what was shared.
    join(&server, "qd_b").await;
    let b = start(&server, "qd_b", &stage);
    stage.divided("another one has come", &["qd_a", "qd_b"]).await;
    cut(&server, "qd_a").await;
    cut(&server, "qd_b").await;
    stage.alone("each watches everything", &["qd_a", "qd_b"]).await;
    server.restart().await;
    join(&server, "qd_a").await;
    join(&server, "qd_b").await;
    stage.divided("they divide it again", &["qd_a", "qd_b"]).await;
    a.abort();
    b.abort();
}

/// Takes the database from an engine, or gives it back.
async fn cut(server: &Server, name: &str) {
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'");
    server.sql("postgres", &format!("ALTER ROLE {name} NOLOGIN; {end}")).await;
}

async fn join(server: &Server, name: &str) {
    server.sql("postgres", &format!("ALTER ROLE {name} LOGIN")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stands_still_holds_nobody_up() {
    let Some(server) = server(&["qd_a", "qd_b"]).await else { return };
    let stage = Stage::default();
    let engines = [start(&server, "qd_a", &stage), start(&server, "qd_b", &stage)];
    stage.divided("two divide it", &["qd_a", "qd_b"]).await;
    server.freeze();
    stage.alone("each watches everything", &["qd_a", "qd_b"]).await;
    server.thaw();
    stage.divided("they divide it again", &["qd_a", "qd_b"]).await;
    engines.iter().for_each(JoinHandle::abort);
}

#[test]
fn a_list_is_of_sources_with_their_addresses_in_any_order() {
    let spec = |id: &str, address: &str| SourceSpec {
        id: id.into(),
        kind: SourceKind::Redis,
        interval: Duration::from_secs(1),
        address: address.to_owned(),
    };
    let (a, b) = (spec("a", "h:1"), spec("b", "h:2"));
    assert_eq!(list(&[a.clone(), b.clone()]), list(&[b.clone(), a.clone()]));
    assert_ne!(list(&[a.clone(), b.clone()]), list(&[a, spec("b", "h:3")]));
}
