//! What `docs/threat-model.md` claims: each test that it names is there, and those that are nobody else's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use support::run;

#[test]
fn each_test_that_the_threat_model_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let named: Vec<&str> = page.split('`').filter(|w| w.contains(".rs: ")).collect();
    assert!(named.len() > 30, "only {} tests are named", named.len());
    for one in named {
        let (file, name) = one.split_once(": ").unwrap();
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let at = text.find(&format!("fn {name}(")).unwrap_or_else(|| panic!("{file} has no test {name}"));
        let before: Vec<&str> = text[..at].lines().rev().take(12).collect();
        assert!(before.iter().any(|l| l.contains("#[test") || l.contains("::test")), "{one} is no test");
    }
}

#[test]
fn a_playbook_that_others_may_have_written_is_refused_before_anything_is_read() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join(".config/quarterdeck/playbooks");
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("own.yaml");
    std::fs::write(&file, include_str!("../playbooks/schema-lock.yaml")).unwrap();
    assert_eq!(run(home.path(), &["playbook", "list"]).0, 0);
    let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    for (path, open, shut) in [(&dir, 0o777, 0o755), (&file, 0o646, 0o644)] {
        set(path, open);
        for args in [&["playbook", "list"][..], &["playbook", "show", "schema-lock"]] {
            let (code, out, err) = run(home.path(), args);
            let told = format!("{} has mode {open:04o}, everybody can change it: chmod o-w", path.display());
            assert!(code == 2 && out.is_empty() && err.contains(&told), "{code} {out} {err}");
        }
        set(path, shut);
    }
    // Only root can give a file away.
    if std::os::unix::fs::chown(&file, Some(65534), None).is_ok() {
        let (code, _, err) = run(home.path(), &["playbook", "list"]);
        assert!(
            code == 2 && err.contains("belongs to user 65534; root and the user that runs this are allowed"),
            "{err}"
        );
    }
}
