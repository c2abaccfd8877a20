//! How fast the journal takes records, against what else could keep them, in one run and as ratios:
//! `cargo run --release --manifest-path benches/journal/Cargo.toml [-- SECONDS [DIRECTORY]]`.
//!
//! Each contender runs in slices that alternate with the others', so that all meet the same machine. The best slice
//! counts, since whatever else the machine does can only slow one down. The delays of the second and third round are added to every fsync and fdatasync of every contender, servers
//! included, by a library that is loaded into them (`slow_sync.c`).

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking, and its figures are rounded"
)]

mod ours;
mod rivals;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Length of a record, without what a contender adds to find it again.
pub const RECORD_BYTES: usize = 512;

/// Clients that each wait for an answer before they ask again.
pub const CLIENTS: usize = 16;

/// Slices of each contender.
const SLICES: usize = 5;

/// One slice of one contender.
pub struct Run {
    /// How long each record took to be durable.
    pub waits: Vec<Duration>,
    /// How long all of them took.
    pub took: Duration,
    /// Records in each sync, where that can be told.
    pub per_sync: Option<f64>,
}

impl Run {
    fn rate(&self) -> f64 {
        self.waits.len() as f64 / self.took.as_secs_f64()
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let at = (waits.len() * percent / 100).min(waits.len().saturating_sub(1));
        waits.get(at).map_or(f64::NAN, |w| w.as_secs_f64() * 1e6)
    }
}

/// Does something again and again, and says how long each time took.
pub fn closed_loop(time: Duration, mut once: impl FnMut()) -> (Vec<Duration>, Duration) {
    let begun = Instant::now();
    let mut waits = vec![];
    while begun.elapsed() < time {
        let asked = Instant::now();
        once();
        waits.push(asked.elapsed());
    }
    (waits, begun.elapsed())
}

/// The best slice by rate.
fn best(runs: Vec<Run>) -> Option<Run> {
    runs.into_iter().max_by(|a, b| a.rate().total_cmp(&b.rate()))
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let seconds: f64 = arguments.get(1).map_or(1.0, |s| s.parse().expect("seconds a slice"));
    let dir = arguments.get(2).map_or_else(std::env::temp_dir, PathBuf::from);
    if std::env::var_os("SYNC_DELAY_US").is_some() {
        round(&dir, Duration::from_secs_f64(seconds));
        return;
    }
    let kept = tempfile::tempdir_in(&dir).expect("directory");
    std::fs::set_permissions(kept.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    let library = kept.path().join("slow_sync.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/slow_sync.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    assert!(built.expect("a C compiler").success());
    println!("{RECORD_BYTES}-byte records, best of {SLICES} slices of {seconds} s");
    for delay in [0, 2_000, 10_000] {
        println!("\nadded to each sync: {} ms", delay / 1_000);
        let status = Command::new(std::env::current_exe().expect("this program"))
            .args([&seconds.to_string(), &dir.display().to_string()])
            .env("LD_PRELOAD", &library)
            .env("SYNC_DELAY_US", delay.to_string())
            .status();
        assert!(status.expect("a round").success());
    }
}

/// All contenders with one delay.
fn round(dir: &Path, time: Duration) {
    let scratch = || tempfile::tempdir_in(dir).expect("directory");
    let home = scratch();
    let postgres = rivals::Postgres::start(home.path());
    let (mut many, mut one): (Vec<Vec<Run>>, Vec<Vec<Run>>) = (vec![], vec![]);
    for _ in 0..SLICES {
        many.push(vec![
            ours::many(scratch().path(), time),
            rivals::sqlite_batching(scratch().path(), time),
            rivals::sqlite_contending(scratch().path(), time),
        ]);
        one.push(vec![
            ours::one(scratch().path(), time),
            rivals::raw(scratch().path(), time),
            rivals::sqlite_one(scratch().path(), time),
        ]);
        if let Some(postgres) = &postgres {
            many.last_mut().expect("a slice").push(postgres.insert(CLIENTS, time));
            one.last_mut().expect("a slice").push(postgres.insert(1, time));
        }
    }
    if postgres.is_none() {
        println!("PostgreSQL is not measured: no server with pgbench is on this machine");
    }
    let many = table(
        &format!("{CLIENTS} clients"),
        &["journal", "SQLite, batching", "SQLite, contending", "PostgreSQL"],
        many,
    );
    let one = table("1 client", &["journal", "file, write + fdatasync", "SQLite", "PostgreSQL"], one);
    println!();
    if let Some(postgres) = many.get(3) {
        ratio("16 clients: journal / PostgreSQL", many[0].rate() / postgres.rate(), Bar::AtLeast(1.2));
    }
    ratio("16 clients: journal / batching SQLite", many[0].rate() / many[1].rate(), Bar::AtLeast(1.2));
    ratio("16 clients: journal / contending SQLite", many[0].rate() / many[2].rate(), Bar::AtLeast(5.0));
    ratio("1 client: p50 of journal / file", one[0].percentile(50) / one[1].percentile(50), Bar::AtMost(1.7));
    ratio("1 client: journal / SQLite", one[0].rate() / one[2].rate(), Bar::AtLeast(0.6));
}

enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

fn ratio(name: &str, found: f64, bar: Bar) {
    let (holds, bar) = match bar {
        Bar::AtLeast(bar) => (found >= bar, format!("at least {bar}")),
        Bar::AtMost(bar) => (found <= bar, format!("at most {bar}")),
    };
    println!("{name:42} {found:6.2}  {bar:14} {}", if holds { "holds" } else { "MISSED" });
}

/// Prints the best slice of each contender and returns it.
fn table(title: &str, names: &[&str], slices: Vec<Vec<Run>>) -> Vec<Run> {
    println!("{title:26} {:>10} {:>9} {:>9} {:>12}", "records/s", "p50 us", "p99 us", "records/sync");
    let mut contenders: Vec<Vec<Run>> = names.iter().map(|_| vec![]).collect();
    for slice in slices {
        for (contender, run) in contenders.iter_mut().zip(slice) {
            contender.push(run);
        }
    }
    let bests: Vec<Run> = contenders.into_iter().filter_map(best).collect();
    for (name, run) in names.iter().zip(&bests) {
        let per_sync = run.per_sync.map_or_else(|| "-".to_owned(), |n| format!("{n:.1}"));
        let (p50, p99) = (run.percentile(50), run.percentile(99));
        println!("{name:26} {:>10.0} {p50:>9.0} {p99:>9.0} {per_sync:>12}", run.rate());
    }
    bests
}
