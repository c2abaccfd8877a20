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
        let mut said = Vec::new();
        // That the engine hung up with a byte unread is no matter here.
        let _ = stream.read_to_end(&mut said);
        told += usize::from(String::from_utf8_lossy(&said).contains("refused"));
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

/// Runs a copy of the program as the user nobody, in a home that nobody may read.
fn as_nobody(home: &Path, program: &Path, args: &[&str]) -> (i32, String, String) {
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    let output = std::process::Command::new(program)
        .args(args)
        .env_clear()
        .env("HOME", home.join("nobody"))
        .env("USER", "mara")
        .current_dir(home)
        .stdin(std::process::Stdio::null())
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn another_user_is_kept_out_by_mode_and_by_the_engine_and_let_in_by_the_group() {
    use std::os::unix::fs::PermissionsExt as _;
    if !rustix::process::geteuid().is_root() {
        println!("SKIP: only root can be somebody else");
        return;
    }
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let home = tempfile::tempdir().unwrap();
    mode(home.path(), 0o755);
    let program = home.path().join("quarterdeck");
    std::fs::copy(support::program(), &program).unwrap();
    let socket = home.path().join("run/engine.sock");
    let text = std::fs::read_to_string(lonely(home.path())).unwrap();
    let with = |group: &str| {
        let engine = format!("[engine]\nsocket = \"{}\"\n{group}", socket.display());
        support::config(home.path(), &format!("{text}{engine}"))
    };
    let declare =
        |file: &str, title: &str| as_nobody(home.path(), &program, &["--config", file, "incident", "declare", title]);

    let file = with("");
    let served = Served::start(home.path(), &["--config", &file]);
    assert_eq!(served.socket, socket);
    // The folder that was made for it keeps everybody else out, and so does the socket when the folder does not.
    for _ in 0..2 {
        let (code, _, err) = declare(&file, "by mode");
        assert!(code == 1 && err.contains("may not reach"), "{code} {err}");
        mode(socket.parent().unwrap(), 0o755);
    }
    // Were it open to all, the engine itself would ask the kernel who comes.
    mode(&socket, 0o666);
    let (code, _, err) = declare(&file, "by uid");
    assert!(code == 1 && err.contains("nobody (uid 65534) may not come"), "{code} {err}");
    served.ends();
    let all = nothing_was_done(home.path());
    let refused = all.iter().find(|r| r["kind"] == "console.refused").unwrap();
    assert_eq!((&refused["actor"]["user"], &refused["actor"]["uid"]), (&json!("nobody"), &json!(65_534)));

    let file = with("socket_group = \"65534\"\n");
    let served = Served::start(home.path(), &["--config", &file]);
    let (code, out, err) = declare(&file, "by group");
    assert_eq!(code, 0, "{out}{err}");
    served.ends();
    let all = records(home.path(), &home.path().join("journal"));
    let declared: Vec<_> = all.iter().filter(|r| r["kind"] == "incident.declared").collect();
    assert_eq!(declared.len(), 1);
    // Under a login of one's own the login is the name, whatever the environment says.
    let actor = &declared[0]["actor"];
    assert_eq!((&actor["user"], &actor["uid"], &actor["via"]), (&json!("nobody"), &json!(65_534), &json!("socket")));
}

#[test]
fn what_the_configuration_says_of_the_socket_is_checked() {
    let home = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(lonely(home.path())).unwrap();
    let long = format!("/{}", "x".repeat(120));
    let cases = [
        ("socket = \"engine.sock\"".to_owned(), "absolute path"),
        (format!("socket = \"{long}\""), "at most 103 bytes"),
        ("socket_group = \"oncall\"".to_owned(), "needs `socket`"),
        ("sockets = \"/x\"".to_owned(), "sockets"),
    ];
    for (line, says) in cases {
        let file = support::config(home.path(), &format!("{text}[engine]\n{line}\n"));
        let (code, _, err) = run(home.path(), &["--config", &file, "config", "check"]);
        assert!(code == 2 && err.contains(says) && err.contains("c.toml:"), "{line}: {code} {err}");
    }
    let socket = home.path().join("run/engine.sock");
    let line = format!("[engine]\nsocket = \"{}\"\nsocket_group = \"no-such-group-here\"\n", socket.display());
    let file = support::config(home.path(), &format!("{text}{line}"));
    let (code, _, err) = run(home.path(), &["--config", &file, "serve"]);
    assert!(code == 2 && err.contains("no group `no-such-group-here`"), "{code} {err}");
}
