//! Putting one whole file in place, or removing it, so that neither Traefik nor a crash sees half of it.

use super::page::MARK;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::sample::{Failure, FailureKind};
use rustix::fs::{Access, Mode, OFlags};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Bytes of a file that are looked at; a page is below one thousand.
const LOOK: u64 = 64 << 10;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Change {
    /// The file.
    pub(super) path: PathBuf,
    /// Its content; `None` removes it.
    pub(super) content: Option<String>,
}

/// What stands at the path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Absent,
    /// A file that this program wrote, with this content.
    Ours(String),
    /// Something else, in words.
    Foreign(&'static str),
}

impl Found {
    /// Looks without following a symbolic link.
    pub(super) fn at(path: &Path) -> Result<Self, Failure> {
        let meta = match std::fs::symlink_metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Self::Absent),
            meta => meta.map_err(|e| problem("look at", path, &e))?,
        };
        if meta.file_type().is_symlink() {
            return Ok(Self::Foreign("a symbolic link"));
        }
        if !meta.is_file() {
            return Ok(Self::Foreign("no regular file"));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Err(e) if e == rustix::io::Errno::NOENT => return Ok(Self::Absent),
            file => std::fs::File::from(file.map_err(|e| problem("read", path, &e.into()))?),
        };
        let mut bytes = Vec::new();
        file.take(LOOK + 1).read_to_end(&mut bytes).map_err(|e| problem("read", path, &e))?;
        match String::from_utf8(bytes) {
            Ok(text) if text.starts_with(MARK) && text.len() as u64 <= LOOK => Ok(Self::Ours(text)),
            _ => Ok(Self::Foreign("a file that Quarterdeck did not write")),
        }
    }
}

impl Change {
    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Says what carrying it out would do now, or why it would fail.
    pub(super) fn foresee(&self) -> Result<String, Failure> {
        let path = self.path.display();
        let effect = match (Found::at(&self.path)?, &self.content) {
            (Found::Foreign(what), _) => return Err(self.occupied(what)),
            (Found::Absent, Some(new)) => format!("would create {path} ({} bytes)", new.len()),
            (Found::Ours(old), Some(new)) if &old == new => return Ok(format!("{path} says so already: no change")),
            (Found::Ours(_), Some(_)) => return Err(self.other_page()),
            (Found::Ours(_), None) => format!("would remove {path}"),
            (Found::Absent, None) => return Ok(format!("{path} does not exist: no change")),
        };
        rustix::fs::access(self.dir(), Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|e| problem("write in", self.dir(), &e.into()))?;
        Ok(effect)
    }

    /// Does it.
    pub(super) fn carry_out(&self) -> Outcome {
        let done = |changed: bool, summary: String| Outcome::Done {
            result: serde_json::json!({ "changed": changed, "path": self.path.display().to_string() }),
            summary,
        };
        let path = self.path.display();
        let found = match Found::at(&self.path) {
            Ok(found) => found,
            Err(why) => return Outcome::Failed { why },
        };
        match (found, &self.content) {
            (Found::Foreign(what), _) => Outcome::Failed { why: self.occupied(what) },
            (Found::Ours(old), Some(new)) if &old == new => done(false, format!("{path} said so already")),
            (Found::Ours(_), Some(_)) => Outcome::Failed { why: self.other_page() },
            (Found::Absent, None) => done(false, format!("{path} did not exist")),
            (Found::Absent, Some(new)) => match self.publish(new) {
                Ok(()) => self.settle(done(true, format!("wrote {path}"))),
                Err(why) => Outcome::Failed { why },
            },
            (Found::Ours(_), None) => match std::fs::remove_file(&self.path) {
                Ok(()) => self.settle(done(true, format!("removed {path}"))),
                Err(e) if e.kind() == ErrorKind::NotFound => done(false, format!("{path} did not exist")),
                Err(e) => Outcome::Failed { why: problem("remove", &self.path, &e) },
            },
        }
    }

    /// Writes aside under a name that Traefik does not read, then renames where nothing stands.
    fn publish(&self, content: &str) -> Result<(), Failure> {
        let failed = |e: io::Error| problem("write", &self.path, &e);
        let mut aside =
            tempfile::Builder::new().prefix(".quarterdeck-").suffix(".tmp").tempfile_in(self.dir()).map_err(failed)?;
        aside.write_all(content.as_bytes()).map_err(failed)?;
        // Traefik often runs as another user.
        aside.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(failed)?;
        aside.as_file().sync_all().map_err(failed)?;
        match aside.persist_noclobber(&self.path) {
            Ok(_) => Ok(()),
            Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Err(self.occupied("a file that came this moment")),
            Err(e) => Err(failed(e.error)),
        }
    }

    /// The change is made; it is told as done when the directory is on disk too.
    fn settle(&self, done: Outcome) -> Outcome {
        match std::fs::File::open(self.dir()).and_then(|dir| dir.sync_all()) {
            Ok(()) => done,
            Err(e) => Outcome::Unknown { why: problem("sync", self.dir(), &e) },
        }
    }

    /// What was found, after an outcome that is not known.
    pub(super) fn reconcile(&self, found: &Found) -> Reconciled {
        let path = self.path.display();
        match (found, &self.content) {
            (Found::Ours(old), Some(new)) if old == new => Reconciled::TookEffect { seen: format!("{path} says so") },
            (Found::Absent, None) => Reconciled::TookEffect { seen: format!("{path} does not exist") },
            (Found::Absent, Some(_)) => Reconciled::NoEffect { seen: format!("{path} does not exist") },
            (Found::Ours(_), Some(_)) => Reconciled::NoEffect { seen: format!("{path} says something else") },
            (Found::Ours(_), None) => Reconciled::NoEffect { seen: format!("{path} still exists") },
            (Found::Foreign(what), _) => Reconciled::Undecided { why: format!("{path} is {what}") },
        }
    }

    fn occupied(&self, what: &str) -> Failure {
        let why = format!("{} is {what}; it was left as it is", self.path.display());
        Failure::new(FailureKind::Local, why)
    }

    fn other_page(&self) -> Failure {
        let path = self.path.display();
        let why = format!("{path} is a maintenance page with other content; lift it first by traefik.maintenance_off");
        Failure::new(FailureKind::Local, why)
    }
}

/// A sentence for what the file system said.
fn problem(doing: &str, path: &Path, error: &io::Error) -> Failure {
    let (kind, hint) = match error.kind() {
        ErrorKind::PermissionDenied => (FailureKind::Permission, "this user lacks the right"),
        ErrorKind::ReadOnlyFilesystem => (FailureKind::Permission, "the file system is read-only"),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (FailureKind::Local, "the disk is full"),
        ErrorKind::NotFound => (FailureKind::Local, "the directory does not exist"),
        _ => (FailureKind::Local, "the file system refuses"),
    };
    Failure::new(kind, format!("can not {doing} {}: {hint} ({error})", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(n: u32) -> String {
        format!("{MARK}t017 {n}\n")
    }

    fn change(dir: &tempfile::TempDir, content: Option<String>) -> Change {
        Change { path: dir.path().join("quarterdeck-maintenance-t017.yml"), content }
    }

    fn changed(outcome: &Outcome) -> Option<bool> {
        match outcome {
            Outcome::Done { result, .. } => result["changed"].as_bool(),
            _ => None,
        }
    }

    #[test]
    fn a_page_is_set_once_and_removed_once() {
        let dir = tempfile::tempdir().unwrap();
        let (on, off) = (change(&dir, Some(page(1))), change(&dir, None));
        assert!(on.foresee().unwrap().starts_with("would create"));
        assert_eq!(
            on.reconcile(&Found::at(&on.path).unwrap()),
            Reconciled::NoEffect { seen: format!("{} does not exist", on.path.display()) }
        );
        assert_eq!(changed(&on.carry_out()), Some(true));
        assert_eq!(std::fs::read_to_string(&on.path).unwrap(), page(1));
        assert_eq!(std::fs::metadata(&on.path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(changed(&on.carry_out()), Some(false), "the second time nothing changes");
        assert!(matches!(on.reconcile(&Found::at(&on.path).unwrap()), Reconciled::TookEffect { .. }));
        assert!(matches!(off.reconcile(&Found::at(&off.path).unwrap()), Reconciled::NoEffect { .. }));
        assert_eq!(changed(&off.carry_out()), Some(true));
        assert_eq!(changed(&off.carry_out()), Some(false));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left aside");
    }

    #[test]
    fn what_others_wrote_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (on, off) = (change(&dir, Some(page(1))), change(&dir, None));
        std::fs::write(&on.path, "http: {}\n").unwrap();
        for change in [&on, &off] {
            assert!(matches!(change.carry_out(), Outcome::Failed { why } if why.message.contains("did not write")));
            assert!(change.foresee().is_err());
        }
        assert_eq!(std::fs::read_to_string(&on.path).unwrap(), "http: {}\n");
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        std::fs::write(&elsewhere, page(1)).unwrap();
        let (on, off) = (change(&dir, Some(page(1))), change(&dir, None));
        std::os::unix::fs::symlink(&elsewhere, &on.path).unwrap();
        for change in [&on, &off] {
            assert!(matches!(change.carry_out(), Outcome::Failed { why } if why.message.contains("symbolic link")));
        }
        assert!(elsewhere.exists() && on.path.is_symlink());
    }

    #[test]
    fn another_page_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(changed(&change(&dir, Some(page(1))).carry_out()), Some(true));
        let second = change(&dir, Some(page(2)));
        assert!(matches!(second.carry_out(), Outcome::Failed { why } if why.message.contains("lift it first")));
        assert_eq!(std::fs::read_to_string(&second.path).unwrap(), page(1));
    }

    #[test]
    fn what_the_file_system_says_becomes_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let lost = Change { path: dir.path().join("none/quarterdeck-maintenance-t.yml"), content: Some(page(1)) };
        assert!(lost.foresee().unwrap_err().message.contains("the directory does not exist"));
        assert!(matches!(lost.carry_out(), Outcome::Failed { why } if why.message.contains("does not exist")));
        let full = problem("write", Path::new("/x"), &io::Error::from(ErrorKind::StorageFull));
        assert!(full.message.starts_with("can not write /x: the disk is full"));
        let denied = problem("write", Path::new("/x"), &io::Error::from(ErrorKind::PermissionDenied));
        assert_eq!(denied.kind, FailureKind::Permission);
    }

    /// Runs itself again in a mount name space of its own, where a file system of one page can be full.
    #[test]
    fn a_full_disk_and_a_read_only_file_system_change_nothing() {
        const DIR: &str = "QUARTERDECK_TEST_FULL_DIR";
        const NAME: &str = "act::traefik::file::tests::a_full_disk_and_a_read_only_file_system_change_nothing";
        let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else {
            let dir = tempfile::tempdir().unwrap();
            let script = r#"mount -t tmpfs -o size=4k none "$0" && head -c 4096 /dev/zero > "$0/filler" && exec "$@""#;
            let ran = std::process::Command::new("unshare")
                .args(["-rm", "sh", "-c", script])
                .arg(dir.path())
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", NAME, "--nocapture"])
                .env(DIR, dir.path())
                .output();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match ran {
                Ok(ran) if ran.status.success() && text(&ran.stdout).contains("1 passed") => {}
                Ok(ran) if text(&ran.stdout).is_empty() => {
                    crate::observe::http::rig::skip(NAME, &format!("no own name space: {}", text(&ran.stderr)));
                }
                Ok(ran) => panic!("{}{}", text(&ran.stdout), text(&ran.stderr)),
                Err(e) => crate::observe::http::rig::skip(NAME, &format!("unshare: {e}")),
            }
            return;
        };
        let left = || std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        let on = Change { path: dir.join("quarterdeck-maintenance-t017.yml"), content: Some(page(1)) };
        let outcome = on.carry_out();
        assert!(matches!(&outcome, Outcome::Failed { why } if why.message.contains("the disk is full")), "{outcome:?}");
        assert_eq!(left(), ["filler"]);
        assert!(std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(&dir).status().unwrap().success());
        let outcome = on.carry_out();
        let read_only = |why: &Failure| why.kind == FailureKind::Permission && why.message.contains("is read-only");
        assert!(matches!(&outcome, Outcome::Failed { why } if read_only(why)), "{outcome:?}");
        assert!(read_only(&on.foresee().unwrap_err()));
        assert_eq!(left(), ["filler"]);
    }
}
