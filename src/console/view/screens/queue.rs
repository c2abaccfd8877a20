//! Queues: job channels, and Redis below them, each with its own columns.

use super::super::canvas::{Canvas, cells};
use super::super::widgets::{Listing, counts, gauge, table};
use super::panes::{empty, title};
use super::split;
use crate::console::msg::Target;
use crate::console::state::{PaneId, Slot, State};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::pane::{ChannelRow, QueueRow, RedisRow};
use crate::engine::api::Snapshot;
use ratatui::layout::Rect;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let pane = state.panes.get(PaneId::Queues);
    let rows = &snapshot.panes.queues;
    let mut channels: Vec<&ChannelRow> = Vec::new();
    let mut redis: Vec<&RedisRow> = Vec::new();
    let (mut channel_slots, mut redis_slots) = (Vec::new(), Vec::new());
    let (mut channel_cursor, mut redis_cursor) = (None, None);
    for (at, slot) in pane.order.iter().enumerate() {
        match rows.get(slot.index) {
            Some(QueueRow::Channel(row)) => {
                if at == pane.at() {
                    channel_cursor = Some(channels.len());
                }
                channel_slots.push(Slot { index: channels.len(), ..slot.clone() });
                channels.push(row);
            }
            Some(QueueRow::Redis(row)) => {
                if at == pane.at() {
                    redis_cursor = Some(redis.len());
                }
                redis_slots.push(Slot { index: redis.len(), ..slot.clone() });
                redis.push(row);
            }
            None => {}
        }
    }
    let (context, marked) = (state.context(snapshot), state.marked(PaneId::Queues));
    canvas.point(area, Target::Pane(PaneId::Queues));
    let below = if redis.is_empty() { 0 } else { (cells(redis.len()) + 2).min(area.height / 2) };
    let spare = area.height.saturating_sub(below);
    let (top, bottom) = split(area, spare);
    let (head, body) = split(top, 1);
    let tally = counts(channels.iter().map(|r| r.health), &canvas.theme.glyphs);
    title(canvas, state, head, PaneId::Queues, "Job channels", &tally);
    if channels.is_empty() {
        empty(canvas, state, body, PaneId::Queues, "no job channel is known");
    } else {
        let listing = Listing {
            row: &|i| channels.get(i).copied(),
            slots: &channel_slots,
            cursor: channel_cursor,
            context: &context,
            lead: &[],
            more: false,
            pane: PaneId::Queues,
            marked: &marked,
        };
        table(canvas, body, &listing);
    }
    if redis.is_empty() {
        return;
    }
    let (head, body) = split(bottom, 1);
    let mut right = counts(redis.iter().map(|r| r.health), &canvas.theme.glyphs);
    if let Some(row) = redis_cursor.and_then(|i| redis.get(i)) {
        let used = match (row.used_bytes, row.max_bytes) {
            (Some(bytes), Some(most)) if most > 0 => Some(approximate(bytes) / approximate(most)),
            _ => None,
        };
        if used.is_some() {
            right = gauge(used, 10, &canvas.theme.glyphs).and(Role::Text, "  ").and_strip(right);
        }
    }
    canvas.rule(head, 0, &Strip::of(Role::Title, "Redis"), &right);
    let listing = Listing {
        row: &|i| redis.get(i).copied(),
        slots: &redis_slots,
        cursor: redis_cursor,
        context: &context,
        lead: &[],
        more: false,
        pane: PaneId::Queues,
        marked: &marked,
    };
    table(canvas, body, &listing);
}

/// Bytes as a float, in KiB where they are many.
fn approximate(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX))
}
