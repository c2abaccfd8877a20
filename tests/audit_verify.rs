//! `audit verify` as it is typed: its exit codes, its sentences for directories that are no log or not this one, its
//! contract in JSON, and that it writes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod journal_support;
mod support;

use journal_support::{copy, fast_dir, open, options, segments, write_log};
use quarterdeck::journal::checkpoint::Checkpoint;
use quarterdeck::journal::key::LogKey;
use quarterdeck::journal::{Journal, OpenOptions};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use support::run;

/// Runs `audit verify` from a home of its own.
fn verify(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let home = fast_dir();
    let name = dir.display().to_string();
    run(home.path(), &[&["audit", "verify", "--journal", &name], args].concat())
}

/// What a case does to a journal's directory.
type Change<'a> = &'a dyn Fn(&Path);

/// Names, modes, times and bytes of everything below a directory.
fn digest(dir: &Path) -> Vec<u8> {
    let mut paths = vec![dir.to_owned()];
    let mut hash = Sha256::new();
    while let Some(path) = paths.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        hash.update(format!(
            "{} {:o} {} {} {}\n",
            path.display(),
            meta.mode(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.len()
        ));
        if meta.is_dir() {
            let mut below: Vec<_> = std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()).collect();
            below.sort();
            paths.extend(below);
        } else if meta.is_file() {
            hash.update(std::fs::read(&path).unwrap());
        }
    }
    hash.finalize().to_vec()
}

#[test]
fn each_bad_directory_has_its_sentence_and_its_exit_code_and_nothing_is_written() {
    let home = fast_dir();
    let log = home.path().join("log");
    let key = write_log(&log, &[3, 1, 4], 1_500);
    let vkey = home.path().join("outside.vkey");
    std::fs::write(&vkey, key.as_str()).unwrap();
    let vkey = vkey.display().to_string();
    let pinned = ["--vkey", vkey.as_str()];
    let (code, out, err) = verify(&log, &pinned);
    assert!(code == 0 && out.starts_with("verified: quarterdeck/test"), "{code} {out} {err}");
    assert!(out.contains("custody: the signing key lies beside the records and is yours; no witness"), "{out}");
    let (code, out, _) = verify(&log, &[]);
    assert!(code == 3 && out.starts_with("self-consistent, key unpinned: quarterdeck/test"), "{code} {out}");

    let edit = |from: &'static str, to: &'static str| {
        move |d: &Path| {
            let path = &segments(d)[0];
            std::fs::write(path, std::fs::read_to_string(path).unwrap().replacen(from, to, 1)).unwrap();
        }
    };
    let later = |d: &Path| {
        // Signed by the log's own key: a program of tomorrow wrote it.
        let key = LogKey::parse(&std::fs::read_to_string(d.join("log.key")).unwrap()).unwrap();
        std::fs::remove_dir_all(d.join("records")).unwrap();
        std::fs::create_dir(d.join("records")).unwrap();
        let record = r#"{"seq":0,"v":2}"#;
        let root = quarterdeck::journal::tree::record_hash(record.as_bytes());
        let note = Checkpoint { origin: "quarterdeck/test".into(), size: 1, root }.sign(&key).unwrap();
        let commit = serde_json::json!({ "checkpoint": note, "from": 0 });
        std::fs::write(d.join("records/00000000000000000000.jsonl"), format!("{record}\n{commit}\n")).unwrap();
    };
    let cut = |d: &Path| {
        let path = segments(d).pop().unwrap();
        let bytes = journal_support::content(&path);
        std::fs::write(&path, &bytes[..bytes.len() - 40]).unwrap();
    };
    let cases: [(&str, Change<'_>, i32, &str); 14] = [
        ("truncated", &cut, 3, "the commit line of these records is damaged"),
        ("edited", &edit("żółć", "żołć"), 3, "the root of its checkpoint is not the root of the records"),
        ("digit", &edit("\"v\":1}", "\"v\":2}"), 3, "the root of its checkpoint is not the root of the records"),
        ("future", &later, 1, "has format version 2, which this version of quarterdeck does not know"),
        (
            "renamed",
            &|d| std::fs::rename(&segments(d)[0], d.join("records/00000000000000000001.jsonl")).unwrap(),
            3,
            "missing",
        ),
        ("stray", &|d| std::fs::write(d.join("records/notes.txt"), "x").unwrap(), 3, "a file that is no segment"),
        (
            "linked",
            &|d| {
                std::fs::rename(&segments(d)[0], d.join("moved")).unwrap();
                std::os::unix::fs::symlink(d.join("moved"), d.join("records/00000000000000000000.jsonl")).unwrap();
            },
            3,
            "a file that is no segment",
        ),
        ("logless", &|d| std::fs::remove_dir_all(d.join("records")).unwrap(), 3, "the records it signed are gone"),
        (
            "empty",
            &|d| std::fs::remove_dir_all(d).and_then(|()| std::fs::create_dir(d)).unwrap(),
            2,
            "there is no journal",
        ),
        (
            "keyless",
            &|d| std::fs::remove_file(d.join("log.key")).unwrap(),
            0,
            "the signing key is not beside the records",
        ),
        (
            "read-only",
            &|d| {
                std::fs::set_permissions(d.join("records"), std::fs::Permissions::from_mode(0o550)).unwrap();
                std::fs::set_permissions(d, std::fs::Permissions::from_mode(0o550)).unwrap();
            },
            0,
            "verified",
        ),
        ("renamed-directory", &|_| {}, 0, "verified"),
        (
            "records-a-file",
            &|d| {
                std::fs::remove_dir_all(d.join("records")).unwrap();
                std::fs::write(d.join("records"), "x").unwrap();
            },
            2,
            "is not a directory",
        ),
        (
            "foreign",
            &|d| {
                std::fs::remove_dir_all(d).unwrap();
                let other = OpenOptions { origin: "quarterdeck/other".into(), ..options(d) };
                Journal::open(other).unwrap();
            },
            3,
            "of the log `quarterdeck/other`, not of `quarterdeck/test`",
        ),
    ];
    for (name, change, expected, says) in cases {
        let dir = home.path().join(name);
        copy(&log, &dir);
        change(&dir);
        let before = digest(&dir);
        let (code, out, err) = verify(&dir, &pinned);
        assert!(code == expected && (out + &err).contains(says), "{name}: {code} {err}");
        let (json_code, out, _) = verify(&dir, &["--format", "json", pinned[0], pinned[1]]);
        assert_eq!(json_code, expected, "{name}");
        if !out.is_empty() {
            let report: Value = serde_json::from_str(&out).unwrap();
            assert_eq!(report["ok"], expected == 0, "{name}");
            assert_eq!(report["first_bad"].is_null(), expected == 0, "{name}");
        }
        let (_, _, _) = run(home.path(), &["audit", "show", "--journal", &dir.display().to_string()]);
        assert_eq!(digest(&dir), before, "{name}: something was written");
    }
    std::fs::set_permissions(home.path().join("read-only"), std::fs::Permissions::from_mode(0o750)).unwrap();

    let link = home.path().join("link");
    std::os::unix::fs::symlink(&log, &link).unwrap();
    let (code, _, err) = verify(&link, &pinned);
    assert!(code == 2 && err.contains("is a symbolic link; name the directory itself"), "{code} {err}");
    let (code, _, err) = verify(&home.path().join("nowhere"), &pinned);
    assert!(code == 2 && err.contains("is not a directory"), "{code} {err}");
}

#[test]
fn keys_and_checkpoints_of_other_logs_are_refused_with_their_names() {
    let home = fast_dir();
    let (log, other) = (home.path().join("log"), home.path().join("other"));
    let key = write_log(&log, &[3, 1, 4], 1_500);
    drop(open(&other));
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let vkey = file("vkey", key.as_str());
    let others_key = std::fs::read_to_string(other.join("log.vkey")).unwrap();
    let (code, out, _) = verify(&log, &["--vkey", &file("others", &others_key)]);
    assert!(code == 3 && out.contains("not signed by the key quarterdeck/test+"), "{code} {out}");
    let (code, _, err) = verify(&log, &["--vkey", &file("junk", "no key")]);
    assert!(code == 2 && err.contains("no verifier key of the form NAME+ID+KEY"), "{code} {err}");

    let report = journal_support::check(&log, &key);
    let kept = file("kept", &report.checkpoint);
    let (code, out, _) = verify(&log, &["--vkey", &vkey, "--checkpoint", &kept]);
    assert!(code == 0 && out.contains("held against a kept checkpoint over 9 records"), "{code} {out}");
    let foreign = journal_support::check(&other, &others_key.parse().unwrap()).checkpoint;
    let (code, _, err) = verify(&log, &["--vkey", &vkey, "--checkpoint", &file("foreign", &foreign)]);
    assert!(code == 2 && err.contains("the kept checkpoint can not be used"), "{code} {err}");
    let (code, _, err) = verify(&log, &["--vkey", &vkey, "--checkpoint", &file("torn", "x")]);
    assert!(code == 2 && err.contains("the kept checkpoint can not be used"), "{code} {err}");

    for (args, expected, says) in [
        (&["--from", "2", "--to", "4"][..], 0, "only records 2 to 4 were looked at"),
        (&["--from", "4", "--to", "2"], 2, "--from 4 is greater than --to 2"),
        (&["--from", "3", "--to", "99"], 2, "has 9 records, and the first 100 were asked about"),
        (&["--to", "3"], 2, "--from"),
        (&["--tiles", "/dev/null"], 2, "has no folder `tile`"),
        (&["--quorum", "1"], 2, "--witness-key"),
        (&["--every-signature"], 0, "4 signatures checked, each by itself"),
    ] {
        let (code, out, err) = verify(&log, &[&["--vkey", &vkey], args].concat());
        assert!(code == expected && (out + &err).contains(says), "{args:?}: {code} {err}");
    }
}

#[test]
fn witnesses_must_have_signed_for_the_log() {
    // The golden note of the cosignature tests is of another log; here two witnesses sign this one.
    let home = fast_dir();
    let log = home.path().join("log");
    let key = write_log(&log, &[2, 2], 1 << 20);
    let report = journal_support::check(&log, &key);
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let witness = |name: &str, seed: u8| {
        let signer = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let public = [&[4][..], signer.verifying_key().as_bytes()].concat();
        let id = Sha256::digest([name.as_bytes(), b"\n", &public].concat());
        let id: [u8; 4] = id[..4].try_into().unwrap();
        let hex = format!("{:08x}", u32::from_be_bytes(id));
        let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes);
        let vkey = format!("{name}+{hex}+{}", base64(&public));
        let text = report.checkpoint.split_once("\n\n").unwrap().0;
        let time = 1_795_000_000_u64;
        let message = format!("cosignature/v1\ntime {time}\n{text}\n");
        let signature = ed25519_dalek::Signer::sign(&signer, message.as_bytes());
        let line = format!("— {name} {}\n", base64(&[&id[..], &time.to_be_bytes(), &signature.to_bytes()].concat()));
        (vkey, line)
    };
    let ((w1, line1), (w2, line2), (w3, _)) =
        (witness("w.example/1", 1), witness("w.example/2", 2), witness("w.example/3", 3));
    let vkey = file("vkey", key.as_str());
    let cosigned = file("cosigned", &format!("{}{line1}{line2}", report.checkpoint));
    let (k1, k2, k3) = (file("k1", &w1), file("k2", &w2), file("k3", &w3));
    let base = ["--format", "json", "--vkey", &vkey, "--checkpoint", &cosigned];
    let ask = |more: &[&str]| {
        let (code, out, err) = verify(&log, &[&base[..], more].concat());
        (code, serde_json::from_str::<Value>(&out).unwrap_or_else(|_| panic!("{err}")))
    };
    let (code, said) = ask(&["--witness-key", &k1, "--witness-key", &k2]);
    assert_eq!((code, &said["custody"]["witnessed"]), (0, &Value::from(5)), "{said}");
    let (code, said) = ask(&["--witness-key", &k1, "--witness-key", &k3]);
    assert_eq!((code, &said["verdict"], &said["ok"]), (3, &"not witnessed".into(), &false.into()));
    assert_eq!(said["custody"]["witnesses"].as_array().unwrap().len(), 1);
    let (code, _) = ask(&["--witness-key", &k1, "--witness-key", &k3, "--quorum", "1"]);
    assert_eq!(code, 0);
    // Beside the records, where the witness client keeps it.
    std::fs::copy(&cosigned, log.join("cosigned")).unwrap();
    let (code, out, _) = verify(&log, &["--vkey", &vkey, "--witness-key", &k2]);
    assert!(code == 0 && out.contains("witnessed up to 5 records by w.example/2+"), "{code} {out}");
    // A cosignature that is not the witness's.
    let mut bent: Vec<char> = line1.chars().collect();
    let at = bent.len() - 10;
    bent[at] = if bent[at] == 'A' { 'B' } else { 'A' };
    let forged = file("forged", &format!("{}{}", report.checkpoint, bent.into_iter().collect::<String>()));
    let (code, _, err) = verify(&log, &["--vkey", &vkey, "--checkpoint", &forged, "--witness-key", &k1]);
    assert!(code == 2 && err.contains("the cosignature of w.example/1+"), "{code} {err}");
    // And a log that does not contain what the witnesses signed.
    let other = home.path().join("shrunk");
    copy(&log, &other);
    let path = segments(&other).pop().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = text.lines().filter(|l| !l.is_empty()).collect();
    std::fs::write(&path, kept[..kept.len() - 3].join("\n") + "\n").unwrap();
    let (code, out, _) = verify(&other, &["--vkey", &vkey, "--witness-key", &k2]);
    assert!(code == 3 && out.contains("records 3 to 4") && out.contains("the log ends here"), "{code} {out}");
}
