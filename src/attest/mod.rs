//! What takes the journal's checkpoints out of the house, so that not even the holder of its key can rewrite what
//! has been there: `witness` asks for cosignatures, `anchor` puts copies into object storage. `agent` has a person's own key sign. The engine runs both
//! beside the writer; `doctor`, `audit verify` and `audit monitor` ask them too. The formats are in `journal`.

pub mod agent;
pub mod anchor;
pub mod monitor;
pub mod served;
pub mod witness;
