//! `logs`: what the logs and traces of a tenant say, without a screen.

use super::args::{Format, Global};
use super::opening;
use super::output::{self, Error, Exit};
use super::session;
use crate::console::sheet;
use crate::console::state::{Facts, Logged, SheetKind, State, Wanting};
use crate::console::strip::Strip;
use crate::domain::id::TenantId;
use crate::domain::logs::{LogView, Told};
use crate::domain::mode::Mode;
use crate::domain::moment;
use crate::engine::logs;
use jiff::Timestamp;

/// Width of the lines that are printed.
const WIDTH: u16 = 120;

/// Runs it; exit 6 when no log said anything.
pub fn run(global: &Global, tenant: &str, since: Option<&str>) -> Result<Exit, Error> {
    if global.drill.is_some() {
        return Err(Error::Usage("a scenario simulates no logs; leave --drill out".into()));
    }
    let loaded = session::load(global)?;
    let adapters = opening::adapters(&loaded, Mode::ReadOnly)?;
    let now = Timestamp::now();
    let from = since.map(|text| moment::parse(text, now)).transpose();
    let from = from.map_err(|why| Error::Usage(format!("--since: {why}")))?;
    let tenant = TenantId::new(tenant);
    let ask = logs::ask(&adapters.estate, &tenant, from, now).map_err(Error::Usage)?;
    let view = session::runtime()?.block_on(logs::read(&adapters.logs, &ask));
    let told = view.logs.iter().any(|place| matches!(place.said, Told::Yes(_)));
    if global.format == Format::Json {
        output::json(&view)?;
    } else {
        for line in lines(&loaded.config.estate.name, view, from) {
            output::line(&line)?;
        }
    }
    Ok(if told { Exit::Done } else { Exit::Unknown })
}

/// The lines of the sheet, as the console has them.
fn lines(estate: &str, view: LogView, from: Option<Timestamp>) -> Vec<String> {
    let facts = Facts::new(estate.to_owned(), Mode::ReadOnly);
    let now = view.until;
    let mut state = State::new(facts, (WIDTH, 40), now);
    let wanting = Wanting { tenant: view.tenant.clone(), finding: None, from };
    state.logged = Some(Logged { wanting, answer: Some(Ok(Box::new(view))), asked: now });
    sheet::lines(&state, &SheetKind::Logs, WIDTH).iter().map(Strip::plain).map(|l| l.trim_end().to_owned()).collect()
}
