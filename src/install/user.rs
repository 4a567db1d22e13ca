//! Looks up the user that Gitea runs as.
//!
//! The user database is read as a file. The C library would load NSS modules at run time, which
//! does not work reliably in a static binary. Users from a directory service must be given by their
//! IDs.

use std::{fmt, path::Path};

use bstr::ByteSlice as _;

use super::dirfd;
use crate::text;

/// User database.
const PASSWD: &str = "/etc/passwd";

/// Group database.
const GROUP: &str = "/etc/group";

/// Maximum size of either file, in bytes.
const MAX_DATABASE: u64 = 16 << 20;

/// A user with its IDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunUser {
    name: Option<String>,
    uid: u32,
    gid: u32,
}

/// A user name that does not exist.
#[derive(Debug)]
pub struct UnknownUser(String);

impl fmt::Display for UnknownUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there is no user `{}` in {PASSWD}; if it comes from a directory service, give its IDs with \
             --run-user UID:GID",
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
    /// Finds a user by the value of `--run-user`: a name, or `UID[:GID]`.
    ///
    /// # Errors
    /// If there is no user with that name.
    pub fn named(name: &str) -> Result<Self, UnknownUser> {
        Self::look_up(name, &users()).ok_or_else(|| UnknownUser(name.into()))
    }

    /// Finds a user by the value of `RUN_USER`. Unlike `--run-user` it cannot choose the group,
    /// because Gitea's user may be able to change the file.
    ///
    /// # Errors
    /// If there is no user with that name.
    pub fn in_app_ini(name: &str) -> Result<Self, UnknownUser> {
        if name.contains(':') {
            return Err(UnknownUser(name.into()));
        }
        Self::named(name)
    }

    /// Returns the user with these IDs, even if it has no name.
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

    /// Parses a line of the user database (passwd(5)).
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split_str(":");
        let name = fields.next()?.to_str().ok()?;
        let uid = fields.nth(1)?.to_str().ok()?.parse().ok()?;
        let gid = fields.next()?.to_str().ok()?.parse().ok()?;
        Some(Self { name: Some(name.into()), uid, gid })
    }

    /// Names a user that is in no file, but in a directory service.
    pub fn with_name(name: &str, uid: u32, gid: u32) -> Self {
        Self { name: Some(name.into()), uid, gid }
    }

    /// Returns the name, if it is known.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the user ID.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Returns the group ID.
    pub fn gid(&self) -> u32 {
        self.gid
    }
}

/// Returns true if only this user and root are in the group, and it is the user's primary group or
/// root's. Gitea's packages make `app.ini` writable for such a group, and Kubernetes does so with
/// whole volumes.
pub(super) fn is_group_of_nobody_else(gid: u32, user: &RunUser) -> bool {
    let groups = dirfd::read_file(Path::new(GROUP), MAX_DATABASE).unwrap_or_default();
    is_own_group(gid, user, &users(), &groups)
}

fn is_own_group(gid: u32, user: &RunUser, users: &[u8], groups: &[u8]) -> bool {
    let is_theirs = |other: &RunUser| other.uid == 0 || other.uid == user.uid;
    let users: Vec<RunUser> = users.lines().filter_map(RunUser::parse).collect();
    let is_member_theirs = |name: &[u8]| {
        users
            .iter()
            .any(|user| user.name.as_ref().is_some_and(|known| known.as_bytes() == name) && is_theirs(user))
    };
    let members = groups.lines().filter_map(|line| {
        let fields: Vec<&[u8]> = line.split_str(":").collect();
        let is_meant = fields.get(2)?.to_str().ok()?.parse() == Ok(gid);
        is_meant.then(|| fields.get(3).copied().unwrap_or_default())
    });
    (gid == 0 || gid == user.gid)
        && users.iter().filter(|user| user.gid == gid).all(is_theirs)
        && members
            .flat_map(|names| names.split_str(","))
            .filter(|name| !name.is_empty())
            .all(is_member_theirs)
}

fn users() -> Vec<u8> {
    dirfd::read_file(Path::new(PASSWD), MAX_DATABASE).unwrap_or_default()
}

#[cfg(test)]
mod tests;
