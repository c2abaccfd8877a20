//! `status`: the panes without a screen. Asks the engine that runs; without one it looks for itself, and takes
//! neither the journal nor its lock.

use super::args::{Format, Global};
use super::opening;
use super::output::{self, Error, Exit};
use super::session;
use crate::console::rows::{Context, plain};
use crate::correlate::panes;
use crate::domain::estate::{Environment, Estate};
use crate::domain::finding::Finding;
use crate::domain::health::Health;
use crate::domain::mode::Mode;
use crate::domain::pane::{DatabaseRow, IngressRow, Panes, QueueRow, TenantRow};
use crate::domain::ports::Clock;
use crate::domain::world::World;
use crate::engine::adapters::Adapters;
use crate::engine::inbox::Inbox;
use crate::engine::judge::Judge;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a source may take for its first answer before it is reported as unknown.
const FIRST_ANSWER: Duration = Duration::from_secs(6);
/// Panes of the contract that this version has no source for.
const LATER: [&str; 4] = ["platform", "recovery", "delivery", "business"];

/// The output contract of `status --format json`; schema 1.
#[derive(Serialize)]
struct Status<'a> {
    schema: u32,
    estate: &'a str,
    environment: Environment,
    mode: Mode,
    generated_at: Timestamp,
    health: Health,
    sources: Vec<Value>,
    tenants: &'a [TenantRow],
    databases: &'a [DatabaseRow],
    queues: &'a [QueueRow],
    ingress: &'a [IngressRow],
    platform: [Value; 0],
    recovery: [Value; 0],
    delivery: [Value; 0],
    business: [Value; 0],
    findings: &'a [Finding],
}

/// One look at an estate.
struct Look {
    estate: Arc<Estate>,
    mode: Mode,
    at: Timestamp,
    panes: Panes,
    findings: Vec<Finding>,
}

/// Runs it.
pub fn run(global: &Global, watch: bool) -> Result<Exit, Error> {
    session::runtime()?.block_on(async {
        let live = match global.drill {
            Some(_) => None,
            None => Some(session::load(global)?),
        };
        if let Some(loaded) = &live {
            let home = session::home(&loaded.config);
            if session::running_snapshot(&home).await?.is_some() {
                return from_engine(global, &home, watch).await;
            }
        }
        let adapters = match (&live, &global.drill) {
            (Some(loaded), _) => opening::adapters(loaded, Mode::ReadOnly)?,
            (None, scenario) => opening::drill_adapters(scenario.as_deref().unwrap_or_default())?,
        };
        own_look(global, adapters, watch).await
    })
}

async fn from_engine(global: &Global, home: &session::Home, watch: bool) -> Result<Exit, Error> {
    let mut last: Option<Value> = None;
    loop {
        let Some(snapshot) = session::running_snapshot(home).await? else {
            return Err(Error::Failed("the engine has ended".into()));
        };
        let look = Look {
            estate: snapshot.estate.clone(),
            mode: snapshot.mode,
            at: snapshot.at,
            panes: (*snapshot.panes).clone(),
            findings: (*snapshot.findings).clone(),
        };
        if let Some(exit) = said(global, &look, watch, &mut last)? {
            return Ok(exit);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The estate as it was seen by one look.
pub struct Seen {
    /// What is known.
    pub world: World,
    /// When.
    pub at: Timestamp,
}

/// Looks until every source has answered or failed, or the patience is over.
pub async fn look_once(adapters: Adapters) -> Seen {
    let mut looking = Looking::start(adapters);
    while !looking.answered() && tokio::time::Instant::now() < looking.deadline {
        looking.take().await;
    }
    Seen { at: looking.clock.now(), world: looking.world.clone() }
}

/// Observers at work for a command without an engine.
struct Looking {
    world: World,
    judge: Judge,
    clock: Arc<dyn Clock>,
    mode: Mode,
    inbox: Inbox,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    deadline: tokio::time::Instant,
}

impl Looking {
    fn start(adapters: Adapters) -> Self {
        let Adapters { estate, mode, clock, observers, settings, .. } = adapters;
        let world = World::new(estate.clone(), observers.iter().map(|o| o.spec()), clock.now());
        let inbox = Inbox::default();
        let tasks = observers.into_iter().map(|o| tokio::spawn(o.run(inbox.sink()))).collect();
        let deadline = tokio::time::Instant::now() + FIRST_ANSWER;
        Self { world, judge: Judge::new(settings, &estate), clock, mode, inbox, tasks, deadline }
    }

    fn answered(&self) -> bool {
        self.world.sources.values().all(|s| s.good.is_some() || s.failing.is_some())
    }

    async fn take(&mut self) {
        // The time-out is no failure: silence is judged as well.
        let _ = tokio::time::timeout(Duration::from_millis(500), self.inbox.arrived()).await;
        for sample in self.inbox.drain() {
            self.judge.take(&mut self.world, &sample);
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn own_look(global: &Global, adapters: Adapters, watch: bool) -> Result<Exit, Error> {
    let mut looking = Looking::start(adapters);
    let mut last = None;
    loop {
        if looking.answered() || tokio::time::Instant::now() >= looking.deadline {
            let at = looking.clock.now();
            let (findings, panes) = looking.judge.look(&looking.world, at);
            let look = Look { estate: looking.world.estate.clone(), mode: looking.mode, at, panes, findings };
            if let Some(exit) = said(global, &look, watch, &mut last)? {
                return Ok(exit);
            }
        }
        looking.take().await;
    }
}

/// Says what was seen; when watching, only what differs from the last time, and goes on.
fn said(global: &Global, look: &Look, watch: bool, last: &mut Option<Value>) -> Result<Option<Exit>, Error> {
    let health = panes::health(&look.panes);
    if !watch {
        print(global, look, health)?;
        return Ok(Some(health.into()));
    }
    let healths = |rows: &mut dyn Iterator<Item = Health>| rows.map(Health::word).collect::<Vec<_>>();
    let shape = json!({
        "sources": healths(&mut look.panes.sources.iter().map(|r| r.health)),
        "tenants": look.panes.tenants.iter().map(|r| (&r.id, r.health, &r.why)).collect::<Vec<_>>(),
        "databases": healths(&mut look.panes.databases.iter().map(|r| r.health)),
        "queues": healths(&mut look.panes.queues.iter().map(QueueRow::health)),
        "ingress": healths(&mut look.panes.ingress.iter().map(|r| r.health)),
        "findings": look.findings.iter().map(|f| (&f.id, f.severity)).collect::<Vec<_>>(),
    });
    if last.as_ref() != Some(&shape) {
        print(global, look, health)?;
        *last = Some(shape);
    }
    Ok(None)
}

fn print(global: &Global, look: &Look, health: Health) -> Result<(), Error> {
    if global.format == Format::Json { print_json(look, health) } else { print_table(look, health) }
}

fn print_json(look: &Look, health: Health) -> Result<(), Error> {
    let mut sources = Vec::new();
    for row in &look.panes.sources {
        sources.push(serde_json::to_value(row).map_err(Error::failed)?);
    }
    for pane in LATER {
        sources.push(json!({
            "id": pane, "kind": "none", "health": Health::Unknown, "observed_at": null, "age_s": null, "took_ms": null,
            "why": format!("no source is configured for the pane {pane}"),
        }));
    }
    output::json(&Status {
        schema: 1,
        estate: &look.estate.name,
        environment: look.estate.environment,
        mode: look.mode,
        generated_at: look.at,
        health,
        sources,
        tenants: &look.panes.tenants,
        databases: &look.panes.databases,
        queues: &look.panes.queues,
        ingress: &look.panes.ingress,
        platform: [],
        recovery: [],
        delivery: [],
        business: [],
        findings: &look.findings,
    })
}

fn print_table(look: &Look, health: Health) -> Result<(), Error> {
    output::line(&format!(
        "{} {} {} {health} at {}",
        look.estate.name,
        look.estate.environment,
        look.mode,
        look.at.strftime("%Y-%m-%d %H:%M:%SZ")
    ))?;
    let context = Context { now: look.at, estate: &look.estate };
    let panes = [
        ("FINDINGS", plain(look.findings.iter(), &context)),
        ("TENANTS", plain(look.panes.tenants.iter(), &context)),
        ("DATABASES", plain(look.panes.databases.iter(), &context)),
        ("QUEUES", plain(look.panes.queues.iter(), &context)),
        ("INGRESS", plain(look.panes.ingress.iter(), &context)),
        ("SOURCES", plain(look.panes.sources.iter(), &context)),
    ];
    for (title, rows) in panes {
        output::line(&format!("\n{title}"))?;
        output::line(rows.trim_end())?;
    }
    Ok(())
}
