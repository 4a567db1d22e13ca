//! Installs the hook in every repository of a Gitea and removes it again. `install`, `uninstall`
//! and `doctor` use this module.

mod api;
mod block;
mod command;
mod dirfd;
mod entries;
mod excluded;
mod find;
mod git;
mod gitconfig;
mod gitea;
mod home;
mod hook_files;
pub(crate) mod ini;
mod installer;
mod newcomers;
mod ownership;
mod process;
mod program;
mod root;
mod survey;
pub(crate) mod system;
mod template;
mod template_hook;
mod traps;
mod tree;
mod user;

pub use api::{Api, ApiCame, ApiError};
pub use command::HookCommand;
pub use dirfd::Obstacle;
pub use excluded::is_excluded;
pub use find::{FoundConfig, find};
pub use git::{Git, GitVersion};
pub use gitea::Gitea;
pub use home::{config_hook_in, has_ref_hook};
pub use hook_files::NAME;
pub use installer::{
    Covered, CoveringError, InstallJob, RefHookWish, install, install_in, uninstall, uninstall_from,
};
pub use newcomers::{Newcomers, cover_newcomers};
pub use ownership::{Exposed, check};
pub use process::Process;
pub use program::{ProgramOutput, bare, run};
pub use root::{RepositoriesRoot, Way};
pub use survey::{Oddity, Survey, each_repository, survey};
pub use template::template_without_hook;
pub use traps::{Trap, traps};
pub use tree::Walking;
pub use user::RunUser;
