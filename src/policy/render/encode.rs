//! Texts as addresses and JSON hold them.

use std::fmt::Write as _;

/// Percent-encodes everything but the unreserved characters (RFC 3986, section 2.3).
pub(super) fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Writes a text as JSON does between the quotation marks of a string.
pub(super) fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_unreserved_stays_as_it_is() {
        assert_eq!(percent("aZ09-._~"), "aZ09-._~");
        assert_eq!(percent("a b/c?d#e%\r\n\u{e9}"), "a%20b%2Fc%3Fd%23e%25%0D%0A%C3%A9");
        assert_eq!(in_json("a\"b\\c\n"), r#"a\"b\\c\n"#);
    }
}
