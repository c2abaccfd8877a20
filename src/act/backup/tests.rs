//! A real pgBackRest on a PostgreSQL of the test's own: checked, backed up, restored aside; then without its repository.

use super::*;
use crate::act::postgres::tests::{done, execute, failed, prepare};
use crate::domain::mode::Mode;
use crate::domain::world::World;
use crate::observe::http::rig::{program, skip};
use crate::observe::postgres::testbed::{Server, estate, unprivileged};
use std::time::Duration;

/// The words that start it as whom the server runs as.
fn command(program: &Path) -> Vec<String> {
    let program = program.display().to_string();
    match unprivileged() {
        Some((user, group)) => {
            vec![
                "setpriv".into(),
                format!("--reuid={user}"),
                format!("--regid={group}"),
                "--clear-groups".into(),
                program,
            ]
        }
        None => vec![program],
    }
}

#[tokio::test]
async fn a_backup_is_checked_taken_and_restored_aside() {
    let Some(program) = program("pgbackrest") else {
        return skip("a_backup_is_checked", "there is no pgbackrest on the PATH");
    };
    let settings = &["archive_mode=on", "unix_socket_directories=/tmp", "archive_timeout=0"];
    let Some(server) = Server::start_with(settings).await else { return };
    let base = server.dir.path();
    let trust = std::fs::read_to_string(base.join("data/pg_hba.conf")).unwrap();
    std::fs::write(base.join("data/pg_hba.conf"), format!("local all all trust\n{trust}")).unwrap();
    let own = |name: &str| {
        let path = base.join(name);
        std::fs::create_dir(&path).unwrap();
        if let Some((user, group)) = unprivileged() {
            std::os::unix::fs::chown(&path, Some(user), Some(group)).unwrap();
        }
        path
    };
    let (repo, logs, spool, aside) = (own("repo"), own("logs"), own("spool"), own("aside"));
    let config = base.join("pgbackrest.conf");
    let text = format!(
        "[global]\nrepo1-path={}\nlog-path={}\nspool-path={}\nlock-path={}\nrepo1-retention-full=2\nstart-fast=y\n\
         [main]\npg1-path={}\npg1-port={}\npg1-socket-path=/tmp\npg1-user=postgres\n",
        repo.display(),
        logs.display(),
        spool.display(),
        spool.display(),
        base.join("data").display(),
        server.port
    );
    std::fs::write(&config, text).unwrap();
    let push = format!(
        "archive_command = '{} --config={} --stanza=main archive-push %p'",
        program.display(),
        config.display()
    );
    server.configure(&push).await;
    let of = Pgbackrest {
        id: "backup-a".into(),
        stanza: "main".into(),
        command: command(&program),
        config: Some(config.clone()),
        interval: Duration::from_mins(2),
        restore_dir: Some(aside.clone()),
    };
    let created = run(&argv(&of, "stanza-create", &[]), Duration::from_mins(1), OUTPUT).await.unwrap();
    assert!(created.status.success(), "{}", crate::observe::process::said("stanza-create", &created));

    let mut observer = crate::observe::pgbackrest::PgbackrestObserver::new(Mode::Live.may_observe().unwrap(), &of);
    let mut seen = async || {
        let answer = crate::observe::poll::Poll::poll(&mut observer).await;
        let Ok(crate::domain::facts::Facts::Measured(facts)) = answer else { panic!("{answer:?}") };
        let of = |signal: &str| facts.readings.iter().find(|r| r.signal == signal).map(|r| r.value);
        (of("backup.age"), of("backup.kept"))
    };
    assert_eq!(seen().await, (None, Some(0.0)), "without a backup its age is not known");
    let all = crate::act::Verbs::new(verbs(Mode::Live.may_act().unwrap(), std::slice::from_ref(&of)));
    let verb = |name: &str| all.get(name).unwrap().clone();
    let world = World::new(Arc::new(estate(&["t017"])), [], jiff::Timestamp::now());
    let list = [("backup", json!("backup-a"))];
    let restore = verb("backup.restore_aside");
    let place = [("backup", json!("backup-a")), ("into", json!("try-1"))];
    assert!(prepare(&*restore, &world, &place).await.unwrap_err().message.contains("has no backup"));
    let patiently = |request: &Request| {
        let request = request.clone();
        let verb = verb(&request.verb);
        async move { verb.execute(crate::act::postgres::tests::permit(&request, Duration::from_mins(2))).await }
    };

    let check = verb("backup.pgbackrest_check");
    let request = prepare(&*check, &world, &list).await.unwrap();
    assert!(check.dry_run(&request, None).await.unwrap().contains("no backup"));
    let (result, _) = done(patiently(&request).await);
    assert_eq!(result["code"], 0);

    let backup = verb("backup.pgbackrest_backup");
    let request = prepare(&*backup, &world, &[list[0].clone(), ("type", json!("full"))]).await.unwrap();
    assert!(request.target.object.ends_with("newest before: none yet"), "{}", request.target.object);
    assert!(matches!(backup.reconcile(&request).await, Reconciled::NoEffect { .. }));
    let (result, summary) = done(patiently(&request).await);
    let label = result["newest"].as_str().unwrap().to_owned();
    assert!(label.ends_with('F') && summary.contains("1 backups, the newest"), "{summary}");
    assert!(matches!(backup.reconcile(&request).await, Reconciled::TookEffect { .. }));
    let shows = verb("backup.pgbackrest_info");
    let (result, _) = done(shows.look(&prepare(&*shows, &world, &list).await.unwrap()).await);
    assert_eq!(result["backup"][0]["label"], label.as_str());
    let (age, kept) = seen().await;
    assert!(age.is_some_and(|a| a < 300.0) && kept == Some(1.0), "{age:?}, {kept:?}");

    let request = prepare(&*restore, &world, &place).await.unwrap();
    assert!(matches!(restore.reconcile(&request).await, Reconciled::NoEffect { .. }));
    assert!(restore.dry_run(&request, None).await.unwrap().contains("--pg1-path="));
    done(patiently(&request).await);
    assert!(aside.join("try-1/PG_VERSION").is_file() && aside.join("try-1/recovery.signal").is_file());
    assert!(matches!(restore.reconcile(&request).await, Reconciled::Undecided { .. }));
    // A second time the directory is not empty: pgBackRest itself refuses.
    assert!(restore.dry_run(&request, None).await.unwrap_err().message.contains("holds a cluster already"));
    let again = patiently(&request).await;
    assert!(matches!(&again, Outcome::Unknown { why } if why.message.contains("restore")), "{again:?}");
    for (name, value, words) in [
        ("into", "../data", "is no name of a directory"),
        ("target_time", "yesterday", "no moment such as"),
        ("target_time", "2999-01-01T00:00:00Z", "lies in the future"),
        ("set", "a b", "is no label"),
    ] {
        let mut args = vec![("backup", json!("backup-a")), ("into", json!("try-2"))];
        args.retain(|(n, _)| *n != name);
        args.push((name, json!(value)));
        let said = prepare(&*restore, &world, &args).await.unwrap_err().message;
        assert!(said.contains(words), "{said}");
    }
    let mut other = request.clone();
    other.operation =
        Operation::Command { argv: vec!["rm".into(), "--stanza=main".into(), "restore".into()], sha256: String::new() };
    assert!(failed(execute(&*restore, &other).await).message.contains("refused"));

    // It dies in the middle: before its work, or when that is done and nobody has heard of it.
    let gate = Gate::new(base);
    let held = Pgbackrest { command: gate.command(&of.command), ..of.clone() };
    let all = crate::act::Verbs::new(verbs(Mode::Live.may_act().unwrap(), &[held]));
    let dies = async |place: &str, request: &Request| {
        gate.close(place);
        let verb = all.get(&request.verb).unwrap().clone();
        let outcome = verb.execute(crate::act::postgres::tests::permit(request, Duration::from_mins(2))).await;
        assert!(matches!(&outcome, Outcome::Unknown { why } if why.message.contains("signal: 9")), "{outcome:?}");
        let found = verb.reconcile(request).await;
        gate.open();
        found
    };
    // A check has one segment archived, as the server counts; pgBackRest itself notes each restore.
    let archived = async || {
        let counted = "SELECT archived_count FROM pg_stat_archiver";
        server.connect("postgres").await.query_one_scalar::<i64, _>(counted, &[]).await.unwrap()
    };
    let restored = || {
        let log = std::fs::read_to_string(logs.join("main-restore.log")).unwrap_or_default();
        log.matches("restore command end: completed successfully").count()
    };
    let request = prepare(&**all.get("backup.pgbackrest_check").unwrap(), &world, &list).await.unwrap();
    for (place, done) in [("before", 0), ("after", 1)] {
        let before = archived().await;
        let found = dies(place, &request).await;
        assert!(matches!(&found, Reconciled::Undecided { why } if why.contains("may be run again")), "{found:?}");
        assert_eq!(archived().await - before, done, "{place}");
    }
    let before = restored();
    let place = [("backup", json!("backup-a")), ("into", json!("try-3"))];
    let request = prepare(&**all.get("backup.restore_aside").unwrap(), &world, &place).await.unwrap();
    let found = dies("before", &request).await;
    assert!(matches!(found, Reconciled::NoEffect { .. }), "{found:?}");
    assert_eq!((restored() - before, aside.join("try-3").exists()), (0, false));
    let kept = dies("after", &request).await;
    assert!(matches!(&kept, Reconciled::Undecided { why } if why.contains("whether it is whole")), "{kept:?}");
    assert_eq!(restored() - before, 1);
    assert!(!matches!(patiently(&request).await, Outcome::Done { .. }), "into what is there nothing is restored");
    assert_eq!(restored() - before, 1);

    // The server is gone in between: nothing can be checked.
    drop(server);
    let gone = patiently(&prepare_gone(&request, &check)).await;
    assert!(matches!(gone, Outcome::Unknown { .. } | Outcome::Failed { .. }), "{gone:?}");
}

/// A script that does a program's work, and dies before it or after it where it is told to; looks it leaves alone.
struct Gate(std::path::PathBuf);

impl Gate {
    fn new(base: &Path) -> Self {
        let dir = base.join("gate");
        std::fs::create_dir(&dir).unwrap();
        let script = "for last in \"$@\"; do :; done\n[ \"$last\" = info ] && exec \"$@\"\n\
                      [ -e DIR/before ] && kill -9 $$\n\"$@\"\ncode=$?\n[ -e DIR/after ] && kill -9 $$\nexit $code\n";
        std::fs::write(dir.join("run"), script.replace("DIR", &dir.display().to_string())).unwrap();
        Self(dir)
    }

    /// The words that start these words in it.
    fn command(&self, words: &[String]) -> Vec<String> {
        let script = self.0.join("run").display().to_string();
        ["sh".to_owned(), script].into_iter().chain(words.iter().cloned()).collect()
    }

    fn open(&self) {
        for place in ["before", "after"] {
            let _ = std::fs::remove_file(self.0.join(place));
        }
    }

    /// From here on it dies there.
    fn close(&self, place: &str) {
        self.open();
        std::fs::write(self.0.join(place), "").unwrap();
    }
}

/// The check as it was rendered before.
fn prepare_gone(request: &Request, check: &Arc<DynVerb>) -> Request {
    let mut request = request.clone();
    request.verb = check.spec().name.to_owned();
    if let Operation::Command { argv, .. } = &mut request.operation {
        argv.retain(|w| !w.starts_with("--pg1-path=") && !w.starts_with("--archive-mode"));
        if let Some(last) = argv.last_mut() {
            *last = "check".into();
        }
    }
    request
}

#[test]
fn the_lock_of_a_backup_is_read_and_what_does_not_say_is_none() {
    assert!(is_locked(&json!({ "status": { "lock": { "backup": { "held": true } } } })));
    for info in [json!({ "status": { "lock": { "backup": { "held": false } } } }), json!({}), Value::Null] {
        assert!(!is_locked(&info), "{info}");
    }
}
