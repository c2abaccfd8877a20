//! `rbac`: the least rights for what is configured and the verbs in use, as texts that the systems take: manifests, SQL, rules
//! of an access list. It asks no system and changes none; `doctor` says what is held.

mod kubernetes;
mod postgres;
mod redis;

#[cfg(test)]
mod tests;

use super::args::{Format, Global, Rbac};
use super::output::{self, Error, Exit};
use super::{playbook, policy, session};
use crate::act;
use crate::config::model::Config;
use crate::domain::id::Person;
use crate::domain::text::{is_among, means};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;

/// The output contract of `rbac --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Report {
    /// Version of this schema: 1.
    schema: u32,
    /// The verbs that the rights are for.
    verbs: Vec<&'static str>,
    /// Each system.
    systems: Vec<System>,
}

/// The rights on one system.
#[derive(Serialize, JsonSchema)]
struct System {
    /// Name in the configuration.
    id: String,
    /// `kubernetes`, `postgres`, `redis` or `pgbouncer`.
    kind: &'static str,
    /// What the system takes: YAML for `kubectl apply -f -`, SQL for `psql`, commands for `redis-cli`, lines of `pgbouncer.ini`.
    text: String,
}

/// Whose rights, and for what.
struct Wanted<'a> {
    /// Verbs that count.
    verbs: &'a BTreeSet<&'static str>,
    /// Options.
    asked: &'a Rbac,
    /// In whose names clusters are acted on that are acted on so.
    people: &'a [Person],
}

impl Wanted<'_> {
    fn verb(&self, name: &str) -> bool {
        self.verbs.contains(name)
    }

    /// Whether any of these, `adapter.*` among them, is wanted.
    fn any(&self, named: &[&str]) -> bool {
        self.verbs.iter().any(|verb| is_among(verb, named))
    }
}

/// Runs it.
pub fn run(global: &Global, asked: &Rbac) -> Result<Exit, Error> {
    let loaded = session::load(global)?;
    let verbs = verbs(&asked.verbs)?;
    let people = policy::people(global, &loaded.config)?;
    let systems = systems(&loaded.config, &Wanted { verbs: &verbs, asked, people: &people });
    if let Some(unknown) = asked.systems.iter().find(|id| !systems.iter().any(|s| s.id == **id)) {
        let known: Vec<&str> = systems.iter().map(|s| s.id.as_str()).collect();
        return Err(Error::Usage(format!(
            "no configured system that rights can be written for is named {unknown}; there are: {}",
            known.join(", ")
        )));
    }
    let named = |s: &System| asked.systems.is_empty() || asked.systems.contains(&s.id);
    let systems: Vec<System> = systems.into_iter().filter(named).collect();
    if global.format == Format::Json {
        output::json(&Report { schema: 1, verbs: verbs.into_iter().collect(), systems })?;
    } else {
        for system in &systems {
            output::line(system.text.trim_end())?;
        }
    }
    Ok(Exit::Done)
}

/// The verbs that are asked for: by name, `adapter.*`, or `none`; without any, those of the playbooks.
fn verbs(asked: &[String]) -> Result<BTreeSet<&'static str>, Error> {
    let all: Vec<&'static str> = act::catalog().iter().map(|spec| spec.name).collect();
    if asked.iter().any(|name| name == "none") {
        return Ok(BTreeSet::new());
    }
    if asked.is_empty() {
        let (library, _) = playbook::library()?;
        let steps = library.all().flat_map(|entry| entry.playbook().steps.iter());
        let used: BTreeSet<String> =
            steps.flat_map(|step| step.calls().map(crate::playbook::schema::Call::name)).collect();
        return Ok(all.into_iter().filter(|name| used.contains(*name)).collect());
    }
    let mut wanted = BTreeSet::new();
    for name in asked {
        let found: Vec<&str> = all.iter().copied().filter(|verb| means(name, verb)).collect();
        if found.is_empty() {
            return Err(Error::Usage(format!(
                "--verbs {name} is no verb; allowed are a name (`kubernetes.scale`), `kubernetes.*` and `none`; docs/verbs.md \
                 lists them"
            )));
        }
        wanted.extend(found);
    }
    Ok(wanted)
}

/// What each configured system takes.
fn systems(config: &Config, wanted: &Wanted<'_>) -> Vec<System> {
    let compared = |id| config.baseline.as_ref().is_some_and(|b| b.covers(id));
    let clusters = config.kubernetes.iter().map(|c| System {
        id: c.id.to_string(),
        kind: "kubernetes",
        text: kubernetes::manifest(c, (&config.estate, compared(&c.id)), wanted)
            + &kubernetes::secrets(c, config, wanted),
    });
    let databases = config.postgres.iter().map(|p| System {
        id: p.id.to_string(),
        kind: "postgres",
        text: postgres::statements(p, &config.estate, wanted),
    });
    let caches =
        config.redis.iter().map(|r| System { id: r.id.to_string(), kind: "redis", text: redis::rules(r, wanted) });
    let poolers = config.pgbouncer.iter().map(|p| System {
        id: p.id.to_string(),
        kind: "pgbouncer",
        text: postgres::pooler(p, wanted),
    });
    clusters.chain(databases).chain(caches).chain(poolers).collect()
}
