//! Several estates in one console: a state each, of which one is on the screen. All of them go on hearing their engines;
//! keys reach the one on the screen alone, and only once it has been seen there. Pure: time is an argument.

use super::effect::{By, Effect, Then};
use super::estates;
use super::keymap::Action;
use super::msg::Msg;
use super::state::{EstateRow, Estates, Pane, PaneId, Screen, State};
use super::update::{self, estates as moves};
use crossterm::event::KeyEvent;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long no key may have come, after an estate has been drawn for the first time since somebody came to it, before
/// keys reach it: what was typed ahead was meant for the one before.
const CALM: Duration = Duration::from_millis(250);

/// All estates of one console.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Number of the one on the screen.
    at: usize,
    /// The one on the screen.
    shown: State,
    /// The others, by their numbers.
    others: BTreeMap<usize, State>,
    /// Whether the one on the screen has only just come there.
    settling: Option<Settling>,
}

#[derive(Clone, Copy, Debug)]
enum Settling {
    /// It has not been drawn yet.
    Unseen,
    /// It was drawn, and nothing was typed since this moment.
    Calm(Instant),
}

impl Fleet {
    /// One estate, or several of which the first is on the screen.
    pub fn new(first: State, more: Vec<State>) -> Self {
        let mut first = first;
        if !more.is_empty() {
            // Which of them to look at is the first question.
            first.screen = Screen::Estates;
        }
        let hidden = more.into_iter().map(|mut state| {
            state.shown = false;
            state
        });
        let others = (1..).zip(hidden).collect();
        let mut fleet = Self { at: 0, shown: first, others, settling: None };
        fleet.refresh();
        fleet
    }

    /// The estate on the screen.
    pub const fn shown(&self) -> &State {
        &self.shown
    }

    /// The same, to be changed.
    pub const fn shown_mut(&mut self) -> &mut State {
        &mut self.shown
    }

    /// Number of the estate on the screen.
    pub const fn at(&self) -> usize {
        self.at
    }

    fn get_mut(&mut self, of: usize) -> Option<&mut State> {
        if of == self.at { Some(&mut self.shown) } else { self.others.get_mut(&of) }
    }

    /// All of them by their numbers.
    fn all(&self) -> Vec<&State> {
        let (before, after) = (self.others.range(..self.at), self.others.range(self.at..));
        before.map(|(_, s)| s).chain([&self.shown]).chain(after.map(|(_, s)| s)).collect()
    }

    /// Takes in one thing that happened to an estate, or to the console; answers what has to be done outside, and for
    /// which estate.
    pub fn take(&mut self, of: Option<usize>, msg: Msg, now: Instant) -> Vec<(usize, Effect)> {
        let heard = !matches!(msg, Msg::Key(_) | Msg::Paste(_) | Msg::Mouse { .. });
        let mut effects = match (of, &msg) {
            (Some(of), _) => self.one(of, msg),
            (None, Msg::Tick(_) | Msg::Resize { .. }) => {
                (0..=self.others.len()).flat_map(|of| self.one(of, msg.clone())).collect()
            }
            (None, Msg::Key(key)) if self.holds_back(key, now) => Vec::new(),
            (None, Msg::Paste(_) | Msg::Mouse { .. }) if self.settling.is_some() => Vec::new(),
            (None, _) => self.one(self.at, msg),
        };
        let mut visited = false;
        let mut at = 0;
        while let Some((of, effect)) = effects.get(at) {
            let Effect::Visit { estate, by, then } = effect else {
                at += 1;
                continue;
            };
            let (of, estate, by, then) = (*of, estate.clone(), *by, then.clone());
            effects.remove(at);
            if of == self.at {
                visited = true;
                let arrived = self.visit(&estate, by, then);
                effects.extend(arrived);
            }
        }
        if heard || visited || self.shown.screen == Screen::Estates {
            self.refresh();
        }
        effects
    }

    /// One estate takes in what happened; what it says to somebody who looks elsewhere bears its name.
    fn one(&mut self, of: usize, msg: Msg) -> Vec<(usize, Effect)> {
        let (several, at) = (!self.others.is_empty(), self.at);
        let Some(state) = self.get_mut(of) else { return Vec::new() };
        let effects = update::update(state, msg);
        let name = state.facts.estate.clone();
        let told = effects.into_iter().filter_map(|effect| match effect {
            Effect::Title(_) if of != at => None,
            Effect::Call(text) if several => Some((of, Effect::Call(format!("{name}: {text}")))),
            effect => Some((of, effect)),
        });
        told.collect()
    }

    /// Whether a key is not taken because the estate that it would reach has only just come to the screen. Going on to
    /// another one, stopping everything and leaving are taken at any time.
    fn holds_back(&mut self, key: &KeyEvent, now: Instant) -> bool {
        let Some(settling) = self.settling else { return false };
        let calm = matches!(settling, Settling::Calm(since) if now.duration_since(since) >= CALM);
        if calm {
            self.settle();
            return false;
        }
        let state = &self.shown;
        let action = state.facts.keys.lookup(state.place(), key).map(|binding| binding.action);
        let always = [Action::NextEstate, Action::PreviousEstate, Action::EmergencyStop, Action::Quit];
        if action.is_some_and(|action| always.contains(&action)) {
            return false;
        }
        if let Some(Settling::Calm(since)) = &mut self.settling {
            *since = now;
        }
        true
    }

    /// Says that the estate on the screen has been drawn.
    pub fn drawn(&mut self, now: Instant) {
        if let Some(settling @ Settling::Unseen) = &mut self.settling {
            *settling = Settling::Calm(now);
        }
    }

    /// When keys reach the estate on the screen, where they do not yet.
    pub fn settles_at(&self) -> Option<Instant> {
        match self.settling {
            Some(Settling::Calm(since)) => since.checked_add(CALM),
            Some(Settling::Unseen) | None => None,
        }
    }

    /// Lets keys reach the estate on the screen when their time has come.
    pub fn settle_by(&mut self, now: Instant) {
        if self.settles_at().is_some_and(|at| now >= at) {
            self.settle();
        }
    }

    /// Lets keys reach the estate on the screen, since whoever types knows that it is there.
    pub fn seen(&mut self) {
        if self.settling.is_some() {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.settling = None;
        self.shown.settling = false;
        self.shown.touch();
    }

    fn visit(&mut self, estate: &str, by: By, then: Then) -> Vec<(usize, Effect)> {
        let to = self.others.iter().find(|(_, s)| s.facts.estate == estate).map(|(to, _)| *to);
        let Some((to, state)) = to.and_then(|to| Some((to, self.others.remove(&to)?))) else { return Vec::new() };
        let mut left = std::mem::replace(&mut self.shown, state);
        moves::leave(&mut left);
        let state = &mut self.shown;
        (state.shown, state.settling, state.size) = (true, true, left.size);
        state.theme.clone_from(&left.theme);
        if state.view != left.view {
            let notice = state.notice.take();
            update::see(state, left.view);
            state.notice = notice;
        }
        state.jumps.came_from(&left.facts.estate, by == By::Back);
        if by == By::Choice {
            state.jumps.begin_anew();
        }
        let mut effects = Vec::new();
        moves::arrive(state, then, &mut effects);
        effects.push(Effect::Title(state.title.clone()));
        self.others.insert(self.at, left);
        self.at = to;
        self.settling = Some(Settling::Unseen);
        effects.into_iter().map(|effect| (to, effect)).collect()
    }

    /// Tells the estate on the screen how all of them are.
    fn refresh(&mut self) {
        if self.others.is_empty() {
            return;
        }
        let all = self.all();
        let rows = Arc::new(all.iter().map(|state| estates::row(state)).collect::<Vec<_>>());
        let listed = self.shown.screen == Screen::Estates;
        let incidents = if listed { estates::incidents(&all) } else { Vec::new() };
        let records = if listed { estates::records(&all) } else { Vec::new() };
        let state = &mut self.shown;
        let estates = Estates { own: state.facts.estate.clone(), rows, incidents, records };
        if state.estates != estates {
            // One that has come or gone takes its place at once; nothing else lets rows jump.
            let come = |(a, b): (&EstateRow, &EstateRow)| a.reached.is_known() == b.reached.is_known();
            if !state.estates.rows.iter().zip(estates.rows.iter()).all(come) {
                state.panes.change(PaneId::Estates, Pane::resort);
            }
            state.estates = estates;
            state.touch();
        }
        for pane in Screen::Estates.panes() {
            state.refresh_pane(*pane);
        }
    }
}
