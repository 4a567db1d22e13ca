//! The layers of a policy: finds the scripts that apply to a repository, and which functions each
//! defines.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use super::{
    Level, Origin, PolicyError, Rule, ScriptError, ScriptHash, ScriptLocations, engine::ScriptEngine,
    origin::BUILT_IN_NAME, script::Script, source::ScriptSource,
};
use crate::{
    push::RepositoryIdentity,
    sys::fault::{self, Step},
    text::{self, Hinted},
};

/// Source of the default policy, which applies if no script defines `decide`.
pub(super) const BUILT_IN: &str = include_str!("../../scripts/built-in.rhai");

/// Module of the built-in policy's functions.
const BUILT_IN_MODULE: &str = "built_in";

/// Script that applies to every repository.
const SITE: &str = "site.rhai";

/// Maximum time between an editor's rename of a script and the new one in its place.
const SAVING: Duration = Duration::from_secs(5);

/// The functions that a policy script may define.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyFunction {
    /// `decide(update)`.
    Decide,
    /// `enrich(marker, update)`.
    Enrich,
    /// `guard(marker, update)`.
    Guard,
}

impl PolicyFunction {
    /// Returns the function's name in scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Enrich => "enrich",
            Self::Guard => "guard",
        }
    }

    /// Returns the function of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Decide, Self::Enrich, Self::Guard].into_iter().find(|function| function.as_str() == name)
    }

    /// Returns what the function should return, as the end of a message about a wrong value.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Decide => "expected `true`, `false`, `skip(\"why\")`, `mark(#{...})` or an array of marks",
            Self::Enrich => "end it with `marker`, so that it returns the marker",
            Self::Guard => "expected nothing, `refuse(\"why\")` or an object map of attributes to add",
        }
    }
}

/// One compiled script of the policy.
pub(super) struct Layer {
    origin: Origin,
    script: Script,
    text: String,
}

impl Layer {
    /// Reads and compiles a script.
    pub fn read(engine: &ScriptEngine, level: Level, path: &Path) -> Result<Self, PolicyError> {
        let source = ScriptSource::read(path)?;
        let origin = Origin { level, file: Some(source.name.clone()), hash: source.hash };
        Ok(Self { origin, script: Script::compile(engine, source.name, &source.text)?, text: source.text })
    }

    /// Checks that the script defines at least one of the policy's functions.
    pub fn needs_a_say(&self) -> Result<(), ScriptError> {
        if self.script.defines_any() {
            return Ok(());
        }
        let message = if self.script.ast().iter_fn_def().any(|function| function.name == "render") {
            "this is a render script, not a policy; name it in `render` of a destination with kind = \"http\""
        } else {
            "the script defines none of `decide(update)`, `enrich(marker, update)`, `guard(marker, update)`"
        };
        Err(self.error(message))
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Returns true if the script reads this key of a map, as `map.key` or as `"key"`. Layers that
    /// are not files read only keys of ours.
    pub fn reads_key(&self, key: &str) -> bool {
        let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let after = |text: &str, word: &str| {
            text.match_indices(word).any(|(at, _)| text.get(at + word.len()..).is_some_and(is_end))
        };
        self.text.contains(&format!("\"{key}\"")) || after(&self.text, &format!(".{key}"))
    }

    pub fn defines(&self, function: PolicyFunction) -> bool {
        self.script.defines(function.as_str())
    }

    /// Returns the rule for an answer without a line: the start of the function.
    pub fn rule(&self, function: PolicyFunction) -> Rule {
        Rule::at(self.script.name(), self.script.line_of(function.as_str()))
    }

    /// Creates an error about what a function returned.
    pub fn error_in(&self, function: PolicyFunction, message: impl Into<Hinted>) -> ScriptError {
        let start = self.script.start_of(function.as_str());
        ScriptError::at_position(self.script.name(), start, message)
    }

    /// Creates an error about the script as a whole.
    fn error(&self, message: impl Into<Hinted>) -> ScriptError {
        ScriptError::at(self.script.name(), None, message)
    }
}

/// Compiles the built-in layer, and lets other scripts call it as `built_in::decide(update)`.
pub(super) fn built_in(engine: &mut ScriptEngine) -> Result<Layer, PolicyError> {
    let origin = Origin { level: Level::BuiltIn, file: None, hash: ScriptHash::of(BUILT_IN.as_bytes()) };
    let script = Script::compile(engine, BUILT_IN_NAME.to_string(), BUILT_IN)?;
    engine.offer(BUILT_IN_MODULE, script.ast());
    Ok(Layer { origin, script, text: String::new() })
}

/// Returns the scripts that apply to `repository`, from the site's to that of the hook page.
pub(super) fn files(
    scripts: &ScriptLocations,
    repository: &RepositoryIdentity,
) -> Result<Vec<(Level, PathBuf)>, PolicyError> {
    if let Some(draft) = &scripts.draft {
        // A draft named `site.rhai` runs as the site's script, and any other as the repository's.
        let is_site = draft.file_name().is_some_and(|name| name.eq_ignore_ascii_case(SITE));
        let level = if is_site { Level::Site } else { Level::Repository };
        return Ok(vec![(level, draft.clone())]);
    }
    let mut files = Vec::new();
    let mut add = |level, file: Option<PathBuf>| files.extend(file.map(|file| (level, file)));
    if let Some(dir) = &scripts.dir {
        add(Level::Site, find(dir, SITE)?);
        if let Some(owner) = &repository.owner {
            add(Level::Owner, find(dir, &format!("{owner}.rhai"))?);
            if let Some(owner_dir) = find(dir, owner)? {
                add(Level::Repository, find(&owner_dir, &format!("{}.rhai", repository.name))?);
            }
        }
    }
    add(Level::HookPage, scripts.hook_page.clone());
    Ok(files)
}

/// Finds `name` in `dir` and ignores case. Over SSH, Gitea passes on the repository's name as the
/// client typed it, so a name in capitals must not evade a guard.
pub(super) fn find(dir: &Path, name: &str) -> Result<Option<PathBuf>, PolicyError> {
    let unreadable = |err| PolicyError::from_io(dir, err);
    let entries = fault::point(Step::List, dir).and_then(|()| fs::read_dir(dir)).map_err(unreadable)?;
    let wanted = name.to_lowercase();
    let (mut found, mut backup) = (None, None);
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let Some(named) = entry.file_name().to_str().map(str::to_lowercase) else { continue };
        if named != wanted && wanted.ends_with(".rhai") && named.contains(&wanted) {
            backup = Some(named.clone());
        }
        if named == wanted && found.replace(entry.path()).is_some() {
            return Err(PolicyError::Unfit {
                path: dir.display().to_string(),
                why: format!("two entries differ from `{name}` only in case; keep one"),
            });
        }
    }
    match backup {
        Some(backup) if found.is_none() && changed_just_now(dir) => {
            let why =
                format!("it is missing but `{}` exists, so an editor may be saving it", text::line(backup));
            Err(PolicyError::Unreadable {
                path: dir.join(name).display().to_string(),
                source: io::Error::new(io::ErrorKind::NotFound, why),
            })
        }
        _ => Ok(found),
    }
}

/// Returns true if an entry of the directory was made, renamed or removed a moment ago.
fn changed_just_now(dir: &Path) -> bool {
    let modified = dir.metadata().and_then(|dir| dir.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age < SAVING))
}
