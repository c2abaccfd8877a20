//! Integrations of a tenant that are cut off: its switch is opened, its jobs are held back, and later replayed, counted
//! before and after. They go through the job channels of `queue_job`. Only the engine calls this.

mod breaker;
mod hold;

use super::DynVerb;
use super::postgres::Instances;
use super::postgres::change::Changing;
use crate::config::model::Integration;
use crate::domain::ports::{RenderContext, Survey, VerbError};
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::text::sanitize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const INTEGRATION: ArgSpec = ArgSpec { name: "integration", required: true, what: "id of an [[integration]]" };

/// What the verbs declare.
pub static SPECS: &[&VerbSpec] = &[&breaker::OPEN, &breaker::CLOSE, &hold::BUFFER, &hold::REPLAY];

/// The verbs, for the configured integrations.
pub fn verbs(instances: &Arc<Instances>, configured: &[Integration]) -> Vec<Arc<DynVerb>> {
    let known = Arc::new(Known { instances: instances.clone(), all: configured.to_vec() });
    vec![
        Changing::shared(breaker::Breaker { spec: &breaker::OPEN, known: known.clone() }),
        Changing::shared(breaker::Breaker { spec: &breaker::CLOSE, known: known.clone() }),
        Changing::shared(hold::Buffer(known.clone())),
        Changing::shared(hold::Replay(known)),
    ]
}

/// What is configured.
struct Known {
    instances: Arc<Instances>,
    all: Vec<Integration>,
}

impl Known {
    fn get(&self, id: &str) -> Result<&Integration, VerbError> {
        self.all.iter().find(|i| i.id == id).ok_or_else(|| {
            let known: Vec<&str> = self.all.iter().map(|i| i.id.as_str()).collect();
            let known = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
            VerbError::new(format!("there is no [[integration]] {}; known: {known}", sanitize(id)))
        })
    }

    fn named(&self, context: &RenderContext<'_>) -> Result<&Integration, VerbError> {
        self.get(&super::args::required(context, "integration")?)
    }

    /// The survey of another, on the database of the integration's tenant.
    fn asked(&self, asked: &Survey) -> Option<(&Integration, Survey)> {
        let integration = self.get(asked.args.get("integration")?.as_str()?).ok()?;
        let args = with_tenant(&asked.args, integration);
        Some((integration, Survey { estate: asked.estate.clone(), args }))
    }
}

/// The arguments with the tenant that the integration belongs to.
fn with_tenant(args: &BTreeMap<String, Value>, integration: &Integration) -> BTreeMap<String, Value> {
    let mut args = args.clone();
    args.insert("tenant".to_owned(), Value::String(integration.tenant.to_string()));
    args
}
