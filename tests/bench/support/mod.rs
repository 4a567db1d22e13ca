//! Code that all parts of the benchmark share.

pub mod build;
pub mod elf;
pub mod git;
pub mod hooks;
pub mod launcher;
pub mod process;
pub mod receiver;
pub mod stats;
pub mod verdict;
