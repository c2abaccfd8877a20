//! Sealed segments that are moved to an archive: every record stays in the log or lies in the archive, whatever fails
//! on the way; what is left opens, verifies and proves as before and names what was moved; and whatever is done to
//! `pruned.json` or to the archive is found. A few places of each kind; with `QUARTERDECK_CAMPAIGN=full` hundreds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod anchor_support;
#[path = "journal_archive/bucket.rs"]
mod bucket;
#[path = "journal_archive/faults.rs"]
mod faults;
#[path = "journal_archive/house.rs"]
mod house;
mod journal_support;
#[path = "journal_verify/log.rs"]
#[allow(dead_code, reason = "shared with the campaign on whole logs")]
mod log;

use house::*;
use journal_support::*;
use log::{at_rest, found, places};
use quarterdeck::journal::archive;
use quarterdeck::journal::checkpoint::Checkpoint;
use quarterdeck::journal::key::LogKey;
use quarterdeck::journal::proof;
use quarterdeck::journal::read::{Filter, Reader, Whole, find, first_key, rotations};
use quarterdeck::journal::tree::record_hash;
use quarterdeck::journal::verify::{self, Options, Verdict};
use quarterdeck::journal::{Damage, Journal, JournalError, Kind, OpenOptions, evidence, export, fold, pieces};
use serde_json::json;
use std::path::Path;

#[test]
fn what_is_left_opens_verifies_and_names_what_was_moved() {
    let house = House::new();
    let before = house.stored();
    let size = house.move_away(60, Stop::Never);
    assert!(size > 20 && segments(house.dir()).len() < house.segments, "{size}");
    let after = house.stored();
    assert_eq!(after[..before.len()], before, "nothing is lost");
    assert_eq!(after.last().unwrap().record.kind, Kind::JournalArchived);

    let report = assert_verified(house.dir(), &house.key);
    let moved = report.archived.clone().unwrap();
    assert_eq!((moved.from, moved.to, moved.verified), (0, size - 1, false));
    assert_eq!((moved.named_by, moved.places[0].region.as_str()), (Some(report.records - 1), "eu"));
    assert_eq!(serde_json::to_value(&report).unwrap()["archived"]["to"], size - 1);
    let whole = house.verify_whole();
    assert!(whole.ok && whole.archived.unwrap().verified);
    assert_eq!((whole.records, &whole.root), (report.records, &report.root));
    assert_eq!((report.evidence.files, report.evidence.redacted), (1, 1), "{:?}", report.evidence);
    let listed = evidence::list(house.dir(), true).unwrap();
    assert_eq!(listed.iter().map(|e| e.standing.word()).collect::<Vec<_>>(), ["present", "redacted"]);

    // A record that was moved: one sentence with its place, and the record with the archive.
    let why = find(house.dir(), 3).unwrap_err().to_string();
    assert!(
        why.contains(&format!(
            "records 0 to {} were moved to the archive {} in eu",
            size - 1,
            house.archive().display()
        )),
        "{why}"
    );
    let at = Whole { dir: house.dir(), archive: Some(house.archive()) };
    assert_eq!(find(at, 3).unwrap().unwrap().stored, before[3]);
    assert!(matches!(proof::prove(house.dir(), 3, &house.key), Err(JournalError::Archived { .. })));
    for tiles in ["all", "without those of hashes", "none"] {
        match tiles {
            "without those of hashes" => std::fs::remove_dir_all(house.dir().join("tile/0")).unwrap(),
            "none" => std::fs::remove_dir_all(house.dir().join("tile")).unwrap(),
            _ => {}
        }
        for seq in 0..after.len() as u64 {
            let proved =
                if seq < size { proof::prove(at, seq, &house.key) } else { proof::prove(house.dir(), seq, &house.key) };
            let (bundle, stored) = proved.unwrap_or_else(|e| panic!("{tiles}, record {seq}: {e}"));
            assert!(bundle.verify(record_hash(&stored.bytes), &house.key, &[]).is_ok(), "{tiles}, record {seq}");
        }
    }
    let ranged =
        |from, to| verify::verify(house.dir(), &Options { range: Some((from, to)), ..Options::against(&house.key) });
    assert!(ranged(size, size + 3).unwrap().ok);
    assert!(matches!(ranged(size - 1, size + 3), Err(JournalError::Archived { .. })));

    // It opens again, from the snapshot and without the archive, goes on, and is moved once more.
    std::fs::rename(house.archive(), house.archive().with_extension("away")).unwrap();
    let full = house.reopen();
    assert_eq!(full.seen(), after.len() as u64 + 1);
    assert_eq!(fold::replay_kept::<Seen>(house.dir()).unwrap(), full.state);
    std::fs::rename(house.archive().with_extension("away"), house.archive()).unwrap();
    full.append(30);
    drop(full);
    let again = house.move_away(30, Stop::Never);
    assert!(again > size);
    assert!(assert_verified(house.dir(), &house.key).archived.unwrap().to == again - 1);
    assert!(house.verify_whole().ok);
}

#[test]
fn a_kill_at_any_step_leaves_every_record_in_the_log_or_in_the_archive() {
    let mut stops =
        vec![Stop::Copied(0), Stop::Copied(1), Stop::Copied(99), Stop::Prepared, Stop::Recorded, Stop::Settled];
    stops.extend((1..8).map(Stop::Removed));
    for stop in stops {
        let house = House::new();
        let before = house.stored();
        house.move_away(40, stop);
        println!("{stop:?}");
        for _ in 0..2 {
            let after = house.stored();
            assert_eq!(after[..before.len()], before, "{stop:?}");
            let report = assert_verified(house.dir(), &house.key);
            assert_eq!(report.archived.is_some(), matches!(stop, Stop::Removed(_)), "{stop:?}");
            assert!(house.verify_whole().ok, "{stop:?}");
            // The next opening goes on as if nothing had been.
            assert_eq!(house.reopen().seen(), house.stored().len() as u64, "{stop:?}");
        }
        // And the next archiving completes it.
        let size = house.move_away(40, Stop::Never);
        assert_eq!(house.first_here(), size, "{stop:?}");
        assert_eq!(house.stored()[..before.len()], before, "{stop:?}");
        assert_verified(house.dir(), &house.key);
        assert!(house.verify_whole().ok, "{stop:?}");
    }
}

#[test]
fn what_was_moved_comes_back() {
    let house = House::new();
    let before = house.stored();
    let size = house.move_away(40, Stop::Never);
    let moved = quarterdeck::journal::read::moved(house.dir()).unwrap().unwrap();
    // Cut short after each file it is still the log that it was.
    for segment in moved.segments().iter().rev() {
        assert_eq!(house.first_here(), size);
        assert_verified(house.dir(), &house.key);
        let name = format!("records/{:020}.jsonl", segment.first);
        let bytes = std::fs::read(house.archive().join(&name)).unwrap();
        archive::put_back(house.dir(), &name, &bytes).unwrap();
    }
    assert_eq!(house.first_here(), 0);
    assert!(assert_verified(house.dir(), &house.key).archived.is_none());
    archive::forget(house.dir()).unwrap();
    assert!(assert_verified(house.dir(), &house.key).archived.is_none());
    assert_eq!(records(house.dir())[..before.len()], before);
    // It can go again.
    house.move_away(40, Stop::Never);
    assert_verified(house.dir(), &house.key);
}

#[test]
fn retention_says_what_stays_and_why() {
    let house = House::new();
    let planned = |retention| house.plan(retention);
    let plan = planned(None);
    assert_eq!((plan.due, plan.stays.unwrap().as_str()), (0, "no [journal.retention] says what may go"));
    let all = planned(Some((0, 0)));
    assert!(all.due > 0 && all.due < all.sealed.len());
    assert!(all.stays.as_ref().unwrap().contains("no snapshot of the state stands for records"), "{:?}", all.stays);
    let young = planned(Some((1, 0)));
    assert_eq!(young.due, 0);
    assert!(young.stays.as_ref().unwrap().contains("less than 1 days ago"), "{:?}", young.stays);
    let few = planned(Some((0, 1 << 20)));
    assert!(few.due == 0 && few.stays.as_ref().unwrap().contains("have to stay"), "{:?}", few.stays);
    assert!(all.sealed.iter().flat_map(|s| &s.evidence).count() == 1, "what was deleted is not copied");
    // Without any snapshot nothing goes, and the holder of the log refuses it too.
    std::fs::remove_dir_all(house.dir().join("snapshot")).unwrap();
    assert_eq!(planned(Some((0, 0))).due, 0);
    let copied = house.copied(&all.sealed[..all.due]);
    let bytes = archive::describe(house.dir(), &copied).unwrap();
    archive::prepare(house.dir(), &bytes).unwrap();
    let why = archive::check(house.dir(), &evidence::digest(&bytes), FORMAT).unwrap_err().to_string();
    assert!(why.contains("nothing was pruned: no snapshot of the state that a record names covers"), "{why}");
    let why = archive::check(house.dir(), &evidence::digest(b"x"), FORMAT).unwrap_err().to_string();
    assert!(why.contains("is not the one that was asked for"), "{why}");
}

#[test]
fn without_a_snapshot_that_fits_the_state_is_not_made_up() {
    let house = House::new();
    let size = house.move_away(40, Stop::Never);
    std::fs::remove_dir_all(house.dir().join("snapshot")).unwrap();
    let why = fold::open_kept::<Seen>(options(house.dir())).map(|_| ()).unwrap_err();
    assert!(matches!(&why, JournalError::StateArchived { last, .. } if *last == size - 1), "{why}");
    assert!(why.to_string().contains("audit archive --restore"), "{why}");
    assert!(matches!(fold::replay_kept::<Seen>(house.dir()), Err(JournalError::StateArchived { .. })));
    // What needs no state opens from the checkpoint over what was moved.
    let (journal, _) = Journal::open(options(house.dir())).unwrap();
    journal.append_blocking(vec![note("goes on")]).unwrap();
    drop(journal);
    assert_verified(house.dir(), &house.key);
}

#[test]
fn a_snapshot_of_an_earlier_program_stands_for_what_was_moved_and_for_nothing_else() {
    let house = House::new();
    let opened = |dir: &Path| fold::open_kept::<Seen>(options(dir)).map(|(_, recovered, state)| (recovered, state));
    house.snapshot_by("quarterdeck 0.0.1");
    let (recovered, whole) = opened(&house.copy()).unwrap();
    assert!(
        recovered.from_snapshot == 0 && recovered.passed_over.iter().any(|w| w.contains("0.0.1 (form")),
        "{recovered:?}"
    );
    house.move_away(40, Stop::Never);
    house.snapshot_by("quarterdeck 0.0.2");
    let (recovered, state) = opened(house.dir()).unwrap();
    assert!(recovered.from_snapshot > 0, "{recovered:?}");
    assert!(state.records > whole.records);
}

#[test]
fn keys_that_were_changed_in_what_was_moved_are_proven_without_it() {
    let house = House::rotated(2);
    let (size, told) = (house.move_away(40, Stop::Never), rotations(house.dir()).unwrap());
    assert!(told.len() == 2 && told[1].0 < size, "{told:?}, {size}");
    for key in [&told[0].1, &told[1].1, &told[1].2] {
        let report = assert_verified(house.dir(), key);
        assert_eq!(report.key_in_force, told[1].2.id());
        assert_eq!(first_key(house.dir(), key).unwrap(), told[0].1);
    }
    assert!(house.verify_whole().ok);
    let stranger = LogKey::generate(ORIGIN).unwrap();
    let report = check(house.dir(), stranger.verifier());
    assert!(report.first_bad.unwrap().why.contains("no rotation leads to the key"));
    assert_eq!(house.reopen().seen(), house.stored().len() as u64);
}

#[test]
fn kept_checkpoints_over_what_was_moved_are_held_against_the_tiles() {
    let house = House::long(700);
    let notes: Vec<String> = (1..60).filter_map(|size| pieces::note_at(house.dir(), size).unwrap()).collect();
    let size = house.move_away(200, Stop::Never);
    let against = |notes: &[String]| {
        verify::verify(house.dir(), &Options { kept: notes.to_vec(), ..Options::against(&house.key) })
    };
    assert!(notes.len() > 10 && against(&notes).unwrap().ok);
    let key = LogKey::parse(&std::fs::read_to_string(house.dir().join("log.key")).unwrap()).unwrap();
    let fork = Checkpoint { origin: ORIGIN.into(), size: size / 2, root: record_hash(b"fork") }.sign(&key).unwrap();
    let report = against(std::slice::from_ref(&fork)).unwrap();
    let bad = report.first_bad.unwrap();
    assert!(bad.why.contains("has another root") && bad.through < size, "{bad}");
    assert_eq!(pieces::root_at(house.dir(), 9, |_| None).unwrap(), Some(proof::root(&house.before(), 9).unwrap()));
    std::fs::remove_dir_all(house.dir().join("tile")).unwrap();
    assert!(matches!(against(&notes), Err(JournalError::Archived { .. })), "unknown is not verified");
    let with = Options { kept: notes, archive: Some(house.archive().to_owned()), ..Options::against(&house.key) };
    assert!(verify::verify(house.dir(), &with).unwrap().ok);
}

#[test]
fn a_pruned_log_is_exported_and_published_with_the_tiles_that_stayed() {
    let house = House::long(900);
    let plain = fast_dir();
    export(&house.before(), plain.path(), &house.key).unwrap();
    let size = house.move_away(200, Stop::Never);
    assert!(size > 512, "{size}");
    archive::remove_entries(house.dir(), size);
    assert!(!house.dir().join("tile/entries/000").exists() && house.dir().join("tile/0/000").exists());
    let to = fast_dir();
    let exported = export(house.dir(), to.path(), &house.key).unwrap();
    assert_eq!(exported.records, house.stored().len() as u64);
    for level in ["0/000", "0/001", "0/002"] {
        let path = format!("tile/{level}");
        assert_eq!(std::fs::read(to.path().join(&path)).ok(), std::fs::read(plain.path().join(&path)).ok(), "{path}");
    }
    // An export from before holds all entries and grows.
    let grown = export(house.dir(), plain.path(), &house.key).unwrap();
    assert!(grown.rebuilt.is_empty() && plain.path().join("tile/entries/000").exists(), "{grown:?}");
    // A tile over what was moved that is damaged is not handed on.
    let tile = house.dir().join("tile/0/000");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[77] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    let other = fast_dir();
    assert!(matches!(export(house.dir(), other.path(), &house.key), Err(JournalError::Archived { .. })));
    // The writer publishes on, with the tiles there and without.
    for lost in [false, true] {
        if lost {
            std::fs::remove_dir_all(house.dir().join("tile")).unwrap();
        }
        let opened = house.reopen();
        opened.append(20);
        let (records, mut published) = (opened.journal.status().size, opened.journal.published());
        for _ in 0..2_000 {
            published = opened.journal.published();
            if published.size == records || published.problem.is_some() {
                break;
            }
            std::thread::yield_now();
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        assert_eq!((published.size, &published.problem), (records, &None), "lost {lost}");
    }
    assert_verified(house.dir(), &house.key);
}

#[test]
fn whatever_is_done_to_pruned_json_is_found() {
    let house = House::new();
    let first = house.move_away(60, Stop::Never);
    let earlier = std::fs::read(house.dir().join("pruned.json")).unwrap();
    let opened = house.reopen();
    opened.append(30);
    drop(opened);
    let size = house.move_away(30, Stop::Never);
    assert!(size > first);
    let path = house.dir().join("pruned.json");
    let good = std::fs::read(&path).unwrap();
    at_rest(house.dir());
    let mut cases = Cases(77);
    let judged = |what: &str, bytes: Option<&[u8]>| {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let report = check(house.dir(), &house.key);
        let bad = found(&report, what);
        assert!(*bad.end() <= size, "{what}: {bad:?}");
        // With the archive at hand it is found too, where the records themselves are true.
        assert!(!house.verify_whole().ok, "{what}, with the archive");
        report.first_bad.unwrap()
    };
    for n in 0..places(400) {
        let mut bytes = good.clone();
        let (at, what) = (cases.below(bytes.len()), format!("change {n} of pruned.json"));
        match n % 4 {
            0 => bytes[at] ^= 1 << cases.below(7),
            1 => {
                let end = (at + 1 + cases.below(40)).min(bytes.len());
                bytes[at..end].fill(b'0');
                if bytes == good {
                    continue;
                }
            }
            2 => drop(bytes.drain(at..(at + 1 + cases.below(60)).min(good.len()))),
            _ => bytes.insert(at, b' '),
        }
        judged(&what, Some(&bytes));
    }
    println!("{} mutations of pruned.json detected", places(400));
    let gone = judged("its deletion", None);
    assert_eq!((gone.through, gone.why.as_str()), (size - 1, "the records before this segment are missing"));
    let stale = judged("an earlier one", Some(&earlier));
    assert!(stale.why.contains(&format!("{first} records were moved")), "{stale}");
    let later = judged("a later format", Some(br#"{"format":2}"#));
    assert!(later.why.contains("use a newer quarterdeck"), "{later}");
    let text = String::from_utf8(good.clone()).unwrap();
    let elsewhere = judged("another place", Some(text.replace("\"eu\"", "\"us\"").as_bytes()));
    assert!(
        elsewhere.why.contains("no record names it with these bytes") && elsewhere.file == "pruned.json",
        "{elsewhere}"
    );
    let other = House::new();
    other.move_away(60, Stop::Never);
    judged("that of another log", Some(&std::fs::read(other.dir().join("pruned.json")).unwrap()));
    // It is not opened for writing either, where it does not go on to what was signed.
    for bytes in [&earlier[..], &good[..90]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(refused(house.dir()), JournalError::Damaged(Damage { .. })));
    }
    std::fs::write(&path, &good).unwrap();
    assert_verified(house.dir(), &house.key);
    assert!(house.verify_whole().ok);
}

/// Number of the first record of a segment.
fn first_of(path: &Path) -> u64 {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

#[test]
fn whatever_is_done_to_the_archive_or_to_what_is_left_is_found() {
    let house = House::new();
    let size = house.move_away(40, Stop::Never);
    at_rest(house.dir());
    at_rest(house.archive());
    let moved = quarterdeck::journal::read::moved(house.dir()).unwrap().unwrap();
    let mut cases = Cases(78);
    let mut count = 0;
    for n in 0..places(400) {
        let base = if n % 3 == 0 { house.dir() } else { house.archive() };
        // What was copied ahead does not count yet.
        let files: Vec<_> = segments(base).into_iter().filter(|p| base == house.dir() || first_of(p) < size).collect();
        let path = &files[cases.below(files.len())];
        let good = std::fs::read(path).unwrap();
        let content = content(path).len();
        let mut bytes = good.clone();
        let at = cases.below(content);
        match n % 5 {
            0 => bytes[at] ^= 1 << cases.below(7),
            1 => drop(bytes.drain(at..(at + 1 + cases.below(300)).min(content))),
            2 => drop(bytes.splice(at..at, b"{\"x\":1}\n".iter().copied())),
            3 => bytes.truncate(at),
            _ => {
                let end = (at + 1 + cases.below(300)).min(content);
                bytes[at..end].fill(0);
            }
        }
        if bytes == good {
            continue;
        }
        std::fs::write(path, &bytes).unwrap();
        at_rest(base);
        let what = format!("change {n} in {}", path.display());
        let report = house.verify_whole();
        let is_last = base == house.dir() && Some(path) == files.last();
        // A cut at a commit of the last segment is not to be seen without a kept checkpoint.
        if !(report.ok && is_last && n % 5 == 3) {
            let bad = found(&report, &what);
            let first = first_of(path);
            let next = moved.segments().iter().find(|s| s.first == first).map_or(u64::MAX - 1, |s| s.last + 1);
            assert!(*bad.end() >= first && *bad.start() <= next, "{what}: {bad:?}, segment from {first}");
            let in_archive = report.first_bad.unwrap().why.contains("in the archive");
            assert_eq!(in_archive, *bad.start() < size, "{what}");
            count += 1;
        }
        if base == house.archive() {
            assert!(check(house.dir(), &house.key).ok, "what is left does not need the archive");
        }
        std::fs::write(path, &good).unwrap();
        at_rest(base);
    }
    assert!(count >= places(400) * 8 / 10);
    println!("{count} mutations of an archive and of what is left detected");
    let files = segments(house.archive());
    let swapped = [std::fs::read(&files[0]).unwrap(), std::fs::read(&files[1]).unwrap()];
    std::fs::write(&files[0], &swapped[1]).unwrap();
    std::fs::write(&files[1], &swapped[0]).unwrap();
    at_rest(house.archive());
    assert_eq!(*found(&house.verify_whole(), "two exchanged segments").start(), 0);
    std::fs::write(&files[0], &swapped[0]).unwrap();
    std::fs::remove_file(&files[1]).unwrap();
    let lacking = house.verify_whole().first_bad.unwrap();
    assert!(lacking.why.contains("are missing") && lacking.seq == moved.segments()[1].first, "{lacking}");
    std::fs::write(&files[1], &swapped[1]).unwrap();
    assert!(house.verify_whole().ok);
    // A segment that was moved and lies here again with other bytes.
    let stray = house.dir().join(format!("records/{:020}.jsonl", moved.segments()[1].first));
    std::fs::write(&stray, &swapped[0]).unwrap();
    let bad = check(house.dir(), &house.key).first_bad.unwrap();
    assert!(bad.why.contains("has other bytes") && bad.seq == moved.segments()[1].first, "{bad}");
    std::fs::write(&stray, &swapped[1]).unwrap();
    assert_verified(house.dir(), &house.key);
    // Evidence lies in both places; without its file here the archive's counts, and without both it is missed.
    std::fs::remove_file(&stray).unwrap();
    let digest = &moved.evidence().iter().find(|e| e.redacted.is_none()).unwrap().sha256;
    std::fs::remove_file(house.dir().join("evidence").join(digest.as_str())).unwrap();
    assert!(check(house.dir(), &house.key).first_bad.unwrap().why.contains("is not there, and no record tells"));
    assert!(house.verify_whole().ok);
    std::fs::write(house.archive().join("evidence").join(digest.as_str()), "another tree").unwrap();
    assert!(!house.verify_whole().ok);
}

#[test]
fn readers_of_a_pruned_log_begin_where_it_begins() {
    let house = House::new();
    let size = house.move_away(40, Stop::Never);
    let all: Vec<u64> =
        Reader::checked(house.dir(), Filter::default()).unwrap().map(|s| s.unwrap().record.seq).collect();
    assert_eq!((all[0], all.len() as u64), (size, house.stored().len() as u64 - size));
    let report = verify::verify(house.dir(), &Options::default()).unwrap();
    assert_eq!((report.verdict, report.archived.unwrap().to), (Verdict::Unpinned, size - 1));
    let mut told = vec![];
    pieces::roots(house.dir(), &house.key, &[5, size, size + 9], |at, root| told.push((at, root))).unwrap();
    assert_eq!(told.len(), 3);
    for (at, root) in told {
        assert_eq!(root, proof::root(Whole { dir: house.dir(), archive: None }.dir, at).unwrap());
    }
    let (journal, recovered) =
        Journal::open(OpenOptions { pin: Some(house.key.clone()), ..options(house.dir()) }).unwrap();
    assert_eq!(recovered.records, house.stored().len() as u64 - 1);
    journal.append_blocking(vec![draft(Kind::NoteAdded, json!({ "text": "on" }))]).unwrap();
    drop(journal);
    let foreign = Journal::open(OpenOptions { origin: "quarterdeck/other".into(), ..options(house.dir()) });
    assert!(foreign.is_err());
}
