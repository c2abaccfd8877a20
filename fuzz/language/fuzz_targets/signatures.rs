//! A signature by nobody of the roster counts for nothing, whatever its bytes are; what is refused is a sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quarterdeck::policy::rules::Policy;
use quarterdeck::policy::sshsig::{PublicKey, SshSig};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(signature) = SshSig::parse(&text) {
        let signers = Policy::shipped().signers();
        let now = "2026-11-22T00:00:00Z".parse().expect("a moment");
        assert!(signature.signer(b"what was shown", "approval@quarterdeck", &signers, now).is_err());
        let _ = signature.check(b"what was shown", "approval@quarterdeck");
    }
    for line in text.lines().take(4) {
        if let Ok(key) = PublicKey::parse(line) {
            assert_eq!(PublicKey::parse(&key.line()).expect("its own line"), key);
        }
    }
});
