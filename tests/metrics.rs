//! What an engine says of itself: measures to whoever asks on this machine, and a log beside its state.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests fail by panicking; counts are whole numbers"
)]

mod support;

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{SOON, program, run};

/// A served engine, which is ended with the test.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(home: &Path, config: &str) -> Self {
        let mut command = Command::new(program());
        command.args(["--config", config, "serve"]).env_clear().env("HOME", home).env("USER", "mara");
        let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut served = Self { child, address: String::new() };
        let said = BufReader::new(served.child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut before = Vec::new();
        for line in said {
            if let Some(address) = line.strip_prefix("quarterdeck: measures at http://") {
                address.strip_suffix("/metrics").unwrap().clone_into(&mut served.address);
                return served;
            }
            before.push(line);
        }
        panic!("no measures: {before:?}");
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn measures(&self) -> String {
        let answer = self.ask(&format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", self.address));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Asks again until it says so.
    fn until(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + SOON;
        loop {
            let said = self.measures();
            if holds(&said) {
                return said;
            }
            assert!(Instant::now() < end, "{what} in {said}");
            std::thread::yield_now();
        }
    }

    fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

/// An estate whose only system is not there, with measures at a free port.
fn config(home: &Path) -> String {
    let port = support::nobody();
    let path = home.join("c.toml");
    let text = format!(
        "[estate]\nname = \"lonely\"\nenvironment = \"staging\"\n[journal]\ndir = \"{}\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n\
         [[postgres]]\nid = \"pg\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"u\"\ntls = \"disable\"\n\
         [[tenant]]\nid = \"hush-hush\"\ndatabase = {{ instance = \"pg\", name = \"hush-hush\" }}\n",
        home.join("journal").display()
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn an_engine_tells_of_itself_and_counts_what_it_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let config = config(home.path());
    let served = Served::start(home.path(), &config);
    let before = served
        .until("the source that is gone", |m| m.contains("quarterdeck_source_up{source=\"pg\",kind=\"postgres\"} 0.0"));
    assert_eq!(value(&before, "quarterdeck_journal_writable"), 1.0);
    assert_eq!(value(&before, "quarterdeck_incidents_open{severity=\"SEV3\"}"), 0.0);
    assert!(value(&before, "quarterdeck_engine_beat_age_seconds") < 20.0);
    assert!(value(&before, "process_resident_memory_bytes") > 1e6);
    assert!(value(&before, "process_open_fds") > 3.0);
    assert!(value(&before, "quarterdeck_journal_free_bytes") > 0.0);
    // Whoever has a login may ask: nobody's name is in it.
    assert!(!before.contains("hush-hush"), "{before}");
    assert_eq!(value(&before, "quarterdeck_sources{kind=\"odoo\",state=\"unknown\"}"), 1.0);
    assert!(before.ends_with("# EOF\n"), "{before}");

    let (code, _, err) = run(home.path(), &["--config", &config, "incident", "declare", "hush-hush is slow"]);
    assert_eq!(code, 0, "{err}");
    let (code, _, _) = run(home.path(), &["--config", &config, "incident", "note", "INC-9", "nobody has declared it"]);
    assert_ne!(code, 0);
    let after = served.measures();
    assert_eq!(value(&after, "quarterdeck_commands_total{answer=\"taken\"}"), 1.0);
    assert_eq!(value(&after, "quarterdeck_commands_total{answer=\"refused\"}"), 1.0);
    let open: f64 = (1..5).map(|n| value(&after, &format!("quarterdeck_incidents_open{{severity=\"SEV{n}\"}}"))).sum();
    assert_eq!(open, 1.0);
    assert!(value(&after, "quarterdeck_journal_records") > value(&before, "quarterdeck_journal_records"));
    let syncs = "quarterdeck_journal_sync_seconds_count";
    assert!(value(&after, syncs) > value(&before, syncs));
    assert_eq!(value(&after, "quarterdeck_journal_sync_seconds_bucket{le=\"+Inf\"}"), value(&after, syncs));
    let newest = value(&after, "quarterdeck_journal_newest_timestamp_seconds");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - newest).abs() < 60.0, "{newest} at {now}");
    assert!(!after.contains("hush-hush"), "{after}");
    served.end();
}

#[test]
fn only_this_machine_is_answered_and_only_what_there_is() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start(home.path(), &config(home.path()));
    let asked = |line: &str, host: &str| served.ask(&format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for (line, host, code) in [
        ("GET /metrics", "localhost:1", "200"),
        ("GET /metrics", "[::1]:9188", "200"),
        ("GET /metrics", "evil.example", "421"),
        ("GET /metrics", "127.0.0.1.evil.example:9188", "421"),
        ("POST /metrics", "localhost", "405"),
        ("GET /", "localhost", "404"),
        ("GET /../metrics", "localhost", "404"),
    ] {
        let answer = asked(line, host);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{line} {host}: {answer}");
    }
    assert!(served.ask("no HTTP at all\r\n\r\n").starts_with("HTTP/1.1 400 "));
    // Somebody who says nothing keeps nobody else waiting.
    let silent: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(&served.address).unwrap()).collect();
    let begun = Instant::now();
    served.measures();
    assert!(begun.elapsed() < Duration::from_secs(4));
    drop(silent);
    served.end();
}

#[test]
fn the_log_is_json_beside_the_state_and_tells_of_start_failures_and_end() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start(home.path(), &config(home.path()));
    let file = home.path().join(".local/state/quarterdeck/logs/lonely/quarterdeck.jsonl");
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    served.until("the log of the source that is gone", |_| read().contains("a source does not answer"));
    served.end();
    let text = read();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let said = |words: &str| lines.iter().filter(|l| l["fields"]["message"] == words).count();
    assert_eq!((said("the engine runs"), said("the engine has ended")), (1, 1), "{text}");
    let failing = |source: &str| lines.iter().filter(|l| l["fields"]["source"] == source).count();
    assert!(said("a source does not answer") >= 1 && failing("pg") <= 1, "{text}");
    assert!(lines.iter().all(|l| l["timestamp"].is_string() && l["level"].is_string()), "{text}");
}
