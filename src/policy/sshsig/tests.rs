//! Against the real `ssh-keygen`, in both directions.

use super::wire::put;
use super::*;
use crate::domain::id::Person;
use ed25519_dalek::{Signer as _, SigningKey};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NAMESPACE: &str = "approval@quarterdeck";
const MESSAGE: &[u8] = b"{\"decision\":\"approve\"}";

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn ran(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn keygen(dir: &Path, args: &[&str]) -> String {
    ran(Command::new("ssh-keygen").args(args).current_dir(dir).stdin(Stdio::null()))
}

/// A key pair in a file of this name.
fn pair(dir: &Path, name: &str, args: &[&str]) -> PublicKey {
    keygen(dir, &[&["-q", "-N", "", "-C", name, "-f", name], args].concat());
    PublicKey::parse(&fs::read_to_string(dir.join(format!("{name}.pub"))).unwrap()).unwrap()
}

fn signed(dir: &Path, key: &str, namespace: &str, message: &[u8]) -> SshSig {
    fs::write(dir.join("message"), message).unwrap();
    let _ = fs::remove_file(dir.join("message.sig"));
    keygen(dir, &["-q", "-Y", "sign", "-n", namespace, "-f", key, "message"]);
    SshSig::parse(&fs::read_to_string(dir.join("message.sig")).unwrap()).unwrap()
}

/// Whether `ssh-keygen -Y verify` takes a signature of this key.
fn accepted(dir: &Path, key: &PublicKey, armored: &str, message: &[u8]) -> bool {
    fs::write(dir.join("allowed"), format!("ines namespaces=\"{NAMESPACE}\" {}\n", key.line())).unwrap();
    fs::write(dir.join("made.sig"), armored).unwrap();
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-f", "allowed", "-I", "ines", "-n", NAMESPACE, "-s", "made.sig"])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(message).unwrap();
    child.wait().unwrap().success()
}

fn signers(people: &[(&str, &PublicKey)]) -> Signers {
    let keys = people.iter().map(|(p, k)| Enrolled { person: Person::new(*p), key: (*k).clone() }).collect();
    Signers { keys, ..Signers::default() }
}

const KINDS: &[(&str, &[&str])] = &[
    ("ed25519", &["-t", "ed25519"]),
    ("p256", &["-t", "ecdsa", "-b", "256"]),
    ("p384", &["-t", "ecdsa", "-b", "384"]),
    ("rsa", &["-t", "rsa", "-b", "2048"]),
];

#[test]
fn what_ssh_keygen_signs_counts_for_its_bytes_its_namespace_and_its_person_only() {
    let dir = tempfile::tempdir().unwrap();
    for (name, args) in KINDS {
        let key = pair(dir.path(), name, args);
        let listed = keygen(dir.path(), &["-l", "-f", &format!("{name}.pub")]);
        assert!(listed.contains(&key.fingerprint()), "{listed} has not {}", key.fingerprint());
        // Leading zeros of a number are one signature in 256; several signatures meet short ones more often.
        for round in 0..3_u8 {
            let message = [MESSAGE, &[round]].concat();
            let signature = signed(dir.path(), name, NAMESPACE, &message);
            let known = signers(&[("mara", &key)]);
            let signer = signature.signer(&message, NAMESPACE, &known, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!((signer.person.as_str(), signer.fingerprint), ("mara", key.fingerprint()));
            assert!(matches!(signature.check(b"other", NAMESPACE), Err(BadSignature::Invalid(_))), "{name}");
            let attach = signature.check(&message, "attach@quarterdeck");
            assert!(matches!(attach, Err(BadSignature::Namespace { .. })), "{name}: {attach:?}");
            let empty = Signers::default();
            let nobody = signature.signer(&message, NAMESPACE, &empty, Timestamp::UNIX_EPOCH);
            assert!(matches!(nobody, Err(BadSignature::Unknown(_))), "{name}");
        }
        let elsewhere = signed(dir.path(), name, "git", MESSAGE);
        assert!(matches!(elsewhere.check(MESSAGE, NAMESPACE), Err(BadSignature::Namespace { .. })));
    }
}

#[test]
fn every_changed_byte_of_a_signature_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let key = pair(dir.path(), "p256", &["-t", "ecdsa"]);
    let known = signers(&[("mara", &key)]);
    signed(dir.path(), "p256", NAMESPACE, MESSAGE);
    let armored = fs::read_to_string(dir.path().join("message.sig")).unwrap();
    let body: String = armored.lines().filter(|l| !l.starts_with('-')).collect();
    let bytes = STANDARD.decode(body).unwrap();
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 0x01;
        let outcome = SshSig::read(&changed)
            .and_then(|s| s.signer(MESSAGE, NAMESPACE, &known, Timestamp::UNIX_EPOCH).map(|s| s.person.clone()));
        assert!(outcome.is_err(), "byte {index} may change");
        assert!(SshSig::read(&bytes[..index]).is_err(), "the first {index} bytes are enough");
    }
    assert!(SshSig::parse("hello").unwrap_err().to_string().contains("BEGIN SSH SIGNATURE"));
}

#[test]
fn ssh_keygen_takes_what_is_built_here() {
    let dir = tempfile::tempdir().unwrap();
    let secret = SigningKey::from_bytes(&[7; 32]);
    let mut blob = Vec::new();
    put(&mut blob, b"ssh-ed25519");
    put(&mut blob, secret.verifying_key().as_bytes());
    let mut signature = Vec::new();
    put(&mut signature, b"ssh-ed25519");
    put(&mut signature, &secret.sign(&to_sign(NAMESPACE, MESSAGE)).to_bytes());
    let armored = armor(&blob, NAMESPACE, &signature);
    let key = PublicKey::read(&blob).unwrap();
    assert!(accepted(dir.path(), &key, &armored, MESSAGE));
    assert!(!accepted(dir.path(), &key, &armored, b"other"));
    SshSig::parse(&armored).unwrap().check(MESSAGE, NAMESPACE).unwrap();
}

/// A security key in software: its bytes and a signature with these flags.
fn touched_by(flags: u8, blob_type: &str) -> (Vec<u8>, Vec<u8>) {
    let secret = SigningKey::from_bytes(&[9; 32]);
    let mut blob = Vec::new();
    put(&mut blob, blob_type.as_bytes());
    put(&mut blob, secret.verifying_key().as_bytes());
    put(&mut blob, b"ssh:");
    let mut signed = Sha256::digest(b"ssh:").to_vec();
    signed.push(flags);
    signed.extend(41_u32.to_be_bytes());
    signed.extend(Sha256::digest(to_sign(NAMESPACE, MESSAGE)));
    let mut signature = Vec::new();
    put(&mut signature, b"sk-ssh-ed25519@openssh.com");
    put(&mut signature, &secret.sign(&signed).to_bytes());
    signature.push(flags);
    signature.extend(41_u32.to_be_bytes());
    (blob, signature)
}

#[test]
fn a_security_key_counts_only_when_somebody_touched_it_though_ssh_keygen_does_not_ask() {
    let dir = tempfile::tempdir().unwrap();
    for (flags, counts) in [(0x01, true), (0x05, true), (0x00, false), (0x04, false)] {
        let (blob, signature) = touched_by(flags, "sk-ssh-ed25519@openssh.com");
        let armored = armor(&blob, NAMESPACE, &signature);
        let key = PublicKey::read(&blob).unwrap();
        assert!(key.is_security_key());
        assert!(accepted(dir.path(), &key, &armored, MESSAGE), "ssh-keygen refuses the flags {flags:#x}");
        let checked = SshSig::parse(&armored).unwrap().check(MESSAGE, NAMESPACE);
        if counts {
            checked.unwrap();
        } else {
            assert_eq!(checked, Err(BadSignature::NoPresence(key.fingerprint())));
        }
        // The flags are signed too.
        let mut forged = signature.clone();
        let place = forged.len() - 5;
        forged[place] ^= 0x01;
        let checked = SshSig::parse(&armor(&blob, NAMESPACE, &forged)).unwrap().check(MESSAGE, NAMESPACE);
        assert!(matches!(checked, Err(BadSignature::Invalid(_))));
    }
}

/// A certificate of `ines` by an authority, signed with it.
struct Certified {
    dir: tempfile::TempDir,
    authority: PublicKey,
    key: PublicKey,
}

impl Certified {
    fn new(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = pair(dir.path(), "ca", &["-t", "ed25519"]);
        let key = pair(dir.path(), "ines", &["-t", "ecdsa"]);
        let certified = Self { dir, authority, key };
        certified.certify(args);
        certified
    }

    fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    fn certify(&self, args: &[&str]) {
        let fixed = ["-q", "-s", "ca", "-I", "ines-laptop", "-z", "17"];
        keygen(&self.path(), &[&fixed, args, &["ines.pub"]].concat());
    }

    fn signers(&self) -> Signers {
        let principals = vec![("ines.k".to_owned(), Person::new("ines")), ("bo".to_owned(), Person::new("bo"))];
        let authorities = vec![Authority { key: self.authority.clone(), principals }];
        Signers { authorities, ..Signers::default() }
    }

    fn signature(&self) -> SshSig {
        signed(&self.path(), "ines-cert.pub", NAMESPACE, MESSAGE)
    }

    fn outcome(&self, signers: &Signers, time: &str) -> Result<String, String> {
        let who = self.signature().signer(MESSAGE, NAMESPACE, signers, at(time)).map(|s| s.person.to_string());
        who.map_err(|e| e.to_string())
    }
}

const DURING: &str = "2026-06-01T12:00:00Z";
const VALID: &[&str] = &["-V", "20260101000000Z:20270101000000Z"];

#[test]
fn a_certificate_counts_for_its_principal_its_time_and_its_authority() {
    let good = Certified::new(&[&["-n", "ines.k,other"], VALID].concat());
    let known = good.signers();
    assert_eq!(good.outcome(&known, DURING).unwrap(), "ines");
    let signature = good.signature();
    assert_eq!(signature.key(), &good.key, "the key is the one that a .pub file holds");
    assert_eq!(signature.certificate().unwrap().serial(), 17);
    for (time, says) in [("2025-12-31T23:59:59Z", "valid from"), ("2027-01-01T00:00:00Z", "valid until")] {
        let why = good.outcome(&known, time).unwrap_err();
        assert!(why.contains(says) && why.contains("ines-laptop"), "{why}");
    }
    let why = good.outcome(&Signers::default(), DURING).unwrap_err();
    assert!(why.contains("not in the roster"), "{why}");
    // The bare key is not enrolled: a certificate of it stands by its authority alone.
    let key_only = signers(&[("ines", &good.key)]);
    assert!(good.outcome(&key_only, DURING).is_err());

    let nobody = Certified::new(&[&["-n", "root"], VALID].concat());
    assert!(nobody.outcome(&nobody.signers(), DURING).unwrap_err().contains("principals"));
    let both = Certified::new(&[&["-n", "ines.k,bo"], VALID].concat());
    assert!(both.outcome(&both.signers(), DURING).unwrap_err().contains("more than one person"));
    let host = Certified::new(&[&["-h", "-n", "ines.k"], VALID].concat());
    assert!(host.outcome(&host.signers(), DURING).unwrap_err().contains("for a host"));
    let forced = Certified::new(&[&["-n", "ines.k", "-O", "force-command=/bin/true"], VALID].concat());
    assert!(forced.outcome(&forced.signers(), DURING).unwrap_err().contains("force-command"));
    let pin = Certified::new(&[&["-n", "ines.k", "-O", "verify-required"], VALID].concat());
    assert!(pin.outcome(&pin.signers(), DURING).unwrap_err().contains("PIN"));
}

#[test]
fn a_certificate_that_its_authority_did_not_sign_does_not_count() {
    let good = Certified::new(&[&["-n", "ines.k"], VALID].concat());
    let line = fs::read_to_string(good.path().join("ines-cert.pub")).unwrap();
    let blob = STANDARD.decode(line.split(' ').nth(1).unwrap()).unwrap();
    let certificate = Certificate::read(&blob).unwrap();
    certificate.holds(at(DURING)).unwrap();
    let mut refused = 0;
    for index in 0..blob.len() {
        let mut changed = blob.clone();
        changed[index] ^= 0x01;
        if let Ok(changed) = Certificate::read(&changed) {
            assert!(changed.holds(at(DURING)).is_err(), "byte {index} of the certificate may change");
            refused += 1;
        }
    }
    assert!(refused > 300, "only {refused} changed certificates could be read");
}

#[test]
fn what_a_revocation_list_names_does_not_count_any_more() {
    let good = Certified::new(&[&["-n", "ines.k"], VALID].concat());
    let dir = good.path();
    let plain = pair(&dir, "plain", &["-t", "ed25519"]);
    let other = pair(&dir, "other", &["-t", "ed25519"]);
    let lists: &[(&str, &[&str], bool, bool)] = &[
        // The list's text, further arguments, whether the certificate and the plain key are revoked by it.
        ("serial: 17\n", &["-s", "ca.pub"], true, false),
        ("serial: 10-20\n", &["-s", "ca.pub"], true, false),
        ("serial: 1\nserial: 3\nserial: 5\nserial: 17\nserial: 18\nserial: 21\n", &["-s", "ca.pub"], true, false),
        ("serial: 16\nserial: 18-40\n", &["-s", "ca.pub"], false, false),
        ("serial: 17\n", &["-s", "other.pub"], false, false),
        ("id: ines-laptop\n", &["-s", "ca.pub"], true, false),
        ("id: nobody\n", &["-s", "ca.pub"], false, false),
    ];
    for (text, args, certificate, key) in lists {
        fs::write(dir.join("spec"), text).unwrap();
        keygen(&dir, &[&["-q", "-k", "-f", "list.krl"], *args, &["spec"]].concat());
        check(&good, &plain, *certificate, *key, text);
    }
    let hash = |word: &str, key: &PublicKey| format!("{word}: {}\n", key.line());
    for (text, certificate, key) in [
        (hash("key", &plain), false, true),
        (hash("sha1", &plain), false, true),
        (hash("sha256", &plain), false, true),
        (format!("hash: {}\n", plain.fingerprint()), false, true),
        (hash("key", &good.key), true, false),
        (hash("sha256", &good.authority), true, false),
        (hash("key", &other), false, false),
    ] {
        fs::write(dir.join("spec"), &text).unwrap();
        keygen(&dir, &["-q", "-k", "-f", "list.krl", "spec"]);
        check(&good, &plain, certificate, key, &text);
    }
    let lines = format!("# left in May\n\n{} plain\n", plain.line());
    fs::write(dir.join("list.krl"), lines).unwrap();
    check(&good, &plain, false, true, "lines");
}

/// Reads `list.krl` and asks of both keys; `ssh-keygen -Q` has to say the same.
fn check(good: &Certified, plain: &PublicKey, certificate: bool, key: bool, said: &str) {
    let dir = good.path();
    let revoked = Revoked::read(&fs::read(dir.join("list.krl")).unwrap()).unwrap();
    let known = Signers { revoked: revoked.clone(), ..good.signers() };
    let outcome = good.outcome(&known, DURING);
    assert_eq!(outcome.as_ref().is_err_and(|why| why.contains("revoked")), certificate, "{said}: {outcome:?}");
    assert_eq!(outcome.is_ok(), !certificate, "{said}");
    assert_eq!(revoked.has(plain), key, "{said}");
    if said == "lines" {
        // `-Q` reads no such list; sshd does.
        return;
    }
    let query = |file: &str| {
        let mut asked = Command::new("ssh-keygen");
        asked.args(["-Q", "-f", "list.krl", file]).current_dir(&dir).stdout(Stdio::null()).stderr(Stdio::null());
        !asked.status().unwrap().success()
    };
    assert_eq!((query("ines-cert.pub"), query("plain.pub")), (certificate, key), "ssh-keygen on {said}");
}

#[test]
fn a_revocation_list_is_understood_as_a_whole_or_refused() {
    let good = Certified::new(&[&["-n", "ines.k"], VALID].concat());
    fs::write(good.path().join("spec"), "serial: 17\nid: x\n").unwrap();
    keygen(&good.path(), &["-q", "-k", "-f", "list.krl", "-s", "ca.pub", "spec"]);
    let bytes = fs::read(good.path().join("list.krl")).unwrap();
    for length in MAGIC.len() + 2..bytes.len() {
        let cut = Revoked::read(&bytes[..length]);
        // Cut exactly between two sections it is a shorter list; this one has a single section.
        assert!(cut.is_err() || length == 44, "the first {length} bytes are taken for a list: {cut:?}");
    }
    let error = Revoked::read(format!("{}\nssh-ed25519 nonsense\n", good.key.line()).as_bytes()).unwrap_err();
    assert_eq!(error.line, 2);
    assert!(error.to_string().contains("no public key"), "{error}");
}

#[test]
fn keys_that_are_too_weak_or_of_another_kind_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for (name, args, says) in [
        ("short", ["-t", "rsa", "-b", "1024"], "ssh-rsa with 1024 bits"),
        ("p521", ["-t", "ecdsa", "-b", "521"], "ecdsa-sha2-nistp521"),
    ] {
        keygen(dir.path(), &[&["-q", "-N", "", "-f", name], args.as_slice()].concat());
        let line = fs::read_to_string(dir.path().join(format!("{name}.pub"))).unwrap();
        let error = PublicKey::parse(&line).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let liar =
        PublicKey::parse("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJ0O2BkYbFqsg0TKZn4MCfJy9uT2a3mMCCEkVxBhrE4s").unwrap_err();
    assert!(liar.to_string().contains("ssh-ed25519"), "{liar}");
}
