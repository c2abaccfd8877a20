//! Putting one whole file in place, or taking it away, so that neither who reads it nor a crash sees half of it. The
//! verbs that write a file which another program reads call this.

use crate::domain::ports::Outcome;
use crate::domain::sample::{Failure, FailureKind};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// How it went wrong.
#[derive(Debug)]
pub(super) enum Broken {
    /// Nothing was changed.
    Refused(Failure),
    /// It stands there, and may be gone again after a loss of power.
    Open(Failure),
}

impl From<Failure> for Broken {
    fn from(why: Failure) -> Self {
        Self::Refused(why)
    }
}

impl From<Broken> for Outcome {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Refused(why) => Self::Failed { why },
            Broken::Open(why) => Self::Unknown { why },
        }
    }
}

/// Writes it with these rights, or removes it where there is no content.
pub(super) fn put(path: &Path, content: Option<&str>, mode: u32) -> Result<(), Broken> {
    let local = |why: String| Failure::new(FailureKind::Local, why);
    let dir = path.parent().unwrap_or(Path::new("/"));
    change(path, dir, content, mode)
        .map_err(|e| Broken::Refused(local(format!("{} can not be written: {e}", path.display()))))?;
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| {
        let shown = path.display();
        Broken::Open(local(format!("{shown} is changed, but that it stays so is not sure: {}: {e}", dir.display())))
    })
}

/// The change itself: what is read is the old file or the new one.
fn change(path: &Path, dir: &Path, content: Option<&str>, mode: u32) -> io::Result<()> {
    let Some(content) = content else { return std::fs::remove_file(path) };
    let mut aside = tempfile::Builder::new().prefix(".quarterdeck-").suffix(".tmp").tempfile_in(dir)?;
    aside.write_all(content.as_bytes())?;
    aside.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    aside.as_file().sync_all()?;
    aside.persist(path).map(drop).map_err(|e| e.error)
}
