//! Writes objects, packs and repositories byte by byte, because git refuses to create malicious
//! ones.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::ZlibEncoder};
use gix::hash::{Kind, ObjectId, hasher};

/// An entry of a pack: its object ID, and a function that builds its bytes from the offsets of the
/// earlier entries.
pub type PackEntry<'a> = (ObjectId, &'a dyn Fn(&[usize]) -> Vec<u8>);

/// A bare repository.
pub struct RawRepository {
    dir: PathBuf,
}

impl RawRepository {
    /// Creates an empty repository.
    pub fn new(dir: PathBuf) -> Self {
        for name in ["objects/pack", "objects/info", "refs/heads", "refs/tags"] {
            fs::create_dir_all(dir.join(name)).expect("a directory");
        }
        fs::write(dir.join("HEAD"), "ref: refs/heads/main\n").expect("HEAD");
        fs::write(dir.join("config"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
            .expect("config");
        Self { dir }
    }

    /// Returns the directory of the repository.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn blob(&self, content: &[u8]) -> ObjectId {
        self.object("blob", content)
    }

    /// Writes a tree with these entries (mode, name, object), without sorting or checking them.
    pub fn tree(&self, entries: &[(&str, &[u8], ObjectId)]) -> ObjectId {
        let mut tree = Vec::new();
        for (mode, name, id) in entries {
            tree.extend_from_slice(mode.as_bytes());
            tree.push(b' ');
            tree.extend_from_slice(name);
            tree.push(0);
            tree.extend_from_slice(id.as_slice());
        }
        self.object("tree", &tree)
    }

    /// Writes the trees that lead to one file, and returns the ID of the root tree.
    pub fn file(&self, path: &str, content: &[u8]) -> ObjectId {
        let mut id = self.blob(content);
        let mut mode = "100644";
        for name in path.rsplit('/') {
            id = self.tree(&[(mode, name.as_bytes(), id)]);
            mode = "40000";
        }
        id
    }

    /// Writes a regular commit.
    pub fn commit(&self, tree: ObjectId, parents: &[ObjectId], message: &[u8]) -> ObjectId {
        let who = "Eve <eve@example.org> 1700000000 +0000";
        let mut commit = format!("tree {tree}\n").into_bytes();
        for parent in parents {
            commit.extend_from_slice(format!("parent {parent}\n").as_bytes());
        }
        commit.extend_from_slice(format!("author {who}\ncommitter {who}\n\n").as_bytes());
        commit.extend_from_slice(message);
        self.object("commit", &commit)
    }

    /// Writes an annotated tag that claims this kind for its object.
    pub fn tag(&self, of: ObjectId, kind: &str) -> ObjectId {
        let tag = format!(
            "object {of}\ntype {kind}\ntag v1\ntagger Eve <eve@example.org> 1700000000 +0000\n\nTag\n"
        );
        self.object("tag", tag.as_bytes())
    }

    /// Writes a loose object.
    pub fn object(&self, kind: &str, content: &[u8]) -> ObjectId {
        let header = format!("{kind} {}\0", content.len());
        let mut hash = hasher(Kind::Sha1);
        hash.update(header.as_bytes());
        hash.update(content);
        let id = hash.try_finalize().expect("a hash");
        self.loose(id, &[header.as_bytes(), content]);
        id
    }

    /// Writes a loose object with this ID and content, even if they do not match.
    pub fn loose(&self, id: ObjectId, parts: &[&[u8]]) {
        let digits = id.to_string();
        let path = self.dir.join("objects").join(&digits[..2]).join(&digits[2..]);
        if path.exists() {
            return;
        }
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, deflated(parts)).expect("an object");
    }

    /// Writes a pack with its index. Each entry is built from its offset, and its ID may be wrong.
    pub fn pack(&self, entries: &[PackEntry<'_>]) {
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend_from_slice(&u32::try_from(entries.len()).expect("fewer than 2^32 entries").to_be_bytes());
        let mut offsets = Vec::new();
        for (_, entry) in entries {
            offsets.push(pack.len());
            pack.extend_from_slice(&entry(&offsets));
        }
        let sum = sha1(&pack);
        pack.extend_from_slice(sum.as_slice());

        let mut sorted: Vec<_> = entries.iter().map(|(id, _)| *id).zip(offsets).collect();
        sorted.sort();
        let mut index = b"\xfftOc\0\0\0\x02".to_vec();
        for first in 0..=255_u8 {
            let count = sorted.iter().filter(|(id, _)| id.as_slice()[0] <= first).count();
            index.extend_from_slice(&u32::try_from(count).expect("fewer than 2^32 entries").to_be_bytes());
        }
        sorted.iter().for_each(|(id, _)| index.extend_from_slice(id.as_slice()));
        index.extend(std::iter::repeat_n(0, sorted.len() * 4));
        for (_, offset) in &sorted {
            index.extend_from_slice(&u32::try_from(*offset).expect("an offset below 2^32").to_be_bytes());
        }
        index.extend_from_slice(sum.as_slice());
        let index_sum = sha1(&index);
        index.extend_from_slice(index_sum.as_slice());
        let name = self.dir.join("objects/pack").join(format!("pack-{sum}"));
        fs::write(name.with_extension("pack"), pack).expect("a pack");
        fs::write(name.with_extension("idx"), index).expect("an index");
    }
}

/// Returns an ID that does not belong to an object, to index a pack entry by.
pub fn made_up(number: u32) -> ObjectId {
    let mut bytes = [0xee; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    ObjectId::from_bytes_or_panic(&bytes)
}

fn sha1(bytes: &[u8]) -> ObjectId {
    let mut hash = hasher(Kind::Sha1);
    hash.update(bytes);
    hash.try_finalize().expect("a hash")
}

/// Returns `parts` compressed as a zlib stream.
pub fn deflated(parts: &[&[u8]]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    parts.iter().for_each(|part| encoder.write_all(part).expect("compress in memory"));
    encoder.finish().expect("compress in memory")
}

/// Types of pack entries (gitformat-pack(5)).
pub const COMMIT: u8 = 1;
pub const OFS_DELTA: u8 = 6;
pub const REF_DELTA: u8 = 7;

/// Returns the header of a pack entry: its type and its claimed size.
pub fn entry_head(kind: u8, size: u64) -> Vec<u8> {
    let mut head = vec![kind << 4 | (size & 15) as u8];
    let mut rest = size >> 4;
    while rest > 0 {
        *head.last_mut().expect("one byte") |= 0x80;
        head.push((rest & 0x7f) as u8);
        rest >>= 7;
    }
    head
}

/// Encodes the distance to the base of an offset delta, as in a pack.
pub fn distance(mut distance: u64) -> Vec<u8> {
    let mut bytes = vec![(distance & 0x7f) as u8];
    while distance >= 0x80 {
        distance = (distance >> 7) - 1;
        bytes.insert(0, 0x80 | (distance & 0x7f) as u8);
    }
    bytes
}

/// Encodes a size, as in a delta.
pub fn varint(mut size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (size & 0x7f) as u8;
        size >>= 7;
        bytes.push(if size > 0 { byte | 0x80 } else { byte });
        if size == 0 {
            return bytes;
        }
    }
}
