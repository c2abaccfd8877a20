//! The lines of a watch: one JSON document each, read without ever holding more than the longest allowed.

use super::link::{Fault, Link};
use crate::domain::sample::FailureKind;
use futures::io::{AsyncBufReadExt as _, AsyncReadExt as _};
use futures::{AsyncBufRead, TryStreamExt as _};
use http::Response;
use http_body_util::BodyExt as _;
use kube::client::Body;
use std::pin::Pin;

/// Longer than any object that etcd takes (1.5 MiB by default), with room for its encoding as JSON.
const LONGEST_LINE: u64 = 8 << 20;

/// A buffer that one big object has grown is given back when the next lines are small.
const KEPT_BUFFER: usize = 64 << 10;

/// Reads the body of an answer line by line.
pub struct Lines {
    reader: Pin<Box<dyn AsyncBufRead + Send>>,
    buffer: Vec<u8>,
    link: Link,
}

impl Lines {
    /// The lines of an answer.
    pub fn new(link: Link, response: Response<Body>) -> Self {
        let body = response.into_body().into_data_stream().map_err(std::io::Error::other);
        // The client's body is Send but not Sync, which is all that reading from one task needs.
        Self { reader: Box::pin(body.into_async_read()), buffer: Vec::new(), link }
    }

    /// The next whole line; `None` when the server has ended the answer. A line that the end cuts short is
    /// not given out.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, Fault> {
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
        let mut limited = (&mut self.reader).take(LONGEST_LINE);
        let read = limited.read_until(b'\n', &mut self.buffer).await;
        let read = read.map_err(|e| Fault::Lost(self.link.transport(&e)))?;
        if self.buffer.ends_with(b"\n") {
            return Ok(Some(&self.buffer));
        }
        if u64::try_from(read).is_ok_and(|read| read >= LONGEST_LINE) {
            let why = format!("a line of a watch is longer than {} MiB", LONGEST_LINE >> 20);
            return Err(Fault::Lost(self.link.failure(FailureKind::Protocol, &why)));
        }
        Ok(None)
    }
}
