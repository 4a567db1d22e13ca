//! Reads the paths and users of a Gitea from its `app.ini`, with Gitea's own defaults.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use super::{
    dirfd,
    ini::{Ini, IniValue},
    ownership::{Exposed, Ownership},
    user::{RunUser, UnknownUser},
};
use crate::text;

/// Maximum size of an `app.ini`, in bytes. One with every setting is a tenth of that.
const MAX_FILE: u64 = 1 << 20;

/// Name of the git configuration file in [`Gitea::home`].
pub const GIT_CONFIG: &str = ".gitconfig";

/// The settings of a Gitea that this program needs. Other settings in `app.ini`, which include
/// secrets, are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gitea {
    config: PathBuf,
    ownership: Ownership,
    run_user: Option<String>,
    root: PathBuf,
    home: PathBuf,
    git: Option<PathBuf>,
    template_dir: Option<String>,
}

/// A problem with an `app.ini`, with its file and line.
#[derive(Clone, Debug)]
pub struct GiteaError {
    config: PathBuf,
    line: Option<usize>,
    what: String,
}

impl fmt::Display for GiteaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", text::path(&self.config))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for GiteaError {}

/// A failure to determine the user that Gitea runs as.
#[derive(Debug)]
pub enum UserError {
    /// `RUN_USER` in this file is not in the user database.
    Unknown(PathBuf, UnknownUser),
    /// `RUN_USER` is not set, and the repository root cannot be determined either.
    Gitea(GiteaError),
    /// `RUN_USER` is not set, and several users can change the repository root, whose owner is the
    /// fallback.
    Exposed(Exposed),
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(config, err) => write!(f, "`RUN_USER` in `{}`: {err}", text::path(config)),
            Self::Gitea(err) => write!(f, "{err}; or name the user that Gitea runs as with --run-user"),
            Self::Exposed(err) => write!(f, "{err}; name the user that Gitea runs as with --run-user"),
        }
    }
}

impl std::error::Error for UserError {}

impl Gitea {
    /// Reads an `app.ini`. `work_path` is the work path of a running Gitea, used if the file does
    /// not set one.
    ///
    /// # Errors
    /// If the file cannot be read or parsed, or lacks a setting that has no default.
    pub fn read(config: &Path, work_path: Option<&Path>) -> Result<Self, GiteaError> {
        let failed = |what: String| GiteaError { config: config.into(), line: None, what };
        let (ownership, bytes) = Ownership::open(config)
            .and_then(|(file, ownership)| Ok((ownership, dirfd::bounded(&file, MAX_FILE)?)))
            .map_err(|err| failed(format!("failed to read Gitea's configuration: {err}")))?;
        let ini = Ini::parse(&String::from_utf8_lossy(&bytes)).map_err(|wrong| GiteaError {
            config: config.into(),
            line: Some(wrong.line),
            what: format!("{wrong}; Gitea cannot start with this file either"),
        })?;
        AppIniReader { config, ownership, ini: &ini, work_path }.gitea()
    }

    /// Returns the user that Gitea runs as: `RUN_USER`, else the owner of `app.ini`, else the owner
    /// of the repositories. Ignores running processes, because any user can start one.
    ///
    /// # Errors
    /// If the user cannot be determined.
    pub fn user(&self) -> Result<RunUser, UserError> {
        if let Some(name) = &self.run_user {
            return RunUser::in_app_ini(name).map_err(|err| UserError::Unknown(self.config.clone(), err));
        }
        let (uid, gid) = self.ownership.owner();
        if uid != 0 {
            return Ok(RunUser::with_ids(uid, gid));
        }
        // Do not use the work path that a process claims.
        let root = Self::read(&self.config, None).map_err(UserError::Gitea)?.root;
        RunUser::owner_of(&root).map_err(UserError::Exposed)
    }

    /// Checks that only root and this user can change `app.ini`.
    ///
    /// # Errors
    /// With the path that another user can change.
    pub fn check(&self, user: &RunUser) -> Result<(), Exposed> {
        self.ownership.check(user)
    }

    /// Returns the path of `app.ini`.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Returns the root directory of all repositories (`[repository] ROOT`).
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the home directory that Gitea sets for git (`[git] HOME_PATH`).
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the path of the git configuration that applies to everything Gitea does.
    pub fn git_config(&self) -> PathBuf {
        self.home.join(GIT_CONFIG)
    }

    /// Returns the git executable that Gitea runs, if set (`[git] PATH`), as a path or as a name to
    /// search for.
    pub fn git(&self) -> Option<&Path> {
        self.git.as_deref()
    }

    /// Returns the template directory that Gitea configures in git at each start (`[git.config]
    /// init.templateDir`).
    pub fn template_dir(&self) -> Option<&str> {
        self.template_dir.as_deref()
    }
}

/// An `app.ini` that is being read.
struct AppIniReader<'a> {
    config: &'a Path,
    ownership: Ownership,
    ini: &'a Ini,
    work_path: Option<&'a Path>,
}

impl AppIniReader<'_> {
    fn gitea(self) -> Result<Gitea, GiteaError> {
        let work_path = self.work_path()?;
        let work_path = work_path.as_deref();
        // Defaults are relative to `APP_DATA_PATH`, which is relative to the work path.
        let data = self.path("server", "APP_DATA_PATH", "data", work_path, "WORK_PATH");
        let below_data = |section, key, default| match &data {
            Ok(data) => self.path(section, key, default, Some(data), "[server] APP_DATA_PATH"),
            // An absolute path does not need the data path.
            Err(err) => self.path(section, key, default, None, "").map_err(|_| err.clone()),
        };
        let home = below_data("git", "HOME_PATH", "home")?;
        let root = match self.ini.get("repository", "ROOT") {
            Some(_) => self.path("repository", "ROOT", "", work_path, "WORK_PATH"),
            None => below_data("repository", "ROOT", "gitea-repositories"),
        }?;
        let text = |section, key| self.ini.get(section, key).map(|value| value.text);
        let template_dir = self.ini.get_ignoring_case("git.config", "init.templateDir");
        Ok(Gitea {
            config: self.config.into(),
            run_user: text("", "RUN_USER"),
            root,
            home,
            git: text("git", "PATH").map(Into::into),
            template_dir: template_dir.map(|value| value.text),
            ownership: self.ownership,
        })
    }

    /// Determines the work path: `WORK_PATH` in the file, else that of a running Gitea. Without
    /// either, derives it from the location of `app.ini`, if that ends with the usual
    /// `custom/conf/app.ini`.
    fn work_path(&self) -> Result<Option<PathBuf>, GiteaError> {
        if let Some(written) = self.ini.get("", "WORK_PATH") {
            let path = PathBuf::from(&written.text);
            if !path.is_absolute() {
                return Err(self.wrong(&written, "WORK_PATH", "expected an absolute path, as Gitea does"));
            }
            return Ok(Some(path));
        }
        if let Some(told) = self.work_path {
            return Ok(Some(told.into()));
        }
        let custom = self.config.ancestors().nth(2);
        Ok(custom
            .filter(|custom| self.config.ends_with("custom/conf/app.ini") && custom.is_absolute())
            .and_then(Path::parent)
            .map(Into::into))
    }

    /// Reads a path, which may be relative to `base`.
    fn path(
        &self,
        section: &str,
        key: &str,
        default: &str,
        base: Option<&Path>,
        base_name: &str,
    ) -> Result<PathBuf, GiteaError> {
        let written = self.ini.get(section, key);
        let path = Path::new(written.as_ref().map_or(default, |value| &value.text));
        if path.is_absolute() {
            return Ok(clean(path));
        }
        let Some(base) = base else {
            let name = if section.is_empty() { key.to_string() } else { format!("[{section}] {key}") };
            let what = format!(
                "`{name}` is relative to `{base_name}`, which is not set, and no running Gitea shows its \
                 work path; add `WORK_PATH = /the/directory` above the first section, as Gitea does since \
                 1.20"
            );
            return Err(GiteaError {
                config: self.config.into(),
                line: written.map(|value| value.line),
                what,
            });
        };
        Ok(clean(&base.join(path)))
    }

    fn wrong(&self, written: &IniValue, key: &str, what: &str) -> GiteaError {
        GiteaError { config: self.config.into(), line: Some(written.line), what: format!("`{key}`: {what}") }
    }
}

/// Removes `.` and `..` lexically, like Go's `filepath.Clean`.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}
