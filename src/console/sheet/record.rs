//! The sheet of one record: what the line says at once, and what was read from the files when it came.

use super::Page;
use crate::console::format::moment;
use crate::console::state::{ProofView, RecordView, State};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::incident::TimelineEntry;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Writes about a record.
pub(super) fn write(out: &mut Page, state: &State, entry: &TimelineEntry) {
    out.pair("record", Role::Text, entry.seq.to_string());
    out.pair("at", Role::Text, moment(entry.at));
    out.pair("kind", Role::Accent, &entry.kind);
    out.pair("who", Role::Text, &entry.who);
    out.pair("what", Role::Text, &entry.text);
    match state.log.opened.as_ref().filter(|(seq, _)| *seq == entry.seq) {
        Some((_, Ok(read))) => whole(out, read),
        Some((_, Err(why))) => out.pair("stored", Role::Critical, format!("can not be read: {why}")),
        None => out.pair("stored", Role::Dim, "being read"),
    }
}

fn whole(out: &mut Page, read: &RecordView) {
    for (name, value) in &read.fields {
        out.pair(name, Role::Text, value);
    }
    out.heading("Where it stands");
    out.pair("place", Role::Text, &read.place);
    let (first, last, line) = read.batch;
    out.pair("batch", Role::Text, format!("records {first} to {last}, committed in line {line}"));
    out.pair("leaf hash", Role::Text, &read.leaf);
    proof(out, &read.proof);
    out.heading("Checkpoint of its batch");
    for line in read.checkpoint.lines() {
        out.line(Role::Text, line);
    }
    out.heading(format!("Exact bytes, {}", read.stored.len()));
    exactly(out, &read.stored);
    out.heading("Elsewhere");
    out.line(Role::Dim, format!("quarterdeck audit show --seq {} prints the same.", read.seq));
}

fn proof(out: &mut Page, proof: &Result<ProofView, String>) {
    match proof {
        Ok(proof) => {
            let (word, role) = if proof.pinned { ("pinned", Role::Ok) } else { ("unpinned", Role::Warn) };
            let verifies = format!("verifies against the checkpoint of {} records, key {word}", proof.size);
            out.pair("proof", role, verifies);
            out.pair("signed by", Role::Text, &proof.key);
            if proof.cosigned > 0 {
                out.pair("cosigned by", Role::Text, format!("{} more", proof.cosigned));
            }
            if !proof.pinned {
                out.pair("", Role::Dim, "the key lies beside the log: nobody outside has said whose it is");
            }
            for (i, hash) in proof.hashes.iter().enumerate() {
                out.pair(if i == 0 { "proof hashes" } else { "" }, Role::Dim, hash);
            }
        }
        Err(why) => out.pair("proof", Role::Critical, format!("none: {why}")),
    }
}

/// Text broken wherever the line is full: no blank is left out, so that it can be copied as it is.
fn exactly(out: &mut Page, text: &str) {
    let mut line = String::new();
    for grapheme in text.graphemes(true) {
        if line.width() + grapheme.width() > out.width && !line.is_empty() {
            out.lines.push(Strip::text(std::mem::take(&mut line)));
        }
        line.push_str(grapheme);
    }
    out.lines.push(Strip::text(line));
}
