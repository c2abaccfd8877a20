//! What attached consoles cost an engine. Prints figures and ratios within one run; asserts nothing.
//!
//! `cargo bench --bench attach` serves an estate of 1,000 declared tenants whose only system does not answer, attaches
//! 0, 1 and 20 consoles by hand (they read everything and answer with a sign of life, as a console does), and measures
//! the CPU time of the engine's process over 20 seconds each, and the bytes that each console is sent.
//! `cargo bench --bench attach -- busy` does the same on the simulated estate, on which everything moves.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool for developers; it fails by panicking"
)]

#[path = "../tests/support/engine.rs"]
mod engine;
mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use engine::Served;
use measured::processor;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(20);
/// Bar: an idle engine with 20 consoles, in hundredths of a core.
const BAR: f64 = 5.0;

/// A console that reads everything and says each second that it lives.
struct Console {
    ends: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Console {
    fn attach(socket: &Path, n: usize) -> Self {
        let mut to = UnixStream::connect(socket).unwrap();
        let mut from = BufReader::new(to.try_clone().unwrap());
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line).unwrap();
        let greeting: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let hello = serde_json::json!({
            "ask": "hello", "protocol": greeting["protocol"], "program": "bench", "purpose": "console",
            "user": format!("person-{n}"), "console": null,
        });
        writeln!(to, "{hello}").unwrap();
        let (ends, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stop, count) = (ends.clone(), bytes.clone());
        let thread = std::thread::spawn(move || {
            let mut line = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                line.clear();
                if from.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                    return;
                }
                count.fetch_add(line.len() as u64, Ordering::Relaxed);
                if line.starts_with(b"{\"say\":\"beat\"") {
                    let _ = to.write_all(b"{\"ask\":\"alive\"}\n");
                }
            }
        });
        Self { ends, bytes, thread: Some(thread) }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// CPU in hundredths of a core, and bytes a second to one console.
fn measure(served: &Served, consoles: usize) -> (f64, f64) {
    let all: Vec<Console> = (0..consoles).map(|n| Console::attach(&served.socket, n)).collect();
    std::thread::sleep(Duration::from_secs(5));
    let bytes = |all: &[Console]| all.iter().map(|c| c.bytes.load(Ordering::Relaxed)).sum::<u64>();
    let (cpu, sent) = (processor(served.pid()), bytes(&all));
    std::thread::sleep(WINDOW);
    let cpu = (processor(served.pid()) - cpu) / WINDOW.as_secs_f64() * 100.0;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = (bytes(&all) - sent) as f64 / WINDOW.as_secs_f64() / consoles.max(1) as f64;
    (cpu, each)
}

fn print(served: &Served, what: &str) {
    let mut one = 0.0;
    for consoles in [0, 1, 20] {
        let (cpu, bytes) = measure(served, consoles);
        println!("{what}, {consoles} consoles: {cpu:.2}% of a core, {bytes:.0} bytes/s to each");
        if consoles == 1 {
            one = cpu;
        }
        if consoles == 20 {
            println!("  ratio to the bar of {BAR}%: {:.2}; 19 consoles more cost {:.2}%", cpu / BAR, cpu - one);
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let home = tempfile::tempdir().unwrap();
    if args.first().is_some_and(|a| a == "busy") {
        let served = Served::start(home.path(), &["--drill"]);
        print(&served, "the simulated estate");
        return served.ends();
    }
    let mut text = std::fs::read_to_string(support::lonely(home.path())).unwrap();
    for tenant in 0..1_000 {
        let database = format!("database = {{ instance = \"pg\", name = \"u{tenant:04}\" }}");
        text += &format!("[[tenant]]\nid = \"u{tenant:04}\"\n{database}\n");
    }
    let file = support::config(home.path(), &text);
    let served = Served::start(home.path(), &["--config", &file]);
    print(&served, "1,000 tenants, idle");
    served.ends();
}
