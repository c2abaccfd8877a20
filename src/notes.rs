//! What the program says on standard error. While it has the whole screen it keeps it to itself, because a line in the
//! middle of a screen is read by nobody and breaks what is drawn there; it is said when the terminal is given back.

use std::fmt::Arguments;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError, TryLockError};

/// Most lines that are kept; the first ones tell most.
const MOST: usize = 200;

static KEPT: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Says something, now or when the terminal is given back.
pub fn say(said: Arguments<'_>) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    match kept.as_mut() {
        Some(lines) if lines.len() < MOST => lines.push(said.to_string()),
        Some(_) => {}
        // A closed standard error is no reason to fail.
        None => drop(writeln!(std::io::stderr(), "{said}")),
    }
}

/// From here on what is said is kept.
pub(crate) fn keep() {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
}

/// Says what was kept. It is called also while the program panics, when the lock may be held by who has panicked.
pub(crate) fn tell() {
    let kept = match KEPT.try_lock() {
        Ok(mut kept) => kept.take(),
        Err(TryLockError::Poisoned(kept)) => kept.into_inner().take(),
        Err(TryLockError::WouldBlock) => None,
    };
    for line in kept.unwrap_or_default() {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}
