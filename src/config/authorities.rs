//! Own certificate authorities from a PEM file. What is wrong with one is said with its line.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Certificate;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use std::error::Error;
use std::path::Path;

/// The words of the innermost source of an error.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// An error with its sources, the outermost first.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| {
        match e.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            // `io::Error::source` skips the error that it wraps.
            Some(wrapped) => Some(wrapped),
            None => e.source(),
        }
    })
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Reads the certificates of a file; every one of them must be usable. Blocks.
pub fn read(path: &Path) -> Result<Vec<Certificate>, String> {
    let made = ders(path)?.into_iter().map(|der| Certificate::from_der(&der));
    made.collect::<Result<_, _>>().map_err(|e| {
        let file = path.display();
        format!("the authorities in {file} can not be used: {}", innermost(&e))
    })
}

/// The same as they are encoded. Blocks.
pub fn ders(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let file = path.display();
    let text = std::fs::read(path).map_err(|e| format!("the authorities in {file} can not be used: {e}"))?;
    parse(&String::from_utf8_lossy(&text)).map_err(|(line, why)| match line {
        0 => format!("the authorities in {file} can not be used: {why}"),
        line => format!("{file}:{line}: the authorities can not be used: {why}"),
    })
}

/// What a file of authorities vouches with. Blocks.
pub fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // Each was tried as it was read.
    roots.add_parsable_certificates(ders(path)?);
    Ok(roots)
}

/// What a file of authorities vouches with, or this machine where none is named. Blocks.
pub fn trusted(file: Option<&Path>) -> Result<RootCertStore, String> {
    file.map_or_else(systems, roots)
}

/// What this machine vouches with. Blocks.
pub fn systems() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this machine has no certificate authorities; name one with `ca`".to_owned());
    }
    Ok(roots)
}

/// The certificates of a text, or the line, 0 where it is about no line, and what is wrong.
fn parse(text: &str) -> Result<Vec<CertificateDer<'static>>, (usize, String)> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines().map(str::trim));
    while let Some((begin, line)) = lines.next() {
        if line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY") {
            return Err((begin, "a private key begins here; a file of authorities has certificates only".into()));
        }
        if line != BEGIN {
            continue;
        }
        let mut base64 = String::new();
        loop {
            match lines.next() {
                Some((_, END)) => break,
                Some((n, line)) if line.starts_with("-----") => {
                    return Err((
                        n,
                        format!("the certificate that begins in line {begin} does not end before this line"),
                    ));
                }
                Some((n, line)) => {
                    if !line.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')) {
                        return Err((n, "this line of a certificate is not base64".into()));
                    }
                    base64.push_str(line);
                }
                None => return Err((begin, format!("the certificate that begins here has no line `{END}`"))),
            }
        }
        let der = BASE64_STANDARD.decode(base64);
        let der = der.map_err(|e| (begin, format!("the certificate that begins here is not base64: {e}")))?;
        // The client itself would pass it over in silence.
        let der = CertificateDer::from(der);
        let usable = RootCertStore::empty().add(der.clone());
        usable.map_err(|e| (begin, format!("the certificate that begins here can not be used: {}", innermost(&e))))?;
        found.push(der);
    }
    if found.is_empty() { Err((0, "there is no PEM certificate in it".into())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> String {
        rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn certificates_are_read_with_whatever_stands_between_them() {
        let text = format!("# ours\n{}\nsubject=CN\n{}", authority(), authority().replace('\n', "\r\n"));
        assert_eq!(parse(&text).unwrap().len(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let good = authority();
        let line_of = |text: &str| text.lines().count();
        let unended: String = good.lines().take(3).fold("x\n".to_owned(), |text, line| text + line + "\n");
        let torn = format!("{}{good}", good.lines().take(3).fold(String::new(), |text, line| text + line + "\n"));
        let cases = [
            (String::new(), 0, "there is no PEM certificate in it"),
            ("-----BEGIN PRIVATE KEY-----\n".to_owned(), 1, "a private key begins here"),
            (good.replacen("\nMII", "\nM*I", 1), 2, "this line of a certificate is not base64"),
            (format!("{good}{BEGIN}\nMIIB\n{END}\n"), line_of(&good) + 1, "can not be used"),
            (unended, 2, "has no line `-----END"),
            (torn, 4, "the certificate that begins in line 1 does not end"),
        ];
        for (text, line, expected) in cases {
            let (found, why) = parse(&text).map(|_| ()).unwrap_err();
            assert!(found == line && why.contains(expected), "{found} {why}, not {line} {expected}\n{text}");
        }
    }

    #[test]
    fn the_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let shown = path.display().to_string();
        assert!(read(&path).unwrap_err().starts_with(&format!("the authorities in {shown} can not be used: ")));
        std::fs::write(&path, format!("{BEGIN}\n!\n")).unwrap();
        assert!(read(&path).unwrap_err().starts_with(&format!("{shown}:2: the authorities can not be used: ")));
        std::fs::write(&path, authority()).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
    }
}
