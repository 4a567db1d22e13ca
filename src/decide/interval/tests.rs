use super::*;

#[test]
fn time_accepts_rfc3339_and_unix_seconds() {
    let expected = "2026-11-26T10:00:00Z".parse().ok();
    for said in ["2026-11-26T10:00:00Z", " 1795687200 ", "2026-11-26T11:00:00+01:00"] {
        assert_eq!(time(said), expected, "{said}");
    }
    for wrong in ["", "now", "99999999999999999", "2026-11-26"] {
        assert_eq!(time(wrong), None, "{wrong}");
    }
}
