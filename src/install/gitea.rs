//! Where a Gitea keeps what we need to know of: read from its app.ini with its own defaults and rules.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use super::{
    at,
    ini::{Ini, Value},
};
use crate::text;

/// How large an app.ini may be, in bytes; the one with every setting has a tenth of that.
const MAX_FILE: u64 = 1 << 20;

/// The file that holds git's own configuration for Gitea, in [`Gitea::home`].
pub const GIT_CONFIG: &str = ".gitconfig";

/// A Gitea, as its app.ini describes it. Of what is in that file, nothing else is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gitea {
    config: PathBuf,
    run_user: Option<String>,
    root: PathBuf,
    home: PathBuf,
    git: Option<PathBuf>,
    template_dir: Option<String>,
    script_type: String,
}

/// Why an app.ini cannot be used: which file, which line, what was expected.
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

impl Gitea {
    /// Reads an app.ini. `work_path` is where a running Gitea works, for a file that does not say.
    ///
    /// # Errors
    /// If the file cannot be read, is no app.ini, or leaves open what has no default.
    pub fn read(config: &Path, work_path: Option<&Path>) -> Result<Self, GiteaError> {
        let failed = |what: String| GiteaError { config: config.into(), line: None, what };
        let bytes = at::read_file(config, MAX_FILE)
            .map_err(|err| failed(format!("failed to read Gitea's configuration: {err}")))?;
        let ini = Ini::parse(&String::from_utf8_lossy(&bytes)).map_err(|wrong| GiteaError {
            config: config.into(),
            line: Some(wrong.line),
            what: format!("{wrong}; Gitea does not start with this file either"),
        })?;
        Reading { config, ini: &ini, work_path }.gitea()
    }

    /// Returns the file that all this was read from.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Returns the user that Gitea runs as, if the file says (`RUN_USER`).
    pub fn run_user(&self) -> Option<&str> {
        self.run_user.as_deref()
    }

    /// Returns the directory of all repositories (`[repository] ROOT`).
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns git's home when Gitea runs it (`[git] HOME_PATH`).
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns git's own configuration for all that Gitea does.
    pub fn git_config(&self) -> PathBuf {
        self.home.join(GIT_CONFIG)
    }

    /// Returns the git that Gitea runs, if the file names one (`[git] PATH`): a path or a name to look for.
    pub fn git(&self) -> Option<&Path> {
        self.git.as_deref()
    }

    /// Returns the template directory that Gitea sets for git whenever it starts (`[git.config] init.templateDir`).
    pub fn template_dir(&self) -> Option<&str> {
        self.template_dir.as_deref()
    }

    /// Returns what Gitea's own hooks are run by (`[repository] SCRIPT_TYPE`).
    pub fn script_type(&self) -> &str {
        &self.script_type
    }
}

/// An app.ini while it is read.
struct Reading<'a> {
    config: &'a Path,
    ini: &'a Ini,
    work_path: Option<&'a Path>,
}

impl Reading<'_> {
    fn gitea(&self) -> Result<Gitea, GiteaError> {
        let work_path = self.work_path()?;
        let work_path = work_path.as_deref();
        // What is below another directory, and what may stand in its place.
        let data = self.path("server", "APP_DATA_PATH", "data", work_path, "WORK_PATH");
        let below_data = |section, key, default| match &data {
            Ok(data) => self.path(section, key, default, Some(data), "[server] APP_DATA_PATH"),
            // An absolute path needs no other.
            Err(err) => self.path(section, key, default, None, "").map_err(|_| err.clone()),
        };
        let home = below_data("git", "HOME_PATH", "home")?;
        let root = match self.ini.get("repository", "ROOT") {
            Some(_) => self.path("repository", "ROOT", "", work_path, "WORK_PATH"),
            None => below_data("repository", "ROOT", "gitea-repositories"),
        }?;
        let text = |section, key| self.ini.get(section, key).map(|value| value.text);
        Ok(Gitea {
            config: self.config.into(),
            run_user: text("", "RUN_USER"),
            root,
            home,
            git: text("git", "PATH").map(Into::into),
            template_dir: self
                .ini
                .get_ignoring_case("git.config", "init.templateDir")
                .map(|value| value.text),
            script_type: text("repository", "SCRIPT_TYPE").unwrap_or_else(|| "bash".into()),
        })
    }

    /// Finds out where Gitea works: what the file says counts, then what a running one was told, and without either of
    /// them the file's own place tells, if it is where Gitea puts it.
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
                "`{name}` is relative to `{base_name}`, which is not set, and no running Gitea tells where it works; \
                 write `WORK_PATH = /the/directory` above the first section, as Gitea itself does since 1.20"
            );
            return Err(GiteaError {
                config: self.config.into(),
                line: written.map(|value| value.line),
                what,
            });
        };
        Ok(clean(&base.join(path)))
    }

    fn wrong(&self, written: &Value, key: &str, what: &str) -> GiteaError {
        GiteaError { config: self.config.into(), line: Some(written.line), what: format!("`{key}`: {what}") }
    }
}

/// Takes out `.` and `..`, as Go's `filepath.Clean` does, without a look at what is there.
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
