//! From the bytes of a log to what is wrong in it: lines told apart and sorted by their level, what belongs together
//! put together (a Python traceback is one error), and errors counted by their fingerprint. Pure and bounded: whatever
//! a log holds, a [`Reader`] keeps at most [`KINDS`] kinds and [`LAST`] lines. The readers of logs in `observe` call it.

mod entry;
mod export;
mod fold;
mod line;
mod shape;

#[cfg(test)]
mod tests;

pub use fold::{KINDS, LAST, LONGEST_LINE, Reader, SHOWN};
pub use shape::shape;
