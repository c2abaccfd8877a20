//! Secret parameters of runs: committed to before the run starts, held in memory while it goes on, asked for again after
//! a restart. What stays on the disk is the commitment in the record, its opening for whoever is configured, and the
//! salt, with which a value that is given again is checked; the salt goes when the run ends.

use super::api::Reply;
use super::core::Engine;
use crate::domain::actor::Actor;
use crate::domain::id::{Person, RunId};
use crate::domain::mode::Mode;
use crate::domain::request::Request;
use crate::domain::secret::{SecretText, Secrets, word};
use crate::journal::commitment::{self, Commitment, Recipients};
use crate::playbook::params;
use crate::playbook::run::{Input, Parent};
use crate::playbook::schema::Playbook;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Folder of the salts below the journal's directory.
const FOLDER: &str = "salts";

/// Values that are given with a command, by the name of the parameter.
pub(super) type Given = BTreeMap<String, SecretText>;

/// The secrets of one run.
#[derive(Debug, Default)]
pub(super) struct Entrusted {
    /// The values, by their words.
    pub(super) values: Secrets,
    /// What `run.started` says of each, by the name of the parameter.
    pub(super) references: BTreeMap<String, Value>,
    /// The words, by the name of the parameter.
    pub(super) words: BTreeMap<String, String>,
    salts: BTreeMap<String, Salt>,
}

/// A salt as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Salt {
    commitment: Commitment,
    /// base64.
    salt: String,
}

fn file(dir: &Path, run: &RunId) -> PathBuf {
    dir.join(FOLDER).join(format!("{run}.json"))
}

fn keep(dir: &Path, run: &RunId, salts: &BTreeMap<String, Salt>) -> std::io::Result<()> {
    let path = file(dir, run);
    let folder = dir.join(FOLDER);
    std::fs::DirBuilder::new().recursive(true).create(&folder)?;
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let mut to = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    to.write_all(&serde_json::to_vec(salts)?)?;
    to.sync_all()?;
    std::fs::File::open(folder)?.sync_all()
}

fn kept(dir: &Path, run: &RunId) -> BTreeMap<String, Salt> {
    let text = std::fs::read(file(dir, run)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// The names of the secret parameters of a run whose values are not known any more.
pub(super) fn missing(references: &BTreeMap<String, Value>, values: &Secrets) -> Vec<String> {
    let known = |reference: &Value| committed(reference).is_some_and(|c| values.get(&word(c.digits())).is_some());
    references.iter().filter(|(_, reference)| !known(reference)).map(|(name, _)| name.clone()).collect()
}

fn committed(reference: &Value) -> Option<Commitment> {
    reference.get("commitment")?.as_str()?.parse().ok()
}

impl Engine {
    /// Commits to the secrets that a run is given, and to those that its parent hands on. Nothing is written yet but
    /// the openings.
    pub(super) fn entrust(
        &self,
        playbook: &Playbook,
        params: &BTreeMap<String, String>,
        given: &Given,
        parent: Option<&Parent>,
    ) -> Result<Entrusted, Reply> {
        let mut entrusted = Entrusted::default();
        for (name, value) in given {
            let Some(parameter) = playbook.parameters.get(name).filter(|p| p.secret) else {
                let name = crate::domain::text::sanitize(name);
                return Err(Reply::refused(format!("{} has no secret parameter `{name}`", playbook.id)));
            };
            params::check_secret(parameter, value)
                .map_err(|why| Reply::refused(format!("the secret parameter `{name}`: {why}")))?;
            let refused = |e: &dyn std::fmt::Display| Reply::refused(format!("the secret parameter `{name}`: {e}"));
            let (commitment, sealed, salt) =
                commitment::commit_with_salt(value.expose(), &self.recipients().map_err(|e| refused(&e))?)
                    .map_err(|e| refused(&e))?;
            sealed.keep(self.journal().dir()).map_err(|e| refused(&e))?;
            entrusted.take(name, commitment, sealed.reference(), STANDARD.encode(salt.as_slice()), value.clone());
        }
        let Some(held) = parent.and_then(|p| self.runs.get(&p.run)) else { return Ok(entrusted) };
        let salts = kept(self.journal().dir(), held.run.id());
        for (name, text) in params.iter().filter(|(name, _)| playbook.parameters.get(*name).is_some_and(|p| p.secret)) {
            let reference = held
                .run
                .start()
                .secrets
                .values()
                .find(|r| committed(r).map(|c| word(c.digits())).as_ref() == Some(text));
            let (Some(reference), Some(value)) = (reference, held.secrets.get(text)) else { continue };
            let Some(commitment) = committed(reference) else { continue };
            let salt = salts.values().find(|s| s.commitment == commitment).map(|s| s.salt.clone()).unwrap_or_default();
            entrusted.take(name, commitment, reference.clone(), salt, value.clone());
        }
        Ok(entrusted)
    }

    /// Keeps the salts of a run that is about to start.
    pub(super) fn keep_salts(&self, run: &RunId, entrusted: &Entrusted) -> Result<(), Reply> {
        if entrusted.salts.is_empty() {
            return Ok(());
        }
        let refused = |e: std::io::Error| Reply::refused(format!("the salts of its secrets can not be kept: {e}"));
        keep(self.journal().dir(), run, &entrusted.salts).map_err(refused)
    }

    /// Forgets what was kept of the secrets of a run that has ended.
    pub(super) fn forget_secrets(&mut self, run: &RunId) {
        let dir = self.journal().dir().to_owned();
        let Some(held) = self.runs.get_mut(run).filter(|held| !held.run.start().secrets.is_empty()) else { return };
        held.secrets = Arc::default();
        if let Err(error) = std::fs::remove_file(file(&dir, run)) {
            tracing::warn!(%run, %error, "the salts of a run that has ended are still there");
        }
    }

    /// Who can open what is committed to. In a drill nobody has to be able to.
    fn recipients(&self) -> Result<Recipients, commitment::CommitmentError> {
        if self.mode == Mode::Drill && self.openings.is_empty() {
            return Ok(Recipients::nobody());
        }
        Recipients::parse(&self.openings)
    }

    /// Goes on with a run; the secrets that are not known any more are given again and checked.
    pub(super) async fn resume_with(&mut self, run: &RunId, given: &Given, actor: &Actor) -> Result<Reply, Reply> {
        self.give_again(run, given)?;
        let by = Person::new(actor.user.clone());
        let reply = self.by_person(run, Input::Resume { by }, actor, "it goes on").await?;
        self.resume_calls(run).await;
        Ok(reply)
    }

    fn give_again(&mut self, run: &RunId, given: &Given) -> Result<(), Reply> {
        let dir = self.journal().dir().to_owned();
        let Some(held) = self.runs.get_mut(run) else {
            return Err(Reply::refused(self.not_here(run)));
        };
        let references = held.run.start().secrets.clone();
        if let Some(name) = given.keys().find(|name| !references.contains_key(*name)) {
            let name = crate::domain::text::sanitize(name);
            return Err(Reply::refused(format!("{run} has no secret parameter `{name}`")));
        }
        let salts = kept(&dir, run);
        let mut values = held.secrets.as_ref().clone();
        for (name, value) in given {
            let salt = salts.get(name).and_then(|s| STANDARD.decode(&s.salt).ok()).map(Zeroizing::new);
            let Some((commitment, salt)) = references.get(name).and_then(committed).zip(salt) else {
                let why = format!(
                    "the salt of `{name}` is not there any more, so that nothing can be checked; start a new run"
                );
                return Err(Reply::refused(why));
            };
            commitment::check(&commitment, &salt, value.expose()).map_err(|_| {
                Reply::refused(format!("`{name}` is not the value with which {run} was started; it does not go on"))
            })?;
            values.insert(commitment.digits(), value.clone());
        }
        let missing = missing(&references, &values);
        if !missing.is_empty() {
            let all = missing.join(", ");
            return Err(Reply::refused(format!("{run} goes on when its secrets are given again: {all}")));
        }
        held.secrets = Arc::new(values);
        Ok(())
    }
}

impl Entrusted {
    fn take(&mut self, name: &str, commitment: Commitment, reference: Value, salt: String, value: SecretText) {
        self.words.insert(name.to_owned(), word(commitment.digits()));
        self.references.insert(name.to_owned(), reference);
        self.values.insert(commitment.digits(), value);
        self.salts.insert(name.to_owned(), Salt { commitment, salt });
    }
}

/// A request as it is sent, where it is only looked with it: with the secrets in their places.
pub(super) fn filled(secrets: &Secrets, request: Request) -> Result<Request, String> {
    Ok(secrets.fill(&request)?.unwrap_or(request))
}
