//! What watching 10,000 pods costs: time to the first sample, memory of this process, processor time of a sample.
//!
//! `cargo bench --bench kubernetes` starts itself a second time as an API server that streams 10,000 pods of
//! realistic size, so that its memory is not counted. `cargo bench --bench kubernetes -- KUBECONFIG` measures on a
//! real cluster instead. Numbers are printed and never judged: a timing is not a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench fails by panicking")]

#[path = "cluster/mod.rs"]
mod cluster;
mod measured;

use cluster::Cluster;
use measured::{memory, processor};
use quarterdeck::config::model::Kubernetes;
use quarterdeck::domain::facts::Facts;
use quarterdeck::domain::id::SourceId;
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::ports::Observer as _;
use quarterdeck::domain::sample::Sample;
use quarterdeck::observe::kubernetes::KubernetesObserver;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(1);
const SAMPLES: u32 = 10;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.first().map(String::as_str) {
        Some(cluster::SERVE) => cluster::serve(),
        Some(kubeconfig) => measure(kubeconfig.into()),
        None => {
            let cluster = Cluster::of(1_000);
            measure(cluster.kubeconfig.clone());
        }
    }
}

fn measure(kubeconfig: PathBuf) {
    let own = std::process::id();
    let before = memory(own, "VmRSS");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Kubernetes {
        id: SourceId::new("k8s-1"),
        kubeconfig,
        context: None,
        act_kubeconfig: None,
        impersonate: None,
        interval: INTERVAL,
    };
    let observer = KubernetesObserver::new(Mode::ReadOnly.may_observe().unwrap(), &config);
    let (send, receive) = std::sync::mpsc::channel::<Sample>();
    let began = Instant::now();
    runtime.spawn(Box::new(observer).run(Arc::new(move |sample| {
        let _ = send.send(sample);
    })));
    let facts = loop {
        let sample = receive.recv_timeout(Duration::from_mins(2)).expect("a sample within two minutes");
        match sample.result {
            Ok(facts) => break facts,
            Err(failure) => println!("after {:.1} s: {failure}", began.elapsed().as_secs_f64()),
        }
    };
    let first = began.elapsed();
    let Facts::Kubernetes(seen) = &*facts else { panic!("not a cluster") };
    println!(
        "{} pods, {} deployments, {} nodes",
        seen.pods.as_ref().map_or(0, |p| p.total),
        seen.workloads.len(),
        seen.nodes.len()
    );
    println!("first sample          {:8.2} s", first.as_secs_f64());
    let busy = processor(own);
    let mut took = Duration::ZERO;
    for _ in 0..SAMPLES {
        took += receive.recv_timeout(Duration::from_mins(1)).expect("a sample").took;
    }
    println!("a sample takes        {:8.2} ms", took.as_secs_f64() * 1e3 / f64::from(SAMPLES));
    println!("processor time of it  {:8.2} ms", (processor(own) - busy) * 1e3 / f64::from(SAMPLES));
    println!("memory before         {before:8.1} MiB");
    println!("memory after          {:8.1} MiB", memory(own, "VmRSS"));
    println!("memory at most        {:8.1} MiB", memory(own, "VmHWM"));
}
