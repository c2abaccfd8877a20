//! The drill runs the same playbooks as the real estate only if its verbs declare the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use quarterdeck::act;
use quarterdeck::drill::Drill;

#[test]
fn each_simulated_verb_declares_what_the_live_one_declares() {
    let live = act::catalog();
    let mut compared = 0;
    for simulated in Drill::specs() {
        let twin = live.iter().find(|spec| spec.name == simulated.name);
        assert_eq!(Some(&simulated), twin, "{}", simulated.name);
        compared += 1;
    }
    assert!(compared >= 70, "{compared}");
}
