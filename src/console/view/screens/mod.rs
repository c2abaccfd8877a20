//! One file a screen; each draws into the body that it is given, whatever its size.

mod database;
mod estates;
mod finding;
mod incident;
mod journal;
mod overview;
mod panes;
mod playbooks;
mod queue;
mod run;
mod tables;
mod wide;

use super::canvas::Canvas;
use crate::console::state::{Screen, State};
use crate::console::strip::{Strip, wrap};
use crate::console::theme::Role;
use ratatui::layout::Rect;

/// Draws the screen.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    if state.screen == Screen::Estates {
        return estates::draw(canvas, state, area);
    }
    let Some(snapshot) = state.snapshot.as_deref() else {
        nothing_yet(canvas, state, area);
        return;
    };
    match &state.screen {
        Screen::Overview => overview::draw(canvas, state, snapshot, area),
        Screen::Tenants => tables::tenants(canvas, state, snapshot, area),
        Screen::Database => database::draw(canvas, state, snapshot, area),
        Screen::Queue => queue::draw(canvas, state, snapshot, area),
        Screen::Ingress => tables::ingress(canvas, state, snapshot, area),
        Screen::Subjects(pane) => tables::subjects(canvas, state, snapshot, area, *pane),
        Screen::Findings => finding::all(canvas, state, snapshot, area),
        Screen::Finding(id) => finding::one(canvas, state, snapshot, area, id),
        Screen::Incident => incident::draw(canvas, state, snapshot, area),
        Screen::Playbooks => playbooks::draw(canvas, state, snapshot, area),
        Screen::Run(id) => run::draw(canvas, state, snapshot, area, id),
        Screen::Journal => journal::draw(canvas, state, snapshot, area),
        Screen::Sources => tables::sources(canvas, state, snapshot, area),
        Screen::Estates => {}
    }
}

fn nothing_yet(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    canvas.rule(area, 0, &Strip::of(Role::Title, "quarterdeck"), &Strip::of(Role::Dim, &state.facts.version));
    let mut lines = vec![Strip::new()];
    if let Some(lost) = &state.link.lost {
        let text = format!("{} can not be reached: {}", state.facts.estate, lost.why);
        let width = usize::from(area.width.saturating_sub(4));
        lines.extend(wrap(&text, width).into_iter().map(|line| Strip::of(Role::Unknown, format!("  {line}"))));
        lines.push(Strip::of(
            Role::Dim,
            "  It is tried again by itself. Nothing is known of it, and nothing can be done there.",
        ));
    } else {
        lines.push(Strip::text(format!("  {}: the engine has not answered yet.", state.facts.estate)));
        lines.push(Strip::of(Role::Dim, "  Each source fills in as it answers; one that never does says why."));
    }
    let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
    canvas.lines(below, &lines);
}

/// The first `rows` rows of an area, and the rest.
fn split(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    (Rect { height: rows, ..area }, Rect { y: area.y.saturating_add(rows), height: area.height - rows, ..area })
}

/// The first `columns` columns of an area, one column for a wall, and the rest.
fn halves(area: Rect, columns: u16) -> (Rect, Rect, Rect) {
    let columns = columns.min(area.width.saturating_sub(1));
    let wall = Rect { x: area.x.saturating_add(columns), width: u16::from(area.width > columns), ..area };
    let right =
        Rect { x: wall.x.saturating_add(wall.width), width: area.width.saturating_sub(columns + wall.width), ..area };
    (Rect { width: columns, ..area }, wall, right)
}

/// Shares rows out among panes that want so many each: everybody the same at first, what one does not need goes
/// to the others, what nobody needs to the last.
fn share(total: u16, wants: &[u16]) -> Vec<u16> {
    let mut given = vec![0_u16; wants.len()];
    let mut left = total;
    while left > 0 {
        let mut gave = false;
        for (have, want) in given.iter_mut().zip(wants) {
            if left > 0 && *have < *want {
                *have += 1;
                left -= 1;
                gave = true;
            }
        }
        if !gave {
            break;
        }
    }
    if let Some(last) = given.last_mut() {
        *last += left;
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_where_they_are_needed() {
        assert_eq!(share(10, &[2, 9, 3]), [2, 5, 3]);
        assert_eq!(share(3, &[5, 5, 5, 5]), [1, 1, 1, 0]);
        assert_eq!(share(12, &[2, 3]), [2, 10]);
    }

    #[test]
    fn parts_never_leave_their_area() {
        for width in 0..5 {
            for height in 0..5 {
                let area = Rect { x: 3, y: 3, width, height };
                let (a, wall, b) = halves(area, 2);
                assert_eq!(a.width + wall.width + b.width, width);
                let (top, rest) = split(area, 2);
                assert_eq!(top.height + rest.height, height);
            }
        }
    }
}
