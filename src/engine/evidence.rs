//! What the engine keeps beside the records: results that no record holds; and its deletion, which a record says
//! before it happens.

use super::api::Reply;
use super::core::Engine;
use crate::domain::actor::Actor;
use crate::domain::id::Digest;
use crate::journal::{Kind, Record, evidence};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A result beyond this many bytes is kept as evidence; a record holds 65,535 with everything else that it says.
const MAX_RESULT: usize = 24 * 1024;

/// What the records say of one piece of evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Length in bytes.
    pub bytes: u64,
    /// The record that says that it was deleted.
    pub redacted: Option<u64>,
}

/// The evidence that records name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shelf(BTreeMap<Digest, Known>);

impl Shelf {
    /// Takes in a record.
    pub fn apply(&mut self, record: &Record) {
        let Some(sha256) = evidence::named(&record.body) else { return };
        match record.kind {
            Kind::EvidenceCaptured => {
                let bytes = record.body.get("bytes").and_then(Value::as_u64).unwrap_or(0);
                self.0.insert(sha256, Known { bytes, redacted: None });
            }
            Kind::Redaction => {
                if let Some(known) = self.0.get_mut(&sha256) {
                    known.redacted = Some(record.seq);
                }
            }
            _ => {}
        }
    }
}

/// The member of a record that is kept in a file, which the record then names: a result or a request that is too large
/// for it, and a result that is evidence.
fn apart(kind: Kind, body: &Value) -> Option<(&'static str, String)> {
    match kind {
        Kind::StepFinished => {
            let text = body.get("result")?.as_str()?;
            let keep = body.get("keep").is_some_and(|keep| keep == true);
            (keep || text.len() > MAX_RESULT).then(|| ("result", text.to_owned()))
        }
        Kind::StepIntended => {
            let text = body.get("request")?.to_string();
            (text.len() > MAX_RESULT).then_some(("request", text))
        }
        _ => None,
    }
}

/// Does file work on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())
}

impl Engine {
    fn dir(&self) -> PathBuf {
        self.journal().dir().to_owned()
    }

    /// The records to write for one of a run: where its result or request does not belong into it, that is put into a
    /// file first, and a record that names the file goes before it. An outcome is written in any case.
    pub(super) async fn with_evidence(&self, kind: Kind, mut body: Value) -> Vec<(Kind, Value)> {
        let Some((member, text)) = apart(kind, &body) else { return vec![(kind, body)] };
        let bytes = text.len();
        let dir = self.dir();
        let kept = blocking(move || evidence::put(&dir, text.as_bytes())).await;
        let Some(members) = body.as_object_mut() else { return vec![(kind, body)] };
        let whole = members.remove(member);
        let word = |members: &Map<String, Value>, name: &str| {
            members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let what = format!("{member} of {} of {}", word(members, "step"), word(members, "run"));
        match kept.and_then(|kept| kept.map_err(|e| e.to_string())) {
            Ok(sha256) => {
                let mut captured = evidence::captured(&sha256, bytes, &what, "application/json");
                if let Some(captured) = captured.as_object_mut() {
                    captured.extend(
                        ["run", "step"].iter().filter_map(|n| Some(((*n).to_owned(), members.get(*n)?.clone()))),
                    );
                }
                members.insert("evidence".into(), json!({ "sha256": sha256, "bytes": bytes }));
                vec![(Kind::EvidenceCaptured, captured), (kind, body)]
            }
            Err(why) => {
                tracing::error!(%what, %why, "evidence was not kept");
                if let Some(request) = whole.filter(|_| kind == Kind::StepIntended) {
                    // Without its request an intent proves nothing: the record is too large then, and is refused.
                    members.insert(member.into(), request);
                } else {
                    members.insert("result_omitted_bytes".into(), json!(bytes));
                    members.insert("result_omitted_because".into(), json!(why));
                }
                vec![(kind, body)]
            }
        }
    }

    /// Deletes what a record says is deleted and a crash has left. Failures are said and tried again next time.
    pub(super) async fn finish_redactions(&self) {
        let dir = self.dir();
        let due: Vec<Digest> =
            self.state.evidence().0.iter().filter(|(_, k)| k.redacted.is_some()).map(|(d, _)| d.clone()).collect();
        let ended = blocking(move || {
            for sha256 in due {
                match evidence::delete(&dir, &sha256) {
                    Ok(true) => tracing::info!(%sha256, "a deletion that was recorded is finished"),
                    Ok(false) => {}
                    Err(error) => tracing::error!(%sha256, %error, "redacted evidence could not be deleted"),
                }
            }
        });
        if let Err(why) = ended.await {
            tracing::error!(%why, "redactions were not finished");
        }
    }

    /// Records that evidence is deleted, then deletes it.
    pub(super) async fn redact(&mut self, digest: &str, reason: &str, actor: &Actor) -> Result<Reply, Reply> {
        let reason = super::commands::words(reason, "the reason")?;
        let Some(sha256) = Digest::parse(digest) else {
            return Err(Reply::refused(
                "a digest has 64 digits from 0 to 9 and a to f; `audit evidence list` shows them",
            ));
        };
        let Some(known) = self.state.evidence().0.get(&sha256).copied() else {
            return Err(Reply::refused(format!("no record names the evidence {sha256}")));
        };
        let dir = self.dir();
        let record = if let Some(seq) = known.redacted {
            seq
        } else {
            let (dir, wanted) = (dir.clone(), sha256.clone());
            let there = blocking(move || dir.join(evidence::FOLDER).join(wanted.as_str()).symlink_metadata().is_ok());
            if !there.await.map_err(Reply::refused)? {
                let why = format!("the file of {sha256} is missing already, and no record says why");
                return Err(Reply::refused(why));
            }
            let file = format!("{}/{sha256}", evidence::FOLDER);
            let body = json!({ "file": file, "sha256": sha256, "bytes": known.bytes, "reason": reason });
            let incident = self.current_incident();
            let written = self.record(Kind::Redaction, incident, body, actor).await;
            written.map_err(|why| Reply::refused(format!("nothing was deleted: {why}")))?.seq
        };
        let deleted = blocking({
            let sha256 = sha256.clone();
            move || evidence::delete(&dir, &sha256)
        });
        match deleted.await.map_err(Reply::refused)? {
            Ok(true) => Ok(Reply::accepted(format!("{sha256} is deleted; record {record} says so"))),
            Ok(false) => Err(Reply::refused(format!("{sha256} was deleted before; record {record} says so"))),
            Err(error) => {
                let why = format!("record {record} says that {sha256} is deleted, but {error}; run it again");
                Err(Reply::refused(why))
            }
        }
    }
}

/// Puts the results that lie in files back into the records of a run, so that it is rebuilt with them. What can not
/// be read stays away: steps that need it run again.
pub(super) fn restore_results(dir: &Path, records: &mut [Record]) {
    for record in records.iter_mut().filter(|r| matches!(r.kind, Kind::StepFinished | Kind::StepIntended)) {
        let Some(sha256) = record.body.get("evidence").and_then(evidence::named) else { continue };
        let text = match evidence::open(dir, &sha256) {
            Ok(Some(bytes)) => String::from_utf8(bytes).ok(),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%sha256, %error, "evidence can not be read");
                None
            }
        };
        if let (Some(text), Some(members)) = (text, record.body.as_object_mut()) {
            if record.kind == Kind::StepFinished {
                members.insert("result".into(), Value::String(text));
            } else if let Ok(request) = serde_json::from_str(&text) {
                members.insert("request".into(), request);
            }
        }
    }
}
