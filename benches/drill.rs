//! What a second of an exercise costs with 1,000 tenants: model, samples and judging, on one core. `cargo bench --bench
//! drill` prints it; 60x in real time needs less than 16.6 ms.

use quarterdeck::domain::world::World;
use quarterdeck::drill::model::build::Size;
use quarterdeck::drill::{Drill, Options, catalog};
use quarterdeck::engine::judge::Judge;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Seconds of the scenario that are played.
const SECONDS: u32 = 600;

fn main() {
    let (entries, errors) = catalog::load(&[]);
    assert!(errors.is_empty(), "{errors:?}");
    let scenario = &entries.first().unwrap_or_else(|| unreachable!("a scenario ships")).scenario;
    let size = Size { tenants: 1000, pods_per_tenant: 10, primaries: 2 };
    let began = Instant::now();
    let drill = Drill::start(scenario, Options { speed: Some(0.0), size: Some(size), ..Options::default() });
    println!("an estate of 1,000 tenants is there after {:?}", began.elapsed());
    let clock = drill.clock();
    let specs = drill.observers().iter().map(|o| o.spec()).collect::<Vec<_>>();
    let mut world = World::new(Arc::clone(drill.estate()), specs, clock.now());
    let mut judge = Judge::new(drill.settings(), drill.estate());
    let (mut model, mut judging, mut slowest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let began = Instant::now();
    let mut findings = 0;
    for _ in 0..SECONDS {
        let second = Instant::now();
        let samples = drill.second();
        model += second.elapsed();
        let judged = Instant::now();
        if !samples.is_empty() {
            for sample in &samples {
                judge.take(&mut world, sample);
            }
            findings = judge.look(&mut world, clock.now()).0.len();
        }
        judging += judged.elapsed();
        slowest = slowest.max(second.elapsed());
    }
    let all = began.elapsed();
    let speed = f64::from(SECONDS) / all.as_secs_f64();
    println!(
        "{SECONDS} s of the scenario took {all:?} on one core: {speed:.0}x real time, {findings} findings at the end"
    );
    println!(
        "a second: {:?} model and samples, {:?} judging; the slowest {slowest:?}",
        model / SECONDS,
        judging / SECONDS
    );
    println!("60x in real time: {}", if speed >= 60.0 { "yes" } else { "NO" });
}
