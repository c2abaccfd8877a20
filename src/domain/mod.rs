//! The vocabulary of the program: estate, tenant, sample, health, finding, incident, actor, risk and the
//! ports that adapters implement. Everything may call it; it calls nothing but std, serde and jiff, and it
//! reads no clock, file, socket or terminal.

pub mod account;
pub mod actor;
pub mod baseline;
pub mod behalf;
pub mod by_hand;
pub mod canonical;
pub mod estate;
pub mod facts;
pub mod finding;
pub mod health;
pub mod id;
pub mod identity;
pub mod incident;
pub mod logs;
pub mod mode;
pub mod moment;
pub mod pane;
pub mod ports;
pub mod request;
pub mod risk;
pub mod run;
pub mod sample;
pub mod secret;
pub mod signal;
pub mod synthetic;
pub mod text;
pub mod usual;
pub mod world;
