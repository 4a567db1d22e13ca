use super::*;

#[test]
fn number_functions_convert_and_reject_out_of_range() {
    let mut engine = Engine::new();
    register(&mut engine);
    for (script, value) in [
        (r#"parse_int(" 42 ")"#, "42"),
        (r#"parse_int("-ff", 16)"#, "-255"),
        (r#"parse_float("2.5")"#, "2.5"),
        ("7.to_float()", "7.0"),
        ("'a'.to_int()", "97"),
        ("(-2.7).to_int()", "-2"),
        ("(-9223372036854775808.0).to_int()", "-9223372036854775808"),
        ("2.5.round", "3.0"),
        ("(-2.5).floor()", "-3.0"),
        ("2.25.ceiling", "3.0"),
        ("2.25.int", "2.0"),
        ("2.25.fraction", "0.25"),
        ("9.0.sqrt()", "3.0"),
        ("100.0.log()", "2.0"),
        ("8.0.log(2.0)", "3.0"),
        ("(-1.0).sqrt().is_nan", "true"),
    ] {
        let said = engine.eval::<rhai::Dynamic>(script).expect(script);
        assert_eq!(said.to_string(), value, "{script}");
    }
    for (script, why) in [
        ("9223372036854775808.0.to_int()", "9223372036854776000 does not fit into a 64-bit integer"),
        ("(-1.0).sqrt().to_int()", "NaN does not fit into a 64-bit integer"),
        (r#"parse_int("4 2")"#, "`4 2` cannot be read as an integer: invalid digit found in string"),
        (r#"parse_int("1", 37)"#, "the radix must be from 2 to 36, found 37"),
        (r#"parse_float("much")"#, "`much` cannot be read as a number: invalid float literal"),
    ] {
        let said = engine.eval::<rhai::Dynamic>(script).expect_err(script).to_string();
        assert!(said.contains(why), "{script}: {said}");
    }
}
