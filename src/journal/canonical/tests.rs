//! Vectors of RFC 8785 and properties of the narrowed form.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn is_canonical(bytes: &[u8]) -> bool {
    check(bytes, |_, _| {}).is_ok()
}

fn why(text: &str) -> &'static str {
    check(text.as_bytes(), |_, _| {}).expect_err(text).why
}

/// RFC 8785 section 3.2.2 (input) and 3.2.4 (the bytes that must come out).
#[test]
fn the_serializer_gives_the_bytes_of_the_rfc() {
    let input = r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#;
    let expected = "7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72 75 65 2c 66 61 6c 73 65 5d 2c 22 6e 75 \
        6d 62 65 72 73 22 3a 5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31 65 2b 33 30 2c 34 2e 35 2c \
        30 2e 30 30 32 2c 31 65 2d 32 37 5d 2c 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 5c 75 30 30 30 66 5c 6e 41 \
        27 42 5c 22 5c 5c 5c 5c 5c 22 2f 22 7d";
    let expected: Vec<u8> = expected.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
    let value: Value = serde_json::from_str(input).unwrap();
    assert_eq!(to_bytes(&value).unwrap(), expected);
    // The same without its fractions is in the narrowed form too.
    let narrowed = json!({"literals": value["literals"], "numbers": [333_333_333], "string": value["string"]});
    assert!(is_canonical(&to_bytes(&narrowed).unwrap()));
    assert_eq!(check(&expected, |_, _| {}).unwrap_err().why, "a number that is not whole");
}

/// RFC 8785 section 3.2.3: members sort by UTF-16 code units. Keys outside ASCII are the serializer's matter only.
#[test]
fn the_serializer_sorts_as_the_rfc_does() {
    let input = "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\
        \"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\",\
        \"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}";
    let value: Value = serde_json::from_str(input).unwrap();
    let text = String::from_utf8(to_bytes(&value).unwrap()).unwrap();
    let order: Vec<_> = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"]
        .iter()
        .map(|word| text.find(word).unwrap())
        .collect();
    assert!(order.is_sorted(), "{text}");
    assert!(matches!(admit(&mut value.clone()), Err(Unwritable::Key { .. })));
}

#[test]
fn each_departure_from_the_form_has_its_reason() {
    for (text, reason) in [
        (r#"{"a":1,"a":1}"#, "a key that comes twice"),
        (r#"{"b":1,"a":1}"#, "keys out of order"),
        (r#"{"a":1.0}"#, "a number that is not whole"),
        (r#"{"a":1e3}"#, "a number that is not whole"),
        (r#"{"a":01}"#, "a number that is not in its shortest form"),
        (r#"{"a":-0}"#, "a number that is not in its shortest form"),
        (r#"{"a":-}"#, "a sign without a number"),
        (r#"{"a":9007199254740992}"#, "an integer beyond 2^53 - 1"),
        (r#"{"a":99999999999999999999999}"#, "an integer beyond 2^53 - 1"),
        (r#"{"a": 1}"#, "no JSON value"),
        (r#"{"a":1} "#, "something after the object"),
        (r#"{"a":1"#, "neither `,` nor `}` after a member"),
        (r#"{"a":[1 ,2]}"#, "neither `,` nor `]` after an item"),
        (r#"{"a":"A"}"#, ""),
        (r#"{"a":"\u0041"}"#, "an escape that is not the canonical one"),
        (r#"{"a":"\u000a"}"#, "an escape that is not the canonical one"),
        (r#"{"a":"\u001F"}"#, "an escape that is not the canonical one"),
        (r#"{"a":"\/"}"#, "an escape that is not the canonical one"),
        ("{\"a\":\"\t\"}", "a control character that is not escaped"),
        (r#"{"a":"x}"#, "a string without end"),
        (r#"{"é":1}"#, "a key that is not plain ASCII"),
        (r#"{"a":nul}"#, "no JSON value"),
        ("[1]", "no JSON object"),
        ("", "no JSON object"),
    ] {
        if reason.is_empty() {
            assert!(is_canonical(text.as_bytes()), "{text}");
        } else {
            assert_eq!(why(text), reason, "{text}");
        }
    }
    assert_eq!(check(b"{\"a\":\"\xff\"}", |_, _| {}).unwrap_err().why, "bytes that are no UTF-8");
    assert!(is_canonical(br#"{"a":9007199254740991,"b":-9007199254740991,"c":0}"#));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(60), "]".repeat(60));
    assert_eq!(why(&deep), "nesting that is too deep");
}

/// Strings are read eight bytes at a time: what ends one, or may not stand in one, is seen at every distance.
#[test]
fn what_ends_a_string_is_seen_wherever_it_stands() {
    for before in 0..40 {
        for plain in ["x", "é", "\u{7f}", " ", "!", "#", "[", "]"] {
            let text = plain.repeat(before);
            assert!(is_canonical(format!("{{\"a\":\"{text}\"}}").as_bytes()));
            assert!(is_canonical(format!("{{\"a\":\"{text}\\n{text}\"}}").as_bytes()));
            for control in ["\u{1}", "\u{1f}", "\n", "\0"] {
                let reason = "a control character that is not escaped";
                assert_eq!(why(&format!("{{\"a\":\"{text}{control}{text}\"}}")), reason);
            }
            assert_eq!(why(&format!("{{\"a\":\"{text}\\x{text}\"}}")), "an escape that is not the canonical one");
            assert_eq!(why(&format!("{{\"a\":\"{text}\"{text}x\"}}")), "neither `,` nor `}` after a member");
        }
    }
}

#[test]
fn what_can_not_be_written_is_named_with_its_place() {
    let refused = |mut v: Value| admit(&mut v).unwrap_err().to_string();
    assert_eq!(refused(json!({"lag": [1, 0.5]})), "`lag.1` is the fraction 0.5; write it as a string");
    assert_eq!(
        refused(json!({"n": u64::MAX})),
        "`n` is 18446744073709551615, beyond what JSON keeps exact (2^53 - 1); write it as a string"
    );
    assert_eq!(refused(json!({"a": {"b\u{9b}": 1}})), "the key `b·` in `a` has a character that is not plain ASCII");
    let mut deep = json!(1);
    for _ in 0..80 {
        deep = json!([deep]);
    }
    assert!(refused(deep).ends_with("is nested deeper than 48 levels"));
}

#[test]
fn the_deepest_body_that_is_admitted_also_checks() {
    let mut body = json!(1);
    for _ in 0..MAX_DEPTH {
        body = json!([body]);
    }
    admit(&mut body).unwrap();
    assert!(admit(&mut json!([body])).is_err());
    assert!(is_canonical(&to_bytes(&json!({ "body": body })).unwrap()));
}

#[test]
fn numbers_that_json_would_round_become_text() {
    let value = to_value(&json!({"p99": 0.25, "ns": u64::MAX, "n": 7, "list": [1.5]})).unwrap();
    assert_eq!(value, json!({"p99": "0.25", "ns": "18446744073709551615", "n": 7, "list": ["1.5"]}));
}

#[test]
fn raw_controls_are_disarmed_and_escaped_ones_stay() {
    let mut value = json!({"sql": "select 1;\n\u{1b}[2J", "name": "a\u{202e}b\u{9b}c\u{7f}d"});
    admit(&mut value).unwrap();
    assert_eq!(value, json!({"sql": "select 1;\n\u{1b}[2J", "name": "a·b·c·d"}));
}

fn values() -> impl Strategy<Value = Value> {
    let max = i64::try_from(MAX_INTEGER).unwrap();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-max..=max).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\u{0}-\u{20}\"\\\\/é\u{7f}-\u{a0}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[ !#-\\[\\]-~]{0,6}", inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_the_serializer_writes_checks(value in values()) {
        let mut value = value;
        admit(&mut value).unwrap();
        let bytes = to_bytes(&json!({ "v": value })).unwrap();
        prop_assert_eq!(check(&bytes, |_, _| {}), Ok(()));
    }

    /// The definition: what checks equals JCS(parse(it)), also after a byte was changed, removed or put in.
    #[test]
    fn what_checks_is_its_own_canonical_form(value in values(), at in any::<prop::sample::Index>(), byte: u8, how in 0..3_u8) {
        let mut bytes = to_bytes(&json!({ "v": value })).unwrap();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => { bytes.remove(at); }
            _ => bytes.insert(at, byte),
        }
        if is_canonical(&bytes) {
            let parsed: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(to_bytes(&parsed).unwrap(), bytes);
        }
    }
}
