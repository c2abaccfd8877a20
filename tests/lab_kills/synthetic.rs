//! A synthetic in the probe company of the lab's Odoo: what it makes it takes away, also where the answer is lost.

use crate::case::{Case, Gate, Scene};
use crate::lab_support::wire::{Asks, Wire};
use std::sync::Arc;

/// What the documents of the verb are marked with.
const MARK: &str = "quarterdeck-probe/verb/";

/// The request that makes the document. Its head and its body may come one after the other; with the body it is whole.
fn makes() -> Asks {
    let has = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    Arc::new(move |before, bytes| {
        if has(bytes, "POST /json/2/") {
            before.clear();
        }
        before.extend_from_slice(bytes);
        let whole = has(before, "POST /json/2/sale.order/create ") && has(before, MARK);
        if whole {
            before.clear();
        }
        whole
    })
}

pub fn cases<'a>(scene: &'a Scene<'a>) -> Vec<Case<'a>> {
    let lab = scene.lab;
    let wire = Wire::to(scene.port("LAB_ODOO_URL"), makes());
    // What the engine tries by itself, once in an hour, has another mark.
    let config = format!(
        "[[tenant]]\nid = \"t1\"\n[[synthetic]]\ntenant = \"t1\"\nurl = \"http://127.0.0.1:{}\"\nhost = \"t003.lab.test\"\n\
         database = \"t003\"\ncompany = \"Quarterdeck Probe\"\nkey = \"file:{}\"\nrun = [\"sales-order\"]\ninterval = \"1h\"\n",
        wire.port(),
        lab.var("LAB_ODOO_PROBE_KEY_FILE")
    );
    let marked = format!("FROM sale_order WHERE client_order_ref LIKE '{MARK}%'");
    let left = format!("SELECT count(*) {marked}");
    let case = Case::new(
        ("odoo.synthetic", "taken away again"),
        config,
        Gate::Wire(wire),
        move || {
            lab.sql("t003", &format!("DELETE {marked}"));
            "tenant: t1, synthetic: sales-order".to_owned()
        },
        move || lab.count("t003", &left),
    );
    vec![case.tidies().first().with("risk: low, blastRadius: tenant, reversible: true")]
}
