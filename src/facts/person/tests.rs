use super::*;

#[test]
fn broken_lines_cost_only_the_part_that_is_broken() {
    let read = |line: &str| {
        let person = Person::read(line.as_bytes());
        (person.name, person.email, person.time.map(Timestamp::as_second))
    };
    let said = |name: &str, email: &str, time| (name.to_string(), email.to_string(), time);
    for (line, expected) in [
        ("Ann Author <ann@x> 1700000000 +0100", said("Ann Author", "ann@x", Some(1_700_000_000))),
        ("Ann <ann@x> 1700000000 -7:00", said("Ann", "ann@x", Some(1_700_000_000))),
        ("Ann <ann@x> 1700000000 UTC", said("Ann", "ann@x", Some(1_700_000_000))),
        ("Ann <ann@x>   1700000000", said("Ann", "ann@x", Some(1_700_000_000))),
        ("Ann <a <b@c>> 5 +0000", said("Ann", "a <b@c", Some(5))),
        ("Ann <a>b> 5 +0000", said("Ann", "a", Some(5))),
        ("Ann <ann@x> -5 +0000", said("Ann", "ann@x", None)),
        ("Ann <ann@x> 99999999999999999999999 +0000", said("Ann", "ann@x", None)),
        ("Ann <ann@x> 9223372036854775807 +0000", said("Ann", "ann@x", None)),
        ("Ann <ann@x>", said("Ann", "ann@x", None)),
        ("Ann <ann@x 1700000000 +0000", said("Ann", "", None)),
        ("Ann ann@x 1700000000 +0000", said("", "", None)),
        (" <ann@x> 5 +0000", said("", "ann@x", Some(5))),
        ("<> 5 +0000", said("", "", Some(5))),
        ("", said("", "", None)),
    ] {
        assert_eq!(read(line), expected, "{line}");
    }
}
