//! Configuration: TOML files into checked values, with the place of every error. Everything above may read
//! the model; only `cli` loads it.

mod anchor;
mod archive;
pub mod audit_log;
pub mod authorities;
pub mod backup;
pub mod baseline;
pub mod bucket;
mod calendar;
pub mod comms;
mod cost;
pub mod decode;
mod delivery;
pub mod describe;
pub mod impersonation;
pub mod integration;
mod journal_database;
pub mod locate;
pub mod logs;
pub mod model;
pub mod odoo;
mod openings;
pub mod probe;
pub mod problem;
pub mod prometheus;
pub mod reader;
pub mod restore_test;
pub mod secret;
mod service;
pub mod standby;
pub mod synthetic;
pub mod template;
mod terms;
pub mod tls;
mod vault;
mod watch;
mod witness;
