//! What a console has read of the journal beyond the newest records: older ones, the search over the whole log,
//! what it is narrowed to, and the record that was opened. The files are read outside; this is what came of it.

use crate::console::effect::RequestId;
use crate::domain::id::IncidentId;
use crate::domain::incident::TimelineEntry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Older records that are kept while new ones come; what lies before them is read again when it is looked at.
const KEPT: usize = 5_000;
/// Hits of a search that are kept.
pub const MOST_HITS: usize = 5_000;

/// Which records a person wants to see. What is left open admits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Words that the line must contain, all of them, in any case.
    pub text: String,
    /// Of this incident.
    pub incident: Option<IncidentId>,
    /// Of this kind.
    pub kind: Option<String>,
    /// By this user.
    pub who: Option<String>,
}

impl Wanted {
    /// Whether everything is wanted.
    pub fn is_everything(&self) -> bool {
        self.text.is_empty() && !self.narrows()
    }

    /// Whether records that do not fit are left out; a text only moves the cursor.
    pub const fn narrows(&self) -> bool {
        self.incident.is_some() || self.kind.is_some() || self.who.is_some()
    }

    /// Whether a record is wanted.
    pub fn admits(&self, entry: &TimelineEntry) -> bool {
        self.incident.as_ref().is_none_or(|id| entry.incident.as_ref() == Some(id))
            && self.kind.as_ref().is_none_or(|kind| entry.kind == *kind)
            && self.who.as_ref().is_none_or(|who| entry.who == *who)
            && self.finds(entry)
    }

    /// Whether a record contains the text.
    fn finds(&self, entry: &TimelineEntry) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let incident = entry.incident.as_ref().map_or("", IncidentId::as_str);
        let line = format!("{} {} {} {incident} {}", entry.seq, entry.kind, entry.who, entry.text).to_lowercase();
        self.text.to_lowercase().split_whitespace().all(|word| line.contains(word))
    }

    /// What records are narrowed to, in words.
    pub fn words(&self) -> String {
        let parts = [
            self.incident.as_ref().map(|id| format!("only {id}")),
            self.kind.as_ref().map(|kind| format!("only {kind}")),
            self.who.as_ref().map(|who| format!("only by {who}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// A search over the whole log, from the newest record back to the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Its name, so that what an earlier one found is not taken for this one's.
    pub id: RequestId,
    /// What it found, oldest first.
    pub hits: Vec<TimelineEntry>,
    /// Number of records when it began.
    pub from: u64,
    /// Everything from this record on has been looked at.
    pub down_to: u64,
    /// Everything before this record has been looked at as it came.
    pub upto: u64,
    /// Whether it has ended.
    pub done: bool,
    /// Whether it ended because there were too many hits.
    pub full: bool,
    /// Why it ended early.
    pub trouble: Option<String>,
}

impl Scan {
    /// How far it is, in percent.
    pub fn percent(&self) -> u64 {
        let looked = self.from.saturating_sub(self.down_to);
        if self.done { 100 } else { (looked * 100).checked_div(self.from).unwrap_or(100).min(99) }
    }

    /// How it stands, in words.
    pub fn words(&self) -> String {
        match &self.trouble {
            Some(why) => format!("ended early at record {}: {why}", self.down_to),
            None if self.full => format!("the newest {MOST_HITS} only"),
            None if self.done => String::new(),
            None => format!("searching, {} %", self.percent()),
        }
    }
}

/// What a search has found since it last said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Which search.
    pub id: RequestId,
    /// Hits, oldest first, all older than those before.
    pub hits: Vec<TimelineEntry>,
    /// Everything from this record on has been looked at.
    pub down_to: u64,
    /// Whether this is the last word.
    pub done: bool,
    /// Why it ended early.
    pub trouble: Option<String>,
}

/// One record with everything that can be said of it, as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordView {
    /// Its number.
    pub seq: u64,
    /// Name and value of what stands in it, the body last, a line each.
    pub fields: Vec<(String, String)>,
    /// Its exact bytes.
    pub stored: String,
    /// Segment and line.
    pub place: String,
    /// Its leaf in the tree, base64.
    pub leaf: String,
    /// First and last record of its batch, and the line of its commit.
    pub batch: (u64, u64, u64),
    /// The signed checkpoint of its batch.
    pub checkpoint: String,
    /// The proof that it stands in the log, checked when it was read, or why there is none.
    pub proof: Result<ProofView, String>,
}

/// A proof that a record stands in the log. It has been checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofView {
    /// Number of records that its checkpoint covers.
    pub size: u64,
    /// Its hashes, base64, from the sibling of the leaf up.
    pub hashes: Vec<String>,
    /// Name and id of the key that signed the checkpoint.
    pub key: String,
    /// Whether that key is known from outside the log.
    pub pinned: bool,
    /// How many more have signed the checkpoint.
    pub cosigned: usize,
    /// The file that carries it: a C2SP tlog-proof.
    pub file: String,
}

/// The journal as a console knows it.
#[derive(Clone, Debug, Default)]
pub struct Log {
    older: Vec<TimelineEntry>,
    /// Whether there is a gap between what was read and the newest records, which then are not shown.
    detached: bool,
    /// Whether records have been asked for.
    pub asked: bool,
    /// The record to which the cursor goes when what was asked for is there.
    pub goal: Option<u64>,
    /// What is wanted.
    pub wanted: Wanted,
    /// The search for it.
    pub scan: Option<Scan>,
    /// The record that was opened, or why it could not be read.
    pub opened: Option<(u64, Result<Box<RecordView>, String>)>,
}

impl Log {
    /// The records to show, oldest first.
    pub fn entries<'a>(&'a self, tail: &'a [TimelineEntry]) -> Vec<&'a TimelineEntry> {
        match &self.scan {
            Some(scan) if self.wanted.narrows() => scan.hits.iter().collect(),
            _ => self.loaded(tail),
        }
    }

    fn loaded<'a>(&'a self, tail: &'a [TimelineEntry]) -> Vec<&'a TimelineEntry> {
        let first = tail.first().map_or(u64::MAX, |e| e.seq);
        let tail = if self.detached { &[] } else { tail };
        self.older.iter().filter(|e| self.detached || e.seq < first).chain(tail).collect()
    }

    /// Whether the newest records are not among those shown.
    pub const fn is_detached(&self) -> bool {
        self.detached
    }

    /// Goes back to the newest records.
    pub fn attach(&mut self) {
        if std::mem::take(&mut self.detached) {
            self.older.clear();
        }
    }

    /// Takes in records that were read from the files.
    pub fn take(&mut self, entries: Vec<TimelineEntry>, tail: &[TimelineEntry]) {
        self.asked = false;
        let (Some(first), Some(last)) = (entries.first().map(|e| e.seq), entries.last().map(|e| e.seq)) else { return };
        let tail_first = tail.first().map_or(u64::MAX, |e| e.seq);
        let touches = match (self.older.first(), self.older.last()) {
            (Some(old_first), Some(old_last)) => first <= old_last.seq + 1 && old_first.seq <= last + 1,
            _ => false,
        };
        if touches {
            let all = self.older.drain(..).chain(entries).map(|e| (e.seq, e));
            self.older = all.collect::<BTreeMap<_, _>>().into_values().collect();
        } else {
            self.older = entries;
        }
        self.detached = self.older.last().is_some_and(|e| e.seq + 1 < tail_first);
    }

    /// Follows the newest records: what falls out of them stays in sight, and a search sees what is new. Answers
    /// whether records were missed that a search must look at.
    pub fn follow(&mut self, before: &[TimelineEntry], now: &[TimelineEntry]) -> bool {
        if !self.older.is_empty() && !self.detached {
            let first = now.first().map_or(u64::MAX, |e| e.seq);
            self.detached = before.last().is_some_and(|e| e.seq + 1 < first);
            self.older.extend(before.iter().filter(|e| e.seq < first).cloned());
            let over = self.older.len().saturating_sub(KEPT);
            self.older.drain(..over);
        }
        let Some(scan) = &mut self.scan else { return false };
        let missed = now.first().is_some_and(|e| e.seq > scan.upto);
        let new = now.iter().filter(|e| e.seq >= scan.upto);
        scan.hits.extend(new.filter(|e| self.wanted.admits(e)).cloned());
        scan.upto = now.last().map_or(scan.upto, |e| scan.upto.max(e.seq + 1));
        missed
    }

    /// Takes in what a search found; what an earlier one says is not heard.
    pub fn found(&mut self, found: Scanned) {
        let Some(scan) = self.scan.as_mut().filter(|s| s.id == found.id) else { return };
        let mut hits = found.hits;
        hits.append(&mut scan.hits);
        let over = hits.len().saturating_sub(MOST_HITS);
        scan.full |= over > 0;
        scan.hits = hits.split_off(over);
        scan.down_to = found.down_to;
        scan.done |= found.done;
        scan.trouble = found.trouble;
    }

    /// Where the record with the cursor stands among the hits of a search for text: how many are not older.
    pub fn hit_at(&self, seq: u64) -> Option<(usize, usize)> {
        let scan = self.scan.as_ref().filter(|_| !self.wanted.text.is_empty())?;
        let newer = scan.hits.iter().filter(|e| e.seq > seq).count();
        let here = scan.hits.iter().any(|e| e.seq == seq);
        Some((newer + usize::from(here), scan.hits.len()))
    }

    /// The nearest hit before or after a record.
    pub fn next_hit(&self, seq: u64, older: bool) -> Option<u64> {
        let hits = &self.scan.as_ref()?.hits;
        if older {
            hits.iter().rev().map(|e| e.seq).find(|hit| *hit < seq)
        } else {
            hits.iter().map(|e| e.seq).find(|hit| *hit > seq)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(range: std::ops::Range<u64>) -> Vec<TimelineEntry> {
        let one = |seq| TimelineEntry {
            seq,
            at: jiff::Timestamp::UNIX_EPOCH,
            kind: if u64::is_multiple_of(seq, 10) { "glass.broken" } else { "note.added" }.into(),
            who: "mara".into(),
            text: format!("Note {seq}"),
            incident: None,
        };
        range.map(one).collect()
    }

    fn seqs(log: &Log, tail: &[TimelineEntry]) -> Vec<u64> {
        log.entries(tail).iter().map(|e| e.seq).collect()
    }

    #[test]
    fn what_falls_out_of_the_newest_records_stays_in_sight() {
        let mut log = Log::default();
        log.take(entries(90..100), &entries(100..110));
        log.follow(&entries(100..110), &entries(105..115));
        assert_eq!(seqs(&log, &entries(105..115)), (90..115).collect::<Vec<_>>());
        // A burst that is longer than the newest records: what was read stays, and says that it is not the newest.
        log.follow(&entries(105..115), &entries(200..210));
        assert_eq!((seqs(&log, &entries(200..210)), log.is_detached()), ((90..115).collect::<Vec<_>>(), true));
        log.take(entries(115..200), &entries(200..210));
        assert_eq!((seqs(&log, &entries(200..210)), log.is_detached()), ((90..210).collect::<Vec<_>>(), false));
    }

    #[test]
    fn a_place_far_from_the_newest_records_is_shown_alone() {
        let mut log = Log::default();
        let tail = entries(100..110);
        log.take(entries(90..100), &tail);
        log.take(entries(20..40), &tail);
        assert_eq!((seqs(&log, &tail), log.is_detached()), ((20..40).collect::<Vec<_>>(), true));
        log.attach();
        assert_eq!(seqs(&log, &tail), (100..110).collect::<Vec<_>>());
    }

    #[test]
    fn a_search_hears_only_itself_and_what_is_new() {
        let wanted = Wanted { kind: Some("glass.broken".into()), ..Wanted::default() };
        let scan = Scan {
            id: RequestId(7),
            hits: vec![],
            from: 110,
            down_to: 110,
            upto: 110,
            done: false,
            full: false,
            trouble: None,
        };
        let mut log = Log { wanted, scan: Some(scan), ..Log::default() };
        let found = |id, hits, down_to, done| Scanned { id: RequestId(id), hits, down_to, done, trouble: None };
        log.found(found(6, entries(0..1), 0, true));
        assert_eq!(seqs(&log, &[]), Vec::<u64>::new());
        log.found(found(7, entries(100..101), 60, false));
        assert!(!log.follow(&entries(100..110), &entries(105..121)));
        log.found(found(7, entries(50..51), 0, true));
        assert_eq!(seqs(&log, &[]), [50, 100, 110, 120]);
        assert!(log.follow(&[], &entries(150..160)), "121 to 149 were missed");
        assert_eq!((log.next_hit(100, true), log.next_hit(100, false)), (Some(50), Some(110)));
    }

    #[test]
    fn words_are_found_in_any_case_and_order() {
        let entry = entries(20..21).remove(0);
        let finds = |text: &str| Wanted { text: text.into(), ..Wanted::default() }.admits(&entry);
        assert!(finds("NOTE 20") && finds("mara glass") && !finds("note 21"));
    }
}
