use super::*;
use crate::policy::api::POLICY;

#[test]
fn missing_function_error_names_expected_and_found_arguments() {
    for (signature, told) in [
        (
            "glob (i64, &str | ImmutableString | String)",
            "`glob` takes pattern: text, text: text; found number, text",
        ),
        ("file (update)", "`file` takes path: text; found nothing"),
        ("describe (update, map)", "`describe` takes nothing; found object map"),
        ("globb (i64)", "unknown function `globb (number)`; did you mean `glob`?"),
        ("frobnicate ()", "unknown function `frobnicate ()`"),
        ("len (())", "unknown function `len (())`"),
    ] {
        assert_eq!(missing(&POLICY, signature).to_string(), told);
    }
}
