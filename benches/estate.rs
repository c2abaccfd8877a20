//! What an engine costs on a large estate: 10,000 pods, 1,000 tenants, 200 PostgreSQL instances and 5,000 samples a second,
//! simulated. `cargo bench --bench estate` runs the simulation alone and with the engine, each in a process of its own, and
//! prints both and their difference; then it times passes of the judging after a second's samples each. Prints figures and
//! ratios to the bars, and asserts nothing.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

mod measured;

use measured::percentile;
use quarterdeck::domain::sample::Sample;
use quarterdeck::domain::world::World;
use quarterdeck::drill::model::build::Size;
use quarterdeck::drill::{Drill, Options, catalog};
use quarterdeck::engine::judge::Judge;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Samples a second.
const RATE: u32 = 5_000;

/// Until everything has been seen and what is kept of the past has grown, and then as long as is measured.
const SETTLE: Duration = Duration::from_secs(30);
const WINDOW: Duration = Duration::from_mins(1);

/// Passes that are timed.
const PASSES: usize = 100;

/// Bars: MiB of the engine, per cent of a core, milliseconds of a pass.
const MEMORY: f64 = 120.0;
const PROCESSOR: f64 = 15.0;
const PASS: f64 = 20.0;

/// Each primary has its replica: 200 instances.
const SIZE: Size = Size { tenants: 1_000, pods_per_tenant: 10, primaries: 100 };

fn drill(options: Options) -> Drill {
    let (entries, errors) = catalog::load(&[]);
    assert!(errors.is_empty(), "{errors:?}");
    Drill::start(&entries[0].scenario, Options { seed: Some(7), size: Some(SIZE), ..options })
}

fn real_time() -> Drill {
    drill(Options { speed: Some(1.0), samples_per_s: Some(RATE), ..Options::default() })
}

/// Waits until what runs has settled, then says what it takes: memory, processor, samples a second.
async fn said(samples: &AtomicU64) {
    tokio::time::sleep(SETTLE).await;
    let own = std::process::id();
    let (cpu, seen, from) = (measured::processor(own), samples.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(WINDOW).await;
    let took = from.elapsed().as_secs_f64();
    let share = (measured::processor(own) - cpu) / took * 100.0;
    let seen = samples.load(Ordering::Relaxed) - seen;
    println!("{:.1} {share:.2} {:.0}", measured::memory(own, "VmRSS"), f64::from(u32::try_from(seen).unwrap()) / took);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The simulation alone, whose samples nobody takes.
fn simulation() {
    runtime().block_on(async {
        let drill = real_time();
        let samples = Arc::new(AtomicU64::new(0));
        for observer in drill.observers() {
            let samples = Arc::clone(&samples);
            tokio::spawn(observer.run(Arc::new(move |_: Sample| {
                samples.fetch_add(1, Ordering::Relaxed);
            })));
        }
        said(&samples).await;
    });
}

/// The simulation, with an engine that takes its samples.
fn engine() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let running = measured::engine(real_time(), dir.path());
        // Somebody looks, as a console does.
        let mut snapshots = running.client.snapshots.clone();
        tokio::spawn(async move {
            while snapshots.changed().await.is_ok() {
                drop(snapshots.borrow_and_update().clone());
            }
        });
        said(&AtomicU64::new(0)).await;
        running.end().await;
    });
}

/// What a process of this bench says: memory, processor, samples a second.
fn child(part: &str) -> [f64; 3] {
    let said = Command::new(std::env::current_exe().unwrap()).arg(part).output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    let mut numbers = text.split_whitespace().map(|n| n.parse::<f64>().unwrap());
    std::array::from_fn(|_| numbers.next().unwrap_or_else(|| panic!("{part} says `{text}`")))
}

/// Times passes: findings and panes of the whole estate, after as many samples as come in a second.
fn passes() {
    let drill = drill(Options { speed: Some(0.0), ..Options::default() });
    let clock = drill.clock();
    let specs: Vec<_> = drill.observers().iter().map(|o| o.spec()).collect();
    let mut world = World::new(Arc::clone(drill.estate()), specs, clock.now());
    let mut judge = Judge::new(drill.settings(), drill.estate());
    let (mut times, mut taking, mut taken) = (Vec::new(), Duration::ZERO, 0_u32);
    let mut ready = Vec::new().into_iter();
    for pass in 0..PASSES {
        for _ in 0..RATE {
            let sample = loop {
                match ready.next() {
                    Some(sample) => break sample,
                    // A second later, so that each source has another one.
                    None => {
                        drop(drill.second());
                        ready = drill.samples().into_iter();
                    }
                }
            };
            let from = Instant::now();
            judge.take(&mut world, &sample);
            taking += from.elapsed();
            taken += 1;
        }
        let from = Instant::now();
        let (findings, panes) = judge.look(&mut world, clock.now());
        // The first pass builds what the others have.
        if pass > 0 {
            times.push(from.elapsed().as_secs_f64() * 1e3);
        }
        drop((findings, panes));
    }
    times.sort_by(f64::total_cmp);
    let p99 = percentile(&times, 0.99);
    println!(
        "a pass over the whole estate: n {}, p50 {:.2} ms, p90 {:.2} ms, p99 {p99:.2} ms, max {:.2} ms, ratio of p99 to the \
         bar of {PASS} ms: {:.2}",
        times.len(),
        percentile(&times, 0.5),
        percentile(&times, 0.9),
        times[times.len() - 1],
        p99 / PASS
    );
    println!("taking a sample in: {:.1} us", taking.as_secs_f64() * 1e6 / f64::from(taken));
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.first().map(String::as_str) {
        Some("simulation") => return simulation(),
        Some("engine") => return engine(),
        Some("passes") => return passes(),
        _ => {}
    }
    let [alone, alone_cpu, rate] = child("simulation");
    let [both, both_cpu, _] = child("engine");
    println!("10,000 pods, 1,000 tenants, 200 PostgreSQL instances, {rate:.0} samples a second");
    println!("the simulation alone: RSS {alone:.1} MiB, {alone_cpu:.2}% of a core");
    println!("with the engine: RSS {both:.1} MiB, {both_cpu:.2}% of a core");
    let (memory, cpu) = (both - alone, both_cpu - alone_cpu);
    println!("the engine: RSS {memory:.1} MiB, ratio to the bar of {MEMORY} MiB: {:.2}", memory / MEMORY);
    println!("  processor {cpu:.2}% of a core, ratio to the bar of {PROCESSOR}%: {:.2}", cpu / PROCESSOR);
    passes();
}
