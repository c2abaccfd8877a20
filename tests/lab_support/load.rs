//! People who use tenants: real requests through Traefik, one after the other.

use super::Lab;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Requests a second of the load.
const RATE: u64 = 12;

/// Requests that go on until this is dropped.
pub struct Load {
    end: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// People who use these tenants in turn.
    pub fn of(lab: &Lab, tenants: &[&str]) -> Self {
        let (end, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let url = format!("{}/web/health", lab.var("LAB_TRAEFIK_HTTP"));
        let hosts: Vec<String> = tenants.iter().map(|t| format!("Host: {t}.lab.test")).collect();
        let (stop, count) = (end.clone(), served.clone());
        let thread = std::thread::spawn(move || {
            for host in hosts.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let mut command = Command::new("curl");
                command.args(["-s", "-m", "5", "-o", "/dev/null", "-H", host, &url]);
                if command.status().unwrap().success() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(1000 / RATE));
            }
        });
        Self { end, served, thread: Some(thread) }
    }

    /// How many were answered.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
