//! The API before the lab's real Odoo 19 (by JSON-2, by JSON-RPC, and by JSON-RPC as older versions are asked), and before
//! servers that are slow, broken or refuse.

use super::super::tests::ODOO_19;
use super::super::ways::Ways;
use super::super::{Odoo, ZOMBIE_AFTER};
use super::*;
use crate::config::model::{self, Door, SecretRef};
use crate::domain::facts::Facts;
use crate::domain::mode::Mode;
use crate::observe::http::rig::{Tiny, until};
use crate::observe::poll::Poll;
use crate::observe::postgres::testbed::{Server, estate, lab};
use crate::observe::postgres::tests::from_dsn;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

fn secret(dir: &Path, name: &str, key: &str) -> SecretRef {
    let path = dir.join(name);
    std::fs::write(&path, key).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    SecretRef::File(path)
}

fn config(url: String, host: Option<&str>, database: &str, key: SecretRef) -> OdooApi {
    OdooApi {
        tenant: database.into(),
        door: Door {
            url,
            host: host.map(Into::into),
            database: database.into(),
            key: Some(key),
            ca: crate::config::model::Ca::default(),
        },
        login: None,
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
    }
}

fn api(config: &OdooApi) -> Api {
    Api::new(config, ZOMBIE_AFTER, Arc::new(Semaphore::new(1)))
}

fn ways(postgres: Option<model::Postgres>, odoo: OdooApi) -> Ways {
    let text = "[estate]\nname = \"a\"\nenvironment = \"staging\"\ntime_zone = \"UTC\"\n";
    let mut config = crate::config::decode::decode("c.toml", text).unwrap();
    config.estate = estate(&[odoo.tenant.as_str()]);
    config.postgres = postgres.into_iter().collect();
    config.odoo = vec![odoo];
    let mut all = Ways::all(Mode::ReadOnly.may_observe().unwrap(), &config, ZOMBIE_AFTER);
    assert_eq!(all.len(), 1, "one source a tenant");
    all.remove(0)
}

async fn look(poll: &mut impl Poll) -> OdooFacts {
    match poll.poll().await.unwrap() {
        Facts::Odoo(facts) => facts,
        other => panic!("{other:?}"),
    }
}

/// The database of the lab whose Odoo is asked.
const DATABASE: &str = "t090";

/// A second user, who manages jobs and may read nothing else of what is asked.
const HALF: &str = r#"
half = one("res.users", [("login", "=", "half")], {"name": "Half", "login": "half"})
group.api_key_duration = 1
half.write({"group_ids": [(6, 0, [env.ref("base.group_portal").id, env.ref("queue_job.group_queue_job_manager").id])]})
key = env["res.users.apikeys"].with_user(half)._generate("rpc", "half", datetime.now() + timedelta(hours=1))
env.cr.commit()
print("HALF_KEY=" + key)
"#;

/// Runs docs/observe-user.py in a database of the lab: the keys of its user and of the one above.
fn keys(database: &str) -> Option<(String, String)> {
    let of = |name: &str| std::env::var(name).ok();
    let (python, path, odoo, conf) =
        (of("LAB_ODOO_PYTHON")?, of("LAB_ODOO_PYTHONPATH")?, of("LAB_ODOO_BIN")?, of("LAB_ODOO_CONF")?);
    let mut shell = Command::new(python)
        .args([&odoo, "shell", "-c", &conf, "-d", database, "--no-http"])
        .env("PYTHONPATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let script = [include_str!("../../../../docs/observe-user.py"), HALF].concat();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let said = shell.wait_with_output().unwrap();
    let out = String::from_utf8(said.stdout).unwrap();
    let key = |name: &str| {
        let line = out.lines().find_map(|l| l.split_once(name).map(|(_, key)| key.trim().to_owned()));
        line.unwrap_or_else(|| panic!("no {name}: {}", String::from_utf8_lossy(&said.stderr)))
    };
    Some((key("QUARTERDECK_OBSERVE_KEY="), key("HALF_KEY=")))
}

/// Jobs that no jobrunner is told of, and a cron that fails.
const JOBS: &str = "
SET session_replication_role = replica;
DELETE FROM queue_job WHERE channel LIKE 'root.api-%';
INSERT INTO queue_job (uuid, state, channel, date_created, eta, date_started, date_done)
SELECT gen_random_uuid(), v.state, v.channel, u - v.created * i, u - v.eta * i, u - v.started * i, u - v.done * i
FROM (SELECT now() AT TIME ZONE 'UTC' AS u, interval '1 minute' AS i) t, (VALUES
  ('pending', 'root.api-a', 20.0, NULL::float8, NULL::float8, NULL::float8), ('pending', 'root.api-a', 60, 30, NULL, NULL),
  ('pending', 'root.api-a', 90, -60, NULL, NULL), ('enqueued', 'root.api-a', 5, NULL, NULL, NULL),
  ('wait_dependencies', 'root.api-a', 500, NULL, NULL, NULL), ('started', 'root.api-a', 30, NULL, 14, NULL),
  ('started', 'root.api-a', 30, NULL, 16, NULL), ('failed', 'root.api-a', 30, NULL, NULL, NULL),
  ('done', 'root.api-a', 30, NULL, NULL, 9), ('done', 'root.api-a', 30, NULL, NULL, 11),
  ('cancelled', 'root.api-a', 30, NULL, NULL, 1), ('pending', 'root.api-b', 1, -10, NULL, NULL)
) AS v(state, channel, created, eta, started, done);
UPDATE ir_cron SET failure_count = 3 WHERE id = (SELECT max(id) FROM ir_cron WHERE active)";

const GONE: &str = "
SET session_replication_role = replica; DELETE FROM queue_job WHERE channel LIKE 'root.api-%';
UPDATE ir_cron SET failure_count = 0 WHERE failure_count = 3";

/// The channels of the jobs above, with their ages as far as they are the same to some seconds.
fn own(facts: &OdooFacts) -> Vec<Channel> {
    let all = facts.channels.iter().flatten().filter(|c| c.name.starts_with("root.api-"));
    all.map(|c| Channel { oldest_due_s: c.oldest_due_s.map(|s| (s / 60.0).round()), ..c.clone() }).collect()
}

#[tokio::test]
async fn a_real_odoo_tells_by_its_api_what_its_database_tells() {
    let (Some(url), Some(admin), Some(observe), Some(poor)) =
        (lab("LAB_ODOO_URL"), lab("LAB_PG_ADMIN_DSN"), lab("LAB_PG_OBSERVE_DSN"), lab("LAB_PG_POOR_DSN"))
    else {
        return;
    };
    let (key, half) = tokio::task::spawn_blocking(|| keys(DATABASE)).await.unwrap().unwrap();
    let mut admin: tokio_postgres::Config = admin.parse().unwrap();
    let (sql, connection) = admin.dbname(DATABASE).connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    sql.batch_execute(JOBS).await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let json2 = config(url, Some("t090.lab.test"), DATABASE, secret(dir.path(), "key", &key));
    let rpc = OdooApi { login: Some("quarterdeck-observe".into()), ..json2.clone() };
    let postgres = from_dsn(&observe, &dir);
    let database = Odoo::on(Mode::Live.may_observe().unwrap(), &postgres, &estate(&[DATABASE]), ZOMBIE_AFTER);
    let told = look(&mut { database }.remove(0)).await;
    let expected = Channel {
        name: "root.api-a".into(),
        pending: 3,
        enqueued: 1,
        started: 2,
        failed: 1,
        done_10m: 1,
        zombies: 1,
        oldest_due_s: Some(30.0),
    };
    let waits = Channel { name: "root.api-b".into(), pending: 1, ..Channel::default() };
    assert_eq!(own(&told), [expected, waits]);
    let mut older = api(&rpc);
    older.look(None).await.unwrap();
    older.open.as_mut().unwrap().session.as_mut().unwrap().pretend(18);
    for (name, mut api) in [("JSON-2", api(&json2)), ("JSON-RPC", api(&rpc)), ("JSON-RPC before 19", older)] {
        let seen = api.look(None).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(own(&seen), own(&told), "{name}");
        assert_eq!((&seen.version, seen.modules_pending), (&told.version, told.modules_pending), "{name}");
        let (seen, told) = (seen.crons.unwrap(), told.crons.clone().unwrap());
        assert_eq!((seen.active, seen.late, seen.failing), (told.active, told.late, told.failing), "{name}");
        assert!(told.failing > 0 && told.active > 10 && (seen.lateness_s - told.lateness_s).abs() < 60.0, "{name}");
    }

    // The key reads and does nothing else.
    let client = Client::open(&json2.door).await.unwrap();
    let asked = json!({ "domain": [["channel", "=", "root.api-b"]] });
    let ids = client.call("/json/2/queue.job/search", &asked, Duration::from_secs(10)).await.unwrap();
    let write = json!({ "ids": ids, "vals": { "state": "done" } });
    let refused = client.call("/json/2/queue.job/write", &write, Duration::from_secs(10)).await.unwrap_err().why();
    assert_eq!(refused.kind, FailureKind::Permission, "{refused}");

    // Rights on jobs alone: crons and modules are not known, and what would help is said.
    for login in [None, Some("half".to_owned())] {
        let door = Door { key: Some(secret(dir.path(), "half", &half)), ..json2.door.clone() };
        let seen = api(&OdooApi { door, login, ..json2.clone() }).look(None).await.unwrap();
        assert_eq!(own(&seen), own(&told));
        assert_eq!((&seen.crons, seen.modules_pending, seen.queue_unseen), (&None, None, false));
        assert_eq!(seen.unseen(), Some("crons can not be seen: a right is missing"));
        assert!(seen.missing.iter().any(|m| m.remedy.contains("read access to ir.cron in Odoo")), "{seen:?}");
    }
    for login in [None, Some("quarterdeck-observe".to_owned())] {
        let door = Door { key: Some(secret(dir.path(), "wrong", &"0".repeat(40))), ..json2.door.clone() };
        let failure = api(&OdooApi { door, login, ..json2.clone() }).look(None).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Authentication, "{failure}");
        assert!(!failure.message.contains("000"), "{failure}");
    }

    // A database that gives no login is replaced, under the same name.
    let poor = model::Postgres { id: "pg-a".into(), ..from_dsn(&poor, &dir) };
    let mut both = ways(Some(poor), json2);
    assert_eq!(both.spec().id.as_str(), "odoo/t090");
    let seen = look(&mut both).await;
    assert_eq!(own(&seen), own(&told));
    let said = &seen.missing.last().unwrap().remedy;
    assert!(said.starts_with("only the database tells them, and it refuses: ") && said.contains("GRANT"), "{said}");
    sql.batch_execute(GONE).await.unwrap();
}

/// What Odoo says of a model that the key's user may not read.
const DENIED: &str = r#"{"name": "odoo.exceptions.AccessError", "message": "You are not allowed to access 'X' (x) records.\n\nThis operation is allowed for"}"#;

/// Answers by model and method, after `Date` that a server sends.
fn answering(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> (Tiny, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&asked);
    let tiny = Tiny::http(move |first, _| {
        counts.fetch_add(1, Ordering::SeqCst);
        answer(first.split(' ').nth(1).unwrap().trim_start_matches("/json/2/"))
    });
    (tiny, asked)
}

/// An Odoo with one cron, and no job or one that waits.
fn healthy(path: &str, waits: bool) -> (u16, String) {
    let body = match path {
        "ir.module.module/search_read" => r#"[{"name": "base", "state": "to upgrade", "latest_version": "19.0.1.3"}]"#,
        "ir.cron/fields_get" => "{}",
        "ir.cron/search_read" => r#"[{"id": 7, "nextcall": "2026-01-01 00:00:00"}]"#,
        "queue.job/formatted_read_group" if waits => {
            r#"[{"channel": false, "state": "pending", "__count": 2, "date_created:min": "2026-01-01 00:00:00", "eta:min": false}]"#
        }
        _ => "[]",
    };
    (200, body.to_owned())
}

#[tokio::test]
async fn few_calls_suffice_and_what_is_not_installed_is_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let key = secret(dir.path(), "key", "k");
    let (tiny, asked) = answering(|path| healthy(path, true));
    let mut api = api(&config(tiny.url(), None, "t017", key.clone()));
    let facts = api.look(None).await.unwrap();
    let root = facts.channels.as_ref().unwrap();
    assert_eq!((root.len(), root[0].name.as_str(), root[0].pending), (1, "root", 2));
    assert!(root[0].oldest_due_s.unwrap() > 86_400.0);
    let crons = facts.crons.unwrap();
    assert_eq!((crons.active, crons.late, crons.latest.as_deref()), (1, 1, Some("cron 7")));
    assert_eq!((facts.modules_pending, asked.load(Ordering::SeqCst)), (Some(1), 8));

    let (tiny, asked) = answering(|path| match path {
        "queue.job/formatted_read_group" => (404, r#"{"message": "the model 'queue.job' does not exist"}"#.into()),
        path => healthy(path, false),
    });
    let mut without = super::Api::new(&config(tiny.url(), None, "t017", key), ZOMBIE_AFTER, Arc::clone(&api.turn));
    for calls in [4, 7] {
        let facts = without.look(None).await.unwrap();
        assert_eq!((facts.channels, facts.queue_unseen, facts.missing.len()), (None, false, 0));
        assert_eq!(asked.load(Ordering::SeqCst), calls, "which fields a cron has is asked once");
    }
}

#[tokio::test]
async fn missing_rights_broken_and_slow_servers_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let key = secret(dir.path(), "key", "k");
    let look_at = async |url: String| {
        api(&OdooApi { timeout: Duration::from_millis(400), ..config(url, None, "t017", key.clone()) }).look(None).await
    };
    let (half, _) = answering(|path| match path {
        "queue.job/formatted_read_group" => (403, DENIED.into()),
        path => healthy(path, false),
    });
    let facts = look_at(half.url()).await.unwrap();
    assert_eq!((facts.channels.is_none(), facts.unseen()), (true, Some("jobs can not be seen: a right is missing")));
    let gap = &facts.missing[0];
    assert_eq!(gap.disables, "the job channels of database t017");
    assert!(gap.remedy.starts_with("give the key's user read access to queue.job in Odoo"), "{}", gap.remedy);

    let failure = async |tiny: &Tiny| look_at(tiny.url()).await.unwrap_err();
    let nothing = failure(&answering(|_| (403, DENIED.into())).0).await;
    assert_eq!(nothing.kind, FailureKind::Permission);
    assert!(nothing.message.contains("may not read ir.module.module, ir.cron, queue.job; give"), "{nothing}");
    let proxy = failure(&answering(|_| (403, "<html>".into())).0).await;
    assert_eq!(proxy.kind, FailureKind::Permission);
    assert!(proxy.message.ends_with("answered HTTP 403"), "a proxy's no is no right of Odoo's: {proxy}");
    for (status, body) in [(200, "<html>"), (502, "<html>"), (200, "{}"), (500, r#"{"message": "boom"}"#)] {
        let broken = failure(&answering(move |_| (status, body.into())).0).await;
        assert_eq!(broken.kind, FailureKind::Protocol, "{broken}");
    }
    let older = failure(&answering(|_| (404, "<html>".into())).0).await;
    assert!(older.message.contains("answered HTTP 404; before Odoo 19 `login` is needed"), "{older}");
    let odd = failure(
        &answering(|path| match path {
            "ir.cron/search_read" => (200, r#"[{"nextcall": "soon"}]"#.into()),
            path => healthy(path, false),
        })
        .0,
    )
    .await;
    assert!(odd.message.ends_with("a time is `soon`"), "{odd}");
    let silent = Tiny::raw(|stream| {
        let _ = std::io::Read::read(&mut &stream, &mut [0; 4096]);
        std::thread::sleep(Duration::from_secs(5));
    });
    let from = Instant::now();
    let late = failure(&silent).await;
    assert_eq!(late.kind, FailureKind::Timeout, "{late}");
    assert!(from.elapsed() < Duration::from_secs(3));
    let gone = look_at("http://127.0.0.1:1".into()).await.unwrap_err();
    assert_eq!(gone.kind, FailureKind::Unreachable, "{gone}");
}

#[tokio::test]
async fn a_database_that_answers_is_asked_alone_and_one_that_is_gone_is_not_replaced() {
    let Some(server) = Server::start().await else { return };
    server.sql("postgres", "CREATE DATABASE t017").await;
    server.sql("t017", ODOO_19).await;
    let dir = tempfile::tempdir().unwrap();
    let (tiny, asked) = answering(|path| healthy(path, true));
    let odoo = config(tiny.url(), None, "t017", secret(dir.path(), "key", "k"));
    let mut both = ways(Some(server.config("postgres")), odoo.clone());
    assert_eq!(both.spec().interval, Duration::from_secs(30));
    let facts = look(&mut both).await;
    assert_eq!((facts.channels, asked.load(Ordering::SeqCst)), (Some(Vec::new()), 0));
    server.sql("postgres", "ALTER DATABASE t017 RENAME TO other").await;
    let gone = both.poll().await.unwrap_err();
    assert!(gone.message.contains("t017") && asked.load(Ordering::SeqCst) == 0, "{gone}");
    server.sql("postgres", "ALTER DATABASE other RENAME TO t017").await;

    // The login is refused: the API tells, until the database is asked again.
    server.role("poor", "").await;
    let mut refused = ways(Some(server.config("poor")), odoo);
    let facts = look(&mut refused).await;
    assert_eq!(facts.channels.unwrap()[0].pending, 2);
    until("nobody is left in the database", Duration::from_secs(5), async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'poor'";
        (server.connect("postgres").await.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    let calls = asked.load(Ordering::SeqCst);
    look(&mut refused).await;
    assert!(asked.load(Ordering::SeqCst) > calls);
}
