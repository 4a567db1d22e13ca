//! The template directory from which git creates new repositories, set by `init.templateDir`.

use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

use super::{
    block::ConfigBlock,
    dirfd::{self, Obstacle, OpenDir},
    entries::Entries,
    gitconfig::GitConfig,
    gitea::Gitea,
    wrapper::{self, Act, Change, HOOKS, NAME, POST_RECEIVE},
};
use crate::text;

/// Maximum size of a git configuration that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Name of our own template directory, in git's home directory.
pub const TEMPLATE: &str = "gitea-lightstep-template";

/// A foreign template directory that is configured for git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// Absolute path, or `None` if it cannot be determined.
    pub dir: Option<PathBuf>,
    /// Value as written.
    pub written: String,
}

impl Named {
    /// Finds the directory that git uses. Gitea's own setting, which it applies at each start,
    /// overrides the file.
    pub fn find(config: Option<&GitConfig>, gitea: &Gitea) -> Option<Self> {
        Self::of(gitea, || Some(config?.template_dir()?.0.into()))
    }

    /// Returns Gitea's own setting, or else that of the file.
    fn of(gitea: &Gitea, of_file: impl FnOnce() -> Option<Vec<u8>>) -> Option<Self> {
        let of_gitea = gitea.template_dir().map(|dir| dir.as_bytes().to_vec());
        let written = of_gitea.or_else(of_file)?;
        let dir = match written.strip_prefix(b"~/") {
            Some(below) => Some(gitea.home().join(below.to_path().ok()?)),
            None => written.to_path().ok().filter(|dir| dir.is_absolute()).map(Into::into),
        };
        Some(Self { dir, written: written.to_str_lossy().into_owned() })
    }
}

/// Returns the template directory that git uses for new repositories, as written, if it lacks our
/// hook although `install` has configured one. Another setting further down in the file, or one that
/// was made later, takes the place of ours.
pub fn template_without_hook(gitea: &Gitea) -> Option<String> {
    let config = GitConfig::parse(dirfd::read_file(&gitea.git_config(), MAX_FILE).ok()?).ok()?;
    if matches!(config.block()?, ConfigBlock::Hook { .. }) {
        return None;
    }
    let of_file = || {
        let entries = Entries::read(config.text()).ok()?;
        let last = entries.iter().rfind(|entry| entry.is("init", None, "templateDir"))?;
        Some(last.value.to_vec())
    };
    let named = Named::of(gitea, of_file)?;
    let hook = named.dir.map(|dir| dir.join(HOOKS).join(POST_RECEIVE).join(NAME));
    (!hook.is_some_and(|hook| hook.is_file())).then(|| text::line(named.written))
}

/// Installs the wrapper in our own template directory.
pub(super) fn put(home: &OpenDir, wrapper: &[u8], is_real: bool) -> Result<Change, Obstacle> {
    if !is_real {
        return match home.sub(TEMPLATE)? {
            Some(template) => Ok(match wrapper::act_in(&template, Act::Put(wrapper), false)? {
                Change::NoHooksDir => Change::Changed,
                came => came,
            }),
            None => home.is_writable().map(|()| Change::Changed),
        };
    }
    put_into(&home.sub_or_made(TEMPLATE)?, wrapper)
}

/// Returns the number of directories that a foreign template lacks for the wrapper.
pub(super) fn missing(dir: &Path) -> Result<u8, Obstacle> {
    match OpenDir::open(dir)?.sub(HOOKS)? {
        None => Ok(2),
        Some(hooks) => Ok(u8::from(hooks.sub(POST_RECEIVE)?.is_none())),
    }
}

/// Installs the wrapper in a foreign template directory.
pub(super) fn join(dir: &Path, wrapper: &[u8], is_real: bool) -> Result<Change, Obstacle> {
    let template = OpenDir::open(dir)?;
    if is_real {
        return put_into(&template, wrapper);
    }
    match wrapper::act_in(&template, Act::Put(wrapper), false)? {
        Change::NoHooksDir => template.is_writable().map(|()| Change::Changed),
        came => Ok(came),
    }
}

fn put_into(template: &OpenDir, wrapper: &[u8]) -> Result<Change, Obstacle> {
    let dir = template.sub_or_made(HOOKS)?.sub_or_made(POST_RECEIVE)?;
    wrapper::act_on(&dir, Act::Put(wrapper), true)
}

/// Removes our own template directory, but keeps foreign files in it. Returns true if it existed.
pub(super) fn take(home: &OpenDir, is_real: bool) -> Result<bool, Obstacle> {
    let Some(template) = home.sub(TEMPLATE)? else { return Ok(false) };
    take_from(&template, 2, is_real)?;
    if is_real {
        home.remove_empty(TEMPLATE)?;
    }
    Ok(true)
}

/// Removes the wrapper from a foreign template directory, with the innermost `made` directories if
/// they are empty. Returns true if the wrapper was there.
pub(super) fn leave(dir: &Path, made: u8, is_real: bool) -> Result<bool, Obstacle> {
    match OpenDir::open(dir) {
        Ok(template) => take_from(&template, made, is_real),
        Err(err) if err.is_absence() => Ok(false),
        Err(err) => Err(err),
    }
}

fn take_from(template: &OpenDir, made: u8, is_real: bool) -> Result<bool, Obstacle> {
    let came = wrapper::act_in(template, Act::Take, is_real)?;
    if is_real
        && made > 0
        && let Some(hooks) = template.sub(HOOKS)?
        && hooks.remove_empty(POST_RECEIVE)?
        && made > 1
    {
        template.remove_empty(HOOKS)?;
    }
    Ok(came == Change::Changed)
}
