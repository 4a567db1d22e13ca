use super::*;

const TOKEN: &str = "glt_a/b+c\"d\\e&f%41 <g>=?";

fn masked(secret: &str, text: &str) -> String {
    Mask::of([&Secret::new(secret).expect("a secret")]).apply(text)
}

fn percent(lower: bool) -> String {
    TOKEN.bytes().map(|byte| if lower { format!("%{byte:02x}") } else { format!("%{byte:02X}") }).collect()
}

#[test]
fn encoded_forms_of_a_secret_are_masked() {
    let json = serde_json::Value::from(TOKEN).to_string();
    let json = json[1..json.len() - 1].to_string();
    let forms = [
        TOKEN.to_string(),
        percent(true),
        percent(false),
        "glt_a%2fb%2Bc%22d%5ce%26f%2541+%3Cg%3e%3D%3F".into(),
        json.clone(),
        json.replace('/', "\\/"),
        json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003E"),
        TOKEN.bytes().map(|byte| format!("\\u{byte:04x}")).collect(),
        TOKEN.bytes().map(|byte| format!("\\x{byte:02X}")).collect(),
        serde_json::Value::from(json.clone()).to_string().trim_matches('"').to_string(),
        TOKEN.replace('&', "&amp;").replace('"', "&#34;").replace('<', "&lt;").replace('>', "&#x3E;"),
    ];
    for form in forms {
        let said = masked(TOKEN, &format!("no \"{form}\", and {form}."));
        assert_eq!(said, "no \"[redacted]\", and [redacted].", "{form}");
    }
}

#[test]
fn base64_is_masked_at_any_offset() {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    for secret in [TOKEN, "s3cr3t", "\u{7e}\u{7e}\u{7e}\u{3f}\u{3f}\u{3e}"] {
        for (before, behind) in
            [("", ""), ("u:", ""), ("us:", "x"), ("user:", "\n"), ("a", "b"), ("{\"t\":\"", "\"}")]
        {
            let text = format!("{before}{secret}{behind}");
            for form in [
                STANDARD.encode(&text),
                STANDARD_NO_PAD.encode(&text),
                URL_SAFE.encode(&text),
                URL_SAFE_NO_PAD.encode(&text),
                STANDARD.encode(&text).replace('/', "\\/"),
                STANDARD.encode(&text).replace('+', "%2B").replace('/', "%2f"),
            ] {
                let said = masked(secret, &format!("Basic {form} is not known"));
                assert!(!said.contains(&form), "{said}");
                assert!(said.starts_with("Basic ") && said.ends_with(" is not known"), "{said}");
                let left: usize = said.replace(MASK, "").len() - "Basic  is not known".len();
                assert!(left <= 6, "{text} {form}: {said}");
            }
        }
    }
    assert_eq!(masked("s3cr3t", "Basic dXNlcjpzM2NyM3Q= no"), "Basic [redacted] no");
}

#[test]
fn credential_parts_of_a_secret_are_masked() {
    assert_eq!(masked("Bearer s3cr3t", "who is s3cr3t?"), "who is [redacted]?");
    assert_eq!(masked("Basic dXNlcjpzM2NyM3Q=", "no user:s3cr3t"), "no [redacted]");
    assert_eq!(masked("Basic dXNlcjpzM2NyM3Q=", "no password s3cr3t"), "no password [redacted]");
    assert_eq!(masked("/services/T0/abcdefgh1", "no abcdefgh1 here"), "no [redacted] here");
    assert_eq!(masked("abcdabcdx", "abcdabcdabcdx abcdabcd"), "abcd[redacted] abcdabcd");
}

#[test]
fn unrelated_text_is_unchanged() {
    for text in ["", "%", "%4", "\\", "\\u00", "&#", "&;", "caf\u{e9} \u{202e}", "s3cr3", "S3CR3T"] {
        assert_eq!(masked("s3cr3t", text), text);
    }
    assert_eq!(Mask::default().apply("x"), "x");
    assert_eq!(masked("abc", "abc"), "abc", "too short to mask");
}
