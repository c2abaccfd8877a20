//! `status`: the panes without a screen. Asks the engine that runs; without one it looks for itself, and takes
//! neither the journal nor its lock.

use super::args::{Format, Global};
use super::opening;
use super::output::{self, Error, Exit};
use super::session::{self, Scope, Target};
use crate::console::rows::{Context, plain};
use crate::console::views::View;
use crate::correlate::{panes, standby};
use crate::domain::estate::{Environment, Estate, Service};
use crate::domain::facts::Missing;
use crate::domain::finding::{Change, Finding};
use crate::domain::health::Health;
use crate::domain::mode::Mode;
use crate::domain::pane::{DatabaseRow, IngressRow, Pane, Panes, QueueRow, SourceRow, SubjectRow, TenantRow};
use crate::domain::ports::Clock;
use crate::domain::sample::SourceKind;
use crate::domain::usual::UsualState;
use crate::domain::world::{SourceState, World};
use crate::engine;
use crate::engine::adapters::Adapters;
use crate::engine::api::Snapshot;
use crate::engine::inbox::Inbox;
use crate::engine::judge::Judge;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a source may take for its first answer before it is reported as unknown.
const FIRST_ANSWER: Duration = Duration::from_secs(6);

/// The output contract of `status --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Status<'a> {
    /// Version of this schema: 1.
    schema: u32,
    /// Name of the estate.
    estate: &'a str,
    /// Its class.
    environment: Environment,
    /// What the process may touch.
    mode: Mode,
    /// When this was made; in a drill the scenario's time.
    generated_at: Timestamp,
    /// Roll-up of everything.
    health: Health,
    /// Every observer, and a row for each pane that has none.
    sources: Vec<SourceLine>,
    /// One row a tenant, worst first.
    tenants: &'a [TenantRow],
    /// One row an instance or pool.
    databases: &'a [DatabaseRow],
    /// One row a channel, then one a Redis.
    queues: &'a [QueueRow],
    /// One row a router, then one an ingress.
    ingress: &'a [IngressRow],
    /// One row a cluster, node or other part, worst first.
    platform: &'a [SubjectRow],
    /// One row a backup or what it is of, worst first.
    recovery: &'a [SubjectRow],
    /// One row an application or pipeline, worst first.
    delivery: &'a [SubjectRow],
    /// One row a process or integration, worst first.
    business: &'a [SubjectRow],
    /// One row a part whose protection is observed, worst first.
    security: &'a [SubjectRow],
    /// What is wrong, worst first.
    findings: &'a [Finding],
    /// How far it is known what is usual, with which rules compare.
    usual: Known<'a>,
}

/// How far it is known what is usual.
#[derive(Serialize, JsonSchema)]
struct Known<'a> {
    /// `unknown` unless every value can be compared.
    health: Health,
    /// The same in a sentence.
    why: String,
    /// In numbers.
    #[serde(flatten)]
    state: &'a UsualState,
}

/// One observer, or one pane that none is configured for.
#[derive(Serialize, JsonSchema)]
struct SourceLine {
    /// Name of the observer, or of the pane.
    id: String,
    /// Kind of the system; `none` where no source is configured.
    kind: &'static str,
    /// `ok` when fresh, `warn` when rights are missing, `unknown` otherwise.
    health: Health,
    /// Address without secrets; absent where no source is configured.
    address: Option<String>,
    /// Last good observation.
    observed_at: Option<Timestamp>,
    /// Its age in seconds.
    age_s: Option<f64>,
    /// How long it took, in milliseconds.
    took_ms: Option<f64>,
    /// Since when it is unknown.
    unknown_since: Option<Timestamp>,
    /// Why it is not green.
    why: Option<String>,
    /// Rights that are missing.
    missing: Vec<Missing>,
    /// Host of the engine that watches it in the place of this one, where engines share the sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    watched_by: Option<String>,
}

impl SourceLine {
    fn of(row: &SourceRow) -> Self {
        Self {
            id: row.id.to_string(),
            kind: row.kind.word(),
            health: row.health,
            address: Some(row.address.to_string()),
            observed_at: row.observed_at,
            age_s: row.age_s,
            took_ms: row.took_ms,
            unknown_since: row.unknown_since,
            why: row.why.clone(),
            missing: row.missing.clone(),
            watched_by: row.watched_by.clone(),
        }
    }

    fn none_for(pane: &str) -> Self {
        Self {
            id: pane.to_owned(),
            kind: "none",
            health: Health::Unknown,
            address: None,
            observed_at: None,
            age_s: None,
            took_ms: None,
            unknown_since: None,
            why: Some(format!("no source is configured for the pane {pane}")),
            missing: Vec::new(),
            watched_by: None,
        }
    }
}

/// One look at an estate.
pub struct Look {
    /// The estate.
    pub estate: Arc<Estate>,
    mode: Mode,
    /// When.
    pub at: Timestamp,
    /// Its panes.
    pub panes: Panes,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What changed, newest first.
    pub changes: Vec<Change>,
    /// How far it is known what is usual.
    pub usual: Arc<UsualState>,
    services: Vec<Service>,
}

impl Look {
    /// What an engine says.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            estate: snapshot.estate.clone(),
            mode: snapshot.mode,
            at: snapshot.at,
            panes: (*snapshot.panes).clone(),
            findings: (*snapshot.findings).clone(),
            changes: (*snapshot.changes).clone(),
            usual: snapshot.usual.clone(),
            services: (*snapshot.services).clone(),
        }
    }

    /// Roll-up of everything.
    pub fn health(&self) -> Health {
        panes::health(&self.panes)
    }

    /// What the process may touch.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// As programs read it.
    pub fn status(&self) -> Status<'_> {
        self.judged(self.health())
    }

    fn judged(&self, health: Health) -> Status<'_> {
        let sources = self.panes.sources.iter().map(SourceLine::of);
        let unseen = Pane::GENERAL.into_iter().filter(|pane| self.panes.subjects(*pane).is_empty());
        let sources = sources.chain(unseen.map(|pane| SourceLine::none_for(pane.word()))).collect();
        Status {
            schema: 1,
            estate: &self.estate.name,
            environment: self.estate.environment,
            mode: self.mode,
            generated_at: self.at,
            health,
            sources,
            tenants: &self.panes.tenants,
            databases: &self.panes.databases,
            queues: &self.panes.queues,
            ingress: &self.panes.ingress,
            platform: &self.panes.platform,
            recovery: &self.panes.recovery,
            delivery: &self.panes.delivery,
            business: &self.panes.business,
            security: &self.panes.security,
            findings: &self.findings,
            usual: Known { health: self.usual.health(), why: self.usual.words(), state: &self.usual },
        }
    }
}

/// One look at the estate or drill that is meant.
pub fn once(global: &Global) -> Result<Look, Error> {
    session::runtime()?.block_on(async {
        match &global.drill {
            Some(scenario) => Ok(look_with(opening::drill_adapters(scenario)?).await),
            None => look(session::target(global)?).await,
        }
    })
}

/// Runs it.
pub fn run(global: &Global, watch: bool) -> Result<Exit, Error> {
    if let Some(scenario) = &global.drill {
        let look = async { own_look(global, opening::drill_adapters(scenario)?, watch).await };
        return session::runtime()?.block_on(look);
    }
    match session::scope(global)? {
        Scope::All(_) if watch => {
            let message = "--watch follows one estate, and the configuration names several: give --estate NAME too";
            Err(Error::Usage(message.into()))
        }
        Scope::All(several) => super::estates::status(global, &several),
        Scope::One(target) => session::runtime()?.block_on(one(global, target, watch)),
    }
}

async fn one(global: &Global, target: Target, watch: bool) -> Result<Exit, Error> {
    let loaded = match target {
        Target::Estate(loaded) => *loaded,
        served @ Target::Served { .. } => return from_engine(global, &session::home_of(served), watch).await,
    };
    let home = session::home(&loaded.config);
    if session::running_snapshot(&home).await?.is_some() {
        return from_engine(global, &home, watch).await;
    }
    own_look(global, for_a_look(&loaded)?, watch).await
}

/// One look at an estate: the engine's where one runs, else until every source has answered or the patience is over.
pub async fn look(target: Target) -> Result<Look, Error> {
    let loaded = match target {
        Target::Estate(loaded) => *loaded,
        served @ Target::Served { .. } => {
            return Ok(Look::of(&*session::must_run(&session::home_of(served)).await?));
        }
    };
    if let Some(snapshot) = session::running_snapshot(&session::home(&loaded.config)).await? {
        return Ok(Look::of(&snapshot));
    }
    Ok(look_with(for_a_look(&loaded)?).await)
}

async fn look_with(adapters: Adapters) -> Look {
    let mut looking = Looking::start(adapters);
    while !looking.answered() && tokio::time::Instant::now() < looking.deadline {
        looking.take().await;
    }
    looking.look()
}

/// Adapters that only look, with what an engine has learnt before.
fn for_a_look(loaded: &session::Loaded) -> Result<Adapters, Error> {
    let mut adapters = opening::adapters(loaded, Mode::ReadOnly)?;
    adapters.usual = Some(session::usual_file(&loaded.config));
    Ok(adapters)
}

async fn from_engine(global: &Global, home: &session::Home, watch: bool) -> Result<Exit, Error> {
    let mut last: Option<Value> = None;
    loop {
        let Some(snapshot) = session::running_snapshot(home).await? else {
            let ended = if last.is_some() { "the engine has ended" } else { "no engine listens there" };
            return Err(Error::Failed(format!("{}: {ended}", home.socket.display())));
        };
        let look = Look::of(&snapshot);
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
        let Adapters { estate, mode, clock, observers, settings, usual, drill, .. } = adapters;
        let specs = observers.iter().flat_map(|o| o.specs()).chain(standby::specs(&settings.standby));
        let world = World::new(estate.clone(), specs, clock.now());
        let inbox = Inbox::default();
        let tasks = observers.into_iter().map(|o| tokio::spawn(o.run(inbox.sink()))).collect();
        let deadline = tokio::time::Instant::now() + FIRST_ANSWER;
        let mut judge = Judge::new(settings, &estate);
        if let Some(drill) = drill {
            drill.seed(judge.baselines_mut());
        }
        if let Some(Err(why)) = usual.map(|path| engine::usual::borrow(&path, &estate.name, judge.baselines_mut())) {
            crate::note!("quarterdeck: {why}; what is usual is not known");
        }
        Self { world, judge, clock, mode, inbox, tasks, deadline }
    }

    fn answered(&self) -> bool {
        // What is made of the others is looked at after them.
        let has = |s: &SourceState| s.good.is_some() || s.failing.is_some() || s.spec.kind == SourceKind::Standby;
        self.world.sources.values().all(has)
    }

    fn look(&mut self) -> Look {
        let at = self.clock.now();
        let (findings, panes) = self.judge.look(&mut self.world, at);
        Look {
            estate: self.world.estate.clone(),
            mode: self.mode,
            at,
            panes,
            findings,
            changes: self.judge.changes(),
            usual: self.judge.usual(&self.world, at),
            services: self.judge.services().to_vec(),
        }
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
            let look = looking.look();
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
        "subjects": Pane::GENERAL
            .iter()
            .flat_map(|pane| look.panes.subjects(*pane))
            .map(|r| (&r.name, r.health, &r.why))
            .collect::<Vec<_>>(),
        "findings": look.findings.iter().map(|f| (&f.id, f.severity)).collect::<Vec<_>>(),
    });
    if last.as_ref() != Some(&shape) {
        print(global, look, health)?;
        *last = Some(shape);
    }
    Ok(None)
}

/// A moment of the past.
pub fn past(global: &Global, snapshot: &Snapshot) -> Result<(), Error> {
    print(global, &Look::of(snapshot), snapshot.health)
}

fn print(global: &Global, look: &Look, health: Health) -> Result<(), Error> {
    if global.format == Format::Json { print_json(look, health) } else { print_table(look, health) }
}

fn print_json(look: &Look, health: Health) -> Result<(), Error> {
    output::json(&look.judged(health))
}

fn print_table(look: &Look, health: Health) -> Result<(), Error> {
    output::line(&format!(
        "{} {} {} {health} at {}",
        look.estate.name,
        look.estate.environment,
        look.mode,
        look.at.strftime("%Y-%m-%d %H:%M:%SZ")
    ))?;
    let context = Context {
        now: look.at,
        estate: &look.estate,
        changes: &look.changes,
        services: &look.services,
        view: View::default(),
    };
    let panes = [
        ("FINDINGS", plain(look.findings.iter(), &context)),
        ("TENANTS", plain(look.panes.tenants.iter(), &context)),
        ("DATABASES", plain(look.panes.databases.iter(), &context)),
        ("QUEUES", plain(look.panes.queues.iter(), &context)),
        ("INGRESS", plain(look.panes.ingress.iter(), &context)),
        ("PLATFORM", plain(look.panes.platform.iter(), &context)),
        ("RECOVERY", plain(look.panes.recovery.iter(), &context)),
        ("DELIVERY", plain(look.panes.delivery.iter(), &context)),
        ("BUSINESS", plain(look.panes.business.iter(), &context)),
        ("SECURITY", plain(look.panes.security.iter(), &context)),
        ("SOURCES", plain(look.panes.sources.iter(), &context)),
    ];
    let general = |title: &str| Pane::GENERAL.into_iter().find(|pane| pane.word().to_uppercase() == title);
    for (title, rows) in panes {
        // A pane that nothing is observed for is named, not left out: its absence would look calm.
        if general(title).is_some_and(|pane| look.panes.subjects(pane).is_empty()) {
            output::line(&format!("\n{title}\nunknown   no source is configured for it"))?;
            continue;
        }
        output::line(&format!("\n{title}"))?;
        output::line(rows.trim_end())?;
    }
    output::line(&format!("\nUSUAL\n{:<9} {}", look.usual.health().word(), look.usual.words()))?;
    Ok(())
}
