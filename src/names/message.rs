//! DNS messages (RFC 1035, 4): a question about a host, and what an answer says. Of an answer nothing is believed but
//! addresses, and only if it repeats the question.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many addresses of an answer are taken.
const MAX_ADDRESSES: usize = 16;

/// How long a name may be, in bytes on the wire, and one of its labels.
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;

const HEADER: usize = 12;
const CLASS_IN: u16 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// Which addresses of which name are asked for.
#[derive(Clone, Debug)]
pub(super) struct Question {
    id: u16,
    family: Family,
    /// Name, type and class as they are on the wire.
    asked: Vec<u8>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// There is such a name, perhaps without an address of this family.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    Unknown,
    /// It is longer than a datagram.
    IsCut,
    /// The server cannot tell, for this reason (RFC 1035, 4.1.1, RCODE).
    Failed(u8),
}

impl Family {
    fn record(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 28,
        }
    }

    fn address(self, data: &[u8]) -> Option<IpAddr> {
        match self {
            Self::V4 => <[u8; 4]>::try_from(data).ok().map(|octets| Ipv4Addr::from(octets).into()),
            Self::V6 => <[u8; 16]>::try_from(data).ok().map(|octets| Ipv6Addr::from(octets).into()),
        }
    }
}

impl Question {
    /// Returns the question, `None` if no host can have such a name.
    pub fn new(id: u16, name: &str, family: Family) -> Option<Self> {
        let mut asked = Vec::with_capacity(name.len() + 6);
        for label in name.strip_suffix('.').unwrap_or(name).split('.') {
            let is_label =
                (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_graphic());
            if !is_label {
                return None;
            }
            asked.push(u8::try_from(label.len()).ok()?);
            asked.extend(label.bytes());
        }
        asked.push(0);
        if asked.len() > MAX_NAME {
            return None;
        }
        asked.extend(family.record().to_be_bytes());
        asked.extend(CLASS_IN.to_be_bytes());
        Some(Self { id, family, asked })
    }

    /// Returns the message that asks it.
    pub fn to_bytes(&self) -> Vec<u8> {
        const RECURSION_DESIRED: u16 = 0x0100;
        let header = [self.id, RECURSION_DESIRED, 1, 0, 0, 0];
        header.iter().flat_map(|field| field.to_be_bytes()).chain(self.asked.iter().copied()).collect()
    }

    /// Reads a message; `None` if it is no answer to this question.
    pub fn reply(&self, message: &[u8]) -> Option<Reply> {
        let mut fields =
            message.get(..HEADER)?.chunks_exact(2).map(|field| u16::from_be_bytes([field[0], field[1]]));
        let (id, flags, questions, answers) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        // QR and OPCODE: an answer to a standard query.
        if id != self.id || flags & 0xf800 != 0x8000 {
            return None;
        }
        let code = (flags & 0xf) as u8;
        let body = &message[HEADER..];
        let repeats = questions == 1
            && body.get(..self.asked.len()).is_some_and(|asked| asked.eq_ignore_ascii_case(&self.asked));
        if !repeats {
            // Some servers answer with nothing but the reason why they do not.
            return (questions == 0 && !matches!(code, 0 | 3)).then_some(Reply::Failed(code));
        }
        const IS_CUT: u16 = 0x0200;
        match code {
            _ if flags & IS_CUT != 0 => Some(Reply::IsCut),
            0 => self.addresses(&body[self.asked.len()..], answers).map(Reply::Addresses),
            3 => Some(Reply::Unknown),
            code => Some(Reply::Failed(code)),
        }
    }

    /// Reads `count` records. Those of other types lead to the address (CNAME) or prove something (RRSIG); whose names
    /// they are does not matter, because the server that is asked could tell any address.
    fn addresses(&self, mut records: &[u8], count: u16) -> Option<Vec<IpAddr>> {
        let mut addresses = Vec::new();
        for _ in 0..count {
            records = after_name(records)?;
            let (fixed, rest) = records.split_first_chunk::<10>()?;
            let [record, class, length] = [0, 2, 8].map(|at| u16::from_be_bytes([fixed[at], fixed[at + 1]]));
            let (data, rest) = rest.split_at_checked(length.into())?;
            if record == self.family.record() && class == CLASS_IN && addresses.len() < MAX_ADDRESSES {
                addresses.push(self.family.address(data)?);
            }
            records = rest;
        }
        Some(addresses)
    }
}

/// Passes over a name: labels, then either its end or a pointer to the rest of it (RFC 1035, 4.1.4).
fn after_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, rest) = bytes.split_first()?;
        bytes = match length {
            0 => return Some(rest),
            1..=0x3f => rest.get(usize::from(length)..)?,
            0xc0.. => return rest.get(1..),
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question(family: Family) -> Question {
        Question::new(0x1234, "otlp.example", family).expect("a name")
    }

    /// An answer with these flags and records.
    fn answer(question: &Question, flags: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question.to_bytes();
        message[2..4].copy_from_slice(&flags.to_be_bytes());
        message[7] = u8::try_from(records.len()).expect("few");
        for (record, data) in records {
            message.extend([0xc0, 12]);
            message.extend(record.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).expect("short")]);
            message.extend(*data);
        }
        message
    }

    #[test]
    fn a_question_is_as_the_standard_has_it() {
        let bytes = question(Family::V6).to_bytes();
        assert_eq!(bytes, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04otlp\x07example\0\0\x1c\0\x01");
        let long = ["a".repeat(63).as_str(); 4].join(".");
        for name in ["", ".", "a..b", "a b", "caf\u{e9}", &"a".repeat(64), &long] {
            assert!(Question::new(1, name, Family::V4).is_none(), "{name}");
        }
        assert!(Question::new(1, "_a-b.c.", Family::V4).is_some());
    }

    #[test]
    fn an_answer_tells_addresses_and_passes_over_what_leads_there() {
        let v4 = question(Family::V4);
        let records: &[(u16, &[u8])] = &[(5, b"\x01x\xc0\x0c"), (1, &[192, 0, 2, 7]), (46, b"proof")];
        let expected = Reply::Addresses(vec![[192, 0, 2, 7].into()]);
        assert_eq!(v4.reply(&answer(&v4, 0x8180, records)), Some(expected));
        let v6 = question(Family::V6);
        assert_eq!(v6.reply(&answer(&v6, 0x8180, records)), Some(Reply::Addresses(vec![])));
        assert_eq!(v6.reply(&answer(&v6, 0x8183, &[])), Some(Reply::Unknown));
        assert_eq!(v6.reply(&answer(&v6, 0x8182, &[])), Some(Reply::Failed(2)));
        assert_eq!(v6.reply(&answer(&v6, 0x8380, &[])), Some(Reply::IsCut));
        assert_eq!(v6.reply(b"\x12\x34\x81\x85\0\0\0\0\0\0\0\0"), Some(Reply::Failed(5)));
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_none() {
        let v4 = question(Family::V4);
        let good = answer(&v4, 0x8180, &[(1, &[192, 0, 2, 7])]);
        for end in 0..good.len() {
            assert_eq!(v4.reply(&good[..end]), None, "{end}");
        }
        let other = Question::new(0x1234, "otlp.exampl3", Family::V4).expect("a name");
        assert_eq!(other.reply(&good), None);
        assert_eq!(question(Family::V6).reply(&good), None);
        assert_eq!(v4.reply(&v4.to_bytes()), None, "it is the question");
        let mut of_another = good;
        of_another[0] ^= 1;
        assert_eq!(v4.reply(&of_another), None);
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange(at in 2_usize..60, byte: u8, more in prop::collection::vec(any::<u8>(), 0..60)) {
            let v4 = question(Family::V4);
            let mut message = answer(&v4, 0x8180, &[(5, b"\x01x\xc0\x0c"), (1, &[192, 0, 2, 7])]);
            message.extend(more);
            let at = at.min(message.len() - 1);
            message[at] = byte;
            if let Some(Reply::Addresses(addresses)) = v4.reply(&message) {
                prop_assert!(addresses.len() <= MAX_ADDRESSES);
            }
        }
    }
}
