//! New repositories: git makes each from a template directory, which Gitea's git configuration names.

use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

use super::{
    at::{Dir, Obstacle},
    gitconfig::GitConfig,
    gitea::Gitea,
    slot::{self, Act, Came, HOOKS, POST_RECEIVE},
};

/// The template directory of our own, in git's home.
pub const TEMPLATE: &str = "gitea-lightstep-template";

/// A template directory that somebody else set, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// `None` if it cannot be told which directory is meant.
    pub dir: Option<PathBuf>,
    /// As it is written.
    pub written: String,
}

impl Named {
    /// Finds the one that git will use: what Gitea sets whenever it starts counts, then what is in the file.
    pub fn find(config: Option<&GitConfig>, gitea: &Gitea) -> Option<Self> {
        let of_gitea = gitea.template_dir().map(|dir| dir.as_bytes().to_vec());
        let written = of_gitea.or_else(|| Some(config?.template_dir()?.0.into()))?;
        let dir = match written.strip_prefix(b"~/") {
            Some(below) => Some(gitea.home().join(below.to_path().ok()?)),
            None => written.to_path().ok().filter(|dir| dir.is_absolute()).map(Into::into),
        };
        Some(Self { dir, written: written.to_str_lossy().into_owned() })
    }
}

/// Has the wrapper in our own template directory.
pub(super) fn put(home: &Dir, wrapper: &[u8], is_real: bool) -> Result<Came, Obstacle> {
    if !is_real {
        return match home.sub(TEMPLATE)? {
            Some(template) => Ok(match slot::act_in(&template, Act::Put(wrapper), false)? {
                Came::NoPlace => Came::IsSo,
                came => came,
            }),
            None => home.is_writable().map(|()| Came::IsSo),
        };
    }
    put_into(&home.sub_or_made(TEMPLATE)?, wrapper)
}

/// Returns how many of the directories to the wrapper are missing in the template directory of somebody else.
pub(super) fn missing(dir: &Path) -> Result<u8, Obstacle> {
    match Dir::open(dir)?.sub(HOOKS)? {
        None => Ok(2),
        Some(hooks) => Ok(u8::from(hooks.sub(POST_RECEIVE)?.is_none())),
    }
}

/// Has the wrapper in the template directory of somebody else.
pub(super) fn join(dir: &Path, wrapper: &[u8], is_real: bool) -> Result<Came, Obstacle> {
    let template = Dir::open(dir)?;
    if is_real {
        return put_into(&template, wrapper);
    }
    match slot::act_in(&template, Act::Put(wrapper), false)? {
        Came::NoPlace => template.is_writable().map(|()| Came::IsSo),
        came => Ok(came),
    }
}

fn put_into(template: &Dir, wrapper: &[u8]) -> Result<Came, Obstacle> {
    let dir = template.sub_or_made(HOOKS)?.sub_or_made(POST_RECEIVE)?;
    slot::act_on(&dir, Act::Put(wrapper), true)
}

/// Takes our own template directory away, and returns whether there was one. What others put into it stays.
pub(super) fn take(home: &Dir, is_real: bool) -> Result<bool, Obstacle> {
    let Some(template) = home.sub(TEMPLATE)? else { return Ok(false) };
    take_from(&template, 2, is_real)?;
    if is_real {
        home.remove_empty(TEMPLATE)?;
    }
    Ok(true)
}

/// Takes the wrapper out of the template directory of somebody else, with the last `made` of the directories to it, and
/// returns whether it was there.
pub(super) fn leave(dir: &Path, made: u8, is_real: bool) -> Result<bool, Obstacle> {
    match Dir::open(dir) {
        Ok(template) => take_from(&template, made, is_real),
        Err(err) if err.is_absence() => Ok(false),
        Err(err) => Err(err),
    }
}

fn take_from(template: &Dir, made: u8, is_real: bool) -> Result<bool, Obstacle> {
    let came = slot::act_in(template, Act::Take, is_real)?;
    if is_real
        && made > 0
        && let Some(hooks) = template.sub(HOOKS)?
        && hooks.remove_empty(POST_RECEIVE)?
        && made > 1
    {
        template.remove_empty(HOOKS)?;
    }
    Ok(came == Came::IsSo)
}
