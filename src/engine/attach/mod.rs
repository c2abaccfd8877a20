//! One engine, many consoles: the Unix socket of an engine and the console's end of it. `wire` is the protocol, `door`
//! says who may come in, `parts` what of a snapshot has changed, `listen` lets peers in and `serve` does what they ask
//! (`peer` is one of them), `call` opens a connection and asks one thing, `remote` keeps a console fed and comes back
//! after a loss. Only `cli` opens either end.

pub mod call;
pub mod door;
pub mod listen;
pub mod parts;
mod peer;
pub mod remote;
pub mod rows;
mod serve;
pub mod wire;
