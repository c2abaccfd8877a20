//! What takes the journal's checkpoints out of the house, so that not even the holder of its key can rewrite what
//! has been there: `witness` asks for cosignatures, `anchor` puts copies into object storage. The engine runs both
//! beside the writer; `doctor`, `audit verify` and `audit monitor` ask them too. `archive` is where sealed segments go,
//! `ledger` is the database that a journal of several bastions lies in, `agent` has a person's own key sign. The formats are in `journal`.

pub mod agent;
pub mod anchor;
pub mod archive;
pub mod ledger;
pub mod monitor;
pub mod served;
pub mod witness;
