//! `baseline`: what is there now of roles, rights and policies, as a file to approve; and what differs from the approved
//! one. Asks the systems itself, so that it needs no engine.

use super::args::{Baseline, Format, Global};
use super::output::{self, Error, Exit};
use super::session::{self, Loaded};
use crate::config::baseline::encode;
use crate::domain::baseline::{Approved, Aspect, Drift, Seen, drifts, unread};
use crate::domain::facts::Missing;
use crate::domain::health::Health;
use crate::domain::id::SourceId;
use crate::domain::mode::Mode;
use crate::domain::sample::Failure;
use crate::observe::baseline::{System, approved};
use jiff::{Timestamp, Unit};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// The output contract of `baseline check --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Checked {
    /// Version of this schema: 1.
    schema: u32,
    /// The estate.
    estate: String,
    /// When it was looked at.
    at: Timestamp,
    /// The file with what was approved.
    file: String,
    /// The worst of all systems: `ok` as approved, `warn` something differs, `critical` something reaches further than
    /// was approved, `unknown` something could not be read.
    health: Health,
    /// Each system that `[baseline]` covers.
    systems: Vec<Compared>,
}

/// One system.
#[derive(Serialize, JsonSchema)]
struct Compared {
    /// Its name in the configuration.
    id: SourceId,
    /// How it is.
    health: Health,
    /// Why it could not be compared at all.
    why: Option<String>,
    /// What differs, gains of power first.
    drifts: Vec<Drift>,
    /// What was approved and could not be read.
    unread: Vec<Missing>,
    /// Aspects that nobody has judged.
    not_judged: Vec<Aspect>,
}

/// The output contract of `baseline take --format json`.
#[derive(Serialize, JsonSchema)]
pub struct Taken {
    /// Version of this schema: 1.
    schema: u32,
    /// What is there now, as a baseline file.
    text: String,
    /// What could not be read and is not in it.
    unread: Vec<Missing>,
}

/// Runs what was asked.
pub fn run(global: &Global, what: &Baseline) -> Result<Exit, Error> {
    match *what {
        Baseline::Check => check(global),
        Baseline::Take { secrets } => take(global, secrets),
    }
}

fn check(global: &Global) -> Result<Exit, Error> {
    let loaded = load(global)?;
    let Some(baseline) = &loaded.config.baseline else {
        let file = loaded.path.display();
        return Err(Error::Usage(format!(
            "{file} has no [baseline] with a `file`; `quarterdeck baseline take > FILE` writes what is there now, to be \
             read and approved"
        )));
    };
    let all = approved(&baseline.file).map_err(Error::Usage)?;
    let seen = ask(&loaded, |system| {
        let of = all.get(system.id()).filter(|_| baseline.covers(system.id()));
        of.map(|approved| approved.0.keys().copied().collect())
    })?;
    let mut systems: Vec<Compared> = Vec::new();
    for (id, (aspects, answer)) in seen {
        if baseline.covers(&id) {
            systems.push(compare(&id, aspects, all.get(&id), answer));
        }
    }
    let checked = Checked {
        schema: 1,
        estate: loaded.config.estate.name.clone(),
        at: Timestamp::now().round(Unit::Second).map_err(Error::failed)?,
        file: baseline.file.display().to_string(),
        health: Health::worst(systems.iter().map(|s| s.health)),
        systems,
    };
    if global.format == Format::Json {
        output::json(&checked)?;
    } else {
        print(&checked)?;
    }
    Ok(checked.health.into())
}

/// What a system answered; nothing where it was not asked.
type Answer = Option<Result<Seen, Failure>>;

fn compare(id: &SourceId, aspects: &'static [Aspect], approved: Option<&Approved>, answer: Answer) -> Compared {
    let unknown = |why: String| Compared {
        id: id.clone(),
        health: Health::Unknown,
        why: Some(why),
        drifts: Vec::new(),
        unread: Vec::new(),
        not_judged: aspects.to_vec(),
    };
    let (Some(approved), Some(answer)) = (approved, answer) else {
        return unknown("the baseline says nothing of it".to_owned());
    };
    let seen = match answer {
        Ok(seen) => seen,
        Err(failure) => return unknown(failure.message),
    };
    let drifts = drifts(approved, &seen);
    let unread: Vec<Missing> = unread(approved, &seen).map(|(_, missing)| missing.clone()).collect();
    let health = match (drifts.iter().any(|d| d.gains), unread.is_empty(), drifts.is_empty()) {
        (true, _, _) => Health::Critical,
        (false, false, _) => Health::Unknown,
        (false, true, false) => Health::Warn,
        (false, true, true) => Health::Ok,
    };
    let not_judged = aspects.iter().copied().filter(|a| !approved.0.contains_key(a)).collect();
    Compared { id: id.clone(), health, why: None, drifts, unread, not_judged }
}

fn print(checked: &Checked) -> Result<(), Error> {
    for system in &checked.systems {
        output::line(&format!("{:<9} {}", system.health.word(), system.id))?;
        if let Some(why) = &system.why {
            output::line(&format!("          {why}"))?;
        }
        for drift in &system.drifts {
            let mark = if drift.gains { "GAINS  " } else { "differs" };
            output::line(&format!("  {mark} {drift}"))?;
        }
        for missing in &system.unread {
            output::line(&format!("  unknown {}; {}", missing.disables, missing.remedy))?;
        }
        if !system.not_judged.is_empty() && system.why.is_none() {
            let keys: Vec<&str> = system.not_judged.iter().map(|aspect| aspect.key()).collect();
            output::line(&format!("  not judged: {}", keys.join(", ")))?;
        }
    }
    Ok(())
}

/// Runs `baseline take`: prints what is there now. It is approved by whoever puts it where `[baseline]` looks.
fn take(global: &Global, secrets: bool) -> Result<Exit, Error> {
    let loaded = load(global)?;
    let covered = |system: &System| loaded.config.baseline.as_ref().is_none_or(|b| b.covers(system.id()));
    let seen = ask(&loaded, |system| {
        let wanted = system.aspects().iter().copied().filter(|aspect| secrets || *aspect != Aspect::Secrets);
        covered(system).then(|| wanted.collect())
    })?;
    let (mut systems, mut gaps, mut failed) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (id, (_, answer)) in seen {
        match answer {
            Some(Ok(seen)) => {
                gaps.extend(seen.unread.into_values());
                systems.insert(id, Approved(seen.read));
            }
            Some(Err(failure)) => failed.push(format!("{id}: {}", failure.message)),
            None => {}
        }
    }
    if !failed.is_empty() {
        // Half a baseline would call the other half a drift, or approve it unread.
        return Err(Error::Failed(failed.join("; ")));
    }
    let at = Timestamp::now().round(Unit::Second).map_err(Error::failed)?;
    let mut head = format!(
        "What {} had at {at}, taken by `quarterdeck baseline take`.\nRead it before you approve it: what stands here counts as \
         wanted. A key that is taken out is not judged.",
        loaded.config.estate.name
    );
    for missing in &gaps {
        head.push_str(&format!("\nNot read: {}; {}", missing.disables, missing.remedy));
    }
    let text = encode(&head, &systems);
    if global.format == Format::Json {
        output::json(&Taken { schema: 1, text, unread: gaps.clone() })?;
    } else {
        output::raw(text.as_bytes())?;
    }
    Ok(if gaps.is_empty() { Exit::Done } else { Exit::Unknown })
}

fn load(global: &Global) -> Result<Loaded, Error> {
    if global.drill.is_some() {
        return Err(Error::Usage("a drill has no real roles and rights; leave --drill out".into()));
    }
    let loaded = session::load(global)?;
    if loaded.config.postgres.is_empty() && loaded.config.kubernetes.is_empty() {
        let file = loaded.path.display();
        return Err(Error::Usage(format!("{file} has neither a [[postgres]] nor a [[kubernetes]] to compare")));
    }
    Ok(loaded)
}

/// Asks all systems at once for what `wanted` says; those for which it says nothing are not asked.
fn ask(
    loaded: &Loaded,
    wanted: impl Fn(&System) -> Option<Vec<Aspect>>,
) -> Result<BTreeMap<SourceId, (&'static [Aspect], Answer)>, Error> {
    let Some(may) = Mode::ReadOnly.may_observe() else { return Ok(BTreeMap::new()) };
    let each = System::all(may, &loaded.config).into_iter().map(|mut system| {
        let aspects = wanted(&system);
        async move {
            let answer = match aspects {
                Some(aspects) => Some(system.read(&aspects).await),
                None => None,
            };
            (system.id().clone(), (system.aspects(), answer))
        }
    });
    let asked = futures::future::join_all(each);
    Ok(session::runtime()?.block_on(asked).into_iter().collect())
}
