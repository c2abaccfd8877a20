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
use quarterdeck::cli::args::Cli;
use std::fs;
use std::path::{Path, PathBuf};
use support::run;

/// What the examples of configuration take for granted.
const GIVEN: &str = "[estate]\nname = \"acme-prod\"\nenvironment = \"production\"";

/// What parsing says of the name of a command without what it needs.
const NAMED: [ErrorKind; 2] = [ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, ErrorKind::MissingRequiredArgument];

/// What is wrong with an example for the only reason that what it refers to stands elsewhere.
const ELSEWHERE: [&str; 4] = ["which is no", "which is neither", "is no [[", "No such file"];

/// A document, with its lines.
struct Document {
    name: String,
    lines: Vec<String>,
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
        lines: fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect(),
    };
    paths.iter().map(read).collect()
}

impl Document {
    /// Blocks of code with the number of their first line: fenced, or four spaces in after an empty line.
    fn blocks(&self) -> Vec<(usize, Vec<&str>)> {
        let mut blocks: Vec<(usize, Vec<&str>)> = Vec::new();
        let (mut fenced, mut open) = (false, false);
        for (number, line) in self.lines.iter().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
                open = false;
                continue;
            }
            let code = if fenced { Some(line.as_str()) } else { line.strip_prefix("    ") };
            let goes_on = open && !fenced && line.is_empty();
            match (code, open || goes_on) {
                (Some(code), true) => blocks.last_mut().unwrap().1.push(code),
                (Some(code), false) if fenced || number == 0 || self.lines[number - 1].is_empty() => {
                    blocks.push((number + 1, vec![code]));
                    open = true;
                }
                (None, _) if goes_on => blocks.last_mut().unwrap().1.push(""),
                _ => open = false,
            }
        }
        blocks
    }

    /// Commands with the number of their line: lines of blocks, and words between backticks.
    fn commands(&self) -> Vec<(usize, String)> {
        let mut all = Vec::new();
        for (first, block) in self.blocks() {
            let mut joined = String::new();
            for (at, line) in block.iter().enumerate() {
                joined.push_str(line.trim_start().trim_start_matches("$ "));
                if let Some(open) = joined.strip_suffix('\\') {
                    joined = open.to_owned();
                    continue;
                }
                if joined.starts_with("quarterdeck ") {
                    all.push((first + at, joined.clone()));
                }
                joined.clear();
            }
        }
        for (at, line) in self.lines.iter().enumerate().filter(|(_, line)| !line.starts_with("    ")) {
            let spans = line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("quarterdeck "));
            all.extend(spans.map(|span| (at + 1, span.to_owned())));
        }
        all
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
            let is_name = words.iter().skip(1).all(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
                && !words.iter().any(|word| word.starts_with('-'));
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
    let titles = |document: &Document| -> Vec<String> {
        document
            .lines
            .iter()
            .filter_map(|l| Some(anchor(l.strip_prefix('#')?.trim_start_matches('#').trim())))
            .collect()
    };
    let (mut wrong, mut count) = (Vec::new(), 0);
    for document in &all {
        let folder = Path::new(&document.name).parent().unwrap();
        for (at, line) in document.lines.iter().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link)) {
                if link.contains("://") || line.starts_with("    ") {
                    continue;
                }
                count += 1;
                let (file, title) = link.split_once('#').unwrap_or((link, ""));
                let path = if file.is_empty() { root.join(&document.name) } else { root.join(folder).join(file) };
                let found = path.canonicalize().ok();
                let is_there = found.as_ref().is_some_and(|found| {
                    title.is_empty()
                        || all.iter().any(|d| {
                            root.join(&d.name).canonicalize().unwrap() == *found && titles(d).iter().any(|t| t == title)
                        })
                });
                if !is_there {
                    wrong.push(format!("{}:{}: {link} leads nowhere", document.name, at + 1));
                }
            }
        }
    }
    let summary = all.iter().find(|d| d.name == "docs/SUMMARY.md").unwrap().lines.join("\n");
    for page in all.iter().filter_map(|d| d.name.strip_prefix("docs/")).filter(|p| *p != "SUMMARY.md") {
        if !summary.contains(&format!("({page})")) {
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
        for (line, block) in document.blocks() {
            let text = block.join("\n");
            let begins = block.iter().find(|l| !l.trim().is_empty() && !l.starts_with('#'));
            // A rule, and what begins with the name of its file, are files of their own.
            let is_other = block[0].starts_with("# ") && block[0].contains(".toml") || text.starts_with("[[rule]]");
            if is_other || text.contains('…') || !begins.is_some_and(|l| l.starts_with('[')) {
                continue;
            }
            count += 1;
            let estate = block.iter().any(|l| l.starts_with("[estate]"));
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
