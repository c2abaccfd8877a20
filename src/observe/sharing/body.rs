//! What engines tell each other of one sample: its result as JSON, deflated where it is large. The first byte says which.
//! Only engines of one version read each other's.

use crate::domain::facts::Facts;
use crate::domain::sample::{Failure, FailureKind};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

/// From so many bytes on it is deflated.
const LARGE: usize = 2 << 10;
/// The longest that is read, in bytes of JSON: some hundred times what a cluster of ten thousand pods comes to.
const LONGEST: u64 = 256 << 20;

const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;

/// A result as it is observed.
pub type Seen = Result<Arc<Facts>, Failure>;

/// The bytes of a result.
pub fn encode(seen: &Seen) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![PLAIN];
    serde_json::to_writer(&mut bytes, seen)?;
    if bytes.len() <= LARGE {
        return Ok(bytes);
    }
    let mut deflated = DeflateEncoder::new(vec![DEFLATED], Compression::fast());
    deflated.write_all(bytes.get(1..).unwrap_or_default())?;
    deflated.finish()
}

/// The result in these bytes; what can not be read is a failure, as any answer that can not.
pub fn decode(bytes: &[u8]) -> Seen {
    let read = match bytes.split_first() {
        Some((&PLAIN, json)) => serde_json::from_slice::<Seen>(json).map_err(|e| e.to_string()),
        Some((&DEFLATED, deflated)) => {
            let mut json = Vec::new();
            let read = DeflateDecoder::new(deflated).take(LONGEST).read_to_end(&mut json);
            read.map_err(|e| e.to_string()).and_then(|_| serde_json::from_slice(&json).map_err(|e| e.to_string()))
        }
        _ => Err("it has another form".to_owned()),
    };
    read.unwrap_or_else(|why| {
        let why = format!("what the engine that watches it has told can not be read: {why}");
        Err(Failure::new(FailureKind::Protocol, why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::kubernetes::Workload;
    use crate::domain::facts::{KubernetesFacts, RedisFacts};

    #[test]
    fn small_and_large_results_come_back_as_they_were() {
        let workload = |n| Workload { name: format!("odoo-{n}"), desired: 3, ..Workload::default() };
        let workloads = (0..500).map(workload).collect();
        let large: Seen = Ok(Arc::new(Facts::Kubernetes(KubernetesFacts { workloads, ..KubernetesFacts::default() })));
        let small: Seen = Ok(Arc::new(Facts::Redis(RedisFacts { lag_s: Some(0.25), ..RedisFacts::default() })));
        let failed: Seen = Err(Failure::new(FailureKind::Timeout, "no answer from 127.0.0.1:1 within 2 s"));
        for (seen, form) in [(large, DEFLATED), (small, PLAIN), (failed, PLAIN)] {
            let bytes = encode(&seen).unwrap();
            assert_eq!(bytes[0], form);
            assert_eq!(decode(&bytes), seen);
            if form == DEFLATED {
                let plain = serde_json::to_vec(&seen).unwrap().len();
                assert!(bytes.len() * 5 < plain, "{} of {plain} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn what_can_not_be_read_is_a_failure_and_no_panic() {
        let whole = encode(&Ok(Arc::new(Facts::Redis(RedisFacts::default())))).unwrap();
        for bytes in [&[][..], &[7, 7], &[DEFLATED, 0xff, 0xff], &whole[..whole.len() - 1]] {
            let failure = decode(bytes).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Protocol, "{bytes:?}");
        }
    }
}
