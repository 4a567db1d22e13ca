use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use proptest::prelude::*;

use super::*;
use crate::signature::{KeyRing, Signature, SignedContent};

fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/signatures"))
}

/// Loads the fixtures' keys from a directory in which only this user can write.
fn ring() -> KeyRing {
    let dir = tempfile::tempdir().expect("a directory");
    for file in fixtures().join("keys").read_dir().expect("the keys") {
        let file = file.expect("a key");
        let copy = dir.path().join(file.file_name());
        fs::copy(file.path(), &copy).expect("copied");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).expect("permissions");
    }
    KeyRing::load(&[dir.path().join("*")]).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn verify(ring: &KeyRing, signed: &SignedObject) -> Signature {
    let content = SignedContent {
        payload: &signed.payload,
        signature: &signed.signature,
        made_at: signed.time(b"committer "),
    };
    ring.verify(&content, "2026-06-01T00:00:00Z".parse().expect("a time"))
}

fn commit(name: &str) -> SignedObject {
    let object = fs::read(fixtures().join("sha1").join(name)).expect("a fixture");
    SignedObject::of_commit(&object, gix::hash::Kind::Sha1).expect("a signature")
}

const SIGNED: [&str; 8] = [
    "ed25519.commit",
    "rsa.commit",
    "nistp256.commit",
    "subkey.commit",
    "ssh-ed25519.commit",
    "ssh-rsa.commit",
    "ssh-ecdsa-384.commit",
    "ssh-ecdsa-521.commit",
];

fn changed(bytes: &[u8], at: prop::sample::Index, change: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at.index(bytes.len());
    match change {
        0..8 => bytes[at] ^= 1 << change,
        8 => drop(bytes.remove(at)),
        9 => bytes.insert(at, bytes[at].wrapping_add(1)),
        10 => bytes.truncate(at),
        _ => drop(bytes.splice(at.., bytes[..at].to_vec())),
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_content_is_never_good(nth in 0..SIGNED.len(), at: prop::sample::Index, change in 0..12_u8) {
        let ring = ring();
        let signed = commit(SIGNED[nth]);
        prop_assert!(verify(&ring, &signed).is_good());
        let payload = changed(&signed.payload, at, change);
        prop_assume!(payload != signed.payload);
        let changed = SignedObject { payload, ..signed };
        prop_assert!(!verify(&ring, &changed).is_good());
    }

    /// White space around the lines of an armor means nothing, so it is not changed here.
    #[test]
    fn changed_signatures_are_good_only_as_before(nth in 0..SIGNED.len(), at: prop::sample::Index, change in 0..12_u8) {
        let ring = ring();
        let signed = commit(SIGNED[nth]);
        let signature = changed(&signed.signature, at, change);
        let is_same = |a: &[u8], b: &[u8]| {
            let dense = |text: &[u8]| text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect::<Vec<_>>();
            dense(a) == dense(b)
        };
        prop_assume!(!is_same(&signature, &signed.signature));
        let before = verify(&ring, &signed);
        let verified = verify(&ring, &SignedObject { signature: signature.clone(), ..signed });
        // Some bytes mean nothing: the key ID in an OpenPGP signature, the checksum of an armor, and the
        // length of the last field of an SSH signature.
        prop_assert!(!verified.is_good() || verified == before, "{}", signature.as_bstr());
    }
}

#[test]
fn splits_as_git_does() {
    let of = |text: &str| {
        let signed = SignedObject::of_commit(text.as_bytes(), gix::hash::Kind::Sha1)?;
        Some((String::from_utf8(signed.payload).ok()?, String::from_utf8(signed.signature).ok()?))
    };
    let both = |payload: &str, signature: &str| Some((payload.to_string(), signature.to_string()));
    assert_eq!(of("tree 1\n\ngpgsig a\n"), None);
    assert_eq!(of("tree 1\ngpgsig a\n b\n c\nx y\n z\n\nm\n"), both("tree 1\nx y\n z\n\nm\n", "a\nb\nc\n"));
    assert_eq!(of("gpgsig-sha256 a\n b\ngpgsig c\n\n"), both("\n", "c\n"));
    assert_eq!(of("gpgsig a\ngpgsig-sha256 b\n c\nx\n\n"), both("x\n\n", "a\n"));
    assert_eq!(of("gpgsig a\nx\ngpgsig b\n\n"), both("x\n\n", "a\nb\n"));
    assert_eq!(of("gpgsig a"), both("", "a"));
    assert_eq!(of("gpgsig a\n\0\n\n\0"), both("\0\n\n\0", "a\n"));
}
