//! Into every repository of a Gitea, and out again: what `install`, `uninstall` and `doctor` know of it.

mod api;
mod at;
mod block;
mod command;
mod covering;
mod entries;
mod find;
mod git;
mod gitconfig;
mod gitea;
mod home;
mod ini;
mod new_ones;
mod place;
mod process;
mod program;
mod slot;
mod survey;
mod template;
mod traps;
mod tree;
mod user;

pub use api::{Api, ApiCame, ApiError};
pub use at::Obstacle;
pub use block::Block;
pub use command::{HookCommand, MARK, UnfitPath, is_wrapper};
pub use covering::{
    Covered, CoveringError, Job, TemplateCame, install, install_in, uninstall, uninstall_from,
};
pub use find::{FindError, Found, find};
pub use git::{Git, GitError, GitVersion};
pub use gitconfig::{GitConfig, Unfit};
pub use gitea::{GIT_CONFIG, Gitea, GiteaError};
pub use home::{HomeError, config_hook_in};
pub use place::{Place, Way};
pub use process::Process;
pub use program::{Said, bare, run};
pub use slot::NAME;
pub use survey::{Oddity, Survey, survey};
pub use template::TEMPLATE;
pub use traps::{Trap, traps};
pub use tree::{Repository, Walked, Walking};
pub use user::{RunUser, UnknownUser};
