//! What commands say of several estates at once: each is asked on its own, and one that does not answer is said to be
//! unknown. Nothing is done to any of them here; what acts takes `--estate`.

use super::args::{Format, Global};
use super::incident;
use super::output::{self, Error, Exit};
use super::session::{self, Several};
use super::status::{self, Look, Status};
use crate::console::format::headline;
use crate::console::rows::whom_words;
use crate::domain::health::Health;
use crate::domain::incident::Incident;
use futures::future::join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// The output contract of `status --format json` over several estates.
#[derive(Serialize, JsonSchema)]
pub struct Statuses<'a> {
    /// Version of this schema: 1.
    schema: u32,
    /// When this was made.
    generated_at: Timestamp,
    /// The worst of all.
    health: Health,
    /// One each, in the order of the configuration.
    estates: Vec<EstateStatus<'a>>,
}

/// One estate of several.
#[derive(Serialize, JsonSchema)]
struct EstateStatus<'a> {
    /// Its name.
    estate: &'a str,
    /// Its health; unknown when it does not answer.
    health: Health,
    /// Why nothing is known of it; absent when something is.
    why: Option<&'a str>,
    /// What `status` says of it; absent when nothing is known.
    status: Option<Status<'a>>,
}

/// `status` of all; the exit code is that of the worst.
pub fn status(global: &Global, several: &Several) -> Result<Exit, Error> {
    let looks = session::runtime()?.block_on(join_all(several.names().into_iter().map(async |name| {
        let look = match several.one(name) {
            Ok(target) => status::look(target).await,
            Err(error) => Err(error),
        };
        (name, look.map_err(|e| e.first_line()))
    })));
    let health = |look: &Result<Look, String>| look.as_ref().map_or(Health::Unknown, Look::health);
    let worst = Health::worst(looks.iter().map(|(_, look)| health(look)));
    if global.format == Format::Json {
        let estates = looks.iter().map(|(estate, look)| EstateStatus {
            estate,
            health: health(look),
            why: look.as_ref().err().map(String::as_str),
            status: look.as_ref().ok().map(Look::status),
        });
        let estates = estates.collect();
        output::json(&Statuses { schema: 1, generated_at: Timestamp::now(), health: worst, estates })?;
        return Ok(worst.into());
    }
    let row = |(name, look): &(&str, Result<Look, String>)| match look {
        Ok(look) => {
            let worst = look.findings.first().map(|f| format!("{} ({})", headline(&f.what), whom_words(f)));
            let unknown = look.panes.sources.iter().filter(|s| s.health == Health::Unknown).count();
            vec![
                (*name).to_owned(),
                look.estate.environment.to_string(),
                look.mode().to_string(),
                look.health().to_string(),
                look.findings.len().to_string(),
                unknown.to_string(),
                worst.unwrap_or_default(),
            ]
        }
        Err(why) => {
            let blank = String::new;
            let unknown = Health::Unknown.to_string();
            vec![(*name).to_owned(), "?".to_owned(), blank(), unknown, "?".to_owned(), "?".to_owned(), why.clone()]
        }
    };
    let rows: Vec<_> = looks.iter().map(row).collect();
    output::table(&["ESTATE", "CLASS", "MODE", "HEALTH", "FINDINGS", "UNKNOWN SOURCES", "WORST"], &rows)?;
    Ok(worst.into())
}

/// The output contract of `incident list --format json` over several estates: an element each.
#[derive(Serialize, JsonSchema)]
pub struct EstateIncidents {
    /// Name of the estate.
    estate: String,
    /// Its incidents, from its own journal; absent when they can not be read.
    incidents: Option<Vec<Incident>>,
    /// Why they can not.
    why: Option<String>,
}

/// `incident list` of all: each row with its estate. Exit 6 when those of one can not be read.
pub fn incidents(global: &Global, several: &Several) -> Result<Exit, Error> {
    let one = |name: &str| {
        let found = several.one(name).and_then(|target| incident::of(&session::home_of(target)));
        let (incidents, why) = match found {
            Ok(incidents) => (Some(incidents), None),
            Err(error) => (None, Some(error.first_line())),
        };
        EstateIncidents { estate: name.to_owned(), incidents, why }
    };
    let all: Vec<EstateIncidents> = several.names().into_iter().map(one).collect();
    let exit = if all.iter().any(|e| e.incidents.is_none()) { Exit::Unknown } else { Exit::Done };
    if global.format == Format::Json {
        output::json(&all)?;
        return Ok(exit);
    }
    let rows = all.iter().flat_map(|e| {
        let unread = e.why.iter().map(|why| {
            let mut row = vec![e.estate.clone(), "?".to_owned()];
            row.extend([const { String::new() }; 4]);
            row.push(why.clone());
            row
        });
        let read = e.incidents.iter().flatten().map(|i| {
            let mut row = vec![e.estate.clone()];
            row.extend(incident::row(i));
            row
        });
        unread.chain(read).collect::<Vec<_>>()
    });
    let titles = ["ESTATE", "INCIDENT", "SEVERITY", "STATE", "DECLARED", "COMMANDER", "TITLE"];
    output::table(&titles, &rows.collect::<Vec<_>>())?;
    Ok(exit)
}
