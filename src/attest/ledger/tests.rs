//! Against real servers: a primary and a synchronous standby that each test starts for itself.

use super::rig::{Bastion, ORIGIN, Pair, WRITER, append, assert_verified, close, setup_sql, until, wait};
use crate::journal::evidence;
use crate::journal::shared::{Database as _, LedgerError};
use crate::journal::verify::{self, Options, Verdict};
use crate::journal::{Journal, JournalError, Kind};
use crate::observe::postgres::testbed::PASSWORD;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn refusal(error: &JournalError) -> String {
    assert!(matches!(error, JournalError::Database { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_lies_in_the_database_and_verifies_there_and_in_the_copy() {
    let Some(pair) = Pair::start().await else { return };
    let bastion = Bastion::new("bastion-1");
    let journal = pair.open(&bastion);
    let key = journal.verifier().clone();
    for n in 0..5 {
        let records = (0..40).map(|m| bastion.note(format!("{n}.{m} {}", "x".repeat(200)))).collect();
        let committed = journal.append(records).await.unwrap();
        assert_eq!(committed[0].seq, 1 + 40 * n);
    }
    let rows = pair.primary.connect("postgres").await;
    let held: i64 = rows.query_one("SELECT count(*) FROM quarterdeck_journal.entry", &[]).await.unwrap().get(0);
    assert_eq!(held, 201);
    close(journal).await;
    assert!(std::fs::read_dir(bastion.dir().join("records")).unwrap().count() > 2, "several segments");
    assert_verified(&verify::verify(&bastion.dir(), &Options::against(&key)).unwrap());
    let report = pair.verify(&key);
    assert_verified(&report);
    assert_eq!(report.records, 202);

    // It goes on where it was.
    let journal = pair.open(&bastion);
    assert_eq!(append(&journal, bastion.note("again")).await.unwrap()[0].seq, 203);
    close(journal).await;
    assert_verified(&pair.verify(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_no_place_for_a_journal_is_refused_in_one_sentence() {
    let Some(pair) = Pair::bare().await else { return };
    let bastion = Bastion::new("bastion-1");
    pair.primary.sql("postgres", &format!("CREATE ROLE {WRITER} LOGIN PASSWORD '{PASSWORD}'")).await;
    let why = refusal(&pair.try_open(&bastion).unwrap_err());
    assert!(why.contains("it has no journal of this form") && why.contains("`quarterdeck audit database`"), "{why}");
    pair.set_up("quarterdeck/elsewhere");
    let why = refusal(&pair.try_open(&bastion).unwrap_err());
    assert!(why.contains("it holds the journal of `quarterdeck/elsewhere`, not of `quarterdeck/test`"), "{why}");
    pair.primary.sql("postgres", "DROP SCHEMA quarterdeck_journal CASCADE").await;
    pair.set_up(ORIGIN);
    // Twice changes nothing.
    pair.set_up(ORIGIN);

    for (line, sentence) in [
        ("synchronous_standby_names = ''", "its synchronous_standby_names is empty"),
        ("synchronous_commit = local", "its synchronous_commit is local"),
        ("synchronous_commit = remote_write", "its synchronous_commit is remote_write"),
        ("synchronous_commit = off", "its synchronous_commit is off"),
        ("default_transaction_isolation = 'repeatable read'", "its transaction_isolation is repeatable read"),
    ] {
        let (name, value) = line.split_once(" = ").unwrap();
        // For the login alone: that counts as much as the server's own.
        let role = if name == "synchronous_standby_names" { "SYSTEM" } else { "ROLE qd_bastion" };
        pair.primary.sql("postgres", &format!("ALTER {role} SET {name} = {value}")).await;
        pair.primary.sql("postgres", "SELECT pg_reload_conf()").await;
        if role == "SYSTEM" {
            // The command line of the test's server is stronger than its file.
            continue;
        }
        let why = refusal(&pair.try_open(&bastion).unwrap_err());
        assert!(why.contains(sentence), "{why}");
        pair.primary.sql("postgres", &format!("ALTER {role} RESET {name}")).await;
    }
    close(pair.open(&bastion)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_fsync_or_a_standby_nothing_is_written() {
    for (unsafe_setting, sentence) in [
        (&["fsync=off", "synchronous_standby_names=replica1"], "its fsync is off"),
        (&["fsync=on", "synchronous_standby_names="], "its synchronous_standby_names is empty"),
    ] {
        let Some(server) = crate::observe::postgres::testbed::Server::start_with(unsafe_setting).await else { return };
        // No standby is there to wait for.
        server.sql("postgres", &format!("SET synchronous_commit = local; {}", setup_sql(ORIGIN))).await;
        server
            .sql("postgres", &format!("SET synchronous_commit = local; ALTER ROLE {WRITER} PASSWORD '{PASSWORD}'"))
            .await;
        let mut client = server.connect_as(WRITER, "postgres").await;
        let asked = client.transaction().await.unwrap();
        let asked = asked.query("SELECT * FROM quarterdeck_journal.enter('a', 'quarterdeck/test', 1)", &[]).await;
        let why = asked.unwrap_err().as_db_error().unwrap().message().to_owned();
        assert!(why.contains(sentence), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_form_of_the_database_is_for_a_later_program() {
    let Some(pair) = Pair::start().await else { return };
    pair.primary
        .sql(
            "postgres",
            "ALTER TABLE quarterdeck_journal.log DISABLE TRIGGER ALL; UPDATE quarterdeck_journal.log SET format = 2",
        )
        .await;
    let why = refusal(&pair.try_open(&Bastion::new("bastion-1")).unwrap_err());
    assert!(why.contains("it has form 2 of a journal, and this quarterdeck writes form 1"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_does_not_answer_stops_everything_until_it_does() {
    let Some(mut pair) = Pair::start().await else { return };
    let bastion = Bastion::new("bastion-1");
    pair.timeout = Duration::from_millis(700);
    let journal = pair.open(&bastion);
    append(&journal, bastion.note("before")).await.unwrap();
    pair.standby.freeze();
    let why = append(&journal, bastion.note("meanwhile")).await.unwrap_err().to_string();
    assert!(why.contains("the journal takes nothing more: its database 127.0.0.1:"), "{why}");
    assert!(journal.status().broken.is_some());
    let begun = std::time::Instant::now();
    assert!(append(&journal, bastion.note("at once")).await.is_err());
    assert!(begun.elapsed() < Duration::from_millis(500), "nobody waits for a database that is out of reach");
    pair.standby.thaw();
    until("the journal is in order again", || journal.status().broken.is_none()).await;
    append(&journal, bastion.note("after")).await.unwrap();
    let key = journal.verifier().clone();
    close(journal).await;
    // The one whose answer was lost is in it, once: the standby has got it in the end.
    assert_eq!(bastion.notes(), ["before", "meanwhile", "after"]);
    assert_verified(&pair.verify(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_the_standby_that_somebody_cancels_is_no_acknowledgement() {
    let Some(mut pair) = Pair::start().await else { return };
    let bastion = Bastion::new("bastion-1");
    pair.timeout = Duration::from_secs(3);
    let journal = pair.open(&bastion);
    append(&journal, bastion.note("before")).await.unwrap();
    pair.standby.freeze();
    let append = tokio::spawn({
        let (journal, draft) = (journal.clone(), bastion.note("cancelled"));
        async move { journal.append(vec![draft]).await }
    });
    let waits = "SELECT count(pg_cancel_backend(pid)) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'qd_bastion'";
    pair.primary.until("postgres", waits).await;
    // Committed on the primary, and told with a warning: what asks again waits for the standby too.
    let seen = "SELECT count(*) > 0 FROM quarterdeck_journal.entry WHERE convert_from(leaf, 'UTF8') LIKE '%cancelled%'";
    pair.primary.until("postgres", seen).await;
    let why = append.await.unwrap().unwrap_err().to_string();
    assert!(why.contains("the journal takes nothing more"), "{why}");
    assert_eq!(bastion.notes(), ["before"]);
    pair.standby.thaw();
    until("the journal is in order again", || journal.status().broken.is_none()).await;
    assert_eq!(bastion.notes(), ["before", "cancelled"]);
    close(journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_cut_cost_no_record_and_write_none_twice() {
    let Some(pair) = Pair::start().await else { return };
    let bastion = Bastion::new("bastion-1");
    let journal = pair.open(&bastion);
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'qd_bastion'";
    let client = pair.primary.connect("postgres").await;
    let mut acknowledged = Vec::new();
    // Each round is cut a little later, so that cuts fall before, into and after what is sent.
    for round in 0..40 {
        let all = (0..3).map(|n| append(&journal, bastion.note(format!("{round}.{n}"))));
        let cutting = async {
            tokio::time::sleep(Duration::from_micros(250 * round)).await;
            client.query(cut, &[]).await.unwrap();
        };
        let (answers, ()) = futures::join!(futures::future::join_all(all), cutting);
        let texts = (0..3).map(|n| format!("{round}.{n}"));
        acknowledged.extend(texts.zip(answers).filter_map(|(text, answer)| answer.ok().map(|_| text)));
        until("the journal is in order again", || journal.status().broken.is_none()).await;
    }
    let key = journal.verifier().clone();
    close(journal).await;
    let notes = bastion.notes();
    assert!(acknowledged.len() > 60, "{acknowledged:?}");
    assert!(
        acknowledged.iter().all(|text| notes.iter().filter(|n| *n == text).count() == 1),
        "{acknowledged:?} {notes:?}"
    );
    let mut once = notes.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), notes.len(), "none twice");
    assert_verified(&pair.verify(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_only_grows_and_an_edit_with_its_triggers_off_is_found() {
    let Some(pair) = Pair::start().await else { return };
    let bastion = Bastion::new("bastion-1");
    let journal = pair.open(&bastion);
    let key = journal.verifier().clone();
    for n in 0..6 {
        append(&journal, bastion.note(format!("note {n}"))).await.unwrap();
    }
    close(journal).await;
    let said = |error: tokio_postgres::Error| error.as_db_error().unwrap().message().to_owned();
    let writer = pair.primary.connect_as(WRITER, "postgres").await;
    for statement in [
        "INSERT INTO quarterdeck_journal.entry (seq, leaf) VALUES (99, 'x')",
        "UPDATE quarterdeck_journal.entry SET leaf = 'x'",
        "DELETE FROM quarterdeck_journal.checkpoint",
        "TRUNCATE quarterdeck_journal.entry",
        "DELETE FROM quarterdeck_journal.evidence",
        "UPDATE quarterdeck_journal.writer SET epoch = 0",
        "SELECT quarterdeck_journal.lock()",
        "ALTER TABLE quarterdeck_journal.entry DISABLE TRIGGER ALL",
    ] {
        let why = said(writer.batch_execute(statement).await.unwrap_err());
        assert!(why.contains("permission denied") || why.contains("must be owner"), "{statement}: {why}");
    }
    let root = pair.primary.connect("postgres").await;
    root.batch_execute("SET session_replication_role = replica").await.unwrap();
    for statement in [
        "UPDATE quarterdeck_journal.entry SET leaf = 'x'",
        "DELETE FROM quarterdeck_journal.entry WHERE seq = 3",
        "TRUNCATE quarterdeck_journal.checkpoint",
    ] {
        assert!(
            said(root.batch_execute(statement).await.unwrap_err()).contains("the journal only grows"),
            "{statement}"
        );
    }
    // Nobody keeps a superuser from that; the tree does.
    let edits = [
        (
            "UPDATE quarterdeck_journal.entry SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'note 2', 'note 7'), 'UTF8') WHERE seq = 3",
            3,
        ),
        ("DELETE FROM quarterdeck_journal.entry WHERE seq = 4", 4),
        (
            "UPDATE quarterdeck_journal.checkpoint SET note = (SELECT note FROM quarterdeck_journal.checkpoint WHERE size = 2) WHERE size = 6",
            5,
        ),
    ];
    for (edit, seq) in edits {
        let statement = format!(
            "BEGIN; CREATE TABLE IF NOT EXISTS e AS TABLE quarterdeck_journal.entry; CREATE TABLE IF NOT EXISTS c AS TABLE quarterdeck_journal.checkpoint;
             ALTER TABLE quarterdeck_journal.entry DISABLE TRIGGER ALL; ALTER TABLE quarterdeck_journal.checkpoint DISABLE TRIGGER ALL; {edit}; COMMIT"
        );
        root.batch_execute(&statement).await.unwrap();
        let report = pair.verify(&key);
        assert_eq!(report.verdict, Verdict::Damaged, "{edit}");
        let bad = report.first_bad.unwrap();
        assert!(bad.seq <= seq && seq <= bad.through, "{edit}: {bad}");
        root.batch_execute(
            "DELETE FROM quarterdeck_journal.entry; INSERT INTO quarterdeck_journal.entry (seq, leaf) SELECT seq, leaf FROM e;
             DELETE FROM quarterdeck_journal.checkpoint; INSERT INTO quarterdeck_journal.checkpoint TABLE c",
        )
        .await
        .unwrap();
        assert_verified(&pair.verify(&key));
    }
    // A bastion that has seen more, or something else, does not go on.
    root.batch_execute("DELETE FROM quarterdeck_journal.checkpoint WHERE size > 4").await.unwrap();
    assert!(matches!(pair.try_open(&bastion).unwrap_err(), JournalError::Shrunk { found: 4, seen: 8, .. }));
    root.batch_execute(
        "DELETE FROM quarterdeck_journal.checkpoint; INSERT INTO quarterdeck_journal.checkpoint TABLE c;
         UPDATE quarterdeck_journal.checkpoint SET note = 'other' WHERE size = 8",
    )
    .await
    .unwrap();
    assert!(pair.try_open(&bastion).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_and_a_log_of_its_own_are_not_taken_for_each_other() {
    let Some(pair) = Pair::start().await else { return };
    let bastion = Bastion::new("bastion-1");
    close(pair.open(&bastion)).await;
    let error = Journal::open(bastion.options()).unwrap_err();
    assert!(matches!(error, JournalError::IsACopy { .. }), "{error}");
    assert!(error.to_string().contains("name that in [journal.postgres]"));
    assert!(matches!(wait(|| Journal::rotate(&pair.options(&bastion))), Err(JournalError::OfSeveral { .. })));
    assert!(matches!(Journal::rotate(&bastion.options()), Err(JournalError::IsACopy { .. })));
    assert!(matches!(wait(|| Journal::begin(pair.options(&bastion))), Err(JournalError::NotNew { .. })));

    let own = Bastion::new("bastion-2");
    let (journal, _) = Journal::open(own.options()).unwrap();
    close(journal).await;
    let error = pair.try_open(&own).unwrap_err();
    assert!(matches!(error, JournalError::OwnLog { .. }), "{error}");
    // The database has a journal, and this bastion no key for it.
    let error = pair.try_open(&Bastion::new("bastion-3")).unwrap_err();
    assert!(matches!(error, JournalError::SharedKeyMissing { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_on_three_bastions_write_one_log_and_each_has_all_of_it() {
    let Some(pair) = Pair::start().await else { return };
    let first = Bastion::new("bastion-1");
    let journal = pair.open(&first);
    let key = journal.verifier().clone();
    let bastions = [first.beside("bastion-2"), first.beside("bastion-3"), first];
    let journals = [pair.open(&bastions[0]), pair.open(&bastions[1]), journal];
    let mut arrivals: Vec<_> = journals.iter().map(|j| j.arrivals().unwrap()).collect();
    let mut tasks = Vec::new();
    for (bastion, journal) in bastions.iter().zip(&journals) {
        let notes: Vec<_> = (0..40).map(|n| bastion.note(format!("{} {n}", bastion.options().actor.host))).collect();
        let journal = journal.clone();
        tasks.push(tokio::spawn(async move {
            for note in notes {
                journal.append(vec![note]).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let size = 3 + 120;
    for journal in &journals {
        until("all have all", || journal.status().size == size).await;
    }
    // What each follows is the log, in its order.
    for arrivals in &mut arrivals {
        let mut seqs = Vec::new();
        while let Ok(record) = arrivals.try_recv() {
            seqs.push(record.seq);
        }
        let from = seqs[0];
        assert_eq!(seqs, (from..size).collect::<Vec<_>>());
    }
    for journal in journals {
        close(journal).await;
    }
    let all = pair.verify(&key);
    assert_verified(&all);
    assert_eq!(all.records, size + 3);
    for bastion in &bastions {
        assert_verified(&verify::verify(&bastion.dir(), &Options::against(&key)).unwrap());
        assert_eq!(bastion.notes().len(), 120);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_goes_where_the_records_go() {
    let Some(pair) = Pair::start().await else { return };
    let first = Bastion::new("bastion-1");
    let journal = pair.open(&first);
    let key = journal.verifier().clone();
    let second = first.beside("bastion-2");
    let other = pair.open(&second);
    let sha256 = evidence::put(&first.dir(), b"the blocking tree").unwrap();
    let body = evidence::captured(&sha256, 17, "locks", "text/plain");
    append(&journal, first.draft(Kind::EvidenceCaptured, body)).await.unwrap();
    until("the other has the record", || other.status().size == journal.status().size).await;
    assert_eq!(evidence::open(&second.dir(), &sha256).unwrap().unwrap(), b"the blocking tree");
    assert_eq!(pair.verify(&key).evidence.files, 1);
    append(&other, second.draft(Kind::Redaction, json!({ "sha256": sha256, "reason": "a name in it" }))).await.unwrap();
    until("the first has the record", || other.status().size == journal.status().size).await;
    assert_eq!(evidence::open(&first.dir(), &sha256).unwrap(), None);
    let mut ledger = pair.database().session(Arc::new(|| {}));
    assert_eq!(wait(|| ledger.kept(&sha256)).unwrap(), None);
    close(journal).await;
    close(other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standby_takes_over_and_nothing_that_was_acknowledged_is_lost() {
    let Some(mut pair) = Pair::start().await else { return };
    pair.timeout = Duration::from_secs(2);
    let bastion = Bastion::new("bastion-1");
    let journal = pair.open(&bastion);
    let key = journal.verifier().clone();
    let mut acknowledged = Vec::new();
    for n in 0..20 {
        append(&journal, bastion.note(n)).await.unwrap();
        acknowledged.push(n.to_string());
    }
    pair.primary.kill();
    let why = append(&journal, bastion.note("nobody")).await.unwrap_err().to_string();
    assert!(why.contains("is a standby, which takes no writes"), "{why}");
    pair.fail_over().await;
    until("the journal is in order again", || journal.status().broken.is_none()).await;
    append(&journal, bastion.note("after")).await.unwrap();
    acknowledged.push("after".to_owned());
    close(journal).await;
    assert_eq!(bastion.notes(), acknowledged);
    assert_verified(&pair.verify(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_engine_leads_and_what_another_has_taken_over_it_can_not_write() {
    let Some(mut pair) = Pair::start().await else { return };
    pair.lease = Some(Duration::from_secs(1));
    let first = Bastion::new("bastion-1");
    let journal = pair.open(&first);
    // One machine has one clock.
    assert!(journal.ahead().await.unwrap().is_zero());
    let second = first.beside("bastion-2");
    let other = pair.open(&second);
    let started = |bastion: &Bastion, n: u32| bastion.draft(Kind::StepStarted, json!({ "run": "RUN-1", "step": n }));
    let error = append(&journal, started(&first, 1)).await.unwrap_err();
    assert!(matches!(&error, JournalError::NotLed { name } if name == "INC-42"), "{error}");
    journal.lead("INC-42").await.unwrap();
    assert!(append(&journal, started(&first, 1)).await.is_err(), "it has to say so first");
    let taken = |bastion: &Bastion| bastion.draft(Kind::LeadTaken, json!({ "what": "INC-42" }));
    append(&journal, taken(&first)).await.unwrap();
    assert!(journal.leads("INC-42") && !other.leads("INC-42"));
    append(&journal, started(&first, 1)).await.unwrap();
    let error = other.lead("INC-42").await.unwrap_err();
    assert!(matches!(&error, JournalError::Led { holder, .. } if holder.starts_with("bastion-1-")), "{error}");
    // Everybody may write notes, and lead something else.
    append(&other, second.note("seen")).await.unwrap();
    other.lead("INC-7").await.unwrap();
    // The first one is away for longer than its lease.
    until("its lease is over", || !journal.leads("INC-42")).await;
    let mut led = other.lead("INC-42").await;
    while led.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        led = other.lead("INC-42").await;
    }
    append(&other, taken(&second)).await.unwrap();
    append(&other, started(&second, 2)).await.unwrap();
    let together = journal.append(vec![first.note("with it"), started(&first, 3)]).await.unwrap_err();
    assert!(matches!(together, JournalError::NotLed { .. }), "{together}");
    append(&journal, first.note("alone")).await.unwrap();
    assert_eq!(journal.number("run", 5).await.unwrap(), 5);
    assert_eq!(other.number("run", 5).await.unwrap(), 6);
    assert_eq!(other.number("incident", 1).await.unwrap(), 1);
    // Who ends in good order leaves nobody waiting.
    close(other).await;
    journal.lead("INC-7").await.unwrap();
    close(journal).await;
    assert_eq!(first.notes(), ["seen", "alone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_thought_dead_can_not_append_any_more() {
    let Some(pair) = Pair::start().await else { return };
    let bastion = Bastion::new("bastion-1");
    close(pair.open(&bastion)).await;
    let (mut old, mut new) = (pair.database().session(Arc::new(|| {})), pair.database().session(Arc::new(|| {})));
    wait(|| {
        old.enter("b", ORIGIN).unwrap();
        old.settle().unwrap();
        new.enter("b", ORIGIN).unwrap();
        let lost = old.settle().unwrap_err();
        assert!(
            matches!(&lost, LedgerError::Lost(why) if why.contains("a later session of b has taken over")),
            "{lost}"
        );
        new.settle().unwrap();
        drop((old, new));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_has_expired_is_said_and_nothing_is_written() {
    let Some(mut pair) = Pair::start().await else { return };
    pair.timeout = Duration::from_secs(2);
    let bastion = Bastion::new("bastion-1");
    let journal = pair.open(&bastion);
    pair.primary.sql("postgres", "ALTER ROLE qd_bastion PASSWORD 'changed'").await;
    pair.primary
        .sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'qd_bastion'")
        .await;
    let why = append(&journal, bastion.note("in the middle")).await.unwrap_err().to_string();
    assert!(why.contains("password authentication failed"), "{why}");
    pair.password().await;
    until("the journal is in order again", || journal.status().broken.is_none()).await;
    append(&journal, bastion.note("later")).await.unwrap();
    close(journal).await;
    assert_eq!(bastion.notes(), ["later"]);
}
