//! The lab's API server, for the tests of observers.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs `kubectl` as administrator with this as its input; whether it went well, and not without a lab.
pub(in crate::observe) fn kubectl(args: &[&str], input: &str) -> bool {
    let Ok(binary) = std::env::var("LAB_KUBECTL") else { return false };
    let mut child = Command::new(binary)
        .args(["--kubeconfig", &std::env::var("LAB_KUBECONFIG_ADMIN").unwrap()])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait().unwrap().success()
}
