//! A directory as an archive, laid out like a journal's: `records/` and `evidence/`. Files come in whole under their
//! names, durably, and what is there is never written over.

use rustix::fs::{Advice, RenameFlags};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory.
#[derive(Clone, Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// It need not be there yet; what it lies in must be.
    pub const fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// Copies a file there, unless one of that name is; whether it was.
    pub fn copy(&self, name: &str, from: &Path) -> Result<bool, String> {
        let failed = |e: io::Error| format!("{} can not be read: {e}", from.display());
        let mut input = File::open(from).map_err(failed)?;
        self.put(name, |out| io::copy(&mut input, out).map(|_| ()))
    }

    /// The same with bytes.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<bool, String> {
        self.put(name, |out| out.write_all(bytes))
    }

    fn put(&self, name: &str, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<bool, String> {
        let path = self.0.join(name);
        if std::fs::symlink_metadata(&path).is_ok() {
            return Ok(false);
        }
        let folder = path.parent().unwrap_or(&self.0);
        self.make(folder).map_err(|e| format!("making {} failed: {e}", folder.display()))?;
        // Not in the folder: a copy that is killed leaves it behind, and what lies among segments has to be one.
        let part = self.0.join(format!(".{}-{:x}.part", std::process::id(), fastrand::u64(..)));
        let put = || {
            let mut out = File::options().write(true).create_new(true).mode(0o640).open(&part)?;
            fill(&mut out)?;
            out.sync_all()?;
            let here = rustix::fs::CWD;
            match rustix::fs::renameat_with(here, &part, here, &path, RenameFlags::NOREPLACE) {
                // Some file systems do not know it; what two may write at once has the same name for its bytes.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => std::fs::rename(&part, &path)?,
                Err(rustix::io::Errno::EXIST) => return Ok(false),
                renamed => renamed?,
            }
            File::open(folder)?.sync_all()?;
            Ok(true)
        };
        let done = put();
        if !matches!(done, Ok(true)) {
            // It may have filled the disk; nothing refers to it.
            let _ = std::fs::remove_file(&part);
        }
        done.map_err(|e: io::Error| format!("writing {} failed: {e}", path.display()))
    }

    /// Makes the directory and a folder in it, but nothing above: a disk that is not mounted is not written beside.
    fn make(&self, folder: &Path) -> io::Result<()> {
        for dir in [&*self.0, folder] {
            match std::fs::DirBuilder::new().mode(0o750).create(dir) {
                Ok(()) => File::open(dir.parent().unwrap_or(dir))?.sync_all()?,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads a file, if it is there, from the disk where that can be had.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let path = self.0.join(name);
        let read = || {
            let mut file = match File::open(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            // What was written a moment ago is in memory; only what is on the disk counts. A hint, which may be refused.
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
            let mut bytes = vec![];
            file.read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        };
        read().map_err(|e: io::Error| format!("reading {} failed: {e}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_in_the_making_is_never_among_the_segments() {
        let home = tempfile::tempdir().unwrap();
        let archive = Directory::new(home.path().join("archive"));
        let segments = || std::fs::read_dir(home.path().join("archive/records")).unwrap().count();
        let put = archive.put("records/00000000000000000000.jsonl", |out| {
            assert_eq!(segments(), 0);
            out.write_all(b"{}")
        });
        assert_eq!((put, segments()), (Ok(true), 1));
    }
}
