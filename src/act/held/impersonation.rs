//! Whether the login for acting can act in the names of the people of the roster, and in nobody's else: each of them by
//! name, and not by itself.

use super::kubernetes::{Login, needed, review, rule};
use super::{ALLOWED, Found};
use crate::act::kubernetes::behalf::EXTRA;
use crate::act::kubernetes::open_to_act;
use crate::config::model::{Impersonate, Kubernetes};
use crate::domain::behalf::Behalf;
use crate::domain::facts::Missing;
use crate::domain::id::Person;
use crate::domain::sample::Failure;
use std::collections::BTreeSet;

const USERS: (&str, &str, &str) = ("", "users", "impersonate");
const GROUPS: (&str, &str, &str) = ("", "groups", "impersonate");
/// Where the API server looks for the right to say more about a user than the name.
const EXTRAS: &str = "authentication.k8s.io";

/// What it lacks and has too much, and the people in whose names it can act, each with the way to ask as them.
pub(super) async fn ask(
    cluster: &Kubernetes,
    impersonate: &Impersonate,
    (acts, served): (&Login, &BTreeSet<String>),
    people: &[Person],
) -> Result<(Found, Vec<Login>), Failure> {
    let mut found = Found { excess: by_itself(acts, served).await?, ..Found::default() };
    let mut gap = |disables: String, remedy: String| {
        found.lacking += 1;
        found.missing.push(Missing { disables, remedy });
    };
    let (mut asked, mut whole, mut able) = (0, true, Vec::new());
    if people.is_empty() {
        let disables = "all verbs on it: it is acted on in the names of people, and the roster names nobody";
        gap(disables.to_owned(), "write them into policy.toml, each with a `uid` of their own or a key".to_owned());
    }
    let extras = EXTRA.map(|key| format!("userextras/{key}"));
    let group = impersonate.group.iter().map(|group| (GROUPS, group.as_str()));
    for (one, name) in group.chain(extras.iter().map(|extra| ((EXTRAS, extra.as_str(), "impersonate"), ""))) {
        asked += 1;
        if !review(&acts.link, "", one, name).await? {
            whole = false;
            gap("all verbs on it".to_owned(), rule(&acts.who, one, name));
        }
    }
    for person in people {
        asked += 1;
        match impersonate.user(person) {
            Err(why) => gap(format!("what {person} confirms"), why),
            Ok(user) if review(&acts.link, "", USERS, &user).await? => able.push((person, user)),
            Ok(user) => gap(format!("what {person} confirms"), rule(&acts.who, USERS, &user)),
        }
    }
    found.asked += asked;
    let mut named = Vec::new();
    // Without all of it the API server refuses each request, so that nobody can be asked about.
    for (person, who) in able.into_iter().filter(|_| whole) {
        let behalf = Behalf { person: person.clone(), run: "doctor".into(), step: "doctor".into() };
        named.push(Login { who, link: open_to_act(cluster, ALLOWED, Some(&behalf)).await?, acts: true });
    }
    Ok((found, named))
}

/// What it may change in its own name, which no person is known by.
async fn by_itself(acts: &Login, served: &BTreeSet<String>) -> Result<Vec<String>, Failure> {
    let mut held = Vec::new();
    for ((group, resource), verbs) in needed(true, served) {
        for verb in verbs.into_keys() {
            if review(&acts.link, "", (group, resource, verb), "").await? {
                held.push(format!("{verb} {resource}"));
            }
        }
    }
    if held.is_empty() {
        return Ok(held);
    }
    Ok(vec![format!("{}, in its own name and nobody's: {}", acts.who, held.join(", "))])
}
