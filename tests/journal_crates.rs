//! The benchmark and the fuzz targets of the journal are crates of their own that take its sources: what these use,
//! both crates must name.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::path::Path;

fn sources(dir: &Path) -> String {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.map(|p| if p.is_dir() { sources(&p) } else { std::fs::read_to_string(&p).unwrap_or_default() }).collect()
}

fn dependencies(manifest: &Path, table: &str) -> toml::Table {
    let manifest: toml::Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
    manifest[table].as_table().unwrap().clone()
}

#[test]
fn the_crates_that_take_the_journals_sources_have_what_those_use() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = sources(&root.join("src/journal")) + &sources(&root.join("src/domain"));
    let used: Vec<(String, toml::Value)> = dependencies(&root.join("Cargo.toml"), "dependencies")
        .into_iter()
        // A module of the vocabulary may have the name of a crate.
        .filter(|(name, _)| !text.contains(&format!("pub mod {name};")))
        .filter(|(name, _)| {
            let path = format!("{}::", name.replace('-', "_"));
            text.match_indices(&path)
                .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c)))
        })
        .collect();
    assert!(used.len() > 8, "{used:?}");
    for manifest in ["benches/journal/Cargo.toml", "fuzz/Cargo.toml"] {
        let named = dependencies(&root.join(manifest), "dependencies");
        for (name, wanted) in &used {
            let features = |value: Option<&toml::Value>| -> Vec<String> {
                let list = value.and_then(|v| v.get("features")).and_then(toml::Value::as_array);
                list.into_iter().flatten().map(|f| f.as_str().unwrap().to_owned()).collect()
            };
            assert!(named.contains_key(name), "{manifest} lacks {name}");
            if name != "tokio" {
                let found = features(named.get(name));
                assert!(features(Some(wanted)).iter().all(|f| found.contains(f)), "{manifest}: features of {name}");
            }
        }
    }
}
