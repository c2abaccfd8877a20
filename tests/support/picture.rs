//! A screen as an SVG picture: what the terminal shows, cell by cell.

use std::fmt::Write as _;
use vt100::{Color, Screen};

const CELL: (u32, u32) = (9, 19);
const PAD: u32 = 12;
const FOREGROUND: &str = "#d8dee9";
const BACKGROUND: &str = "#10141a";
/// The sixteen named colours, as xterm has them but for a softer blue.
const NAMED: [&str; 16] = [
    "#1c2128", "#cd3131", "#0dbc79", "#e5c07b", "#4b8bf4", "#bc3fbc", "#11a8cd", "#c8ccd4", "#6b7280", "#f14c4c",
    "#23d18b", "#f5f543", "#6ea8fe", "#d670d6", "#29b8db", "#ffffff",
];

fn color(color: Color, default: &str) -> String {
    match color {
        Color::Default => default.to_owned(),
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Idx(i) if i < 16 => NAMED[usize::from(i)].to_owned(),
        Color::Idx(i) if i < 232 => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let i = i - 16;
            format!("#{:02x}{:02x}{:02x}", level(i / 36), level(i / 6 % 6), level(i % 6))
        }
        Color::Idx(i) => {
            let grey = 8 + 10 * (i - 232);
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Draws a screen.
pub fn svg(screen: &Screen) -> String {
    let (rows, columns) = (screen.size().0.get(), screen.size().1.get());
    let (width, height) = (u32::from(columns) * CELL.0 + 2 * PAD, u32::from(rows) * CELL.1 + 2 * PAD);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"15\" xml:space=\"preserve\">\n"
    );
    for row in 0..rows {
        for column in 0..columns {
            let Some(cell) = screen.cell(row, column) else { continue };
            let (mut front, mut back) = (color(cell.fgcolor(), FOREGROUND), color(cell.bgcolor(), BACKGROUND));
            if cell.inverse() {
                std::mem::swap(&mut front, &mut back);
            }
            let (x, y) = (PAD + u32::from(column) * CELL.0, PAD + u32::from(row) * CELL.1);
            let wide = if cell.is_wide() { 2 } else { 1 };
            if back != BACKGROUND {
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"{back}\"/>",
                    CELL.0 * wide,
                    CELL.1
                );
            }
            let text = cell.contents();
            if !text.trim().is_empty() {
                let weight = if cell.bold() { " font-weight=\"bold\"" } else { "" };
                let dim = if cell.dim() { " opacity=\"0.6\"" } else { "" };
                let line = if cell.underline() { " text-decoration=\"underline\"" } else { "" };
                let _ = writeln!(
                    svg,
                    "<text x=\"{x}\" y=\"{}\" fill=\"{front}\"{weight}{dim}{line}>{}</text>",
                    y + 15,
                    escape(text)
                );
            }
        }
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}
