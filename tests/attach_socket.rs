//! The engine's socket against peers that are hostile, broken or of another version: a sentence, nothing executed, the
//! refusal recorded, and everybody else served as before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "support/engine.rs"]
mod engine;
mod support;

use engine::Served;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{SOON, kinds, lonely, records, run, verifies};

/// A peer that speaks by hand.
struct Peer {
    to: UnixStream,
    from: BufReader<UnixStream>,
}

impl Peer {
    fn call(socket: &Path) -> Self {
        let to = UnixStream::connect(socket).unwrap();
        to.set_read_timeout(Some(SOON)).unwrap();
        to.set_write_timeout(Some(SOON)).unwrap();
        let from = BufReader::new(to.try_clone().unwrap());
        Self { to, from }
    }

    /// The next message; nothing when the engine has hung up.
    fn hears(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))),
        }
    }

    /// Everything until the engine hangs up.
    fn hears_out(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.hears()).collect()
    }

    /// All that comes until the engine hangs up. That it did so with something unread is no error.
    fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.from.read_to_end(&mut rest) {
            Err(e) if e.kind() != std::io::ErrorKind::ConnectionReset => panic!("it did not hang up: {e}"),
            _ => String::from_utf8(rest).unwrap(),
        }
    }

    fn says(&mut self, message: &Value) {
        // What the engine has hung up on already is not written; what it said before tells.
        let _ = self.to.write_all(format!("{message}\n").as_bytes());
    }

    fn sends(&mut self, bytes: &[u8]) {
        let _ = self.to.write_all(bytes);
    }

    /// Greets as a program of this version does.
    fn in_as(socket: &Path, purpose: &str, read_only: bool) -> Self {
        let mut peer = Self::call(socket);
        let greeting = peer.hears().unwrap();
        assert_eq!(greeting["say"], "greeting");
        let mut hello = hello(greeting["protocol"].as_u64().unwrap(), purpose);
        hello["read_only"] = read_only.into();
        peer.says(&hello);
        assert_eq!(peer.hears().unwrap()["say"], "welcome");
        peer
    }
}

fn hello(protocol: u64, purpose: &str) -> Value {
    json!({ "ask": "hello", "protocol": protocol, "program": "0.1.0", "purpose": purpose, "user": "mallory", "console": null })
}

fn refusal(said: &[Value]) -> &str {
    let last = said.last().unwrap_or_else(|| panic!("nothing was said"));
    assert_eq!(last["say"], "refused", "{said:?}");
    last["why"].as_str().unwrap()
}

fn serve() -> (tempfile::TempDir, String, Served) {
    let home = tempfile::tempdir().unwrap();
    let file = lonely(home.path());
    let served = Served::start(home.path(), &["--config", &file]);
    (home, file, served)
}

/// Whether the engine still serves, and has recorded nothing that a peer wanted.
fn stands(home: &Path, file: &str) {
    let (code, out, err) = run(home, &["--config", file, "consoles", "--format", "json"]);
    assert_eq!(code, 0, "{out}{err}");
}

fn nothing_was_done(home: &Path) -> Vec<Value> {
    let all = records(home, &home.join("journal"));
    let known = ["journal", "config", "console", "finding"];
    let done: Vec<_> = kinds(&all).into_iter().filter(|k| !known.contains(&k.split('.').next().unwrap())).collect();
    assert!(done.is_empty(), "{done:?}");
    verifies(home, &home.join("journal"));
    all
}

#[test]
fn another_version_is_refused_in_a_sentence_and_never_garbled() {
    let (home, file, served) = serve();
    let protocol = {
        let mut peer = Peer::call(&served.socket);
        peer.hears().unwrap()["protocol"].as_u64().unwrap()
    };
    for other in [protocol + 1, protocol - 1, 0, u64::MAX] {
        let mut peer = Peer::call(&served.socket);
        peer.hears().unwrap();
        let mut hello = hello(other, "console");
        hello["program"] = "9.9.9".into();
        hello["what nobody knows"] = json!({ "deep": [1, 2, 3] });
        peer.says(&hello);
        let said = peer.hears_out();
        let why = refusal(&said);
        assert!(why.contains("9.9.9") && why.contains(&format!("protocol {other}")), "{why}");
        assert!(why.contains(&format!("protocol {protocol}")) && why.contains("0.1.0"), "{why}");
    }
    // What a program before the protocol had numbers said.
    let mut peer = Peer::call(&served.socket);
    peer.says(&json!({ "ask": "snapshot" }));
    assert!(refusal(&peer.hears_out()).contains("an older protocol"));
    // A console of this version on an engine of another: it says so and leaves.
    let elsewhere = home.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let socket = elsewhere.join("engine.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"{\"say\":\"greeting\",\"protocol\":77,\"program\":\"7.7.7\",\"new\":true}\n").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest
    });
    let start = support::Start {
        args: &["attach", "--socket", socket.to_str().unwrap()],
        env: &[],
        home: home.path(),
        size: (100, 30),
    };
    let mut term = support::Term::start(&start);
    assert_eq!(term.ends(SOON).exit_code(), 1);
    let said = term.text().replace('\n', "");
    assert!(said.contains("7.7.7") && said.contains("protocol 77") && said.contains("use the program"), "{said}");
    assert!(!term.raw().windows(8).any(|w| w == b"\x1b[?1049h"), "no screen was opened");
    assert!(other.join().unwrap().is_empty(), "nothing was asked of an engine that is not understood");
    stands(home.path(), &file);
    served.ends();
    nothing_was_done(home.path());
}

#[test]
fn hostile_frames_are_refused_executed_by_nobody_and_recorded_once_a_minute() {
    let (home, file, served) = serve();
    let deep = |n: usize| format!("{{\"ask\":\"command\",\"id\":1,\"command\":{}{}}}\n", "[".repeat(n), "]".repeat(n));
    let frames: Vec<(&str, Vec<u8>)> = vec![
        ("no JSON", b"nonsense\n".to_vec()),
        ("half a frame", b"{\"ask\":\"comm".to_vec()),
        ("nothing but an end", b"\n".to_vec()),
        ("NUL", vec![0; 5000]),
        ("deep", deep(100_000).into_bytes()),
        ("endless", vec![b'a'; 300 * 1024]),
        ("another question", b"{\"ask\":\"shutdown\"}\n".to_vec()),
        (
            "another command",
            b"{\"ask\":\"command\",\"id\":1,\"command\":{\"command\":\"shell\",\"line\":\"id\"}}\n".to_vec(),
        ),
        ("not UTF-8", b"{\"ask\":\"\xff\xfe\"}\n".to_vec()),
        ("a second hello", format!("{}\n", hello(2, "console")).into_bytes()),
        ("a number that is none", b"{\"ask\":\"command\",\"id\":-1,\"command\":{}}\n".to_vec()),
    ];
    for purpose in ["console", "command"] {
        for (what, frame) in &frames {
            let mut peer = Peer::in_as(&served.socket, purpose, false);
            peer.sends(frame);
            let _ = peer.to.shutdown(std::net::Shutdown::Write);
            // A console is told what there is meanwhile, each part as a line after the one that names it.
            let rest = peer.rest();
            let last: Value = serde_json::from_str(rest.lines().last().unwrap_or("null")).unwrap();
            assert_eq!(last["say"], "refused", "{purpose}, {what}: {last}");
        }
    }
    // The same instead of a hello.
    for (what, frame) in &frames {
        let mut peer = Peer::call(&served.socket);
        peer.hears().unwrap();
        peer.sends(frame);
        let _ = peer.to.shutdown(std::net::Shutdown::Write);
        let said = peer.hears_out();
        if *what != "a second hello" {
            refusal(&said);
        }
    }
    stands(home.path(), &file);
    served.ends();
    let all = nothing_was_done(home.path());
    let refused = all.iter().filter(|r| r["kind"] == "console.refused").count();
    assert!((1..=3).contains(&refused), "{refused} records of refusals");
}

#[test]
fn random_bytes_never_do_anything() {
    let (home, file, served) = serve();
    let socket = served.socket.clone();
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let bytes = proptest::collection::vec(any::<u8>(), 1..3000);
    let token = prop_oneof![
        Just("{\"ask\":\"command\",".to_owned()),
        Just("\"id\":1,".to_owned()),
        Just("\"command\":{\"command\":\"emergency-stop\"".to_owned()),
        Just("}".to_owned()),
        Just("\n".to_owned()),
        "[a-z\"{}:,]{0,9}"
    ];
    let tokens = proptest::collection::vec(token, 1..12).prop_map(|t| t.concat().into_bytes());
    let input = (prop_oneof![bytes, tokens], any::<bool>());
    runner
        .run(&input, |(bytes, hail)| {
            let mut peer = if hail { Peer::in_as(&socket, "command", true) } else { Peer::call(&socket) };
            peer.sends(&bytes);
            let _ = peer.to.shutdown(std::net::Shutdown::Write);
            // It hangs up in the end, whatever was said, and what it says is whole lines.
            let rest = peer.rest();
            prop_assert!(rest.is_empty() || rest.ends_with('\n'));
            Ok(())
        })
        .unwrap();
    stands(home.path(), &file);
    served.ends();
    nothing_was_done(home.path());
}

#[test]
fn one_that_only_looks_on_can_command_nothing_over_the_bare_socket() {
    let (home, file, served) = serve();
    for purpose in ["console", "command"] {
        let mut peer = Peer::in_as(&served.socket, purpose, true);
        let command = json!({ "command": "declare", "title": "x", "severity": "SEV1", "findings": [] });
        peer.says(&json!({ "ask": "command", "id": 5, "command": command }));
        let mut line = String::new();
        let reply = loop {
            line.clear();
            assert!(peer.from.read_line(&mut line).unwrap() > 0);
            if line.contains("\"say\":\"reply\"") {
                break serde_json::from_str::<Value>(&line).unwrap();
            }
        };
        assert_eq!((&reply["id"], &reply["reply"]["denied"]), (&json!(5), &json!(true)), "{reply}");
    }
    stands(home.path(), &file);
    served.ends();
    nothing_was_done(home.path());
}

#[test]
fn many_connections_and_slow_ones_keep_nobody_out_for_long() {
    let (home, file, served) = serve();
    let mut term = support::Term::start(&support::Start {
        args: &["--config", &file, "attach"],
        env: &[],
        home: home.path(),
        size: (100, 30),
    });
    term.shows("Tenants");
    // As many as are served at once and more, which say nothing, or a byte now and then.
    let mut held: Vec<UnixStream> = (0..200).filter_map(|_| UnixStream::connect(&served.socket).ok()).collect();
    for stream in &mut held {
        let _ = stream.write_all(b"{");
    }
    // Thousands that come and go.
    for _ in 0..2_000 {
        drop(UnixStream::connect(&served.socket));
    }
    // Whoever is in is served at once all the while.
    term.keys("j").shows("Journal");
    term.keys("o").shows("Tenants");
    // The silent ones are hung up on, and those beyond the bound were told why.
    let begun = Instant::now();
    let mut told = 0;
    for stream in &mut held {
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        told += usize::from(said.contains("refused"));
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(told >= 190, "{told} of 200 were told why");
    stands(home.path(), &file);
    assert_eq!(term.keys(support::CTRL_C).ends(SOON).exit_code(), 0);
    served.ends();
    let all = nothing_was_done(home.path());
    assert!(all.len() < 40, "{} records", all.len());
}

#[test]
fn a_peer_that_does_not_read_is_dropped_and_others_are_served() {
    let (home, file, served) = serve();
    // It asks for the snapshot again and again and reads nothing of it.
    let mut lazy = Peer::in_as(&served.socket, "command", false);
    lazy.to.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let ask = b"{\"ask\":\"snapshot\"}\n".repeat(1000);
    let begun = Instant::now();
    loop {
        match lazy.to.write_all(&ask) {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => break,
            _ => assert!(begun.elapsed() < SOON, "it is still served"),
        }
        stands(home.path(), &file);
    }
    served.ends();
    nothing_was_done(home.path());
}
