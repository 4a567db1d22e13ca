//! Our files in the `hooks` directory of a repository or a template: the wrapper in
//! `post-receive.d`, and git's hook for ref changes. Adds them and removes them again. Never replaces or
//! removes a foreign file.

use super::{
    command::{HookCommand, is_ours},
    dirfd::{Obstacle, OpenDir},
};

/// Directories on the path from a repository or a template to our files.
pub(super) const HOOKS: &str = "hooks";
pub(super) const POST_RECEIVE: &str = "post-receive.d";

/// File name of the wrapper in `post-receive.d`.
pub const NAME: &str = "gitea-lightstep";

/// File name of git's hook for ref changes in `hooks`.
pub(super) const REF_HOOK: &str = "reference-transaction";

/// Temporary name of either file. Git and Gitea's hook skip it.
const HIDDEN: &str = ".gitea-lightstep.new";

/// Maximum size of our files, in bytes. Ours have 500 plus a few paths.
const MAX_FILE: u64 = 16 << 10;

/// Permissions of our files, regardless of the umask.
const MODE: u32 = 0o755;

/// The texts of our files. A file without a text gets removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HookFiles {
    wrapper: Option<Vec<u8>>,
    ref_hook: Option<Vec<u8>>,
}

/// The result of an operation on a file or in one directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Already up to date.
    Unchanged,
    /// Changed, or would be changed on a dry run.
    Changed,
    /// The directory for our files is missing.
    NoHooksDir,
}

/// The result of an operation in one directory.
#[derive(Debug)]
pub(super) struct Visited {
    pub change: Change,
    /// The reason why the hook for ref changes is not as wanted, although the wrapper is.
    pub ref_hook_obstacle: Option<Obstacle>,
}

impl HookFiles {
    /// Returns the files that run this command.
    pub fn of(command: &HookCommand, has_ref_hook: bool) -> Self {
        Self { wrapper: Some(command.wrapper()), ref_hook: has_ref_hook.then(|| command.ref_hook_file()) }
    }

    /// Reads our files in a `hooks` directory, or returns `None` if the wrapper is not there.
    pub fn read(hooks: &OpenDir) -> Result<Option<Self>, Obstacle> {
        let text = |dir: &OpenDir, name| {
            let content = dir.read(name, MAX_FILE)?;
            Ok(content.map(|content| content.bytes).filter(|bytes| is_ours(bytes)))
        };
        let Some(dir) = hooks.sub(POST_RECEIVE)? else { return Ok(None) };
        let wrapper = text(&dir, NAME)?;
        if wrapper.is_none() {
            return Ok(None);
        }
        // A foreign hook in the template is not ours to spread.
        let ref_hook = text(hooks, REF_HOOK).unwrap_or_default();
        Ok(Some(Self { wrapper, ref_hook }))
    }

    /// Returns true if the wrapper belongs there.
    pub fn are_wanted(&self) -> bool {
        self.wrapper.is_some()
    }

    /// Applies the wanted state to a `hooks` directory and its `post-receive.d`, which on a dry run may be
    /// missing.
    pub fn act_on(
        &self,
        hooks: &OpenDir,
        post_receive: Option<&OpenDir>,
        is_real: bool,
    ) -> Result<Visited, Obstacle> {
        // A failure of one file does not keep the other from being put in or removed.
        let ref_hook = change(hooks, REF_HOOK, self.ref_hook.as_deref(), is_real);
        let wrapper = match (post_receive, &self.wrapper) {
            (Some(dir), wrapper) => change(dir, NAME, wrapper.as_deref(), is_real)?,
            (None, Some(_)) => hooks.is_writable().map(|()| Change::Changed)?,
            (None, None) => Change::Unchanged,
        };
        Ok(match ref_hook {
            Ok(Change::Changed) => Visited::of(Change::Changed),
            Ok(_) => Visited::of(wrapper),
            Err(err) => Visited { change: wrapper, ref_hook_obstacle: self.relevant(err) },
        })
    }

    /// Returns the obstacle, unless it is a link or a foreign file where nothing of ours belongs.
    fn relevant(&self, obstacle: Obstacle) -> Option<Obstacle> {
        Some(obstacle).filter(|obstacle| self.ref_hook.is_some() || obstacle.is_failure())
    }
}

impl Visited {
    /// Returns the result without an obstacle.
    pub fn of(change: Change) -> Self {
        Self { change, ref_hook_obstacle: None }
    }
}

/// Gives a file of ours this text, or removes it if `text` is `None`.
fn change(dir: &OpenDir, name: &str, text: Option<&[u8]>, is_real: bool) -> Result<Change, Obstacle> {
    let there = match dir.read(name, MAX_FILE) {
        Err(err) if err.is_size() => return Err(Obstacle::foreign(&dir.path().join(name))),
        there => there?,
    };
    if there.as_ref().is_some_and(|there| !is_ours(&there.bytes)) {
        return Err(Obstacle::foreign(&dir.path().join(name)));
    }
    // A temporary file that a crashed process left behind.
    let is_littered = dir.has(HIDDEN);
    let is_so = match (text, &there) {
        (Some(text), Some(there)) => there.bytes == text && there.mode == MODE,
        (Some(_), None) => false,
        (None, there) => there.is_none(),
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
    match text {
        _ if is_so => return Ok(Change::Unchanged),
        Some(text) => dir.write_hidden(HIDDEN, text, MODE)?.rename(name)?,
        None => dir.remove(name)?,
    }
    Ok(Change::Changed)
}
