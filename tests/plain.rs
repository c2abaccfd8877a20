//! The console in plain lines, as a screen reader or a script has it: a process with pipes, no terminal anywhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use support::{SOON, kinds, lonely, program, records, verifies};

/// A console whose lines are written and read.
struct Plain {
    child: Child,
    input: Option<ChildStdin>,
    bytes: Receiver<Vec<u8>>,
    all: Vec<u8>,
}

impl Plain {
    fn start(home: &Path, args: &[&str], lang: &str) -> Self {
        let mut child = Command::new(program())
            .args(args)
            .arg("--plain")
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .envs([("HOME", home.to_str().unwrap()), ("USER", "mara"), ("LANG", lang)])
            .current_dir(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, mut output) = (child.stdin.take(), child.stdout.take().unwrap());
        let (told, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                if told.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, input, bytes, all: Vec::new() }
    }

    /// Types a line; answers what is told from there on until it holds what is awaited and the next prompt.
    fn line(&mut self, line: &str, awaited: &str) -> String {
        let from = self.all.len();
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.until(from, awaited)
    }

    fn until(&mut self, from: usize, awaited: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.all[from..]).into_owned();
            if text.contains(awaited) && text.ends_with("> ") {
                return text;
            }
            match self.bytes.recv_timeout(SOON) {
                Ok(more) => self.all.extend(more),
                Err(why) => panic!("`{awaited}` is not told, {why}:\n{text}"),
            }
        }
    }

    /// Ends the input; answers the exit code and everything that was told.
    fn end(mut self) -> (Option<i32>, Vec<u8>) {
        drop(self.input.take());
        while let Ok(more) = self.bytes.recv_timeout(SOON) {
            self.all.extend(more);
        }
        (self.child.wait().unwrap().code(), self.all)
    }
}

#[test]
fn everything_can_be_reached_without_a_screen() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let file = lonely(home);
    let mut plain = Plain::start(home, &["--config", &file], "C.UTF-8");
    plain.until(0, "the overview> ");
    for (line, tells) in [
        ("t", "-- Tenants"),
        ("", "-- Tenants"),
        ("database", "-- Lock tree"),
        ("Esc", "the screen of tenants> "),
        ("/nobody", "none of 1 fits `nobody`"),
        ("Esc", "-- Tenants: 1 UNKNOWN"),
        ("Enter", "the sheet of a row> "),
        ("Esc", "the screen of tenants> "),
        (":journal", "the palette> "),
        ("Enter", "-- Journal, newest last"),
        ("?", "-- Help"),
        ("Esc", "the journal> "),
        ("help", "Each line that you type is one of these:"),
        ("frobnicate", "`frobnicate` is no key and no action of the journal"),
        ("overview", "-- Findings"),
    ] {
        plain.line(line, tells);
    }
    // A note: text where text is asked for, `=` where it is the name of a key, and Cancel has to be passed.
    plain.line("note", "a form> ");
    plain.line("pump 3 stands, ", "pump 3 stands");
    plain.line("=Tab", "pump 3 stands, Tab");
    plain.line("Tab", "> Cancel <");
    plain.line("Tab", "> Record <");
    plain.line("Enter", "noted");
    plain.line("j", "pump 3 stands, Tab");
    let (code, told) = plain.end();
    assert_eq!(code, Some(130), "the end of the input is a hang-up");
    assert!(!told.contains(&0x1b), "no control sequence: {}", String::from_utf8_lossy(&told));
    let all = records(home, &home.join("journal"));
    assert_eq!(kinds(&all).iter().filter(|k| **k == "note.added").count(), 1, "{:?}", kinds(&all));
    assert_eq!(kinds(&all).last(), Some(&"journal.closed"));
    verifies(home, &home.join("journal"));
}

#[test]
fn a_terminal_without_unicode_gets_ascii_and_quit_leaves() {
    let home = tempfile::tempdir().unwrap();
    let mut plain = Plain::start(home.path(), &["drill"], "C");
    plain.until(0, "-- Tenants");
    writeln!(plain.input.as_mut().unwrap(), "quit").unwrap();
    let (code, told) = plain.end();
    assert_eq!(code, Some(0));
    assert!(told.iter().all(|b| matches!(b, b'\n' | b' '..=b'~')), "{}", String::from_utf8_lossy(&told));
}
