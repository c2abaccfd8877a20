//! Canonical JSON (RFC 8785) at the cost of plain JSON: what `serde_json` writes is canonical where members stand in the
//! order of their names, names are ASCII, and numbers are whole and exact. Who calls this sees to that; `journal` does it
//! for records, `policy` for requests.

use serde::Serialize;

/// Greatest integer that every JSON reader keeps exact (RFC 7493 section 2.2): 2^53 − 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Appends the bytes of a value whose members are declared in the order of their names. What is left of RFC 8785 then is
/// how strings and whole numbers are written, and that is how `serde_json` writes them.
///
/// # Errors
/// What the serializer says.
pub fn write_ordered(value: &impl Serialize, out: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(out, value)
}
