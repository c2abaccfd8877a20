//! A console in plain lines, driven by a test: a process with pipes, no terminal anywhere.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "shared by several test programs, each of which uses a part; tests fail by panicking"
)]

use crate::support::{SOON, program};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A console whose lines are written and read.
pub struct Plain {
    child: Child,
    input: Option<ChildStdin>,
    bytes: Receiver<Vec<u8>>,
    all: Vec<u8>,
}

impl Plain {
    pub fn start(home: &Path, args: &[&str], lang: &str) -> Self {
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
    pub fn line(&mut self, line: &str, awaited: &str) -> String {
        let from = self.all.len();
        self.types(line);
        self.until(from, awaited)
    }

    /// What is told from there on, once it holds what is awaited and the next prompt.
    pub fn until(&mut self, from: usize, awaited: &str) -> String {
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

    /// Types a line, whatever it leads to.
    pub fn types(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ends the input; answers the exit code and everything that was told.
    pub fn end(mut self) -> (Option<i32>, Vec<u8>) {
        drop(self.input.take());
        while let Ok(more) = self.bytes.recv_timeout(SOON) {
            self.all.extend(more);
        }
        (self.child.wait().unwrap().code(), self.all)
    }
}
