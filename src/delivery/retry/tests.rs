use super::*;

#[test]
fn transient_statuses_are_retried() {
    let tried: Vec<_> = (100..600).filter(|status| is_retryable(*status)).collect();
    let expected =
        [408, 425, 429].into_iter().chain((500..600).filter(|status| ![501, 505].contains(status)));
    assert_eq!(tried, expected.collect::<Vec<_>>());
}

#[test]
fn retry_after_accepts_seconds_and_dates() {
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("valid");
    assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
    assert_eq!(retry_after("Sun, 22 Nov 2026 12:00:30 GMT", now), Some(Duration::from_secs(30)));
    assert_eq!(retry_after("Sun, 22 Nov 2026 11:00:00 GMT", now), Some(Duration::ZERO));
    assert_eq!(retry_after("999999999", now), Some(MAX_RETRY_AFTER));
    assert_eq!(retry_after("soon", now), None);
    assert_eq!(retry_after("-1", now), None);
}

#[test]
fn backoff_stays_below_a_doubling_bound() {
    let mut backoff = Backoff::default();
    for nth in 0..20 {
        let bound = Backoff::FIRST.saturating_mul(1 << nth.min(16)).min(Backoff::LAST);
        assert!(backoff.next(None) <= bound);
    }
    backoff.reset();
    let asked = Duration::from_secs(30);
    let wait = backoff.next(Some(asked));
    assert!((asked..=asked + Backoff::FIRST).contains(&wait));
}

#[test]
fn last_wait_ends_with_the_time_for_retries() {
    let second = Duration::from_secs(1);
    for failures in 0..20 {
        let mut backoff = Backoff { failures };
        assert!(backoff.next_within(None, second).is_some_and(|wait| wait <= second));
        assert_eq!(backoff.next_within(None, Duration::ZERO), None);
        assert_eq!(backoff.next_within(Some(Duration::ZERO), Duration::ZERO), None);
        assert_eq!(
            backoff.next_within(Some(second * 2), second),
            None,
            "a wait that was asked for is too long"
        );
        assert_eq!(backoff.next_within(Some(second), second), Some(second));
        assert!(backoff.next_within(Some(second / 2), second).is_some_and(|wait| wait >= second / 2));
        assert!(backoff.next_within(None, Duration::MAX).is_some_and(|wait| wait <= Backoff::LAST));
    }
}
