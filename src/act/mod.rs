//! Acting on real systems: one module a kind of system. The engine builds verbs from the configuration and a
//! [`crate::domain::mode::MayAct`]; executing takes a permit that only `policy` can make.

pub mod http;
pub mod traefik;
