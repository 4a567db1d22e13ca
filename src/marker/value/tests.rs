use super::*;

#[test]
fn attribute_values_round_trip_through_json() {
    for json in ["true", "-7", "9223372036854775807", "1.5", r#""text""#, r#"["a","b"]"#, "[]"] {
        let value: Value = serde_json::from_str(json).expect(json);
        assert_eq!(serde_json::to_string(&value).expect(json), json);
    }
    assert_eq!(
        serde_json::from_str::<Value>("18446744073709551615").ok(),
        Some(Value::Float(u64::MAX as f64))
    );
    for wrong in ["null", "{}", "[1]", "[[]]"] {
        serde_json::from_str::<Value>(wrong).expect_err(wrong);
    }
}
