//! Reads files of OpenPGP public keys.

use std::io::Read as _;

use bstr::ByteSlice as _;
use pgp::{
    armor::{Dearmor, DearmorOptions},
    composed::{Deserializable as _, SignedPublicKey},
    errors::Error,
    packet::{Packet, PacketParser, SignatureType},
    types::{Fingerprint, KeyId},
};

use super::key_file::{Flaw, MAX_FILE};
use crate::text;

const BEGIN: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &[u8] = b"-----END PGP PUBLIC KEY BLOCK-----";
const SECRET: &[u8] = b"-----BEGIN PGP PRIVATE KEY BLOCK-----";

/// The keys and revocations of a file.
#[derive(Debug, Default)]
pub(super) struct OpenPgpKeys {
    /// Each key, with the line at which its block begins. A binary file has none.
    pub keys: Vec<(Option<usize>, SignedPublicKey)>,
    pub revocations: Vec<Revocation>,
}

/// A revocation of a primary key, by the key that it names as its issuer.
#[derive(Debug)]
pub(super) struct Revocation {
    ids: Vec<KeyId>,
    fingerprints: Vec<Fingerprint>,
}

impl Revocation {
    /// Returns true if it revokes this key.
    pub fn is_of(&self, fingerprint: &Fingerprint, id: KeyId) -> bool {
        self.fingerprints.contains(fingerprint) || self.ids.contains(&id)
    }
}

/// Returns true if the file holds OpenPGP keys, armored or as packets.
pub(super) fn is_openpgp(file: &[u8]) -> bool {
    is_packets(file) || file.contains_str("-----BEGIN PGP ")
}

/// Returns true if the file holds packets. The first bit of a packet is set.
fn is_packets(file: &[u8]) -> bool {
    file.first().is_some_and(|first| first & 0x80 != 0) && file.to_str().is_err()
}

/// Reads the keys of a file: packets, or any number of armored blocks with text between them.
pub(super) fn parse(file: &[u8]) -> Result<OpenPgpKeys, Flaw> {
    let mut found = OpenPgpKeys::default();
    if is_packets(file) {
        found.add(file, None)?;
        return Ok(found);
    }
    let (mut at, mut block) = (0, None);
    for (nth, line) in file.lines_with_terminator().enumerate() {
        let number = nth + 1;
        let word = line.trim_ascii_end();
        if word == SECRET {
            return Err(Flaw::at(number, "it holds a secret key; list the public key only")
                .fixed_by("gpg --armor --export KEY"));
        }
        if word == BEGIN {
            block = Some((number, at));
        }
        at += line.len();
        if word == END
            && let Some((number, start)) = block.take()
        {
            found.add(&dearmor(&file[start..at], number)?, Some(number))?;
        }
    }
    match block {
        Some((number, _)) => Err(Flaw::at(number, "the key block does not end; the file is cut off")),
        None if found.keys.is_empty() && found.revocations.is_empty() => {
            Err(Flaw::of_file("it holds no OpenPGP public key").fixed_by("gpg --armor --export KEY"))
        }
        None => Ok(found),
    }
}

/// Decodes an armored block. Its checksum is optional, and finds damage that no signature covers.
fn dearmor(block: &[u8], line: usize) -> Result<Vec<u8>, Flaw> {
    let mut dearmor = Dearmor::with_options(block, DearmorOptions::new().set_limit(MAX_FILE));
    let mut bytes = Vec::new();
    dearmor.read_to_end(&mut bytes).map_err(|err| damaged(&err, Some(line)))?;
    match dearmor.checksum {
        Some(checksum) if checksum != u64::from(crc24(&bytes)) => {
            Err(Flaw::at(line, "the key block is damaged: its checksum does not match")
                .fixed_by("gpg --armor --export KEY"))
        }
        _ => Ok(bytes),
    }
}

/// Returns the checksum of an armored block (RFC 4880, section 6.1). rPGP's own check fails for any
/// block that is not read at once.
fn crc24(bytes: &[u8]) -> u32 {
    let with_bit = |crc: u32, _| if crc & 0x80_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x186_4cfb };
    let with_byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte) << 16, with_bit);
    bytes.iter().fold(0xb7_04ce, with_byte) & 0xff_ffff
}

impl OpenPgpKeys {
    /// Adds the keys of a sequence of packets. The parser of keys skips packets that it cannot read,
    /// which could be a revocation, so all of them are read once before.
    fn add(&mut self, packets: &[u8], line: Option<usize>) -> Result<(), Flaw> {
        for packet in PacketParser::new(packets) {
            match packet {
                Ok(Packet::SecretKey(_) | Packet::SecretSubkey(_)) => {
                    return Err(Flaw::new(line, "it holds a secret key; list the public key only")
                        .fixed_by("gpg --armor --export KEY"));
                }
                Ok(Packet::Signature(own)) if own.typ() == Some(SignatureType::KeyRevocation) => {
                    self.revocations.push(Revocation {
                        ids: own.issuer_key_id().into_iter().copied().collect(),
                        fingerprints: own.issuer_fingerprint().into_iter().cloned().collect(),
                    });
                }
                Err(err) if !is_of_newer_version(&err) => return Err(damaged(&err, line)),
                Ok(_) | Err(_) => {}
            }
        }
        let keys = SignedPublicKey::from_bytes_many(packets).map_err(|err| damaged(&err, line))?;
        for key in keys {
            match key {
                Ok(key) => self.keys.push((line, key)),
                Err(err) => return Err(damaged(&err, line)),
            }
        }
        Ok(())
    }
}

/// Returns true if the packet is well-formed, but of a kind or version that is not known here.
fn is_of_newer_version(err: &Error) -> bool {
    match err {
        Error::Unsupported { .. } => true,
        Error::InvalidPacketContent { source } => matches!(**source, Error::Unsupported { .. }),
        _ => false,
    }
}

fn damaged(err: &dyn std::error::Error, line: Option<usize>) -> Flaw {
    Flaw::new(line, format!("failed to read the OpenPGP key: {}", text::line(err.to_string())))
        .fixed_by("gpg --armor --export KEY")
}
