//! Messages of an exercise: they go nowhere, and the crew sees that they would have gone.

use super::observer::Shared;
use crate::comms::letter::{Channel, Letter, Post, Way};
use crate::comms::table::Table;
use crate::domain::ports::{BoxFuture, Outcome};
use crate::domain::text::sanitize;
use serde_json::json;
use std::sync::Arc;

/// A channel that ends in the model.
pub(super) struct Simulated {
    shared: Arc<Shared>,
    ways: Vec<Way>,
}

impl Simulated {
    /// One way to each audience.
    pub(super) fn new(shared: &Arc<Shared>, table: &Table) -> Self {
        let way = |id: &String| Way {
            recipient: id.clone(),
            groups: vec![id.clone()],
            channel: Channel::Simulated,
            to: "nobody outside: an exercise".to_owned(),
        };
        Self { shared: Arc::clone(shared), ways: table.audiences.iter().map(|a| way(&a.id)).collect() }
    }
}

impl Post for Simulated {
    fn ways(&self) -> Vec<Way> {
        self.ways.clone()
    }

    fn deliver(&self, letter: Letter) -> BoxFuture<'static, Outcome> {
        let said = format!("message to {}: {}", sanitize(letter.recipient()), sanitize(letter.subject()));
        self.shared.now().sim.told.push(said);
        let summary = format!("the exercise took it; {} reads nothing of it", letter.recipient());
        Box::pin(async move { Outcome::Done { result: json!({ "simulated": true }), summary } })
    }
}
