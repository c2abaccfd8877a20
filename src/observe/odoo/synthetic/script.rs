//! The calls of each synthetic, in their order, as data: what is shown before is what is sent. A text `<name>` stands for
//! what the probe company has under that name, or for what an earlier call answered.

use super::{CODE, MARK};
use crate::domain::synthetic::Synthetic;
use jiff::{Span, Timestamp};
use serde_json::{Map, Value, json};

/// What an earlier try has left is taken away when it is older than this, in minutes: nobody works on it any more.
const LEFT_MIN: i64 = 10;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Takes away what an earlier try has left.
    Sweep,
    /// The work itself.
    Work,
    /// Takes away what this try has made; runs also when the work failed.
    Clean,
    /// Makes sure that nothing is left.
    Verify,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What it is for.
    pub stage: Stage,
    /// Model: `sale.order`.
    pub model: &'static str,
    /// Method: `action_confirm`.
    pub method: &'static str,
    /// Body.
    pub body: Value,
    /// The name that its answer gets.
    pub binds: Option<&'static str>,
    /// What it has to answer; a name that nothing got leaves the call out.
    pub expects: Option<Value>,
    /// It is left out where that name stands for nothing.
    pub needs: Option<&'static str>,
}

impl Call {
    /// Its path below the base URL.
    pub fn path(&self) -> String {
        format!("/json/2/{}/{}", self.model, self.method)
    }

    const fn binds(mut self, name: &'static str) -> Self {
        self.binds = Some(name);
        self
    }

    fn expects(mut self, answer: Value) -> Self {
        self.expects = Some(answer);
        self
    }

    const fn needs(mut self, name: &'static str) -> Self {
        self.needs = Some(name);
        self
    }
}

const fn call(stage: Stage, model: &'static str, method: &'static str, body: Value) -> Call {
    Call { stage, model, method, body, binds: None, expects: None, needs: None }
}

/// Something that the probe company has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixture {
    /// Name in the script.
    pub name: &'static str,
    /// Its model.
    pub model: &'static str,
    /// The field by which it is found, and its value.
    pub by: (&'static str, &'static str),
    /// The field that has its id; `id` itself for most.
    pub field: &'static str,
}

const fn fixture(name: &'static str, model: &'static str, by: (&'static str, &'static str)) -> Fixture {
    Fixture { name, model, by, field: "id" }
}

static SELLS: [Fixture; 2] = [
    fixture("<customer>", "res.partner", ("ref", CODE)),
    fixture("<service>", "product.product", ("default_code", "QUARTERDECK-PROBE-ORDER")),
];
static MOVES: [Fixture; 4] = [
    fixture("<product>", "product.product", ("default_code", CODE)),
    fixture("<to>", "stock.location", ("barcode", CODE)),
    Fixture { field: "location_id", ..fixture("<from>", "stock.location", ("barcode", CODE)) },
    fixture("<operation>", "stock.picking.type", ("code", "internal")),
];
static MAKES: [Fixture; 2] = [
    fixture("<made>", "product.product", ("default_code", "QUARTERDECK-PROBE-MADE")),
    fixture("<bill>", "mrp.bom", ("code", CODE)),
];

/// What the probe company has to have for a synthetic; each of them belongs to that company.
pub const fn fixtures(synthetic: Synthetic) -> &'static [Fixture] {
    match synthetic {
        Synthetic::SalesOrder => &SELLS,
        Synthetic::StockMove => &MOVES,
        Synthetic::WorkOrder => &MAKES,
    }
}

/// The documents that a synthetic makes, and the field that has their mark.
pub const fn documents(synthetic: Synthetic) -> (&'static str, &'static str) {
    let field = match synthetic {
        Synthetic::SalesOrder => "client_order_ref",
        Synthetic::StockMove | Synthetic::WorkOrder => "origin",
    };
    (synthetic.document(), field)
}

/// All documents of this try.
pub fn own(synthetic: Synthetic, reference: &str) -> Value {
    let (_, field) = documents(synthetic);
    json!([[field, "=like", format!("{reference}%")], ["company_id", "=", "<company>"]])
}

/// The calls of a synthetic. `reference` begins with [`MARK`] and is this try's alone.
pub fn script(synthetic: Synthetic, reference: &str, now: Timestamp) -> Vec<Call> {
    match synthetic {
        Synthetic::SalesOrder => order(synthetic, reference, now, ("<customer>", "sale")),
        Synthetic::StockMove => movement(reference),
        Synthetic::WorkOrder => order(synthetic, reference, now, ("<made>", "progress")),
    }
}

/// What others have left that is too old to be at work.
fn old(synthetic: Synthetic, now: Timestamp) -> Value {
    let (_, field) = documents(synthetic);
    let before = now.checked_sub(Span::new().minutes(LEFT_MIN)).unwrap_or(now);
    let before = before.strftime("%Y-%m-%d %H:%M:%S").to_string();
    json!([[field, "=like", format!("{MARK}%")], ["create_date", "<", before], ["company_id", "=", "<company>"]])
}

/// Finding documents, cancelling and deleting them.
fn taken_away(stage: Stage, model: &'static str, domain: &Value, name: &'static str) -> [Call; 3] {
    let quiet = json!({ "disable_cancel_warning": true });
    [
        call(stage, model, "search", json!({ "domain": domain })).binds(name),
        call(stage, model, "action_cancel", json!({ "ids": name, "context": quiet })),
        call(stage, model, "unlink", json!({ "ids": name })),
    ]
}

/// A sales order that is confirmed, or a manufacturing order whose work order is started; both can be deleted again.
fn order(synthetic: Synthetic, reference: &str, now: Timestamp, (of, state): (&str, &str)) -> Vec<Call> {
    use Stage::{Clean, Sweep, Verify, Work};
    let (model, field) = documents(synthetic);
    let mut values =
        Map::from_iter([(field.to_owned(), json!(reference)), ("company_id".to_owned(), json!("<company>"))]);
    let sells = synthetic == Synthetic::SalesOrder;
    let more = if sells {
        json!({ "partner_id": of, "order_line": [[0, 0, { "product_id": "<service>", "product_uom_qty": 1 }]] })
    } else {
        json!({ "product_id": of, "bom_id": "<bill>", "product_qty": 1 })
    };
    values.extend(more.as_object().cloned().unwrap_or_default());
    let count = |of: Value| json!({ "domain": of });
    let mut calls = taken_away(Sweep, model, &old(synthetic, now), "<left before>").to_vec();
    calls.push(call(Work, model, "create", json!({ "vals_list": [values] })).binds("<order>"));
    calls.push(call(Work, model, "action_confirm", json!({ "ids": "<order>" })));
    if sells {
        let confirmed = json!([["id", "in", "<order>"], ["state", "=", state]]);
        calls.push(call(Work, model, "search_count", count(confirmed)).expects(json!(1)));
    } else {
        let works = "mrp.workorder";
        let of_order = json!([["production_id", "in", "<order>"]]);
        let started = json!([["id", "in", "<work>"], ["state", "=", state]]);
        calls.push(call(Work, works, "search_count", count(of_order.clone())).expects(json!(1)));
        calls.push(call(Work, works, "search", json!({ "domain": of_order })).binds("<work>"));
        calls.push(call(Work, works, "button_start", json!({ "ids": "<work>" })));
        calls.push(call(Work, works, "search_count", count(started)).expects(json!(1)));
        calls.push(call(Work, works, "button_pending", json!({ "ids": "<work>" })));
    }
    calls.extend(taken_away(Clean, model, &own(synthetic, reference), "<made here>"));
    calls.push(call(Verify, model, "search_count", count(own(synthetic, reference))).expects(json!(0)));
    calls
}

/// One piece there and back again. What was moved can not be deleted in Odoo: two transfers that are done stay, and the
/// quantities are as before.
fn movement(reference: &str) -> Vec<Call> {
    use Stage::{Clean, Verify, Work};
    let model = "stock.picking";
    let there = |stage, values: Value, [picking, moves]: [&'static str; 2]| {
        let done = json!([["id", "in", picking], ["state", "=", "done"]]);
        [
            call(stage, model, "create", json!({ "vals_list": [values] })).binds(picking),
            call(stage, model, "action_confirm", json!({ "ids": picking })),
            call(stage, "stock.move", "search", json!({ "domain": [["picking_id", "in", picking]] })).binds(moves),
            call(stage, "stock.move", "write", json!({ "ids": moves, "vals": { "quantity": 1, "picked": true } })),
            call(stage, model, "button_validate", json!({ "ids": picking })),
            call(stage, model, "search_count", json!({ "domain": done })).expects(json!(1)),
        ]
    };
    let values = |origin: String, from: &str, to: &str| {
        let one =
            json!({ "product_id": "<product>", "product_uom_qty": 1, "location_id": from, "location_dest_id": to });
        json!({
            "picking_type_id": "<operation>", "company_id": "<company>", "origin": origin,
            "location_id": from, "location_dest_id": to, "move_ids": [[0, 0, one]],
        })
    };
    let quantity =
        json!([["product_id", "=", "<product>"], ["location_id", "in", ["<from>", "<to>"]], ["quantity", "!=", 0],]);
    let quants = json!({ "domain": quantity, "fields": ["location_id", "quantity"], "order": "location_id" });
    let left = own(Synthetic::StockMove, reference);
    let state = |domain: &Value, operator: &str, states: &[&str]| {
        let mut domain = domain.clone();
        if let Some(all) = domain.as_array_mut() {
            all.push(json!(["state", operator, states]));
        }
        json!({ "domain": domain })
    };
    let moved = json!([["origin", "=", reference], ["company_id", "=", "<company>"]]);
    let mut calls = vec![call(Work, "stock.quant", "search_read", quants.clone()).binds("<before>")];
    calls.extend(there(Work, values(reference.to_owned(), "<from>", "<to>"), ["<picking>", "<moves>"]));
    calls.push(call(Clean, model, "search", state(&moved, "in", &["done"])).binds("<moved>"));
    let back = there(Clean, values(format!("{reference}/return"), "<to>", "<from>"), ["<back>", "<moves back>"]);
    calls.extend(back.into_iter().map(|c| c.needs("<moved>")));
    calls.push(call(Clean, model, "search", state(&left, "not in", &["done", "cancel"])).binds("<open>"));
    calls.push(call(Clean, model, "action_cancel", json!({ "ids": "<open>" })));
    calls.push(call(Clean, model, "search", state(&left, "in", &["cancel"])).binds("<cancelled>"));
    calls.push(call(Clean, model, "unlink", json!({ "ids": "<cancelled>" })));
    calls.push(call(Verify, model, "search_count", state(&left, "not in", &["done"])).expects(json!(0)));
    calls.push(call(Verify, "stock.quant", "search_read", quants).expects(json!("<before>")));
    calls
}

/// A body with the names that are known put in. `None` where a name stands for nothing.
pub fn filled(body: &Value, known: &Map<String, Value>) -> Option<Value> {
    Some(match body {
        Value::String(text) if text.starts_with('<') && text.ends_with('>') => match known.get(text)? {
            Value::Array(all) if all.is_empty() => return None,
            value => value.clone(),
        },
        Value::Array(all) => Value::Array(all.iter().map(|v| filled(v, known)).collect::<Option<_>>()?),
        Value::Object(all) => {
            let one = |(k, v): (&String, &Value)| Some((k.clone(), filled(v, known)?));
            Value::Object(all.iter().map(one).collect::<Option<_>>()?)
        }
        other => other.clone(),
    })
}

/// A body with the names that are known put in; the others stay.
pub fn shown(body: &Value, known: &Map<String, Value>) -> Value {
    match body {
        Value::String(text) => known.get(text).unwrap_or(body).clone(),
        Value::Array(all) => Value::Array(all.iter().map(|v| shown(v, known)).collect()),
        Value::Object(all) => Value::Object(all.iter().map(|(k, v)| (k.clone(), shown(v, known))).collect()),
        other => other.clone(),
    }
}
