//! A simulated disk under the writer: files with a page cache, names that are durable only after their directory was
//! synced, and a fault at a chosen call. After a failed sync the pages count as clean, as on Linux: the cache goes on
//! showing what the disk does not hold, and the next sync of the file succeeds without writing it.

use super::super::medium::Medium;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

const PAGE: usize = 4_096;
const SECTOR: usize = 512;

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The machine or the process is gone before the call.
    GoneBefore,
    /// The same, after the call was carried out and before its caller learns of it.
    GoneAfter,
    /// The call fails, and so may have been carried out in part.
    Fails(io::ErrorKind),
    /// As before, and so does every later one.
    FailsForEver(io::ErrorKind),
}

/// Random choices, the same in every run with the same seed (the `SplitMix64` generator).
#[derive(Clone)]
pub struct Choices(pub u64);

impl Choices {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

#[derive(Clone, Default)]
struct Inode {
    /// What a process sees.
    cache: Vec<u8>,
    /// What the disk surely holds.
    disk: Vec<u8>,
    /// Pages of the cache that the kernel still has to write.
    dirty: BTreeSet<usize>,
}

impl Inode {
    fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        if self.cache.len() < end {
            self.cache.resize(end, 0);
        }
        self.cache[at..end].copy_from_slice(bytes);
        if at < end {
            self.dirty.extend(at / PAGE..=(end - 1) / PAGE);
        }
    }

    fn sync(&mut self) {
        self.disk.clone_from(&self.cache);
        self.dirty.clear();
    }

    /// What a power loss leaves: of each page that was not synced nothing, all, or some sectors.
    fn after_power_loss(&self, choices: &mut Choices) -> Vec<u8> {
        let mut left = self.disk.clone();
        if choices.coin() {
            left.resize(self.cache.len(), 0);
        }
        for page in &self.dirty {
            let way = choices.below(3);
            for sector in (page * PAGE..(page + 1) * PAGE).step_by(SECTOR) {
                let end = (sector + SECTOR).min(self.cache.len()).min(left.len());
                if sector < end && (way == 1 || way == 2 && choices.coin()) {
                    left[sector..end].copy_from_slice(&self.cache[sector..end]);
                }
            }
        }
        left
    }
}

/// A change of a directory that is not durable yet.
#[derive(Clone)]
enum Change {
    Set(String, usize),
    Gone(String),
}

struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    changes: Vec<Change>,
    written: usize,
    /// Name of the file that is written.
    name: String,
    calls: usize,
    plan: Option<(usize, Fault)>,
    gone: bool,
    failing: Option<io::ErrorKind>,
    choices: Choices,
}

/// The disk; a clone is the same one.
#[derive(Clone)]
pub struct Simulated(Arc<Mutex<State>>);

/// What becomes of a call.
enum Turn {
    Goes,
    Fails(io::ErrorKind),
    GoesAndIsNeverHeardOf,
}

fn segment(first: u64) -> String {
    format!("records/{first:020}.jsonl")
}

impl State {
    fn turn(&mut self) -> io::Result<Turn> {
        let call = self.calls;
        self.calls += 1;
        if self.gone {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if let Some(kind) = self.failing {
            return Ok(Turn::Fails(kind));
        }
        match self.plan.filter(|(at, _)| *at == call) {
            None => Ok(Turn::Goes),
            Some((_, Fault::GoneBefore)) => {
                self.gone = true;
                Err(io::ErrorKind::NotConnected.into())
            }
            Some((_, Fault::GoneAfter)) => {
                self.gone = true;
                Ok(Turn::GoesAndIsNeverHeardOf)
            }
            Some((_, Fault::Fails(kind))) => Ok(Turn::Fails(kind)),
            Some((_, Fault::FailsForEver(kind))) => {
                self.failing = Some(kind);
                Ok(Turn::Fails(kind))
            }
        }
    }

    /// Carries out a call, or only a part of it, or not at all.
    fn call(&mut self, whole: impl FnOnce(&mut Self), part: impl FnOnce(&mut Self)) -> io::Result<()> {
        match self.turn()? {
            Turn::Goes => {
                whole(self);
                Ok(())
            }
            Turn::GoesAndIsNeverHeardOf => {
                whole(self);
                Err(io::ErrorKind::NotConnected.into())
            }
            Turn::Fails(kind) => {
                part(self);
                Err(kind.into())
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let written = self.written;
        self.call(
            |s| s.inodes[written].sync(),
            |s| {
                let mut choices = s.choices.clone();
                s.inodes[written].disk = s.inodes[written].after_power_loss(&mut choices);
                s.inodes[written].dirty.clear();
                s.choices = choices;
            },
        )
    }

    fn change(&mut self, changes: &[Change]) {
        for change in changes {
            apply(&mut self.names, change);
        }
        self.changes.extend_from_slice(changes);
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let half = |s: &mut Self| {
            let some = s.choices.below(s.changes.len() + 1);
            for change in s.changes.drain(..some) {
                apply(&mut s.durable, &change);
            }
        };
        self.call(
            |s| {
                s.changes.clear();
                s.durable.clone_from(&s.names);
            },
            half,
        )
    }

    fn make(&mut self, name: &str) -> io::Result<()> {
        self.call(
            |s| {
                s.inodes.push(Inode::default());
                (s.written, s.name) = (s.inodes.len() - 1, name.to_owned());
                s.change(&[Change::Set(name.to_owned(), s.inodes.len() - 1)]);
            },
            |_| {},
        )
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Set(name, inode) => names.insert(name.clone(), *inode),
        Change::Gone(name) => names.remove(name),
    };
}

impl Simulated {
    /// A disk that holds one segment, with a fault to come.
    pub fn new(first: u64, bytes: &[u8], plan: Option<(usize, Fault)>, seed: u64) -> Self {
        let inode = Inode { cache: bytes.to_vec(), disk: bytes.to_vec(), dirty: BTreeSet::new() };
        let names = BTreeMap::from([(segment(first), 0)]);
        Self(Arc::new(Mutex::new(State {
            inodes: vec![inode],
            durable: names.clone(),
            names,
            changes: vec![],
            written: 0,
            name: segment(first),
            calls: 0,
            plan,
            gone: false,
            failing: None,
            choices: Choices(seed),
        })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Number of calls so far.
    pub fn calls(&self) -> usize {
        self.with(|s| s.calls)
    }

    /// What every process of a machine that goes on sees.
    pub fn seen(&self) -> BTreeMap<String, Vec<u8>> {
        self.with(|s| s.names.iter().map(|(name, inode)| (name.clone(), s.inodes[*inode].cache.clone())).collect())
    }

    /// What a machine finds after it lost its power now.
    pub fn after_power_loss(&self) -> BTreeMap<String, Vec<u8>> {
        self.with(|s| {
            let mut names = s.durable.clone();
            let some = s.choices.below(s.changes.len() + 1);
            s.changes.iter().take(some).for_each(|change| apply(&mut names, change));
            let mut choices = s.choices.clone();
            let left = names.into_iter().map(|(n, inode)| (n, s.inodes[inode].after_power_loss(&mut choices)));
            let left = left.collect();
            s.choices = choices;
            left
        })
    }
}

impl Medium for Simulated {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.with(|s| {
            let written = s.written;
            let some = s.choices.below(bytes.len() + 1);
            s.call(|s| s.inodes[written].write(bytes, at), |s| s.inodes[written].write(&bytes[..some], at))
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(State::sync)
    }

    fn free(&self) -> io::Result<u64> {
        self.with(|s| s.call(|_| {}, |_| {})).map(|()| 1 << 40)
    }

    fn seal(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap();
        self.with(|s| {
            let written = s.written;
            s.call(|s| s.inodes[written].cache.truncate(len), |_| {})?;
            s.sync()
        })
    }

    fn begin(&mut self, first: u64) -> io::Result<()> {
        self.with(|s| {
            s.make(&segment(first))?;
            s.sync_folder()
        })
    }

    fn set_apart(&mut self) -> io::Result<()> {
        self.with(|s| s.make("segment.tmp"))
    }

    fn publish(&mut self, first: u64) -> io::Result<()> {
        self.with(|s| {
            let rename = |s: &mut State| {
                let to = segment(first);
                s.change(&[Change::Set(to.clone(), s.written), Change::Gone("segment.tmp".to_owned())]);
                s.name = to;
            };
            // A rename that is said to have failed may have been done.
            let done = s.choices.coin();
            s.call(rename, |s| {
                if done {
                    rename(s);
                }
            })?;
            s.sync_folder()?;
            s.sync_folder()
        })
    }

    fn in_place(&self) -> io::Result<bool> {
        self.with(|s| {
            s.call(|_| {}, |_| {})?;
            Ok(s.names.get(&s.name) == Some(&s.written))
        })
    }
}
