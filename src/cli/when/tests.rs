use super::*;

/// Central European time, written out because a machine may have no time zone database.
const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

fn zone(posix: &str) -> TimeZone {
    TimeZone::posix(posix).expect("a zone")
}

fn at(text: &str) -> Result<String, String> {
    let now: Timestamp = "2026-11-29T12:30:15+01:00".parse().expect("a time");
    parse_at(text, &now.to_zoned(zone(BERLIN))).map(|time| shown(time, &zone(BERLIN)))
}

#[test]
fn times_are_read_as_people_write_them() {
    for (text, expected) in [
        ("2026-11-22T10:00:00Z", "2026-11-22T11:00:00+01:00"),
        ("2026-11-22T10:00:00+05:30", "2026-11-22T05:30:00+01:00"),
        ("2026-11-22T10:00:00", "2026-11-22T10:00:00+01:00"),
        ("2026-11-22 10:00:05", "2026-11-22T10:00:05+01:00"),
        ("2026-11-22T10:00", "2026-11-22T10:00:00+01:00"),
        ("2026-07-01", "2026-07-01T00:00:00+02:00"),
        ("10:24", "2026-11-29T10:24:00+01:00"),
        ("10:24:59", "2026-11-29T10:24:59+01:00"),
        ("today", "2026-11-29T00:00:00+01:00"),
        ("Yesterday", "2026-11-28T00:00:00+01:00"),
        ("now", "2026-11-29T12:30:15+01:00"),
        ("2h", "2026-11-29T10:30:15+01:00"),
        ("2 hours ago", "2026-11-29T10:30:15+01:00"),
        ("90 min", "2026-11-29T11:00:15+01:00"),
        ("1w", "2026-11-22T12:30:15+01:00"),
        ("3 days ago", "2026-11-26T12:30:15+01:00"),
        ("1d12h", "2026-11-28T00:30:15+01:00"),
        ("6 months ago", "2026-05-29T12:30:15+02:00"),
    ] {
        assert_eq!(at(text).as_deref(), Ok(expected), "{text}");
    }
    for text in ["soon", "", "25:00", "2026-13-01", "10", "-", "2 fortnights", "2026-11-22T10:00:00 [x]"] {
        assert!(at(text).is_err(), "{text}: {:?}", at(text));
    }
}

#[test]
fn what_is_shown_is_read_with_the_same_meaning() {
    for posix in [BERLIN, "NST3:30NDT,M3.2.0,M11.1.0", "<+0545>-5:45", "UTC0", "<+14>-14"] {
        let zone = zone(posix);
        for second in [0, 1_700_000_000, 1_793_000_000, 1_793_430_000, -1] {
            let time = Timestamp::from_second(second).expect("a time");
            assert_eq!(parse(&shown(time, &zone)), Ok(time), "{posix}");
        }
    }
}
