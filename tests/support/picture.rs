//! Screens as SVG: what the terminal shows, cell by cell. Neighbours of one look are one piece of text whose characters
//! have their places, so that it stands right in any font.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use vt100::{Cell, Color, Screen};

const CELL: (u32, u32) = (9, 19);
const PAD: u32 = 12;
/// From the top of a row to the line that its letters stand on.
const RISE: u32 = 15;
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

/// How a cell looks.
#[derive(Clone, PartialEq, Eq)]
struct Look {
    front: String,
    back: String,
    bold: bool,
    dim: bool,
    line: bool,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let (mut front, mut back) = (color(cell.fgcolor(), FOREGROUND), color(cell.bgcolor(), BACKGROUND));
        if cell.inverse() {
            std::mem::swap(&mut front, &mut back);
        }
        Self { front, back, bold: cell.bold(), dim: cell.dim(), line: cell.underline() }
    }
}

/// The colours of a picture by their short names.
#[derive(Default)]
struct Colors(BTreeMap<String, usize>);

impl Colors {
    fn class(&mut self, color: &str) -> String {
        let next = self.0.len();
        format!("c{}", self.0.entry(color.to_owned()).or_insert(next))
    }

    fn style(&self) -> String {
        let mut style = "text{font:15px 'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}\
             .b{font-weight:bold}.d{opacity:.6}.u{text-decoration:underline}"
            .to_owned();
        for (color, n) in &self.0 {
            let _ = write!(style, ".c{n}{{fill:{color}}}");
        }
        style
    }
}

/// The background that most cells have.
fn ground(screen: &Screen) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (rows, columns) = (screen.size().0.get(), screen.size().1.get());
    for cell in (0..rows).flat_map(|r| (0..columns).filter_map(move |c| screen.cell(r, c))) {
        *counts.entry(Look::of(cell).back).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, n)| *n).map_or_else(|| BACKGROUND.to_owned(), |(color, _)| color)
}

/// A row, its letters standing on y = 0.
fn row(screen: &Screen, row: u16, ground: &str, colors: &mut Colors) -> String {
    let mut svg = String::new();
    let mut cells: Vec<(u32, u32, Look, String)> = Vec::new();
    for column in 0..screen.size().1.get() {
        let Some(cell) = screen.cell(row, column).filter(|c| !c.is_wide_continuation()) else { continue };
        let width = if cell.is_wide() { 2 } else { 1 };
        cells.push((u32::from(column), width, Look::of(cell), cell.contents().to_owned()));
    }
    for run in cells.chunk_by(|a, b| a.2.back == b.2.back) {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        if first.2.back != ground {
            let width = (last.0 + last.1 - first.0) * CELL.0;
            let class = colors.class(&first.2.back);
            let (x, top, height) = (first.0 * CELL.0, RISE, CELL.1);
            let _ =
                write!(svg, "<rect class=\"{class}\" x=\"{x}\" y=\"-{top}\" width=\"{width}\" height=\"{height}\"/>");
        }
    }
    let seen: Vec<_> = cells.iter().filter(|(.., look, text)| !text.trim().is_empty() || look.line).collect();
    let beside = |a: &&(u32, u32, Look, String), b: &&(u32, u32, Look, String)| a.2 == b.2 && a.0 + a.1 == b.0;
    for run in seen.chunk_by(|a, b| beside(a, b)) {
        let look = &run[0].2;
        let mut class = colors.class(&look.front);
        for (on, name) in [(look.bold, " b"), (look.dim, " d"), (look.line, " u")] {
            class.push_str(if on { name } else { "" });
        }
        let places: Vec<String> = run.iter().map(|(column, ..)| (column * CELL.0).to_string()).collect();
        let text: String = run.iter().map(|(.., text)| if text.is_empty() { " " } else { text.as_str() }).collect();
        // A letter with combining marks takes as many places as it has characters, so it stands for itself.
        let single = run.iter().all(|(.., text)| text.chars().count() <= 1);
        if single {
            let _ = write!(svg, "<text class=\"{class}\" x=\"{}\">{}</text>", places.join(" "), escape(&text));
        } else {
            for (column, .., text) in run {
                let _ = write!(svg, "<text class=\"{class}\" x=\"{}\">{}</text>", column * CELL.0, escape(text));
            }
        }
    }
    svg
}

fn extent(screen: &Screen) -> (u32, u32) {
    let (rows, columns) = (u32::from(screen.size().0.get()), u32::from(screen.size().1.get()));
    (columns * CELL.0 + 2 * PAD, rows * CELL.1 + 2 * PAD)
}

fn opening((width, height): (u32, u32), style: &str, ground: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\
         <style>{style}</style>\n<rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{ground}\"/>\n"
    )
}

fn top(row: u16) -> u32 {
    PAD + RISE + u32::from(row) * CELL.1
}

/// Draws a screen.
pub fn svg(screen: &Screen) -> String {
    let (mut colors, ground, mut body) = (Colors::default(), ground(screen), String::new());
    for n in 0..screen.size().0.get() {
        let drawn = row(screen, n, &ground, &mut colors);
        if !drawn.is_empty() {
            let _ = writeln!(body, "<g transform=\"translate({PAD},{})\">{drawn}</g>", top(n));
        }
    }
    format!("{}{body}</svg>\n", opening(extent(screen), &colors.style(), &ground))
}

/// Frames one after the other, each with the seconds from the beginning at which it comes; what they have in common is
/// drawn once.
pub struct Film {
    colors: Colors,
    ground: String,
    extent: (u32, u32),
    /// Every row that was ever seen, by its drawing.
    rows: BTreeMap<String, usize>,
    frames: Vec<(f64, Vec<Option<usize>>)>,
}

impl Film {
    /// No frame yet, of the size and the ground of this screen.
    pub fn new(screen: &Screen) -> Self {
        let (ground, extent) = (ground(screen), extent(screen));
        Self { colors: Colors::default(), ground, extent, rows: BTreeMap::new(), frames: Vec::new() }
    }

    /// Adds what the screen shows at a moment; a frame like the one before is not added.
    pub fn add(&mut self, at: f64, screen: &Screen) {
        let mut frame = Vec::new();
        for n in 0..screen.size().0.get() {
            let drawn = row(screen, n, &self.ground, &mut self.colors);
            let next = self.rows.len();
            frame.push((!drawn.is_empty()).then(|| *self.rows.entry(drawn).or_insert(next)));
        }
        if self.frames.last().is_none_or(|(_, last)| *last != frame) {
            self.frames.push((at, frame));
        }
    }

    /// The moving picture, `length` seconds long and then again from the beginning.
    pub fn svg(&self, length: f64) -> String {
        let (width, _) = self.extent;
        let mut style = self.colors.style();
        let _ = write!(style, "#f{{animation:f {length:.1}s step-end infinite}}@keyframes f{{");
        for (n, (at, _)) in self.frames.iter().enumerate() {
            let share = if n == 0 { 0.0 } else { at / length * 100.0 };
            let x = u32::try_from(n).unwrap_or(u32::MAX) * width;
            let _ = write!(style, "{share:.2}%{{transform:translateX(-{x}px)}}");
        }
        style.push('}');
        let mut svg = opening(self.extent, &style, &self.ground);
        svg.push_str("<defs>\n");
        for (drawn, id) in &self.rows {
            let _ = writeln!(svg, "<g id=\"r{id}\">{drawn}</g>");
        }
        svg.push_str("</defs>\n<g id=\"f\">\n");
        for (n, (_, frame)) in self.frames.iter().enumerate() {
            let left = u32::try_from(n).unwrap_or(u32::MAX) * width + PAD;
            let _ = write!(svg, "<g transform=\"translate({left},0)\">");
            for (at, id) in (0..).zip(frame).filter_map(|(at, id)| Some((at, (*id)?))) {
                let _ = write!(svg, "<use href=\"#r{id}\" y=\"{}\"/>", top(at));
            }
            svg.push_str("</g>\n");
        }
        svg.push_str("</g>\n</svg>\n");
        svg
    }

    /// How many frames it has.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }
}
