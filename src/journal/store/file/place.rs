//! Whether a directory can hold a journal: a real one, on a local file system, with room.

use crate::journal::error::{JournalError, READING};
use rustix::fs::{AtFlags, Mode, OFlags};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// File systems whose locks or syncs depend on another machine: numbers of statfs(2), most of them in
/// linux/magic.h.
const NETWORK: [(u64, &str); 10] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x00c3_6400, "ceph"),
    (0x7375_7245, "coda"),
    (0x0bd0_0bd0, "lustre"),
    (0x4750_4653, "gpfs"),
];

/// The number of every file system in user space; which one it is stands in `/proc/self/mountinfo`.
const FUSE: u64 = 0x6573_5546;

/// File systems in user space that are known to keep their files on a local disk.
const LOCAL_FUSE: [&str; 2] = ["fuseblk", "fuse.fuse-overlayfs"];

/// Makes the directory where it is missing, and opens it. Nothing is made where a journal may not be.
pub fn prepare(dir: &Path) -> Result<File, JournalError> {
    match std::fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_symlink() => return Err(JournalError::Symlink { path: dir.to_owned() }),
        Ok(meta) if !meta.is_dir() => return Err(JournalError::NotADirectory { path: dir.to_owned() }),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let parent = existing_parent(dir);
            refuse_network(&open_dir(&parent)?, &parent)?;
            let made = DirBuilder::new().recursive(true).mode(0o750).create(dir);
            made.map_err(|e| JournalError::io("making", dir, &e))?;
            for made in dir.ancestors().skip(1).take_while(|a| a.starts_with(&parent)) {
                sync_dir(made)?;
            }
        }
        Err(e) => return Err(JournalError::io(READING, dir, &e)),
    }
    let handle = open_dir(dir)?;
    refuse_network(&handle, dir)?;
    Ok(handle)
}

/// Makes a folder inside the journal, so that it is there after a crash.
pub fn make_folder(path: &Path) -> Result<(), JournalError> {
    match DirBuilder::new().mode(0o750).create(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_dir),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match std::fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(meta) if meta.is_symlink() => Err(JournalError::Symlink { path: path.to_owned() }),
            _ => Err(JournalError::NotADirectory { path: path.to_owned() }),
        },
        Err(e) => Err(JournalError::io("making", path, &e)),
    }
}

/// Makes the names in a directory durable.
pub fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    open_dir(dir)?.sync_all().map_err(|e| JournalError::io("syncing", dir, &e))
}

/// Opens a file without following a symbolic link in its last part.
pub fn open_file(path: &Path, flags: OFlags, mode: Mode) -> Result<File, JournalError> {
    match rustix::fs::open(path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, mode) {
        Ok(fd) => Ok(File::from(fd)),
        Err(rustix::io::Errno::LOOP) => Err(JournalError::Symlink { path: path.to_owned() }),
        Err(e) if flags.intersects(OFlags::WRONLY | OFlags::RDWR) => Err(JournalError::io("opening", path, &e.into())),
        Err(e) => Err(JournalError::io(READING, path, &e.into())),
    }
}

/// Bytes that this process may still use on the file system of an open directory.
pub fn free_bytes(dir: &File) -> io::Result<u64> {
    let stat = rustix::fs::fstatvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether a name is taken, by whatever.
pub fn exists(path: &Path) -> bool {
    rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

fn open_dir(dir: &Path) -> Result<File, JournalError> {
    File::open(dir).map_err(|e| JournalError::io(READING, dir, &e))
}

fn existing_parent(dir: &Path) -> PathBuf {
    let parent = dir.ancestors().skip(1).find(|a| a.exists()).unwrap_or(Path::new("."));
    if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() }
}

/// Name of the network file system that a directory lies on, if it does.
pub fn network_file_system_of(dir: &Path) -> Result<Option<String>, JournalError> {
    network_of(&open_dir(dir)?, dir)
}

fn refuse_network(handle: &File, dir: &Path) -> Result<(), JournalError> {
    match network_of(handle, dir)? {
        Some(file_system) => Err(JournalError::NetworkFileSystem { dir: dir.to_owned(), file_system }),
        None => Ok(()),
    }
}

fn network_of(handle: &File, dir: &Path) -> Result<Option<String>, JournalError> {
    let failed = |e: io::Error| JournalError::io(READING, dir, &e);
    let stat = rustix::fs::fstatfs(handle).map_err(|e| failed(e.into()))?;
    // The field is signed, and wider than the 32 bits of the number.
    let number = stat.f_type.cast_unsigned() & 0xffff_ffff;
    let mounts =
        if number == FUSE { std::fs::read_to_string("/proc/self/mountinfo").map_err(failed)? } else { String::new() };
    let device = handle.metadata().map_err(failed)?.dev();
    let device = (rustix::fs::major(device), rustix::fs::minor(device));
    Ok(network_file_system(number, &mounts, device))
}

/// Name of the file system, when a journal may not lie on it.
fn network_file_system(number: u64, mountinfo: &str, device: (u32, u32)) -> Option<String> {
    if number != FUSE {
        return NETWORK.iter().find(|(n, _)| *n == number).map(|(_, name)| (*name).to_owned());
    }
    // proc_pid_mountinfo(5): id, parent, major:minor, root, mount point, options, … `-`, type, source, options.
    let device = format!("{}:{}", device.0, device.1);
    let kind = mountinfo.lines().rfind(|l| l.split(' ').nth(2) == Some(&device)).and_then(|line| {
        let (_, after) = line.split_once(" - ")?;
        after.split(' ').next()
    });
    let kind = kind.unwrap_or("fuse");
    if LOCAL_FUSE.contains(&kind) { None } else { Some(kind.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_number_and_those_in_user_space_by_name() {
        let mounts = "36 35 0:52 / /mnt/far rw,nosuid - fuse.sshfs mara@far:/ rw,user_id=0\n\
                      37 35 0:53 / /mnt/near rw shared:7 - fuseblk /dev/sdb1 rw\n";
        let of = |number, minor| network_file_system(number, mounts, (0, minor));
        assert_eq!(of(0x6969, 1).as_deref(), Some("nfs"));
        assert_eq!(of(0xff53_4d42, 1).as_deref(), Some("cifs"));
        assert_eq!(of(0x0102_1997, 1).as_deref(), Some("9p"));
        assert_eq!(of(FUSE, 52).as_deref(), Some("fuse.sshfs"));
        assert_eq!(of(FUSE, 99).as_deref(), Some("fuse"));
        assert_eq!(of(FUSE, 53), None);
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630] {
            assert_eq!(of(local, 1), None);
        }
    }

    #[test]
    fn links_and_files_are_no_directories() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert_eq!(prepare(&link).unwrap_err(), JournalError::Symlink { path: link });
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(prepare(&file).unwrap_err(), JournalError::NotADirectory { path: file });
        let deep = dir.path().join("a/b/c");
        prepare(&deep).unwrap();
        assert_eq!(std::fs::metadata(&deep).unwrap().mode() & 0o777, 0o750);
    }
}
