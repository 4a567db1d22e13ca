use super::*;

#[test]
fn durations_and_sizes_need_a_unit() {
    assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
    assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
    for text in ["250ms", "90s", "15m", "36h", "7d", "0s"] {
        assert_eq!(duration(text).map(duration_text).as_deref(), Ok(text));
    }
    assert_eq!(size("64MiB"), Ok(64 << 20));
    assert_eq!(size("1_000 KiB"), Ok(1_024_000));
    for bad in ["", "10", "s", "-1s", "1.5s", "10 minutes", "99999999999999999999s"] {
        assert!(duration(bad).is_err(), "{bad}");
    }
    assert_eq!(
        size("64MB").expect_err("`MB` is not a supported unit").to_string(),
        "expected a size such as \"512KiB\" or \"64MiB\", found `64MB`"
    );
}
