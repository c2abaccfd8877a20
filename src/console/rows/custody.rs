//! What vouches for the journal, as three different things: this disk, witnesses, anchors. Each says itself in words.

use crate::console::format::{age, seconds_between};
use crate::domain::health::Health;
use crate::engine::api::{JournalView, Outside, ScrubView};
use jiff::Timestamp;

/// One thing that vouches for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custody {
    /// `durable`, `witnessed` or `anchored`.
    pub word: &'static str,
    /// How it stands; nothing where it is not configured.
    pub health: Option<Health>,
    /// In full.
    pub long: String,
    /// In a few cells.
    pub short: String,
}

/// The three of them.
pub fn custody(journal: &JournalView, now: Timestamp) -> [Custody; 3] {
    let scrub = journal.scrub.as_ref();
    let bad = |long: String, short: &str| Custody {
        word: "durable",
        health: Some(Health::Critical),
        long,
        short: short.to_owned(),
    };
    let durable = match (scrub.and_then(|s| s.why.as_ref()), &journal.broken) {
        (Some(why), _) => bad(format!("DAMAGED, nothing new can begin: {why}"), "DAMAGED"),
        (None, Some(why)) => bad(format!("BROKEN, nothing more is written: {why}"), "BROKEN"),
        (None, None) => {
            let checked = scrub.and_then(ScrubView::percent).map(|p| format!(", {p}% checked")).unwrap_or_default();
            Custody {
                word: "durable",
                health: Some(Health::Ok),
                long: format!("{} records on this disk{checked}", journal.size),
                short: format!("{}{checked}", journal.size),
            }
        }
    };
    let outside = |word, outside: &Option<Outside>, them: &str| match outside {
        None => {
            Custody { word, health: None, long: format!("no {them} are configured"), short: "none configured".into() }
        }
        Some(outside) => vouched(word, outside, them, journal.size, now),
    };
    [durable, outside("witnessed", &journal.witnessed, "witnesses"), outside("anchored", &journal.anchored, "anchors")]
}

fn vouched(word: &'static str, outside: &Outside, them: &str, size: u64, now: Timestamp) -> Custody {
    let Outside { size: covered, at, confirmed, needed, shipped, trouble } = outside;
    let behind = size.saturating_sub(*covered);
    let quorum = confirmed >= needed && *covered > 0;
    let of = if *needed > 0 { format!("{confirmed} of {needed} needed") } else { format!("{confirmed}") };
    let few = if *needed > 0 { format!("{confirmed}/{needed}") } else { confirmed.to_string() };
    let lag = if behind == 0 { "all".to_owned() } else { format!("{behind} behind") };
    let when = at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", age(seconds_between(at, now))));
    let (mut long, mut short) = if *covered == 0 {
        (format!("nothing yet, {of} {them}"), "nothing yet".to_owned())
    } else {
        (format!("{covered} records, {lag}, by {of} {them}, {when}"), format!("{lag}, {few}"))
    };
    if let Some(shipped) = shipped {
        long.push_str(&format!(", records up to {shipped} copied"));
    }
    if let Some(why) = trouble {
        long = format!("{long}: {why}");
        short = format!("TROUBLE, {short}");
    }
    let health = if quorum && trouble.is_none() { Health::Ok } else { Health::Warn };
    Custody { word, health: Some(health), long, short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durable_witnessed_and_anchored_never_stand_for_each_other() {
        let now: Timestamp = "2026-11-21T02:14:07Z".parse().unwrap();
        let mut journal = JournalView { size: 1215, ..JournalView::default() };
        let of = |journal: &JournalView| custody(journal, now).map(|c| (c.health, c.short));
        let none = (None, "none configured".to_owned());
        assert_eq!(of(&journal), [(Some(Health::Ok), "1215".into()), none.clone(), none.clone()]);
        let at = "2026-11-21T02:13:55Z".parse().ok();
        journal.witnessed = Some(Outside { size: 1200, at, confirmed: 2, needed: 2, shipped: None, trouble: None });
        journal.anchored = Some(Outside {
            size: 0,
            at: None,
            confirmed: 0,
            needed: 1,
            shipped: None,
            trouble: Some("connection refused".into()),
        });
        let [durable, witnessed, anchored] = custody(&journal, now);
        assert_eq!(durable.health, Some(Health::Ok));
        assert_eq!(witnessed.health, Some(Health::Ok));
        assert_eq!(witnessed.long, "1200 records, 15 behind, by 2 of 2 needed witnesses, 12 s ago");
        assert_eq!(anchored.health, Some(Health::Warn));
        assert_eq!(anchored.long, "nothing yet, 0 of 1 needed anchors: connection refused");
        journal.witnessed = Some(Outside { size: 1215, at, confirmed: 1, needed: 2, shipped: None, trouble: None });
        assert_eq!(custody(&journal, now)[1].health, Some(Health::Warn), "no quorum");
        let scrub = |done, bad: Option<u64>| ScrubView { done, of: 1000, bad, why: bad.map(|_| "a bit".into()) };
        journal.scrub = Some(scrub(620, None));
        assert_eq!(custody(&journal, now)[0].short, "1215, 62% checked");
        journal.scrub = Some(scrub(620, Some(17)));
        let damaged = &custody(&journal, now)[0];
        assert_eq!((damaged.health, damaged.short.as_str()), (Some(Health::Critical), "DAMAGED"));
        journal.scrub = Some(scrub(1000, None));
        journal.broken = Some("disk full".into());
        assert_eq!(custody(&journal, now)[0].short, "BROKEN");
    }
}
