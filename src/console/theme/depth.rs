//! Colours fitted to what a terminal has.

use super::ColorDepth;
use ratatui::style::Color;

/// The nearest colour that the terminal has.
pub fn nearest(color: Color, depth: ColorDepth) -> Option<Color> {
    match (depth, color) {
        (ColorDepth::None, _) => None,
        (ColorDepth::Ansi256, Color::Rgb(r, g, b)) => Some(Color::Indexed(cube(r, g, b))),
        (ColorDepth::Ansi16, Color::Rgb(r, g, b)) => Some(named(r, g, b)),
        (ColorDepth::Ansi16, Color::Indexed(i)) if i >= 16 => {
            let (r, g, b) = uncube(i);
            Some(named(r, g, b))
        }
        _ => Some(color),
    }
}

/// Index of the nearest colour of xterm's 6x6x6 cube, or of its greys.
fn cube(r: u8, g: u8, b: u8) -> u8 {
    if r.abs_diff(g) < 10 && g.abs_diff(b) < 10 {
        return match r {
            0..4 => 16,
            239.. => 231,
            _ => 232 + (r - 3).min(237) / 10,
        };
    }
    let level = |v: u8| match v {
        0..48 => 0,
        48..115 => 1,
        _ => (v - 35) / 40,
    };
    16 + 36 * level(r) + 6 * level(g) + level(b)
}

/// Red, green and blue of an index from 16 on.
pub(super) fn uncube(index: u8) -> (u8, u8, u8) {
    if index >= 232 {
        let grey = 8 + 10 * (index - 232);
        return (grey, grey, grey);
    }
    let i = index.saturating_sub(16);
    let level = |v: u8| if v == 0 { 0 } else { 55 + 40 * v };
    (level(i / 36), level(i / 6 % 6), level(i % 6))
}

/// The nearest of the sixteen named colours.
fn named(r: u8, g: u8, b: u8) -> Color {
    const NAMED: [(Color, [u8; 3]); 16] = [
        (Color::Black, [0, 0, 0]),
        (Color::Red, [205, 0, 0]),
        (Color::Green, [0, 205, 0]),
        (Color::Yellow, [205, 205, 0]),
        (Color::Blue, [0, 0, 238]),
        (Color::Magenta, [205, 0, 205]),
        (Color::Cyan, [0, 205, 205]),
        (Color::Gray, [229, 229, 229]),
        (Color::DarkGray, [127, 127, 127]),
        (Color::LightRed, [255, 0, 0]),
        (Color::LightGreen, [0, 255, 0]),
        (Color::LightYellow, [255, 255, 0]),
        (Color::LightBlue, [92, 92, 255]),
        (Color::LightMagenta, [255, 0, 255]),
        (Color::LightCyan, [0, 255, 255]),
        (Color::White, [255, 255, 255]),
    ];
    let distance =
        |c: &[u8; 3]| -> u32 { c.iter().zip([r, g, b]).map(|(a, b)| u32::from(a.abs_diff(b))).map(|d| d * d).sum() };
    NAMED.iter().min_by_key(|(_, c)| distance(c)).map_or(Color::Reset, |(color, _)| *color)
}
