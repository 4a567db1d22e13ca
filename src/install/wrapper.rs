//! Adds the wrapper to a `post-receive.d` directory and removes it again. Never replaces or removes
//! a foreign file.

use super::{
    command::is_wrapper,
    dirfd::{Obstacle, OpenDir},
};

/// File name of the wrapper in `post-receive.d`.
pub const NAME: &str = "gitea-lightstep";

/// Temporary name of the wrapper. Gitea's hook skips files that start with a dot.
const HIDDEN: &str = ".gitea-lightstep.new";

/// Directories on the path from a repository or a template to the wrapper.
pub(super) const HOOKS: &str = "hooks";
pub(super) const POST_RECEIVE: &str = "post-receive.d";

/// Maximum size of a wrapper, in bytes. Ours has 500 plus two paths.
const MAX_WRAPPER: u64 = 16 << 10;

/// Permissions of the wrapper, regardless of the umask.
const MODE: u32 = 0o755;

/// An operation on the wrapper.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act<'a> {
    /// Install this wrapper.
    Put(&'a [u8]),
    /// Remove the wrapper.
    Take,
}

/// The result of an operation in one directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Already up to date.
    Unchanged,
    /// Changed, or would be changed on a dry run.
    Changed,
    /// There is no `hooks/post-receive.d` directory.
    NoHooksDir,
}

/// Applies an operation to a template, which may lack `hooks/post-receive.d`.
/// Without `is_real`, only checks what it would do.
pub(super) fn act_in(template: &OpenDir, act: Act<'_>, is_real: bool) -> Result<Change, Obstacle> {
    let Some(hooks) = template.sub(HOOKS)? else { return Ok(Change::NoHooksDir) };
    let Some(dir) = hooks.sub(POST_RECEIVE)? else { return Ok(Change::NoHooksDir) };
    act_on(&dir, act, is_real)
}

/// Applies an operation to a `post-receive.d` directory.
pub(super) fn act_on(dir: &OpenDir, act: Act<'_>, is_real: bool) -> Result<Change, Obstacle> {
    let there = match dir.read(NAME, MAX_WRAPPER) {
        Err(err) if err.is_size() => return Err(Obstacle::foreign(&dir.path().join(NAME))),
        there => there?,
    };
    if there.as_ref().is_some_and(|there| !is_wrapper(&there.bytes)) {
        return Err(Obstacle::foreign(&dir.path().join(NAME)));
    }
    // A temporary file that a crashed process left behind.
    let is_littered = dir.has(HIDDEN);
    let is_so = match (act, &there) {
        (Act::Put(wrapper), Some(there)) => there.bytes == wrapper && there.mode == MODE,
        (Act::Put(_), None) => false,
        (Act::Take, there) => there.is_none(),
    };
    if is_so && !is_littered {
        return Ok(Change::Unchanged);
    }
    if !is_real {
        dir.is_writable()?;
        return Ok(if is_so { Change::Unchanged } else { Change::Changed });
    }
    if is_littered {
        dir.remove(HIDDEN)?;
    }
    match act {
        _ if is_so => return Ok(Change::Unchanged),
        Act::Put(wrapper) => dir.write_hidden(HIDDEN, wrapper, MODE)?.rename(NAME)?,
        Act::Take => dir.remove(NAME)?,
    }
    Ok(Change::Changed)
}
