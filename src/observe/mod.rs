//! Looking at real systems: one module a kind of system. The engine builds observers from the configuration and
//! a [`crate::domain::mode::MayObserve`]; nothing else calls in here but `act`, which shares how to connect.

pub mod http;
pub mod poll;
pub mod redis;
pub mod traefik;
