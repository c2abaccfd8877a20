//! How fast and how quiet the console is. Prints figures and ratios within one run; asserts nothing.
//!
//! `cargo bench --bench console` starts the program in a pseudo-terminal for its start, its bytes and its memory, and
//! runs engine and console in this process on the simulated estate with 1,000 tenants, 10,000 pods and 5,000 samples a
//! second for the time from a key to its frame. `-- pods`, `-- keys` and `-- growth` (1,000 to 100,000 pods) run one part.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool for developers; it fails by panicking"
)]

#[path = "cluster/mod.rs"]
mod cluster;
mod measured;
#[path = "../tests/support/mod.rs"]
mod support;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use measured::{memory, percentile, processor};
use quarterdeck::console::msg::Msg;
use quarterdeck::console::state::{Facts, State};
use quarterdeck::console::theme::{Capabilities, ColorDepth, Theme};
use quarterdeck::console::{update, view};
use quarterdeck::domain::mode::Mode;
use quarterdeck::drill::{Drill, Options, catalog};
use quarterdeck::terminal::frame::Screen;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{SOON, Start, Term};

fn milliseconds(mut all: Vec<f64>, what: &str) -> f64 {
    all.sort_by(f64::total_cmp);
    let p99 = percentile(&all, 0.99);
    println!(
        "{what}: n {}, p50 {:.2} ms, p90 {:.2} ms, p99 {p99:.2} ms, max {:.2} ms",
        all.len(),
        percentile(&all, 0.5),
        percentile(&all, 0.9),
        all[all.len() - 1]
    );
    p99
}

/// A live estate of one database that is not there.
fn lonely(home: &Path) -> String {
    let port = support::nobody();
    let path = home.join("c.toml");
    let text = format!(
        "[estate]\nname = \"lonely\"\nenvironment = \"staging\"\n[journal]\ndir = \"{}\"\n[[postgres]]\nid = \"pg\"\n\
         host = \"127.0.0.1\"\nport = {port}\nuser = \"u\"\ntls = \"disable\"\ninterval = \"1m\"\n",
        home.join("journal").display()
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn first_frame() {
    let mut all = Vec::new();
    for _ in 0..15 {
        let home = tempfile::tempdir().unwrap();
        let config = lonely(home.path());
        let begun = Instant::now();
        let term = Term::start(&Start { args: &["--config", &config], env: &[], home: home.path(), size: (80, 24) });
        term.until("the first full frame", SOON, |t| t.contains("palette"));
        all.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let p99 = milliseconds(all, "start to first full frame, a new journal, no server answers");
    println!("  ratio to the bar of 50 ms: {:.2}", p99 / 50.0);
}

fn quiet(args: &[&str], home: &Path, what: &str, settle: Duration) {
    let window = Duration::from_secs(20);
    let term = Term::start(&Start { args, env: &[], home, size: (80, 24) });
    term.until("the first full frame", SOON, |t| t.contains("palette"));
    std::thread::sleep(settle);
    let (bytes, cpu) = (term.bytes(), processor(term.pid()));
    std::thread::sleep(window);
    let (bytes, cpu) = (term.bytes() - bytes, processor(term.pid()) - cpu);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    let rate = bytes as f64 / window.as_secs_f64();
    println!(
        "{what}: {rate:.1} bytes/s (ratio to the bar of 64: {:.2}), CPU {:.2}% of a core, RSS {:.1} MiB (peak {:.1})",
        rate / 64.0,
        cpu / window.as_secs_f64() * 100.0,
        memory(term.pid(), "VmRSS"),
        memory(term.pid(), "VmHWM"),
    );
}

/// What the whole console on a cluster costs.
struct Large {
    /// Seconds until every tenant is known.
    known: f64,
    /// Resident memory in MiB, now and at most.
    memory: (f64, f64),
    /// Milliseconds from a key to its frame, sorted.
    keys: Vec<f64>,
}

/// The whole console on a cluster of so many tenants, each with ten pods and its two Deployments declared.
fn large(tenants: usize) -> Large {
    let home = tempfile::tempdir().unwrap();
    let cluster = cluster::Cluster::of(tenants);
    let mut text = format!(
        "[estate]\nname = \"large\"\nenvironment = \"staging\"\n[journal]\ndir = \"{}\"\n[[kubernetes]]\nid = \"k8s\"\n\
         kubeconfig = \"{}\"\ninterval = \"1s\"\n",
        home.path().join("journal").display(),
        cluster.kubeconfig.display()
    );
    for tenant in 0..tenants {
        text += &format!(
            "[[tenant]]\nid = \"t{tenant:04}\"\nkubernetes = {{ cluster = \"k8s\", namespace = \"t{tenant:04}\" }}\n"
        );
    }
    let path = home.path().join("large.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    let begun = Instant::now();
    let mut term = Term::start(&Start { args: &["--config", &path], env: &[], home: home.path(), size: (120, 40) });
    // The workers' Deployments are not there, so that every tenant says so once its cluster is known.
    term.until("the tenants to be known", Duration::from_mins(5), |t| t.contains("Deployment odoo-w"));
    let known = begun.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(20));
    let memory = (memory(term.pid(), "VmRSS"), memory(term.pid(), "VmHWM"));
    // The rows of the screen; header and alarms move by themselves.
    let rows = |screen: &str| screen.lines().skip(2).collect::<Vec<_>>().join("\n");
    term.keys("t").shows("Tenants");
    std::thread::sleep(Duration::from_secs(1));
    let mut keys = Vec::new();
    for n in 0..200 {
        let before = rows(&term.text());
        let begun = Instant::now();
        term.keys(if n % 40 < 20 { support::DOWN } else { support::UP });
        term.until("the cursor to move", SOON, |t| rows(t) != before);
        keys.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    keys.sort_by(f64::total_cmp);
    Large { known, memory, keys }
}

fn ten_thousand_pods() {
    let Large { known, memory: (now, most), .. } = large(1_000);
    println!("10,000 pods, 1,000 tenants: known after {known:.1} s");
    println!("  the whole console: RSS {now:.1} MiB (peak {most:.1}), ratio to the bar of 40 MiB: {:.2}", now / 40.0);
}

/// What ten times as many pods cost, and again.
fn growth() {
    let mut before: Option<Large> = None;
    for tenants in [100, 1_000, 10_000] {
        let now = large(tenants);
        let (p50, p99) = (percentile(&now.keys, 0.5), percentile(&now.keys, 0.99));
        println!(
            "{} pods, {tenants} tenants: known after {:.2} s, RSS {:.1} MiB (peak {:.1}), key to frame p50 {p50:.2} ms, p99 \
             {p99:.2} ms",
            tenants * 10,
            now.known,
            now.memory.0,
            now.memory.1
        );
        if let Some(before) = &before {
            println!(
                "  to the one before, bar 10 (linear) and for keys 1 (flat): time {:.2}, memory {:.2}, keys {:.2}",
                now.known / before.known,
                now.memory.0 / before.memory.0,
                p50 / percentile(&before.keys, 0.5)
            );
        }
        before = Some(now);
    }
}

fn keys_under_load() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let (entries, _) = catalog::load(&[]);
        let scenario = &entries[0].scenario;
        let size = quarterdeck::drill::model::build::Size { tenants: 1000, pods_per_tenant: 10, ..Default::default() };
        let options = Options { seed: Some(7), speed: Some(1.0), size: Some(size), samples_per_s: Some(5_000) };
        let running = measured::engine(Drill::start(scenario, options), dir.path());
        let client = running.client.clone();
        let facts = Facts::new("bench".into(), Mode::Drill);
        let theme = Theme::choose(Some("dark"), &[], Capabilities { colors: ColorDepth::True, unicode: true }).unwrap();
        let mut console = State::new(facts, (200, 60), Timestamp::now());
        let mut screen = Screen::new(std::io::sink(), 200, 60).unwrap();
        let (press, mut pressed) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for i in 0..1_000 {
                std::thread::sleep(Duration::from_millis(20));
                let code = if i % 2 == 0 { KeyCode::Down } else { KeyCode::Up };
                if press.send((Instant::now(), KeyEvent::new(code, KeyModifiers::NONE))).is_err() {
                    return;
                }
            }
        });
        let mut snapshots = client.snapshots.clone();
        let (mut keys, mut frames) = (Vec::new(), 0_u32);
        loop {
            tokio::select! {
                biased;
                key = pressed.recv() => {
                    let Some((at, key)) = key else { break };
                    update(&mut console, Msg::Key(key));
                    screen.draw(|frame| drop(view::view(&console, &theme, frame))).unwrap();
                    keys.push(at.elapsed().as_secs_f64() * 1e3);
                }
                changed = snapshots.changed() => {
                    changed.unwrap();
                    let snapshot = snapshots.borrow_and_update().clone();
                    update(&mut console, Msg::Snapshot(snapshot));
                    screen.draw(|frame| drop(view::view(&console, &theme, frame))).unwrap();
                    frames += 1;
                }
            }
        }
        let p99 = milliseconds(keys, "key to frame at 200x60, 1,000 tenants, 10,000 pods, 5,000 samples/s");
        println!("  ratio to the bar of 16 ms: {:.2}; {frames} data frames in between", p99 / 16.0);
        running.end().await;
    });
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.first().map(String::as_str) {
        Some(cluster::SERVE) => return cluster::serve(),
        Some("pods") => return ten_thousand_pods(),
        Some("keys") => return keys_under_load(),
        Some("growth") => return growth(),
        _ => {}
    }
    first_frame();
    ten_thousand_pods();
    let home = tempfile::tempdir().unwrap();
    let config = lonely(home.path());
    quiet(&["--config", &config], home.path(), "quiet, one source that does not answer", Duration::from_secs(3));
    if let Ok(lab) = std::env::var("LAB_DIR") {
        let home = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(Path::new(&lab).join("config.toml")).unwrap();
        let own = format!("dir = \"{}\"", home.path().join("journal").display());
        let text: Vec<&str> = text.lines().map(|l| if l.starts_with("dir = ") { own.as_str() } else { l }).collect();
        let path = home.path().join("lab.toml");
        std::fs::write(&path, text.join("\n")).unwrap();
        let path = path.display().to_string();
        quiet(&["--config", &path], home.path(), "the lab attached", Duration::from_secs(10));
    } else {
        println!("SKIP the lab attached: LAB_DIR is not set; eval \"$(tests/lab/lab env)\"");
    }
    keys_under_load();
}
