//! What an engine costs on a very large estate when engines of several bastions share its sources: 50 clusters with 2,000
//! pods each, 5,000 tenants behind 5 Traefiks with 1,000 routers each, a probe a tenant. Simulated servers in processes of
//! their own, engines as an operator starts them, a journal in a real PostgreSQL with its synchronous standby.
//!
//! `cargo bench --bench shards -- [CLUSTERS TENANTS ENGINES,ENGINES,... [SECONDS]]`, such as `4 200 1,3 20`. Prints processor
//! and memory of each engine for 1, 2, 3 and 5 of them, what the database takes, and ratios to one engine; asserts nothing.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench fails by panicking"
)]

#[path = "cluster/mod.rs"]
mod cluster;
#[path = "../tests/support/engine.rs"]
mod engine;
mod measured;
#[path = "../tests/support/postgres.rs"]
mod postgres;
#[path = "../tests/support/shared_journal.rs"]
mod shared_journal;
#[path = "../tests/support/mod.rs"]
mod support;

use cluster::Cluster;
use engine::Served;
use postgres::{Process, Server, programs};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The argument with which this bench is the servers of the tenants.
const TENANTS: &str = "--tenants";
/// Deployments of a cluster, with ten pods each.
const DEPLOYMENTS: usize = 200;
/// Routers of one Traefik.
const ROUTERS: usize = 1_000;
/// Until what is kept of the past has grown.
const SETTLE: Duration = Duration::from_secs(20);
/// Longest wait until all engines see everything.
const LONG: Duration = Duration::from_mins(5);

struct Size {
    clusters: usize,
    tenants: usize,
    window: Duration,
}

/// The simulated servers.
struct Estate {
    clusters: Vec<Cluster>,
    tenants: Process,
    port: String,
    size: Size,
}

impl Estate {
    fn start(size: Size) -> Self {
        let clusters = (0..size.clusters).map(|_| Cluster::of(DEPLOYMENTS)).collect();
        let server = Command::new(std::env::current_exe().unwrap()).arg(TENANTS).stdout(Stdio::piped()).spawn();
        let mut tenants = Process(server.unwrap());
        let mut port = String::new();
        BufReader::new(tenants.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { clusters, tenants, port: port.trim().to_owned(), size }
    }

    /// The tables of its sources.
    fn tables(&self) -> String {
        let mut out = String::new();
        for (n, cluster) in self.clusters.iter().enumerate() {
            let kubeconfig = cluster.kubeconfig.display();
            writeln!(out, "[[kubernetes]]\nid = \"k8s-{n}\"\nkubeconfig = \"{kubeconfig}\"").unwrap();
        }
        let port = &self.port;
        for n in 0..self.size.tenants.div_ceil(ROUTERS) {
            let metrics = format!("http://127.0.0.1:{port}/metrics/{n}");
            writeln!(out, "[[traefik]]\nid = \"edge-{n}\"\nmetrics = \"{metrics}\"").unwrap();
        }
        for n in 0..self.size.tenants {
            let (id, url) = (format!("t{n:04}"), format!("http://127.0.0.1:{port}/web/{n}"));
            writeln!(out, "[[tenant]]\nid = \"{id}\"").unwrap();
            writeln!(out, "[[probe]]\nid = \"web-{id}\"\nurl = \"{url}\"\ntenant = \"{id}\"\ninterval = \"10s\"")
                .unwrap();
        }
        out
    }

    fn sources(&self) -> usize {
        2 * self.size.clusters + self.size.tenants.div_ceil(ROUTERS) + self.size.tenants
    }
}

/// Answers for all tenants and their Traefiks until it is killed; prints its port first.
fn tenants() {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        let began = Instant::now();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, began));
        }
    });
}

/// One connection, kept as long as the client keeps it.
async fn answer(stream: TcpStream, began: Instant) -> Option<()> {
    let mut stream = tokio::io::BufReader::new(stream);
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while stream.read_line(&mut line).await.ok()? > 0 && line.trim() != "" {
            head.push_str(&line);
            line.clear();
        }
        let path = head.split_whitespace().nth(1)?;
        let body = match path.strip_prefix("/metrics/") {
            Some(n) => metrics(n.parse().ok()?, began.elapsed().as_secs()),
            None => "{\"status\": \"pass\"}".to_owned(),
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(body.as_bytes()).await.ok()?;
    }
}

/// What a Traefik tells of its routers, each of which has had some requests a second.
fn metrics(traefik: usize, seconds: u64) -> String {
    let mut out = String::from("traefik_config_reloads_total 1\n");
    for n in 0..ROUTERS {
        let tenant = traefik * ROUTERS + n;
        let requests = seconds * (2 + tenant as u64 % 7) + 10;
        let labels = format!(
            "code=\"200\",method=\"GET\",protocol=\"http\",router=\"t{tenant:04}@file\",service=\"t{tenant:04}@file\""
        );
        let name = "traefik_router_request_duration_seconds";
        writeln!(out, "traefik_router_requests_total{{{labels}}} {requests}").unwrap();
        for (le, share) in [("0.1", 80), ("0.3", 95), ("1.2", 99), ("5", 100), ("+Inf", 100)] {
            writeln!(out, "{name}_bucket{{{labels},le=\"{le}\"}} {}", requests * share / 100).unwrap();
        }
        writeln!(out, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {requests}", requests / 12).unwrap();
    }
    out
}

/// One machine with an engine.
struct Bastion {
    home: tempfile::TempDir,
    file: String,
}

impl Bastion {
    fn new(estate: &Estate, servers: &[Server; 2], share: bool) -> Self {
        let home = tempfile::Builder::new().prefix("qs").tempdir().unwrap();
        let text = format!(
            "{journal}[observe]\nshare = {share}\n{tables}",
            journal = shared_journal::tables("shards", home.path(), servers.each_ref().map(|s| s.port), "5s"),
            tables = estate.tables(),
        );
        let file = support::config(home.path(), &text);
        Self { home, file }
    }

    fn journal(&self) -> PathBuf {
        self.home.path().join("journal")
    }

    fn serve(&self) -> Served {
        Served::start(self.home.path(), &["--config", &self.file])
    }

    fn run(&self, words: &[&str]) -> (i32, String, String) {
        support::run(self.home.path(), &[&["--config", self.file.as_str()], words].concat())
    }

    /// How many sources are well, and how many of these this engine watches.
    fn sees(&self) -> (usize, usize) {
        let (_, out, _) = self.run(&["status", "--format", "json"]);
        let rows = shared_journal::sources(&out).unwrap_or_default();
        let known: Vec<&Value> = rows.iter().filter(|r| ["ok", "warn"].iter().any(|h| r["health"] == *h)).collect();
        (known.len(), known.iter().filter(|r| r["watched_by"].is_null()).count())
    }
}

/// The servers of a journal, set up as an administrator would.
fn journal(bin: &Path, estate: &Estate) -> [Server; 2] {
    let servers = shared_journal::servers(bin);
    shared_journal::init(|words| Bastion::new(estate, &servers, true).run(words));
    servers
}

/// Measures so many engines; mean processor of one in per cent of a core, and its mean memory.
fn measure(bin: &Path, estate: &Estate, engines: usize, share: bool) -> (f64, f64) {
    let servers = journal(bin, estate);
    let bastions: Vec<Bastion> = (0..engines).map(|_| Bastion::new(estate, &servers, share)).collect();
    let mut running = Vec::new();
    for (n, bastion) in bastions.iter().enumerate() {
        if n > 0 {
            shared_journal::bring_key(&bastions[0].journal(), &bastion.journal());
        }
        running.push(bastion.serve());
    }
    let all = estate.sources() + usize::from(share);
    let deadline = Instant::now() + LONG;
    let mut seen = Vec::new();
    while seen.len() < engines {
        assert!(Instant::now() < deadline, "of {all} sources the engines see {:?}", bastions[seen.len()].sees());
        match bastions[seen.len()].sees() {
            (known, _) if known < all => std::thread::sleep(Duration::from_secs(1)),
            (_, own) => seen.push(own),
        }
    }
    std::thread::sleep(SETTLE);
    let (database, from) = (measured::family(servers[0].pid()), Instant::now());
    let before: Vec<f64> = running.iter().map(|s| measured::processor(s.pid())).collect();
    std::thread::sleep(estate.size.window);
    let took = from.elapsed().as_secs_f64();
    let load: Vec<f64> =
        running.iter().zip(&before).map(|(s, b)| (measured::processor(s.pid()) - b) / took * 100.0).collect();
    let database = (measured::family(servers[0].pid()) - database) / took * 100.0;
    let memory: Vec<f64> = running.iter().map(|s| measured::memory(s.pid(), "VmRSS")).collect();
    let known: Vec<usize> = bastions.iter().map(|b| b.sees().0).collect();
    let whose = if share { "that share" } else { "each for itself" };
    println!("{engines} engines {whose}: the database {database:.1}% of a core");
    for n in 0..engines {
        println!(
            "  engine {n}: {:.1}% of a core, {:.0} MiB, watches {} of {all} sources, sees {}",
            load[n], memory[n], seen[n], known[n]
        );
    }
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    (mean(&load), mean(&memory))
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.first().map(String::as_str) {
        Some(cluster::SERVE) => return cluster::serve(),
        Some(TENANTS) => return tenants(),
        _ => {}
    }
    let number = |n: usize, usual: usize| args.get(n).map_or(usual, |a| a.parse().unwrap());
    let window = Duration::from_secs(number(3, 60) as u64);
    let size = Size { clusters: number(0, 50), tenants: number(1, 5_000), window };
    let engines = args.get(2).map_or("1,2,3,5", String::as_str);
    let engines: Vec<usize> = engines.split(',').map(|n| n.parse().unwrap()).collect();
    let Some(bin) = programs() else { return println!("SKIP: it needs PostgreSQL") };
    let estate = Estate::start(size);
    let Size { clusters, tenants, .. } = &estate.size;
    let pods = clusters * DEPLOYMENTS * 10;
    println!("{clusters} clusters, {pods} pods, {tenants} tenants, {} sources", estate.sources());
    println!("the servers of the tenants: pid {}", estate.tenants.0.id());
    let own = measure(&bin, &estate, 1, false);
    for count in engines {
        let (cpu, memory) = measure(&bin, &estate, count, true);
        println!(
            "  mean of {count}: {cpu:.1}% of a core, {memory:.0} MiB an engine; ratios to one that shares nothing: {:.2} and {:.2}",
            cpu / own.0,
            memory / own.1
        );
    }
}
