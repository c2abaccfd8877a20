//! See the map.

pub mod authorized;
