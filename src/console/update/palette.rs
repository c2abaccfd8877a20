//! The palette: one fuzzy search over actions, tenants, playbooks, runs and findings.

use super::act::{act, sheet};
use super::{dialogs, go};
use crate::console::effect::{By, Effect, Then};
use crate::console::keymap::Action;
use crate::console::rows::reached_words;
use crate::console::state::{
    EstateRow, Mark, Offers, Overlay, Palette, PaletteItem, PaneId, Screen, SheetKind, State, single_line, text_of,
};
use crate::console::theme::Role;
use crate::console::views::PROFILES;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use std::cmp::Reverse;

/// Lines that are kept.
const MOST: usize = 60;

/// Opens the palette.
pub fn open(state: &mut State) {
    push(state, Offers::Everything);
}

/// Opens the palette with themes alone, and the cursor on the one that is worn.
pub fn themes(state: &mut State) {
    push(state, Offers::Themes);
    let worn = state.theme.clone();
    if let Some(Overlay::Palette(palette)) = state.overlays.last_mut() {
        let is_worn = |(item, ..): &(PaletteItem, String, String, bool)| *item == PaletteItem::Wear(worn.clone());
        palette.at = palette.found.iter().position(is_worn).unwrap_or(0);
    }
}

/// Opens the palette with what is marked.
pub fn marks(state: &mut State) {
    if marks_of(state).is_empty() {
        let key = state.key(Action::Mark);
        return super::say(state, Role::Dim, format!("nothing is marked; {key} marks the row under the cursor"));
    }
    push(state, Offers::Marks);
}

fn push(state: &mut State, offers: Offers) {
    let palette = Palette { offers, input: single_line(""), found: Vec::new(), at: 0 };
    state.overlays.push(Overlay::Palette(Box::new(palette)));
    search(state);
}

/// Searches for what is typed.
pub fn search(state: &mut State) {
    let Some(Overlay::Palette(palette)) = state.overlays.last() else { return };
    let wanted = text_of(&palette.input);
    let pattern = Pattern::parse(&wanted, CaseMatching::Ignore, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let of = match palette.offers {
        Offers::Everything => items(state),
        Offers::Themes => themes_of(state),
        Offers::Marks => marks_of(state),
    };
    let mut found: Vec<_> = of
        .into_iter()
        .filter_map(|item| {
            let score = pattern.score(Utf32Str::new(&item.1, &mut buffer), &mut matcher)?;
            Some((score, item))
        })
        .collect();
    found.sort_by_key(|(score, _)| Reverse(*score));
    found.truncate(MOST);
    if let Some(Overlay::Palette(palette)) = state.overlays.last_mut() {
        palette.found = found.into_iter().map(|(_, item)| item).collect();
        palette.at = 0;
    }
}

fn themes_of(state: &State) -> Vec<(PaletteItem, String, String, bool)> {
    let of = |(name, what): &(String, String)| {
        (PaletteItem::Wear(name.clone()), format!("Theme {name}: {what}"), String::new(), false)
    };
    state.facts.themes.iter().map(of).collect()
}

/// What is marked, the newest first.
fn marks_of(state: &State) -> Vec<(PaletteItem, String, String, bool)> {
    let of = |mark: &Mark| {
        let item = match mark.pane {
            PaneId::Findings => PaletteItem::Go(Screen::Finding(mark.key.as_str().into())),
            PaneId::Runs => PaletteItem::Go(Screen::Run(mark.key.as_str().into())),
            pane => PaletteItem::Row(pane, mark.key.clone()),
        };
        (item, mark.label.clone(), String::new(), false)
    };
    let own = state.marks.iter().rev().map(of);
    let elsewhere = state.estates.others().flat_map(|row| {
        let of = |mark: &Mark| {
            let item = PaletteItem::Visit(row.name.clone(), Then::Mark(mark.clone()));
            (item, format!("{}: {}", row.name, mark.label), String::new(), false)
        };
        row.marks.iter().rev().map(of)
    });
    own.chain(elsewhere).collect()
}

/// The other estates of this console.
fn estates_of(state: &State) -> Vec<(PaletteItem, String, String, bool)> {
    let of = |row: &EstateRow| {
        let label = format!("Estate {}: {}, {}", row.name, row.health, reached_words(row));
        (PaletteItem::Visit(row.name.clone(), Then::AsItWas), label, String::new(), false)
    };
    state.estates.others().map(of).collect()
}

const fn of_estates(action: Action) -> bool {
    matches!(action, Action::Estates | Action::NextEstate | Action::PreviousEstate)
}

/// Everything that can be done on this screen and everywhere.
fn items(state: &State) -> Vec<(PaletteItem, String, String, bool)> {
    let mut items: Vec<(PaletteItem, String, String, bool)> = Vec::new();
    for (binding, keys) in state.facts.keys.valid(state.screen.place()) {
        let hidden = matches!(
            binding.action,
            Action::Palette | Action::Up | Action::Down | Action::PageUp | Action::PageDown | Action::Back
        );
        let hidden = hidden || !state.estates.are_several() && of_estates(binding.action);
        let known = items.iter().any(|(item, ..)| *item == PaletteItem::Act(binding.action));
        if !hidden && !known {
            let key = keys.first().map(|k| k.name()).unwrap_or_default();
            items.push((PaletteItem::Act(binding.action), binding.help.to_owned(), key, binding.danger));
        }
    }
    for profile in &PROFILES {
        let label = format!("View of a role: {}: {}", profile.word, profile.what);
        items.push((PaletteItem::See(profile.view), label, String::new(), false));
    }
    items.extend(themes_of(state));
    items.extend(marks_of(state));
    items.extend(estates_of(state));
    let Some(snapshot) = &state.snapshot else { return items };
    for run in snapshot.runs.iter() {
        let label = format!("Run {} {}: {}", run.id, run.playbook, run.now);
        items.push((PaletteItem::Go(Screen::Run(run.id.clone())), label, String::new(), false));
    }
    for book in snapshot.playbooks.iter() {
        let label = format!("Start playbook {}: {}", book.id, book.description);
        items.push((
            PaletteItem::Start(book.id.clone(), std::collections::BTreeMap::new()),
            label,
            String::new(),
            true,
        ));
    }
    for finding in snapshot.findings.iter() {
        let label = format!("Finding {}: {}", finding.id, finding.what);
        items.push((PaletteItem::Go(Screen::Finding(finding.id.clone())), label, String::new(), false));
    }
    for tenant in &snapshot.panes.tenants {
        let label = format!("Tenant {} {}", tenant.id, tenant.name);
        items.push((PaletteItem::Row(PaneId::Tenants, tenant.id.to_string()), label, String::new(), false));
    }
    items
}

/// Does what the chosen line says.
pub fn choose(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(Overlay::Palette(palette)) = state.overlays.pop() else { return };
    let Some((item, ..)) = palette.found.get(palette.at).cloned() else { return };
    match item {
        PaletteItem::Act(action) => act(state, action, effects),
        PaletteItem::Go(screen) => go(state, screen),
        PaletteItem::See(view) => super::act::see(state, view),
        PaletteItem::Wear(name) => {
            let kept = format!("theme {name}; `theme = \"{name}\"` under [console] of the configuration keeps it");
            state.theme = name;
            super::say(state, Role::Ok, kept);
        }
        PaletteItem::Visit(estate, then) => effects.push(Effect::Visit { estate, by: By::Choice, then }),
        PaletteItem::Start(playbook, params) => dialogs::start(state, &playbook, &params),
        PaletteItem::Row(pane, key) => {
            state.panes.change(pane, |pane| pane.select(&key));
            sheet(state, SheetKind::Row(pane, key));
            super::look(state, effects);
        }
    }
}
