//! The user that Gitea runs as, and how root becomes that user.
//!
//! The user database is read as a file. To ask the C library would load modules of the system's at run time, which a
//! static binary may not have; who gets users from elsewhere names them by their ids.

use std::{fmt, path::Path};

use bstr::ByteSlice as _;

use super::at;
use crate::text;

/// The user database.
const PASSWD: &str = "/etc/passwd";

/// How large it may be, in bytes.
const MAX_PASSWD: u64 = 16 << 20;

/// A user by the ids that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunUser {
    name: Option<String>,
    uid: u32,
    gid: u32,
}

/// Why a user is not known.
#[derive(Debug)]
pub struct UnknownUser(String);

impl fmt::Display for UnknownUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there is no user `{}` in {PASSWD}; if it comes from a directory service, name it by its ids: --run-user UID:GID",
            text::line(&self.0)
        )
    }
}

impl std::error::Error for UnknownUser {}

impl fmt::Display for RunUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(&text::line(name)),
            None => write!(f, "{}:{}", self.uid, self.gid),
        }
    }
}

impl RunUser {
    /// Finds a user by what `--run-user` and `RUN_USER` hold: a name, or `UID[:GID]`.
    ///
    /// # Errors
    /// If nobody has that name.
    pub fn named(name: &str) -> Result<Self, UnknownUser> {
        Self::look_up(name, &users()).ok_or_else(|| UnknownUser(name.into()))
    }

    /// Finds a user by its id; one that has no name is a user too.
    pub fn with_ids(uid: u32, gid: u32) -> Self {
        let user = users().lines().filter_map(Self::parse).find(|user| user.uid == uid);
        user.unwrap_or(Self { name: None, uid, gid })
    }

    fn look_up(name: &str, users: &[u8]) -> Option<Self> {
        let find = |is_meant: &dyn Fn(&Self) -> bool| {
            users.lines().filter_map(Self::parse).find(|user| is_meant(user))
        };
        if let Some(user) = find(&|user| user.name.as_deref() == Some(name)) {
            return Some(user);
        }
        let (uid, gid) = name.split_once(':').map_or((name, None), |(uid, gid)| (uid, Some(gid)));
        let id =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok())?;
        let uid = id(uid)?;
        match gid {
            Some(gid) => {
                let name = find(&|user| user.uid == uid).and_then(|user| user.name);
                Some(Self { name, uid, gid: id(gid)? })
            }
            None => find(&|user| user.uid == uid).or(Some(Self { name: None, uid, gid: uid })),
        }
    }

    /// Reads a line of the user database (passwd(5)).
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split_str(":");
        let name = fields.next()?.to_str().ok()?;
        let uid = fields.nth(1)?.to_str().ok()?.parse().ok()?;
        let gid = fields.next()?.to_str().ok()?.parse().ok()?;
        Some(Self { name: Some(name.into()), uid, gid })
    }

    /// Returns the id of the user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Returns the id of the user's group.
    pub fn gid(&self) -> u32 {
        self.gid
    }
}

fn users() -> Vec<u8> {
    at::read_file(Path::new(PASSWD), MAX_PASSWD).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_by_ids() {
        let users = b"root:x:0:0:root:/root:/bin/sh\n\xff:x:1:1::/:\ngit:x:1000:1001::/data/git:/bin/bash\nshort:x\n7:x:8:9::/:\n";
        let find = |name: &str| RunUser::look_up(name, users).map(|user| (user.uid, user.gid));
        assert_eq!(find("git"), Some((1000, 1001)));
        assert_eq!(find("7"), Some((8, 9)), "a name comes first");
        assert_eq!(find("1000:5"), Some((1000, 5)));
        assert_eq!(find("1000"), Some((1000, 1001)));
        assert_eq!(find("2000"), Some((2000, 2000)));
        for unknown in ["gitea", "", "-1", "+1", "1000:", ":5", "1000:git", "99999999999"] {
            assert_eq!(find(unknown), None, "{unknown}");
        }
    }
}
