//! A series as lines of text: scale and unit at the left, thresholds as lines, an axis of time below. Drawn in braille,
//! which the canvas turns into dots and colons for a terminal without it.

use super::format::{span, value};
use super::strip::Strip;
use super::theme::Role;
use crate::domain::pane::SignalView;
use crate::domain::signal::Unit;

/// Columns of the scale.
const GUTTER: u16 = 10;

/// A whole number from a share of it.
fn scaled(share: f64, of: u16) -> u16 {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    (0..=of).rev().find(|n| f64::from(*n) <= share * f64::from(of) + 0.5).unwrap_or(0)
}

/// Lowest and highest value of the scale: all that was observed, from zero where that is near, and the thresholds that
/// are not far away.
fn scale(values: &[f64], limits: &[f64]) -> (f64, f64) {
    let (mut low, mut high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    if low > 0.0 && low < high * 0.7 {
        low = 0.0;
    }
    for limit in limits {
        let reach = (high - low).max(high.abs()).max(f64::MIN_POSITIVE) * 2.0;
        if *limit <= high + reach && *limit >= low - reach {
            (low, high) = (low.min(*limit), high.max(*limit));
        }
    }
    if high - low < f64::EPSILON * high.abs().max(1.0) { (low.min(0.0), high.max(low + 1.0)) } else { (low, high) }
}

/// Dots of braille: bit of each place in a cell, by column and row (Unicode 17, block Braille Patterns).
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// The chart of a signal in so many columns and rows, its axis included.
pub fn chart(signal: &SignalView, width: u16, rows: u16) -> Vec<Strip> {
    let known: Vec<f64> = signal.series.iter().flatten().map(|v| f64::from(*v)).filter(|v| v.is_finite()).collect();
    if known.len() < 2 || width < GUTTER + 10 || rows < 3 {
        return vec![Strip::of(Role::Dim, "its past is not known yet")];
    }
    let unit = signal.now.unit;
    // Yes and no have nothing between them: no limit to draw, and always both on the scale.
    let flag = unit == Unit::Flag;
    let (warn, critical) = if flag { (None, None) } else { (signal.now.warn, signal.now.critical) };
    let limits: Vec<f64> = [warn, critical].into_iter().flatten().collect();
    let usual = signal.usual.as_ref().and_then(|u| Some((u.low?, u.high?)));
    let near: Vec<f64> = limits.iter().copied().chain(usual.map(|(low, high)| f64::midpoint(low, high))).collect();
    let (low, high) = if flag { (0.0, 1.0) } else { scale(&known, &near) };
    let (columns, plot) = ((width - GUTTER).min(120), rows - 1);
    let (across, down) = (usize::from(columns) * 2, plot * 4);
    let place = |v: f64| scaled((v - low) / (high - low), down - 1);
    let mut cells = vec![0_u32; usize::from(columns) * usize::from(plot)];
    let mut dot = |x: usize, y: u16| {
        let row = usize::from((down - 1 - y) / 4);
        let bit = DOTS.get(x % 2).and_then(|column| column.get(usize::from((down - 1 - y) % 4)));
        if let (Some(cell), Some(bit)) = (cells.get_mut(row * usize::from(columns) + x / 2), bit) {
            *cell |= bit;
        }
    };
    let mut before = None;
    for x in 0..across {
        let at = x * signal.series.len() / across;
        let here = signal.series.get(at).copied().flatten().map(|v| place(f64::from(v)));
        if let Some(y) = here {
            let from = before.unwrap_or(y);
            (from.min(y)..=from.max(y)).for_each(|y| dot(x, y));
        }
        before = here;
    }
    let row_of = |v: f64| (v >= low && v <= high).then(|| (down - 1 - place(v)) / 4);
    let mut lines = Vec::with_capacity(usize::from(rows));
    let mut labelled = false;
    for row in 0..plot {
        let limit = [(critical, Role::Critical), (warn, Role::Warn)]
            .into_iter()
            .find_map(|(limit, role)| limit.filter(|l| row_of(*l) == Some(row)).map(|l| (l, role)));
        // What is usual is a dim band behind the values.
        let band = usual.is_some_and(|(from, to)| {
            let (from, to) = (place(from.max(low)), place(to.min(high)));
            from <= to && ((down - 1 - to) / 4..=(down - 1 - from) / 4).contains(&row)
        });
        let label = match limit {
            Some((limit, role)) => (role, value(limit, unit)),
            None if row == 0 => (Role::Dim, value(high, unit)),
            None if band && row + 1 < plot && !labelled => {
                labelled = true;
                (Role::Dim, "usual".to_owned())
            }
            None if row + 1 == plot => (Role::Dim, value(low, unit)),
            None => (Role::Dim, String::new()),
        };
        let mut line = Strip::of(label.0, format!("{:>9} ", label.1));
        let start = usize::from(row) * usize::from(columns);
        for cell in cells.get(start..start + usize::from(columns)).unwrap_or_default() {
            match (char::from_u32(0x2800 + cell), limit) {
                (Some(glyph), _) if *cell > 0 => line.push(Role::Chart, glyph.to_string()),
                (_, Some((_, role))) => line.push(role, "┄"),
                _ if band => line.push(Role::Dim, "░"),
                _ => line.push(Role::Text, " "),
            }
        }
        lines.push(line);
    }
    let steps = u32::try_from(signal.series.len()).unwrap_or(u32::MAX);
    let past = format!("{} before", span(f64::from(signal.step_s) * f64::from(steps)));
    let until = super::format::clock(signal.observed_at);
    let gap = usize::from(columns).saturating_sub(past.chars().count() + until.chars().count());
    let axis = format!("{}{past}{}{until}", " ".repeat(usize::from(GUTTER)), " ".repeat(gap));
    lines.push(Strip::of(Role::Dim, axis));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::health::Health;
    use crate::domain::pane::SignalValue;

    fn signal(series: Vec<Option<f32>>, warn: f64) -> SignalView {
        SignalView {
            now: SignalValue {
                signal: "x".into(),
                value: Some(1.0),
                unit: Unit::Count,
                health: Health::Ok,
                source: "s".into(),
                warn: Some(warn),
                critical: Some(warn * 100.0),
            },
            observed_at: jiff::Timestamp::UNIX_EPOCH,
            what: String::new(),
            origin: String::new(),
            series,
            step_s: 10,
            forecast: None,
            usual: None,
        }
    }

    #[test]
    fn a_ramp_climbs_from_corner_to_corner_and_its_limit_is_a_line() {
        let series = (0..=40_u8).map(|n| Some(f32::from(n))).collect();
        let lines: Vec<String> = chart(&signal(series, 20.0), 30, 5).iter().map(Strip::plain).collect();
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert!(lines[0].starts_with("       40 ") && lines[0].ends_with('⠚'), "{lines:#?}");
        assert!(lines.iter().any(|l| l.starts_with("       20 ┄")), "{lines:#?}");
        assert!(lines[3].starts_with("        0 "), "{lines:#?}");
        assert!(lines[4].contains("before") && lines[4].ends_with("00:00:00"), "{lines:#?}");
    }

    #[test]
    fn what_is_usual_is_a_band_behind_the_values() {
        let mut signal = signal([vec![Some(0.0)], vec![Some(40.0); 29]].concat(), 1e9);
        let words = String::new();
        signal.usual =
            Some(crate::domain::pane::UsualView { median: Some(22.0), low: Some(20.0), high: Some(24.0), words });
        let lines: Vec<String> = chart(&signal, 40, 6).iter().map(Strip::plain).collect();
        let banded: Vec<&String> = lines.iter().filter(|l| l.contains('░')).collect();
        assert!((1..=2).contains(&banded.len()), "{lines:#?}");
        assert!(banded[0].trim_start().starts_with("usual ░"), "{lines:#?}");
        assert!(!lines[0].contains('░'), "{lines:#?}");
    }

    #[test]
    fn what_was_not_observed_is_a_gap_and_no_low_value() {
        let series = [vec![Some(5.0); 10], vec![None; 10], vec![Some(5.0); 10]].concat();
        let lines = chart(&signal(series, 1e9), 50, 4);
        let drawn: String = lines.iter().take(3).map(Strip::plain).collect();
        let dots = drawn.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count();
        assert_eq!(dots, 27, "{drawn}");
    }

    #[test]
    fn yes_and_no_are_the_ends_of_their_scale_whatever_was_seen() {
        let mut flag = signal(vec![Some(1.0); 20], 1.0);
        flag.now.unit = Unit::Flag;
        let lines: Vec<String> = chart(&flag, 40, 6).iter().map(Strip::plain).collect();
        let labels: Vec<&str> = lines.iter().take(5).map(|l| l.get(..10).unwrap().trim()).collect();
        assert_eq!(labels, ["yes", "", "", "", "no"], "{lines:#?}");
        assert!(!lines.iter().any(|l| l.contains('┄')), "{lines:#?}");
    }

    #[test]
    fn odd_values_are_drawn_or_said() {
        for series in [vec![], vec![Some(f32::NAN); 4], vec![Some(f32::INFINITY), Some(1.0)], vec![Some(0.0); 3]] {
            assert!(!chart(&signal(series, 0.0), 40, 6).is_empty());
        }
        let huge = chart(&signal(vec![Some(f32::MAX), Some(f32::MIN), None], f64::MAX), 40, 6);
        assert_eq!(huge.len(), 6);
    }
}
