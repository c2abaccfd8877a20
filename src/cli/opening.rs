//! Opens an engine for a command: on the drill, or on the configured estate. Whoever holds the journal already is
//! named; nothing is attempted before the journal can be written.

use super::args::{Global, Play};
use super::files::Files;
use super::log;
use super::output::Error;
use super::pins::{self, Pins};
use super::session::{self, Home, Loaded};
use super::witnesses;
use crate::attest::anchor::{self, Anchor};
use crate::attest::ledger::Postgres;
use crate::attest::witness;
use crate::config;
use crate::config::problem::{Problem, Problems};
use crate::correlate::rules::Rules;
use crate::correlate::signals;
use crate::domain::mode::Mode;
use crate::drill::catalog::{self, Entry};
use crate::drill::scenario::Scenario;
use crate::drill::{self, Drill, ScenarioError};
use crate::engine::adapters::{self, Adapters};
use crate::engine::attach::door::{Access, Group};
use crate::engine::attach::listen::{self, Host, Listener};
use crate::engine::core::{self, Parts, Running};
use crate::engine::metrics::listen as metrics;
use crate::engine::roster::PolicyFile;
use crate::engine::state::State;
use crate::engine::stepped::Stepped;
use crate::journal::key::VerifierKey;
use crate::journal::shared::Database;
use crate::journal::{OpenOptions, fold};
use crate::playbook::library::Library;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use tracing_appender::non_blocking::WorkerGuard;

/// A running engine with all that ends with it.
#[derive(Debug)]
pub struct Opened {
    /// The engine.
    pub running: Running,
    /// Where its state lies.
    pub home: Home,
    listener: Listener,
    anchor: Option<Anchor>,
    told: Box<Told>,
}

/// How it tells of itself.
#[derive(Debug)]
struct Told {
    watched: metrics::Watched,
    metrics: Option<metrics::Server>,
    log: Option<WorkerGuard>,
}

impl Opened {
    /// Where it tells of itself.
    pub fn metrics(&self) -> Option<std::net::SocketAddr> {
        self.told.metrics.as_ref().map(|server| server.address)
    }

    /// Ends it in good order: the step in hand is waited for and recorded.
    pub async fn end(mut self) {
        // Nobody new comes in; who is in sees how it ends.
        self.listener.close();
        self.running.end().await;
        self.listener.ended().await;
        if let Some(anchor) = self.anchor {
            anchor.end().await;
        }
        let Told { metrics, log, .. } = *self.told;
        drop(metrics);
        tracing::info!("the engine has ended");
        drop(log);
    }
}

/// The playbooks: the built-in ones, and the user's own over them; and what is wrong with files that are left out.
pub fn library() -> Result<(Library, Vec<crate::playbook::Problem>), Error> {
    Ok(read_library(&session::own_files("playbooks")?))
}

fn read_library(own: &[(String, String)]) -> (Library, Vec<crate::playbook::Problem>) {
    Library::load(own, &crate::act::catalog(), &signals::names())
}

/// The adapters of a scenario with its own seed and speed.
pub fn drill_adapters(scenario: &str) -> Result<Adapters, Error> {
    let mut adapters = adapters::drill(Drill::start(&scenario_of(Some(scenario))?, drill::Options::default()));
    adapters.settings.rules = said(super::explain::rules()?);
    Ok(adapters)
}

/// The adapters of a configured estate.
pub fn adapters(loaded: &Loaded, mode: Mode) -> Result<Adapters, Error> {
    let mut adapters = with_shipped_rules(loaded, mode)?;
    adapters.settings.rules = said(super::explain::rules()?);
    Ok(adapters)
}

fn with_shipped_rules(loaded: &Loaded, mode: Mode) -> Result<Adapters, Error> {
    let file = loaded.path.display().to_string();
    let problems = |all: Vec<String>| Problems(all.into_iter().map(|m| Problem::whole(&file, m)).collect());
    let mut adapters = adapters::live(&loaded.config, mode).map_err(problems)?;
    adapters.comms.table = super::comms::table_of(loaded)?;
    adapters.comms.oncall = Arc::new(super::comms::oncall_of(loaded)?);
    Ok(adapters)
}

/// The rules in force; what is wrong with those of the user is said.
fn said((rules, problems): (Arc<Rules>, Vec<Problem>)) -> Arc<Rules> {
    for problem in problems {
        crate::note!("quarterdeck: a rule is left out: {problem}");
    }
    rules
}

/// Opens the engine of a live estate. Without observers it only keeps the record (`incident declare`).
pub fn live(loaded: &Loaded, mode: Mode, observe: bool, via: &str) -> Result<Opened, Error> {
    let mut adapters = with_shipped_rules(loaded, mode)?;
    adapters.usual = observe.then(|| session::usual_file(&loaded.config));
    if observe {
        adapters::share(&mut adapters, &loaded.config, &session::me(via).host);
    } else {
        adapters.observers.clear();
        adapters.comms.schedules.clear();
    }
    let config = hex(&loaded.text);
    let (home, named) = (session::home(&loaded.config), json!({ "configuration": config, "file": loaded.path }));
    let witnesses = witnesses::settings(loaded, &home)?;
    let group = loaded.config.engine.socket_group.as_deref().map(Group::named).transpose().map_err(Error::Usage)?;
    let (policy, anchor) = (super::policy::of(loaded)?, loaded.config.journal.anchor.as_ref());
    let openings = loaded.config.journal.openings.clone();
    let (pin, access, database) = (Some(pin(loaded)?), Access { group }, database(loaded)?);
    let outside = Outside { pin, witnesses, anchor, policy, access, openings, database };
    // Neither may keep a console away in an incident: what does not work is said, and the engine opens.
    let log = log::start(&loaded.config).unwrap_or_else(|why| {
        crate::note!("quarterdeck: no log is written: {why}");
        None
    });
    let mut opened = open(adapters, home, &named, outside, via)?;
    opened.told.log = log;
    if let Some(address) = loaded.config.metrics.filter(|_| observe) {
        match metrics::listen(address, opened.told.watched.clone()) {
            Ok(server) => opened.told.metrics = Some(server),
            Err(error) => crate::note!("quarterdeck: no measures are told at {address}: {error}"),
        }
    }
    let (estate, pid, version) = (&loaded.config.estate.name, std::process::id(), env!("CARGO_PKG_VERSION"));
    tracing::info!(%estate, %mode, pid, version, via, "the engine runs");
    Ok(opened)
}

/// Most playbooks that were left out of which a record says why.
const LEFT_OUT: usize = 20;

/// What is known of a journal's key: what the configuration says, or its pin.
struct Pin {
    key: Option<VerifierKey>,
}

/// What stands outside the journal of a live estate: what is known of its key, and who vouches for its checkpoints and
/// keeps copies. A drill has none of them: its journal is its own.
#[derive(Default)]
struct Outside<'a> {
    pin: Option<Pin>,
    witnesses: Option<witness::Settings>,
    anchor: Option<&'a config::model::Anchor>,
    policy: PolicyFile,
    access: Access,
    /// Keys of those who can open what records commit to.
    openings: Vec<String>,
    /// Where the journal lies, when several bastions write it.
    database: Option<Arc<dyn Database>>,
}

/// The database of the configured journal, if it lies in one.
pub fn database(loaded: &Loaded) -> Result<Option<Arc<dyn Database>>, Error> {
    let config = loaded.config.journal.database.as_ref();
    let made = config.map(|config| Postgres::new(config).map(|made| Arc::new(made) as _));
    made.transpose().map_err(Error::failed)
}

fn pin(loaded: &Loaded) -> Result<Pin, Error> {
    let key = match pins::configured(&loaded.config)? {
        Some(key) => Some(key),
        None => Pins::own().get(&origin(&loaded.config.estate.name))?,
    };
    Ok(Pin { key })
}

/// The key of an estate's journal as it is known outside of it.
pub fn known_key(loaded: &Loaded) -> Result<Option<VerifierKey>, Error> {
    Ok(pin(loaded)?.key)
}

/// Name of the log of an estate.
pub fn origin(estate: &str) -> String {
    format!("quarterdeck/{estate}")
}

/// How the journal of a live estate is opened by a command that needs no engine.
pub fn options(loaded: &Loaded, via: &str) -> Result<OpenOptions, Error> {
    let estate = &loaded.config.estate;
    let (dir, me, now) = (session::home(&loaded.config).journal, session::me(via), jiff::Timestamp::now());
    let options = OpenOptions::new(dir, origin(&estate.name), me, Mode::Live, estate.environment, now);
    Ok(OpenOptions { pin: pin(loaded)?.key, database: database(loaded)?, ..options })
}

/// Opens the engine of a drill.
pub fn drill(play: &Play, via: &str) -> Result<Opened, Error> {
    let scenario = scenario_of(play.scenario.as_deref())?;
    let exercise = &scenario.exercise;
    let home = session::drill_home(&exercise.id);
    let loaded = json!({ "scenario": exercise.id, "seed": play.seed.unwrap_or(exercise.seed).to_string() });
    let options = drill::Options { seed: play.seed, speed: play.speed, ..drill::Options::default() };
    let adapters = adapters::drill(Drill::start(&scenario, options));
    open(adapters, home, &loaded, Outside::default(), via)
}

/// Opens the engine of a drill that is played second by second, without a socket.
pub async fn rehearse(scenario: &str, seed: Option<u64>, via: &str) -> Result<(Stepped, Home), Error> {
    let scenario = scenario_of(Some(scenario))?;
    let exercise = &scenario.exercise;
    let home = session::drill_home(&exercise.id);
    let options = drill::Options { seed, speed: Some(0.0), ..drill::Options::default() };
    let mut adapters = adapters::drill(Drill::start(&scenario, options));
    let (own, own_rules) = (session::own_files("playbooks")?, session::own_files_of("rules", "toml")?);
    let (library, problems) = read_library(&own);
    for problem in &problems {
        crate::note!("quarterdeck: a playbook is left out: {problem}");
    }
    adapters.settings.rules = said(super::explain::decoded(&own_rules, &library));
    let me = session::me(via);
    let (environment, now) = (adapters.estate.environment, adapters.clock.now());
    let origin = origin(&adapters.estate.name);
    let options = OpenOptions::new(&home.journal, origin, me.clone(), adapters.mode, environment, now);
    let mut state = State::default();
    let (journal, _) =
        tokio::task::block_in_place(|| fold::open(options, &mut state)).map_err(|e| Error::journal(&e))?;
    let digests: BTreeMap<_, _> = library.all().map(|e| (&e.playbook().id, e.plan.digest())).collect();
    let loaded = json!({
        "scenario": exercise.id, "seed": seed.unwrap_or(exercise.seed).to_string(), "playbooks": digests,
        "version": env!("CARGO_PKG_VERSION"),
    });
    let journal_dir = home.journal.display().to_string();
    let parts = Parts { adapters, library, journal, state, journal_dir, me, loaded, witnesses: None, anchored: None };
    let stepped = Stepped::open(parts, PolicyFile::default()).await;
    Ok((stepped.ok_or_else(|| Error::Failed("that is no drill".into()))?, home))
}

/// All scenarios: the built-in ones, and the user's own over them. Errors of any file are all said.
pub fn scenarios() -> Result<Vec<Entry>, Error> {
    let (entries, errors) = catalog::load(&session::own_files("drills")?);
    if errors.is_empty() { Ok(entries) } else { Err(Problems(errors.into_iter().map(problem).collect()).into()) }
}

/// An error in a scenario file, as errors of files are said.
pub fn problem(error: ScenarioError) -> Problem {
    let place = error.place.and_then(|(l, c)| Some((usize::try_from(l).ok()?, usize::try_from(c).ok()?)));
    let (line, column) = place.unzip();
    Problem { file: error.file, line, column, message: error.message }
}

/// The scenario of that id, the default one without.
pub fn scenario_of(id: Option<&str>) -> Result<Scenario, Error> {
    let mut entries = scenarios()?;
    let id = id.filter(|i| !i.is_empty()).unwrap_or(catalog::DEFAULT);
    let Some(at) = entries.iter().position(|e| e.scenario.exercise.id == id) else {
        let ids: Vec<&str> = entries.iter().map(|e| e.scenario.exercise.id.as_str()).collect();
        return Err(Error::Usage(format!("there is no scenario `{id}`; there are {}", ids.join(", "))));
    };
    Ok(entries.swap_remove(at).scenario)
}

/// Opens whatever the global options name.
pub fn named(global: &Global, observe: bool, via: &str) -> Result<Opened, Error> {
    if let Some(scenario) = &global.drill {
        let play = Play { scenario: Some(scenario.clone()), ..Play::default() };
        return drill(&play, via);
    }
    let loaded = session::load(global)?;
    live(&loaded, session::live_mode(global), observe, via)
}

fn open(
    mut adapters: Adapters,
    home: Home,
    loaded: &serde_json::Value,
    outside: Outside<'_>,
    via: &str,
) -> Result<Opened, Error> {
    // Read while the journal is opened: the one waits for the processor, the other for the disk.
    let (own, own_rules) = (session::own_files("playbooks")?, session::own_files_of("rules", "toml")?);
    let reading = std::thread::spawn(move || read_library(&own));
    let me = session::me(via);
    let origin = origin(&adapters.estate.name);
    let environment = adapters.estate.environment;
    // In the name of the person: whoever comes second is told who holds the journal.
    let options = OpenOptions::new(&home.journal, origin, me.clone(), adapters.mode, environment, adapters.clock.now());
    let Outside { pin, witnesses, anchor, access, policy, openings, database } = outside;
    let known = pin.as_ref().and_then(|p| p.key.clone());
    let options = OpenOptions { pin: known.clone(), database, ..options };
    let (journal, recovered, state) =
        tokio::task::block_in_place(|| fold::open_kept::<State>(options)).map_err(|e| Error::journal(&e))?;
    for why in &recovered.passed_over {
        tracing::warn!(%why, "a snapshot of the state was passed over");
    }
    if pin.is_some()
        && let Some(done) = Pins::own().follow(journal.ring())?
    {
        crate::note!("quarterdeck: {done}");
    }
    if pin.is_some()
        && let Some(first) = state.first_policy()
        && let Some(done) = Pins::own().follow_policy(journal.ring().current().name(), first)?
    {
        crate::note!("quarterdeck: {done}");
    }
    if let Some(torn) = &recovered.quarantined {
        crate::note!("quarterdeck: the end of the journal was torn ({}); it lies in {}", torn.why, torn.file);
    }
    let (library, problems) = reading
        .join()
        .map_err(|_| Error::Failed("the playbooks could not be read: a defect, please report it".into()))?;
    for problem in &problems {
        crate::note!("quarterdeck: a playbook is left out: {problem}");
    }
    adapters.settings.rules = said(super::explain::decoded(&own_rules, &library));
    let left_out: Vec<String> =
        problems.iter().take(LEFT_OUT).map(|p| crate::domain::text::sanitize(&p.to_string())).collect();
    let digests: BTreeMap<_, _> = library.all().map(|e| (&e.playbook().id, e.plan.digest())).collect();
    let mut loaded = loaded.clone();
    if let Some(members) = loaded.as_object_mut() {
        members.insert("playbooks".into(), json!(digests));
        if !left_out.is_empty() {
            members.insert("left_out".into(), json!(left_out));
        }
        if pin.is_some() {
            members.insert("policy".into(), json!(policy.policy.digest));
        }
        members.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
    }
    let journal_dir = home.journal.display().to_string();
    let on_disk = journal.watch();
    let anchor = anchor.map(|anchor| {
        let log = anchor::Log { dir: home.journal.clone(), status: journal.watch(), ring: journal.ring().clone() };
        Anchor::start(anchor.clone(), log, adapters.clock.clone())
    });
    let anchored = anchor.as_ref().map(Anchor::view);
    let running = core::start_with(
        Parts { adapters, library, journal, state, journal_dir, me, loaded, witnesses, anchored },
        policy,
        openings,
    );
    let host = Host {
        client: running.client.clone(),
        door: running.door.clone(),
        access,
        shelf: Arc::new(Files { dir: home.journal.clone(), pin: known }),
        people: pin.is_some().then(|| Arc::new(running.signers.clone()) as _),
    };
    let listener = match listen::listen(&home.socket, host) {
        Ok(listener) => listener,
        Err(error) => return Err(Error::Failed(format!("{}: {error}", home.socket.display()))),
    };
    let (client, counters) = (running.client.clone(), running.counters.clone());
    let watched = metrics::Watched { client, journal: on_disk, dir: home.journal.clone(), counters };
    let told = Box::new(Told { watched, metrics: None, log: None });
    Ok(Opened { running, home, listener, anchor, told })
}

fn hex(text: &str) -> crate::domain::id::Digest {
    crate::domain::id::Digest::from_bytes(&Sha256::digest(text).into())
}
