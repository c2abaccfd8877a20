//! One call to a small server of this program's own, bounded by whoever takes it: the web hook of alerts and the measures
//! of the engine read heads and answer in the same way.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The code of an answer, and what is wrong with the call in words.
pub type Refusal = (u16, &'static str);

/// A call that ends before it is whole.
pub const BROKEN: Refusal = (400, "the request breaks off");

/// Reads a head of at most `most` bytes and what came with it, and lets `judge` look at it: what that made of it, and the
/// bytes behind the head. `long` is said of a longer one.
///
/// # Errors
/// What `judge` refuses, and heads that are no HTTP, too long or broken off.
pub async fn head<T>(
    stream: &mut TcpStream,
    (most, long): (usize, &'static str),
    judge: impl Fn(&httparse::Request<'_, '_>) -> Result<T, Refusal>,
) -> Result<(T, Vec<u8>), Refusal> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0_u8; 4096];
        let read = stream.read(&mut chunk).await.map_err(|_| BROKEN)?;
        bytes.extend_from_slice(chunk.get(..read).ok_or(BROKEN)?);
        let mut headers = [httparse::EMPTY_HEADER; 48];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&bytes) {
            Ok(httparse::Status::Complete(end)) => {
                let judged = judge(&request)?;
                return Ok((judged, bytes.split_off(end.min(bytes.len()))));
            }
            Ok(httparse::Status::Partial) if read == 0 => return Err(BROKEN),
            Ok(httparse::Status::Partial) if bytes.len() > most => return Err((431, long)),
            Ok(httparse::Status::Partial) => {}
            Err(_) => return Err((400, "the head is no HTTP/1.1")),
        }
    }
}

/// The value of a header, without the space around it.
pub fn header<'a>(request: &httparse::Request<'_, 'a>, name: &str) -> Option<&'a [u8]> {
    request.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.trim_ascii())
}

/// Answers and ends the call. `status` is the code with its words: `200 OK`.
pub async fn answer(stream: &mut TcpStream, status: &str, kind: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
