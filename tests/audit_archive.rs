//! `audit archive` as it is typed: what it copies and lets go of, beside an engine and without one, what every command
//! says of the records that were moved, and its sentence for each archive that can not be used.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;
mod support;

use journal_support::{note, options, segments};
use quarterdeck::journal::{Journal, OpenOptions};
use serde_json::Value;
use std::path::{Path, PathBuf};
use support::{SOON, Start, Term, config, run};

struct House {
    home: tempfile::TempDir,
    file: String,
}

impl House {
    /// An estate with an incident, some hundred records in many segments after it, and a snapshot of the state.
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut house = Self { home, file: String::new() };
        house.file = house.configured("eu", &house.archive());
        assert_eq!(house.go(&["incident", "declare", "Orders stand still", "--severity", "SEV1"]).0, 0);
        let options =
            OpenOptions { segment_bytes: 40_000, origin: "quarterdeck/lonely".into(), ..options(&house.journal()) };
        let (journal, _) = Journal::open(options).unwrap();
        for batch in 0..24 {
            journal.append_blocking((0..50).map(|n| note(format!("batch {batch} note {n}"))).collect()).unwrap();
        }
        journal.close_blocking("2026-11-21T15:00:00Z".parse().unwrap()).unwrap();
        drop(journal);
        // The engine leaves a snapshot at its end.
        assert_eq!(house.go(&["incident", "note", "INC-1", "seen"]).0, 0);
        house
    }

    fn configured(&self, region: &str, archive: &Path) -> String {
        config(
            self.home.path(),
            &format!(
                "[estate]\nname = \"lonely\"\nenvironment = \"staging\"\nregion = \"{region}\"\n[journal]\ndir = \"{}\"\n\
                 [journal.retention]\ndays = 0\nrecords = 300\n[[journal.archive]]\nregion = \"{region}\"\ndir = \"{}\"\n",
                self.journal().display(),
                archive.display()
            ),
        )
    }

    fn journal(&self) -> PathBuf {
        self.home.path().join("journal")
    }

    fn archive(&self) -> PathBuf {
        self.home.path().join("archive")
    }

    fn go(&self, args: &[&str]) -> (i32, String, String) {
        run(self.home.path(), &[&["--config", &self.file], args].concat())
    }

    fn json(&self, args: &[&str]) -> Value {
        let (code, out, err) = self.go(&[args, &["--format", "json"]].concat());
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }
}

#[test]
fn segments_go_to_the_archive_and_every_command_says_where_they_are() {
    let house = House::new();
    let count = segments(&house.journal()).len();
    let (code, out, err) = house.go(&["audit", "archive", "--dry-run"]);
    assert!(code == 0 && out.contains("would then let go of") && out.contains("have to stay"), "{out}{err}");
    assert!(!house.archive().exists() && segments(&house.journal()).len() == count);

    let report = house.json(&["audit", "archive"]);
    let (first, pruned) = (report["first"].as_u64().unwrap(), report["pruned"].as_u64().unwrap());
    assert!(first > 700 && pruned > 3 && report["places"][0]["region"] == "eu", "{report}");
    assert_eq!(report["copied"], report["sealed"], "{report}");
    assert!(!house.journal().join(format!("records/{:020}.jsonl", 0)).exists());
    let archive = house.archive().display().to_string();
    let sentence = format!("records 0 to {} were moved to the archive {archive} in eu", first - 1);

    let (code, out, err) = house.go(&["audit", "verify"]);
    assert!(
        code == 0 && out.starts_with("verified: ") && out.contains("segments) were moved to the archive"),
        "{out}{err}"
    );
    assert_eq!(house.json(&["audit", "verify"])["archived"]["verified"], false);
    assert_eq!(house.json(&["audit", "verify", "--archive", &archive])["archived"]["verified"], true);
    let (code, out, err) = house.go(&["audit", "verify", "--from", "3", "--to", "9"]);
    assert!(code == 2 && err.contains(&sentence), "{code} {out}{err}");

    let (code, _, err) = house.go(&["audit", "show", "--seq", "3"]);
    assert!(code == 1 && err.contains(&sentence), "{code} {err}");
    assert_eq!(house.json(&["audit", "show", "--seq", "3", "--archive", &archive])["record"]["seq"], 3);
    let (code, out, err) = house.go(&["audit", "show", "--format", "json"]);
    let head: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert!(code == 0 && head["seq"] == first && err.contains("are not shown"), "{head} {err}");
    let (code, out, err) = house.go(&["audit", "show", "--to", "4", "--archive", &archive]);
    assert!(code == 0 && out.lines().count() == 6 && err.is_empty(), "{out}{err}");
    let (code, out, err) = house.go(&["audit", "show", "--archive", "/nowhere"]);
    assert!(code == 2 && err.contains("has no folder `records`"), "{out}{err}");

    let (code, _, err) = house.go(&["audit", "prove", "3"]);
    assert!(code == 1 && err.contains(&sentence), "{code} {err}");
    let vkey = house.journal().join("log.vkey").display().to_string();
    for (seq, more) in [("3", vec!["--archive", archive.as_str()]), (&*(first + 2).to_string(), vec![])] {
        let proof = house.home.path().join(format!("{seq}.tlog-proof")).display().to_string();
        let args = ["audit", "prove", seq, "--with-record", "--output", &proof];
        assert_eq!(house.go(&[&args[..], &more].concat()).0, 0, "{seq}");
        let (code, out, err) = house.go(&["audit", "verify", "--proof", &proof, "--vkey", &vkey]);
        assert!(code == 0 && out.contains(&format!("verified: record {seq} ")), "{out}{err}");
    }

    // Neither the state nor the opening needs the archive.
    let away = house.home.path().join("away");
    std::fs::rename(house.archive(), &away).unwrap();
    assert_eq!(house.json(&["incident", "list"])[0]["title"], "Orders stand still", "declared in what was moved");
    let (code, out, err) = house.go(&["incident", "note", "INC-1", "still here"]);
    assert_eq!(code, 0, "{out}{err}");
    std::fs::rename(&away, house.archive()).unwrap();

    // Again there is nothing to do; brought elsewhere and back everything is as it was.
    let again = house.json(&["audit", "archive"]);
    assert_eq!((&again["pruned"], &again["copied"], &again["first"]), (&0.into(), &0.into(), &first.into()), "{again}");
    let fetched = house.home.path().join("fetched").display().to_string();
    assert_eq!(house.json(&["audit", "archive", "--fetch", &fetched])["segments"], pruned);
    assert_eq!(house.json(&["audit", "verify", "--archive", &fetched])["archived"]["verified"], true);
    let (code, _, err) = house.go(&["audit", "archive", "--fetch", &fetched]);
    assert!(code == 2 && err.contains("is not empty"), "{err}");
    assert_eq!(house.json(&["audit", "archive", "--restore"])["segments"], pruned);
    let report = house.json(&["audit", "verify"]);
    assert!(report["ok"] == true && report["archived"].is_null() && !house.journal().join("pruned.json").exists());
    let (code, _, err) = house.go(&["audit", "archive", "--restore"]);
    assert!(code == 2 && err.contains("nothing was moved"), "{err}");
}

#[test]
fn it_goes_through_the_engine_that_runs() {
    let house = House::new();
    let args = ["--config", house.file.as_str()];
    let mut console = Term::start(&Start { args: &args, env: &[], home: house.home.path(), size: (120, 40) });
    console.shows("lonely");
    let report = house.json(&["audit", "archive"]);
    assert!(report["pruned"].as_u64().unwrap() > 3, "{report}");
    let (code, _, err) = house.go(&["audit", "archive", "--restore"]);
    assert!(code == 1 && err.contains("is held by"), "{code} {err}");
    assert_eq!(house.json(&["audit", "verify"])["archived"]["to"], report["first"].as_u64().unwrap() - 1);
    assert_eq!(house.go(&["incident", "note", "INC-1", "goes on"]).0, 0);
    console.signal(rustix::process::Signal::TERM);
    console.ends(SOON);
    assert_eq!(house.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn each_archive_that_can_not_be_used_has_its_sentence_and_nothing_leaves() {
    let mut house = House::new();
    let count = segments(&house.journal()).len();
    let verified = |house: &House| house.json(&["audit", "verify"])["ok"] == true;
    let refused = |house: &House, exit: i32, words: &str| {
        let (code, out, err) = house.go(&["audit", "archive"]);
        assert!(code == exit && err.contains(words), "{words}: {code} {out}{err}");
        assert_eq!(segments(&house.journal()).len(), count, "{words}");
        assert!(!house.journal().join("pruned.json").exists() && verified(house), "{words}");
    };
    // Not mounted: nothing is made above it.
    house.file = house.configured("eu", &house.home.path().join("not/there"));
    refused(&house, 1, "can not be used: making ");
    let file = house.home.path().join("file");
    std::fs::write(&file, "x").unwrap();
    house.file = house.configured("eu", &file);
    refused(&house, 1, "can not be used: reading ");
    house.file = house.configured("eu", Path::new("/proc/archive"));
    refused(&house, 1, "the archive /proc/archive can not be used: making /proc/archive failed");
    // Of another region, of another log.
    house.file = house.configured("us", &house.archive());
    std::fs::create_dir(house.archive()).unwrap();
    let label = house.archive().join("archive.json");
    std::fs::write(&label, "{\"origin\":\"quarterdeck/lonely\",\"region\":\"eu\"}").unwrap();
    refused(&house, 2, "says that it is in the region `eu`, and the records of this estate may lie in `us` only");
    house.file = house.configured("eu", &house.archive());
    std::fs::write(&label, "{\"origin\":\"quarterdeck/other\",\"region\":\"eu\"}").unwrap();
    refused(&house, 2, "is that of the log `quarterdeck/other`, not of `quarterdeck/lonely`");
    std::fs::write(&label, "{").unwrap();
    refused(&house, 1, "its archive.json can not be understood");
    std::fs::remove_file(&label).unwrap();
    // What reads back otherwise, and what was there before under the name.
    std::fs::create_dir(house.archive().join("records")).unwrap();
    let name = segments(&house.journal())[1].file_name().unwrap().to_owned();
    let there = house.archive().join("records").join(&name);
    std::fs::write(&there, "something else").unwrap();
    refused(&house, 3, "has other bytes than were copied");
    std::fs::remove_file(&there).unwrap();
    // A damaged journal is not archived.
    let path = segments(&house.journal())[1].clone();
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, String::from_utf8(good.clone()).unwrap().replacen("note", "nota", 1)).unwrap();
    let (code, _, err) = house.go(&["audit", "archive"]);
    assert!(code == 3 && err.contains("nothing is archived of a damaged journal: record"), "{code} {err}");
    std::fs::write(&path, good).unwrap();
    // A waiting file that can not be written.
    let waiting = house.journal().join("pruned.json.next");
    std::fs::create_dir(&waiting).unwrap();
    refused(&house, 1, "nothing was pruned: opening ");
    std::fs::remove_dir(&waiting).unwrap();
    assert!(house.json(&["audit", "archive"])["pruned"].as_u64().unwrap() > 3);
    assert!(verified(&house));
    // Without an archive in the configuration, and in a drill.
    let bare = house.home.path().join("bare");
    std::fs::create_dir(&bare).unwrap();
    let file = config(
        &bare,
        &format!(
            "[estate]\nname = \"lonely\"\nenvironment = \"staging\"\n[journal]\ndir = \"{}\"\n",
            house.journal().display()
        ),
    );
    let (code, _, err) = run(&bare, &["--config", &file, "audit", "archive"]);
    assert!(code == 2 && err.contains("no [[journal.archive]] is configured"), "{err}");
    let (code, _, err) = run(&bare, &["--drill", "audit", "archive"]);
    assert!(code == 2 && err.contains("a drill keeps its journal"), "{err}");
}
