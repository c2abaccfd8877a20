//! The configured witnesses, as the engine and `doctor` work with them.

use super::output::Error;
use super::session::{Home, Loaded};
use crate::attest::witness::client::{Answered, Client, Submission};
use crate::attest::witness::{Log, OnDisk, Pace, Settings, Witness};
use crate::config::problem::{Problem, Problems};
use crate::domain::health::Health;
use crate::journal::key::VerifierKey;
use jiff::Timestamp;

/// What the configuration says of witnesses; `None` where it names none.
pub fn settings(loaded: &Loaded, home: &Home) -> Result<Option<Settings>, Error> {
    let configured = &loaded.config.journal.witnesses;
    if configured.all.is_empty() {
        return Ok(None);
    }
    let file = loaded.path.display().to_string();
    let (mut witnesses, mut problems) = (Vec::new(), Vec::new());
    for one in &configured.all {
        match one.vkey.parse() {
            Ok(key) => witnesses.push(Witness {
                name: one.name.clone(),
                url: one.url.clone(),
                key,
                administrator: one.administrator.clone(),
                ca: one.ca.clone(),
            }),
            Err(why) => {
                problems.push(Problem::whole(&file, format!("`vkey` of [[journal.witness]] {}: {why}", one.name)));
            }
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    Ok(Some(Settings {
        witnesses,
        quorum: configured.quorum,
        max_uncosigned_age: configured.max_uncosigned_age,
        dir: home.journal.clone(),
        pace: Pace::default(),
    }))
}

/// What `doctor` says of one witness.
pub struct Tried {
    /// Which.
    pub witness: Witness,
    /// How it is.
    pub health: Health,
    /// Whether it answered at all.
    pub reachable: bool,
    /// One line each.
    pub said: Vec<String>,
    /// What is wrong.
    pub why: Option<String>,
}

/// Asks every witness for its state of our log, all at once: the newest checkpoint is submitted, as the engine does it.
pub async fn try_all(settings: &Settings) -> Result<Vec<Tried>, Error> {
    let client = Client::new(&settings.witnesses).map_err(Error::Usage)?;
    let key = std::fs::read_to_string(settings.dir.join("log.vkey")).ok().and_then(|t| t.parse::<VerifierKey>().ok());
    let asked = settings.witnesses.iter().map(|witness| {
        let (client, key) = (client.clone(), key.clone());
        async move { try_one(&client, settings, key, witness).await }
    });
    Ok(futures::future::join_all(asked).await)
}

async fn try_one(client: &Client, settings: &Settings, key: Option<VerifierKey>, witness: &Witness) -> Tried {
    let tried = |health, reachable, said, why| Tried { witness: witness.clone(), health, reachable, said, why };
    let unknown = |why: String| tried(Health::Unknown, false, vec![], Some(why));
    let Some(key) = key else {
        return unknown("the journal has no checkpoint yet that could be shown to it".into());
    };
    let log = OnDisk::new(settings.dir.clone(), key.clone());
    let newest = tokio::task::block_in_place(|| log.newest());
    let (checkpoint, note) = match newest {
        Ok(Some(newest)) => newest,
        Ok(None) => return unknown("the journal has no checkpoint yet that could be shown to it".into()),
        Err(why) => return unknown(why),
    };
    let mut old = 0;
    for _ in 0..2 {
        let proof = match tokio::task::block_in_place(|| log.consistency(old, checkpoint.size)) {
            Ok(proof) => proof,
            Err(why) => return unknown(why),
        };
        let submission = Submission { old, proof: &proof, note: &note };
        match client.add_checkpoint(witness, &key, submission, settings.pace.timeout).await {
            Ok(Answered::Cosigned(cosigned)) => {
                let time = cosigned.by(&witness.key).map(|c| c.time).unwrap_or_default();
                let skew = time.as_second() - Timestamp::now().as_second();
                let said = vec![
                    format!("its key matches and has cosigned {} records", checkpoint.size),
                    format!("its clock is {skew:+} s from ours"),
                ];
                let far = skew.abs() > 60;
                let why = far.then(|| "one of the clocks is wrong".to_owned());
                return tried(if far { Health::Warn } else { Health::Ok }, true, said, why);
            }
            Ok(Answered::Stale { size }) if size > checkpoint.size => {
                let why = format!(
                    "it has cosigned {size} records of this log, and it has {}: it was rolled back",
                    checkpoint.size
                );
                return tried(Health::Critical, true, vec![], Some(why));
            }
            Ok(Answered::Stale { size }) => old = size,
            Err(refused) => {
                use crate::attest::witness::client::Refused::{Inconsistent, Timeout, Unreachable};
                let reachable = !matches!(refused, Timeout(_) | Unreachable(_));
                let health = match refused {
                    Inconsistent => Health::Critical,
                    _ if reachable => Health::Warn,
                    _ => Health::Unknown,
                };
                return tried(health, reachable, vec![], Some(refused.to_string()));
            }
        }
    }
    tried(Health::Warn, true, vec![], Some("it names one size after the other as its last".into()))
}
