//! `audit archive`: copies sealed segments and their evidence to the archives of the estate's region, reads the copies
//! back, and has the holder of the log let go of what need not stay here. The copying needs neither the lock nor the
//! engine: a sealed segment does not change any more.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::super::session::{self, Home, Loaded};
use super::super::{opening, pins};
use super::args::Archive as What;
use crate::attest::archive::{Archive, ArchiveError};
use crate::domain::id::Digest;
use crate::engine::adapters::Wall;
use crate::engine::api::{Command, Reply};
use crate::engine::state::State;
use crate::journal::archive::{self, Copied, Plan, Retention, Sealed};
use crate::journal::evidence::digest;
use crate::journal::fold::Keep as _;
use crate::journal::pruned::{Place, Pruned};
use crate::journal::read::moved;
use crate::journal::verify::{self, Options, Verdict, own_key};
use jiff::SignedDuration;
use serde::Serialize;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

/// The output contract of `audit archive --format json`.
#[derive(Debug, Default, Serialize, schemars::JsonSchema)]
pub struct Report {
    /// Whether it only says what it would do.
    dry_run: bool,
    /// Where copies lie; all of them are in the region of the estate.
    places: Vec<Place>,
    /// Sealed segments that were looked at.
    sealed: u64,
    /// Files that were copied, segments and evidence, over all places.
    copied: u64,
    /// Segments that left this disk.
    pruned: u64,
    /// Number of the first record that is here now.
    first: u64,
    /// Why no more segments left.
    stays: Option<String>,
}

/// The output contract of `audit archive --fetch` and `--restore` with `--format json`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Brought {
    /// Segments that were brought.
    segments: u64,
    /// Files of evidence that were brought.
    evidence: u64,
    /// Where they lie now.
    dir: std::path::PathBuf,
}

/// Runs it.
pub fn run(global: &Global, what: &What) -> Result<Exit, Error> {
    if global.drill.is_some() {
        return Err(Error::Usage("a drill keeps its journal where it is; nothing of it is archived".into()));
    }
    let loaded = session::load(global)?;
    let home = session::home(&loaded.config);
    if !home.journal.is_dir() {
        return Err(Error::Usage(format!("there is no journal in {} yet", home.journal.display())));
    }
    if loaded.config.journal.archiving.allowed().next().is_none() {
        return Err(Error::Usage(
            "no [[journal.archive]] is configured; `quarterdeck config init` shows what one looks like".into(),
        ));
    }
    match &what.fetch {
        Some(to) => fetch(global, &loaded, &home, to),
        None if what.restore => restore(global, &loaded, &home),
        None => save(global, &loaded, &home, what.dry_run),
    }
}

fn failed(error: ArchiveError) -> Error {
    match error {
        ArchiveError::Log(error) => Error::journal(&error),
        ArchiveError::OtherLog { .. } | ArchiveError::OtherRegion { .. } => Error::Usage(error.to_string()),
        ArchiveError::Unlike { .. } => Error::Damaged(error.to_string()),
        other => Error::failed(other),
    }
}

async fn open(loaded: &Loaded, dir: &Path) -> Result<Vec<Archive>, Error> {
    let key = own_key(dir).map_err(|e| Error::journal(&e))?;
    let mut archives = vec![];
    for config in loaded.config.journal.archiving.allowed() {
        let archive = Archive::open(config, key.name(), Arc::new(Wall)).await;
        archives.push(archive.map_err(failed)?);
    }
    Ok(archives)
}

fn save(global: &Global, loaded: &Loaded, home: &Home, dry_run: bool) -> Result<Exit, Error> {
    let dir = &home.journal;
    let key = pins::outside(global, None, None, dir)?;
    let report = verify::verify(dir, &Options { key, ..Options::default() }).map_err(|e| Error::journal(&e))?;
    if report.verdict == Verdict::Damaged {
        let bad = report.first_bad.map_or_else(|| "it does not verify".to_owned(), |bad| bad.to_string());
        return Err(Error::Damaged(format!("nothing is archived of a damaged journal: {bad}")));
    }
    let plan = plan(loaded, dir)?;
    let mut said = Report {
        dry_run,
        sealed: plan.sealed.len() as u64,
        first: first(dir)?,
        stays: plan.stays.clone(),
        ..Report::default()
    };
    if dry_run {
        said.pruned = plan.due as u64;
    } else {
        session::runtime()?.block_on(carry_out(global, loaded, home, &plan, &mut said))?;
    }
    if global.format == Format::Json {
        output::json(&said)?;
        return Ok(Exit::Done);
    }
    print(&plan, &said)?;
    Ok(Exit::Done)
}

fn plan(loaded: &Loaded, dir: &Path) -> Result<Plan, Error> {
    let retention = loaded
        .config
        .journal
        .archiving
        .retention
        .map(|r| Retention { age: SignedDuration::from_hours(i64::from(r.days) * 24), records: r.records });
    archive::plan(dir, retention, State::FORMAT, jiff::Timestamp::now()).map_err(|e| Error::journal(&e))
}

fn first(dir: &Path) -> Result<u64, Error> {
    Ok(moved(dir).map_err(|e| Error::journal(&e))?.map_or(0, |moved| moved.size()))
}

async fn carry_out(global: &Global, loaded: &Loaded, home: &Home, plan: &Plan, said: &mut Report) -> Result<(), Error> {
    let dir = &home.journal;
    let archives = open(loaded, dir).await?;
    said.places = archives.iter().map(|a| a.place().clone()).collect();
    let mut copied = vec![];
    for (n, segment) in plan.sealed.iter().enumerate() {
        let found = archive::digest_of(&segment.path);
        let (sha256, bytes) = found.map_err(|e| Error::journal(&e))?;
        for archive in &archives {
            said.copied += copy(archive, dir, segment, &sha256, n < plan.due).await.map_err(failed)?;
        }
        copied.push(Copied { last: segment.last, bytes, sha256, places: said.places.clone() });
    }
    if plan.due == 0 && plan.left_over > 0 {
        let bytes = archive::current(dir).map_err(|e| Error::journal(&e))?;
        prune(global, home, &bytes).await?;
        said.pruned += plan.left_over as u64;
    }
    for part in copied.get(..plan.due).unwrap_or_default().chunks(archive::AT_ONCE) {
        let bytes = archive::describe(dir, part).map_err(|e| Error::journal(&e))?;
        prune(global, home, &bytes).await?;
        said.pruned += part.len() as u64;
    }
    said.first = first(dir)?;
    Ok(())
}

/// Copies a segment and the evidence that it names, and reads back what is new there or about to be all that there is.
/// Returns how many files are new.
async fn copy(
    archive: &Archive,
    dir: &Path,
    segment: &Sealed,
    sha256: &Digest,
    is_due: bool,
) -> Result<u64, ArchiveError> {
    let evidence = segment.evidence.iter().map(|digest| (format!("evidence/{digest}"), digest));
    let mut count = 0;
    for (name, digest) in evidence.chain([(segment.name.clone(), sha256)]) {
        let is_new = archive.keep(&name, &dir.join(&name), digest).await?;
        if is_new || is_due {
            archive.read(&name, digest).await?;
        }
        count += u64::from(is_new);
    }
    Ok(count)
}

/// Has the holder of the log let go: the engine that runs, or one that is opened for it.
async fn prune(global: &Global, home: &Home, bytes: &[u8]) -> Result<(), Error> {
    archive::prepare(&home.journal, bytes).map_err(|e| Error::Failed(format!("nothing was pruned: {e}")))?;
    let command = Command::Prune { sha256: digest(bytes).to_string() };
    let reply = match session::send_to_running(home, command.clone()).await? {
        Some(reply) => reply,
        None => {
            let opened = opening::named(global, false, "cli")?;
            let reply = opened.running.client.send(command).await;
            opened.end().await;
            reply
        }
    };
    match reply {
        Reply::Accepted { .. }
        | Reply::Seen { .. }
        | Reply::Planned { .. }
        | Reply::Logs { .. }
        | Reply::Drafted { .. } => Ok(()),
        Reply::Refused { why, denied: true } => Err(Error::Denied(why)),
        Reply::Refused { why, denied: false } => Err(Error::Failed(why)),
    }
}

fn print(plan: &Plan, said: &Report) -> Result<(), Error> {
    let records = |some: &[Sealed]| match (some.first(), some.last()) {
        (Some(first), Some(last)) => format!("{} segments, records {} to {}", some.len(), first.first, last.last),
        _ => "no segments".to_owned(),
    };
    let due = records(plan.sealed.get(..plan.due).unwrap_or_default());
    if said.dry_run {
        output::line(&format!("would copy what is not there yet of {}", records(&plan.sealed)))?;
        output::line(&format!("would then let go of {due}"))?;
    } else {
        let places: Vec<String> = said.places.iter().map(ToString::to_string).collect();
        output::line(&format!("{} files copied and read back: {}", said.copied, places.join(" and ")))?;
        output::line(&format!("left this disk: {due}"))?;
        if plan.left_over > 0 {
            output::line(&format!("and {} segments that were moved before", plan.left_over))?;
        }
    }
    match &said.stays {
        Some(why) => output::line(&format!("the rest stays: {why}")),
        None => Ok(()),
    }
}

/// What was moved, or that nothing was.
fn what_was_moved(dir: &Path) -> Result<Pruned, Error> {
    let found = moved(dir).map_err(|e| Error::journal(&e))?;
    found.ok_or_else(|| Error::Usage(format!("nothing was moved from the journal {}", dir.display())))
}

/// Reads a file from the first archive that has it as it was copied.
async fn bring(archives: &[Archive], name: &str, sha256: &Digest) -> Result<Vec<u8>, Error> {
    let mut why = None;
    for archive in archives {
        match archive.read(name, sha256).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => why = Some(error),
        }
    }
    Err(why.map_or_else(|| Error::Failed(format!("no archive has {name}")), failed))
}

fn segment_name(first: u64) -> String {
    format!("records/{first:020}.jsonl")
}

fn fetch(global: &Global, loaded: &Loaded, home: &Home, to: &Path) -> Result<Exit, Error> {
    let dir = &home.journal;
    let moved = what_was_moved(dir)?;
    let writing = |e: std::io::Error| Error::Failed(format!("{} can not be written: {e}", to.display()));
    let mut folders = std::fs::DirBuilder::new();
    folders.recursive(true).mode(0o750);
    folders.create(to).map_err(writing)?;
    if std::fs::read_dir(to).map_err(writing)?.next().is_some() {
        return Err(Error::Usage(format!("{} is not empty; what is fetched goes into a new directory", to.display())));
    }
    for folder in ["records", "evidence"] {
        folders.create(to.join(folder)).map_err(writing)?;
    }
    let write = |name: &str, bytes: &[u8]| {
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o640).open(to.join(name))?;
        file.write_all(bytes).and_then(|()| file.sync_all())
    };
    let evidence: Vec<&Digest> = moved.evidence().iter().filter(|e| e.redacted.is_none()).map(|e| &e.sha256).collect();
    session::runtime()?.block_on(async {
        let archives = open(loaded, dir).await?;
        for segment in moved.segments() {
            let name = segment_name(segment.first);
            write(&name, &bring(&archives, &name, &segment.sha256).await?).map_err(writing)?;
        }
        for sha256 in &evidence {
            let name = format!("evidence/{sha256}");
            write(&name, &bring(&archives, &name, sha256).await?).map_err(writing)?;
        }
        Ok::<_, Error>(())
    })?;
    brought(global, moved.segments().len(), evidence.len(), to)
}

fn restore(global: &Global, loaded: &Loaded, home: &Home) -> Result<Exit, Error> {
    let dir = &home.journal;
    let journal = |e: crate::journal::JournalError| Error::journal(&e);
    let held = archive::hold(dir).map_err(journal)?;
    let moved = what_was_moved(dir)?;
    session::runtime()?.block_on(async {
        let archives = open(loaded, dir).await?;
        // The first one last: when it is there, the log is whole.
        for segment in moved.segments().iter().rev() {
            let name = segment_name(segment.first);
            let bytes = bring(&archives, &name, &segment.sha256).await?;
            archive::put_back(dir, &name, &bytes).map_err(journal)?;
        }
        Ok::<_, Error>(())
    })?;
    let key = pins::outside(global, None, None, dir)?;
    let report = verify::verify(dir, &Options { key, ..Options::default() }).map_err(|e| Error::journal(&e))?;
    if let Some(bad) = report.first_bad {
        return Err(Error::Damaged(format!("what was brought back does not verify: {bad}")));
    }
    archive::forget(dir).map_err(journal)?;
    drop(held);
    brought(global, moved.segments().len(), 0, dir)
}

fn brought(global: &Global, segments: usize, evidence: usize, dir: &Path) -> Result<Exit, Error> {
    if global.format == Format::Json {
        let (segments, evidence) = (segments as u64, evidence as u64);
        output::json(&Brought { segments, evidence, dir: dir.to_owned() })?;
    } else {
        output::line(&format!("{segments} segments and {evidence} files of evidence are in {}", dir.display()))?;
    }
    Ok(Exit::Done)
}
