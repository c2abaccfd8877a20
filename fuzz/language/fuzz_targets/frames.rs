//! Whatever a peer sends is a message of the protocol or refused; a message that holds a secret does not show it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quarterdeck::engine::api::Command;
use quarterdeck::engine::attach::wire::{Ask, LONGEST_ASK, line};

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut from = bytes;
        let mut one = Vec::new();
        while line(&mut from, LONGEST_ASK, &mut one).await.is_ok() {
            assert!(one.len() <= LONGEST_ASK);
            let Ok(ask) = serde_json::from_slice::<Ask>(&one) else { continue };
            let shown = format!("{ask:?}");
            if let Ask::Command { command: Command::StartRunWith { secrets, .. }, .. } = &ask {
                assert!(secrets.values().all(|s| s.expose().len() < 16 || !shown.contains(s.expose())));
            }
        }
    });
});
