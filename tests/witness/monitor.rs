//! `audit monitor` on exported logs behind a real HTTP server.

use super::journal_support::*;
use super::support::*;
use jiff::{SignedDuration, Timestamp};
use quarterdeck::attest::monitor::{Alert, Memory, Watch, Wrong, look};
use quarterdeck::attest::served::Served;
use quarterdeck::journal::checkpoint::Checkpoint;
use quarterdeck::journal::key::{LogKey, VerifierKey};
use quarterdeck::journal::{Draft, Journal, Kind, export};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A static file server whose root can be changed, as a mirror that is swapped would be.
pub struct Site {
    pub url: String,
    root: Arc<Mutex<PathBuf>>,
}

impl Site {
    pub fn of(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/log/", listener.local_addr().unwrap());
        let root = Arc::new(Mutex::new(root.to_owned()));
        let served = root.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let root = served.lock().unwrap().clone();
                answer(stream.unwrap(), &root);
            }
        });
        Self { url, root }
    }

    fn show(&self, root: &Path) {
        root.clone_into(&mut self.root.lock().unwrap());
    }
}

/// One request of one connection.
fn answer(mut stream: TcpStream, root: &Path) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    lines.map_while(Result::ok).take_while(|l| !l.is_empty()).for_each(drop);
    let path = first.split(' ').nth(1).and_then(|p| p.strip_prefix("/log/")).unwrap_or("none").to_owned();
    let (status, body) = match std::fs::read(root.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", b"no".to_vec()),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    // A client that has gone needs no answer.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

pub fn watch(key: &VerifierKey) -> Watch {
    let (stall, uncosigned) = (Duration::from_mins(15), Duration::from_mins(10));
    Watch { key: key.clone(), witnesses: vec![], stall, uncosigned }
}

/// Time of the records that these tests write.
fn then() -> Timestamp {
    options(Path::new("/")).time
}

pub fn later(seconds: i64) -> Timestamp {
    then() + SignedDuration::from_secs(seconds)
}

pub fn write(journal: &Journal, count: usize) {
    journal.append_blocking((0..count).map(note).collect()).unwrap();
}

pub fn words(alerts: &[Alert]) -> Vec<&'static str> {
    alerts.iter().map(|a| a.alert.word()).collect()
}

/// Looks, and expects nothing to be wrong.
pub fn calm(watch: &Watch, served: &Served, memory: Option<Memory>) -> Memory {
    let (memory, alerts) = look(watch, served, memory, later(10));
    assert_eq!(alerts, []);
    memory.unwrap()
}

pub fn size(memory: &Memory, key: &VerifierKey) -> u64 {
    Checkpoint::open_cosigned(&memory.note, key).unwrap().size
}

#[test]
fn a_growing_log_is_calm_and_a_broken_glass_is_told_once() {
    let (dir, out) = (fast_dir(), fast_dir());
    let (journal, _) = open(dir.path());
    let key = journal.verifier().clone();
    let watch = watch(&key);
    let site = Site::of(out.path());
    let served = Served::remote(&site.url).unwrap();
    let mut memory = None;
    for count in [1, 3, 250, 1, 300, 700] {
        write(&journal, count);
        export(dir.path(), out.path(), &key).unwrap();
        let seen = calm(&watch, &served, memory);
        assert_eq!((size(&seen, &key), seen.read), (journal.status().size, journal.status().size));
        memory = Some(seen);
    }
    let glass = draft(Kind::GlassBroken, json!({ "reason": "the \u{1b}[31mapprover is asleep", "until": "later" }));
    let broken = journal.append_blocking(vec![glass]).unwrap()[0].record.seq;
    write(&journal, 2);
    export(dir.path(), out.path(), &key).unwrap();
    let (seen, alerts) = look(&watch, &served, memory, later(10));
    assert_eq!(words(&alerts), ["glass.broken"]);
    assert_eq!(alerts[0].subject, broken.to_string());
    assert!(alerts[0].what.starts_with("mara broke the glass at 2026-11-21T14:43:07Z"), "{}", alerts[0].what);
    assert!(!alerts[0].what.contains('\u{1b}'));
    // The same from a local copy, with what was remembered.
    calm(&watch, &Served::local(out.path().to_owned()), seen);
}

#[test]
fn silence_is_a_stall_also_after_an_orderly_end() {
    let (dir, out) = (fast_dir(), fast_dir());
    let (journal, _) = open(dir.path());
    let key = journal.verifier().clone();
    write(&journal, 3);
    export(dir.path(), out.path(), &key).unwrap();
    let (watch, served) = (watch(&key), Served::local(out.path().to_owned()));
    let memory = calm(&watch, &served, None);
    let (memory, alerts) = look(&watch, &served, Some(memory), later(901));
    assert_eq!(words(&alerts), ["stall"]);
    assert_eq!(alerts[0].what, "no record has come for 901 s, since 2026-11-21T14:43:07Z; at most 900 s are allowed");
    journal.close_blocking(later(1000)).unwrap();
    export(dir.path(), out.path(), &key).unwrap();
    let (memory, alerts) = look(&watch, &served, memory, later(1900));
    assert_eq!(alerts, []);
    let (_, alerts) = look(&watch, &served, memory, later(1901));
    assert!(alerts[0].what.starts_with("the log was closed in good order, and no record has come for 901 s"));
}

#[test]
fn a_fork_and_a_shrunk_log_are_proven_by_their_two_checkpoints() {
    let (dir, copied) = (fast_dir(), fast_dir());
    let (outs, key) = {
        let (journal, _) = open(dir.path());
        write(&journal, 300);
        copy(dir.path(), copied.path());
        let key = journal.verifier().clone();
        let outs: Vec<_> = (0..3).map(|_| fast_dir()).collect();
        // Before the fork, and the true log after it.
        export(copied.path(), outs[0].path(), &key).unwrap();
        write(&journal, 40);
        export(dir.path(), outs[1].path(), &key).unwrap();
        (outs, key)
    };
    let (fork, _) = open(copied.path());
    write(&fork, 400);
    export(copied.path(), outs[2].path(), &key).unwrap();
    let site = Site::of(outs[0].path());
    let (watch, served) = (watch(&key), Served::remote(&site.url).unwrap());
    let common = calm(&watch, &served, None);
    site.show(outs[1].path());
    let seen = calm(&watch, &served, Some(common.clone()));
    // Longer and different.
    site.show(outs[2].path());
    let (after, alerts) = look(&watch, &served, Some(seen.clone()), later(10));
    assert_eq!(words(&alerts), ["fork"], "{alerts:?}");
    assert_eq!(after, Some(seen.clone()), "a fork is not remembered as the log");
    let sizes: Vec<u64> = alerts[0].notes.iter().map(|n| Checkpoint::open_cosigned(n, &key).unwrap().size).collect();
    assert_eq!(sizes, [size(&seen, &key), fork.status().size]);
    // Whoever saw only what both have in common takes the fork for the log: that is what witnesses are for.
    calm(&watch, &served, Some(common));
    // Shorter.
    site.show(outs[0].path());
    let (after, alerts) = look(&watch, &served, Some(seen.clone()), later(10));
    assert_eq!((words(&alerts), alerts[0].notes.len()), (vec!["shrink"], 2));
    assert_eq!(after, Some(seen));
    // As long and different.
    let same = fast_dir();
    let mut other = Checkpoint::open_cosigned(&alerts[0].notes[0], &key).unwrap();
    other.root = quarterdeck::journal::tree::record_hash(b"x");
    let secret = std::fs::read_to_string(dir.path().join("log.key")).unwrap();
    let note = other.sign(&LogKey::parse(&secret).unwrap()).unwrap();
    std::fs::write(same.path().join("checkpoint"), note).unwrap();
    site.show(same.path());
    let (_, alerts) = look(&watch, &served, after, later(10));
    assert_eq!(words(&alerts), ["fork"]);
}

#[test]
fn what_is_served_damaged_is_told_and_not_believed() {
    let (dir, out) = (fast_dir(), fast_dir());
    let (journal, _) = open(dir.path());
    let key = journal.verifier().clone();
    let (watch, served) = (watch(&key), Served::local(out.path().to_owned()));
    write(&journal, 300);
    export(dir.path(), out.path(), &key).unwrap();
    let memory = calm(&watch, &served, None);
    write(&journal, 300);
    export(dir.path(), out.path(), &key).unwrap();
    let now = later(10);
    let count = usize::try_from(journal.status().size).unwrap();
    let partial = |folder: &str| format!("tile/{folder}/002.p/{}", count - 512);
    for path in
        [partial("entries"), partial("0"), "tile/entries/001".into(), "tile/0/001".into(), "tile/1/000.p/2".into()]
    {
        let path = out.path().join(path);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for bad in [Some(flipped), Some(whole[..whole.len() - 1].to_vec()), Some(vec![]), None] {
            match bad {
                Some(bad) => std::fs::write(&path, bad).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            let (after, alerts) = look(&watch, &served, Some(memory.clone()), now);
            assert_eq!(words(&alerts), ["damage"], "{}: {alerts:?}", path.display());
            assert!(after.unwrap().read < journal.status().size, "what was damaged is read again");
        }
        std::fs::write(&path, whole).unwrap();
    }
    calm(&watch, &served, Some(memory.clone()));
    // A bundle and the tile of its hashes, changed together: the tile above tells.
    let (entries, hashes) = (out.path().join("tile/entries/001"), out.path().join("tile/0/001"));
    let (true_entries, true_hashes) = (std::fs::read(&entries).unwrap(), std::fs::read(&hashes).unwrap());
    let text = String::from_utf8_lossy(&true_entries).into_owned();
    assert!(text.contains("mara"));
    let mut forged = true_entries.clone();
    let at = forged.windows(4).rposition(|w| w == b"mara").unwrap();
    forged[at..at + 4].copy_from_slice(b"eve1");
    let mut tile = true_hashes.clone();
    let last = quarterdeck::journal::tile::entries(&forged).unwrap()[255].to_vec();
    tile[255 * 32..].copy_from_slice(&quarterdeck::journal::tree::record_hash(&last).0);
    assert_ne!(tile, true_hashes);
    std::fs::write(&entries, forged).unwrap();
    std::fs::write(&hashes, tile).unwrap();
    let (_, alerts) = look(&watch, &served, Some(memory.clone()), now);
    assert_eq!(words(&alerts), ["damage"]);
    std::fs::write(&entries, true_entries).unwrap();
    std::fs::write(&hashes, true_hashes).unwrap();
    // The checkpoint itself.
    let checkpoint = out.path().join("checkpoint");
    let other = LogKey::generate(ORIGIN).unwrap();
    let forged = Checkpoint::read(&std::fs::read_to_string(&checkpoint).unwrap()).unwrap().sign(&other).unwrap();
    std::fs::write(&checkpoint, forged).unwrap();
    let (after, alerts) = look(&watch, &served, Some(memory.clone()), now);
    assert_eq!((words(&alerts), after.as_ref()), (vec!["bad-signature"], Some(&memory)));
    std::fs::remove_file(&checkpoint).unwrap();
    let (_, alerts) = look(&watch, &served, Some(memory), now);
    assert_eq!(words(&alerts), ["unreachable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn witnesses_that_fall_silent_are_missed_and_what_they_signed_binds() {
    let (dir, out, state, forked) = (fast_dir(), fast_dir(), fast_dir(), fast_dir());
    let (journal, _) = open(dir.path());
    copy(dir.path(), forked.path());
    let key = journal.verifier().clone();
    let Some(a) = serve(state.path(), "a", "mldsa", &key) else { return };
    let watch = Watch { witnesses: vec![a.witness.key.clone()], ..watch(&key) };
    let export_with_note = || {
        export(dir.path(), out.path(), &key).unwrap();
        let _ = std::fs::copy(dir.path().join("cosigned"), out.path().join("cosigned"));
    };
    // The witness signs with the time that it is, and so the records must be of now.
    let now = Timestamp::now();
    let grow = |count: usize| {
        let drafts = (0..count).map(|n| Draft { time: now, ..note(n) }).collect();
        journal.append_blocking(drafts).unwrap();
        journal.status().size
    };
    let after = |seconds| now + SignedDuration::from_secs(seconds);
    let served = || Served::local(out.path().to_owned());
    let check = |memory, at| {
        let served = served();
        look(&watch, &served, memory, at)
    };
    let first = grow(5);
    export_with_note();
    let (memory, alerts) = check(None, now);
    assert_eq!(words(&alerts), ["uncosigned"]);
    let witnesses = follow(&journal, settings(dir.path(), &[&a], 1));
    assert_eq!(witnesses.asking().cover(first, LONG).await.size, first);
    witnesses.finish(first, LONG).await;
    // Once as the file beside the log, once in the exported checkpoint itself.
    export_with_note();
    let (_, alerts) = check(memory.clone(), now);
    assert_eq!(alerts, []);
    std::fs::remove_file(out.path().join("cosigned")).unwrap();
    let (memory, alerts) = check(memory, now);
    assert_eq!(alerts, []);
    grow(5);
    export_with_note();
    let (memory, alerts) = check(memory, after(500));
    assert_eq!(alerts, []);
    let (_, alerts) = check(memory, after(800));
    assert_eq!(words(&alerts), ["uncosigned"], "{alerts:?}");
    assert_eq!(alerts[0].subject, a.witness.key.id());
    // A served log that does not continue what was cosigned is a fork, also for whoever sees it for the first time.
    let (fork, _) = open(forked.path());
    fork.append_blocking((0..60).map(|n| Draft { time: now, ..note(n) }).collect()).unwrap();
    let mirror = fast_dir();
    export(forked.path(), mirror.path(), &key).unwrap();
    std::fs::copy(dir.path().join("cosigned"), mirror.path().join("cosigned")).unwrap();
    let (_, alerts) = look(&watch, &Served::local(mirror.path().to_owned()), None, now);
    let fork = alerts.iter().find(|a| a.alert == Wrong::Fork).unwrap_or_else(|| panic!("{alerts:?}"));
    assert_eq!((fork.subject.as_str(), fork.notes.len()), ("cosigned", 2));
}

#[test]
fn the_command_tells_a_real_stall_and_a_real_fork_and_remembers() {
    let (dir, copied, home) = (fast_dir(), fast_dir(), fast_dir());
    let outs: Vec<_> = (0..3).map(|_| fast_dir()).collect();
    let fresh = |journal: &Journal, count: usize| {
        let drafts = (0..count).map(|n| Draft { time: Timestamp::now(), ..note(n) }).collect();
        journal.append_blocking(drafts).unwrap();
    };
    let (journal, _) = open(dir.path());
    fresh(&journal, 20);
    copy(dir.path(), copied.path());
    let key = journal.verifier().clone();
    let vkey = home.path().join("log.vkey");
    std::fs::write(&vkey, key.as_str()).unwrap();
    fresh(&journal, 20);
    export(dir.path(), outs[0].path(), &key).unwrap();
    let (fork, _) = open(copied.path());
    fresh(&fork, 50);
    export(copied.path(), outs[1].path(), &key).unwrap();
    let site = Site::of(outs[0].path());
    let state = home.path().join("state");
    let command = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
        command.args(["--format", "json", "audit", "monitor", "--url", &site.url, "--vkey"]).arg(&vkey);
        command.arg("--state").arg(&state).args(more).env("HOME", home.path()).stdin(Stdio::null());
        command
    };
    let once = |more: &[&str]| {
        let output = command(more).arg("--once").output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let alerts: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let words: Vec<String> = alerts.iter().map(|a| a["alert"].as_str().unwrap().to_owned()).collect();
        (output.status.code(), words, String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(once(&["--stall", "10m"]), (Some(0), vec![], String::new()));
    let kept = std::fs::read(&state).unwrap();

    // It runs while nobody writes: silence is told. Then somebody swaps the log.
    let mut child = command(&["--interval", "1", "--stall", "2"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<serde_json::Value>(&lines.next().unwrap().unwrap()).unwrap();
    let stall = next();
    assert_eq!((stall["alert"].as_str(), stall["origin"].as_str()), (Some("stall"), Some(ORIGIN)));
    site.show(outs[1].path());
    let told = next();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told["alert"], "fork");
    assert_eq!(told["notes"].as_array().unwrap().len(), 2);
    assert_eq!(std::fs::read(&state).unwrap(), kept, "a fork is not remembered as the log");

    // A restart knows what it saw.
    let (code, words, _) = once(&["--stall", "10m"]);
    assert_eq!((code, words), (Some(3), vec!["fork".to_owned()]));
    site.show(outs[2].path());
    let (code, words, _) = once(&["--stall", "10m"]);
    assert_eq!((code, words), (Some(3), vec!["unreachable".to_owned()]));
    // Bad input, one sentence each.
    std::fs::write(&state, "{}").unwrap();
    let (code, _, why) = once(&[]);
    assert!(code == Some(2) && why.contains("--state") && why.contains("missing field"), "{why}");
    std::fs::write(&vkey, "nonsense").unwrap();
    let (code, _, why) = once(&[]);
    assert!(code == Some(2) && why.contains("log.vkey") && why.contains("no verifier key"), "{why}");
}
