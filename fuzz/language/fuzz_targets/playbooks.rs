//! Any text is a playbook or a list of sentences with places; any expression ends with an answer, any template with a
//! bounded text or a sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quarterdeck::domain::text::is_hostile;
use quarterdeck::playbook::expr::{Known, Parsed, Surroundings};
use quarterdeck::playbook::{lint, template};
use serde_json::json;
use std::collections::BTreeMap;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for problem in lint(&text, "p.yaml", &[], &["lock.blocked"]) {
        assert!(problem.line > 0 && problem.column > 0 && !problem.message.is_empty());
        assert!(!problem.message.chars().any(|c| is_hostile(c) && c != '\n'), "{problem}");
    }
    let params: BTreeMap<_, _> = [("tenant".to_owned(), json!("t017")), ("n".to_owned(), json!(7))].into();
    let outputs: BTreeMap<_, _> = [("look".to_owned(), json!({"list": [1, 2, 3], "name": "x"}))].into();
    let line = text.lines().next().unwrap_or_default();
    if let Ok(parsed) = Parsed::new(line) {
        let around = Surroundings::nothing();
        let known = Known { around: &around, params: &params, outputs: &outputs, result: None, item: None };
        let _ = known.evaluate(&parsed, line, None);
        let _ = known.value(&parsed);
    }
    let values = template::Values { params: &params, tenant: None, outputs: &outputs, item: None };
    if let Ok(made) = template::text(line, &values) {
        assert!(made.chars().count() <= 8192);
    }
});
