use super::*;
use crate::domain::logs::{LogLevel, Tail};
use proptest::prelude::*;

fn read(text: &str) -> Tail {
    let mut reader = Reader::new(Some("t017"));
    reader.feed(text.as_bytes());
    reader.finish()
}

const TRACEBACK: &str = "\
2026-11-22 07:00:01,123 12 ERROR t017 odoo.http: Exception during request handling.
Traceback (most recent call last):
  File \"/usr/lib/python3/dist-packages/odoo/http.py\", line 2374, in __call__
    response = request._serve_db()
  File \"/mnt/extra/addons/sale_x/models/order.py\", line 41, in action_confirm
    self._reserve()
  File \"/usr/lib/python3/dist-packages/psycopg2/extras.py\", line 9, in execute
    return super().execute(query)
psycopg2.errors.LockNotAvailable: could not obtain lock on row 4711 in relation \"stock_quant\"
2026-11-22 07:00:02,000 12 INFO t017 werkzeug: 10.0.0.9 - - [22/Nov/2026 07:00:02] \"POST /web HTTP/1.1\" 200 -
";

#[test]
fn a_traceback_is_one_error_by_its_exception_and_the_innermost_own_frame() {
    let later = TRACEBACK.replace("07:00:0", "07:05:0").replace("4711", "9").replace("line 41", "line 44");
    let tail = read(&format!("{TRACEBACK}{later}"));
    assert_eq!((tail.errors, tail.fingerprints.len(), tail.lines), (2, 1, 20));
    let kind = &tail.fingerprints[0];
    assert_eq!(kind.shape, "psycopg2.errors.LockNotAvailable in sale_x/models/order.py action_confirm");
    assert_eq!(kind.count, 2);
    assert_eq!(kind.first.unwrap().to_string(), "2026-11-22T07:00:01.123Z");
    assert_eq!(kind.last.unwrap().to_string(), "2026-11-22T07:05:01.123Z");
    assert!(kind.example.last().unwrap().contains("on row 9 in"), "{:?}", kind.example);
    assert_eq!(tail.newest.unwrap().to_string(), "2026-11-22T07:05:02Z");
}

#[test]
fn of_a_chain_of_exceptions_the_last_one_counts_and_a_level_in_its_text_does_not_part_it() {
    let tail = read(
        "2026-11-22 07:00:01,123 12 ERROR t017 odoo.http: failed\nTraceback (most recent call last):\n  File \"/a/b.py\", \
         line 1, in x\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n\
         Traceback (most recent call last):\n  File \"/c/d.py\", line 2, in y\nValueError: ERROR in the field\n",
    );
    assert_eq!(tail.errors, 1);
    assert_eq!(tail.fingerprints[0].shape, "ValueError in c/d.py y");
}

#[test]
fn messages_that_differ_in_names_and_numbers_are_alike() {
    for (a, b) in [
        ("deadlock of process 12 and 3.5", "deadlock of process 9999 and 12"),
        ("job 6ba7b810-9dad-11d1-80b4-00c04fd430c8 failed", "job 00000000-0000-0000-0000-000000000001 failed"),
        ("no route to 10.0.0.1:5432, giving up", "no route to 192.168.77.4:5432, giving up"),
        ("no route to [2001:db8::1]:5432", "no route to [fe80::9]:5432"),
        ("object at 0x7f1c99 leaked", "object at 0xdeadbeef01 leaked"),
        ("image sha256 deadbeef01 is gone", "image sha256 0a0b0c0d0e is gone"),
        ("field \"name\" missing", "field \"other thing\" missing"),
        ("it's the record 'x' of sale.order(12,)", "it's the record 'y y' of sale.order(977,)"),
        ("at 10:04:22 it stopped", "at 9:14:02 it stopped"),
    ] {
        assert_eq!(shape(a), shape(b), "{a} | {b}");
    }
    assert_ne!(shape("lock timeout"), shape("statement timeout"));
    assert_ne!(shape("model sale.order failed"), shape("model stock.move failed"));
    assert_eq!(shape("it's gone, isn't it"), "it's gone, isn't it");
}

#[test]
fn the_formats_of_an_estate_are_read() {
    let at = |text: &str| read(text).newest.map(|t| t.to_string());
    for (line, level, stamp, says) in [
        ("2026-11-22 07:00:01.123 UTC [88] t@d ERROR:  deadlock detected", "error", true, "deadlock detected"),
        ("2026-11-22 07:00:01.123 UTC [88] FATAL:  too many clients", "critical", true, "too many clients"),
        ("{\"level\":\"error\",\"time\":\"2026-11-22T07:00:01Z\",\"msg\":\"no peer 7\"}", "error", true, "no peer ‹n›"),
        ("E1122 07:00:01.123456       1 reflector.go:150] can not list pods", "error", false, "can not list pods"),
        ("ERROR:root:it broke", "error", false, "root:it broke"),
        ("time=2026-11-22 level=error msg=\"no disk left\" n=1", "error", false, "no disk left"),
        ("2026-11-22T07:00:01Z [error] upstream is gone", "error", true, "upstream is gone"),
        (
            "10.0.0.1 - - [22/Nov/2026:07:00:01 +0000] \"GET /web/login?db=a HTTP/1.1\" 502 11 \"-\" \"-\" 9 \"t017@file\" \"http://10.0.0.5:8069\" 3ms",
            "error",
            true,
            "GET /web/login answered bad gateway by t‹n›@file",
        ),
        (
            "{\"DownstreamStatus\":504,\"RequestMethod\":\"POST\",\"RequestPath\":\"/json/2/x?k=1\",\"time\":\"2026-11-22T07:00:01Z\"}",
            "error",
            true,
            "POST /json/‹n›/x answered gateway timeout",
        ),
    ] {
        let tail = read(line);
        assert_eq!(tail.fingerprints.len(), 1, "{line}: {tail:?}");
        assert_eq!(tail.fingerprints[0].level.word(), level, "{line}");
        assert_eq!(tail.fingerprints[0].shape, says, "{line}");
        assert_eq!(at(line).is_some(), stamp, "{line}");
    }
    for fine in [
        "10.0.0.1 - - [22/Nov/2026:07:00:01 +0000] \"GET / HTTP/1.1\" 404 11",
        "An error is a word",
        "LOG:  checkpoint",
    ] {
        assert_eq!(read(fine).errors, 0, "{fine}");
    }
}

#[test]
fn lines_of_another_tenant_s_database_and_older_ones_do_not_count() {
    let text =
        "2026-11-22 07:00:01,123 1 ERROR t003 odoo.http: broken\n  more\n2026-11-22 07:00:02,123 1 ERROR ? odoo: bad\n";
    let tail = read(text);
    assert_eq!((tail.lines, tail.of_others, tail.errors), (3, 2, 1));
    let mut reader = Reader::new(None).since("2026-11-22T07:00:02Z".parse().unwrap());
    reader.feed(text.as_bytes());
    let tail = reader.finish();
    assert_eq!((tail.lines, tail.errors), (1, 1));
    assert_eq!(tail.oldest.unwrap().to_string(), "2026-11-22T07:00:02.123Z");
}

#[test]
fn the_time_at_which_a_line_was_written_down_is_taken_from_kubernetes() {
    let mut reader = Reader::new(None).stamped();
    reader.feed(
        b"2026-11-22T09:00:00.5Z 2026-11-22 07:00:01,123 1 ERROR t odoo: bad\n2026-11-22T09:00:00.6Z   File \"x\"\n",
    );
    let tail = reader.finish();
    assert_eq!(tail.fingerprints[0].last.unwrap().to_string(), "2026-11-22T09:00:00.5Z");
    assert_eq!(tail.fingerprints[0].example.len(), 2);
}

#[test]
fn hostile_lines_are_harmless_and_bounded() {
    let long = "x".repeat(3 * LONGEST_LINE);
    let text = format!("ERROR \u{1b}[31mred\u{1b}]0;owned\u{7} \u{202e}gpj\u{9b}2J bad\n{long}\nlast");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(b"\nERROR \xff\xfe broken \x00 bytes\n");
    let mut reader = Reader::new(None);
    for piece in bytes.chunks(7) {
        reader.feed(piece);
    }
    let tail = reader.finish();
    let all: Vec<&str> = tail.last.iter().map(|l| l.text.as_str()).collect();
    assert!(all[0].starts_with("ERROR red ·gpj bad"), "{all:?}");
    assert!(all.iter().all(|l| l.chars().count() <= 501 && !l.chars().any(crate::domain::text::is_hostile)), "{all:?}");
    assert!(all.iter().any(|l| l.ends_with('…')));
    assert_eq!(tail.lines, 4);
}

#[test]
fn credentials_do_not_come_out() {
    let tail = read(
        "ERROR login password=hunter2 and {'token': 's3cret', \"api_key\":\"k9\"} Authorization: Bearer eyJh.b1 postgres://u:pw@h/d\n\
         ERROR the password is wrong, token_type: x\n",
    );
    let all = format!("{tail:?}");
    for secret in ["hunter2", "s3cret", "k9", "eyJh", "u:pw"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    assert!(all.contains("the password is wrong"), "{all}");
}

#[test]
fn a_flood_of_kinds_is_counted_and_not_kept() {
    let mut reader = Reader::new(None);
    let word = |mut n: usize| {
        let mut out = String::new();
        while n > 0 {
            out.push(char::from(b'g' + u8::try_from(n % 20).unwrap()));
            n /= 20;
        }
        out
    };
    for n in 1..=KINDS + 50 {
        reader.feed(format!("ERROR broken {}\n", word(n)).as_bytes());
    }
    let tail = reader.finish();
    assert_eq!(tail.errors, u64::try_from(KINDS + 50).unwrap());
    assert_eq!((tail.fingerprints.len(), tail.last.len()), (SHOWN, LAST));
    assert_eq!(tail.more_kinds, u64::try_from(KINDS - SHOWN + 1).unwrap());
}

#[test]
fn an_endless_traceback_keeps_its_ends() {
    let mut text =
        String::from("2026-11-22 07:00:01,123 1 ERROR t017 odoo: deep\nTraceback (most recent call last):\n");
    for n in 0..5_000 {
        text.push_str(&format!("  File \"/srv/addons/a/b.py\", line {n}, in f\n"));
    }
    text.push_str("RecursionError: maximum recursion depth exceeded\n");
    let tail = read(&text);
    let kind = &tail.fingerprints[0];
    assert_eq!(kind.shape, "RecursionError in addons/a/b.py f");
    assert!(
        kind.example.len() < 30 && kind.example.iter().any(|l| l.contains("lines left out")),
        "{}",
        kind.example.len()
    );
    assert!(kind.example.last().unwrap().starts_with("RecursionError"));
}

proptest! {
    #[test]
    fn whatever_comes_is_bounded_safe_and_counted_the_same_in_pieces_of_any_size(
        bytes in proptest::collection::vec(any::<u8>(), 0..4000), size in 1_usize..200,
    ) {
        let mut whole = Reader::new(Some("t017"));
        whole.feed(&bytes);
        let whole = whole.finish();
        let mut pieces = Reader::new(Some("t017"));
        bytes.chunks(size).for_each(|piece| pieces.feed(piece));
        prop_assert_eq!(&whole, &pieces.finish());
        let texts = whole.last.iter().map(|l| &l.text).chain(whole.fingerprints.iter().flat_map(|f| f.example.iter().chain([&f.shape])));
        for text in texts {
            prop_assert!(!text.chars().any(crate::domain::text::is_hostile), "{text:?}");
        }
        prop_assert!(whole.errors >= whole.fingerprints.iter().map(|f| f.count).sum());
    }

    #[test]
    fn a_shape_is_short_and_holds_no_figure(text in ".{0,600}") {
        let shape = shape(&text);
        prop_assert!(shape.chars().count() <= 200);
        prop_assert!(!shape.chars().any(|c| c.is_ascii_digit()), "{shape}");
    }

    #[test]
    fn numbers_never_part_what_is_alike(a in 0_u64..u64::MAX, b in 0_u64..u64::MAX) {
        let of = |n: u64| shape(&format!("record sale.order({n},) of {n} in {}.{n} s", n % 7));
        prop_assert_eq!(of(a), of(b));
    }

    #[test]
    fn errors_are_as_many_as_their_lines(levels in proptest::collection::vec(0_usize..4, 0..60)) {
        let words = ["INFO", "WARNING", "ERROR", "CRITICAL"];
        let lines: Vec<String> = levels.iter().map(|l| format!("2026-11-22 07:00:01,123 1 {} t017 odoo: x\n", words[*l])).collect();
        let text = lines.concat();
        let tail = read(&text);
        let count = |least: usize| u64::try_from(levels.iter().filter(|l| **l >= least).count()).unwrap();
        prop_assert_eq!(tail.errors, count(2));
        prop_assert_eq!(tail.warnings, count(1) - count(2));
        prop_assert!(tail.last.iter().all(|l| l.level >= LogLevel::Info));
    }
}
