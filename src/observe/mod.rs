//! Looking at real systems: one file or folder a system, each an [`Observer`](crate::domain::ports::Observer)
//! that puts samples into a sink until it is dropped. Only the engine and `doctor` call this.

pub mod alertmanager;
pub mod baseline;
pub mod bucket;
pub mod deeds;
pub mod exports;
pub mod http;
pub mod integration;
pub mod kubernetes;
pub mod logs;
pub mod odoo;
pub mod oidc;
pub mod oncall;
pub mod patroni;
pub mod pgbackrest;
pub mod pgbouncer;
pub mod poll;
pub mod postgres;
pub mod probe;
pub mod process;
pub mod prometheus;
pub mod redis;
pub mod restore_test;
pub mod sharing;
pub mod storage;
pub mod traces;
pub mod traefik;
pub mod trial;
