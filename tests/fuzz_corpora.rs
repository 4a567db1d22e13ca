//! Replays the corpora of the fuzz targets without a fuzzer. Each committed input is parsed, and so
//! are variants with a part removed or repeated. Many inputs once broke a parser.

use std::{fs, path::PathBuf};

use gitea_lightstep::fuzzing::TARGETS;

use crate::support::manifest_dir;

#[path = "fuzz/src/target.rs"]
mod target;

fn corpus(name: &str) -> Vec<PathBuf> {
    let dir = manifest_dir().join("tests/fuzz/corpus").join(name);
    let entries = fs::read_dir(&dir).unwrap_or_else(|err| panic!("{}: {err}", dir.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn every_input_of_every_corpus_is_parsed() {
    for name in TARGETS.iter().map(|target| target.name) {
        let (target, files) = (target::named(name), corpus(name));
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let data = fs::read(&file).expect("an input");
            (target.parse)(&data);
            let step = data.len().div_ceil(16).max(1);
            for at in (0..data.len()).step_by(step) {
                (target.parse)(&data[..at]);
                (target.parse)(&[&data[..at], &data[at / 2..]].concat());
            }
        }
    }
}

#[test]
fn every_corpus_belongs_to_a_target() {
    let dir = manifest_dir().join("tests/fuzz/corpus");
    for entry in fs::read_dir(dir).expect("the corpora") {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        assert!(TARGETS.iter().any(|target| target.name == name), "{name} is not a target");
    }
}
