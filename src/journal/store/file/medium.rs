//! What the writer asks of the disk, so that its faults can be tried out one by one.

use super::place;
use super::walk::Segment;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
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
}

/// Files.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    handle: File,
    segment: File,
}

impl Disk {
    /// Goes on in an open segment of the journal in `dir`.
    pub fn new(dir: &Path, handle: File, segment: File) -> Self {
        Self { dir: dir.to_owned(), handle, segment }
    }

    /// Makes the empty segment that begins with record `first`, durably.
    pub fn make_segment(dir: &Path, first: u64) -> io::Result<File> {
        let path = Segment::at(dir, first).path;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&path, flags, Mode::from_raw_mode(0o640))?);
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all()?,
            None => file.sync_all()?,
        }
        Ok(file)
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
        self.segment = Self::make_segment(&self.dir, first)?;
        Ok(())
    }
}
