//! Reads properties of an ELF file: its size, whether it needs a loader, and whether it is
//! stripped.

use std::{fs, path::Path};

const PT_INTERP: u64 = 3;
const SHT_SYMTAB: u64 = 2;

/// Properties of a binary.
pub struct Binary {
    /// Size in bytes.
    pub size: u64,
    /// True if it does not need a dynamic loader, which means that no program header names one.
    pub is_static: bool,
    /// True if it does not contain a symbol table.
    pub is_stripped: bool,
}

/// Reads a 64-bit little-endian ELF file (elf(5)).
pub fn read(path: &Path) -> Binary {
    let content = fs::read(path).expect("cargo built the binary");
    assert!(content.starts_with(b"\x7fELF\x02\x01"), "expected a 64-bit little-endian ELF file");
    let number = |at: usize, len: usize| {
        content[at..at + len].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let place = |at, len| usize::try_from(number(at, len)).expect("the file is smaller than memory");
    // A table is described by its offset, the size of an entry, and the number of entries.
    let (segments, segment_size, segment_count) = (place(32, 8), place(54, 2), place(56, 2));
    let (sections, section_size, section_count) = (place(40, 8), place(58, 2), place(60, 2));
    let is_interpreted = (0..segment_count).any(|nth| number(segments + nth * segment_size, 4) == PT_INTERP);
    let has_symbols =
        (0..section_count).any(|nth| number(sections + nth * section_size + 4, 4) == SHT_SYMTAB);
    Binary { size: content.len() as u64, is_static: !is_interpreted, is_stripped: !has_symbols }
}
