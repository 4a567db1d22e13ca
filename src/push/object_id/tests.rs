use super::*;

#[test]
fn hex_round_trips_in_both_lengths() {
    for digits in [40, 64] {
        let hex = "0123456789abcdef".repeat(4)[..digits].to_string();
        let id = ObjectId::from_hex(hex.as_bytes()).expect("valid hex");
        assert_eq!(id.to_string(), hex);
        assert_eq!(ObjectId::from_raw(id.as_bytes()), Some(id));
        assert!(!id.is_null());
        assert!(ObjectId::from_hex("0".repeat(digits).as_bytes()).expect("valid").is_null());
    }
}

#[test]
fn invalid_hex_is_rejected() {
    for bad in ["", "abc", &"g".repeat(40), &"0".repeat(41), &"é".repeat(20)] {
        assert_eq!(ObjectId::from_hex(bad.as_bytes()), None, "{bad}");
    }
}
