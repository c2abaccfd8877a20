//! Expressions of playbooks, in CEL: what they may refer to, and what becomes of them when something that they refer
//! to is not known. Unknown is a verdict of its own and is never true.

mod verdict;

pub use verdict::{Evaluation, Verdict};
