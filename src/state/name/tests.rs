use super::*;

const PUSH: &str = "019ab0c5-9c3e-7d5b-8f3a-0123456789ab";
const LAST: &str = "019ab0c5-9c3f-7d5b-8f3a-0123456789ab";
const MARKER: &str = "00112233445566778899aabbccddeeff";

#[test]
fn parcel_names_round_trip() {
    for tail in [
        "",
        "+1",
        "+12.LAST",
        ".LAST",
        ".MARKER",
        ".MARKER.logs",
        ".LAST.MARKER",
        ".LAST.MARKER.traces",
        ".MARKER.alone-3-1764352000",
        ".MARKER.logs.alone-12-5",
    ] {
        let name = format!("{PUSH}.2000{tail}").replace("LAST", LAST).replace("MARKER", MARKER);
        let read: ParcelName = name.parse().expect("a parcel name");
        assert_eq!(read.to_string(), name);
        let newest = if tail.contains("LAST") { LAST } else { PUSH };
        assert_eq!((read.push().to_string(), read.newest().to_string()), (PUSH.into(), newest.into()));
        assert_eq!(read.only().is_some(), [".logs", ".traces"].iter().any(|form| tail.contains(form)));
        assert_eq!(read.alone().is_some(), tail.contains("alone"));
    }
}

#[test]
fn foreign_names_are_rejected() {
    for tail in [
        "",
        ".",
        ".x",
        ".0+",
        ".0+x",
        ".0.x",
        ".0.MARKER.LAST",
        ".0.LAST.MARKER.metrics",
        ".0.MARKER.logs.logs",
        ".0.MARKER.alone-",
        ".0.MARKER.alone-1",
        ".0.MARKER.alone-x-1",
        ".0.MARKER.alone-1-1.logs",
    ] {
        let name = format!("{PUSH}{tail}").replace("LAST", LAST).replace("MARKER", MARKER);
        assert_eq!(name.parse::<ParcelName>(), Err(Foreign), "{name}");
    }
}

#[test]
fn alone_wait_doubles_and_survives_clock_changes() {
    let at = |second| Timestamp::from_second(second).expect("a time");
    let waits: Vec<_> = (1..9).map(|tries| Alone::after(tries, at(0)).until).collect();
    assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
    let alone = Alone::after(1, at(1000));
    assert!(!alone.is_due(at(1000)) && !alone.is_due(at(1059)) && alone.is_due(at(1060)));
    assert!(alone.is_due(at(-5000)));
    assert_eq!(Alone::after(u32::MAX, at(0)).until, 3600);
}
