//! Reads a kubeconfig as kubectl does: YAML as JSON first, and then its fields. `Kubeconfig::read_from` of the crate `kube`
//! reads each field as YAML; the code for that is a sixtieth of the program.

use kube::config::{Kubeconfig, KubeconfigError};
use serde::de::Error;
use serde_json::Value;
use std::io;
use std::path::Path;

/// The documents of a file as one, with paths that start from its directory. Blocks.
pub fn read(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    let unread = |e| KubeconfigError::ReadConfig(e, path.into());
    let text = std::fs::read(path).and_then(decoded).map_err(unread)?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|e| KubeconfigError::Parse(Box::new(e)))?;
    documents.into_iter().try_fold(Kubeconfig::default(), |all, document| {
        let mut one: Kubeconfig =
            serde_json::from_value(document).map_err(|e| KubeconfigError::Parse(Box::new(Error::custom(e))))?;
        if let Some(directory) = path.parent() {
            root(&mut one, directory);
        }
        all.merge(one)
    })
}

/// UTF-8, or UTF-16 with the mark of its byte order.
fn decoded(bytes: Vec<u8>) -> io::Result<String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks(2).map(|pair| pair.try_into().map_or(0xD800, unit));
        char::decode_utf16(units).collect::<Result<_, _>>().map_err(io::Error::other)
    };
    match bytes.as_slice() {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.into()).map_err(io::Error::other),
        _ => String::from_utf8(bytes).map_err(io::Error::other),
    }
}

/// The paths in a kubeconfig start from where it is; so does a plugin's command, unless it is looked up in `PATH`.
fn root(config: &mut Kubeconfig, directory: &Path) {
    let clusters = config.clusters.iter_mut().filter_map(|c| c.cluster.as_mut());
    let authorities = clusters.filter_map(|c| c.certificate_authority.as_mut());
    let users = config.auth_infos.iter_mut().filter_map(|u| u.auth_info.as_mut());
    let credentials = users.flat_map(|u| {
        let command = u.exec.as_mut().and_then(|e| e.command.as_mut()).filter(|c| c.contains('/'));
        [u.client_certificate.as_mut(), u.client_key.as_mut(), u.token_file.as_mut(), command].into_iter().flatten()
    });
    for path in authorities.chain(credentials) {
        // An absolute one stays as it is.
        if let Some(whole) = directory.join(&*path).to_str() {
            whole.clone_into(path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = "
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: c
  cluster: {server: 'https://127.0.0.1:6443', certificate-authority: ca.pem, insecure-skip-tls-verify: false}
contexts:
- {name: one, context: {cluster: c, user: u, namespace: shop}}
users:
- name: u
  user:
    client-certificate: /etc/own.pem
    client-key: keys/own.key
    exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/login, args: [--for, me]}
---
users:
- {name: u, user: {token: other}}
- {name: bare, user: {tokenFile: token, exec: {command: login}}}
";

    fn written(bytes: &[u8]) -> (tempfile::TempDir, Result<Kubeconfig, KubeconfigError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, bytes).unwrap();
        let read = read(&path);
        (folder, read)
    }

    #[test]
    fn it_is_read_as_kube_reads_it() {
        let little: Vec<u8> = std::iter::once(0xFEFF).chain(TEXT.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = std::iter::once(0xFEFF).chain(TEXT.encode_utf16()).flat_map(u16::to_be_bytes).collect();
        for bytes in [TEXT.as_bytes(), format!("\u{FEFF}{TEXT}").as_bytes(), &little, &big, b""] {
            let (folder, ours) = written(bytes);
            let theirs = Kubeconfig::read_from(folder.path().join("config")).unwrap();
            let shown = serde_json::to_value(&theirs).unwrap();
            assert_eq!(serde_json::to_value(ours.unwrap()).unwrap(), shown);
            if !bytes.is_empty() {
                let users = shown.pointer("/users").unwrap();
                let at = |pointer| users.pointer(pointer).and_then(Value::as_str);
                let under = |name: &str| folder.path().join(name).to_str().map(str::to_owned);
                assert_eq!(at("/0/user/client-certificate"), Some("/etc/own.pem"));
                assert_eq!(at("/0/user/client-key"), under("keys/own.key").as_deref());
                assert_eq!(at("/0/user/exec/command"), under("bin/login").as_deref());
                assert_eq!(at("/1/user/exec/command"), Some("login"));
            }
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for bytes in [&b"clusters: 7"[..], b"a: [", b"\xFF\xFE\x00", b"\xFF", b"users: [{user: {}}]"] {
            assert!(written(bytes).1.is_err(), "{bytes:?}");
        }
        assert!(matches!(read(Path::new("/nowhere/config")), Err(KubeconfigError::ReadConfig(..))));
    }
}
