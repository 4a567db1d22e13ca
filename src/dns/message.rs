//! Encodes a DNS question about a host and decodes the reply (RFC 1035, section 4). Takes only
//! addresses from a reply, and only if it repeats the question.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::{
    CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, TYPE, header_buffer,
    rdata::{A, AAAA, RData},
};

/// Maximum number of addresses taken from a reply.
const MAX_ADDRESSES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// A question for the addresses of one family of a name.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    id: u16,
    asked: simple_dns::Question<'static>,
    message: Vec<u8>,
}

/// A decoded reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DnsReply {
    /// The name exists, perhaps without an address of this family.
    Addresses(Vec<IpAddr>),
    /// The name does not exist.
    Unknown,
    /// The reply was truncated to fit a datagram.
    IsCut,
    /// The server failed with this response code (RFC 1035, section 4.1.1, RCODE).
    Failed(u8),
}

impl Question {
    /// Returns a question, or `None` if `name` is not a valid host name.
    pub fn new(id: u16, name: &str, family: Family) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        // simple-dns takes empty labels, any bytes and escapes.
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        };
        if !name.split('.').all(is_label) {
            return None;
        }
        let name = Name::new(name).ok()?.into_owned();
        let record = match family {
            Family::V4 => TYPE::A,
            Family::V6 => TYPE::AAAA,
        };
        let asked = simple_dns::Question::new(name, QTYPE::TYPE(record), QCLASS::CLASS(CLASS::IN), false);
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(asked.clone());
        let message = packet.build_bytes_vec().ok()?;
        Some(Self { id, asked, message })
    }

    /// Returns the question as a message.
    pub fn to_bytes(&self) -> &[u8] {
        &self.message
    }

    /// Decodes a reply. Returns `None` if it does not answer this question.
    pub fn reply(&self, message: &[u8]) -> Option<DnsReply> {
        let has = |flag| header_buffer::has_flags(message, flag).ok();
        let is_reply = header_buffer::id(message).ok()? == self.id
            && has(PacketFlag::RESPONSE)?
            && header_buffer::opcode(message).ok()? == OPCODE::StandardQuery;
        if !is_reply {
            return None;
        }
        if has(PacketFlag::TRUNCATION)? {
            return Some(DnsReply::IsCut);
        }
        let code = header_buffer::rcode(message).ok()?;
        let packet = Packet::parse(message).ok()?;
        match (&*packet.questions, code) {
            // Some servers return only the header when they fail.
            ([], RCODE::NoError | RCODE::NameError) => None,
            ([], code) => Some(DnsReply::Failed(code as u8)),
            ([asked], code) if self.is_asked(asked) => Some(match code {
                RCODE::NoError => DnsReply::Addresses(self.addresses(&packet)),
                RCODE::NameError => DnsReply::Unknown,
                code => DnsReply::Failed(code as u8),
            }),
            _ => None,
        }
    }

    /// Returns true if a reply repeats this question. Servers may change the case of the name.
    fn is_asked(&self, asked: &simple_dns::Question<'_>) -> bool {
        let lower = |name: &Name<'_>| name.to_string().to_ascii_lowercase();
        asked.qtype == self.asked.qtype
            && asked.qclass == self.asked.qclass
            && lower(&asked.qname) == lower(&self.asked.qname)
    }

    /// Returns the addresses of the asked family. Owner names are not checked, because the server
    /// that chose the addresses chose them too.
    fn addresses(&self, packet: &Packet<'_>) -> Vec<IpAddr> {
        let records = packet.answers.iter().filter(|record| {
            record.class == CLASS::IN && QTYPE::TYPE(record.rdata.type_code()) == self.asked.qtype
        });
        let address = |rdata: &RData<'_>| match rdata {
            RData::A(A { address }) => Some(Ipv4Addr::from(*address).into()),
            RData::AAAA(AAAA { address }) => Some(Ipv6Addr::from(*address).into()),
            _ => None,
        };
        records.filter_map(|record| address(&record.rdata)).take(MAX_ADDRESSES).collect()
    }
}

#[cfg(test)]
mod tests;
