//! `config check`, `config init` and `config schema`.

use super::args::{Config as What, Format, Global};
use super::output::{self, Error, Exit};
use super::session::{self, Scope, Several, Target};
use crate::config::describe;
use crate::config::problem::Problems;
use crate::domain::estate::Environment;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Runs it.
pub fn run(global: &Global, what: &What) -> Result<Exit, Error> {
    match what {
        What::Check => check(global),
        What::Init { output, force, system } => super::init::run(global.format, output.as_deref(), *force, *system),
        What::Schema => {
            output::line(&format!("{:#}", describe::schema()))?;
            Ok(Exit::Done)
        }
    }
}

/// The output contract of `config check --format json`: what a good file declares.
#[derive(Serialize, JsonSchema)]
pub struct Checked<'a> {
    /// The file.
    file: &'a Path,
    /// Name of the estate.
    estate: &'a str,
    /// Its class.
    environment: Environment,
    /// Number of tenants.
    tenants: usize,
    /// Number of clusters.
    kubernetes: usize,
    /// Number of PostgreSQL instances.
    postgres: usize,
    /// Number of `PgBouncer`s.
    pgbouncer: usize,
    /// Number of Redis instances.
    redis: usize,
    /// Number of Traefiks.
    traefik: usize,
}

/// The output contract of `config init --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Written<'a> {
    /// The file that was written.
    pub file: &'a Path,
}

fn check(global: &Global) -> Result<Exit, Error> {
    let loaded = match session::scope(global)? {
        Scope::All(several) => return check_several(global, &several),
        Scope::One(target) => target.loaded()?,
    };
    let config = &loaded.config;
    let (_, problems) = super::explain::rules()?;
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    super::comms::table_of(&loaded)?;
    super::comms::oncall_of(&loaded)?;
    if global.format == Format::Json {
        output::json(&Checked {
            file: &loaded.path,
            estate: &config.estate.name,
            environment: config.estate.environment,
            tenants: config.estate.tenants.len(),
            kubernetes: config.kubernetes.len(),
            postgres: config.postgres.len(),
            pgbouncer: config.pgbouncer.len(),
            redis: config.redis.len(),
            traefik: config.traefik.len(),
        })?;
        return Ok(Exit::Done);
    }
    output::line(&format!(
        "{}: good. Estate {} ({}), {} tenants, {} clusters, {} PostgreSQL, {} PgBouncer, {} Redis, {} Traefik",
        loaded.path.display(),
        config.estate.name,
        config.estate.environment,
        config.estate.tenants.len(),
        config.kubernetes.len(),
        config.postgres.len(),
        config.pgbouncer.len(),
        config.redis.len(),
        config.traefik.len()
    ))?;
    Ok(Exit::Done)
}

/// The output contract of `config check --format json` of a file that names several estates.
#[derive(Serialize, JsonSchema)]
pub struct CheckedEstates<'a> {
    /// The file.
    file: &'a Path,
    /// An element each.
    estates: Vec<CheckedEstate<'a>>,
}

/// One of them.
#[derive(Serialize, JsonSchema)]
struct CheckedEstate<'a> {
    /// Its name.
    estate: &'a str,
    /// Its own configuration file; absent where only the socket of its engine is named.
    file: Option<PathBuf>,
    /// The socket of its engine.
    socket: PathBuf,
}

/// A file that names several: each configuration of them has to be good too.
fn check_several(global: &Global, several: &Several) -> Result<Exit, Error> {
    let (_, problems) = super::explain::rules()?;
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    let mut estates = Vec::new();
    for estate in several.names() {
        let target = several.one(estate)?;
        let file = match &target {
            Target::Estate(loaded) => {
                super::comms::table_of(loaded)?;
                super::comms::oncall_of(loaded)?;
                Some(loaded.path.clone())
            }
            Target::Served { .. } => None,
        };
        estates.push(CheckedEstate { estate, file, socket: session::home_of(target).socket });
    }
    if global.format == Format::Json {
        output::json(&CheckedEstates { file: &several.path, estates })?;
        return Ok(Exit::Done);
    }
    output::line(&format!("{}: good. It names {} estates", several.path.display(), estates.len()))?;
    for CheckedEstate { estate, file, socket } in estates {
        let from = file.map_or_else(|| "served".to_owned(), |file| format!("good: {}", file.display()));
        output::line(&format!("  {estate}: {from}, engine at {}", socket.display()))?;
    }
    Ok(Exit::Done)
}
