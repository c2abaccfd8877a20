//! Expressions of playbooks, in CEL: what they may refer to (`params`, `tenant`, `signals`, `ages`, `incident`,
//! `outputs`, `result`, `mode`), and what becomes of them when something that they refer to is not known. Unknown is
//! a verdict of its own and is never true: one missing signal makes the whole expression unknown, also where CEL
//! could find an answer without it.

mod check;
mod context;
mod convert;
mod parsed;
mod verdict;

pub(super) use check::nearest;
pub use check::{Scope, Type, check};
pub use context::{Known, Reading, Surroundings, TENANT_FIELDS, select, tenant_value};
pub use convert::{from_json, matches_whole, to_json};
pub use parsed::Parsed;
pub use verdict::{Evaluation, Verdict};
