//! The shipped rules with their holds scaled, so that nobody waits for minutes. The thresholds stay as they are.

use std::path::Path;
use std::sync::LazyLock;

/// What holds are divided by.
pub const SCALE: u64 = 12;

/// The rules.
pub static SCALED: LazyLock<toml::Table> = LazyLock::new(|| {
    let mut rules: toml::Table = include_str!("../../rules/built-in.toml").parse().unwrap();
    for rule in rules["rule"].as_array_mut().unwrap() {
        for key in ["hold", "critical_hold"] {
            let rule = rule.as_table_mut().unwrap();
            if let Some(hold) = rule.get(key) {
                let hold: u64 = hold.as_str().unwrap().trim_end_matches('s').parse().unwrap();
                rule.insert(key.to_owned(), format!("{}s", hold / SCALE).into());
            }
        }
    }
    rules
});

/// Puts them where the program looks for a user's own.
pub fn write(home: &Path) {
    let rules = home.join(".config/quarterdeck/rules");
    std::fs::create_dir_all(&rules).unwrap();
    std::fs::write(rules.join("scaled.toml"), SCALED.to_string()).unwrap();
}
