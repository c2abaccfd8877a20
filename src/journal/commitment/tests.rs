use super::*;
use age::secrecy::ExposeSecret as _;

const SECRET: &str = "hunter2-\"the\"-kraken\n";

fn pair() -> (age::x25519::Identity, Recipients) {
    let identity = age::x25519::Identity::generate();
    let recipients = Recipients::parse(&[identity.to_public().to_string()]).unwrap();
    (identity, recipients)
}

fn identities(of: &[&age::x25519::Identity]) -> Identities {
    let lines: Vec<String> = of.iter().map(|i| i.to_string().expose_secret().to_owned()).collect();
    Identities::parse("me.txt", &format!("# created: today\n\n{}\n", lines.join("\n"))).unwrap()
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all = vec![];
    let mut next = vec![dir.to_owned()];
    while let Some(dir) = next.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() { next.push(entry.path()) } else { all.push(entry.path()) }
        }
    }
    all
}

fn holds(path: &Path, needle: &str) -> bool {
    let bytes = std::fs::read(path).unwrap();
    memchr::memmem::find(&bytes, needle.as_bytes()).is_some() || path.to_string_lossy().contains(needle)
}

#[test]
fn a_value_is_opened_by_each_recipient_and_stands_nowhere_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
    let keys = [one.to_public().to_string(), two.to_public().to_string()];
    let recipients = Recipients::parse(&keys).unwrap();
    let (commitment, sealing) = commit(SECRET, &recipients).unwrap();
    assert_ne!(commit(SECRET, &recipients).unwrap().0, commitment, "each has a salt of its own");
    assert_eq!(sealed(dir.path(), &commitment).unwrap(), None, "nothing is written before it is kept");
    sealing.keep(dir.path()).unwrap();
    let bytes = sealed(dir.path(), &commitment).unwrap().unwrap();
    for who in [&one, &two] {
        let opening = open(&commitment, &bytes, &identities(&[who])).unwrap();
        assert_eq!(opening.value.as_str(), SECRET);
        check(&commitment, &opening.salt, &opening.value).unwrap();
        assert_eq!(format!("{opening:?}"), "Opening(…)");
    }
    let all = files(dir.path());
    assert_eq!(all.len(), 1, "{all:?}");
    for needle in ["hunter2", "kraken"] {
        assert!(!holds(&all[0], needle), "{needle}");
        assert!(!format!("{sealing:?}{commitment}{}", sealing.reference()).contains(needle));
    }
    // The check is that of RFC 2104, which others have too.
    let opening = open(&commitment, &bytes, &identities(&[&one])).unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &opening.salt), SECRET.as_bytes());
    let digest = Digest::from_bytes(tag.as_ref().try_into().unwrap());
    assert_eq!(commitment.to_string(), format!("sha256:{digest}"));
}

#[test]
fn what_does_not_fit_has_its_own_sentence() {
    let (identity, recipients) = pair();
    let (commitment, sealing) = commit(SECRET, &recipients).unwrap();
    let bytes = sealing.sealed.clone();
    let opening = open(&commitment, &bytes, &identities(&[&identity])).unwrap();
    let said = |e: CommitmentError| {
        let said = e.to_string();
        assert!(!said.contains("hunter2"), "{said}");
        said
    };
    let mut salt = opening.salt.to_vec();
    salt[7] ^= 1;
    let mismatch = format!("salt and value do not lead to {commitment}");
    assert!(said(check(&commitment, &salt, SECRET).unwrap_err()).starts_with(&mismatch));
    assert!(said(check(&commitment, &opening.salt, "hunter3").unwrap_err()).starts_with(&mismatch));
    assert_eq!(said(check(&commitment, &salt[1..], SECRET).unwrap_err()), "a salt has 32 bytes, and this one has 31");
    let (other, _) = pair();
    let wrong = said(open(&commitment, &bytes, &identities(&[&other])).unwrap_err());
    assert!(wrong.starts_with(&format!("the opening of {commitment} is not sealed to this identity")), "{wrong}");
    assert!(open(&commitment, &bytes, &identities(&[&other, &identity])).is_ok(), "one of several is enough");
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let error = open(&commitment, &damaged, &identities(&[&identity])).unwrap_err();
        assert!(
            matches!(error, CommitmentError::Damaged { .. } | CommitmentError::OtherIdentity { .. }),
            "byte {at}: {error}"
        );
        said(error);
    }
    for length in 0..bytes.len() {
        assert!(open(&commitment, &bytes[..length], &identities(&[&identity])).is_err(), "{length}");
    }
    let (foreign, _) = commit("another", &recipients).unwrap();
    let swapped = said(open(&foreign, &bytes, &identities(&[&identity])).unwrap_err());
    assert!(swapped.ends_with(&format!("what is sealed is the opening of {commitment}")), "{swapped}");
    // Sealed by somebody who lies about the value.
    let forged = seal(&commitment, &opening.salt, "hunter3", &recipients).unwrap();
    assert!(said(open(&commitment, &forged, &identities(&[&identity])).unwrap_err()).starts_with(&mismatch));
    for (name, text, expected) in [
        ("a.txt", "# nothing\n\n", "a.txt has no identity"),
        ("b.txt", "# x\nAGE-SECRET-KEY-1HUNTER2\n", "b.txt:2: this is no identity of age"),
    ] {
        assert!(said(Identities::parse(name, text).unwrap_err()).starts_with(expected));
    }
}

#[test]
fn without_recipients_nothing_is_committed_to() {
    let refused = Recipients::parse(&[]).unwrap_err();
    assert_eq!(refused, CommitmentError::NoRecipients);
    assert!(refused.to_string().contains("`[journal.openings] recipients = [\"age1…\"]`"), "{refused}");
    let odd = Recipients::parse(&["ssh-ed25519 AAAA".to_owned()]).unwrap_err().to_string();
    assert_eq!(odd, "`ssh-ed25519 AAAA` is no public key of age (X25519), `age1` and 58 characters");
    let (_, recipients) = pair();
    let long = commit(&"x".repeat(MAX_VALUE + 1), &recipients).unwrap_err();
    assert_eq!(long.to_string(), "a secret value of 65536 bytes is longer than 65535");
    let (identity, recipients) = pair();
    let (commitment, sealing) = commit(&"\u{1}".repeat(MAX_VALUE), &recipients).unwrap();
    let dir = tempfile::tempdir().unwrap();
    sealing.keep(dir.path()).unwrap();
    let bytes = sealed(dir.path(), &commitment).unwrap().unwrap();
    assert_eq!(open(&commitment, &bytes, &identities(&[&identity])).unwrap().value.len(), MAX_VALUE);
}

#[test]
fn a_write_that_fails_half_way_leaves_no_opening_and_no_secret() {
    let (_, recipients) = pair();
    let (commitment, sealing) = commit(SECRET, &recipients).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // What a crash in the middle of it leaves, at every length.
    let folder = dir.path().join(FOLDER);
    std::fs::create_dir(&folder).unwrap();
    let part = folder.join(format!("{}.age.tmp", commitment.digits()));
    for length in 0..sealing.sealed.len() {
        std::fs::write(&part, &sealing.sealed[..length]).unwrap();
        assert!(!holds(&part, "hunter2") && !holds(&part, "kraken"));
        assert_eq!(sealed(dir.path(), &commitment).unwrap(), None);
    }
    // The name is taken by a folder, so that the last step fails: the part is taken away again.
    let name = folder.join(format!("{}.age", commitment.digits()));
    std::fs::create_dir(&name).unwrap();
    std::fs::write(name.join("x"), b"").unwrap();
    assert!(matches!(sealing.keep(dir.path()), Err(JournalError::Io { what: "writing", .. })));
    assert!(!part.exists());
    std::fs::remove_dir_all(&name).unwrap();
    sealing.keep(dir.path()).unwrap();
    assert_eq!(sealed(dir.path(), &commitment).unwrap().unwrap(), sealing.sealed);
    // A link under its name is not followed.
    std::fs::rename(&name, folder.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", &name).unwrap();
    assert!(matches!(sealed(dir.path(), &commitment), Err(JournalError::Symlink { .. })));
}

#[test]
fn commitments_are_found_in_a_body_and_only_as_they_are_written() {
    let (_, recipients) = pair();
    let (one, first) = commit("a", &recipients).unwrap();
    let (two, second) = commit("b", &recipients).unwrap();
    let bare = json!({ "commitment": two.to_string() });
    let body = json!({
        "parameters": { "a": first.reference(), "list": [1, second.reference(), null] },
        "z": bare,
        "digest": one.to_string(),
        "commitment": "of the team",
    });
    let found = references(&body);
    let commitments: Vec<&Commitment> = found.iter().map(|r| &r.commitment).collect();
    assert_eq!(commitments, [&one, &two, &two]);
    assert_eq!(found.iter().map(|r| r.opening.is_some()).collect::<Vec<_>>(), [true, true, false]);
    let text = serde_json::to_value(&one).unwrap();
    assert_eq!(serde_json::from_value::<Commitment>(text).unwrap(), one);
    for bad in ["", "sha256:", "7f", "sha256:zz"] {
        assert!(bad.parse::<Commitment>().is_err(), "{bad}");
    }
}
