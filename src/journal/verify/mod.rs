//! Verification of a log: canonical form, numbers without gaps, the root of every commit and its signature, against
//! a key that comes from outside the log, and against checkpoints and witnesses elsewhere. It streams: memory does
//! not grow with the log. Called by `audit verify`, the journal's tests and whoever asks for a log's own key.

mod custody;
mod evidence;
mod narrow;
mod openings;
mod outside;
mod pass;
mod progress;
mod signatures;

pub use custody::{Anchored, Custody, KeyFile};
pub use evidence::Evidence;
pub use openings::{Note as OpeningNote, Openings, Trouble};
pub use progress::Progress;

use super::cosignature::WitnessKey;
use super::error::{Damage, JournalError, READING};
use super::key::{KeyRing, VerifierKey};
use super::pruned::{self, Place, Pruned};
use super::read::first_key;
use super::store::file::pruned::{archived, beginning, size as moved_size, unlike};
use super::store::file::walk::{Walk, Whole, segments};
use super::store::file::{KEY, RECORDS, VERIFIER_KEY};
use super::tree::EMPTY_HASH;
use outside::Outside;
use pass::{Bad, Standing, Task};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What to verify, and against what.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The verifier key, from outside the log: the first one or any that came into force later. Without it the log's
    /// own is used, which proves nothing about who wrote it.
    pub key: Option<VerifierKey>,
    /// Signed checkpoints that were kept elsewhere, with cosignatures or without: the log must contain them.
    pub kept: Vec<String>,
    /// Keys of witnesses, whose cosignatures are looked for under the kept checkpoints and the log's newest cosigned one.
    pub witnesses: Vec<WitnessKey>,
    /// Who runs each of them, where that is known: those of one administrator count once.
    pub administrators: Vec<String>,
    /// How many of them must have signed for the log: all when absent; with 0 none has to, and it is only said how far
    /// one of them has.
    pub quorum: Option<usize>,
    /// Whether each signature is checked by itself, as other tools would, and not many together.
    pub every_signature: bool,
    /// The first and the last record to look at; the ones before are hashed, and what comes after is left alone.
    pub range: Option<(u64, u64)>,
    /// Directories with tiles of the log, such as an exported copy: what they say counts where a signed root vouches
    /// for it, and then tells which record was changed.
    pub tiles: Vec<PathBuf>,
    /// A directory with what was moved from the log, which is then verified too.
    pub archive: Option<PathBuf>,
    /// Who is told how far it is.
    pub progress: Option<Arc<Progress>>,
}

impl Options {
    /// Against a key.
    pub fn against(key: &VerifierKey) -> Self {
        Self { key: Some(key.clone()), ..Self::default() }
    }
}

/// What verification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub enum Verdict {
    /// Everything holds, under a key from outside.
    #[serde(rename = "verified")]
    Verified,
    /// Everything holds among itself; whose key it is nobody has said.
    #[serde(rename = "self-consistent, key unpinned")]
    Unpinned,
    /// Everything holds, and too few of the witnesses have signed for it.
    #[serde(rename = "not witnessed")]
    Unwitnessed,
    /// Everything holds, and no copy elsewhere vouches for it, although it was held against them.
    #[serde(rename = "not anchored")]
    Unanchored,
    /// Something does not hold.
    #[serde(rename = "damaged")]
    Damaged,
}

/// Which records were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Range {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// What was moved from the log to an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Moved {
    /// The first record that was moved.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// Number of segments.
    pub segments: u64,
    /// Where they lie.
    pub places: Vec<Place>,
    /// The record that names them with their digests; none was looked for in a range.
    pub named_by: Option<u64>,
    /// Whether they were verified too.
    pub verified: bool,
}

/// The result. Its serialized form is the output of `audit verify --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Report {
    /// Whether the log is verified: everything holds and the key came from outside.
    pub ok: bool,
    /// The same with its reason.
    pub verdict: Verdict,
    /// Name of the log.
    pub origin: String,
    /// Number of records that hold, from the first of the log on.
    pub records: u64,
    /// Root over them, base64.
    pub root: String,
    /// The signed checkpoint that covers them; empty when there is none.
    pub checkpoint: String,
    /// Number of signatures that were checked and hold.
    pub signatures: u64,
    /// Whether each of them was checked by itself.
    pub every_signature: bool,
    /// Name and id of the key that the verification was given.
    pub key: String,
    /// Name and id of the key in force at the end; another one than `key` after a rotation.
    pub key_in_force: String,
    /// The records that were looked at, when not all were.
    pub range: Option<Range>,
    /// The records that were moved to an archive, when some were. Unless they were verified too, what is left was
    /// verified from the signed checkpoint over them.
    pub archived: Option<Moved>,
    /// Sizes of the kept checkpoints that the log was held against.
    pub kept: Vec<u64>,
    /// In whose hands it was found.
    pub custody: Custody,
    /// The files that its records name.
    pub evidence: Evidence,
    /// The openings of the values that its records commit to. One that is missing or damaged changes no verdict.
    pub openings: Openings,
    /// The first place that does not hold.
    pub first_bad: Option<Damage>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// How often a place that changed while it was looked at is looked at again.
const AGAIN: usize = 100;

/// Verifies the log in `dir`. Nothing is written there. Damage is a result; an error means that the question
/// could not be answered.
pub fn verify(dir: &Path, options: &Options) -> Result<Report, JournalError> {
    let begun = Instant::now();
    let key = match &options.key {
        Some(key) => key.clone(),
        None => own_key(dir)?,
    };
    let mut custody = Custody::of(dir)?;
    let mut outside = Outside::read(&options.kept, dir)?;
    // What is not there has no first key either, which the walk says.
    let first = first_key(dir, &key).unwrap_or_else(|_| key.clone());
    let mut found = loop {
        let before = moved_size(dir);
        let found = match go_through(dir, options, &key, &first, &mut outside) {
            // Records were moved while they were looked at.
            Ok(Found { bad: Some(_), .. }) | Err(JournalError::Archived { .. }) if moved_size(dir) != before => {
                outside = Outside::read(&options.kept, dir)?;
                continue;
            }
            found => found?,
        };
        // What lies beside the records may be forged, which is known when the keys of the log are.
        if !outside.forget_forged(&found.ring) {
            break found;
        }
    };
    outside.judge(&found.ring)?;
    let whole = options.range.is_none();
    found.bad = found.bad.or_else(|| not_led_to(&key, &found.ring).filter(|_| whole));
    let Found { bad: first_bad, ring, signatures, last, evidence, openings, moved } = found;
    let (records, root) = last.as_ref().map_or((0, EMPTY_HASH), |(checkpoint, _)| (checkpoint.size, checkpoint.root));
    let quorum = options.quorum.unwrap_or(options.witnesses.len());
    let witnessed = outside.witnessed(&ring, options, quorum.max(1), records)?;
    (custody.witnessed, custody.witnesses) = (witnessed.size, witnessed.by);
    (custody.durable, custody.asked) = (records, options.witnesses.len() as u64);
    let verdict = match (&first_bad, &options.key) {
        (Some(_), _) => Verdict::Damaged,
        (None, None) => Verdict::Unpinned,
        (None, Some(_)) if quorum > 0 && custody.witnessed.is_none() => Verdict::Unwitnessed,
        (None, Some(_)) => Verdict::Verified,
    };
    Ok(Report {
        ok: verdict == Verdict::Verified,
        verdict,
        origin: key.name().to_owned(),
        records,
        root: root.to_string(),
        checkpoint: last.map(|(_, note)| note).unwrap_or_default(),
        signatures,
        every_signature: options.every_signature,
        key: key.id(),
        key_in_force: ring.current().id(),
        range: options.range.map(|(from, to)| Range { from, to }),
        archived: moved,
        kept: outside.given(),
        custody,
        evidence,
        openings,
        first_bad,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

impl Report {
    /// Takes in what the copies elsewhere say of the log, which was compared with them.
    pub fn anchor(&mut self, anchored: Anchored) {
        if let (None, Some((after, before, why))) = (&self.first_bad, &anchored.parting) {
            let (seq, through) = (*after, before.saturating_sub(1).max(*after));
            let (file, why) = (RECORDS.to_owned(), format!("{}: {why}", anchored.place));
            self.first_bad = Some(Damage { seq, through, file, line: 0, why });
        }
        let stands = anchored.covered > 0 && anchored.strangers.is_empty();
        self.verdict = match self.verdict {
            _ if self.first_bad.is_some() => Verdict::Damaged,
            Verdict::Verified if !stands => Verdict::Unanchored,
            verdict => verdict,
        };
        self.ok = self.verdict == Verdict::Verified;
        self.custody.anchored = Some(anchored);
    }
}

/// What going through a log has found.
struct Found {
    bad: Option<Damage>,
    ring: KeyRing,
    signatures: u64,
    last: Option<(super::checkpoint::Checkpoint, String)>,
    evidence: Evidence,
    openings: Openings,
    moved: Option<Moved>,
}

impl Found {
    /// Nothing yet.
    fn of(ring: KeyRing) -> Self {
        let (evidence, openings) = (Evidence::default(), Openings::default());
        Self { bad: None, ring, signatures: 0, last: None, evidence, openings, moved: None }
    }

    /// That something does not hold before a record was read.
    fn nothing(damage: Damage, ring: KeyRing) -> Self {
        Self { bad: Some(damage), ..Self::of(ring) }
    }
}

fn go_through(
    dir: &Path,
    options: &Options,
    key: &VerifierKey,
    first: &VerifierKey,
    outside: &mut Outside,
) -> Result<Found, JournalError> {
    let at = Whole { dir, archive: options.archive.as_deref() };
    let ring = KeyRing::of(first.clone());
    // What was moved counts also where it is at hand: the log has to name it.
    let begun = beginning(dir).and_then(|(_, here)| Ok((beginning(at)?, here)));
    let ((walk, base), here) = match begun {
        Ok(begun) => begun,
        Err(JournalError::Damaged(damage)) => return Ok(Found::nothing(damage, ring)),
        Err(JournalError::NoLog { .. }) if dir.join(KEY).exists() || dir.join(VERIFIER_KEY).exists() => {
            let key = if dir.join(KEY).exists() { KEY } else { VERIFIER_KEY };
            return Err(JournalError::KeyWithoutLog { dir: dir.to_owned(), key: dir.join(key) });
        }
        Err(other) => return Err(other),
    };
    let moved = here.pruned();
    if let Some(moved) = moved {
        if let Some(damage) =
            of_another(moved, key, base.pruned().is_some()).map_or_else(|| unlike(dir, moved), |d| Ok(Some(d)))?
        {
            return Ok(Found::nothing(damage, ring));
        }
        if let Some((from, _)) = options.range.filter(|(from, _)| base.pruned().is_some() && *from < moved.size()) {
            return Err(archived(moved, from));
        }
    }
    let ring = base.ring().unwrap_or(ring);
    let contained = match base.pruned().map(|moved| outside.compare_moved(at, moved)).transpose()? {
        Some(Err(n)) => {
            let bad = outside.departure(n, at, &[]);
            return Ok(Found { bad, ..Found::of(ring) });
        }
        Some(Ok(n)) => n,
        None => 0,
    };
    let outside = &*outside;
    let (from, to) = options.range.unwrap_or((0, u64::MAX));
    if let Some(progress) = &options.progress {
        let length = |s: super::store::file::walk::Segment| std::fs::metadata(s.path).map_or(0, |m| m.len());
        progress.begin(at.segments()?.into_iter().map(length).sum());
    }
    let (every_signature, progress) = (options.every_signature, options.progress.as_deref());
    let task = Task { at, moved, kept: &outside.kept, every_signature, from, to, progress };
    let mut standing = Standing::new(&walk, key.name(), ring, base.tree());
    standing.contained = contained;
    if let Some(moved) = base.pruned() {
        standing.evidence = evidence::of_moved(moved);
    }
    let mut tiles = vec![dir.to_owned()];
    tiles.extend(options.tiles.iter().cloned());
    let mut tries = AGAIN;
    let bad = loop {
        let bad = standing.advance(&task)?;
        let clues = narrow::Clues { at, ring: &standing.ring, tiles: &tiles };
        break match bad {
            None => at_end(&standing, outside, options, dir, &clues)?,
            Some(Bad::Batch(found)) => {
                let (located, before, damage) = *found;
                let place = located.place();
                if tries > 0 && !Walk::resume(at, place.clone())?.stands(located.batch.bytes())? {
                    // A writer's work in hand.
                    (standing.place, tries) = (place, tries - 1);
                    continue;
                }
                Some(clues.batch(&located, &before, damage))
            }
            Some(Bad::Walk(place, damage)) if damage.line > 0 => Some(clues.lines(&place, damage)),
            Some(Bad::Walk(_, damage) | Bad::Signature(damage)) => Some(damage),
            Some(Bad::Kept(n)) => outside.departure(n, at, &tiles),
        };
    };
    let (mut evidence, mut unlike) = (Evidence::default(), None);
    while bad.is_none() {
        (evidence, unlike) = evidence::check(at, &standing.evidence)?;
        let size = standing.chain.frontier().size();
        // A live log may tell of a deletion in a record that has come only now.
        let may_tell = unlike.is_some() && options.range.is_none() && standing.advance(&task)?.is_none();
        if !may_tell || standing.chain.frontier().size() == size {
            break;
        }
    }
    let Standing { ring, signatures, last, named, committed, .. } = standing;
    let openings = openings::check(dir, &committed)?;
    let mut bad = bad.or(unlike);
    if let (Some(moved), None, None, None) = (moved, named, options.range, &bad) {
        let why = "no record names it with these bytes: what it says of the records that were moved was changed";
        let file = pruned::FILE.to_owned();
        bad = Some(Damage { seq: 0, through: moved.size() - 1, file, line: 0, why: why.to_owned() });
    }
    if let (Some(damage), Some(archive), Some(moved)) = (&mut bad, &options.archive, moved)
        && damage.seq < moved.size()
    {
        damage.why = format!("{} (in the archive {})", damage.why, archive.display());
    }
    let moved = moved.map(|moved| Moved {
        from: 0,
        to: moved.size() - 1,
        segments: moved.segments().len() as u64,
        places: moved.places(),
        named_by: named,
        verified: base.pruned().is_none() && bad.is_none(),
    });
    Ok(Found { bad, ring, signatures, last, evidence, openings, moved })
}

/// That what was moved is of another log than the key, as far as that is known before a record is read.
fn of_another(moved: &Pruned, key: &VerifierKey, counts: bool) -> Option<Damage> {
    let found = crate::domain::text::sanitize(moved.origin());
    let why = format!("it is of the log `{found}`, not of `{}`", key.name());
    let file = pruned::FILE.to_owned();
    (counts && moved.origin() != key.name()).then_some(Damage { seq: 0, through: moved.size() - 1, file, line: 0, why })
}

/// Nothing may lie after the last commit, and what was kept elsewhere must have been reached.
fn at_end(
    standing: &Standing,
    outside: &Outside,
    options: &Options,
    dir: &Path,
    clues: &narrow::Clues<'_>,
) -> Result<Option<Damage>, JournalError> {
    let size = standing.chain.frontier().size();
    let place = &standing.place;
    let at = |line, why| Damage { seq: size, through: size, file: place.segment.name(), line, why };
    if standing.torn > 0 {
        let why = format!("{} bytes after the last commit, torn or put there", standing.torn);
        return Ok(Some(clues.lines(place, at(place.line, why))));
    }
    if let Some((_, to)) = options.range {
        let asked = to.saturating_add(1);
        return if size < asked {
            Err(JournalError::BeyondTheEnd { dir: dir.to_owned(), asked, size })
        } else {
            Ok(None)
        };
    }
    if size == 0 {
        return Ok(Some(at(0, "there is no committed record".to_owned())));
    }
    Ok(outside.beyond(standing))
}

/// The verifier key beside the records.
pub fn own_key(dir: &Path) -> Result<VerifierKey, JournalError> {
    let path = dir.join(VERIFIER_KEY);
    let text = std::fs::read_to_string(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound if segments(dir).is_ok_and(|s| s.is_empty()) => {
            let key = dir.join(KEY);
            let dir = dir.to_owned();
            if key.exists() { JournalError::KeyWithoutLog { dir, key } } else { JournalError::NoLog { dir } }
        }
        std::io::ErrorKind::NotFound => JournalError::NoVerifierKey { dir: dir.to_owned() },
        _ => JournalError::io(READING, &path, &e),
    })?;
    text.parse().map_err(|why| JournalError::KeyMalformed { path, why })
}

/// A key that came later must have come into force by what was verified.
fn not_led_to(key: &VerifierKey, ring: &KeyRing) -> Option<Damage> {
    let why = format!("no rotation leads to the key {}", key.id());
    (!ring.contains(key)).then_some(Damage { seq: 0, through: 0, file: RECORDS.to_owned(), line: 0, why })
}
