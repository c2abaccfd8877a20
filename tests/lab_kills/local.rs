//! Web hooks, commands, mail and messages: what leaves the machine, or starts something on it, and can not be looked at
//! afterwards. Who receives it counts.

use crate::case::{Case, GATED, Gate, Process, Scene, Since, write};
use crate::lab_support::wire::{Wire, says};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is told can not be taken back.
const TOLD: &str = "risk: low, blastRadius: tenant, reversible: false";

/// A server that takes every request and counts them.
fn hook() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(AtomicU64::new(0));
    let counts = taken.clone();
    // It ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
            if head.first().is_some_and(|l| l.starts_with("POST ")) {
                counts.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
            }
        }
    });
    (port, taken)
}

/// A real mail server, which keeps each mail as a file.
fn mails(dir: &Path) -> Option<(Process, u16)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let there =
        Command::new("/usr/bin/python3").args(["-c", "import aiosmtpd"]).output().is_ok_and(|o| o.status.success());
    if !there {
        assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "no Python here has aiosmtpd");
        println!("SKIP comms.email: no Python here has aiosmtpd");
        return None;
    }
    let server = Command::new("/usr/bin/python3")
        .args(["-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{port}"), "-c", "aiosmtpd.handlers.Mailbox"])
        .arg(dir.join("mails"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Process(server);
    let greeted = || {
        let mut word = [0; 3];
        TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut s| s.read_exact(&mut word).is_ok() && &word == b"220")
    };
    let deadline = std::time::Instant::now() + crate::support::SOON;
    while !greeted() {
        assert!(std::time::Instant::now() < deadline, "the mail server does not greet");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Some((server, port))
}

fn files(dir: &Path) -> u64 {
    let shown = |e: &std::fs::DirEntry| !e.file_name().to_string_lossy().starts_with('.');
    std::fs::read_dir(dir).map_or(0, |all| all.flatten().filter(shown).count() as u64)
}

pub fn cases<'a>(scene: &'a Scene<'a>) -> Vec<Case<'a>> {
    let base = std::fs::canonicalize(scene.dir.path()).unwrap();
    let mut cases = Vec::new();

    let (port, taken) = hook();
    let wire = Wire::to(port, says("POST /hook"));
    let config = format!(
        "[[webhook]]\nid = \"hook\"\nurl = \"http://127.0.0.1:{}/hook\"\n[[tenant]]\nid = \"t1\"\n",
        wire.port()
    );
    let hooks = Since::new(move || taken.load(Ordering::SeqCst));
    let again = hooks.clone();
    cases.push(
        Case::new(
            ("http.webhook", "one-shot"),
            config,
            Gate::Wire(wire),
            move || {
                hooks.now();
                "webhook: hook, body: '{\"a\": 1}'".to_owned()
            },
            move || again.count(),
        )
        .first(),
    );

    let (script, ran, stays) = (base.join("tool"), base.join("ran"), base.join("stays"));
    std::fs::create_dir(&stays).unwrap();
    let work = GATED.replace("WORK", &format!("echo \"$1\" >> {}", ran.display()));
    let text = format!("#!/bin/sh\n{}", work.replace("DIR", &stays.display().to_string()));
    write(&script, &text, 0o755);
    let mut sha256 = String::new();
    for byte in Sha256::digest(&text) {
        let _ = write!(sha256, "{byte:02x}");
    }
    let mut case = Case::new(
        ("command.run", "one-shot"),
        "[[tenant]]\nid = \"t1\"\n".to_owned(),
        Gate::Stays(stays),
        {
            let ran = ran.clone();
            move || {
                let _ = std::fs::remove_file(&ran);
                format!("program: {}, args: [once]", script.display())
            }
        },
        move || std::fs::read_to_string(&ran).unwrap_or_default().lines().count() as u64,
    )
    .first()
    .with("risk: high, blastRadius: region, reversible: false, approval: {quorum: 1}");
    case.policy = Some(format!(
        "[[command]]\npath = \"{}\"\nsha256 = \"{sha256}\"\nargs = [\"once\"]\n[glass]\nwaives = [\"approvals\"]\n",
        base.join("tool").display()
    ));
    cases.push(case);

    if let Some((server, port)) = mails(&base) {
        let wire = Wire::to(port, says("\r\n.\r\n"));
        let config = format!(
            "[comms.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"noc@acme.example\"\n\
             [[comms.audience]]\nname = \"customers\"\nemail = [\"it@weber.example\"]\n[[tenant]]\nid = \"t1\"\n",
            wire.port()
        );
        let kept = base.join("mails/new");
        let sent = Since::new(move || files(&kept));
        let again = sent.clone();
        let case = Case::new(
            ("comms.email", "one-shot"),
            config,
            Gate::Wire(wire),
            move || {
                let _ = &server;
                sent.now();
                "audience: customers, subject: Outage, text: We work on it.".to_owned()
            },
            move || again.count(),
        )
        .first();
        cases.push(case.with(TOLD));
    }

    let left = base.join("left");
    std::fs::create_dir(&left).unwrap();
    let config = format!(
        "[comms]\ndir = \"{}\"\n[[comms.audience]]\nname = \"customers\"\n[[tenant]]\nid = \"t1\"\n",
        left.display()
    );
    let messages = left.clone();
    let case = Case::new(
        ("comms.file", "create"),
        config,
        Gate::None,
        move || {
            let _ = std::fs::remove_dir_all(&left);
            std::fs::create_dir(&left).unwrap();
            "audience: customers, subject: Outage, text: We work on it.".to_owned()
        },
        move || files(&messages),
    )
    .first()
    .writes();
    cases.push(case.with(TOLD));
    cases
}
