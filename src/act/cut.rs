//! Cutting a verb off in the middle, for the tests of all adapters: its request never arrives, or it arrives, has its
//! effect, and nothing or half of the answer comes back. Then it is looked, and the server itself says how often it acted.

#[path = "../../tests/lab_support/wire.rs"]
#[allow(dead_code, reason = "the kill matrix in tests/lab_kills uses the rest")]
mod wire;

use super::DynVerb;
use crate::act::postgres::tests::permit;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::Request;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
pub(super) use wire::{Asks, At, Wire, says};

/// Arguments of a verb, by name.
pub(super) type Args = Vec<(&'static str, serde_json::Value)>;

/// What looking says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// It took effect.
    Took,
    /// It had none.
    Nothing,
    /// It can not be told.
    Open,
}

impl Says {
    /// In one word.
    pub(super) fn of(found: &Reconciled) -> Self {
        match found {
            Reconciled::TookEffect { .. } => Self::Took,
            Reconciled::NoEffect { .. } => Self::Nothing,
            Reconciled::Undecided { .. } => Self::Open,
        }
    }
}

/// The statement that a change of PostgreSQL prepared: alone of all that is said it runs with a message that binds it.
pub(super) fn bound() -> Asks {
    Arc::new(|_, bytes| bytes.first() == Some(&b'B'))
}

/// Executes it over the wire, which is cut there, and looks when the way is whole again.
pub(super) async fn off(wire: &Wire, at: At, verb: &DynVerb, request: &Request) -> Reconciled {
    wire.arm(at);
    let ended = Arc::new(AtomicBool::new(false));
    let cutting = tokio::task::spawn_blocking({
        let (wire, ended) = (wire.clone(), ended.clone());
        move || {
            let held = wire.holds(|| ended.load(Ordering::SeqCst));
            wire.release(false);
            held
        }
    });
    let outcome = verb.execute(permit(request, Duration::from_secs(20))).await;
    ended.store(true, Ordering::SeqCst);
    let held = cutting.await.unwrap();
    assert!(held, "{} did not come to {at:?}: {outcome:?}", request.verb);
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{} cut off at {at:?}: {outcome:?}", request.verb);
    verb.reconcile(request).await
}

/// A verb on its way to a real server.
pub(super) struct Case<'a> {
    /// To where it is sent.
    pub(super) wire: &'a Wire,
    /// The verb, over that wire.
    pub(super) verb: &'a DynVerb,
    /// What it sends.
    pub(super) request: &'a Request,
    /// What looking says when it never arrived.
    pub(super) lost: Says,
    /// How much of the answer comes back.
    pub(super) answer: At,
    /// What looking says when it had its effect.
    pub(super) kept: Says,
    /// How often the server has acted after it had its effect, and after it was sent once more all the same.
    pub(super) acted: [i64; 2],
}

impl Case<'_> {
    /// Cuts it off before it arrives, then with its answer on the way; `count` asks the server how often it acted.
    pub(super) async fn run(self, count: impl AsyncFn() -> i64) {
        let name = &self.request.verb;
        let lost = off(self.wire, At::Request, self.verb, self.request).await;
        assert_eq!(Says::of(&lost), self.lost, "{name} never arrived: {lost:?}");
        assert_eq!(count().await, 0, "{name} never arrived");
        let kept = off(self.wire, self.answer, self.verb, self.request).await;
        assert_eq!(Says::of(&kept), self.kept, "{name} had its effect: {kept:?}");
        let [once, again] = self.acted;
        assert_eq!(count().await, once, "{name} had its effect");
        let outcome = self.verb.execute(permit(self.request, Duration::from_secs(20))).await;
        assert!(!matches!(outcome, Outcome::Unknown { .. }), "{name} once more: {outcome:?}");
        assert_eq!(count().await, again, "{name} once more: {outcome:?}");
    }
}
