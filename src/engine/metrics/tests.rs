use super::table::MEASURES;
use std::collections::BTreeSet;

#[test]
fn the_page_names_every_measure_and_no_other() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|l| l.strip_prefix("| `")?.split(['`', '{']).next());
    let said: BTreeSet<&str> = rows.map(|name| name.trim_end_matches("_total")).collect();
    let there: BTreeSet<&str> = MEASURES.iter().map(|m| m.name).collect();
    assert_eq!(said, there);
}

#[test]
fn the_alerts_ask_only_for_measures_that_there_are() {
    let rules = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/alerts.yml")).unwrap();
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let asked: BTreeSet<&str> = words.filter(|w| w.starts_with("quarterdeck_") || w.starts_with("process_")).collect();
    assert!(asked.len() > 8, "{asked:?}");
    for name in asked {
        let bare = ["_total", "_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
        assert!(MEASURES.iter().any(|m| m.name == bare), "{name}");
    }
}
