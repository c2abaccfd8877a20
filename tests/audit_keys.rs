//! `audit keys` and `audit begin` as they are typed: what is pinned, what is refused, and with which exit code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::path::Path;
use support::{lonely, lonely_with, run};

struct House {
    home: tempfile::TempDir,
    file: String,
}

impl House {
    /// An estate whose journal has been opened once.
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = lonely(home.path());
        let house = Self { home, file };
        let (code, _, err) = house.go(&["incident", "declare", "Orders stand still", "--severity", "SEV1"]);
        assert!(code == 0 && err.contains("was pinned at first sight"), "{err}");
        house
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn go(&self, args: &[&str]) -> (i32, String, String) {
        run(self.path(), &[&["--config", &self.file], args].concat())
    }

    fn keys(&self) -> serde_json::Value {
        let (code, out, err) = self.go(&["audit", "keys", "show", "--format", "json"]);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// Puts another log of the same name in the place of this one.
    fn replace_log(&self) {
        let (other, elsewhere) = (tempfile::tempdir().unwrap(), self.path().join("journal"));
        let file = lonely_with(other.path(), &other.path().join("other"));
        assert_eq!(run(other.path(), &["--config", &file, "incident", "declare", "x", "--severity", "SEV3"]).0, 0);
        std::fs::remove_dir_all(&elsewhere).unwrap();
        std::fs::rename(other.path().join("other"), elsewhere).unwrap();
    }
}

#[test]
fn a_key_is_pinned_shown_exported_and_rotated() {
    let house = House::new();
    let keys = house.keys();
    assert_eq!(keys["origin"], "quarterdeck/lonely");
    assert_eq!((&keys["private"]["mode"], &keys["private"]["own"]), (&"0600".into(), &true.into()));
    assert_eq!((&keys["known"][0]["id"], &keys["known"][0]["agrees"]), (&keys["key"]["id"], &true.into()));
    let dir = house.path().join("journal").display().to_string();
    assert_eq!(house.go(&["audit", "verify"]).0, 0, "the pin is the key from outside");

    let (old, file) = (keys["key"]["vkey"].as_str().unwrap(), house.path().join("kept.vkey"));
    let kept = file.display().to_string();
    assert_eq!(house.go(&["audit", "keys", "export", "--output", &kept]).0, 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), old);
    assert_eq!(house.go(&["audit", "keys", "export", "--output", &kept]).0, 1, "it is not written over");
    assert_eq!(house.go(&["audit", "keys", "export"]).1.trim(), old);

    let (code, out, err) = house.go(&["audit", "keys", "rotate"]);
    assert!(code == 0 && out.contains("the old private key was removed"), "{out}{err}");
    let after = house.keys();
    assert_ne!(after["key"]["id"], keys["key"]["id"]);
    assert_eq!(after["rotations"][0]["from"], keys["key"]["id"]);
    assert_eq!((&after["known"][0]["id"], &after["known"][0]["agrees"]), (&after["key"]["id"], &true.into()));
    for vkey in [&kept, &format!("{dir}/log.vkey")] {
        let (code, out, err) = house.go(&["audit", "verify", "--journal", &dir, "--vkey", vkey]);
        assert_eq!(code, 0, "{out}{err}");
    }
    assert_eq!(house.go(&["incident", "note", "INC-1", "it goes on"]).0, 0);
    let secret = std::fs::read_to_string(house.path().join("journal/log.key")).unwrap();
    assert!(!out.contains(secret.trim()) && !after.to_string().contains(secret.trim()));
}

#[test]
fn another_log_under_the_same_name_is_refused_until_it_is_begun_deliberately() {
    let house = House::new();
    let pinned = house.keys()["key"]["id"].as_str().unwrap().to_owned();
    house.replace_log();
    let (code, _, err) = house.go(&["incident", "note", "INC-1", "x"]);
    assert!(code == 3 && err.contains(&pinned) && err.matches("quarterdeck/lonely+").count() == 2, "{code} {err}");
    assert_eq!(house.go(&["audit", "verify"]).0, 3);
    assert_eq!(house.go(&["audit", "keys", "show"]).0, 3);
    let (code, _, err) = house.go(&["audit", "keys", "pin"]);
    assert!(code == 3 && err.contains(&pinned), "{code} {err}");

    let last = house.path().join("last");
    std::fs::write(&last, "no checkpoint\n").unwrap();
    let last = last.display().to_string();
    std::fs::remove_dir_all(house.path().join("journal")).unwrap();
    let (code, _, err) = house.go(&["incident", "declare", "x", "--severity", "SEV3"]);
    assert!(code == 3 && err.contains("audit begin"), "{code} {err}");
    assert!(!house.path().join("journal").exists());
    assert_eq!(house.go(&["audit", "begin", "--follows", &last]).0, 1);
    let (code, out, err) = house.go(&["audit", "begin"]);
    assert!(code == 0 && out.contains(&pinned), "{code} {out}{err}");
    assert_eq!(house.go(&["audit", "begin"]).0, 2);
    assert_eq!(house.go(&["incident", "declare", "x", "--severity", "SEV3"]).0, 0);
}

#[test]
fn what_is_set_up_wrongly_has_a_sentence_and_an_exit_code() {
    let house = House::new();
    let key = house.path().join("journal/log.key");
    let secret = std::fs::read(&key).unwrap();
    let says = |code: i32, what: &str| {
        let (found, _, err) = house.go(&["incident", "note", "INC-1", "x"]);
        assert!(found == code && err.contains(what), "{found} {err}");
    };
    let mode = |bits| std::os::unix::fs::PermissionsExt::from_mode(bits);
    std::fs::set_permissions(&key, mode(0o644)).unwrap();
    says(2, "has mode 0644");
    std::fs::set_permissions(&key, mode(0o600)).unwrap();
    std::fs::write(&key, "PRIVATE+KEY+\n").unwrap();
    says(2, "can not be used");
    std::fs::remove_file(&key).unwrap();
    says(3, "its key");
    std::fs::write(&key, &secret).unwrap();
    std::fs::set_permissions(&key, mode(0o600)).unwrap();

    let text = std::fs::read_to_string(&house.file).unwrap();
    let with = |vkey: &str| text.replace("[journal]\n", &format!("[journal]\nvkey = \"{vkey}\"\n"));
    let vkey = house.keys()["key"]["vkey"].as_str().unwrap().to_owned();
    std::fs::write(&house.file, with(&vkey)).unwrap();
    assert_eq!(house.go(&["incident", "note", "INC-1", "x"]).0, 0, "a literal");
    std::fs::write(&house.file, with(&house.path().join("journal/log.vkey").display().to_string())).unwrap();
    assert_eq!(house.go(&["incident", "note", "INC-1", "x"]).0, 0, "a file");
    std::fs::write(&house.file, with("nowhere.vkey")).unwrap();
    says(2, "nowhere.vkey");
    // The example key of golang.org/x/mod/sumdb/note: of another log.
    std::fs::write(&house.file, with("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")).unwrap();
    says(3, "PeterNeumann+c74f20a3");
    let (code, _, err) = house.go(&["audit", "keys", "rotate", "--drill"]);
    assert!(code == 2 && err.contains("drill"), "{code} {err}");
}
