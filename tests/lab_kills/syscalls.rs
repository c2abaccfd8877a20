//! Kills a process as it enters a system call.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

/// Whether this machine has strace and lets it trace.
pub fn can_trace() -> bool {
    let traces = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let can = traces.is_ok_and(|status| status.success());
    let why = "there is no strace on this machine, or it may not trace: no kills at system calls";
    assert!(can || std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "{why}");
    if !can {
        println!("SKIP: {why}");
    }
    can
}

/// Attaches to a process, which is killed at that call; ends itself with it.
pub fn kill_at(pid: u32, call: &str, nth: usize) -> Child {
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    let mut strace = Command::new("strace")
        .args(["-f", "-p", &pid.to_string(), "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(strace.stderr.take().unwrap());
    stderr.read_line(&mut said).unwrap();
    assert!(said.contains("attached"), "strace: {said}");
    // What it says on the way is of no interest, and must not fill its pipe.
    std::thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
    strace
}
