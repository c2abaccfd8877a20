//! `continuity.start`, `continuity.end`, `continuity.reconcile`: processes of the business that go on by hand. Nothing is
//! sent to any system: what is agreed stands in the record, as measures in force that their owners acknowledge and whose
//! papers are reconciled afterwards. Only the engine and the simulated verbs of a drill call this.

use super::DynVerb;
use super::args::{optional, shell};
use crate::domain::behalf::Behalf;
use crate::domain::by_hand::{Agreed, FALLBACK, Hand, RECONCILE, compared, place};
use crate::domain::estate::Estate;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use crate::domain::text::sanitize;
use crate::policy::authorized::Authorized;
use serde_json::json;
use std::sync::Arc;

const TENANT: ArgSpec = ArgSpec { name: "tenant", required: true, what: "whose" };
const PLANT: ArgSpec = ArgSpec { name: "plant", required: false, what: "at which of its plants; at all by default" };
const PROCESS: &str = "order-capture, shipping, receiving, production-reporting, priorities or carriers";

const fn spec(name: &'static str, what: &'static str, args: &'static [ArgSpec]) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor: Risk::Low,
        blast_radius: BlastRadius::Tenant,
        reversible: Reversible::Compensatable,
        idempotent: true,
        read_only: false,
        args,
    }
}

static START: VerbSpec = spec(
    "continuity.start",
    "puts a manual fallback into force: a measure that its owner has to acknowledge",
    &[
        ArgSpec { name: "process", required: true, what: PROCESS },
        TENANT,
        PLANT,
        ArgSpec { name: "owner", required: true, what: "the person who owns it" },
        ArgSpec {
            name: "how",
            required: true,
            what: "how it is done, the order of priority, or what carriers agreed to",
        },
    ],
);

static END: VerbSpec = spec(
    "continuity.end",
    "ends manual fallbacks; what made papers owes a reconciliation from then on",
    &[
        ArgSpec { name: "process", required: false, what: "one of them; all that are in force by default" },
        TENANT,
        PLANT,
    ],
);

static RECONCILED: VerbSpec = spec(
    "continuity.reconcile",
    "papers and documents were compared: nothing is owed for them any more",
    &[
        ArgSpec { name: "process", required: false, what: "one of them; all that are owed by default" },
        TENANT,
        PLANT,
        ArgSpec { name: "sheets", required: true, what: "number of sheets of paper" },
        ArgSpec { name: "documents", required: true, what: "number of documents that were entered" },
        ArgSpec { name: "text", required: false, what: "what became of those that differ" },
    ],
);

/// What the verbs declare.
pub static SPECS: &[&VerbSpec] = &[&START, &END, &RECONCILED];

/// The verbs.
pub fn verbs(_: MayAct) -> Vec<Arc<DynVerb>> {
    SPECS.iter().map(|spec| Arc::new(Continuity(spec)) as Arc<DynVerb>).collect()
}

/// One of them.
struct Continuity(&'static VerbSpec);

/// Ends the words on whom a fallback asks, in what a request hurts.
const OWNS: &str = " owns it and has to acknowledge it";
/// Stands for all processes in the name of a measure.
const ALL: &str = "*";

/// What a verb is to do, before it has the form of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Measure, or a pattern of measures: `fallback/*/t017`.
    pub measure: String,
    /// One line.
    pub what: String,
    /// Whose.
    pub tenant: TenantId,
    /// Whom it hurts, or whom it asks.
    pub hurts: String,
    /// How it is taken back.
    pub undo: String,
}

fn process(word: &str) -> Result<Hand, VerbError> {
    Hand::of(word).ok_or_else(|| {
        let known: Vec<&str> = Hand::ALL.into_iter().map(Hand::word).collect();
        let known = known.join(", ");
        VerbError::new(format!("{} is no process that goes on by hand; there are {known}", sanitize(word)))
    })
}

impl Wanted {
    /// What the verb of a name is to do on an estate; `given` reads an argument.
    ///
    /// # Errors
    /// One sentence.
    pub fn of(
        verb: &str,
        estate: &Estate,
        given: &dyn Fn(&str) -> Result<Option<String>, VerbError>,
    ) -> Result<Self, VerbError> {
        let required =
            |name: &str| given(name)?.ok_or_else(|| VerbError::new(format!("the argument {name} is not given")));
        let (tenant, plant) = (TenantId::new(required("tenant")?), given("plant")?);
        let at = (&tenant, plant.as_deref());
        if verb == START.name {
            let hand = process(&required("process")?)?;
            let agreed =
                Agreed::of(estate, hand, at, &required("owner")?, &required("how")?).map_err(VerbError::new)?;
            let undo = agreed.lift();
            let Agreed { id, what, owner, .. } = agreed;
            return Ok(Self { measure: id, what, tenant, hurts: format!("{owner}{OWNS}"), undo });
        }
        let place = place(estate, at).map_err(VerbError::new)?;
        let hand = given("process")?.map(|word| process(&word)).transpose()?;
        let (word, words) = hand.map_or((ALL, "all that is done by hand"), |h| (h.word(), h.says()));
        if verb == END.name {
            return Ok(Self {
                measure: format!("{FALLBACK}{word}/{place}"),
                what: format!("{place}: {words} ends"),
                tenant,
                hurts: "nobody; what made papers is to be entered and compared".to_owned(),
                undo: "put it into force again".to_owned(),
            });
        }
        let number = |name: &str| {
            let text = required(name)?;
            let wrong = || VerbError::new(format!("the argument {name} is {}, not a whole number", sanitize(&text)));
            text.parse::<u32>().map_err(|_| wrong())
        };
        let said = compared(number("sheets")?, number("documents")?, &given("text")?.unwrap_or_default());
        Ok(Self {
            measure: format!("{RECONCILE}{word}/{place}"),
            what: format!("papers of {place}: {}", said.map_err(VerbError::new)?),
            tenant,
            hurts: "nobody".to_owned(),
            undo: "count and compare again, and say so in a note".to_owned(),
        })
    }
}

/// A measure that a request sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<'a> {
    /// Id.
    pub id: &'a str,
    /// What it is.
    pub what: &'a str,
    /// Who has to acknowledge it.
    pub owner: &'a str,
    /// How it is lifted.
    pub lift: &'a str,
}

/// What a request about business by hand does to the measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measures<'a> {
    /// It sets one.
    Sets(Set<'a>),
    /// It ends these fallbacks.
    Ends(Vec<String>),
    /// It settles these reconciliations, with the words on it.
    Settles(Vec<String>, &'a str),
}

/// What a request does to the measures; nothing where it is about something else.
pub fn measures(request: &Request) -> Option<Measures<'_>> {
    let Target { identity, object, .. } = &request.target;
    if request.verb == START.name {
        let owner = request.hurts.strip_suffix(OWNS)?;
        return Some(Measures::Sets(Set { id: identity, what: object, owner, lift: &request.undo }));
    }
    let each = |kind: &str| {
        let (word, place) = identity.strip_prefix(kind)?.split_once('/')?;
        let of = |hand: &Hand| word == ALL || hand.word() == word;
        Some(Hand::ALL.iter().filter(|h| of(h)).map(|h| format!("{kind}{}/{place}", h.word())).collect())
    };
    match request.verb.as_str() {
        verb if verb == END.name => Some(Measures::Ends(each(FALLBACK)?)),
        verb if verb == RECONCILED.name => Some(Measures::Settles(each(RECONCILE)?, object)),
        _ => None,
    }
}

impl Verb for Continuity {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.0
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let given = |name: &str| optional(context, name);
        let wanted = Wanted::of(self.0.name, context.estate, &given)?;
        let mut by_hand = format!("# {}", self.0.name);
        for arg in self.0.args {
            if let Some(value) = given(arg.name)? {
                by_hand.push_str(&format!(" {}={}", arg.name, shell(&value)));
            }
        }
        Ok(Request {
            verb: self.0.name.to_owned(),
            hurts: wanted.hurts,
            undo: wanted.undo,
            operation: Operation::Record { text: wanted.what.clone() },
            target: Target {
                source: SourceId::new("continuity"),
                identity: wanted.measure,
                environment: context.estate.environment,
                object: wanted.what,
                tenants: vec![wanted.tenant],
                count: 1,
            },
            server_checks: Vec::new(),
            by_hand,
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move { Ok(format!("{} would stand in the record; nothing is sent", request.target.object)) })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let request = permit.request();
            if request.verb != self.0.name || measures(request).is_none() {
                return Outcome::Failed { why: super::foreign(request) };
            }
            let summary = format!("{}; {}", request.target.object, request.hurts);
            Outcome::Done { result: json!({ "measure": request.target.identity }), summary }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        let why = format!("the list of measures says whether {} stands", request.target.identity);
        Box::pin(async { Reconciled::Undecided { why } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[estate]\nname = \"a\"\nenvironment = \"production\"\n[[tenant]]\nid = \"t017\"\nname = \"B\"\n\
                          tenancy = \"dedicated\"\ncriticality = 1\nplants = [\"Kassel\"]\n";

    fn wanted(verb: &str, args: &[(&str, &str)]) -> Result<Wanted, String> {
        let estate = crate::config::decode::decode("c.toml", CONFIG).unwrap().estate;
        let given = |name: &str| Ok(args.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()));
        Wanted::of(verb, &estate, &given).map_err(|e| e.message)
    }

    fn request(verb: &str, wanted: Wanted) -> Request {
        Request {
            verb: verb.into(),
            hurts: wanted.hurts,
            undo: wanted.undo,
            operation: Operation::Record { text: wanted.what.clone() },
            target: Target {
                source: SourceId::new("continuity"),
                identity: wanted.measure,
                environment: crate::domain::estate::Environment::Production,
                object: wanted.what,
                tenants: vec![wanted.tenant],
                count: 1,
            },
            server_checks: Vec::new(),
            by_hand: String::new(),
        }
    }

    #[test]
    fn a_request_says_all_that_its_measures_need() {
        let at = [("tenant", "t017"), ("plant", "Kassel"), ("process", "shipping")];
        let start = wanted("continuity.start", &[&at[..], &[("owner", "olga"), ("how", "labels")]].concat()).unwrap();
        let request_of = request("continuity.start", start);
        let Some(Measures::Sets(set)) = measures(&request_of) else { panic!("{request_of:?}") };
        assert_eq!((set.id, set.owner), ("fallback/shipping/t017/Kassel", "olga"));
        assert_eq!(set.what, "t017/Kassel: goods are shipped with paper: labels");
        let end = request("continuity.end", wanted("continuity.end", &at[..1]).unwrap());
        let Some(Measures::Ends(ids)) = measures(&end) else { panic!("{end:?}") };
        assert_eq!((ids.len(), ids[0].as_str()), (6, "fallback/order-capture/t017"));
        let counted = [&at[..], &[("sheets", "3"), ("documents", "3")]].concat();
        let settled = request("continuity.reconcile", wanted("continuity.reconcile", &counted).unwrap());
        let Some(Measures::Settles(ids, said)) = measures(&settled) else { panic!("{settled:?}") };
        assert_eq!(ids, ["reconcile/shipping/t017/Kassel"]);
        assert_eq!(said, "papers of t017/Kassel: 3 sheets, 3 documents");
        assert_eq!(measures(&request("comms.file", wanted("continuity.end", &at).unwrap())), None);
    }

    #[test]
    fn what_can_not_be_agreed_is_one_sentence() {
        let full = [("process", "shipping"), ("tenant", "t017"), ("owner", "o"), ("how", "h")];
        for (verb, name, value, part) in [
            ("start", "process", "dancing", "dancing is no process that goes on by hand; there are order-capture,"),
            ("start", "tenant", "t9", "there is no tenant t9"),
            ("start", "plant", "Ulm", "t017 has no plant Ulm; it has Kassel"),
            ("start", "owner", "", "the owner has to be 1 to 80 characters"),
            ("start", "how", " ", "how it is done has to be 1 to 500 characters"),
            ("reconcile", "documents", "many", "the argument documents is many, not a whole number"),
            ("reconcile", "documents", "2", "3 sheets and 2 documents differ"),
        ] {
            let mut args: Vec<(&str, &str)> = full.iter().copied().filter(|(n, _)| *n != name).collect();
            args.extend([(name, value), ("sheets", "3")]);
            let why = wanted(&format!("continuity.{verb}"), &args).unwrap_err();
            assert!(why.contains(part), "{part}\n---\n{why}");
        }
        assert_eq!(wanted("continuity.end", &[]).unwrap_err(), "the argument tenant is not given");
    }
}
