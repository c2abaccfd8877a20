//! What may be done: what `policy.toml` says ([`rules`]), how risky a rendered step is ([`assess`]), what exactly was
//! confirmed ([`digest`]), what an approver signs ([`statement`]) and whether that signature counts ([`sshsig`]), how far
//! witnesses vouch for the log ([`quorum`]), and the one gate that lets it run ([`gate`]), which alone makes an
//! [`authorized::Authorized`]. Called by the engine and `attest` and, for the permit, by `act` and `drill`; it reads
//! no clock and no file, and knows nothing of playbooks or the journal.

pub mod assess;
pub mod authorized;
mod canonical;
pub mod commands;
pub mod digest;
pub mod gate;
pub mod quorum;
pub mod rules;
pub mod sshsig;
pub mod statement;
