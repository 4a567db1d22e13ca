//! Names of users and groups, for messages. They are read from the system's files; the C library
//! would load modules at run time, which a static binary cannot rely on.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use bstr::ByteSlice as _;
use rustix::process::geteuid;

use super::regular_file;

/// Maximum size of either file, in bytes.
const MAX_DATABASE: u64 = 16 << 20;

/// Returns the name of a user.
pub fn user_name(uid: u32) -> Option<String> {
    name_in("/etc/passwd", uid)
}

/// Returns the user for a sentence: `` `git` ``, or `the user with the id 990`.
pub fn user(uid: u32) -> String {
    user_name(uid).map_or_else(|| format!("the user with the id {uid}"), |name| format!("`{name}`"))
}

/// Returns the user as a word of a command: a name, or an ID.
pub fn user_word(uid: u32) -> String {
    user_name(uid).unwrap_or_else(|| uid.to_string())
}

/// Returns the group as a word of a command: a name, or an ID.
pub fn group_word(gid: u32) -> String {
    name_in("/etc/group", gid).unwrap_or_else(|| gid.to_string())
}

/// Returns true if this process's user owns the file.
pub fn owns(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.uid() == geteuid().as_raw())
}

/// Finds a line such as `git:x:990:` and returns its name, if every shell takes it as one word.
fn name_in(file: &str, id: u32) -> Option<String> {
    let database = regular_file::read_at_most(Path::new(file), MAX_DATABASE).ok()?;
    let id = id.to_string();
    let name = database.lines().find_map(|line| {
        let mut fields = line.split_str(":");
        let name = fields.next()?;
        (fields.nth(1)? == id.as_bytes()).then_some(name)
    })?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_plain = name.first().is_some_and(|first| *first != b'-') && name.iter().all(|byte| is_word(*byte));
    is_plain.then(|| name.to_str_lossy().into_owned())
}
