use proptest::prelude::*;

use super::*;

fn question(family: Family) -> Question {
    Question::new(0x1234, "otlp.example", family).expect("a name")
}

/// Builds a reply with these flags and records.
fn answer(question: &Question, flags: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = question.to_bytes().to_vec();
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    message[7] = u8::try_from(records.len()).expect("fits into a byte");
    for (record, data) in records {
        message.extend([0xc0, 12]);
        message.extend(record.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).expect("fits into a byte")]);
        message.extend(*data);
    }
    message
}

#[test]
fn question_is_encoded_in_wire_format() {
    let question = question(Family::V6);
    assert_eq!(question.to_bytes(), b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04otlp\x07example\0\0\x1c\0\x01");
    let long = ["a".repeat(63).as_str(); 4].join(".");
    for name in ["", ".", "a..b", "a b", "caf\u{e9}", &"a".repeat(64), &long] {
        assert!(Question::new(1, name, Family::V4).is_none(), "{name}");
    }
    assert!(Question::new(1, "_a-b.c.", Family::V4).is_some());
}

#[test]
fn reply_yields_addresses_and_skips_other_records() {
    let v4 = question(Family::V4);
    let records: &[(u16, &[u8])] = &[(5, b"\x01x\xc0\x0c"), (1, &[192, 0, 2, 7]), (65_280, b"proof")];
    let expected = DnsReply::Addresses(vec![[192, 0, 2, 7].into()]);
    assert_eq!(v4.reply(&answer(&v4, 0x8180, records)), Some(expected));
    let v6 = question(Family::V6);
    assert_eq!(v6.reply(&answer(&v6, 0x8180, records)), Some(DnsReply::Addresses(vec![])));
    assert_eq!(v6.reply(&answer(&v6, 0x8183, &[])), Some(DnsReply::Unknown));
    assert_eq!(v6.reply(&answer(&v6, 0x8182, &[])), Some(DnsReply::Failed(2)));
    assert_eq!(v6.reply(&answer(&v6, 0x8380, &[])), Some(DnsReply::IsCut));
    assert_eq!(v6.reply(b"\x12\x34\x81\x85\0\0\0\0\0\0\0\0"), Some(DnsReply::Failed(5)));
}

#[test]
fn unrelated_or_truncated_replies_are_ignored() {
    let v4 = question(Family::V4);
    let good = answer(&v4, 0x8180, &[(1, &[192, 0, 2, 7])]);
    for end in 0..good.len() {
        assert_eq!(v4.reply(&good[..end]), None, "{end}");
    }
    let other = Question::new(0x1234, "otlp.exampl3", Family::V4).expect("a name");
    assert_eq!(other.reply(&good), None);
    assert_eq!(question(Family::V6).reply(&good), None);
    assert_eq!(v4.reply(v4.to_bytes()), None, "the query itself is not a reply");
    let mut of_another = good;
    of_another[0] ^= 1;
    assert_eq!(v4.reply(&of_another), None);
}

proptest! {
    #[test]
    fn corrupted_replies_do_not_panic(at in 2_usize..60, byte: u8, more in prop::collection::vec(any::<u8>(), 0..60)) {
        let v4 = question(Family::V4);
        let mut message = answer(&v4, 0x8180, &[(5, b"\x01x\xc0\x0c"), (1, &[192, 0, 2, 7])]);
        message.extend(more);
        let at = at.min(message.len() - 1);
        message[at] = byte;
        if let Some(DnsReply::Addresses(addresses)) = v4.reply(&message) {
            prop_assert!(addresses.len() <= MAX_ADDRESSES);
        }
    }
}
