//! Who is called for a duty, in which order and on whose word: first whoever a service's schedule says, then the roster
//! file, then the fallback persons. What a service said last stays known when it falls silent, and is said to be old.

use super::facts::lasting;
use super::roster::Roster;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody whom an answer of this age names is not called any more: their shift is over.
const TOO_OLD: SignedDuration = SignedDuration::from_hours(12);
/// An answer is old when it is older than so many times the interval of the questions.
const MISSED: i32 = 3;

/// Somebody whom a service names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Name, as the service says it.
    pub name: String,
    /// Mail address, where it says one.
    pub email: Option<String>,
}

/// What is known of a schedule that a service keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The last good answer, and when it came.
    pub good: Option<(Vec<Contact>, Timestamp)>,
    /// Why there has been none since then, and since when.
    pub failed: Option<(String, Timestamp)>,
}

impl Standing {
    /// Takes an answer: a good one takes the place of what was known, a failure leaves it.
    pub fn take(&mut self, answer: Result<Vec<Contact>, String>, now: Timestamp) {
        match answer {
            Ok(people) => *self = Self { good: Some((people, now)), failed: None },
            Err(why) => {
                let since = self.failed.take().map_or(now, |(_, since)| since);
                self.failed = Some((why, since));
            }
        }
    }
}

/// A schedule that a service keeps, as `[comms.oncall.schedule]` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// `the PagerDuty schedule PI7DH85`.
    pub shown: String,
    /// Time between two questions.
    pub interval: SignedDuration,
}

/// Somebody who can be called by the name of a duty, as `[[comms.oncall]]` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnCall {
    /// Name, as playbooks say it: `dba-oncall`.
    pub name: String,
    /// How long whoever was called may take to acknowledge it.
    pub within: SignedDuration,
    /// The schedule that a service keeps.
    pub schedule: Option<Kept>,
    /// The rotation of a file, and the file.
    pub roster: Option<(Roster, String)>,
    /// Who is called when nobody of the rotation answers.
    pub then: Vec<String>,
    /// Audiences with their mail addresses: a service knows people by these.
    pub known: Vec<(String, Vec<String>)>,
}

/// Somebody to be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Called {
    /// Name of the audience.
    pub person: String,
    /// On whose word: `the roster dba.toml`.
    pub source: String,
}

/// Who is called, and what is not known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chain {
    /// In this order.
    pub people: Vec<Called>,
    /// A sentence for each source that does not say who is on call, or not for sure.
    pub unknown: Vec<String>,
}

impl Chain {
    /// Adds somebody who is not in it yet.
    fn add(&mut self, person: &str, source: &str) {
        if !self.people.iter().any(|c| c.person == person) {
            self.people.push(Called { person: person.to_owned(), source: source.to_owned() });
        }
    }

    /// The names, in this order.
    pub fn names(&self) -> Vec<String> {
        self.people.iter().map(|c| c.person.clone()).collect()
    }

    /// On whose word somebody is called, with what is not known.
    pub fn word_on(&self, called: &Called) -> String {
        std::iter::once(&called.source).chain(&self.unknown).map(String::as_str).collect::<Vec<_>>().join("; ")
    }
}

impl OnCall {
    /// Who is called, in this order; `standing` is what the service has said so far.
    pub fn chain(&self, now: Timestamp, standing: &Standing) -> Chain {
        let mut chain = Chain::default();
        if let Some(kept) = &self.schedule {
            self.by_schedule(kept, standing, now, &mut chain);
        }
        if let Some((roster, file)) = &self.roster {
            let order = roster.order(now);
            if order.is_empty() {
                chain.unknown.push(format!("the roster {file} has not begun"));
            }
            for person in order {
                chain.add(&person, &format!("the roster {file}"));
            }
        }
        for person in &self.then {
            chain.add(person, &format!("the fallback of {}", self.name));
        }
        chain
    }

    fn by_schedule(&self, kept: &Kept, standing: &Standing, now: Timestamp, chain: &mut Chain) {
        let shown = &kept.shown;
        let failed = standing.failed.as_ref().map(|(why, since)| format!("{why} (since {since:.0})"));
        let Some((people, at)) = &standing.good else {
            let why = failed.unwrap_or_else(|| "it has not answered yet".to_owned());
            chain.unknown.push(format!("who is on call by {shown} is not known: {why}"));
            return;
        };
        let (age, old) = (now.duration_since(*at), kept.interval.saturating_mul(MISSED));
        let words = lasting(*at, now);
        if age > TOO_OLD {
            let why = failed.unwrap_or_else(|| "it has not answered since".to_owned());
            let said = format!("its last answer is {words} old and names nobody who is called any more");
            chain.unknown.push(format!("who is on call by {shown} is not known: {why}; {said}"));
            return;
        }
        let source = if failed.is_none() && age <= old {
            format!("{shown}, asked at {at:.0}")
        } else {
            let why = failed.unwrap_or_else(|| "it has not answered since".to_owned());
            chain.unknown.push(format!("who is on call now by {shown} is not known: {why}; its answer is {words} old"));
            format!("{shown}, an old answer of {at:.0}")
        };
        for contact in people {
            match self.audience_of(contact) {
                Some(audience) => chain.add(audience, &source),
                None => {
                    let email = contact.email.as_ref().map(|e| format!(" <{e}>")).unwrap_or_default();
                    chain.unknown.push(format!(
                        "{}{email} is on call by {shown} and can not be called: no [[comms.audience]] has that name or \
                         `email`",
                        contact.name
                    ));
                }
            }
        }
    }

    /// The audience with the mail address of somebody, or with the name.
    fn audience_of(&self, contact: &Contact) -> Option<&str> {
        let by_mail = |(_, emails): &&(String, Vec<String>)| {
            let same = |e: &String| contact.email.as_ref().is_some_and(|c| address(e).eq_ignore_ascii_case(address(c)));
            emails.iter().any(same)
        };
        let by_name = |(name, _): &&(String, Vec<String>)| *name == contact.name;
        // Several audiences may have one address; the one that is that person alone is meant.
        let mut all: Vec<_> = self.known.iter().filter(by_mail).collect();
        all.sort_by_key(|(_, emails)| emails.len());
        all.first().copied().or_else(|| self.known.iter().find(by_name)).map(|(name, _)| name.as_str())
    }
}

/// `ines@acme.example` of `Ines <ines@acme.example>`.
fn address(text: &str) -> &str {
    text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>')).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn oncall(schedule: bool) -> OnCall {
        let known: Vec<String> = ["ines", "jon", "mara", "duty-manager"].map(str::to_owned).to_vec();
        let text = "starts = \"2026-03-23T08:00\"\ndays = 7\npeople = [\"ines\", \"jon\", \"mara\"]\n";
        let mails = |n: &String| (n.clone(), vec![format!("{n} <{}@acme.example>", n.to_uppercase())]);
        OnCall {
            name: "dba-oncall".into(),
            within: SignedDuration::from_mins(5),
            schedule: schedule
                .then(|| Kept { shown: "the PagerDuty schedule PI7".into(), interval: SignedDuration::from_mins(1) }),
            roster: Some((Roster::decode("r.toml", text, &known).unwrap(), "r.toml".into())),
            then: vec!["duty-manager".into(), "jon".into()],
            known: known.iter().map(mails).collect(),
        }
    }

    fn contact(name: &str, email: &str) -> Contact {
        Contact { name: name.into(), email: Some(email.into()).filter(|e: &String| !e.is_empty()) }
    }

    #[test]
    fn a_roster_says_who_comes_first_and_the_fallback_who_comes_last() {
        let chain = oncall(false).chain(at("2026-04-06T09:00:00Z"), &Standing::default());
        assert_eq!(chain.names(), ["mara", "ines", "jon", "duty-manager"]);
        assert_eq!(chain.people[0].source, "the roster r.toml");
        assert_eq!(chain.people[3].source, "the fallback of dba-oncall");
        assert!(chain.unknown.is_empty());
        let early = oncall(false).chain(at("2026-03-01T00:00:00Z"), &Standing::default());
        assert_eq!(
            (early.names(), early.unknown.as_slice()),
            (
                vec!["duty-manager".to_owned(), "jon".to_owned()],
                ["the roster r.toml has not begun".to_owned()].as_slice()
            )
        );
    }

    #[test]
    fn what_a_service_said_comes_first_and_stays_known_as_old_when_it_falls_silent() {
        let (duty, start) = (oncall(true), at("2026-04-06T09:00:00Z"));
        let mut standing = Standing::default();
        let chain = duty.chain(start, &standing);
        assert_eq!(
            chain.unknown,
            ["who is on call by the PagerDuty schedule PI7 is not known: it has not answered yet"]
        );
        assert_eq!(chain.names()[0], "mara", "the roster counts where the schedule is not known");
        standing.take(Ok(vec![contact("Jon J.", "jon@ACME.example"), contact("Eve", "eve@x.example")]), start);
        let chain = duty.chain(at("2026-04-06T09:00:40Z"), &standing);
        assert_eq!(
            (chain.names()[0].as_str(), chain.people[0].source.as_str()),
            ("jon", "the PagerDuty schedule PI7, asked at 2026-04-06T09:00:00Z")
        );
        assert!(
            chain.unknown[0].starts_with("Eve <eve@x.example> is on call by the PagerDuty schedule PI7 and can not")
        );
        standing.take(Err("HTTP 503".into()), at("2026-04-06T09:01:00Z"));
        standing.take(Err("HTTP 429".into()), at("2026-04-06T09:31:00Z"));
        let chain = duty.chain(at("2026-04-06T09:42:00Z"), &standing);
        assert_eq!(chain.people[0].source, "the PagerDuty schedule PI7, an old answer of 2026-04-06T09:00:00Z");
        assert_eq!(
            chain.unknown[0],
            "who is on call now by the PagerDuty schedule PI7 is not known: HTTP 429 (since 2026-04-06T09:01:00Z); its answer is 42 min old"
        );
        let chain = duty.chain(at("2026-04-06T23:00:00Z"), &standing);
        assert_eq!(chain.names()[0], "mara", "a shift of yesterday is over");
        assert!(chain.unknown[0].contains("14 h 00 min old and names nobody"), "{chain:?}");
        standing.take(Ok(vec![contact("ines", "")]), at("2026-04-06T23:00:00Z"));
        assert_eq!(duty.chain(at("2026-04-06T23:00:01Z"), &standing).names()[0], "ines", "by name without an address");
        let silent = duty.chain(at("2026-04-06T23:10:00Z"), &standing);
        assert!(silent.unknown[0].contains("it has not answered since; its answer is 10 min old"), "{silent:?}");
    }
}
