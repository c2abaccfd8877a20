//! SSH's wire format (RFC 4251 section 5): big-endian numbers, and strings with their length in front.

use super::BadSignature;

/// Reads from the front; each read is checked against what is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], BadSignature> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(|| BadSignature::malformed("it ends early"))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadSignature> {
        self.take(N)?.try_into().map_err(|_| BadSignature::malformed("it ends early"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, BadSignature> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, BadSignature> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, BadSignature> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], BadSignature> {
        let length = usize::try_from(self.u32()?).map_err(|_| BadSignature::malformed("it ends early"))?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, BadSignature> {
        std::str::from_utf8(self.string()?).map_err(|_| BadSignature::malformed("a name in it is not UTF-8"))
    }

    /// A number without sign of any length, without its leading zeros.
    pub(super) fn mpint(&mut self) -> Result<&'a [u8], BadSignature> {
        let bytes = self.string()?;
        if bytes.first().is_some_and(|b| b & 0x80 != 0) {
            return Err(BadSignature::malformed("a number in it is negative"));
        }
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        Ok(bytes.get(zeros..).unwrap_or_default())
    }

    pub(super) fn end(&self) -> Result<(), BadSignature> {
        if self.rest.is_empty() { Ok(()) } else { Err(BadSignature::malformed("bytes follow its end")) }
    }
}

/// Appends a string with its length in front.
pub(super) fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    // Nothing that is signed here comes near 4 GiB; a longer one would get a length that no reader accepts.
    into.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend_from_slice(bytes);
}

/// A number as that many bytes, with zeros in front; `None` when it is longer.
pub(super) fn padded(number: &[u8], width: usize) -> Option<Vec<u8>> {
    let zeros = width.checked_sub(number.len())?;
    let mut bytes = vec![0; zeros];
    bytes.extend_from_slice(number);
    Some(bytes)
}
