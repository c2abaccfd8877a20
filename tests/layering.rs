//! Arrows point down the map only: reads the `use crate::` lines of every module and fails on an upward one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the top down; modules of one layer may not use each other, but for what stands in `SIDEWAYS`.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["terminal"],
    &["console"],
    &["engine"],
    &["observe", "act", "drill", "attest"],
    &["correlate", "playbook", "policy", "journal", "report", "comms"],
    &["config"],
    &["domain"],
];

/// Sideways arrows that the map draws: a simulated verb declares what the real one declares; one HTTP client serves
/// all that speak it.
const SIDEWAYS: &[(&str, &str)] = &[
    ("drill", "act"),
    ("report", "journal"),
    ("report", "comms"),
    ("comms", "journal"),
    ("act", "observe"),
    ("attest", "observe"),
];

/// Modules that may not name a clock, file, socket or terminal.
const PURE: &[&str] = &["domain", "playbook", "policy", "correlate", "report", "comms"];
const IMPURE: &[&str] =
    &["std::fs", "std::net", "std::io::stdin", "tokio::", "Timestamp::now", "Instant::now", "SystemTime", "Zoned::now"];

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|l| l.contains(&module))
}

/// The text without its test modules: everything from the first `#[cfg(test)]` on.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

fn each_module(mut check: impl FnMut(&str, &Path, &str)) -> usize {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut count = 0;
    for layer in LAYERS {
        for module in *layer {
            let mut files = Vec::new();
            sources(&root.join(module), &mut files);
            assert!(!files.is_empty(), "the map names {module}, which has no files");
            for file in files {
                if file.file_name().unwrap().to_string_lossy().contains("tests") {
                    continue;
                }
                check(module, &file, &fs::read_to_string(&file).unwrap());
                count += 1;
            }
        }
    }
    count
}

#[test]
fn arrows_point_down_only() {
    let mut wrong = Vec::new();
    let files = each_module(|module, file, text| {
        for (number, line) in without_tests(text).lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for part in code.split("crate::").skip(1) {
                let target: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(to) = layer(&target) else { continue };
                let from = layer(module).unwrap();
                let sideways = to == from && target != module && !SIDEWAYS.contains(&(module, target.as_str()));
                if to < from || sideways {
                    wrong.push(format!("{}:{}: {module} uses {target}", file.display(), number + 1));
                }
            }
        }
    });
    assert!(files > 40, "only {files} files were read");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_crate_is_on_the_map() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for line in lib.lines().filter_map(|l| l.strip_prefix("pub mod ")) {
        let module = line.trim_end_matches(';');
        assert!(layer(module).is_some(), "{module} is not on the map");
    }
}

#[test]
fn the_pure_core_reads_no_clock_file_socket_or_terminal() {
    let mut wrong = Vec::new();
    each_module(|module, file, text| {
        let pure_console = module == "console"
            && ["state", "update", "keymap"].iter().any(|p| file.to_string_lossy().contains(&format!("console/{p}")));
        if !PURE.contains(&module) && !pure_console {
            return;
        }
        for (number, line) in without_tests(text).lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for name in IMPURE {
                if code.contains(name) {
                    wrong.push(format!("{}:{}: {name}", file.display(), number + 1));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
