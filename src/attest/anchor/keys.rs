//! Names of the objects below a prefix. All of them sort as they grow.

use crate::domain::id::Digest;

/// The checkpoint over so many records.
pub fn checkpoint(prefix: &str, size: u64) -> String {
    format!("{prefix}/checkpoint/{size:020}")
}

/// What all checkpoints begin with.
pub fn checkpoints(prefix: &str) -> String {
    format!("{prefix}/checkpoint/")
}

/// The size in a checkpoint's key, in its only form.
pub fn checkpoint_size(prefix: &str, key: &str) -> Option<u64> {
    let size = key.strip_prefix(&checkpoints(prefix))?.parse().ok()?;
    (checkpoint(prefix, size) == key).then_some(size)
}

/// A piece of a segment by its place and its digest, so that nobody can take the key beforehand.
pub fn piece(prefix: &str, segment: u64, offset: u64, digest: &Digest) -> String {
    format!("{prefix}/records/{segment:020}/{offset:012}-{}", hex(digest))
}

/// What all pieces of a segment begin with.
pub fn segment(prefix: &str, segment: u64) -> String {
    format!("{prefix}/records/{segment:020}/")
}

/// What all pieces begin with.
pub fn records(prefix: &str) -> String {
    format!("{prefix}/records/")
}

/// Segment, offset and digest in hexadecimal of a piece's key.
pub fn piece_place<'k>(prefix: &str, key: &'k str) -> Option<(u64, u64, &'k str)> {
    let (segment, rest) = key.strip_prefix(&records(prefix))?.split_once('/')?;
    let (offset, digest) = rest.split_once('-')?;
    let fits = segment.len() == 20 && offset.len() == 12 && is_hex(digest);
    if fits { Some((segment.parse().ok()?, offset.parse().ok()?, digest)) } else { None }
}

/// A file of evidence by its digest in hexadecimal.
pub fn evidence(prefix: &str, digest: &str) -> String {
    format!("{prefix}/evidence/{digest}")
}

/// What all evidence begins with.
pub fn all_evidence(prefix: &str) -> String {
    format!("{prefix}/evidence/")
}

/// The public half of the log's key.
pub fn verifier_key(prefix: &str) -> String {
    format!("{prefix}/log.vkey")
}

/// The object that `doctor` puts and tries to delete, one a day.
pub fn probe(prefix: &str, day: &str) -> String {
    format!("{prefix}/probe/{day}")
}

/// 64 small hexadecimal digits.
pub fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The bytes of 64 hexadecimal digits.
pub fn bytes_of(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    is_hex(text).then_some(bytes)
}

/// The bytes of a digest.
pub fn hash(digest: &Digest) -> [u8; 32] {
    bytes_of(digest.as_str()).unwrap_or_default()
}

/// A digest without the name of its algorithm.
pub fn hex(digest: &Digest) -> String {
    let text = digest.to_string();
    text.rsplit(':').next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_in_their_only_form() {
        let key = checkpoint("a/b", 1_000);
        assert_eq!(key, "a/b/checkpoint/00000000000000001000");
        assert_eq!(checkpoint_size("a/b", &key), Some(1_000));
        for other in
            ["a/b/checkpoint/1000", "a/b/checkpoint/+0000000000000001000", "a/c/checkpoint/00000000000000001000"]
        {
            assert_eq!(checkpoint_size("a/b", other), None, "{other}");
        }
        let digest = Digest::from_bytes(&[0xab; 32]);
        let key = piece("p", 7, 4_096, &digest);
        let hexed = "ab".repeat(32);
        assert_eq!(piece_place("p", &key), Some((7, 4_096, hexed.as_str())));
        assert_eq!(bytes_of(&hexed), Some([0xab; 32]));
        assert_eq!((bytes_of("AB"), bytes_of(&"AB".repeat(32))), (None, None));
        assert_eq!(piece_place("p", &key.replace("-ab", "-AB")), None);
    }
}
