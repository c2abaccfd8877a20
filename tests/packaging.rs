//! What the packages ship beside the program: the unit is closed as far as it claims, and the image layout says what is in
//! it. Where a tool of the system is missing, the test says so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

fn oci(args: &[&str]) -> Output {
    Command::new("python3").arg(packaging("oci.py")).args(args).env("SOURCE_DATE_EPOCH", "1").output().unwrap()
}

#[test]
fn the_unit_is_exposed_to_less_than_two() {
    // The threshold is in tenths.
    let asked = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager", "--threshold=20"])
        .arg(packaging("quarterdeck.service"))
        .output();
    let Ok(said) = asked else {
        println!("SKIP: there is no systemd-analyze");
        return;
    };
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && text.contains("Overall exposure level"), "{text}");
}

#[test]
fn an_image_is_the_same_for_the_same_program_and_a_changed_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(place("program"), "#!/bin/sh\n").unwrap();
    let read = |layout: &str| -> BTreeMap<String, Vec<u8>> {
        let blobs = Path::new(layout).join("blobs/sha256");
        let names = std::fs::read_dir(blobs).unwrap().map(|e| e.unwrap().path());
        names.map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(p).unwrap())).collect()
    };
    for layout in ["one", "two"] {
        let built = oci(&["build", &place("program"), &place(layout)]);
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }
    let (one, two) = (read(&place("one")), read(&place("two")));
    assert!(one == two && one.len() == 3, "{:?} {:?}", one.keys(), two.keys());
    assert!(oci(&["check", &place("one")]).status.success());
    for name in one.keys() {
        let path = Path::new(&place("one")).join("blobs/sha256").join(name);
        let mut bytes = one[name].clone();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let checked = oci(&["check", &place("one")]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(!checked.status.success() && said.contains(name) && said.contains("the bytes are others"), "{said}");
        std::fs::write(&path, &one[name]).unwrap();
    }
    std::fs::write(Path::new(&place("one")).join("blobs/sha256/stray"), "x").unwrap();
    assert!(!oci(&["check", &place("one")]).status.success());
}
