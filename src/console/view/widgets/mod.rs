//! Parts that several screens are made of: tables and short lists of rows, charts, gauges, trees.

pub mod chart;
pub mod table;
pub mod tree;

pub use chart::{chart, gauge, spark};
pub use table::{Listing, counts, list, row_of, table, window};
pub use tree::branches;
