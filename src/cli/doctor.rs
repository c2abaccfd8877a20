//! `doctor`: for each configured system whether it answers, its version, what rights are missing and what each
//! gap disables; and whether the journal can be written.

mod bundle;
mod second_factor;
mod secrets;

use super::args::{Format, Global};
use super::opening;
use super::output::{self, Error, Exit};
use super::policy;
use super::session::{self, Loaded};
use super::witnesses;
use crate::act;
use crate::attest::anchor::{self, Bucket, Protection};
use crate::attest::ledger::Postgres;
use crate::comms::oncall::{OnCall, Standing};
use crate::config::model::Anchor as Config;
use crate::config::model::JournalDatabase;
use crate::domain::facts::{Facts, Measured, Missing};
use crate::domain::health::Health;
use crate::domain::logs::Untold;
use crate::domain::mode::Mode;
use crate::domain::sample::{Sample, SourceKind};
use crate::domain::text::sanitize;
use crate::engine;
use crate::engine::adapters::{Adapters, Wall};
use crate::engine::inbox::Inbox;
use crate::engine::logs::LogSources;
use crate::journal::shared::{Database as _, LedgerError};
use crate::observe::oncall::ScheduleReader;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a system may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The output contract of `doctor --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Report<'a> {
    /// Version of this schema: 1.
    schema: u32,
    /// The worst of all systems.
    health: Health,
    /// Each configured system, the journal, and each tenant that lacks a part.
    systems: &'a [Finding],
}

/// What is said of one system.
#[derive(Default, Serialize, JsonSchema)]
struct Finding {
    /// Name in the configuration; `journal` for the journal.
    id: String,
    /// Kind of the system, `journal` or `tenant`.
    kind: String,
    /// Address without secrets; a directory or a file for what is no server.
    address: String,
    /// `ok`; `warn` when something is missing; `critical` when nothing can run; `unknown` without an answer.
    health: Health,
    /// Whether it answered.
    reachable: bool,
    /// Version, as it says.
    version: Option<String>,
    /// Why it is not reachable.
    why: Option<String>,
    /// What is missing, what that disables and what would help.
    missing: Vec<Missing>,
    /// Certificates seen, with their end; of a probe all that was seen.
    certificates: Vec<String>,
    /// The rights that the verbs need; only where there is a login for acting that can be asked.
    rights: Option<Rights>,
    /// What its logins may do that nothing here needs and that reaches far.
    excess: Vec<String>,
    /// Engines that share the sources, a sentence each; of the journal's database only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sharing: Vec<String>,
}

/// Rights that the verbs on a system need.
#[derive(Clone, Copy, Serialize, JsonSchema)]
struct Rights {
    /// How many.
    needed: usize,
    /// How many of them its logins hold.
    held: usize,
}

/// Runs it.
pub fn run(global: &Global, bundle: Option<&Path>) -> Result<Exit, Error> {
    if global.drill.is_some() {
        return Err(Error::Usage("a drill has no real systems to try; leave --drill out".into()));
    }
    let loaded = session::load(global)?;
    let all = examine(global, &loaded)?;
    let health = Health::worst(all.iter().map(|f| f.health));
    let report = Report { schema: 1, health, systems: &all };
    if let Some(file) = bundle {
        bundle::write(file, &loaded, &report)?;
    }
    if global.format == Format::Json {
        output::json(&report)?;
        return Ok(health.into());
    }
    for finding in &all {
        print(finding)?;
    }
    if let Some(file) = bundle {
        output::line(&format!("wrote {}; read it before you send it", file.display()))?;
    }
    Ok(health.into())
}

/// Asks everything that is configured.
fn examine(global: &Global, loaded: &Loaded) -> Result<Vec<Finding>, Error> {
    let mut adapters = opening::adapters(loaded, Mode::ReadOnly)?;
    let schedules = std::mem::take(&mut adapters.comms.schedules);
    let runtime = session::runtime()?;
    let sources = adapters.logs.clone();
    let mut all = runtime.block_on(ask_all(adapters));
    runtime.block_on(logs(&mut all, &sources, &loaded.config));
    if let Some(may) = Mode::ReadOnly.may_observe() {
        let people = policy::people(global, &loaded.config)?;
        for held in runtime.block_on(act::held::ask(may, &loaded.config, &people)) {
            add(&mut all, held);
        }
    }
    all.extend(runtime.block_on(secrets::vaults(&loaded.config)));
    all.extend(runtime.block_on(secrets::provider(&loaded.config)));
    all.extend(second_factor::asked_in_vain(global, loaded)?);
    all.extend(runtime.block_on(secrets::references(&loaded.config)));
    let home = session::home(&loaded.config);
    all.push(journal(&home));
    all.push(usual(&session::usual_file(&loaded.config)));
    if let Some(settings) = witnesses::settings(loaded, &home)? {
        all.extend(runtime.block_on(witnesses::try_all(&settings))?.into_iter().map(witness));
    }
    let oncall = super::comms::oncall_of(loaded)?;
    let asked = runtime.block_on(super::comms::ask_schedules(schedules));
    all.extend(asked.into_iter().map(|(reader, standing)| schedule(&reader, &standing, &oncall)));
    if let Some(config) = &loaded.config.journal.database {
        all.push(database(config, &opening::origin(&loaded.config.estate.name), loaded.config.share)?);
    }
    if let Some(config) = &loaded.config.journal.anchor {
        all.push(runtime.block_on(anchor(config)));
    }
    for tenant in &loaded.config.estate.tenants {
        let by_api = loaded.config.odoo.iter().any(|o| o.tenant == tenant.id);
        let database = if by_api {
            "database: its locks, orders, people and bloat are not seen"
        } else {
            "database: its locks, queue and crons are not seen"
        };
        let gaps = [
            (tenant.database.is_none(), database),
            (tenant.namespace.is_none(), "kubernetes: its pods are not seen and can not be restarted"),
            (tenant.router.is_none(), "router: its errors and latency are not seen, no maintenance page"),
        ];
        let missing: Vec<Missing> = gaps
            .iter()
            .filter(|(gap, _)| *gap)
            .map(|(_, what)| Missing {
                disables: (*what).to_owned(),
                remedy: format!("add it to [[tenant]] {}", tenant.id),
            })
            .collect();
        if !missing.is_empty() {
            all.push(Finding {
                id: tenant.id.to_string(),
                kind: "tenant".into(),
                address: loaded.path.display().to_string(),
                health: Health::Warn,
                reachable: true,
                why: None,
                missing,
                ..Finding::default()
            });
        }
    }
    Ok(all)
}

/// What can be asked for logs and traces: whether it answers, of the first tenant that it has, and what it lacks.
async fn logs(all: &mut Vec<Finding>, sources: &LogSources, config: &crate::config::model::Config) {
    let tenants = &config.estate.tenants;
    for reader in &sources.logs {
        let known = all.iter().position(|f| f.id == reader.id().as_str());
        if let Some(cluster) = known.and_then(|at| all.get_mut(at)) {
            // A cluster that does not answer has said so already.
            let lacks = reader.lacks(tenants).await.unwrap_or_default();
            if cluster.health == Health::Ok && !lacks.is_empty() {
                cluster.health = Health::Warn;
            }
            cluster.missing.extend(lacks);
            continue;
        }
        let mut untold = Vec::new();
        for tenant in tenants {
            let places = match engine::logs::ask(&config.estate, &tenant.id, None, Timestamp::now()) {
                Ok(ask) => reader.read(&ask).await,
                Err(_) => Vec::new(),
            };
            if !places.is_empty() {
                untold = places.into_iter().filter_map(|p| Some((p.log, p.said.why()?))).collect();
                break;
            }
        }
        all.push(log_source("logs", reader.id().as_str(), reader.address(), untold));
    }
    for reader in &sources.traces {
        let mut untold = Vec::new();
        for tenant in tenants {
            let place = match engine::logs::ask(&config.estate, &tenant.id, None, Timestamp::now()) {
                Ok(ask) => reader.read(&ask).await,
                Err(_) => None,
            };
            if let Some(place) = place {
                untold = place.said.why().into_iter().map(|why| ("traces".to_owned(), why)).collect();
                break;
            }
        }
        all.push(log_source("traces", reader.id().as_str(), reader.address(), untold));
    }
}

fn log_source(kind: &str, id: &str, address: String, untold: Vec<(String, Untold)>) -> Finding {
    let why = untold.first().map(|(log, untold)| format!("{log}: {}", untold.why));
    let remedies = untold.into_iter().filter_map(|(log, untold)| Some((log, untold.remedy?)));
    Finding {
        id: id.to_owned(),
        kind: kind.to_owned(),
        address,
        health: if why.is_some() { Health::Unknown } else { Health::Ok },
        reachable: why.is_none(),
        why,
        missing: remedies.map(|(disables, remedy)| Missing { disables, remedy }).collect(),
        ..Finding::default()
    }
}

/// Whether the database of a journal could be written by an engine.
fn database(config: &JournalDatabase, origin: &str, share: bool) -> Result<Finding, Error> {
    let place = Postgres::new(config).map_err(Error::failed)?;
    let (version, why) = match place.examine(origin) {
        Ok(version) => (Some(version), None),
        Err(why) => (None, Some(why)),
    };
    let reachable = !matches!(why, Some(LedgerError::Lost(_)));
    let health = match &why {
        None => Health::Ok,
        Some(LedgerError::Lost(_)) => Health::Unknown,
        Some(_) => Health::Critical,
    };
    let disables = || Missing {
        disables: "every engine: none starts and none acts without its journal".to_owned(),
        remedy: "see docs/journal.md".to_owned(),
    };
    let mut missing: Vec<Missing> = why.iter().map(|_| disables()).collect();
    let mut sharing = Vec::new();
    let mut health = health;
    if share && why.is_none() {
        match place.sharing() {
            Ok(engines) => sharing = engines,
            Err(why) => {
                health = Health::Warn;
                let disables = "sharing of the sources: each engine watches all of them".to_owned();
                missing.push(Missing { disables, remedy: why.to_string() });
            }
        }
    }
    Ok(Finding {
        id: "journal.postgres".to_owned(),
        kind: "journal".to_owned(),
        address: place.address().to_owned(),
        health,
        reachable,
        version,
        missing,
        why: why.map(|why| why.to_string()),
        sharing,
        ..Finding::default()
    })
}

/// What the login for acting lacks, beside what the one for looking lacks.
fn add(all: &mut [Finding], held: act::held::Held) {
    let Some(finding) = all.iter_mut().find(|f| f.id == held.source.as_str()) else { return };
    finding.rights = Some(Rights { needed: held.asked, held: held.held }).filter(|r| r.needed > 0);
    if finding.health == Health::Ok && !held.missing.is_empty() {
        finding.health = Health::Warn;
    }
    finding.missing.extend(held.missing);
    finding.excess = held.excess;
}

fn print(finding: &Finding) -> Result<(), Error> {
    let Finding { id, kind, address, health, version, why, missing, certificates, rights, excess, sharing, .. } =
        finding;
    let version = version.as_deref().unwrap_or("version not known");
    output::line(&format!("{:<8} {id:<18} {kind:<11} {address}  {version}", health.word()))?;
    if let Some(why) = why {
        output::line(&format!("         {why}"))?;
    }
    if let Some(Rights { needed, held }) = rights {
        output::line(&format!("         rights of the verbs: {held} of {needed} held"))?;
    }
    for Missing { disables, remedy } in missing {
        output::line(&format!("         missing: {disables}; {remedy}"))?;
    }
    for more in excess {
        output::line(&format!("         more than is needed: {}", sanitize(more)))?;
    }
    for engine in sharing {
        output::line(&format!("         {engine}"))?;
    }
    for certificate in certificates {
        output::line(&format!("         {certificate}"))?;
    }
    Ok(())
}

async fn ask_all(adapters: Adapters) -> Vec<Finding> {
    let inbox = Inbox::default();
    let specs: Vec<_> = adapters.observers.iter().map(|o| o.spec()).collect();
    let tasks: Vec<_> = adapters.observers.into_iter().map(|o| tokio::spawn(o.run(inbox.sink()))).collect();
    let mut answers: BTreeMap<String, Sample> = BTreeMap::new();
    let wait = async {
        while answers.len() < specs.len() {
            inbox.arrived().await;
            answers.extend(inbox.drain().into_iter().map(|s| (s.source.to_string(), s)));
        }
    };
    // Those that have not answered by then are reported as such below.
    let _ = tokio::time::timeout(PATIENCE, wait).await;
    for task in tasks {
        task.abort();
    }
    specs
        .into_iter()
        .map(|spec| {
            let (version, why, missing, certificates, reachable) = match answers
                .get(spec.id.as_str())
                .map(|s| &s.result)
            {
                None => {
                    (None, Some(format!("no answer within {} s", PATIENCE.as_secs())), Vec::new(), Vec::new(), false)
                }
                Some(Err(failure)) => (None, Some(failure.message.clone()), Vec::new(), Vec::new(), false),
                Some(Ok(facts)) => {
                    let (version, missing, certificates) = said(facts);
                    let silent = unanswered(facts);
                    let reachable = silent.is_none();
                    (version, silent, missing, certificates, reachable)
                }
            };
            let health = match (reachable, missing.is_empty()) {
                (false, _) => Health::Unknown,
                (true, false) => Health::Warn,
                (true, true) => Health::Ok,
            };
            let kind: SourceKind = spec.kind;
            Finding {
                id: spec.id.to_string(),
                kind: kind.to_string(),
                address: spec.address,
                health,
                reachable,
                version,
                why,
                missing,
                certificates,
                ..Finding::default()
            }
        })
        .collect()
}

/// Why a probed address does not answer as it should, where it does not.
fn unanswered(facts: &Facts) -> Option<String> {
    let Facts::Measured(facts) = facts else { return None };
    let bad = |r: &Measured| r.signal == "probe.ok" && r.value < 1.0;
    facts.readings.iter().any(bad).then(|| facts.said.first().cloned()).flatten()
}

fn said(facts: &Facts) -> (Option<String>, Vec<Missing>, Vec<String>) {
    match facts {
        Facts::Kubernetes(f) => (Some(f.version.clone()), f.missing.clone(), Vec::new()),
        Facts::Postgres(f) => (Some(f.version.clone()), f.missing.clone(), Vec::new()),
        Facts::Pgbouncer(f) => (Some(f.version.clone()), Vec::new(), Vec::new()),
        Facts::Odoo(f) => (Some(f.version.clone()).filter(|v| !v.is_empty()), f.missing.clone(), Vec::new()),
        Facts::Redis(f) => (Some(f.version.clone()), f.missing.clone(), Vec::new()),
        Facts::Measured(f) if f.of == SourceKind::Probe => (None, f.missing.clone(), f.said.clone()),
        Facts::Measured(f) => (f.version.clone(), f.missing.clone(), Vec::new()),
        Facts::Traefik(f) => {
            let certificates = f.certificates.iter().map(|c| format!("certificate {} until {}", c.name, c.not_after));
            (f.version.clone(), f.missing.clone(), certificates.collect())
        }
    }
}

/// A witness: whether it answers, knows this log and signs with the key that is configured.
fn witness(tried: witnesses::Tried) -> Finding {
    let witnesses::Tried { witness, health, reachable, said, why } = tried;
    Finding {
        id: witness.name,
        kind: "witness".into(),
        address: witness.url,
        health,
        reachable,
        version: Some(format!("{}, {}", witness.key.algorithm(), witness.administrator)),
        why: why.into_iter().chain(said).reduce(|all, one| format!("{all}; {one}")),
        ..Finding::default()
    }
}

/// A schedule of who is on call: whether it answers, whom it names, and whether they can be called.
fn schedule(reader: &ScheduleReader, standing: &Standing, oncall: &[OnCall]) -> Finding {
    let duty = oncall.iter().find(|o| o.name == reader.duty());
    let chain = duty.map(|o| o.chain(Timestamp::now(), standing)).unwrap_or_default();
    let why = standing.failed.as_ref().map(|(why, _)| why.clone());
    let mut missing: Vec<Missing> = match &why {
        Some(_) => Vec::new(),
        None => {
            let remedy = "give an [[comms.audience]] their mail address".to_owned();
            chain.unknown.into_iter().map(|disables| Missing { disables, remedy: remedy.clone() }).collect()
        }
    };
    if duty.is_some_and(|o| o.roster.is_none() && o.then.is_empty()) {
        missing.push(Missing {
            disables: format!("calling anybody for {} while the service is away", reader.duty()),
            remedy: "give it `then` or a `roster`".into(),
        });
    }
    let said = standing.good.as_ref().map(|(people, _)| {
        let names: Vec<&str> = people.iter().map(|c| c.name.as_str()).collect();
        format!("on call: {}", names.join(", "))
    });
    let health = match (&why, missing.is_empty()) {
        (Some(_), _) => Health::Unknown,
        (None, false) => Health::Warn,
        (None, true) => Health::Ok,
    };
    Finding {
        id: reader.duty().to_owned(),
        kind: "oncall".into(),
        address: reader.schedule().url.clone(),
        health,
        reachable: why.is_none(),
        version: said,
        why,
        missing,
        ..Finding::default()
    }
}

/// Whether copies of the journal can be put into the object storage, and nobody can remove them from there.
async fn anchor(config: &Config) -> Finding {
    let asked = tokio::time::timeout(PATIENCE, async {
        let bucket = Bucket::connect(config, Arc::new(Wall)).await?;
        anchor::probe(&bucket, config).await
    });
    let (found, why) = match asked.await {
        Ok(Ok(found)) => (Some(found), None),
        Ok(Err(error)) => (None, Some(error.to_string())),
        Err(_) => (None, Some(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    let Protection { words, missing } = found.unwrap_or_default();
    let health = match (&why, missing.is_empty()) {
        (Some(_), _) => Health::Unknown,
        (None, false) => Health::Warn,
        (None, true) => Health::Ok,
    };
    Finding {
        id: "journal-anchor".into(),
        kind: "anchor".into(),
        address: format!("{}/{}/{}", config.endpoint.trim_end_matches('/'), config.bucket, config.prefix),
        health,
        reachable: why.is_none(),
        version: Some(words).filter(|w| !w.is_empty()),
        why,
        missing,
        ..Finding::default()
    }
}

/// What is usual, as an engine keeps it.
fn usual(path: &Path) -> Finding {
    let kept = engine::usual::kept(path);
    let (health, why) = match &kept {
        Ok(Some((series, 0))) if *series > 0 => (Health::Ok, None),
        Ok(Some((series, left_out))) if *left_out > 0 => {
            let why = format!("{series} series are learnt and {left_out} more are not: that is the most");
            (Health::Unknown, Some(why))
        }
        Ok(_) => (Health::Unknown, Some("nothing is learnt yet; an engine has to look for some days".to_owned())),
        Err(why) => (Health::Unknown, Some(why.clone())),
    };
    let missing = why.clone().map(|why| Missing {
        disables: format!("comparing with what is usual, in rules and in `gate`: {why}"),
        remedy: "let an engine (`serve` or a console) run on this host".to_owned(),
    });
    Finding {
        id: "usual".into(),
        kind: "usual".into(),
        address: path.display().to_string(),
        health,
        reachable: kept.is_ok(),
        why,
        missing: missing.into_iter().collect(),
        ..Finding::default()
    }
}

/// Whether the journal's directory can be written, without making a log in it.
fn journal(home: &session::Home) -> Finding {
    let existing = home.journal.ancestors().find(|p| p.exists()).unwrap_or(&home.journal);
    let writable = rustix::fs::access(existing, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    let why = writable.err().map(|e| format!("{} can not be written ({e}); nothing will run", existing.display()));
    Finding {
        id: "journal".into(),
        kind: "journal".into(),
        address: home.journal.display().to_string(),
        health: if why.is_some() { Health::Critical } else { Health::Ok },
        reachable: why.is_none(),
        version: Some("record format 1".into()),
        why,
        ..Finding::default()
    }
}
