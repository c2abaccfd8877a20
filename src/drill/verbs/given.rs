//! What a simulated verb was given: its arguments, read with the same leniency as by the live verbs.

use crate::domain::estate::{Estate, Tenant};
use crate::domain::id::{SourceId, TenantId};
use crate::domain::ports::VerbError;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::build::CLUSTER;
use serde_json::Value;
use std::collections::BTreeMap;

/// Arguments and the estate that they name things of.
pub(super) struct Given<'a> {
    /// Arguments after templating.
    pub args: &'a BTreeMap<String, Value>,
    /// The declared estate.
    pub estate: &'a Estate,
}

impl<'a> Given<'a> {
    /// A text; numbers and flags count as text, an empty one as absent.
    pub fn optional(&self, name: &str) -> Result<Option<String>, VerbError> {
        match self.args.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|t| !t.is_empty())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(_) => Err(VerbError::new(format!("the argument {name} must be a text or a number"))),
        }
    }

    /// A text that must be there.
    pub fn text(&self, name: &str) -> Result<String, VerbError> {
        self.optional(name)?.ok_or_else(|| VerbError::new(format!("the argument {name} is not given")))
    }

    /// A text, where its absence means another.
    pub fn or(&self, name: &str, otherwise: &str) -> Result<String, VerbError> {
        Ok(self.optional(name)?.unwrap_or_else(|| otherwise.to_owned()))
    }

    /// A whole number, where it may be absent.
    pub fn maybe_number(&self, name: &str) -> Result<Option<u32>, VerbError> {
        let Some(text) = self.optional(name)? else { return Ok(None) };
        let wrong = || VerbError::new(format!("the argument {name} is {}, not a whole number", sanitize(&text)));
        text.parse().map(Some).map_err(|_| wrong())
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Result<u32, VerbError> {
        self.maybe_number(name)?.ok_or_else(|| VerbError::new(format!("the argument {name} is not given")))
    }

    /// A list of texts, or one text with commas between.
    pub fn list(&self, name: &str) -> Result<Vec<String>, VerbError> {
        let words: Vec<String> = match self.args.get(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            Some(_) => self.optional(name)?.unwrap_or_default().split(',').map(|w| w.trim().to_owned()).collect(),
        };
        Ok(words.into_iter().filter(|w| !w.is_empty()).collect())
    }

    /// The tenant of the argument `tenant`.
    pub fn tenant(&self) -> Result<&'a Tenant, VerbError> {
        let id = TenantId::new(self.text("tenant")?);
        let found = self.estate.tenant(&id);
        found.ok_or_else(|| VerbError::new(format!("there is no tenant {}", sanitize(id.as_str()))))
    }

    /// The cluster of the argument `cluster`.
    pub fn cluster(&self) -> Result<SourceId, VerbError> {
        let id = self.text("cluster")?;
        if id == CLUSTER {
            return Ok(CLUSTER.into());
        }
        Err(VerbError::new(format!("there is no cluster {}", sanitize(&id))))
    }

    /// The tenant of the argument `namespace`: each has the namespace of its name.
    pub fn namespace<'s>(&self, sim: &'s Simulation) -> Result<&'s crate::drill::model::tenant::Tenant, VerbError> {
        let name = self.text("namespace")?;
        let found = sim.tenant(&TenantId::new(&*name));
        found.ok_or_else(|| VerbError::new(format!("there is no namespace {}", sanitize(&name))))
    }
}
