//! The wrapper in a directory of hooks: put there, taken out, and never in the place of anything else.

use super::{
    at::{Dir, Obstacle},
    command::is_wrapper,
};

/// How our file is called in `post-receive.d`.
pub const NAME: &str = "gitea-lightstep";

/// How it is called until it is whole. Gitea's own hook runs no file whose name begins with a dot.
const HIDDEN: &str = ".gitea-lightstep.new";

/// The directories of a repository or of a template that lead to it.
pub(super) const HOOKS: &str = "hooks";
pub(super) const POST_RECEIVE: &str = "post-receive.d";

/// How large a wrapper may be, in bytes; ours has 500 and two paths.
const MAX_WRAPPER: u64 = 16 << 10;

/// The permissions of the wrapper, whatever the umask.
const MODE: u32 = 0o755;

/// What is done in each place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act<'a> {
    /// This wrapper is to be there.
    Put(&'a [u8]),
    /// No wrapper is to be there.
    Take,
}

/// What came of it in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The place was as it is to be.
    WasSo,
    /// It is now, or would be.
    IsSo,
    /// There is no directory for it.
    NoPlace,
}

/// Acts on a repository or a template, in which `hooks/post-receive.d` may be missing. Without `is_real` it is only said what
/// would be done.
pub(super) fn act_in(repository: &Dir, act: Act<'_>, is_real: bool) -> Result<Came, Obstacle> {
    let Some(hooks) = repository.sub(HOOKS)? else { return Ok(Came::NoPlace) };
    let Some(dir) = hooks.sub(POST_RECEIVE)? else { return Ok(Came::NoPlace) };
    act_on(&dir, act, is_real)
}

/// Acts on a `post-receive.d`.
pub(super) fn act_on(dir: &Dir, act: Act<'_>, is_real: bool) -> Result<Came, Obstacle> {
    let there = match dir.read(NAME, MAX_WRAPPER) {
        Err(err) if err.is_size() => return Err(Obstacle::foreign(&dir.path().join(NAME))),
        there => there?,
    };
    if there.as_ref().is_some_and(|there| !is_wrapper(&there.bytes)) {
        return Err(Obstacle::foreign(&dir.path().join(NAME)));
    }
    // What a process that died while it wrote left behind.
    let is_littered = dir.has(HIDDEN);
    let is_so = match (act, &there) {
        (Act::Put(wrapper), Some(there)) => there.bytes == wrapper && there.mode == MODE,
        (Act::Put(_), None) => false,
        (Act::Take, there) => there.is_none(),
    };
    if is_so && !is_littered {
        return Ok(Came::WasSo);
    }
    if !is_real {
        dir.is_writable()?;
        return Ok(if is_so { Came::WasSo } else { Came::IsSo });
    }
    if is_littered {
        dir.remove(HIDDEN)?;
    }
    match act {
        _ if is_so => return Ok(Came::WasSo),
        Act::Put(wrapper) => dir.write_hidden(HIDDEN, wrapper, MODE)?.rename(NAME)?,
        Act::Take => dir.remove(NAME)?,
    }
    Ok(Came::IsSo)
}
