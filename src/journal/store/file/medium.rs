//! What the writer asks of the disk, so that its faults can be tried out one by one.

use super::walk::Segment;
use super::{RECORDS, place};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The segment that is written, and the disk under it.
pub trait Medium: Send {
    /// Writes all of `bytes` at an offset of the segment.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns when everything written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Bytes left on the disk.
    fn free(&self) -> io::Result<u64>;
    /// Cuts the padding after `len` off and syncs: the segment is complete.
    fn seal(&mut self, len: u64) -> io::Result<()>;
    /// Goes on in a new segment that begins with record `first`.
    fn begin(&mut self, first: u64) -> io::Result<()>;
    /// Lets go of the segment and goes on in a new, empty file that no reader sees before [`Medium::publish`].
    fn set_apart(&mut self) -> io::Result<()>;
    /// Makes the file that was set apart the segment that begins with record `first`, durably, also where a segment
    /// of that name is there already.
    fn publish(&mut self, first: u64) -> io::Result<()>;
    /// Whether the segment's name still leads to the file that is written: nobody removed, replaced or moved it.
    fn in_place(&self) -> io::Result<bool>;
}

/// Name of the file of a segment that readers may not see yet.
const APART: &str = "segment.tmp";

/// Files. What is made is made relative to the directory as it was opened: another may have taken its name since.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    handle: File,
    segment: File,
    path: PathBuf,
}

impl Disk {
    /// Goes on in the open segment of the journal in `dir` that begins with record `first`.
    pub fn new(dir: &Path, handle: File, segment: File, first: u64) -> Self {
        Self { dir: dir.to_owned(), handle, segment, path: Segment::at(dir, first).path }
    }

    /// Makes the empty segment that begins with record `first`, durably.
    pub fn make_segment(dir: &Path, first: u64) -> io::Result<File> {
        new_segment(rustix::fs::CWD, dir, first)
    }
}

impl Medium for Disk {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.segment.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.segment.sync_data()
    }

    fn free(&self) -> io::Result<u64> {
        place::free_bytes(&self.handle)
    }

    fn seal(&mut self, len: u64) -> io::Result<()> {
        self.segment.set_len(len)?;
        self.segment.sync_all()
    }

    fn begin(&mut self, first: u64) -> io::Result<()> {
        self.segment = new_segment(self.handle.as_fd(), Path::new(""), first)?;
        self.path = Segment::at(&self.dir, first).path;
        Ok(())
    }

    fn set_apart(&mut self) -> io::Result<()> {
        // What an earlier writer left may be a file whose pages could not be written either.
        match rustix::fs::unlinkat(&self.handle, APART, AtFlags::empty()) {
            Err(e) if e != rustix::io::Errno::NOENT => return Err(e.into()),
            _ => {}
        }
        self.segment = new_file(self.handle.as_fd(), Path::new(APART))?;
        self.path = self.dir.join(APART);
        Ok(())
    }

    fn publish(&mut self, first: u64) -> io::Result<()> {
        rustix::fs::renameat(&self.handle, APART, &self.handle, Segment::at(Path::new(""), first).path)?;
        self.path = Segment::at(&self.dir, first).path;
        sync_folder(self.handle.as_fd(), Path::new(RECORDS))?;
        self.handle.sync_all()
    }

    fn in_place(&self) -> io::Result<bool> {
        let written = identity(&self.segment, "".as_ref(), AtFlags::EMPTY_PATH)?;
        match identity(rustix::fs::CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok(named == written),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// What tells a file from all others: its device and its inode.
///
/// It asks for nothing else. Who asks Linux 6.13 or later for the time of the last change makes the next write set a new
/// one (multigrain timestamps, Documentation/filesystems/multigrain-ts.rst), which the next sync then has to write too: on
/// ext4 that is a third of a sync.
fn identity(at: impl AsFd, path: &Path, flags: AtFlags) -> io::Result<(u32, u32, u64)> {
    let found = rustix::fs::statx(at, path, flags, StatxFlags::INO)?;
    Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
}

/// Makes the empty segment that begins with record `first`, durably.
fn new_segment(at: BorrowedFd<'_>, dir: &Path, first: u64) -> io::Result<File> {
    let file = new_file(at, &Segment::at(dir, first).path)?;
    sync_folder(at, &dir.join(RECORDS))?;
    Ok(file)
}

fn new_file(at: BorrowedFd<'_>, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(File::from(rustix::fs::openat(at, path, flags, Mode::from_raw_mode(0o640))?))
}

fn sync_folder(at: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    File::from(rustix::fs::openat(at, path, flags, Mode::empty())?).sync_all()
}
