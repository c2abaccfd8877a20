//! Configuration: TOML files into checked values, with the place of every error. Everything above may read
//! the model; only `cli` loads it.

pub mod model;
pub mod secret;
