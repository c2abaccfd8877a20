//! A log as others serve it: a C2SP tlog-tiles directory behind a URL, or a copy of one on a disk. What is read is
//! nothing until its hashes lead to a signed root. For code that may block: `audit monitor`.

mod tree;

pub use tree::Tree;

use crate::domain::text::sanitize;
use crate::journal::tile::{self, Content, Tile};
use crate::journal::tree::record_hash;
use std::error::Error;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

/// Time allowed for one file.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where a log is served.
#[derive(Debug)]
pub struct Served {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Local(PathBuf),
    Remote { http: reqwest::Client, base: String, runtime: tokio::runtime::Runtime },
}

impl Served {
    /// A copy in a directory.
    pub const fn local(dir: PathBuf) -> Self {
        Self { place: Place::Local(dir) }
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
        Ok(Self { place: Place::Remote { http, base, runtime } })
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

    /// The records from `first` to the end of their bundle or of the tree, with their numbers, each shown to be in
    /// the tree.
    pub fn records(&self, tree: &Tree<'_>, first: u64) -> Result<Vec<(u64, Vec<u8>)>, String> {
        let n = first / tile::WIDTH;
        let begin = n * tile::WIDTH;
        let hashes = tree.tile(0, n)?;
        let bundle = Tile { content: Content::Entries, n, width: hashes.len() as u64 };
        let bytes = self.tile(bundle, tile::MAX_BUNDLE)?;
        let entries = tile::entries(&bytes).ok_or_else(|| format!("{} is no bundle of records", bundle.path()))?;
        let mut records = Vec::new();
        for (position, (seq, hash)) in (begin..).zip(hashes).enumerate() {
            let Some(entry) = entries.get(position) else {
                return Err(format!("{} ends before record {seq}", bundle.path()));
            };
            if record_hash(entry) != hash {
                return Err(format!("record {seq} in {} is not the one in the tree", bundle.path()));
            }
            if seq >= first {
                records.push((seq, (*entry).to_vec()));
            }
        }
        Ok(records)
    }
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&e| e.source());
    chain.last().map_or_else(String::new, ToString::to_string)
}
