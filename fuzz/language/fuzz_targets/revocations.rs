//! A revocation list that is not understood is refused as a whole; one that is can be asked about any key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quarterdeck::policy::sshsig::{PublicKey, Revoked};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0O2BkYbFqsg0TKZn4MCfJy9uT2a3mMCCEkVxBhrE4s";

fuzz_target!(|bytes: &[u8]| {
    match Revoked::read(bytes) {
        Ok(revoked) => {
            let _ = revoked.has(&PublicKey::parse(KEY).expect("a key"));
        }
        Err(error) => assert!(!error.sentence().chars().any(char::is_control)),
    }
});
