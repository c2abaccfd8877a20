//! A log as others serve it: a C2SP tlog-tiles directory behind a URL, or a copy of one on a disk. What is read is
//! nothing until its hashes lead to a signed root. For code that may block: `audit monitor`.

use crate::domain::text::sanitize;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::tile::{self, Content, MAX_TREE, Tile};
use crate::journal::tree::Hash;
use std::cell::RefCell;
use std::error::Error;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;
use tlog_tiles::{HASH_SIZE, HashReader, TileHashReader, TileReader};

/// Time allowed for one file.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where a log is served.
#[derive(Debug)]
pub struct Served {
    place: Place,
    /// Why a tile could not be read; the reader of tiles can not say it.
    failed: RefCell<Option<String>>,
}

#[derive(Debug)]
enum Place {
    Local(PathBuf),
    Remote { http: reqwest::Client, base: String, runtime: tokio::runtime::Runtime },
}

impl Served {
    /// A copy in a directory.
    pub const fn local(dir: PathBuf) -> Self {
        Self { place: Place::Local(dir), failed: RefCell::new(None) }
    }

    /// Behind a URL.
    pub fn remote(base: &str) -> Result<Self, String> {
        // The error only says that a provider is installed already, which is what is wanted.
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = reqwest::Client::builder()
            .user_agent(concat!("quarterdeck/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT);
        let builder = if base.starts_with("https:") { builder } else { builder.tls_certs_only([]) };
        let http = builder.build().map_err(|e| format!("no HTTP client can be made: {e}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| format!("no HTTP client can be made: {e}"))?;
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { place: Place::Remote { http, base, runtime }, failed: RefCell::new(None) })
    }

    /// A file of at most `limit` bytes; `None` where there is none of that name.
    pub fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, String> {
        let too_long = || format!("{path} is longer than {limit} bytes");
        let mut bytes = Vec::new();
        match &self.place {
            Place::Local(dir) => {
                let file = match std::fs::File::open(dir.join(path)) {
                    Ok(file) => file,
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    Err(e) => return Err(format!("{path} can not be read: {e}")),
                };
                let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
                file.take(most).read_to_end(&mut bytes).map_err(|e| format!("{path} can not be read: {e}"))?;
            }
            Place::Remote { http, base, runtime } => {
                let failed = |e: &reqwest::Error| format!("{path} can not be fetched: {}", sanitize(&innermost(e)));
                let fetched: Result<bool, String> = runtime.block_on(async {
                    let mut response = http.get(format!("{base}/{path}")).send().await.map_err(|e| failed(&e))?;
                    match response.status().as_u16() {
                        200 => {}
                        404 | 410 => return Ok(false),
                        status => return Err(format!("{path} can not be fetched: the server answered {status}")),
                    }
                    while bytes.len() <= limit
                        && let Some(chunk) = response.chunk().await.map_err(|e| failed(&e))?
                    {
                        bytes.extend_from_slice(&chunk);
                    }
                    Ok(true)
                });
                if !fetched? {
                    return Ok(None);
                }
            }
        }
        if bytes.len() > limit { Err(too_long()) } else { Ok(Some(bytes)) }
    }

    /// A tile or bundle: the partial one, or the full one that has taken its place.
    fn tile(&self, tile: Tile, limit: usize) -> Result<Vec<u8>, String> {
        let found = match self.get(&tile.path(), limit)? {
            None if !tile.is_full() => self.get(&tile.full_path(), limit)?,
            found => found,
        };
        found.ok_or_else(|| format!("{} is missing", tile.path()))
    }

    /// Asks a question about the tree of a checkpoint; what tiles say counts only where they hash to its root.
    pub fn ask<T>(
        &self,
        checkpoint: &Checkpoint,
        question: impl FnOnce(&dyn Fn(&[u64]) -> Result<Vec<Hash>, tlog_tiles::Error>) -> Result<T, tlog_tiles::Error>,
    ) -> Result<T, String> {
        if checkpoint.size > MAX_TREE {
            return Err(format!("a tree of {} records is more than is read", checkpoint.size));
        }
        self.failed.replace(None);
        let read =
            |indexes: &[u64]| TileHashReader::new(checkpoint.size, checkpoint.root, &Tiles(self)).read_hashes(indexes);
        question(&read).map_err(|_| {
            let failed = self.failed.take();
            failed.unwrap_or_else(|| "the tiles do not hash to the root of the checkpoint".to_owned())
        })
    }

    /// The records from `first` to the end of their bundle or of the tree, with their numbers, each shown to be in
    /// the tree of the checkpoint.
    pub fn records(&self, checkpoint: &Checkpoint, first: u64) -> Result<Vec<(u64, Vec<u8>)>, String> {
        let n = first / tile::WIDTH;
        let begin = n * tile::WIDTH;
        let width = tile::WIDTH.min(checkpoint.size.saturating_sub(begin));
        let bundle = Tile { content: Content::Entries, n, width };
        let bytes = self.tile(bundle, tile::MAX_BUNDLE)?;
        let entries = tile::entries(&bytes).ok_or_else(|| format!("{} is no bundle of records", bundle.path()))?;
        let seqs: Vec<u64> = (begin..begin + width).collect();
        let indexes: Vec<u64> = seqs.iter().map(|seq| tlog_tiles::stored_hash_index(0, *seq)).collect();
        let hashes = self.ask(checkpoint, |read| read(&indexes))?;
        let mut records = Vec::new();
        for ((seq, hash), position) in seqs.into_iter().zip(hashes).zip(0..) {
            let Some(entry) = entries.get::<usize>(position) else {
                return Err(format!("{} ends before record {seq}", bundle.path()));
            };
            if tlog_tiles::record_hash(entry) != hash {
                return Err(format!("record {seq} in {} is not the one in the tree", bundle.path()));
            }
            if seq >= first {
                records.push((seq, (*entry).to_vec()));
            }
        }
        Ok(records)
    }
}

/// The hash tiles of a served log.
struct Tiles<'a>(&'a Served);

impl TileReader for Tiles<'_> {
    fn height(&self) -> u8 {
        tile::HEIGHT
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |t: &tlog_tiles::Tile| {
            let tile = Tile { content: Content::Hashes(t.level()), n: t.level_index(), width: u64::from(t.width()) };
            let length = usize::try_from(tile.width).unwrap_or(usize::MAX).saturating_mul(HASH_SIZE);
            let most = usize::try_from(tile::WIDTH).unwrap_or(usize::MAX).saturating_mul(HASH_SIZE);
            let mut bytes = self.0.tile(tile, most).map_err(|why| {
                self.0.failed.replace(Some(why));
                tlog_tiles::Error::InvalidTile
            })?;
            bytes.truncate(length);
            if bytes.len() == length {
                return Ok(bytes);
            }
            self.0.failed.replace(Some(format!("{} is too short", tile.path())));
            Err(tlog_tiles::Error::InvalidTile)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&e| e.source());
    chain.last().map_or_else(String::new, ToString::to_string)
}
