//! How fast a console of several estates stays while some of them are away. Prints figures and ratios within one run;
//! asserts nothing.
//!
//! `cargo bench --bench estates` serves three estates, opens a console on a pseudo-terminal and measures the time from a
//! key to the whole frame that answers it, on the first of them: while all are served, while the second hangs (its engine
//! is stopped) and the third is gone, and again with the second going on. `cargo bench --profile dev` does it with the
//! build of the tests, whose ratios are worth as much.
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
#[path = "../tests/support/estates.rs"]
mod estates;
#[path = "../tests/support/mod.rs"]
mod support;

use engine::Served;
use estates::{Estates, Way};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use support::{SOON, Term};

/// Keys that are pressed in a window.
const KEYS: usize = 150;
/// Pause between two keys, so that none waits for the frame before it.
const PAUSE: Duration = Duration::from_millis(60);

fn main() {
    let estates = Estates::new();
    let (one, two, three) = (estates.serve("one"), estates.serve("two"), estates.serve("three"));
    let way = |(name, served): (&'static str, &Served)| (name, Way::Socket(served.socket.clone()));
    let fleet = estates.fleet(&[("one", &one), ("two", &two), ("three", &three)].map(way));
    let mut term = estates.console(&["--config", &fleet], (120, 40));
    term.until("all to be attached", SOON, |t| t.matches("attached").count() >= 3);
    term.keys("o").shows("Tenants");
    let calm = window("all are served", &mut term, None);
    two.signal(Signal::STOP);
    three.kill();
    term.until("both to be away", SOON, |t| t.contains("two: NOT REACHED") && t.contains("three: NOT REACHED"));
    window("one hangs, one is gone", &mut term, Some(&calm));
    two.signal(Signal::CONT);
    term.until("one to be back", SOON, |t| !t.contains("two: NOT REACHED"));
    window("one is gone", &mut term, Some(&calm));
}

fn at(sorted: &[Duration], hundredths: usize) -> f64 {
    sorted[(sorted.len() - 1) * hundredths / 100].as_secs_f64() * 1000.0
}

/// Presses the keys of a window; answers how long each frame took, the shortest first.
fn window(what: &str, term: &mut Term, before: Option<&[Duration]>) -> Vec<Duration> {
    let mut keys = Vec::new();
    for n in 0..KEYS {
        std::thread::sleep(PAUSE);
        let (key, title) = if n % 2 == 0 { ("s", "─Sources") } else { ("o", "─Tenants") };
        let began = Instant::now();
        term.keys(key).until("the screen that the key leads to", SOON, |t| t.contains(title));
        keys.push(began.elapsed());
    }
    keys.sort();
    let figure = |name: &str, hundredths: usize| {
        let now = at(&keys, hundredths);
        let ratio = before.map_or_else(String::new, |b| format!(" (x{:.2})", now / at(b, hundredths)));
        format!("{name} {now:.1} ms{ratio}")
    };
    println!("{what}: key to frame {}, {}, {}", figure("p50", 50), figure("p95", 95), figure("worst", 100));
    keys
}
