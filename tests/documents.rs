//! What README and `docs/` tell people to type can be typed: each command is one that the program takes, and each block of
//! configuration is one that it reads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use clap::Parser as _;
use clap::error::ErrorKind;
use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use quarterdeck::cli::args::Cli;
use std::fs;
use std::path::{Path, PathBuf};
use support::run;

/// What the examples of configuration take for granted.
const GIVEN: &str = "[estate]\nname = \"acme-prod\"\nenvironment = \"production\"";

/// What parsing says of the name of a command without what it needs.
const NAMED: [ErrorKind; 2] = [ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, ErrorKind::MissingRequiredArgument];

/// What is wrong with an example for the only reason that what it refers to stands elsewhere.
const ELSEWHERE: [&str; 5] =
    ["which is no", "which is neither", "is no [[", "No such file", "needs [journal.postgres]"];

/// A document, with what of it is tried.
struct Document {
    name: String,
    parts: Vec<(usize, Part)>,
}

/// Part of a document, found at a line.
enum Part {
    Block(String),
    Span(String),
    Link(String),
    Title(String),
}

fn documents() -> Vec<Document> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> = fs::read_dir(root.join("docs")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "md"));
    paths.push(root.join("README.md"));
    paths.push(root.join("playbooks/README.md"));
    paths.push(root.join("tests/lab/README.md"));
    paths.sort();
    let read = |path: &PathBuf| Document {
        name: path.strip_prefix(root).unwrap().display().to_string(),
        parts: parts(&fs::read_to_string(path).unwrap()),
    };
    paths.iter().map(read).collect()
}

fn parts(text: &str) -> Vec<(usize, Part)> {
    let mut parts = Vec::new();
    let mut inside: Option<String> = None;
    for (event, range) in Parser::new(text).into_offset_iter() {
        let line = text[..range.start].matches('\n').count() + 1;
        match event {
            Event::Start(Tag::CodeBlock(_) | Tag::Heading { .. }) => inside = Some(String::new()),
            Event::End(TagEnd::CodeBlock) => parts.push((line, Part::Block(inside.take().unwrap()))),
            Event::End(TagEnd::Heading(_)) => parts.push((line, Part::Title(inside.take().unwrap()))),
            Event::Start(Tag::Link { dest_url, .. }) => parts.push((line, Part::Link(dest_url.into_string()))),
            Event::Code(code) => {
                if let Some(all) = &mut inside {
                    all.push_str(&code);
                }
                parts.push((line, Part::Span(code.into_string())));
            }
            Event::Text(text) => {
                if let Some(all) = &mut inside {
                    all.push_str(&text);
                }
            }
            _ => {}
        }
    }
    parts
}

impl Document {
    /// Commands with the number of their line: lines of blocks, and words between backticks.
    fn commands(&self) -> Vec<(usize, String)> {
        let mut all = Vec::new();
        for (first, part) in &self.parts {
            match part {
                Part::Block(block) => {
                    let joined = block.replace("\\\n", "");
                    let lines = joined.lines().map(|l| l.trim_start().trim_start_matches("$ "));
                    all.extend(lines.map(|line| (*first, line.to_owned())));
                }
                Part::Span(span) => all.push((*first, span.clone())),
                Part::Link(_) | Part::Title(_) => {}
            }
        }
        all.retain(|(_, command)| command.starts_with("quarterdeck "));
        all
    }

    fn titles(&self) -> impl Iterator<Item = String> {
        self.parts.iter().filter_map(|(_, part)| match part {
            Part::Title(title) => Some(anchor(title)),
            _ => None,
        })
    }
}

/// The words of a command as a shell would have them, without what is said of it; `None` where something is left out.
fn words(command: &str) -> Option<Vec<String>> {
    let said = command.split("  #").next().unwrap_or(command);
    let alone = said.split(['|', '>', '<', ';', '&']).next().unwrap_or(said);
    // What stands in brackets may be left out.
    let (mut bare, mut depth) = (String::new(), 0_i32);
    for c in alone.chars() {
        depth += i32::from(c == '[') - i32::from(c == ']');
        if depth == 0 && c != ']' {
            bare.push(c);
        }
    }
    (!bare.contains(['…', '{'])).then(|| shlex::split(&bare).unwrap_or_else(|| panic!("{command}: quotes do not fit")))
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for document in documents() {
        for (line, command) in document.commands() {
            let Some(words) = words(&command) else { continue };
            count += 1;
            // A family of commands, or a command without its arguments, is a name and not something to type.
            let is_name = words
                .iter()
                .skip(1)
                .all(|w| !w.starts_with('-') && w.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
            if let Err(error) = Cli::try_parse_from(&words)
                && !(is_name && NAMED.contains(&error.kind()))
            {
                let why = error.to_string();
                wrong.push(format!(
                    "{}:{line}: {command}\n    {}",
                    document.name,
                    why.lines().next().unwrap_or_default()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{count} commands");
    assert!(count > 60, "only {count} commands were found");
}

/// How a title is named in links to it: in small letters, with hyphens for blanks and nothing for other signs.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_somewhere_and_the_book_has_every_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = documents();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for document in &all {
        let folder = Path::new(&document.name).parent().unwrap();
        for (line, part) in &document.parts {
            let Part::Link(link) = part else { continue };
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (file, title) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { root.join(&document.name) } else { root.join(folder).join(file) };
            let found = path.canonicalize().ok();
            let has = |d: &Document| root.join(&d.name).canonicalize().ok() == found && d.titles().any(|t| t == title);
            if found.is_none() || !title.is_empty() && !all.iter().any(has) {
                wrong.push(format!("{}:{line}: {link} leads nowhere", document.name));
            }
        }
    }
    let summary = all.iter().find(|d| d.name == "docs/SUMMARY.md").unwrap();
    for page in all.iter().filter_map(|d| d.name.strip_prefix("docs/")).filter(|p| *p != "SUMMARY.md") {
        if !summary.parts.iter().any(|(_, part)| matches!(part, Part::Link(link) if link == page)) {
            wrong.push(format!("docs/SUMMARY.md: {page} is no page of the book"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{count} links");
    assert!(count > 60, "only {count} links were found");
}

#[test]
fn every_block_of_configuration_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for document in documents() {
        for (line, part) in &document.parts {
            let Part::Block(text) = part else { continue };
            let head = text.lines().next().unwrap_or_default();
            let begins = text.lines().find(|l| !l.trim().is_empty() && !l.starts_with('#'));
            // A rule, and what begins with the name of its file, are files of their own.
            let is_other = head.starts_with("# ") && head.contains(".toml") || head.starts_with("[[rule]]");
            if is_other || text.contains('…') || !begins.is_some_and(|l| l.starts_with('[')) {
                continue;
            }
            count += 1;
            let estate = text.lines().any(|l| l.starts_with("[estate]"));
            let whole = if estate { text.replacen("[estate]", GIVEN, 1) } else { format!("{GIVEN}\n{text}") };
            let file = dir.path().join("c.toml");
            fs::write(&file, &whole).unwrap();
            let (_, _, said) = run(dir.path(), &["--config", file.to_str().unwrap(), "config", "check"]);
            let said = said.lines().filter(|l| l.contains("c.toml:") && !ELSEWHERE.iter().any(|e| l.contains(e)));
            wrong.extend(said.map(|l| format!("{}:{line}: {l}", document.name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{count} blocks");
    assert!(count > 15, "only {count} blocks were found");
}
