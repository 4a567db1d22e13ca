use super::*;

#[test]
fn flipped_bits_are_detected_and_unsealed_lines_are_read() {
    let object = serde_json::json!({ "kind": "release", "service": "päy", "version": "1.0.0" });
    let line = line(&object).expect("an object");
    assert_eq!(read::<serde_json::Value>(&*line).expect("an intact line"), object);
    assert_eq!(read::<serde_json::Value>(&*object.to_string().into_bytes()).expect("an intact line"), object);
    // A reader that does not know of the checksum sees an ordinary member.
    let told: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
    assert_eq!(told["version"], "1.0.0");
    let whole = &line[..line.len() - 1];
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let is_noticed = match check(&mut flipped) {
            SealCheck::Whole(_) => false,
            SealCheck::Broken => true,
            // A bit of the text around the digits flipped, so the object seems to have no
            // checksum. Readers reject that in files of format 2.
            SealCheck::Unsealed(_) => bit / 8 >= whole.len() - LEN,
        };
        assert!(is_noticed, "bit {bit}");
    }
}

#[test]
fn short_text_is_unsealed() {
    for text in ["", "{", "{}", "\"crc32\":\"00000000\"}"] {
        assert_eq!(check(&mut text.as_bytes().to_vec()), SealCheck::Unsealed(text.as_bytes()), "{text}");
    }
}
