use proptest::prelude::*;

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const ZERO: &str = "0000000000000000000000000000000000000000";

#[test]
fn blank_lines_and_a_missing_final_newline_are_accepted() {
    let lines = parse(format!("\n{ZERO} {A} refs/heads/main\n\n{A} {ZERO} refs/tags/v1").as_bytes());
    assert_eq!(lines.malformed, []);
    assert!(lines.updates[0].is_created());
    assert!(lines.updates[1].is_deleted());
}

#[test]
fn ref_names_may_be_any_bytes() {
    let mut stdin = format!("{ZERO} {A} refs/heads/").into_bytes();
    stdin.extend(b"caf\xe9;$(id)`|&'\"\n");
    let lines = parse(&stdin);
    assert_eq!(lines.updates[0].ref_name().as_bstr(), &b"refs/heads/caf\xe9;$(id)`|&'\""[..]);
}

#[test]
fn malformed_lines_are_reported_and_valid_ones_kept() {
    let stdin = format!(
        "{A} {A}\nxyz {A} refs/heads/a\n{ZERO} {ZERO} refs/heads/b\n{A} {A} refs/heads/\x1b[2J\n{A} {A} refs/heads/ok\n"
    );
    let lines = parse(stdin.as_bytes());
    assert_eq!(lines.updates.len(), 1);
    let said: Vec<_> = lines.malformed.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            format!("stdin:1: expected `<old id> <new id> <ref>`, found `{A} {A}`"),
            format!(
                "stdin:2: expected an old id of 40 or 64 hexadecimal digits, found `xyz {A} refs/heads/a`"
            ),
            format!(
                "stdin:3: expected two ids of equal length, at most one of them null, \
                     found `{ZERO} {ZERO} refs/heads/b`"
            ),
            format!(
                "stdin:4: expected a ref name without spaces or control characters, \
                     found `{A} {A} refs/heads/\\u{{1b}}[2J`"
            ),
        ]
    );
}

#[test]
fn input_beyond_the_limit_is_drained() {
    let (kept, dropped, result) = drain(io::repeat(b'x').take(MAX_STDIN + 5));
    assert_eq!((kept.len() as u64, dropped), (MAX_STDIN, 5));
    result.expect("reading works");
}

proptest! {
    #[test]
    fn every_line_is_an_update_or_malformed(stdin in prop::collection::vec(any::<u8>(), 0..400)) {
        let lines = parse(&stdin);
        let said = stdin.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        prop_assert_eq!(lines.updates.len() + lines.malformed.len() + lines.more_malformed, said);
    }
}
