//! Series as a line of bars, as a chart with scale and limit, and shares as a gauge.

use crate::console::format::value;
use crate::console::strip::Strip;
use crate::console::theme::{Glyphs, Role};
use crate::console::view::canvas::{Canvas, cells};
use crate::domain::finding::Evidence;
use ratatui::layout::Rect;

/// A whole number from a share of it.
fn part(share: f64, of: u16) -> u16 {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    (0..=of).rev().find(|n| f64::from(*n) <= share * f64::from(of) + 1e-9).unwrap_or(0)
}

/// The newest values of a series, at most one a column.
fn newest(series: &[f64], width: usize) -> &[f64] {
    series.get(series.len().saturating_sub(width)..).unwrap_or_default()
}

/// The greatest value of a series and its limit; never zero.
fn top(series: &[f64], limit: f64) -> f64 {
    let most = series.iter().copied().filter(|v| v.is_finite()).fold(limit, f64::max);
    if most > 0.0 { most } else { 1.0 }
}

/// A series in one line of bars, newest at the right.
pub fn spark(series: &[f64], limit: f64, width: usize, glyphs: &Glyphs) -> Strip {
    let top = top(series, limit);
    let mut strip = Strip::new();
    for v in newest(series, width) {
        if !v.is_finite() {
            strip.push(Role::Unknown, "?");
            continue;
        }
        let bar = glyphs.bars.get(usize::from(part(v / top, 7))).copied().unwrap_or_default();
        strip.push(if *v >= limit { Role::Warn } else { Role::Chart }, bar);
    }
    strip
}

/// A share as a bar of a width: `█████░░░░░ 52%`.
pub fn gauge(share: Option<f64>, width: u16, glyphs: &Glyphs) -> Strip {
    let [full, empty] = glyphs.gauge;
    let Some(share) = share else {
        return Strip::of(Role::Unknown, format!("{} ?", "?".repeat(usize::from(width))));
    };
    let filled = part(share, width);
    let role = if share >= 0.95 {
        Role::Critical
    } else if share >= 0.8 {
        Role::Warn
    } else {
        Role::Chart
    };
    Strip::of(role, full.repeat(usize::from(filled)))
        .and(Role::Dim, empty.repeat(usize::from(width - filled)))
        .and(Role::Text, format!(" {}", crate::console::format::ratio(share)))
}

/// A series as a chart: scale and unit at the left, the limit as a line, newest at the right.
pub fn chart(canvas: &mut Canvas<'_>, area: Rect, evidence: &Evidence) {
    const GUTTER: u16 = 10;
    if area.height < 2 || area.width < GUTTER + 8 {
        return;
    }
    let glyphs = canvas.theme.glyphs;
    let plot = Rect { x: area.x + GUTTER, width: area.width - GUTTER, ..area };
    let top = top(&evidence.series, evidence.threshold) * 1.05;
    let eighths = area.height.saturating_mul(8);
    let at = |v: f64| part(v / top, eighths);
    let limit_row = area.height.saturating_sub(1).saturating_sub(at(evidence.threshold).saturating_sub(1) / 8);
    canvas.text(plot, 0, limit_row, Role::Warn, &glyphs.rule.repeat(usize::from(plot.width)));
    let values = newest(&evidence.series, usize::from(plot.width / 2).max(1));
    let wide = (plot.width / cells(values.len()).max(1)).clamp(1, 3);
    let left = plot.width.saturating_sub(wide * cells(values.len()));
    for (i, v) in values.iter().enumerate() {
        let column = left + wide * cells(i);
        let bar = usize::from(wide.saturating_sub(u16::from(wide > 1)).max(1));
        if !v.is_finite() {
            canvas.text(plot, column, area.height - 1, Role::Unknown, "?");
            continue;
        }
        let height = at(*v).max(1);
        let role = if *v >= evidence.threshold { Role::Critical } else { Role::Chart };
        for row in 0..area.height {
            let below = (area.height - 1 - row).saturating_mul(8);
            let fill = height.saturating_sub(below).min(8);
            if let Some(index) = fill.checked_sub(1)
                && let Some(glyph) = glyphs.bars.get(usize::from(index))
            {
                canvas.text(plot, column, row, role, &glyph.repeat(bar));
            }
        }
    }
    let label = |canvas: &mut Canvas<'_>, row: u16, role: Role, text: &str| {
        canvas.text(area, 0, row, role, &format!("{text:>9}"));
    };
    label(canvas, 0, Role::Dim, &value(top / 1.05, evidence.unit));
    if area.height > 2 {
        label(canvas, area.height - 1, Role::Dim, &value(0.0, evidence.unit));
    }
    if limit_row > 0 || area.height < 3 {
        label(canvas, limit_row, Role::Warn, &value(evidence.threshold, evidence.unit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::theme::{ASCII, UNICODE};

    #[test]
    fn bars_follow_the_values_and_unknown_is_not_a_low_bar() {
        let strip = spark(&[0.0, 5.0, f64::NAN, 10.0], 20.0, 10, &UNICODE);
        assert_eq!(strip.plain(), "▁▂?▄");
        assert_eq!(spark(&[1.0; 30], 1.0, 4, &ASCII).plain(), "####");
        assert_eq!(spark(&[], 1.0, 4, &ASCII).plain(), "");
    }

    #[test]
    fn a_gauge_is_full_only_when_all_is_used() {
        assert_eq!(gauge(Some(0.5), 10, &UNICODE).plain(), "█████░░░░░ 50%");
        assert_eq!(gauge(Some(0.99), 10, &UNICODE).plain(), "█████████░ 99%");
        assert_eq!(gauge(Some(7.0), 4, &ASCII).plain(), "#### 700%");
        assert_eq!(gauge(None, 4, &ASCII).plain(), "???? ?");
    }
}
