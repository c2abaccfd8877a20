//! Several estates in one console: what stands side by side, and what no key does to the one that it was not meant for.

use crate::fixture::{calm, facts, now};
use crate::keys::{commands, has_confirm, pressed};
use crate::{key, screen};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use quarterdeck::console::effect::Effect;
use quarterdeck::console::fleet::Fleet;
use quarterdeck::console::msg::Msg;
use quarterdeck::console::state::{Facts, Screen, State};
use quarterdeck::domain::mode::Mode;
use quarterdeck::engine::api::{Command, Snapshot};
use quarterdeck::engine::client::{Attached, Link, Lost};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ASIDE: usize = 2;

/// A console of three: one with a run that waits for a yes, a second one like it, and one that can not be reached.
struct Rig {
    fleet: Fleet,
    at: Instant,
}

fn named(mut snapshot: Snapshot, name: &str) -> Arc<Snapshot> {
    let mut estate = (*snapshot.estate).clone();
    name.clone_into(&mut estate.name);
    snapshot.estate = Arc::new(estate);
    Arc::new(snapshot)
}

impl Rig {
    fn new(second: Snapshot, size: (u16, u16)) -> Self {
        let state = |name: &str| {
            let facts = Facts { estate: name.to_owned(), ..facts(Mode::Live) };
            State::new(facts, size, now())
        };
        let fleet = Fleet::new(state("acme-eu"), vec![state("acme-us"), state("acme-asia")]);
        let mut rig = Self { fleet, at: Instant::now() };
        let attached = Attached {
            user: "mara".into(),
            proof: quarterdeck::engine::api::Proof::Login,
            doubt: None,
            read_only: false,
        };
        for (of, snapshot, name) in [(0, pressed(), "acme-eu"), (1, second, "acme-us")] {
            rig.tell(of, Msg::Link(Link { attached: Some(attached.clone()), lost: None }));
            rig.tell(of, Msg::Snapshot(named(snapshot, name)));
            rig.tell(of, Msg::Beat(now()));
        }
        let lost = Lost { since: now(), why: "no engine listens at /run/quarterdeck/asia/engine.sock".into() };
        rig.tell(ASIDE, Msg::Link(Link { attached: None, lost: Some(lost) }));
        rig
    }

    fn tell(&mut self, of: usize, msg: Msg) -> Vec<(usize, Effect)> {
        self.fleet.take(Some(of), msg, self.at)
    }

    fn event(&mut self, event: KeyEvent) -> Vec<(usize, Effect)> {
        self.fleet.take(None, Msg::Key(event), self.at)
    }

    /// Presses keys at one moment; answers every effect with the number of its estate.
    fn burst(&mut self, keys: &str) -> Vec<(usize, Effect)> {
        let event = |name: &str| match name {
            "F3" => KeyEvent::new(KeyCode::F(3), KeyModifiers::NONE),
            "F4" => KeyEvent::new(KeyCode::F(4), KeyModifiers::NONE),
            name => key(name),
        };
        keys.split_whitespace().flat_map(|name| self.event(event(name))).collect()
    }

    /// Draws, and lets nothing happen for a while.
    fn rest(&mut self) {
        self.fleet.drawn(self.at);
        self.at += Duration::from_millis(300);
        self.fleet.settle_by(self.at);
    }

    fn name(&self) -> &str {
        &self.fleet.shown().facts.estate
    }
}

fn confirmed(effects: &[(usize, Effect)]) -> Vec<usize> {
    let is = |e: &Effect| matches!(commands(std::slice::from_ref(e)).as_slice(), [Command::Confirm { .. }]);
    effects.iter().filter(|(_, e)| is(e)).map(|(of, _)| *of).collect()
}

#[test]
fn the_overview_says_of_each_what_a_commander_asks_first() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut rig = Rig::new(calm(), size);
        rig.burst("0");
        insta::assert_snapshot!(format!("estates_{}x{}", size.0, size.1), screen(rig.fleet.shown()));
        rig.burst("o F4");
        insta::assert_snapshot!(format!("estates_elsewhere_{}x{}", size.0, size.1), screen(rig.fleet.shown()));
    }
}

#[test]
fn no_key_of_a_burst_confirms_in_the_estate_that_it_leads_to() {
    let mut rig = Rig::new(pressed(), (80, 24));
    rig.burst("o");
    // Without a burst the same keys confirm: there is something to be kept from.
    assert_eq!(confirmed(&rig.burst("Space Enter PgDn PgDn Tab Enter")), [0]);
    assert!(confirmed(&rig.burst("F4 Space Enter PgDn PgDn Tab Enter")).is_empty());
    assert_eq!(rig.name(), "acme-us");
    assert!(!has_confirm(rig.fleet.shown()) && screen(rig.fleet.shown()).contains("keys are taken in a moment"));
    // Drawn, but keys go on coming: they were typed ahead on a slow link.
    rig.fleet.drawn(rig.at);
    for _ in 0..20 {
        rig.at += Duration::from_millis(100);
        assert!(confirmed(&rig.burst("Space Enter PgDn PgDn Tab Enter")).is_empty());
    }
    rig.rest();
    assert_eq!(confirmed(&rig.burst("Space Enter PgDn PgDn Tab Enter")), [1]);
}

#[test]
fn what_waits_for_a_yes_is_closed_by_leaving_and_what_was_typed_is_kept() {
    let mut rig = Rig::new(pressed(), (80, 24));
    rig.burst("o Space Enter Tab");
    assert!(has_confirm(rig.fleet.shown()) && screen(rig.fleet.shown()).contains("acme-eu PRODUCTION"));
    rig.burst("F4");
    rig.rest();
    rig.burst("F3");
    assert!(!has_confirm(rig.fleet.shown()));
    rig.rest();
    assert!(
        screen(rig.fleet.shown()).contains("what waited here for a yes was closed when you left: nothing was sent")
    );
    assert!(confirmed(&rig.burst("Enter")).is_empty(), "it opens the dialog again");
    rig.burst("Esc N");
    for c in "half a note".chars() {
        rig.event(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
    }
    let text = screen(rig.fleet.shown());
    assert!(text.contains("half a note") && text.contains("acme-eu PRODUCTION"), "{text}");
    rig.burst("F4");
    rig.rest();
    assert!(!screen(rig.fleet.shown()).contains("half a note"));
    // Quitting from here asks, since something is unsent there.
    let effects = rig.burst("Q");
    assert!(!effects.iter().any(|(_, e)| *e == Effect::Quit));
    assert!(screen(rig.fleet.shown()).contains("Something was typed and not sent in acme-eu."));
    rig.burst("Esc F3");
    assert!(screen(rig.fleet.shown()).contains("half a note"));
}

#[test]
fn places_and_marks_lead_back_over_estates() {
    let mut rig = Rig::new(calm(), (120, 40));
    rig.burst("o t *");
    rig.burst("F4");
    rig.rest();
    rig.burst("d <");
    assert_eq!((rig.name(), &rig.fleet.shown().screen), ("acme-us", &Screen::Overview));
    rig.burst("<");
    assert_eq!((rig.name(), &rig.fleet.shown().screen), ("acme-eu", &Screen::Tenants));
    rig.rest();
    rig.burst(">");
    assert_eq!(rig.name(), "acme-us");
    rig.rest();
    rig.burst("'");
    assert!(screen(rig.fleet.shown()).contains("acme-eu: "), "{}", screen(rig.fleet.shown()));
    rig.burst("Enter");
    assert_eq!(rig.name(), "acme-eu");
    assert!(!rig.fleet.shown().overlays.is_empty(), "what is marked is open");
}

#[test]
fn what_comes_elsewhere_is_called_by_the_name_of_its_estate() {
    let mut rig = Rig::new(calm(), (120, 40));
    rig.burst("o");
    let effects = rig.tell(1, Msg::Snapshot(named(pressed(), "acme-us")));
    let calls: Vec<&str> = effects
        .iter()
        .filter_map(|(_, e)| if let Effect::Call(text) = e { Some(text.as_str()) } else { None })
        .collect();
    assert!(calls.iter().any(|c| c.starts_with("acme-us: critical: ")), "{calls:?}");
    assert!(!effects.iter().any(|(_, e)| matches!(e, Effect::Title(_))), "the window keeps the title of what is shown");
    let text = screen(rig.fleet.shown());
    assert!(text.lines().nth(1).unwrap().contains("acme-us critical"), "{text}");
}

proptest! {
    #[test]
    fn whatever_is_typed_at_once_with_a_switch_confirms_nothing(
        keys in proptest::collection::vec(prop::sample::select(vec![
            "F3", "F4", "Space", "Enter", "Tab", "PgDn", "End", "Esc", "0", "o", "p", "y", ":", "Down", "<", ">", "A",
        ]), 0..40),
    ) {
        let mut rig = Rig::new(pressed(), (80, 24));
        rig.burst("o");
        rig.rest();
        let mut away = false;
        for name in keys {
            let effects = rig.burst(name);
            away |= rig.name() != "acme-eu";
            for of in confirmed(&effects) {
                prop_assert!(of == 0 && !away, "{name} has confirmed in {of}");
            }
        }
    }
}
