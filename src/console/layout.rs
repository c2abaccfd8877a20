//! Where things stand. Pure arithmetic on sizes, shared by `view`, which draws there, and `update`, which has
//! to know how much of a text was on the screen.

use crate::console::state::{Asked, Confirm};
use crate::console::strip::wrap;
use ratatui::layout::Rect;

/// Rows of the frame around every screen: header, alarms; next, hints.
pub const ABOVE: u16 = 2;
/// Rows below the body: the next verb and the hints.
pub const BELOW: u16 = 2;

/// Least width and height at which the whole frame is drawn.
pub const FULL: (u16, u16) = (48, 12);

/// The part of the screen between the frame's lines.
pub fn body(area: Rect) -> Rect {
    let above = ABOVE.min(area.height);
    let height = area.height.saturating_sub(ABOVE + BELOW);
    Rect { x: area.x, y: area.y + above, width: area.width, height }
}

/// A rectangle in the middle, no greater than the area.
pub fn centered(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// What is left inside a frame of one cell.
pub const fn inside(area: Rect) -> Rect {
    Rect {
        x: area.x.saturating_add(1),
        y: area.y.saturating_add(1),
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(2),
    }
}

/// Where a sheet stands, frame included.
pub fn sheet(size: (u16, u16)) -> Rect {
    let area = Rect { x: 0, y: 0, width: size.0, height: size.1 };
    let inner = body(area);
    centered(inner, inner.width.min(110), inner.height)
}

/// Columns and rows of text in a sheet: one column of air at both sides.
pub fn sheet_text(size: (u16, u16)) -> (u16, u16) {
    let inner = inside(sheet(size));
    (inner.width.saturating_sub(2), inner.height)
}

/// Where the parts of the dialog that confirms a step stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmLayout {
    /// The dialog, frame included.
    pub area: Rect,
    /// What stays on every page: target, environment, digest, count.
    pub head: Vec<String>,
    /// The text to read, wrapped.
    pub lines: Vec<String>,
    /// Rows for the text.
    pub rows: u16,
}

/// Lays out the dialog that confirms a step.
pub fn confirm(size: (u16, u16), dialog: &Confirm) -> ConfirmLayout {
    let screen = Rect { x: 0, y: 0, width: size.0, height: size.1 };
    let inner = body(screen);
    let width = inner.width.min(100);
    let text = width.saturating_sub(4);
    let target = &dialog.request.target;
    let tenants: Vec<_> = target.tenants.iter().map(crate::domain::id::TenantId::as_str).collect();
    let mut head = wrap(&format!("{} on {}: {}", dialog.request.verb, target.source, target.object), usize::from(text));
    let identity = if target.identity.is_empty() { String::new() } else { format!(" ({})", target.identity) };
    head.extend(wrap(
        &format!(
            "{} {} {}{identity} · {} · hits {}",
            dialog.estate,
            if dialog.simulated { "SIMULATED".to_owned() } else { target.environment.to_string().to_uppercase() },
            target.source,
            crate::console::format::count(usize::try_from(target.count).unwrap_or(usize::MAX), "object"),
            if tenants.is_empty() { "no tenant".to_owned() } else { tenants.join(" ") }
        ),
        usize::from(text),
    ));
    let lines = dialog.lines(text);
    // Frame 2, two dividers, buttons 1, a row that says what stands in the way.
    let typed = u16::from(dialog.typed.is_some());
    let fixed = 6 + typed + u16::try_from(head.len()).unwrap_or(u16::MAX);
    let wanted = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(fixed);
    let area = centered(inner, width, wanted);
    let rows = area.height.saturating_sub(fixed);
    ConfirmLayout { area, head, lines, rows }
}

/// Lays out the overlay of requests; it has the same parts as the dialog that confirms a step.
pub fn asked(size: (u16, u16), asked: &Asked) -> ConfirmLayout {
    let inner = body(Rect { x: 0, y: 0, width: size.0, height: size.1 });
    let width = inner.width.min(100);
    let text = width.saturating_sub(4);
    let head: Vec<String> = asked.head().iter().flat_map(|line| wrap(line, usize::from(text))).collect();
    let lines = asked.lines(text);
    // Frame 2, two dividers, buttons 1, a row that says what stands in the way.
    let fixed = 6 + u16::try_from(head.len()).unwrap_or(u16::MAX);
    let area = centered(inner, width, u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(fixed));
    let rows = area.height.saturating_sub(fixed);
    ConfirmLayout { area, head, lines, rows }
}
