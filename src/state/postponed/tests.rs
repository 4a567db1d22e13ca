use super::*;

#[test]
fn wait_doubles_up_to_one_hour() {
    let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("a time");
    let mut postponed = None;
    let mut waits = Vec::new();
    for _ in 0..14 {
        let next = Postponed::after(postponed, "no such file", now);
        waits.push(next.wait(now).as_secs());
        postponed = Some(next);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
}

#[test]
fn clock_set_back_does_not_delay_a_push() {
    let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("a time");
    let postponed = Postponed::after(None, "", now);
    let yesterday = "2026-11-27T12:00:00Z".parse().expect("a time");
    assert_eq!(postponed.wait(yesterday), Duration::ZERO);
    assert_eq!(Postponed::after(Some(postponed), "", yesterday).since, yesterday);
}
