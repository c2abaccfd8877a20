//! How a report is read: Markdown, and one HTML page that needs nothing else, prints well and reads without scripts.
//! The texts are the templates beside this file; every value in them is escaped for its form.

use super::governance::Governance;
use super::model::Report;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value};
use serde::Serialize;
use std::path::Path;

/// Width of the chart, in units of its drawing.
const WIDTH: i64 = 1000;

/// One bar of the chart: something that lasted.
#[derive(Debug, Serialize)]
struct Bar {
    label: String,
    class: &'static str,
    x: i64,
    width: i64,
}

/// One mark of the chart: something that happened.
#[derive(Debug, Serialize)]
struct Mark {
    label: String,
    x: i64,
}

/// What lasted and what happened, over the time of the incident.
#[derive(Debug, Serialize)]
struct Chart {
    from: Timestamp,
    to: Timestamp,
    bars: Vec<Bar>,
    marks: Vec<Mark>,
}

#[derive(Serialize)]
struct Page<'a> {
    report: &'a Report,
    chart: Option<Chart>,
}

/// The report as Markdown.
///
/// # Errors
/// One sentence, when the template and the report do not fit.
pub fn markdown(report: &Report) -> Result<String, String> {
    write("report.md", report)
}

/// The report as one HTML page.
///
/// # Errors
/// One sentence, when the template and the report do not fit.
pub fn html(report: &Report) -> Result<String, String> {
    write("report.html", report)
}

/// The trends as Markdown.
///
/// # Errors
/// One sentence, when the template and the report do not fit.
pub fn governance_markdown(report: &Governance) -> Result<String, String> {
    fill("governance.md", report)
}

/// The trends as one HTML page.
///
/// # Errors
/// One sentence, when the template and the report do not fit.
pub fn governance_html(report: &Governance) -> Result<String, String> {
    fill("governance.html", report)
}

fn write(name: &str, report: &Report) -> Result<String, String> {
    fill(name, &Page { report, chart: chart(report) })
}

fn fill(name: &str, page: &impl Serialize) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    let syntax = syntax.trim_blocks(true).lstrip_blocks(true).build().map_err(|e| e.to_string())?;
    environment.set_syntax(syntax);
    environment.set_auto_escape_callback(|name| {
        if Path::new(name).extension().is_some_and(|e| e == "html") {
            AutoEscape::Html
        } else {
            AutoEscape::Custom("markdown".into())
        }
    });
    environment.set_formatter(formatted);
    environment.add_filter("stamp", |text: &str| moment(text, "%Y-%m-%d %H:%M:%SZ"));
    environment.add_filter("clock", |text: &str| moment(text, "%H:%M:%SZ"));
    environment.add_filter("span", span);
    environment.add_filter("percent", |share: f64| format!("{:.3} %", share * 100.0));
    let texts = [
        ("report.md", include_str!("report.md")),
        ("report.html", include_str!("report.html")),
        ("style.html", include_str!("style.html")),
        ("governance.md", include_str!("governance.md")),
        ("governance.html", include_str!("governance.html")),
    ];
    for (name, text) in texts {
        environment.add_template(name, text).map_err(|e| e.to_string())?;
    }
    let template = environment.get_template(name).map_err(|e| e.to_string())?;
    let text = template.render(Serde(page)).map_err(|e| format!("the report can not be written: {e}"))?;
    Ok(text + "\n")
}

/// Text is escaped so that it stays text, in a table too.
fn formatted(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    match (state.auto_escape(), value.as_str()) {
        (AutoEscape::Custom(_), Some(text)) if !value.is_safe() => {
            let mut escaped = String::with_capacity(text.len());
            for c in text.chars() {
                if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&') {
                    escaped.push('\\');
                }
                escaped.push(c);
            }
            out.write_str(&escaped).map_err(minijinja::Error::from)
        }
        (AutoEscape::Custom(_), _) => out.write_str(&value.to_string()).map_err(minijinja::Error::from),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

fn moment(text: &str, form: &str) -> String {
    text.parse::<Timestamp>()
        .map_or_else(|_| text.to_owned(), |at| at.to_zoned(TimeZone::UTC).strftime(form).to_string())
}

/// Seconds as people say them: `1 h 02 min`, `3 min 05 s`, `12 s`.
fn span(seconds: i64) -> String {
    let (sign, s) = if seconds < 0 { ("-", seconds.saturating_neg()) } else { ("", seconds) };
    match (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60) {
        (0, 0, 0, s) => format!("{sign}{s} s"),
        (0, 0, m, s) => format!("{sign}{m} min {s:02} s"),
        (0, h, m, _) => format!("{sign}{h} h {m:02} min"),
        (d, h, _, _) => format!("{sign}{d} d {h:02} h"),
    }
}

fn chart(report: &Report) -> Option<Chart> {
    let m = &report.moments;
    let from = [m.began, m.declared].into_iter().flatten().min()?;
    let to = report.timeline.iter().map(|s| s.at).chain(report.findings.iter().filter_map(|f| f.cleared)).max()?;
    let whole = to.duration_since(from).as_millis().max(1);
    let place = |at: Timestamp| {
        let passed = at.duration_since(from).as_millis().clamp(0, whole);
        i64::try_from(passed * i128::from(WIDTH) / whole).unwrap_or(0)
    };
    let bar = |label: String, class, begin: Timestamp, end: Option<Timestamp>| {
        let (x, last) = (place(begin), place(end.unwrap_or(to)));
        Bar { label, class, x, width: (last - x).max(2) }
    };
    let class = |severity: &str| match severity {
        "critical" => "critical",
        "unknown" => "unknown",
        _ => "warn",
    };
    let findings = report.findings.iter().map(|f| bar(f.id.clone(), class(&f.severity), f.since, f.cleared));
    let runs = report.runs.iter().map(|r| bar(format!("{} {}", r.run, r.playbook), "run", r.started, r.ended));
    let marks = [
        ("detected", m.detected),
        ("declared", m.declared),
        ("told", m.told),
        ("mitigated", m.mitigated),
        ("recovered", m.recovered),
        ("closed", m.closed),
    ];
    let marks = marks.into_iter().filter_map(|(what, at)| Some(Mark { label: what.to_owned(), x: place(at?) }));
    Some(Chart { from, to, bars: findings.chain(runs).collect(), marks: marks.collect() })
}
