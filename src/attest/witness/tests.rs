//! Answers that a witness should not give, from a server on the loopback that gives them.

use super::client::{Answered, Client, Refused, Submission};
use super::*;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::key::LogKey;
use crate::journal::tree::EMPTY_HASH;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

const LONG: Duration = Duration::from_secs(30);

/// The witnesses of the vectors of `journal::cosignature`: an Ed25519 and an ML-DSA-44 one.
fn keys() -> Vec<WitnessKey> {
    include_str!("../../journal/cosignature/vectors/go.vkeys").lines().skip(1).map(|k| k.parse().unwrap()).collect()
}

fn read_request(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
}

/// Answers every request with these bytes, and then closes the connection.
fn answering(answer: Vec<u8>) -> Witness {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_request(&stream);
            // The client may have turned away by then.
            let _ = stream.write_all(&answer);
        }
    });
    Witness { name: "w1".into(), url, key: keys().remove(0), administrator: "them".into(), ca: None }
}

fn http(status: u16, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn ask(witness: &Witness, log: &LogKey, timeout: Duration) -> Result<Answered, Refused> {
    let checkpoint = Checkpoint { origin: log.verifier().name().into(), size: 0, root: EMPTY_HASH };
    let note = checkpoint.sign(log).unwrap();
    let client = Client::new([witness]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let submission = Submission { old: 0, proof: &[], note: &note };
    runtime.block_on(client.add_checkpoint(witness, log.verifier(), submission, timeout))
}

#[test]
fn every_refusal_has_its_sentence() {
    let log = LogKey::generate("example.com/log").unwrap();
    let foreign = "— w.example/9 AAAAAAAAAAAAAAAAAAAAAAAA\n";
    let known = keys().remove(0);
    // Names and ids the configured key, and signs nothing of this.
    let forged =
        include_str!("../../journal/cosignature/vectors/go.note").lines().find(|l| l.contains("/w1 ")).unwrap();
    let forged = format!("{forged}\n");
    let endless = "— w.example/9 AAAAAAAAAAAAAAAA\n".repeat(4_000);
    for (status, body, expected) in [
        (400, "", "could not read the request"),
        (403, "", "another key"),
        (404, "", "does not know this log"),
        (409, "", "a 409 without a size"),
        (409, "a lot\n", "a 409 without a size"),
        (409, "99999999999999999999999\n", "a 409 without a size"),
        (422, "", "does not continue what it has cosigned"),
        (429, "", "patience (429)"),
        (503, "", "patience (503)"),
        (500, "", "failed (500)"),
        (302, "", "answered 302"),
        (200, "", "no lines of signatures"),
        (200, "<html>hello</html>", "no lines of signatures"),
        (200, foreign, "without a signature by its configured key witness.example.com/w1+9582033c"),
        (200, &forged, "the cosignature of witness.example.com/w1+9582033c is not valid"),
        (200, &endless, "longer than 64 KiB"),
    ] {
        let witness = answering(http(status, body.as_bytes()));
        assert_eq!(witness.key, known);
        let said = ask(&witness, &log, LONG).unwrap_err().to_string();
        assert!(said.contains(expected), "{status}: {said}");
    }
    let said = ask(&answering(http(200, b"\xff\xfe")), &log, LONG).unwrap_err();
    assert_eq!(said, Refused::Garbage("it is no UTF-8"));
    assert_eq!(ask(&answering(http(409, b"17\n")), &log, LONG), Ok(Answered::Stale { size: 17 }));
}

#[test]
fn no_http_and_no_answer_are_told_apart() {
    let log = LogKey::generate("example.com/log").unwrap();
    let nonsense = ask(&answering(b"SSH-2.0-OpenSSH\r\n".to_vec()), &log, LONG).unwrap_err();
    assert!(matches!(nonsense, Refused::Unreachable(_)), "{nonsense}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut witness = answering(vec![]);
    witness.url = format!("http://{}", silent.local_addr().unwrap());
    let patience = Duration::from_millis(50);
    assert_eq!(ask(&witness, &log, patience), Err(Refused::Timeout(patience)));
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nshort".to_vec();
    assert!(matches!(ask(&answering(cut), &log, LONG), Err(Refused::Unreachable(_))));
}

#[test]
fn an_answer_without_an_end_is_cut_off() {
    let log = LogKey::generate("example.com/log").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut witness = answering(vec![]);
    witness.url = format!("http://{}", listener.local_addr().unwrap());
    let sent = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&stream);
        let mut sent = 0_usize;
        let line = "— w.example/9 AAAAAAAAAAAAAAAA\n".repeat(1_000);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        while stream.write_all(line.as_bytes()).is_ok() {
            sent += line.len();
        }
        sent
    });
    let from = Instant::now();
    assert_eq!(ask(&witness, &log, LONG), Err(Refused::Garbage("it is longer than 64 KiB")));
    assert!(from.elapsed() < LONG);
    // What the kernel takes in goes on for a while, but not for long.
    assert!(sent.join().unwrap() < 64 << 20);
}
