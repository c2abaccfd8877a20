use super::key::{ed25519_message, ml_dsa_message};
use super::*;
use crate::journal::key::LogKey;
use crate::journal::tree::{EMPTY_HASH, record_hash};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer;
use ml_dsa::{KeyExport, Keypair, MlDsa44};

/// A note and its keys (the log's, an Ed25519 witness's and an ML-DSA-44 witness's), made by Go:
/// `github.com/transparency-dev/formats` v0.1.1, `note.NewSignerForCosignatureV1`, with `filippo.io/mldsa`. Text of
/// the checkpoint: the example in C2SP tlog-cosignature.
const NOTE: &str = include_str!("vectors/go.note");
const KEYS: &str = include_str!("vectors/go.vkeys");

fn vector() -> (VerifierKey, Vec<WitnessKey>) {
    let mut keys = KEYS.lines();
    (keys.next().unwrap().parse().unwrap(), keys.map(|k| k.parse().unwrap()).collect())
}

/// A witness that signs, which the program itself never does.
enum Witness {
    Ed25519(ed25519_dalek::SigningKey),
    MlDsa44(ml_dsa::SigningKey<MlDsa44>),
}

impl Witness {
    fn ed25519(seed: u8) -> Self {
        Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
    }

    fn ml_dsa(seed: u8) -> Self {
        Self::MlDsa44(ml_dsa::SigningKey::from_seed(&[seed; 32].into()))
    }

    fn key_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => [&[4], key.verifying_key().as_bytes().as_slice()].concat(),
            Self::MlDsa44(key) => [&[6], key.verifying_key().to_bytes().as_slice()].concat(),
        }
    }

    fn vkey(&self, name: &str) -> String {
        let bytes = self.key_bytes();
        format!("{name}+{:08x}+{}", signed_note::key_id(name, &bytes), BASE64_STANDARD.encode(bytes))
    }

    fn key(&self, name: &str) -> WitnessKey {
        self.vkey(name).parse().unwrap()
    }

    fn line(&self, name: &str, checkpoint: &Checkpoint, time: u64) -> String {
        let signature = match self {
            Self::Ed25519(key) => key.sign(ed25519_message(&checkpoint.text(), time).as_bytes()).to_vec(),
            Self::MlDsa44(key) => {
                let message = ml_dsa_message(name, checkpoint, time).unwrap();
                key.expanded_key().sign_deterministic(&message, &[]).unwrap().encode().to_vec()
            }
        };
        let id = signed_note::key_id(name, &self.key_bytes());
        let bytes = [time.to_be_bytes().to_vec(), signature].concat();
        line_of(&Signature::new(name.into(), id, bytes).unwrap())
    }
}

fn log() -> (LogKey, Checkpoint, String) {
    let key = LogKey::generate("example.com/log").unwrap();
    let checkpoint = Checkpoint { origin: "example.com/log".into(), size: 3, root: record_hash(b"x") };
    let note = checkpoint.sign(&key).unwrap();
    (key, checkpoint, note)
}

#[test]
fn cosignatures_of_both_kinds_made_by_go_are_valid() {
    let (log, witnesses) = vector();
    assert_eq!(witnesses[0].algorithm(), Algorithm::Ed25519);
    assert_eq!(witnesses[1].algorithm(), Algorithm::MlDsa44);
    let cosigned = open(NOTE, &log, &witnesses).unwrap();
    assert_eq!(cosigned.checkpoint.size, 20_852_163);
    let keys: Vec<_> = cosigned.by.iter().map(|c| c.key.clone()).collect();
    assert_eq!(keys, [witnesses[0].id(), witnesses[1].id()]);
    assert!(cosigned.by.iter().all(|c| c.time.strftime("%Y-%m").to_string() == "2026-11"), "{cosigned:?}");
    assert_eq!(cosigned.note(), NOTE);
    // With one of the witnesses unknown, or both, the note is still good and says less.
    assert_eq!(open(NOTE, &log, &witnesses[1..]).unwrap().by.len(), 1);
    assert_eq!(open(NOTE, &log, &[]).unwrap().by, []);
}

#[test]
fn no_changed_bit_leaves_a_note_with_all_of_its_signatures() {
    let (log, witnesses) = vector();
    let mut tried = 0;
    // Every bit of the text and the short signatures, and every 41st byte of the long one.
    let short = NOTE.find("— witness.example.com/w2").unwrap() + 80;
    for at in (0..short).chain((short..NOTE.len()).step_by(41)) {
        for bit in 0..8 {
            let mut bytes = NOTE.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let Ok(note) = String::from_utf8(bytes) else { continue };
            let complete = open(&note, &log, &witnesses).is_ok_and(|c| c.by.len() == 2);
            assert!(!complete, "byte {at} bit {bit}");
            tried += 1;
        }
    }
    assert!(tried > 3_000, "{tried}");
}

#[test]
fn a_wrong_signature_by_a_known_key_condemns_the_note() {
    let (log, checkpoint, note) = log();
    let other = Checkpoint { size: 4, ..checkpoint.clone() };
    for witness in [Witness::ed25519(1), Witness::ml_dsa(1)] {
        let key = witness.key("w.example/1");
        let of_other = format!("{note}{}", witness.line("w.example/1", &other, 1_700_000_000));
        let bad = Err(BadCosigned::Signature { key: key.id() });
        assert_eq!(open(&of_other, log.verifier(), std::slice::from_ref(&key)), bad);
        // Known to nobody it is passed over.
        assert_eq!(open(&of_other, log.verifier(), &[]).unwrap().by, []);
        // The time is signed too.
        let line = witness.line("w.example/1", &checkpoint, 1_700_000_000);
        let signature = Signature::from_bytes(line.trim_end().as_bytes()).unwrap();
        let mut bytes = signature.signature().to_vec();
        bytes[7] ^= 1;
        let moved = Signature::new("w.example/1".into(), signature.id(), bytes).unwrap();
        let moved = format!("{note}{}", line_of(&moved));
        assert_eq!(open(&moved, log.verifier(), std::slice::from_ref(&key)), bad);
        // Too short for a time, and for a signature.
        for length in [1, 8, 9] {
            let short = signature.signature()[..length].to_vec();
            let short = Signature::new("w.example/1".into(), signature.id(), short).unwrap();
            let short = format!("{note}{}", line_of(&short));
            assert_eq!(open(&short, log.verifier(), std::slice::from_ref(&key)), bad);
        }
    }
}

#[test]
fn an_ml_dsa_witness_can_not_sign_in_the_name_of_another() {
    let (log, checkpoint, note) = log();
    let witness = Witness::ml_dsa(2);
    // The bytes signed for one name, under a line that has the other name and its id.
    let line = witness.line("w.example/1", &checkpoint, 1_700_000_000);
    let signature = Signature::from_bytes(line.trim_end().as_bytes()).unwrap();
    let id = signed_note::key_id("w.example/2", &witness.key_bytes());
    let renamed = Signature::new("w.example/2".into(), id, signature.signature().to_vec()).unwrap();
    let key = witness.key("w.example/2");
    let renamed = format!("{note}{}", line_of(&renamed));
    let bad = Err(BadCosigned::Signature { key: key.id() });
    assert_eq!(open(&renamed, log.verifier(), &[key]), bad);
}

#[test]
fn two_cosignatures_of_one_key_are_refused() {
    let (log, checkpoint, note) = log();
    let witness = Witness::ed25519(1);
    let key = witness.key("w.example/1");
    let lines = [1_700_000_000, 1_700_000_001].map(|time| witness.line("w.example/1", &checkpoint, time));
    for second in &lines {
        let twice = format!("{note}{}{second}", lines[0]);
        let refused = Err(BadCosigned::Twice { key: key.id() });
        assert_eq!(open(&twice, log.verifier(), std::slice::from_ref(&key)), refused);
    }
    let own = note.lines().last().unwrap();
    let own_twice = format!("{note}{own}\n");
    let refused = Err(BadCosigned::Note(BadNote::Malformed("it has the log's signature twice")));
    assert_eq!(open(&own_twice, log.verifier(), &[key]), refused);
}

#[test]
fn times_that_are_none_are_refused() {
    let (log, checkpoint, note) = log();
    for witness in [Witness::ed25519(1), Witness::ml_dsa(1)] {
        let key = witness.key("w.example/1");
        for time in [0, 1 << 63, u64::MAX, 253_402_300_800] {
            let bad = format!("{note}{}", witness.line("w.example/1", &checkpoint, time));
            let refused = Err(BadCosigned::Time { key: key.id(), time });
            assert_eq!(open(&bad, log.verifier(), std::slice::from_ref(&key)), refused);
        }
        let good = format!("{note}{}", witness.line("w.example/1", &checkpoint, 1));
        let cosigned = open(&good, log.verifier(), std::slice::from_ref(&key)).unwrap();
        assert_eq!(cosigned.by(&key).unwrap().time, Timestamp::from_second(1).unwrap());
    }
}

#[test]
fn without_the_log_s_own_signature_there_is_nothing() {
    let (log, checkpoint, _) = log();
    let witness = Witness::ed25519(1);
    let key = witness.key("w.example/1");
    let alone = format!("{}\n{}", checkpoint.text(), witness.line("w.example/1", &checkpoint, 1));
    let expected = BadNote::OtherKey { expected: log.verifier().id() };
    assert_eq!(open(&alone, log.verifier(), &[key]), Err(expected.into()));
    for bad in ["", "\n", "\n\n", "x", "— a b\n", &"\n".repeat(50)] {
        assert!(open(bad, log.verifier(), &[]).is_err(), "{bad:?}");
    }
}

#[test]
fn merging_keeps_the_later_of_two_and_refuses_another_checkpoint() {
    let (log, checkpoint, note) = log();
    let (a, b) = (Witness::ed25519(1), Witness::ml_dsa(2));
    let keys = [a.key("w.example/a"), b.key("w.example/b")];
    let with = |lines: &[String]| open(&format!("{note}{}", lines.concat()), log.verifier(), &keys).unwrap();
    let at = |time| a.line("w.example/a", &checkpoint, time);
    let mut cosigned = with(&[at(5)]);
    cosigned.merge(with(&[at(4), b.line("w.example/b", &checkpoint, 9)])).unwrap();
    cosigned.merge(with(&[at(6)])).unwrap();
    let seconds: Vec<_> = cosigned.by.iter().map(|c| c.time.as_second()).collect();
    assert_eq!(seconds, [6, 9]);
    assert_eq!(open(&cosigned.note(), log.verifier(), &keys).unwrap(), cosigned);
    let elsewhere = Checkpoint { root: EMPTY_HASH, ..checkpoint.clone() }.sign(&log).unwrap();
    let elsewhere = open(&elsewhere, log.verifier(), &keys).unwrap();
    assert_eq!(cosigned.merge(elsewhere), Err(BadCosigned::OtherCheckpoint));
}

#[test]
fn keys_that_are_none_are_refused_with_the_reason() {
    let good = Witness::ed25519(1).vkey("w.example/1");
    assert_eq!(good.parse::<WitnessKey>().unwrap().as_str(), good);
    let typed = |bytes: &[u8]| format!("w+{:08x}+{}", signed_note::key_id("w", bytes), BASE64_STANDARD.encode(bytes));
    let log = LogKey::generate("w").unwrap();
    for (text, why) in [
        ("", "no `+`"),
        ("w+00000000", "one `+`"),
        ("w+0000000+AAAA", "eight hexadecimal"),
        ("w+0000000g+AAAA", "eight hexadecimal"),
        ("w+00000000+!", "not base64"),
        ("w+00000000+", "empty"),
        ("w+00000000+BAAA", "not the one of its name"),
        ("a b+00000000+BAAA", "can not name"),
        (log.verifier().as_str(), "type 1, the key of a log"),
        (&typed(&[9; 33]), "type 9"),
        (&typed(&[4; 32]), "length"),
        (&typed(&[6; 33]), "length"),
        (&typed(&[&[4], [0; 32].as_slice()].concat()), "no point"),
    ] {
        let refused = text.parse::<WitnessKey>().unwrap_err().to_string();
        assert!(refused.contains(why), "{text:?}: {refused}");
    }
}

#[test]
fn an_answer_is_lines_of_signatures_and_nothing_else() {
    let (_, checkpoint, _) = log();
    let line = Witness::ed25519(1).line("w.example/1", &checkpoint, 1);
    assert!(is_answer(&line));
    assert!(is_answer(&format!("{line}{line}")));
    for bad in ["", "\n", "hello\n", &format!("\n{line}"), &format!("{line}\n{line}"), line.trim_end()] {
        assert!(!is_answer(bad), "{bad:?}");
    }
}
