//! Verbs on any API object, from what they read to what became of them. A verb only says what to read and which
//! requests that means ([`Plan`]), or what a look tells ([`Look`]); sending, dry run and reconciling are the same for
//! all and follow from the requests themselves. Used by the adapters `kubernetes`, `cnpg` and `delivery`.

mod args;
mod call;
mod judge;
mod look;
mod plan;
mod send;

pub(in crate::act) use args::Args;
pub(in crate::act) use call::{Patch, SERVER_TIMEOUT_S, create, delete, delete_pod, evict};
pub(in crate::act) use look::{Look, Looking, Told};
pub(in crate::act) use plan::{Acting, Asked, Found, Plan, Planned, Read, Scope, listed};

use crate::domain::id::Digest;
use sha2::{Digest as _, Sha256};

/// A few hexadecimal digits that stand for a long text.
pub(in crate::act) fn digest(text: &str) -> String {
    Digest::from_bytes(&Sha256::digest(text).into()).short()
}
