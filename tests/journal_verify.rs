//! Whatever is done to a log without its key, verification finds, and names a range that holds it and is as narrow as
//! what is left permits; and with a checkpoint that was kept elsewhere, what is done with the key too. A few places of
//! each kind; with `QUARTERDECK_CAMPAIGN=full` hundreds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;
#[path = "journal_verify/log.rs"]
mod log;

use journal_support::*;
use log::*;
use quarterdeck::journal::key::{LogKey, VerifierKey};
use quarterdeck::journal::verify::{self, Evidence, Options, Verdict};
use quarterdeck::journal::{Journal, JournalError, Kind, OpenOptions};
use serde_json::json;
use std::path::Path;

/// What holds for a line on its own, said by other code than ours: a canonical record with this number.
fn is_record(line: &[u8], seq: u64) -> bool {
    let Some(text) = line.strip_suffix(b"\n") else { return false };
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(text) else { return false };
    serde_json_canonicalizer::to_vec(&value).is_ok_and(|canonical| canonical == text)
        && !text.contains(&b'\n')
        && value["seq"] == seq
        && value["v"].as_u64().is_some_and(|v| v >= 1)
}

#[test]
fn bit_flips() {
    let log = Log::new();
    let (mut cases, mut exact) = (Cases(1), 0);
    for _ in 0..places(600) {
        let n = cases.below(log.lines.len());
        let mut lines = log.lines.clone();
        let (at, bit) = (cases.below(lines[n].bytes.len()), cases.below(8));
        lines[n].bytes[at] ^= 1 << bit;
        let what = format!("line {n} byte {at} bit {bit}");
        let batch = log.lines[n].batch.clone();
        let bad = found(&log.with(&lines), &what);
        match log.lines[n].seq {
            // The end of the line: it runs into the next one, which is a record or the commit line.
            Some(seq) if at + 1 == lines[n].bytes.len() => within(&bad, seq..=seq + 1, seq..=seq, &what),
            Some(seq) if !is_record(&lines[n].bytes, seq) => {
                exactly(&bad, seq..=seq, &what);
                exact += 1;
            }
            _ => exactly(&bad, batch, &what),
        }
    }
    println!("{} bit flips found, {exact} of them named to the record", places(600));
    assert!(exact > places(600) / 8, "{exact}");
}

#[test]
fn runs_of_zeros() {
    let log = Log::new();
    let all: Vec<u8> = log.lines.iter().flat_map(|l| l.bytes.clone()).collect();
    let mut cases = Cases(2);
    for _ in 0..places(300) {
        let (at, length) = (cases.below(all.len() - 1), 1 + cases.below(700));
        let (mut lines, mut start, mut touched) = (log.lines.clone(), 0, vec![]);
        for (n, line) in lines.iter_mut().enumerate() {
            for (offset, byte) in line.bytes.iter_mut().enumerate() {
                if (at..at + length).contains(&(start + offset)) {
                    *byte = 0;
                    touched.push(n);
                }
            }
            start += line.bytes.len();
        }
        touched.dedup();
        let what = format!("{length} zeros from byte {at} on, lines {touched:?}");
        let bad = found(&log.with(&lines), &what);
        let (first, last) = (&log.lines[touched[0]], &log.lines[*touched.last().unwrap()]);
        match (first.seq, touched.len()) {
            (Some(seq), 1) => within(&bad, seq..=seq + 1, seq..=seq, &what),
            (None, 1) => within(&bad, log.around(touched[0]), first.batch.clone(), &what),
            // From the first line that was touched to the last one, or the line that it runs into.
            (seq, _) => {
                // Where the run takes the end of a segment with it, the whole batch is without its commit line.
                let ends_file = |n: &usize| log.lines.get(n + 1).is_none_or(|next| next.file != log.lines[*n].file);
                let whole = touched.iter().any(ends_file);
                let from = seq.filter(|_| !whole).unwrap_or(*first.batch.start());
                let to = last.seq.unwrap_or(*last.batch.end()) + 1;
                within(&bad, from..=to, seq.map_or(first.batch.clone(), |seq| seq..=seq), &what);
            }
        }
    }
    println!("{} runs of zeros found", places(300));
}

#[test]
fn lines_deleted() {
    let log = Log::new();
    let mut cases = Cases(3);
    for _ in 0..places(200) {
        let n = cases.below(log.lines.len());
        let (line, what) = (&log.lines[n], format!("line {n} deleted"));
        let mut lines = log.lines.clone();
        lines.remove(n);
        let bad = found(&log.with(&lines), &what);
        match line.seq {
            // A gap in the numbers; at the end of a batch anything in it may be gone, and the rest renumbered.
            Some(seq) if seq < *line.batch.end() => exactly(&bad, seq..=seq, &what),
            Some(_) => exactly(&bad, line.batch.clone(), &what),
            // Two batches run together, and any commit line between them may be the one that is missing.
            None => within(&bad, *line.batch.start()..=log.next_batch_end(n), line.batch.clone(), &what),
        }
    }
    println!("{} deletions found", places(200));
}

#[test]
fn lines_doubled_and_put_in() {
    let log = Log::new();
    let mut cases = Cases(4);
    for _ in 0..places(200) {
        let n = cases.below(log.lines.len());
        let what = format!("line {n} doubled");
        let mut lines = log.lines.clone();
        lines.insert(n, lines[n].clone());
        let bad = found(&log.with(&lines), &what);
        exactly(&bad, log.lines[n].seq.map_or(log.lines[n].batch.clone(), |seq| seq..=seq), &what);

        // Another record of the log, with its number made to fit: well-formed, and never committed.
        let n = cases.below(log.lines.len());
        let what = format!("a line put before line {n}");
        let own = cases.below(log.size());
        let wanted = log.lines[n].seq.unwrap_or(log.lines[n].batch.end() + 1);
        let forged = renumbered(&log.record(own).bytes, own as u64, wanted);
        let mut lines = log.lines.clone();
        lines.insert(n, Line { bytes: forged, ..log.lines[n].clone() });
        exactly(&found(&log.with(&lines), &what), wanted..=wanted, &what);

        // The same with all that follow in its batch renumbered: then only the count is wrong.
        let what = format!("a line put before line {n}, the rest of the batch renumbered");
        let mut k = n + 1;
        while let Some(seq) = lines[k].seq {
            lines[k].bytes = renumbered(&lines[k].bytes, seq, seq + 1);
            k += 1;
        }
        let batch = log.lines[n].batch.clone();
        within(&found(&log.with(&lines), &what), *batch.start()..=batch.end() + 1, wanted..=wanted, &what);
    }
    println!("{} doubled lines and {} put in found", places(200), 2 * places(200));
}

#[test]
fn lines_swapped_and_reordered() {
    let log = Log::new();
    let mut cases = Cases(5);
    let commits: Vec<usize> = (0..log.lines.len()).filter(|n| log.lines[*n].seq.is_none()).collect();
    let mut reordered = 0;
    for _ in 0..places(200) {
        let n = cases.below(log.lines.len() - 1);
        let what = format!("lines {n} and {} swapped", n + 1);
        let mut lines = log.lines.clone();
        swap(&mut lines, n, n + 1);
        let bad = found(&log.with(&lines), &what);
        match (log.lines[n].seq, log.lines[n + 1].seq) {
            (Some(a), Some(b)) => exactly(&bad, a..=b, &what),
            (None, Some(b)) if log.lines[n].file == log.lines[n + 1].file => exactly(&bad, b..=b, &what),
            // The first segment has lost its last commit line, the second begins with one.
            (None, Some(b)) => exactly(&bad, *log.lines[n].batch.start()..=b, &what),
            (a, _) => within(&bad, log.lines[n].batch.clone(), a.unwrap()..=a.unwrap(), &what),
        }
        // Two records anywhere: in one batch both are named, else the first of them.
        let (a, b) = (cases.below(log.size()), cases.below(log.size()));
        let (a, b) = (a.min(b), a.max(b));
        if a < b {
            let what = format!("records {a} and {b} exchanged");
            let mut lines = log.lines.clone();
            swap(&mut lines, log.index(a), log.index(b));
            let bad = found(&log.with(&lines), &what);
            let (a, b) = (a as u64, b as u64);
            let same = log.record(usize::try_from(a).unwrap()).batch.contains(&b);
            exactly(&bad, a..=if same { b } else { a }, &what);
            reordered += 1;
        }
        // Two commit lines, or one in the place of another: the batch of the first of them.
        let (a, b) = (cases.below(commits.len()), cases.below(commits.len()));
        let (a, b) = (a.min(b), a.max(b));
        if a < b {
            let what = format!("commits {a} and {b} exchanged");
            let mut lines = log.lines.clone();
            swap(&mut lines, commits[a], commits[b]);
            let batch = log.lines[commits[a]].batch.clone();
            let bad = found(&log.with(&lines), &what);
            within(&bad, *batch.start()..=batch.end() + 1, batch.clone(), &what);
            let what = format!("the stale checkpoint {a} in the place of {b}");
            let mut lines = log.lines.clone();
            lines[commits[b]].bytes = lines[commits[a]].bytes.clone();
            exactly(&found(&log.with(&lines), &what), log.lines[commits[b]].batch.clone(), &what);
            reordered += 2;
        }
    }
    println!("{} swaps and {reordered} reorders and stale checkpoints found", places(200));
}

#[test]
fn edits_that_keep_the_form() {
    let log = Log::new();
    let mut cases = Cases(6);
    let members = [("żółć", "żołć"), ("\"user\":\"mara\"", "\"user\":\"jo\""), ("INC-42", "INC-43"), ("drill", "live")];
    for _ in 0..places(200) {
        let n = cases.below(log.size());
        let (index, seq) = (log.index(n), n as u64);
        let text = String::from_utf8(log.lines[index].bytes.clone()).unwrap();
        let fits: Vec<_> = members.iter().filter(|(from, _)| text.contains(from)).collect();
        let (from, to) = fits[cases.below(fits.len())];
        let mut lines = log.lines.clone();
        lines[index].bytes = text.replace(from, to).into_bytes();
        let (what, batch) = (format!("record {n}: {from} made {to}"), log.lines[index].batch.clone());
        exactly(&found(&log.with(&lines), &what), batch.clone(), &what);

        // With tiles whose hashes lead to the signed root, the record itself, whatever was done to the lines.
        let told = |dir: &Path| {
            write_tiles(dir, &log.leaves());
            check(dir, &log.key)
        };
        exactly(&found(&log.changed(&lines, told), &what), seq..=seq, &format!("{what}, with tiles"));
        let mut gone = log.lines.clone();
        gone.remove(index);
        let mut last = index;
        while let Some(seq) = gone[last].seq {
            gone[last].bytes = renumbered(&gone[last].bytes, seq, seq - 1);
            last += 1;
        }
        let bad = found(&log.changed(&gone, told), &what);
        within(&bad, seq..=*batch.end(), seq..=seq, &format!("{n} deleted and the rest renumbered, with tiles"));

        // Tiles made anew from the edited records, without the key: they lead nowhere, and are not believed.
        let rebuilt = |dir: &Path| {
            write_tiles(dir, &leaves(&lines));
            check(dir, &log.key)
        };
        exactly(&found(&log.changed(&lines, rebuilt), &what), batch.clone(), &format!("{what}, tiles rebuilt"));

        // The root in the commit line made anew too: its signature is not.
        let commit = (index..log.lines.len()).find(|n| log.lines[*n].seq.is_none()).unwrap();
        let mut lines = lines.clone();
        lines[commit].bytes = with_root(&lines[commit].bytes, &root(&leaves(&lines[..commit])));
        let report = log.changed(&lines, rebuilt);
        exactly(&found(&report, &what), batch, &format!("{what}, tiles and root rebuilt"));
        assert!(report.first_bad.unwrap().why.contains("signature is not valid"));
    }
    println!("{} edits found, each without tiles, with tiles, with rebuilt tiles and with a rebuilt root", places(200));
}

#[test]
fn signatures_nonces_and_namespaces_exchanged() {
    let log = Log::new();
    let mut cases = Cases(7);
    let commits: Vec<usize> = (0..log.lines.len()).filter(|n| log.lines[*n].seq.is_none()).collect();
    let approvals: Vec<usize> = (0..log.size()).filter(|n| log.text(*n).contains("approval.granted")).collect();
    assert!(approvals.len() > 3);
    for _ in 0..places(200) {
        let (a, b) = (cases.below(commits.len()), cases.below(commits.len()));
        if a != b {
            let what = format!("the signature of commit {b} under the text of commit {a}");
            let mut lines = log.lines.clone();
            lines[commits[a]].bytes = with_signature(&lines[commits[a]].bytes, &signature(&lines[commits[b]].bytes));
            for every_signature in [false, true] {
                let options = Options { every_signature, ..Options::against(&log.key) };
                let report = log.changed(&lines, |dir| verify::verify(dir, &options).unwrap());
                exactly(&found(&report, &what), log.lines[commits[a]].batch.clone(), &what);
            }
        }
        let (a, b) = (approvals[cases.below(approvals.len())], approvals[cases.below(approvals.len())]);
        let member = ["nonce", "signature", "namespace"][cases.below(3)];
        if a != b {
            let what = format!("the {member} of approval {b} in approval {a}");
            let mut value: serde_json::Value = serde_json::from_str(&log.text(a)).unwrap();
            let other: serde_json::Value = serde_json::from_str(&log.text(b)).unwrap();
            value["body"][member] = other["body"][member].clone();
            let mut lines = log.lines.clone();
            let index = log.index(a);
            lines[index].bytes = [serde_json_canonicalizer::to_vec(&value).unwrap(), b"\n".to_vec()].concat();
            exactly(&found(&log.with(&lines), &what), log.lines[index].batch.clone(), &what);
        }
    }
    println!("{} exchanged signatures, nonces and namespaces found", places(200));
}

#[test]
fn evidence_exchanged_changed_and_gone() {
    let log = fast_dir();
    let (journal, _) = open(log.path());
    let folder = log.path().join("evidence");
    std::fs::create_dir(&folder).unwrap();
    let digest = |bytes: &[u8]| {
        let hash: [u8; 32] = sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(bytes)).into();
        quarterdeck::domain::id::Digest::from_bytes(&hash).as_str().to_owned()
    };
    let mut captured = vec![];
    for n in 0..12_usize {
        let bytes = format!("what was seen at {n} żółć").repeat(1 + n * 40).into_bytes();
        let name = digest(&bytes);
        std::fs::write(folder.join(&name), &bytes).unwrap();
        let body = json!({ "sha256": name, "bytes": bytes.len(), "what": "a screen", "media_type": "text/plain" });
        let committed = journal.append_blocking(vec![note(n), draft(Kind::EvidenceCaptured, body)]).unwrap();
        captured.push((committed[1].seq, name, bytes));
    }
    // One that was deleted, as a record says, and one that nobody names.
    let (_, gone, _) = captured.remove(7);
    std::fs::remove_file(folder.join(&gone)).unwrap();
    journal.append_blocking(vec![draft(Kind::Redaction, json!({ "sha256": gone, "why": "a name in it" }))]).unwrap();
    std::fs::write(folder.join("0".repeat(64)), "x").unwrap();
    let key = journal.verifier().clone();
    drop(journal);
    let report = assert_verified(log.path(), &key);
    let bytes = captured.iter().map(|(_, _, b)| b.len() as u64).sum();
    assert_eq!(report.evidence, Evidence { files: 11, bytes, redacted: 1 });

    let mut cases = Cases(10);
    for n in 0..places(200) {
        let copied = fast_dir();
        copy(log.path(), copied.path());
        let there = copied.path().join("evidence");
        std::fs::create_dir(&there).unwrap();
        for (_, name, bytes) in &captured {
            std::fs::write(there.join(name), bytes).unwrap();
        }
        at_rest(copied.path());
        assert!(check(copied.path(), &key).ok);
        let (a, b) = (cases.below(captured.len()), cases.below(captured.len()));
        let ((seq, name, bytes), (other_seq, other, others)) = (&captured[a], &captured[b]);
        let (path, at) = (there.join(name), cases.below(bytes.len()));
        let (expected, says) = match n % 6 {
            0 if a != b => {
                std::fs::write(&path, others).unwrap();
                std::fs::write(there.join(other), bytes).unwrap();
                (*seq.min(other_seq), "bytes")
            }
            1 => {
                std::fs::remove_file(&path).unwrap();
                (*seq, "is not there, and no record tells of its deletion")
            }
            2 => {
                std::fs::write(&path, &bytes[..at]).unwrap();
                (*seq, "bytes, and the record says")
            }
            3 => {
                std::fs::write(&path, [&bytes[..], b"\n"].concat()).unwrap();
                (*seq, "bytes, and the record says")
            }
            4 => {
                std::fs::rename(&path, there.join("moved")).unwrap();
                std::os::unix::fs::symlink(there.join("moved"), &path).unwrap();
                (*seq, "is no regular file")
            }
            _ => {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << cases.below(8);
                std::fs::write(&path, changed).unwrap();
                (*seq, "has other bytes than those that were captured")
            }
        };
        let report = check(copied.path(), &key);
        let what = format!("evidence of record {seq}, way {}", n % 6);
        exactly(&found(&report, &what), expected..=expected, &what);
        assert!(report.first_bad.as_ref().unwrap().why.contains(says), "{report:?}");
    }
    println!("{} changes of evidence found", places(200));
}

#[test]
fn files_gone_renamed_exchanged_and_lengthened() {
    let log = Log::new();
    let records = |d: &Path| d.join("records");
    let first_of = |file: usize| log.lines.iter().find(|l| l.file == file).unwrap().seq.unwrap();
    let last_of = |file: usize| *log.lines.iter().rfind(|l| l.file == file).unwrap().batch.end();
    let mut cases = Cases(8);
    for file in 0..log.files.len() {
        let name = log.files[file].file_name().unwrap().to_owned();
        if file + 1 < log.files.len() {
            let gone = log.altered(|d| std::fs::remove_file(records(d).join(&name)).unwrap());
            exactly(&found(&gone, "a file gone"), first_of(file)..=last_of(file), "a file gone");
            let next = log.files[file + 1].file_name().unwrap().to_owned();
            let exchanged = log.altered(|d| {
                std::fs::rename(records(d).join(&name), d.join("x")).unwrap();
                std::fs::rename(records(d).join(&next), records(d).join(&name)).unwrap();
                std::fs::rename(d.join("x"), records(d).join(&next)).unwrap();
            });
            let first = first_of(file);
            within(&found(&exchanged, "files exchanged"), first..=last_of(file + 1), first..=first, "files exchanged");
        }
        let renamed = log.altered(|d| {
            std::fs::rename(records(d).join(&name), records(d).join("00000000000000000999.jsonl")).unwrap();
        });
        let bad = found(&renamed, "a file renamed");
        assert!(bad.contains(&first_of(file)) || *bad.start() == last_of(file) + 1, "{bad:?}");
    }
    let texts: [&[u8]; 6] = [b"x", b"\n", b"{}\n", b"\n\n\n{}\n", b"\0\0\0\0", b"{\"checkpoint\":"];
    for n in 0..places(200) {
        let file = cases.below(log.files.len());
        let mut extra = texts[n % texts.len()].to_vec();
        extra.extend((0..cases.below(3) * 40).map(|_| b"x{}\"\n\0"[cases.below(6)]));
        // Newlines at the very end are room set aside, not content.
        let is_room = file + 1 == log.files.len() && extra.iter().all(|b| *b == b'\n');
        let longer = log.altered(|d| {
            let path = records(d).join(log.files[file].file_name().unwrap());
            std::fs::write(&path, [std::fs::read(&path).unwrap(), extra.clone()].concat()).unwrap();
        });
        if is_room {
            assert!(longer.ok);
        } else {
            let what = format!("{:?} after file {file}", String::from_utf8_lossy(&extra));
            exactly(&found(&longer, &what), last_of(file) + 1..=last_of(file) + 1, &what);
        }
    }
    println!("{} lengthened files found", places(200));
    let stray = log.altered(|d| std::fs::write(records(d).join("00000000000000000001.jsonl.bak"), "x").unwrap());
    assert!(!stray.ok && stray.first_bad.unwrap().why.contains("no segment"));
}

#[test]
fn another_key() {
    let log = Log::new();
    // A whole history that is consistent in itself, signed by another key of the same name.
    let forged = fast_dir();
    let (journal, _) = Journal::open(OpenOptions { segment_bytes: 4_000, ..options(forged.path()) }).unwrap();
    journal.append_blocking(vec![note("another history")]).unwrap();
    let report = check(forged.path(), &log.key);
    exactly(&found(&report, "another key"), 0..=0, "another key");
    assert!(report.first_bad.unwrap().why.contains("not signed by the key quarterdeck/test+"));
    let other_name: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    let report = log.changed(&log.lines, |dir| check(dir, &other_name));
    let why = report.first_bad.unwrap().why;
    assert_eq!(why, "its checkpoint is of the log `quarterdeck/test`, not of `PeterNeumann`");
}

#[test]
fn truncation_fork_and_rollback_by_whoever_holds_the_key() {
    let log = Log::new();
    let key = LogKey::parse(&std::fs::read_to_string(log.dir.path().join("log.key")).unwrap()).unwrap();
    let commits: Vec<usize> = (0..log.lines.len()).filter(|n| log.lines[*n].seq.is_none()).collect();
    let against = |kept: Vec<String>| Options { kept, ..Options::against(&log.key) };
    let mut cases = Cases(9);
    for _ in 0..places(200) {
        let (cut, kept) = (cases.below(commits.len() - 1), cases.below(commits.len()));
        let (cut, kept) = (cut.min(kept), cut.max(kept));
        let (at, note) = (commits[cut], checkpoint(&log.lines[commits[kept]].bytes));
        let (left, covered) = (log.lines[at].batch.end() + 1, log.lines[commits[kept]].batch.end() + 1);
        let what = format!("cut at {left}, and {covered} records kept");
        let shorter = &log.lines[..=at];
        let report = log.changed(shorter, |dir| verify::verify(dir, &against(vec![note.clone()])).unwrap());
        if left < covered {
            exactly(&found(&report, &what), left..=covered - 1, &what);
            // Without the kept checkpoint nothing shows it.
            assert!(log.changed(shorter, |dir| check(dir, &log.key)).ok);
        } else {
            assert!(report.ok, "{what}: {report:?}");
        }

        // The key holder writes another history from some record on, of the same length, and signs it all.
        let from = cases.below(log.size());
        let forked = resigned(&log.lines, &key, |seq, text| {
            if seq >= from as u64 { text.replace("batch", "hctab").replace("granted", "denied_") } else { text }
        });
        let forked =
            resigned(&forked, &key, |seq, text| if seq == from as u64 { text.replace("mara", "anna") } else { text });
        let what = format!("another history from record {from} on, {covered} records kept");
        assert!(log.changed(&forked, |dir| check(dir, &log.key)).ok, "{what}: consistent in itself");
        let earlier = cases.below(kept + 1);
        let (earlier_note, agreed) =
            (checkpoint(&log.lines[commits[earlier]].bytes), log.lines[commits[earlier]].batch.end() + 1);
        let options = against(vec![note.clone(), earlier_note]);
        let report = log.changed(&forked, |dir| verify::verify(dir, &options).unwrap());
        if (from as u64) >= covered {
            assert!(report.ok, "{what}: {report:?}");
        } else if (from as u64) < agreed {
            exactly(&found(&report, &what), 0..=agreed - 1, &what);
        } else {
            exactly(&found(&report, &what), agreed..=covered - 1, &what);
        }

        // One record changed, and a copy of the tiles elsewhere whose root was kept: the record itself.
        let edited = resigned(
            &log.lines,
            &key,
            |seq, text| if seq == from as u64 { text.replace("mara", "anna") } else { text },
        );
        let copy = fast_dir();
        write_tiles(copy.path(), &log.leaves());
        let options = Options { tiles: vec![copy.path().to_owned()], ..against(vec![note.clone()]) };
        let report = log.changed(&edited, |dir| verify::verify(dir, &options).unwrap());
        if (from as u64) < covered {
            exactly(&found(&report, &what), from as u64..=from as u64, "one record, with a copy of the tiles");
        } else {
            assert!(report.ok);
        }
    }
    println!("{} truncations, forks and edits by the key holder found with a kept checkpoint", 3 * places(200));

    let other = fast_dir();
    let (journal, _) = open(other.path());
    let foreign = check(other.path(), journal.verifier()).checkpoint;
    let why = verify::verify(log.dir.path(), &against(vec![foreign])).unwrap_err();
    assert!(matches!(why, JournalError::KeptCheckpoint { .. }), "{why}");
}

#[test]
fn what_lies_beside_the_records_shows_a_cut_unless_it_was_forged() {
    let log = Log::new();
    let commits: Vec<usize> = (0..log.lines.len()).filter(|n| log.lines[*n].seq.is_none()).collect();
    let newest = checkpoint(&log.lines[*commits.last().unwrap()].bytes);
    let shorter = &log.lines[..=commits[3]];
    let report = log.changed(shorter, |dir| {
        std::fs::write(dir.join("checkpoint"), &newest).unwrap();
        check(dir, &log.key)
    });
    let left = log.lines[commits[3]].batch.end() + 1;
    exactly(&found(&report, "cut"), left..=log.size() as u64 - 1, "cut");
    // Signed by nobody who may: it proves nothing, also not damage.
    let forged = newest.replace(&format!("\n{}\n", log.size()), "\n9\n");
    for text in [forged.as_str(), "", "x\n", &newest[..40]] {
        let report = log.changed(shorter, |dir| {
            std::fs::write(dir.join("checkpoint"), text).unwrap();
            check(dir, &log.key)
        });
        assert!(report.ok, "{text:?}: {report:?}");
    }
}

#[test]
fn a_range_is_verified_and_what_lies_before_it_only_hashed() {
    let log = Log::new();
    let ranged =
        |dir: &Path, from, to| verify::verify(dir, &Options { range: Some((from, to)), ..Options::against(&log.key) });
    let last = log.size() as u64 - 1;
    for (from, to) in [(0, 0), (0, last), (7, 9), (last, last)] {
        let report = log.changed(&log.lines, |dir| ranged(dir, from, to).unwrap());
        assert!(report.ok && report.records > to, "{from} to {to}: {report:?}");
    }
    let beyond = log.changed(&log.lines, |dir| ranged(dir, 3, last + 1).unwrap_err());
    assert!(matches!(beyond, JournalError::BeyondTheEnd { .. }), "{beyond}");
    let mut lines = log.lines.clone();
    let (seq, index) = (40_u64, log.index(40));
    lines[index].bytes = log.text(40).replace("mara", "anna").into_bytes();
    assert!(log.changed(&lines, |dir| ranged(dir, 0, log.lines[index].batch.start() - 1).unwrap()).ok);
    for (from, to) in [(0, seq), (seq, seq), (seq, last), (last, last)] {
        let report = log.changed(&lines, |dir| ranged(dir, from, to).unwrap());
        exactly(&found(&report, "an edit"), log.lines[index].batch.clone(), &format!("{from} to {to}"));
    }
}

#[test]
fn without_a_key_from_outside_a_log_is_never_ok() {
    let log = Log::new();
    let report = verify::verify(log.dir.path(), &Options::default()).unwrap();
    assert_eq!((report.ok, report.verdict, &report.first_bad), (false, Verdict::Unpinned, &None));
    let json = serde_json::to_value(&report).unwrap();
    for member in ["ok", "origin", "records", "root", "checkpoint", "signatures", "first_bad", "took_ms", "custody"] {
        assert!(json.get(member).is_some(), "{member}");
    }
    assert_eq!(json["verdict"], "self-consistent, key unpinned");
    assert_eq!(json["custody"]["key"], "same-user");
    assert!(json["first_bad"].is_null());

    std::fs::remove_file(log.dir.path().join("log.vkey")).unwrap();
    let why = verify::verify(log.dir.path(), &Options::default()).unwrap_err();
    assert!(matches!(why, JournalError::NoVerifierKey { .. }), "{why}");
    assert!(check(log.dir.path(), &log.key).ok, "the key from outside is enough");
    let empty = fast_dir();
    assert!(matches!(verify::verify(empty.path(), &Options::default()), Err(JournalError::NoLog { .. })));
}
