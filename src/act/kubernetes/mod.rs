//! Verbs on Kubernetes workloads. Each request is one API call with its preconditions in the body.

use crate::domain::request::VerbSpec;

/// What the verbs of this adapter declare.
pub static SPECS: &[&VerbSpec] = &[];
