//! How long a replay takes to seek anywhere in a 24-hour incident: a recording is made of the simulated estate at its real
//! pace, a frame a second, and 200 random moments of it are shown. `cargo bench --bench replay` prints it; the bar is
//! 100 ms. `QUARTERDECK_BENCH_HOURS` makes a shorter one.

use jiff::{SignedDuration, Timestamp};
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::estate::Environment;
use quarterdeck::domain::id::{IncidentId, Person};
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::world::World;
use quarterdeck::drill::model::build::Size;
use quarterdeck::drill::{Drill, Options, catalog};
use quarterdeck::engine::api::{ReplayAsk, Snapshot};
use quarterdeck::engine::judge::Judge;
use quarterdeck::engine::recording::past::Past;
use quarterdeck::engine::recording::piece::{Piece, Writer};
use quarterdeck::engine::recording::player::Player;
use quarterdeck::journal::{Draft, Journal, Kind, OpenOptions, evidence};
use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Seeks that are measured.
const SEEKS: usize = 200;
/// What a seek may take.
const BAR: Duration = Duration::from_millis(100);
/// Longest piece, as the engine keeps them.
const PIECE: SignedDuration = SignedDuration::from_mins(5);
/// Seconds between two records of the incident.
const RECORD_EACH: i64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let hours = std::env::var("QUARTERDECK_BENCH_HOURS").ok().and_then(|h| h.parse().ok()).unwrap_or(24.0_f64);
    measure("two dozen tenants", 24, hours)?;
    // A seek reads one piece, however many there are: a quarter of an hour of a great estate shows what they cost.
    measure("1,000 tenants", 1000, hours / 96.0)
}

fn measure(name: &str, tenants: u16, hours: f64) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let began = Instant::now();
    let (from, to, bytes, pieces) = record(dir.path(), tenants, SignedDuration::try_from_secs_f64(hours * 3600.0)?)?;
    println!(
        "{name}: {:.2} h recorded in {pieces} pieces, {} kB, made in {:.1} s",
        to.duration_since(from).as_secs_f64() / 3600.0,
        bytes / 1000,
        began.elapsed().as_secs_f64()
    );
    let past = Past::open(dir.path(), &IncidentId::new("INC-1"))?.ok_or("the incident is not there")?;
    let mut player = Player::new(past, Person::new("mara"));
    let span = to.duration_since(from).as_millis().max(1);
    let (mut random, mut took) = (0x2545_F491_4F6C_DD1D_u64, Vec::with_capacity(SEEKS));
    for _ in 0..SEEKS {
        // xorshift64: the same moments each time.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let at = from + SignedDuration::from_millis(i64::try_from(i128::from(random) % span)?);
        let began = Instant::now();
        player.ask(&ReplayAsk::To(at.to_string()))?;
        let shown = player.show();
        took.push(began.elapsed());
        assert!(shown.replay.is_some_and(|r| r.unseen.is_none()), "{at} is not shown");
    }
    took.sort_unstable();
    let of = |share: usize| took.get((took.len() * share / 100).min(took.len() - 1)).copied().unwrap_or_default();
    let (p50, p99, max) = (of(50), of(99), of(100));
    let ratio = max.as_secs_f64() / BAR.as_secs_f64();
    println!("{name}: {SEEKS} seeks, p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}: {ratio:.2} of the bar of {BAR:?}");
    println!("{name}: within the bar: {}", if max <= BAR { "yes" } else { "NO" });
    Ok(())
}

/// An incident of that length on an estate of that many tenants, as an engine would have kept it: first and last moment,
/// bytes and number of the pieces.
fn record(
    dir: &Path,
    tenants: u16,
    length: SignedDuration,
) -> Result<(Timestamp, Timestamp, usize, usize), Box<dyn Error>> {
    let (entries, _) = catalog::load(&[]);
    let scenario = &entries.iter().find(|e| e.scenario.exercise.id == "schema-lock").ok_or("no scenario")?.scenario;
    let size = Size { tenants, pods_per_tenant: 10, primaries: 2 };
    let drill = Drill::start(scenario, Options { speed: Some(0.0), size: Some(size), ..Options::default() });
    let clock = drill.clock();
    let specs = drill.observers().iter().map(|o| o.spec()).collect::<Vec<_>>();
    let mut world = World::new(Arc::clone(drill.estate()), specs, clock.now());
    let mut judge = Judge::new(drill.settings(), drill.estate());
    let from = clock.now();
    let me = Actor { user: "mara".into(), uid: 1000, via: "bench".into(), host: "h".into(), console: None };
    let options = OpenOptions::new(dir, "quarterdeck/bench", me.clone(), Mode::Live, Environment::Production, from);
    let (journal, _) = Journal::open(options)?;
    let put = |time: Timestamp, kind: Kind, body: Value, ours: bool| {
        let incident = ours.then(|| IncidentId::new("INC-1"));
        let (actor, mode, environment) = (me.clone(), Mode::Live, Environment::Production);
        journal.append_blocking(vec![Draft { kind, incident, body, actor, mode, environment, time }])
    };
    put(
        from,
        Kind::IncidentDeclared,
        json!({"incident": "INC-1", "title": "t", "severity": "SEV1", "findings": []}),
        true,
    )?;
    let mut shown: Snapshot = serde_json::from_value(json!({
        "generation": 0, "at": from, "estate": &**drill.estate(), "mode": "live", "health": "ok", "panes": {
            "sources": [], "tenants": [], "databases": [], "queues": [], "ingress": [],
        }, "findings": [], "changes": [], "incidents": [], "runs": [], "playbooks": [], "measures": [], "glass": null,
        "journal": { "dir": "d", "size": 1, "root": "r", "broken": null, "tail": [] }, "drill": null, "me": "mara",
    }))?;
    let (mut writer, mut bytes, mut pieces, mut to): (Option<Writer>, _, _, _) = (None, 0, 0, from);
    let keep = |piece: Piece, pieces: &mut usize, bytes: &mut usize| -> Result<(), Box<dyn Error>> {
        let sha256 = evidence::put(dir, &piece.bytes)?;
        put(piece.to, Kind::EvidenceCaptured, piece.body(&sha256), false)?;
        *pieces += 1;
        *bytes += piece.bytes.len();
        Ok(())
    };
    let seconds = length.as_secs().max(60);
    for second in 0..seconds {
        for sample in &drill.second() {
            judge.take(&mut world, sample);
        }
        to = clock.now();
        let (findings, panes) = judge.look(&mut world, to);
        shown.generation += 1;
        (shown.at, shown.findings, shown.panes) = (to, Arc::new(findings), Arc::new(panes));
        let frame = Arc::new(shown.clone());
        match &mut writer {
            None => writer = Some(Writer::begin(&frame)?),
            Some(writer) => {
                writer.add(&frame, second % 5 == 0)?;
            }
        }
        if let Some(done) = writer.take_if(|w| w.is_long() || w.to().duration_since(w.from()) >= PIECE) {
            keep(done.end()?, &mut pieces, &mut bytes)?;
        }
        if second % RECORD_EACH == 0 {
            put(to, Kind::NoteAdded, json!({ "text": format!("looked at it in second {second}") }), true)?;
        }
    }
    if let Some(done) = writer {
        keep(done.end()?, &mut pieces, &mut bytes)?;
    }
    put(to, Kind::IncidentClosed, json!({ "summary": "over" }), true)?;
    journal.close_blocking(to)?;
    Ok((from, to, bytes, pieces))
}
