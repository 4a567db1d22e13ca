//! The template directory from which git creates new repositories, set by `init.templateDir`.

use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

use super::{
    block::ConfigBlock,
    dirfd::{self, Obstacle, OpenDir},
    entries::Entries,
    gitconfig::GitConfig,
    gitea::Gitea,
    hook_files::{Change, HOOKS, HookFiles, NAME, POST_RECEIVE, Visited},
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

/// Returns our files in a template directory, or `None` if the wrapper is not there.
pub(super) fn files(dir: &Path) -> Result<Option<HookFiles>, Obstacle> {
    match OpenDir::open(dir) {
        Ok(template) => template.sub(HOOKS)?.map_or(Ok(None), |hooks| HookFiles::read(&hooks)),
        Err(err) if err.is_absence() => Ok(None),
        Err(err) => Err(err),
    }
}

/// Installs our files in our own template directory.
pub(super) fn put(home: &OpenDir, files: &HookFiles, is_real: bool) -> Result<Visited, Obstacle> {
    if is_real {
        return put_into(&home.sub_or_made(TEMPLATE)?, files);
    }
    match home.sub(TEMPLATE)? {
        Some(template) => would_put(&template, files),
        None => home.is_writable().map(|()| Visited::of(Change::Changed)),
    }
}

/// Returns the number of directories that a foreign template lacks for the wrapper.
pub(super) fn missing(dir: &Path) -> Result<u8, Obstacle> {
    match OpenDir::open(dir)?.sub(HOOKS)? {
        None => Ok(2),
        Some(hooks) => Ok(u8::from(hooks.sub(POST_RECEIVE)?.is_none())),
    }
}

/// Installs our files in a foreign template directory.
pub(super) fn join(dir: &Path, files: &HookFiles, is_real: bool) -> Result<Visited, Obstacle> {
    let template = OpenDir::open(dir)?;
    if is_real { put_into(&template, files) } else { would_put(&template, files) }
}

fn put_into(template: &OpenDir, files: &HookFiles) -> Result<Visited, Obstacle> {
    let hooks = template.sub_or_made(HOOKS)?;
    let dir = hooks.sub_or_made(POST_RECEIVE)?;
    files.act_on(&hooks, Some(&dir), true)
}

/// Checks what [`put_into`] would do.
fn would_put(template: &OpenDir, files: &HookFiles) -> Result<Visited, Obstacle> {
    match template.sub(HOOKS)? {
        Some(hooks) => files.act_on(&hooks, hooks.sub(POST_RECEIVE)?.as_ref(), false),
        None => template.is_writable().map(|()| Visited::of(Change::Changed)),
    }
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

/// Removes our files from a foreign template directory, with the innermost `made` directories if
/// they are empty. Returns true if one of the files was there.
pub(super) fn leave(dir: &Path, made: u8, is_real: bool) -> Result<bool, Obstacle> {
    match OpenDir::open(dir) {
        Ok(template) => take_from(&template, made, is_real),
        Err(err) if err.is_absence() => Ok(false),
        Err(err) => Err(err),
    }
}

fn take_from(template: &OpenDir, made: u8, is_real: bool) -> Result<bool, Obstacle> {
    let Some(hooks) = template.sub(HOOKS)? else { return Ok(false) };
    let visited = HookFiles::default().act_on(&hooks, hooks.sub(POST_RECEIVE)?.as_ref(), is_real)?;
    if is_real && made > 0 && hooks.remove_empty(POST_RECEIVE)? && made > 1 {
        template.remove_empty(HOOKS)?;
    }
    match visited.ref_hook_obstacle {
        Some(obstacle) => Err(obstacle),
        None => Ok(visited.change == Change::Changed),
    }
}
