//! The few XML answers of the S3 API that are read here. Elements are found by their local names, as servers differ
//! in namespaces.

use crate::domain::text::sanitize;
use jiff::Timestamp;
use roxmltree::{Document, Node};

/// `Error`: its code and its message.
pub fn error(body: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(body).ok()?;
    let document = Document::parse(text).ok()?;
    let root = named(document.root_element(), "Error")?;
    Some((sanitize(&text_of(root, "Code")?), sanitize(&text_of(root, "Message").unwrap_or_default())))
}

/// `VersioningConfiguration`: whether versions are kept.
pub fn versioning(body: &[u8]) -> Result<bool, String> {
    read(body, "VersioningConfiguration", |root| Ok(text_of(root, "Status").as_deref() == Some("Enabled")))
}

/// What a bucket promises for every object that is put into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Whether object lock is on at all.
    pub enabled: bool,
    /// Default mode: `COMPLIANCE` or `GOVERNANCE`.
    pub mode: Option<String>,
    /// Default retention in days; a year counts 365.
    pub days: Option<u64>,
}

/// `ObjectLockConfiguration`.
pub fn lock(body: &[u8]) -> Result<Lock, String> {
    read(body, "ObjectLockConfiguration", |root| {
        let number = |name| text_of(root, name).and_then(|t| t.parse::<u64>().ok());
        let days = number("Days").or_else(|| number("Years").map(|y| y.saturating_mul(365)));
        let enabled = text_of(root, "ObjectLockEnabled").as_deref() == Some("Enabled");
        Ok(Lock { enabled, mode: text_of(root, "Mode"), days })
    })
}

/// One version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Key.
    pub key: String,
    /// Version.
    pub id: String,
    /// When it was put there, by the server's clock, to the second.
    pub modified: Timestamp,
    /// Bytes.
    pub size: u64,
    /// Whether it only marks the object as deleted.
    pub marker: bool,
}

/// A page of `ListVersionsResult`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order of the server: by key, and the newest version of each first.
    pub versions: Vec<Version>,
    /// Key and version after which the next page begins, when there is one.
    pub next: Option<(String, String)>,
}

/// One object as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Key.
    pub key: String,
    /// When it was put there, by the server's clock.
    pub modified: Timestamp,
    /// Bytes.
    pub size: u64,
}

/// A page of `ListBucketResult`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// By key.
    pub objects: Vec<Listed>,
    /// Whether more come behind the last.
    pub more: bool,
}

/// `ListBucketResult`.
pub fn objects(body: &[u8]) -> Result<Objects, String> {
    read(body, "ListBucketResult", |root| {
        let encoded = text_of(root, "EncodingType").as_deref() == Some("url");
        let object = |node: Node<'_, '_>| {
            let key = text_of(node, "Key")?;
            Some(Listed {
                key: if encoded { decoded(&key) } else { key },
                modified: text_of(node, "LastModified")?.parse().ok()?,
                size: text_of(node, "Size")?.parse().ok()?,
            })
        };
        let found = root.children().filter(|n| n.tag_name().name() == "Contents");
        let objects = found.map(object).collect::<Option<Vec<_>>>().ok_or("an object without key, time or size")?;
        Ok(Objects { objects, more: text_of(root, "IsTruncated").as_deref() == Some("true") })
    })
}

/// `ListVersionsResult`.
pub fn versions(body: &[u8]) -> Result<Page, String> {
    read(body, "ListVersionsResult", |root| {
        let encoded = text_of(root, "EncodingType").as_deref() == Some("url");
        let key = |node: Node<'_, '_>, name: &str| {
            let text = text_of(node, name)?;
            Some(if encoded { decoded(&text) } else { text })
        };
        let version = |node: Node<'_, '_>| {
            let marker = node.tag_name().name() == "DeleteMarker";
            Some(Version {
                key: key(node, "Key")?,
                id: text_of(node, "VersionId")?,
                modified: text_of(node, "LastModified")?.parse().ok()?,
                size: if marker { 0 } else { text_of(node, "Size")?.parse().ok()? },
                marker,
            })
        };
        let found = root.children().filter(|n| matches!(n.tag_name().name(), "Version" | "DeleteMarker"));
        let versions =
            found.map(version).collect::<Option<Vec<_>>>().ok_or("a version without key, id, time or size")?;
        let more = text_of(root, "IsTruncated").as_deref() == Some("true");
        let next = if more {
            let next = key(root, "NextKeyMarker").zip(text_of(root, "NextVersionIdMarker"));
            Some(next.ok_or("a list that goes on without saying where")?)
        } else {
            None
        };
        Ok(Page { versions, next })
    })
}

/// Undoes the percent-encoding of a key (`encoding-type=url`, which keeps keys with control characters from breaking
/// the XML). What is no UTF-8 after that keeps its encoded form: it is no key of ours.
fn decoded(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| key.to_owned())
}

fn read<T>(
    body: &[u8],
    element: &str,
    take: impl FnOnce(Node<'_, '_>) -> Result<T, &'static str>,
) -> Result<T, String> {
    let text = std::str::from_utf8(body).map_err(|_| "bytes that are no text".to_owned())?;
    let document = Document::parse(text).map_err(|e| format!("no XML ({})", sanitize(&e.to_string())))?;
    let root = document.root_element();
    let found = sanitize(root.tag_name().name());
    let root = named(root, element).ok_or_else(|| format!("`{found}` in place of `{element}`"))?;
    take(root).map_err(str::to_owned)
}

fn named<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    (node.tag_name().name() == name).then_some(node)
}

/// Text of the first element of that name below a node.
fn text_of(node: Node<'_, '_>, name: &str) -> Option<String> {
    let found = node.descendants().find(|n| n.tag_name().name() == name)?;
    found.text().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `SeaweedFS` 4.48 answers; the elements are those of the API reference of Amazon S3.
    #[test]
    fn answers_are_read_by_their_elements() {
        let lock_answer = br#"<?xml version="1.0" encoding="UTF-8"?>
<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>2</Years></DefaultRetention></Rule></ObjectLockConfiguration>"#;
        let expected = Lock { enabled: true, mode: Some("COMPLIANCE".into()), days: Some(730) };
        assert_eq!(lock(lock_answer), Ok(expected));
        assert_eq!(versioning(b"<VersioningConfiguration/>"), Ok(false));
        assert_eq!(
            versioning(b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
            Ok(true)
        );
        let list = b"<ListVersionsResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
            <NextKeyMarker>a%2Fb</NextKeyMarker><NextVersionIdMarker>2</NextVersionIdMarker>\
            <DeleteMarker><Key>a%2Fb</Key><VersionId>3</VersionId><LastModified>2026-11-21T17:42:17Z</LastModified></DeleteMarker>\
            <Version><Key>a%2Fb</Key><VersionId>2</VersionId><Size>5</Size><LastModified>2026-11-21T17:42:16Z</LastModified></Version>\
            </ListVersionsResult>";
        let page = versions(list).unwrap();
        assert_eq!(page.next, Some(("a/b".into(), "2".into())));
        assert_eq!(
            page.versions.iter().map(|v| (v.key.as_str(), v.marker, v.size)).collect::<Vec<_>>(),
            [("a/b", true, 0), ("a/b", false, 5)]
        );
        let now = b"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><Contents><Key>a%2Fb</Key>\
            <LastModified>2026-11-21T17:42:16.250Z</LastModified><Size>5</Size></Contents></ListBucketResult>";
        let page = objects(now).unwrap();
        assert_eq!((page.objects[0].key.as_str(), page.objects[0].size, page.more), ("a/b", 5, true));
        assert_eq!(error(b"<Error><Code>NoSuchKey</Code></Error>"), Some(("NoSuchKey".into(), String::new())));
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        let why = versions(b"<html><body>hello</body></html>").unwrap_err();
        assert_eq!(why, "`html` in place of `ListVersionsResult`");
        assert!(versions(b"\x00\x01").unwrap_err().starts_with("no XML"));
        assert!(versioning(b"\xff").unwrap_err().contains("no text"));
        let halves = b"<ListVersionsResult><Version><Key>a</Key></Version></ListVersionsResult>";
        assert_eq!(versions(halves).unwrap_err(), "a version without key, id, time or size");
        let bomb = b"<!DOCTYPE a [<!ENTITY x \"y\">]><ListVersionsResult>&x;</ListVersionsResult>";
        assert!(versions(bomb).is_err());
    }

    proptest::proptest! {
        #[test]
        fn bytes_of_strangers_break_nothing(body: Vec<u8>, text in "[<>/A-Za-z%&;!\\[\\]\"= ]{0,200}") {
            for body in [&body[..], text.as_bytes(), format!("<ListVersionsResult>{text}</ListVersionsResult>").as_bytes()] {
                let _ = (error(body), lock(body), versioning(body), versions(body), objects(body));
            }
            proptest::prop_assert_eq!(decoded(&format!("a%2F{}", text.replace('%', ""))), format!("a/{}", text.replace('%', "")));
        }
    }
}
