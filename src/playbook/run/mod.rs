//! A run of a playbook as a pure state machine: inputs and the time go in, effects come out. It holds no clock and
//! does nothing itself; the engine carries out the effects and feeds back their answers. The order of an action is
//! fixed here: intent durable, confirmation and approvals durable, preconditions fresh and true, start durable,
//! executed, outcome durable, verified. A run is rebuilt from its records alone.

mod ask;
mod effect;
mod evaluate;
mod fan;
mod flow;
mod halt;
mod input;
mod machine;
mod outcome;
mod people;
mod prepare;
mod record;
mod replay;
mod rollback;
mod show;
mod state;
mod verify;
mod view;
mod waits;

pub use ask::StartProof;
pub use effect::{Effect, LookAt, Mark, Subject, Ticket};
pub use fan::Seat;
pub use input::{ApprovalGiven, ChildFound, Input, Parent, Refusal, Rendering, SignedBy, Start};
pub use machine::{MAX_CHECK_AGE, Run};
pub use replay::{Past, ReplayError};
pub use state::ConfirmedBy;
pub use view::{CheckLine, Offered, RunState, StepLine, StepState, TargetLine, View};

#[cfg(test)]
pub(super) mod bench;
#[cfg(test)]
mod boundaries;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod tests;
