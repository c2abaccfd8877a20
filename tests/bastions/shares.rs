//! Whole engines that share the sources of their estate: each is watched by one of them and seen by all, when one comes, dies,
//! stands still or is cut off.

use crate::cable::Way;
use crate::site::{Bastion, Site};
use crate::{three, until};
use rustix::process::Signal;
use serde_json::Value;
use std::time::Instant;

/// So many Traefiks that each of three engines has some.
const EDGES: usize = 40;

fn name(n: usize) -> String {
    format!("edge-{n}")
}

fn path(n: usize) -> String {
    format!("/metrics/{n}")
}

fn configuration() -> String {
    let edge = |n| {
        let (id, path) = (name(n), path(n));
        format!("[[traefik]]\nid = \"{id}\"\nmetrics = \"http://127.0.0.1:PORT{path}\"\ninterval = \"1s\"\n")
    };
    format!("[observe]\nshare = true\n{}", (0..EDGES).map(edge).collect::<String>())
}

/// For each Traefik whether this engine watches it, once all are fresh there; they warn of what they do not tell.
fn own(bastion: &Bastion) -> Option<Vec<bool>> {
    let sources = bastion.sources()?;
    let row = |n| sources.get(&name(n)).filter(|row| row["health"] == "warn");
    (0..EDGES).map(|n| row(n).map(|row| row["watched_by"].is_null())).collect()
}

fn sharing(bastion: &Bastion) -> Value {
    bastion.sources().and_then(|s| s.get("engines/sharing").cloned()).unwrap_or_default()
}

/// Waits until each of them is fresh at all of these engines, and watched by one of them.
fn divided(what: &str, bastions: &[&Bastion]) {
    until(what, || {
        let all: Vec<Vec<bool>> = bastions.iter().map(|b| own(b)).collect::<Option<_>>()?;
        let shared = bastions.iter().all(|b| sharing(b)["health"] == "ok");
        let one = |n: usize| all.iter().filter(|own| own[n]).count() == 1;
        (shared && (0..EDGES).all(one) && all.iter().all(|own| own.contains(&true))).then_some(())
    });
}

/// Waits until an engine watches everything by itself, and says so.
fn alone(what: &str, bastion: &Bastion) {
    until(what, || {
        let said = sharing(bastion);
        let why = said["why"].as_str().unwrap_or_default();
        let unknown = said["health"] == "unknown" && why.contains("this engine watches all of them by itself");
        (unknown && own(bastion)?.iter().all(|own| *own)).then_some(())
    });
}

#[test]
#[ignore = "a minute; tests/campaign plays it"]
fn engines_share_the_sources_and_take_over_from_one_that_is_gone() {
    let Some(site) = Site::start_with(&configuration()) else { return };
    let bastions = three(&site);
    let [first, second, third] = &bastions;
    divided("three engines divide them", &[first, second, third]);

    // Each is asked once a second, not three times.
    let (before, from) = (site.thing.looks(), Instant::now());
    let target = &*path(0);
    until("it is asked some more", || (site.thing.looks()[target] >= before[target] + 8).then_some(()));
    let (after, took) = (site.thing.looks(), from.elapsed());
    let asked = |n: usize| f64::from(after[&path(n)] - before[&path(n)]);
    let rate = (0..EDGES).map(asked).sum::<f64>() / took.as_secs_f64();
    println!("{EDGES} Traefiks, to be asked once a second, are asked {rate:.1} times a second by three engines");
    assert!(rate < 1.5 * f64::from(u32::try_from(EDGES).unwrap()), "{rate:.1} times a second in {took:?}");

    let gone = Instant::now();
    assert!(third.kill());
    divided("two have the part of the one that died", &[first, second]);
    println!(
        "the part of a dead engine was taken over and fresh after {:.1} s, leases of 5 s",
        gone.elapsed().as_secs_f64()
    );
    third.serve();
    divided("it is back", &[first, second, third]);

    second.signal(Signal::STOP);
    divided("two have the part of the one that stands still", &[first, third]);
    second.signal(Signal::CONT);
    divided("it goes on", &[first, second, third]);

    first.cables(Way::Still);
    alone("one without the database watches everything", first);
    divided("two have its part", &[second, third]);
    first.cables(Way::Open);
    divided("it has the database again", &[first, second, third]);

    // The primary dies with what was shared there, and its standby has none of that.
    site.fail_over(&bastions);
    divided("they divide it anew at the new primary", &[first, second, third]);
}
