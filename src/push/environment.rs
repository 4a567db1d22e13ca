//! Reads the hook's environment variables through an allow-list.
//!
//! For pushes over HTTP and from the web, the hook inherits the environment of the Gitea daemon.
//! That includes secrets such as `GITEA__database__PASSWD` and `SECRET_KEY` (reference/gitea.md,
//! section 3.1). Only the variables in [`ALLOWED`] and the push options are read, so that the hook
//! cannot capture, print or pass on anything else.

use std::ffi::OsString;

use super::{PushOptions, options};
use crate::text;

/// Variables that the capture of a push may read, in addition to `GIT_PUSH_OPTION_<n>`.
///
/// Sources: Gitea `modules/repository/env.go`, `cmd/serv.go`, `routers/web/repo/githttp.go` (1.13
/// to 1.27); githooks(5).
pub const ALLOWED: &[&str] = &[
    "GIT_DIR",
    "GIT_PUSH_OPTION_COUNT",
    "GITEA_ACTIONS_TASK_ID",
    "GITEA_DEPLOY_KEY_ID",
    "GITEA_INTERNAL_PUSH",
    "GITEA_KEY_ID",
    "GITEA_PR_ID",
    "GITEA_PR_INDEX",
    "GITEA_PUSH_TRIGGER",
    "GITEA_PUSHER_ID",
    "GITEA_PUSHER_NAME",
    "GITEA_REPO_ID",
    "GITEA_REPO_IS_WIKI",
    "GITEA_REPO_NAME",
    "GITEA_REPO_USER_NAME",
    "GITEA_ROOT_URL",
    "SSH_ORIGINAL_COMMAND",
];

/// Maximum length of a value, in characters. Longer values are cut.
const MAX_VALUE: usize = 1024;

/// Access to environment variables by name.
pub struct Environment<'a>(Box<ReadVariable<'a>>);

/// Returns the value of a variable.
type ReadVariable<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

impl Environment<'static> {
    /// Returns the environment of this process.
    pub fn of_process() -> Self {
        Self(Box::new(|name| std::env::var_os(name)))
    }
}

impl<'a> Environment<'a> {
    /// Returns an environment that takes its values from `get`, for tests and replays.
    pub fn from_fn(get: impl Fn(&str) -> Option<OsString> + 'a) -> Self {
        Self(Box::new(get))
    }

    /// Returns an allowed variable as it is, without bounds.
    pub fn raw(&self, name: &'static str) -> Option<OsString> {
        debug_assert!(ALLOWED.contains(&name), "{name} is not on the allow-list");
        (self.0)(name)
    }

    /// Returns an allowed variable as bounded text, or `None` if it is unset or empty.
    pub fn text(&self, name: &'static str) -> Option<String> {
        let value = self.raw(name)?;
        let text = text::name(value.as_encoded_bytes().trim_ascii(), MAX_VALUE);
        (!text.is_empty()).then_some(text)
    }

    /// Returns an allowed variable as a number.
    pub fn number(&self, name: &'static str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// Returns an allowed variable that holds an id, or `None` if the id is 0.
    pub fn id(&self, name: &'static str) -> Option<i64> {
        self.number(name).filter(|id| *id != 0)
    }

    /// Returns true if an allowed variable is `true`.
    pub fn is_true(&self, name: &'static str) -> bool {
        self.text(name).as_deref() == Some("true")
    }

    /// Returns the push options (`GIT_PUSH_OPTION_COUNT` and `_0` on, githooks(5)).
    pub fn push_options(&self) -> PushOptions {
        let count = self.number("GIT_PUSH_OPTION_COUNT").unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(0).min(options::MAX_OPTIONS);
        PushOptions::new((0..count).filter_map(|n| {
            let value = (self.0)(&format!("GIT_PUSH_OPTION_{n}"))?;
            Some(String::from_utf8_lossy(value.as_encoded_bytes()).into_owned())
        }))
    }
}
