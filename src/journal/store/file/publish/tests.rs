//! What is published equals what a rebuild makes, serves proofs, is whole wherever the publisher was killed, and is
//! made anew where it was damaged.

use super::*;
use crate::journal::proof::{self, tests as log};
use crate::journal::store::file::hashes::published;
use crate::journal::verify::own_key;
use crate::journal::{Journal, OpenOptions};
use std::collections::BTreeMap;

/// Files below a directory, without segments and locks, with their content.
fn published_files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.join(FOLDER)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files.insert(CHECKPOINT.into(), std::fs::read(dir.join(CHECKPOINT)).unwrap());
    files
}

fn open(dir: &Path) -> Journal {
    Journal::open(OpenOptions { segment_bytes: 60_000, ..log::options(dir) }).unwrap().0
}

/// Appends notes in batches of this many.
fn append(journal: &Journal, count: u64, batch: u64) {
    for from in (0..count).step_by(usize::try_from(batch).unwrap()) {
        journal.append_blocking((from..count.min(from + batch)).map(log::note).collect()).unwrap();
    }
}

fn anew(log: &Path, to: &Path) -> Publisher {
    Publisher::anew(log, Prefix::beside_records(to)).unwrap()
}

fn key(log: &Path) -> VerifierKey {
    own_key(log).unwrap()
}

/// A rebuild into another directory.
fn rebuilt(log: &Path) -> BTreeMap<String, Vec<u8>> {
    let to = tempfile::tempdir().unwrap();
    let mut publisher = anew(log, to.path());
    while publisher.take(u64::MAX).unwrap() {}
    publisher.publish(&key(log), None).unwrap();
    published_files(to.path())
}

#[test]
fn what_grew_over_many_openings_is_what_a_rebuild_makes() {
    let dir = tempfile::tempdir().unwrap();
    for count in [1, 253, 1, 1, 400, 30, 700] {
        append(&open(dir.path()), count, 37);
        let (grown, mut made) = (published_files(dir.path()), rebuilt(dir.path()));
        // Partial tiles of earlier checkpoints stay until the full one is there.
        assert!(made.keys().all(|name| grown.contains_key(name)), "{:?}", made.keys());
        for (name, bytes) in grown {
            match made.remove(&name) {
                Some(expected) => assert_eq!(bytes, expected, "{name}"),
                None => {
                    assert!(name.contains(".p/"), "{name}");
                    let full = name.split(".p/").next().unwrap();
                    assert!(!dir.path().join(full).exists(), "{name} is superseded");
                }
            }
        }
    }
    let size = 7 + 1 + 253 + 1 + 1 + 400 + 30 + 700;
    assert_eq!(proof::root(dir.path(), size).unwrap(), published(dir.path(), &key(dir.path())).unwrap().0.root);
    for full in ["tile/0/000", "tile/0/004", "tile/entries/004", "tile/1/000.p/5", "tile/0/005.p/113"] {
        assert!(dir.path().join(full).exists(), "{full}");
    }
}

#[test]
fn proofs_come_from_tiles_when_earlier_records_have_gone_and_from_records_when_a_tile_lies() {
    let dir = tempfile::tempdir().unwrap();
    append(&open(dir.path()), 599, 50);
    let (records, away) = (dir.path().join("records"), dir.path().join("away"));
    let all = |dir: &Path| {
        let proofs = [0, 255, 256, 511, 512, 599].map(|seq| proof::inclusion(dir, seq, 600).unwrap());
        (
            proofs,
            [1, 256, 300, 600].map(|old| proof::consistency(dir, old, 600).unwrap()),
            proof::root(dir, 300).unwrap(),
        )
    };
    // The last segment says which tree is the log's.
    std::fs::create_dir(&away).unwrap();
    let mut first: Vec<_> = std::fs::read_dir(&records).unwrap().map(|e| e.unwrap().file_name()).collect();
    first.sort();
    first.pop().unwrap();
    assert!(!first.is_empty());
    for name in &first {
        std::fs::rename(records.join(name), away.join(name)).unwrap();
    }
    let from_tiles = all(dir.path());
    for name in &first {
        std::fs::rename(away.join(name), records.join(name)).unwrap();
    }
    assert_eq!(all(dir.path()), from_tiles);

    for file in published_files(dir.path()).into_keys().filter(|f| !f.contains("entries")) {
        let path = dir.path().join(&file);
        let good = std::fs::read(&path).unwrap();
        for bytes in [vec![], vec![0; good.len()], [&good[..], b"x"].concat(), flipped(&good)] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(all(dir.path()), from_tiles, "{file}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(all(dir.path()), from_tiles, "{file}");
        std::fs::write(&path, good).unwrap();
    }
}

#[test]
fn tiles_that_a_shorter_log_has_left_behind_say_nothing_of_it() {
    let dir = tempfile::tempdir().unwrap();
    append(&open(dir.path()), 599, 50);
    let last = std::fs::read_dir(dir.path().join("records")).unwrap().map(|e| e.unwrap().path()).max().unwrap();
    std::fs::remove_file(last).unwrap();
    assert!(matches!(proof::root(dir.path(), 600), Err(JournalError::BeyondTheEnd { asked: 600, .. })));
    drop(open(dir.path()));
    let (now, made) = (published_files(dir.path()), rebuilt(dir.path()));
    assert!(made.iter().all(|(name, bytes)| now[name] == *bytes));
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

/// Waits until something that the publisher does is done.
fn await_published(journal: &Journal, done: impl Fn(&crate::journal::Published) -> bool) -> crate::journal::Published {
    let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let said = journal.published();
        if done(&said) {
            return said;
        }
        assert!(std::time::Instant::now() < until, "{said:?}");
        std::thread::yield_now();
    }
}

#[test]
fn damage_is_found_at_the_next_opening_and_made_good() {
    let dir = tempfile::tempdir().unwrap();
    append(&open(dir.path()), 599, 50);
    let good = published_files(dir.path());
    let full = |name: &&String| name.starts_with(FOLDER) && !name.contains(".p/");
    for name in good.keys().filter(full) {
        std::fs::write(dir.path().join(name), flipped(&good[name])).unwrap();
    }
    let damaged = good.keys().filter(full).count() as u64;
    let journal = open(dir.path());
    let said = await_published(&journal, |said| said.rebuilt >= damaged);
    assert_eq!((said.rebuilt, said.problem), (damaged, None));
    drop(journal);
    let now = published_files(dir.path());
    assert!(good.iter().filter(|(name, _)| full(name)).all(|(name, bytes)| now[name] == *bytes));

    // At the edge, from which it grows, it is seen before anything is built on it.
    for name in ["tile/0/002.p/89", "tile/1/000.p/2", "tile/entries/002.p/89", CHECKPOINT] {
        let good_edge = published_files(dir.path());
        let name = if name == CHECKPOINT { name.to_owned() } else { last_partial(&good_edge, name) };
        std::fs::write(dir.path().join(&name), flipped(&std::fs::read(dir.path().join(&name)).unwrap())).unwrap();
        drop(open(dir.path()));
        let (now, made) = (published_files(dir.path()), rebuilt(dir.path()));
        assert!(made.iter().all(|(name, bytes)| now[name] == *bytes), "{name}");
        assert!(name == CHECKPOINT || !now.contains_key(&name) || now[&name] == good_edge[&name], "{name}");
    }
}

/// The widest partial form of the tile of which one is named.
fn last_partial(files: &BTreeMap<String, Vec<u8>>, like: &str) -> String {
    let folder = like.split_inclusive(".p/").next().unwrap();
    files.keys().filter(|name| name.starts_with(folder)).max_by_key(|name| files[*name].len()).unwrap().clone()
}

#[test]
fn a_publisher_killed_after_any_file_leaves_what_readers_can_use_and_the_next_goes_on() {
    let source = tempfile::tempdir().unwrap();
    append(&open(source.path()), 520, 20);
    let size = published(source.path(), &key(source.path())).unwrap().0.size;
    let (root, whole) = (proof::root(source.path(), size).unwrap(), rebuilt(source.path()));
    let proofs = [3, 300, size - 1].map(|seq| proof::inclusion(source.path(), seq, size).unwrap());
    std::fs::remove_dir_all(source.path().join(FOLDER)).unwrap();
    std::fs::remove_file(source.path().join(CHECKPOINT)).unwrap();
    let leaves: Vec<Hash> = log::leaves(source.path()).into_iter().map(Hash).collect();
    let mut kills = 0;
    // The publisher of a growing log: two checkpoints are out before the last. It is killed by its disk, which takes
    // no file after so many.
    for allowed in 0.. {
        let dir = tempfile::tempdir().unwrap();
        link_log(source.path(), dir.path());
        let mut publisher = anew(dir.path(), dir.path());
        publisher.prefix().allowed = Some(allowed);
        let ended = [241, 281, size].into_iter().try_for_each(|until| {
            while publisher.take(until)? {}
            publisher.publish(&key(dir.path()), None)
        });
        for (seq, expected) in [3, 300, size - 1].into_iter().zip(&proofs) {
            assert_eq!(proof::inclusion(dir.path(), seq, size).unwrap(), *expected, "after {allowed} files");
        }
        if let Some((checkpoint, _)) = published(dir.path(), &key(dir.path())) {
            // What a client does who has nothing but the published files.
            let mut tiles = Tiles::open(dir.path(), &checkpoint).unwrap();
            for seq in 0..checkpoint.size {
                let leaf = tiles.hash(tlog_tiles::stored_hash_index(0, seq));
                assert_eq!(leaf, Some(leaves[usize::try_from(seq).unwrap()]), "{seq} after {allowed} files");
            }
        }
        let again = Publisher::resume(dir.path(), Prefix::beside_records(dir.path()));
        let mut again = again.unwrap_or_else(|| anew(dir.path(), dir.path()));
        while again.take(size).unwrap() {}
        again.publish(&key(dir.path()), None).unwrap();
        assert!(again.prefix().rebuilt.is_empty(), "after {allowed} files: {:?}", again.prefix().rebuilt);
        assert_eq!(again.root(), root);
        let now = published_files(dir.path());
        assert!(whole.iter().all(|(name, bytes)| now[name] == *bytes), "after {allowed} files");
        if ended.is_ok() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 10, "{kills}");
}

/// The log's records and key under another directory.
fn link_log(from: &Path, to: &Path) {
    std::fs::create_dir(to.join("records")).unwrap();
    for entry in std::fs::read_dir(from.join("records")).unwrap() {
        let entry = entry.unwrap();
        std::fs::hard_link(entry.path(), to.join("records").join(entry.file_name())).unwrap();
    }
    std::fs::copy(from.join("log.vkey"), to.join("log.vkey")).unwrap();
}

#[test]
fn a_place_that_takes_no_tiles_stops_no_record() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FOLDER), "in the way").unwrap();
    let journal = open(dir.path());
    append(&journal, 5, 1);
    let said = await_published(&journal, |said| said.problem.is_some());
    assert!(said.problem.unwrap().ends_with("tile is not a directory"));
    append(&journal, 5, 1);
    assert_eq!((journal.status().size, journal.status().broken), (11, None));
    // When it is gone, publishing goes on.
    std::fs::remove_file(dir.path().join(FOLDER)).unwrap();
    append(&journal, 1, 1);
    // The size is said first, and then that nothing is in the way any more.
    await_published(&journal, |said| said.size == 12 && said.problem.is_none());
}

#[test]
fn long_partial_bundles_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut to = Prefix::beside_records(dir.path());
    let tile = |width| Tile { content: Content::Entries, n: 0, width };
    for width in 1..=40 {
        to.put(&tile(width).path(), &vec![b'x'; 1 << 20]).unwrap();
        to.bound_partials(tile(width)).unwrap();
    }
    let left: Vec<bool> = (1..=40).map(|width| dir.path().join(tile(width).path()).exists()).collect();
    assert_eq!(left, [[false; 24].as_slice(), &[true; 16]].concat());
}
