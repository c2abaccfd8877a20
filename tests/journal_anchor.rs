//! The journal's copies in real object storage: that they follow it, that nobody can take them back, and that they
//! tell of every rewriting. What no storage does, stubs on loopback do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod anchor_support;
mod journal_support;
#[path = "support/nobody.rs"]
mod nobody;

use anchor_support::*;
use journal_support::*;
use nobody::nobody;
use quarterdeck::attest::anchor::{self, Anchor, AnchorError, Anchored, Bucket, Log, Report, StorageError};
use quarterdeck::config::model::Anchor as Config;
use quarterdeck::journal::checkpoint::Checkpoint;
use quarterdeck::journal::key::VerifierKey;
use quarterdeck::journal::{Journal, OpenOptions};
use rusty_s3::Method;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Longest wait for the storage.
const SOON: Duration = Duration::from_secs(30);
const PREFIX: &str = "quarterdeck/test";
const COMPLIANCE: Option<(&str, u32)> = Some(("COMPLIANCE", 2));

fn start(config: &Config, journal: &Journal) -> Anchor {
    let (dir, ring) = (journal.dir().to_owned(), journal.ring().clone());
    Anchor::start(config.clone(), Log { dir, status: journal.watch(), ring }, wall())
}

async fn until(anchor: &Anchor, what: &str, holds: impl FnMut(&Anchored) -> bool) -> Anchored {
    let mut view = anchor.view();
    let found = tokio::time::timeout(SOON, view.wait_for(holds)).await.map(|seen| seen.unwrap().clone());
    found.unwrap_or_else(|_| panic!("not within {SOON:?}: {what}; {:?}", anchor.view().borrow()))
}

async fn all_copied(anchor: &Anchor, journal: &Journal) -> Anchored {
    let size = journal.status().size;
    until(anchor, "everything to be copied", |v| v.size == size && v.shipped == size && v.trouble.is_none()).await
}

async fn append(journal: &Journal, batches: usize) {
    for b in 0..batches {
        journal.append((0..=b % 3).map(|n| note(format!("batch {b} note {n} żółć"))).collect()).await.unwrap();
    }
}

async fn compared(config: &Config, dir: &Path, key: &VerifierKey) -> Report {
    let bucket = Bucket::connect(config, wall()).await.unwrap();
    anchor::compare(&bucket, &config.prefix, dir, key, true).await.unwrap()
}

/// A log with a few segments.
fn journal(dir: &Path) -> Journal {
    Journal::open(OpenOptions { segment_bytes: 4_000, ..options(dir) }).unwrap().0
}

fn in_two_threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn the_log_its_evidence_and_its_checkpoints_lie_in_the_storage_and_come_back_byte_for_byte() {
    let Some(storage) = Storage::open("anchor: copies") else { return };
    in_two_threads().block_on(async {
        let dir = fast_dir();
        let config = storage.config(&storage.bucket(COMPLIANCE).await);
        let log = journal(dir.path());
        append(&log, 5).await;
        let task = start(&config, &log);
        let seen = all_copied(&task, &log).await;
        assert!(seen.locked && seen.at.is_some(), "{seen:?}");
        std::fs::create_dir(dir.path().join("evidence")).unwrap();
        let proof = b"select pg_terminate_backend(4242)".repeat(10_000);
        let name = quarterdeck::domain::id::Digest::from_bytes(&Sha256::digest(&proof).into()).to_string();
        std::fs::write(dir.path().join("evidence").join(&name), &proof).unwrap();
        append(&log, 25).await;
        all_copied(&task, &log).await;
        // The writer closes, and the last record is copied before the task ends.
        log.close("2026-11-21T15:00:00Z".parse().unwrap()).await.unwrap();
        let (size, key) = (log.status().size, log.verifier().clone());
        drop(log);
        task.end().await;

        let report = compared(&config, dir.path(), &key).await;
        assert!(report.ok && report.rewritten.is_none() && report.foreign.is_empty(), "{report:?}");
        assert_eq!((report.records, report.covered), (size, size));
        assert!(report.copies.len() >= 3 && report.copies.iter().all(|c| c.locked && c.over == 0), "{report:?}");

        // A second opening goes on where the first one ended.
        let log = journal(dir.path());
        append(&log, 5).await;
        let task = start(&config, &log);
        all_copied(&task, &log).await;
        log.close("2026-11-21T16:00:00Z".parse().unwrap()).await.unwrap();
        task.end().await;
        drop(log);
        let lying: u64 =
            storage.versions(&config.bucket, &format!("{PREFIX}/records/")).await.iter().map(|v| v.size).sum();
        let written: u64 = segments(dir.path()).iter().map(|s| content(s).len() as u64).sum();
        assert_eq!(lying, written, "each byte once");

        let back = fast_dir();
        let to = back.path().join("log");
        let bucket = Bucket::connect(&config, wall()).await.unwrap();
        let fetched = anchor::fetch(&bucket, PREFIX, &to).await.unwrap();
        assert!(fetched.trouble.is_empty() && fetched.evidence == 1, "{fetched:?}");
        assert_eq!(fetched.segments, segments(dir.path()).len());
        for (ours, theirs) in segments(dir.path()).iter().zip(segments(&to)) {
            assert_eq!(content(ours), std::fs::read(theirs).unwrap());
        }
        assert_eq!(std::fs::read(to.join("evidence").join(&name)).unwrap(), proof);
        assert_verified(&to, &key);
        let refused = anchor::fetch(&bucket, PREFIX, &to).await.unwrap_err().to_string();
        assert!(refused.ends_with("is not empty; copies go into a new directory"), "{refused}");
    });
}

#[test]
fn what_is_put_over_a_copy_does_not_count_and_no_key_deletes_it() {
    let Some(storage) = Storage::open("anchor: attacker") else { return };
    in_two_threads().block_on(async {
        let dir = fast_dir();
        let config = storage.config(&storage.bucket(COMPLIANCE).await);
        let log = journal(dir.path());
        append(&log, 2).await;
        let task = start(&config, &log);
        all_copied(&task, &log).await;
        let size = log.status().size;
        let key = format!("{PREFIX}/checkpoint/{size:020}");
        task.end().await;

        // The holder of the log's key and of the storage's key forges a log of the same length and its checkpoint.
        let forged = fast_dir();
        copy(dir.path(), forged.path());
        std::fs::remove_dir_all(forged.path().join("records")).unwrap();
        std::fs::rename(forged.path().join("log.key"), forged.path().join("log.key.new")).unwrap();
        let other = forge(forged.path(), size);
        assert_verified(forged.path(), log.verifier());
        storage.overwrite(&config.bucket, &key, other.as_bytes()).await;
        storage.overwrite(&config.bucket, &key, b"rubbish").await;
        let (status, headers, _) = storage.ask(Method::Delete, &config.bucket, &key, &[], &[], b"").await;
        assert_eq!((status, headers.get("x-amz-delete-marker").unwrap().to_str().unwrap()), (204, "true"));
        let versions = storage.versions(&config.bucket, &key).await;
        assert_eq!(versions.iter().map(|v| v.marker).collect::<Vec<_>>(), [true, false, false, false]);
        for version in versions.iter().filter(|v| !v.marker) {
            for headers in [&[][..], &[("x-amz-bypass-governance-retention", "true")][..]] {
                let query = [("versionId", version.version.as_str())];
                let (status, _, body) = storage.ask(Method::Delete, &config.bucket, &key, &query, headers, b"").await;
                assert_eq!(status, 403, "{version:?}: {body}");
            }
        }

        let report = compared(&config, dir.path(), log.verifier()).await;
        assert!(report.ok, "{report:?}");
        let last = report.copies.last().unwrap();
        assert_eq!((last.size, last.over, last.agrees), (size, 3, Some(true)));
        let report = compared(&config, forged.path(), log.verifier()).await;
        assert!(!report.ok && report.rewritten.is_some(), "the forged log agrees with no copy: {report:?}");

        // The log goes on over it, and a stranger's object in the way is told of and passed over.
        let taken = format!("{PREFIX}/checkpoint/{:020}", size + 1);
        storage.overwrite(&config.bucket, &taken, b"mine").await;
        log.append(vec![note("one")]).await.unwrap();
        let task = start(&config, &log);
        let seen = until(&task, "the stranger to be told of", |v| v.trouble.is_some()).await;
        let said = seen.trouble.unwrap();
        assert!(said.contains(&taken) && said.contains("has not signed"), "{said}");
        log.append(vec![note("two")]).await.unwrap();
        all_copied(&task, &log).await;
        task.end().await;
        let report = compared(&config, dir.path(), log.verifier()).await;
        assert!(report.ok && report.foreign == [taken] && report.covered == size + 2, "{report:?}");
    });
}

/// Writes a log of exactly this many records with the key that lies there, and returns its checkpoint.
fn forge(dir: &Path, size: u64) -> String {
    use quarterdeck::journal::checkpoint::Checkpoint;
    use quarterdeck::journal::key::LogKey;
    use quarterdeck::journal::tree::Frontier;
    let secret = std::fs::read_to_string(dir.join("log.key.new")).unwrap();
    let key = LogKey::parse(&secret).unwrap();
    std::fs::create_dir(dir.join("records")).unwrap();
    // Published beside the records by now, or not yet.
    let _ = std::fs::remove_file(dir.join("checkpoint"));
    let (mut tree, mut lines) = (Frontier::default(), String::new());
    for seq in 0..size {
        let record = format!(
            r#"{{"actor":{{"console":null,"host":"h","uid":0,"user":"x","via":"cli"}},"body":{{"text":"it was not me"}},"environment":"production","incident":null,"kind":"note.added","mode":"live","seq":{seq},"time":"2026-11-21T14:43:07.000000Z","v":1}}"#
        );
        tree.append(record.as_bytes());
        lines.push_str(&format!("{record}\n"));
    }
    let note = Checkpoint { origin: ORIGIN.into(), size, root: tree.root() }.sign(&key).unwrap();
    let commit = serde_json::json!({ "checkpoint": note, "from": 0 });
    lines.push_str(&format!("{commit}\n"));
    std::fs::write(dir.join("records").join(format!("{:020}.jsonl", 0)), lines).unwrap();
    std::fs::rename(dir.join("log.key.new"), dir.join("log.key")).unwrap();
    note
}

#[test]
fn a_log_rewritten_or_rolled_back_by_its_key_holder_is_named_between_two_copies() {
    let Some(storage) = Storage::open("anchor: rewritten") else { return };
    in_two_threads().block_on(async {
        let (dir, fork) = (fast_dir(), fast_dir());
        let config = storage.config(&storage.bucket(COMPLIANCE).await);
        let log = journal(dir.path());
        append(&log, 4).await;
        let task = start(&config, &log);
        let kept = all_copied(&task, &log).await.size;
        copy(dir.path(), fork.path());
        log.append(vec![note("what really happened")]).await.unwrap();
        let first = all_copied(&task, &log).await.size;
        append(&log, 12).await;
        let last = all_copied(&task, &log).await.size;
        task.end().await;
        log.close("2026-11-21T15:00:00Z".parse().unwrap()).await.unwrap();
        drop(log);

        // Rolled back, and not yet grown again: the start says so and puts nothing.
        let forked = journal(fork.path());
        let size = forked.status().size;
        let task = start(&config, &forked);
        let seen = until(&task, "the roll-back", |v| v.trouble.is_some()).await;
        let said = format!("has a copy over {first} records and this log has {size}: the log was cut or rolled back");
        let bucket = Bucket::connect(&config, wall()).await.unwrap();
        let copies = anchor::fetch_checkpoints(&bucket, PREFIX, forked.ring()).await.unwrap().copies;
        let beyond = copies.iter().find(|c| c.size > size).unwrap().size;
        let said = said.replace(&format!("over {first} "), &format!("over {beyond} "));
        assert!(seen.trouble.as_ref().unwrap().contains(&said), "{seen:?} lacks {said}");
        task.end().await;
        let report = compared(&config, fork.path(), forked.verifier()).await;
        let found = report.rewritten.clone().unwrap();
        assert!(!report.ok && found.after == kept && found.before <= beyond, "{report:?}");

        // Grown beyond: the newest copy has another root.
        append(&forked, 20).await;
        assert!(forked.status().size > last);
        let task = start(&config, &forked);
        let seen = until(&task, "the fork", |v| v.trouble.is_some()).await;
        assert!(seen.trouble.as_ref().unwrap().contains("the log was rewritten"), "{seen:?}");
        // It stays so, and the writer is not hindered.
        append(&forked, 3).await;
        task.end().await;
        let before = copies.len();
        let copies = anchor::fetch_checkpoints(&bucket, PREFIX, forked.ring()).await.unwrap().copies;
        assert_eq!(copies.len(), before, "a log that contradicts its copies makes none");
        assert_verified(fork.path(), forked.verifier());
        let report = compared(&config, fork.path(), forked.verifier()).await;
        let found = report.rewritten.clone().unwrap();
        assert_eq!((found.after, found.before), (kept, first), "{report:?}");
        assert!(found.why.contains(&format!("records {kept} to {}", first - 1)), "{found:?}");
        // The true log still agrees with every copy.
        assert!(compared(&config, dir.path(), forked.verifier()).await.ok);
    });
}

#[test]
fn copies_by_each_key_of_the_log_count_and_those_by_a_stranger_are_told_of() {
    let Some(storage) = Storage::open("anchor: keys") else { return };
    in_two_threads().block_on(async {
        let dir = fast_dir();
        let config = storage.config(&storage.bucket(COMPLIANCE).await);
        let log = journal(dir.path());
        append(&log, 3).await;
        let task = start(&config, &log);
        all_copied(&task, &log).await;
        log.close("2026-11-21T15:00:00Z".parse().unwrap()).await.unwrap();
        task.end().await;
        drop(log);
        let rotated = Journal::rotate(&options(dir.path())).unwrap();
        let log = journal(dir.path());
        append(&log, 3).await;
        let task = start(&config, &log);
        all_copied(&task, &log).await;
        task.end().await;
        for key in [&rotated.old, &rotated.new] {
            let report = compared(&config, dir.path(), key).await;
            assert!(report.ok && report.covered == log.status().size, "{report:?}");
            assert!(report.copies.first().unwrap().size <= rotated.after, "a copy by the old key: {report:?}");
        }
        // A checkpoint of this name by a key that was never this log's: as when the rotation had been rewritten away.
        let size = log.status().size + 100;
        let other = quarterdeck::journal::key::LogKey::generate(ORIGIN).unwrap();
        let note = Checkpoint { origin: ORIGIN.into(), size, root: log.status().root }.sign(&other).unwrap();
        let key = format!("{PREFIX}/checkpoint/{size:020}");
        storage.overwrite(&config.bucket, &key, note.as_bytes()).await;
        let report = compared(&config, dir.path(), &rotated.new).await;
        assert!(!report.ok && report.strangers == [key] && report.rewritten.is_none(), "{report:?}");
    });
}

#[test]
fn every_gap_of_a_bucket_is_a_sentence() {
    let Some(storage) = Storage::open("anchor: gaps") else { return };
    in_two_threads().block_on(async {
        let probe = async |config: &Config, clock| {
            let bucket = Bucket::connect(config, clock).await.unwrap();
            anchor::probe(&bucket, config).await
        };
        let gaps = async |config: &Config| {
            let found = probe(config, wall()).await.unwrap();
            found.missing.into_iter().map(|m| m.disables).collect::<Vec<_>>()
        };
        let good = storage.config(&storage.bucket(COMPLIANCE).await);
        for _ in 0..2 {
            let found = probe(&good, wall()).await.unwrap();
            assert!(found.missing.is_empty() && found.words == "object lock COMPLIANCE, 2 days", "{found:?}");
        }
        let longer = Config { retention_days: 30, ..good.clone() };
        assert_eq!(gaps(&longer).await, ["copies are kept for 2 days, and retention_days asks for 30"]);
        let lax = storage.config(&storage.bucket(Some(("GOVERNANCE", 2))).await);
        assert_eq!(gaps(&lax).await, ["object lock is in the mode GOVERNANCE, which an administrator can lift"]);
        let plain = storage.config(&storage.bucket(None).await);
        let found = gaps(&plain).await;
        for (gap, begins) in found.iter().zip([
            "the key may delete what was put there",
            "object lock is off, so that whoever holds the key can remove",
            "no versions are kept, so that a copy can be overwritten",
        ]) {
            assert!(gap.starts_with(begins), "{found:?}");
        }
        assert_eq!(found.len(), 3, "{found:?}");
        let poor = storage.reader(&good.bucket);
        let found = gaps(&poor).await;
        assert!(
            found[0].starts_with("nothing can be copied there: putting an object is refused (AccessDenied"),
            "{found:?}"
        );
        assert!(found[1].starts_with("whether copies are locked can not be read (AccessDenied"), "{found:?}");

        // SeaweedFS takes what was signed in the future; what was signed too long ago it refuses.
        for seconds in [120, 3_600] {
            let said = probe(&good, std::sync::Arc::new(Skewed(seconds))).await.unwrap().gap().unwrap();
            let (ahead, words) = said.strip_prefix("this host's clock is ").unwrap().split_once(' ').unwrap();
            assert!(ahead.parse::<i64>().unwrap().abs_diff(seconds) < 30, "{said}");
            assert!(words.starts_with("s ahead of the storage's, which refuses from 900 s on; set"), "{said}");
        }
        let refused = probe(&good, std::sync::Arc::new(Skewed(-3_600))).await.unwrap_err();
        assert!(matches!(refused, AnchorError::Storage(StorageError::Clock { .. })), "{refused}");
        assert!(refused.to_string().ends_with(" s behind that of the storage; set the clock"), "{refused}");
        let absent = storage.config("no-such-bucket-here");
        let refused = probe(&absent, wall()).await.unwrap_err().to_string();
        assert!(refused.starts_with("there is no bucket no-such-bucket-here at http://127.0.0.1:"), "{refused}");
        let stranger = config(storage.url(), &good.bucket, "lab", "wrong");
        let found = gaps(&stranger).await;
        assert!(found.iter().any(|g| g.contains("SignatureDoesNotMatch")), "{found:?}");
    });
}

#[test]
fn a_key_that_may_only_read_is_said_and_compares_all_the_same() {
    let Some(storage) = Storage::open("anchor: reader") else { return };
    in_two_threads().block_on(async {
        let dir = fast_dir();
        let config = storage.config(&storage.bucket(COMPLIANCE).await);
        let log = journal(dir.path());
        append(&log, 3).await;
        let task = start(&config, &log);
        all_copied(&task, &log).await;
        task.end().await;
        let reader = storage.reader(&config.bucket);
        log.append(vec![note("one more")]).await.unwrap();
        let task = start(&reader, &log);
        let seen = until(&task, "the refusal", |v| v.trouble.is_some()).await;
        let said = seen.trouble.unwrap();
        assert!(said.contains("refuses putting") && said.contains("AccessDenied"), "{said}");
        assert!(!seen.locked);
        task.end().await;
        let report = compared(&reader, dir.path(), log.verifier()).await;
        assert!(report.ok && report.covered == log.status().size - 1, "{report:?}");
    });
}

#[test]
fn the_commands_say_what_the_library_finds() {
    let Some(storage) = Storage::open("anchor: commands") else { return };
    let runtime = in_two_threads();
    let (dir, cut) = (fast_dir(), fast_dir());
    let bucket = runtime.block_on(storage.bucket(COMPLIANCE));
    let mut anchored = storage.config(&bucket);
    anchored.prefix = "quarterdeck/shop".into();
    let log = journal(dir.path());
    let vkey = dir.path().join("kept.vkey");
    std::fs::write(&vkey, log.verifier().as_str()).unwrap();
    runtime.block_on(async {
        append(&log, 3).await;
        copy(dir.path(), cut.path());
        append(&log, 1).await;
        let task = start(&anchored, &log);
        all_copied(&task, &log).await;
        task.end().await;
    });
    let file = dir.path().join("config.toml");
    let text = format!(
        "[estate]\nname = \"shop\"\nenvironment = \"staging\"\n[journal]\ndir = \"{}\"\n[journal.anchor]\nendpoint = \"{}\"\n\
         bucket = \"{bucket}\"\naccess_key = \"env:ACCESS\"\nsecret_key = \"env:SECRET\"\nretention_days = 2\n",
        dir.path().display(),
        storage.url()
    );
    std::fs::write(&file, text).unwrap();
    let access = anchored.access_key.clone();
    let quarterdeck::config::model::SecretRef::Command(access) = access else { panic!() };
    let quarterdeck::config::model::SecretRef::Command(secret) = anchored.secret_key.clone() else { panic!() };
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
        command.arg("--config").arg(&file).args(args).env("ACCESS", &access[1]).env("SECRET", &secret[1]);
        command.env("HOME", dir.path()).env_remove("XDG_STATE_HOME").env_remove("XDG_CONFIG_HOME");
        let out = command.output().unwrap();
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        (out.status.code().unwrap(), text(&out.stdout), text(&out.stderr))
    };
    let key = vkey.display().to_string();
    let (code, out, err) = run(&["audit", "anchors", "--vkey", &key, "--format", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    assert_eq!((code, report["ok"].as_bool(), report["covered"].as_u64()), (0, Some(true), Some(log.status().size)));
    let (code, out, _) = run(&["audit", "anchors", "--list"]);
    assert_eq!(code, 3, "{out}");
    assert!(out.starts_with("the copies agree, key unpinned: quarterdeck/test") && out.contains("  yes\n"), "{out}");
    // The same as a part of a verification: of the log, and of one that was cut by somebody who holds its key.
    let verified = |log: &Path| {
        let log = log.display().to_string();
        let (code, out, err) =
            run(&["audit", "verify", "--journal", &log, "--vkey", &key, "--anchor", "--format", "json"]);
        (code, serde_json::from_str::<Value>(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}")))
    };
    let (code, report) = verified(dir.path());
    let custody = &report["custody"]["anchored"];
    let said = (code, report["verdict"].as_str(), custody["covered"].as_u64(), custody["unlocked"].as_u64());
    assert_eq!(said, (0, Some("verified"), Some(log.status().size), Some(0)), "{report}");
    let (code, report) = verified(cut.path());
    let why = report["first_bad"]["why"].as_str().unwrap();
    assert_eq!((code, report["verdict"].as_str()), (3, Some("damaged")), "{report}");
    assert!(why.contains("it was cut or rolled back"), "{why}");
    let (code, out, err) = run(&["doctor", "--format", "json"]);
    let said: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    let system = said["systems"].as_array().unwrap().iter().find(|s| s["kind"] == "anchor").unwrap();
    assert_eq!((system["health"].as_str(), system["reachable"].as_bool()), (Some("ok"), Some(true)), "{code} {system}");
    let to = dir.path().join("back");
    let (code, out, err) = run(&["audit", "anchors", "--fetch", &to.display().to_string()]);
    assert_eq!(code, 0, "{out}{err}");
    assert_verified(&to, log.verifier());
}

/// Answers each connection with what `answer` writes; says how many there were.
fn stub(answer: impl Fn(&mut TcpStream) + Send + 'static) -> (String, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = mpsc::channel();
    // It ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = sender.send(());
            answer(&mut stream);
        }
    });
    (url, asked)
}

fn answering(text: &'static [u8]) -> String {
    stub(move |stream| drop(stream.write_all(text))).0
}

#[test]
fn a_storage_that_is_gone_silent_or_mad_is_said_and_never_hinders_the_writer() {
    let gone = format!("http://127.0.0.1:{}", nobody());
    let html = b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 17:42:16 GMT\r\ncontent-length: 15\r\nconnection: close\r\n\r\n<html>hi</html>";
    let cases = [
        (gone, "no connection to http://127.0.0.1:"),
        (answering(b"\x00\x01\x02rubbish\r\n\r\n"), "does not speak HTTP as it should"),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"), "without a date"),
        (answering(html), "`html` in place of `ObjectLockConfiguration`"),
        (
            answering(b"HTTP/1.1 503 Slow Down\r\ndate: Sat, 21 Nov 2026 17:42:16 GMT\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
            "with HTTP 503",
        ),
    ];
    in_two_threads().block_on(async {
        for (url, words) in cases {
            let dir = fast_dir();
            let log = journal(dir.path());
            let task = start(&config(&url, "b", "a", "s"), &log);
            let seen = until(&task, words, |v| v.trouble.is_some()).await;
            assert!(seen.trouble.as_ref().unwrap().contains(words), "{seen:?} lacks {words}");
            assert_eq!((seen.size, seen.shipped, seen.locked), (0, 0, false));
            append(&log, 5).await;
            task.end().await;
        }
        let bad = Config {
            secret_key: quarterdeck::config::model::SecretRef::File("/no/such".into()),
            ..config("http://127.0.0.1:1", "b", "a", "s")
        };
        let dir = fast_dir();
        let log = journal(dir.path());
        let task = start(&bad, &log);
        let seen = until(&task, "the key", |v| v.trouble.is_some()).await;
        assert!(
            seen.trouble.as_ref().unwrap().starts_with("`secret_key` of [journal.anchor] can not be read"),
            "{seen:?}"
        );
        task.end().await;
    });
}

#[test]
fn a_storage_that_never_answers_keeps_neither_the_writer_nor_the_end_waiting() {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let (url, asked) = stub(move |_| {
        let _ = held.lock().unwrap().recv();
    });
    in_two_threads().block_on(async {
        let dir = fast_dir();
        let log = journal(dir.path());
        let task = start(&config(&url, "b", "a", "s"), &log);
        tokio::task::spawn_blocking(move || asked.recv_timeout(SOON).unwrap()).await.unwrap();
        append(&log, 30).await;
        let began = Instant::now();
        task.end().await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        log.close("2026-11-21T15:00:00Z".parse().unwrap()).await.unwrap();
    });
    drop(release);
}

#[test]
fn a_storage_that_comes_back_gets_what_it_missed() {
    let Some(storage) = Storage::open("anchor: comes back") else { return };
    in_two_threads().block_on(async {
        let dir = fast_dir();
        let bucket = storage.bucket(COMPLIANCE).await;
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let through = Config { endpoint: format!("http://{address}"), ..storage.config(&bucket) };
        let log = journal(dir.path());
        append(&log, 4).await;
        let task = start(&through, &log);
        until(&task, "the failure", |v| v.trouble.as_ref().is_some_and(|t| t.contains("no connection"))).await;
        // A wire to the storage, which takes signatures for the host and port that were asked for.
        let to = storage.url().strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind(address).unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&to) else { continue };
                let (mut a, mut b) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || drop(std::io::copy(&mut a, &mut b)));
                let (mut a, mut b) = (server, client);
                std::thread::spawn(move || drop(std::io::copy(&mut a, &mut b)));
            }
        });
        let seen = all_copied(&task, &log).await;
        assert!(seen.locked, "{seen:?}");
        task.end().await;
        assert!(compared(&storage.config(&bucket), dir.path(), log.verifier()).await.ok);
    });
}
