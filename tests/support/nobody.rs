//! A port at which nobody listens.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};
use std::net::{Ipv4Addr, SocketAddrV4};

/// It is held for as long as the process lives: a port that is let go of may be the next one that somebody is given.
pub fn nobody() -> u16 {
    let held = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&held, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = SocketAddrV4::try_from(getsockname(&held).unwrap()).unwrap().port();
    std::mem::forget(held);
    port
}
