//! One question to one witness: `POST <prefix>/add-checkpoint` of C2SP tlog-witness. Bodies are bounded, redirects
//! and proxies are not followed, and every refusal is one sentence.

use super::Witness;
use crate::domain::text::sanitize;
use crate::journal::cosignature::{self, BadCosigned, Cosigned};
use crate::journal::key::VerifierKey;
use crate::journal::tree::Hash;
use crate::observe::http::{authorities, install_ring, tls_failure};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

/// Greatest length of an answer: sixteen signatures of the longest kind take 54 KiB.
const MAX_ANSWER: usize = 64 << 10;

/// How far a witness's clock may be ahead of ours.
pub const MAX_AHEAD: Duration = Duration::from_mins(5);

/// What a witness answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// It has cosigned.
    Cosigned(Box<Cosigned>),
    /// What it saw last has another size than the one named as old.
    Stale {
        /// Its size.
        size: u64,
    },
}

/// Why there is no cosignature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// 404.
    #[error("the witness does not know this log; its operator has to add the origin and its verifier key")]
    UnknownLog,
    /// 403.
    #[error("the witness knows another key for this log; its operator has to take ours")]
    OtherKey,
    /// 422.
    #[error("the witness says that this log does not continue what it has cosigned")]
    Inconsistent,
    /// 400.
    #[error("the witness could not read the request (400)")]
    BadRequest,
    /// 429 or 503.
    #[error("the witness asks for patience ({0})")]
    Busy(u16),
    /// 500 and its like.
    #[error("the witness failed ({0}); its operator can see why")]
    Failed(u16),
    /// Another status.
    #[error("the witness answered {0}, which the protocol does not know")]
    Status(u16),
    /// No answer in time.
    #[error("the witness did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// No connection.
    #[error("the witness can not be reached: {0}")]
    Unreachable(String),
    /// No TLS.
    #[error("TLS with the witness failed: {why}; trusted are the authorities {}", .ca.as_ref().map_or_else(|| "of this system, a private one is named with `ca`".to_owned(), |path| format!("in {}", path.display())))]
    Tls {
        /// What was wrong.
        why: String,
        /// The file of the authorities that are trusted.
        ca: Option<PathBuf>,
    },
    /// A witness that the client was not made for.
    #[error("no client was made for the authorities of this witness")]
    Unprepared,
    /// An answer that is none.
    #[error("the witness answered something that is no answer: {0}")]
    Garbage(&'static str),
    /// A signature of it that does not hold.
    #[error("the witness's answer can not be used: {0}")]
    Cosignature(#[from] BadCosigned),
    /// Lines by other keys only.
    #[error("the witness answered without a signature by its configured key {key}")]
    OtherSigner {
        /// The key.
        key: String,
    },
    /// Its clock.
    #[error("the witness signed at {time}, more than {} minutes from now: one of the clocks is wrong", MAX_AHEAD.as_secs() / 60)]
    Future {
        /// Its time.
        time: Timestamp,
    },
}

/// A client for all witnesses; keeps connections, cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    /// By the file of authorities that is trusted.
    http: BTreeMap<Option<PathBuf>, reqwest::Client>,
}

/// What is submitted.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// The size that the witness is believed to have seen.
    pub old: u64,
    /// The consistency proof from there; empty from 0 and between equal sizes.
    pub proof: &'a [Hash],
    /// The log's signed checkpoint.
    pub note: &'a str,
}

impl Submission<'_> {
    fn body(&self) -> String {
        let mut body = format!("old {}\n", self.old);
        for hash in self.proof {
            body.push_str(&hash.to_string());
            body.push('\n');
        }
        body.push('\n');
        body.push_str(self.note);
        body
    }
}

impl Client {
    /// Makes a client for these witnesses and reads their authorities; may block. A system without certificate
    /// authorities can still ask witnesses over plain `http`, and those with authorities of their own.
    pub fn new<'a>(witnesses: impl IntoIterator<Item = &'a Witness>) -> Result<Self, String> {
        install_ring();
        let mut by_trust: BTreeMap<Option<PathBuf>, bool> = BTreeMap::new();
        for witness in witnesses {
            let asks_system = by_trust.entry(witness.ca.clone()).or_default();
            *asks_system |= witness.ca.is_none() && witness.url.starts_with("https:");
        }
        let mut http = BTreeMap::new();
        for (ca, asks_system) in by_trust {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("quarterdeck/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy();
            let builder = match &ca {
                Some(path) => builder.tls_certs_only(authorities::read(path)?),
                None if asks_system => builder,
                None => builder.tls_certs_only([]),
            };
            let client = builder.build().map_err(|e| format!("no HTTP client can be made: {}", innermost(&e)))?;
            http.insert(ca, client);
        }
        Ok(Self { http })
    }

    /// Submits a checkpoint of the log that `log` signs, and checks what comes back.
    pub async fn add_checkpoint(
        &self,
        witness: &Witness,
        log: &VerifierKey,
        submission: Submission<'_>,
        timeout: Duration,
    ) -> Result<Answered, Refused> {
        let url = format!("{}/add-checkpoint", witness.url.trim_end_matches('/'));
        let failed = |e: &reqwest::Error| match tls_failure(e) {
            _ if e.is_timeout() => Refused::Timeout(timeout),
            Some(why) => Refused::Tls { why: sanitize(&why), ca: witness.ca.clone() },
            None => Refused::Unreachable(sanitize(&innermost(e))),
        };
        let http = self.http.get(&witness.ca).ok_or(Refused::Unprepared)?;
        let request = http.post(url).body(submission.body()).timeout(timeout);
        let mut response = request.send().await.map_err(|e| failed(&e))?;
        let status = response.status().as_u16();
        if status != 200 && status != 409 {
            return Err(refusal(status));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| failed(&e))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Refused::Garbage("it is longer than 64 KiB"));
            }
            body.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(body).map_err(|_| Refused::Garbage("it is no UTF-8"))?;
        if status == 409 { stale(&text) } else { cosigned(witness, log, submission.note, &text) }
    }
}

fn refusal(status: u16) -> Refused {
    match status {
        400 => Refused::BadRequest,
        403 => Refused::OtherKey,
        404 => Refused::UnknownLog,
        422 => Refused::Inconsistent,
        429 | 503 => Refused::Busy(status),
        500..=599 => Refused::Failed(status),
        other => Refused::Status(other),
    }
}

/// A 409: the size in decimal and a newline, nothing else.
fn stale(text: &str) -> Result<Answered, Refused> {
    let bad = Refused::Garbage("a 409 without a size");
    let digits = text.strip_suffix('\n').unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let size = digits.parse().ok().filter(|_| plain).ok_or(bad)?;
    Ok(Answered::Stale { size })
}

/// A 200: signature lines, which together with the submitted note make a note.
fn cosigned(witness: &Witness, log: &VerifierKey, note: &str, lines: &str) -> Result<Answered, Refused> {
    if !cosignature::is_answer(lines) {
        return Err(Refused::Garbage("a 200 that is no lines of signatures"));
    }
    let cosigned = cosignature::open(&format!("{note}{lines}"), log, std::slice::from_ref(&witness.key))?;
    let Some(by) = cosigned.by(&witness.key) else {
        return Err(Refused::OtherSigner { key: witness.key.id() });
    };
    let ahead = by.time.duration_since(Timestamp::now());
    if Duration::try_from(ahead).is_ok_and(|ahead| ahead > MAX_AHEAD) {
        return Err(Refused::Future { time: by.time });
    }
    Ok(Answered::Cosigned(Box::new(cosigned)))
}

/// The last cause of an error, which says most and names no URL.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&e| e.source());
    chain.last().map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_409_is_a_size_and_nothing_else() {
        assert_eq!(stale("20852014\n"), Ok(Answered::Stale { size: 20_852_014 }));
        assert_eq!(stale("0\n"), Ok(Answered::Stale { size: 0 }));
        for bad in ["", "\n", "-1\n", "+1\n", "01\n", "1\n\n", "1 \n", "18446744073709551616\n", "one\n"] {
            assert!(stale(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_request_is_the_one_of_the_specification() {
        let hash = Hash::parse_hash("PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=").unwrap();
        let submission = Submission { old: 20_852_014, proof: &[hash], note: "example.com/log\n…" };
        let expected = "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\nexample.com/log\n…";
        assert_eq!(submission.body(), expected);
        assert_eq!(Submission { old: 0, proof: &[], note: "n" }.body(), "old 0\n\nn");
    }
}
